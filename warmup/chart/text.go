package chart

import (
	"math"
	"strconv"
	"strings"
	"unicode"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
)

// maxText is how many characters of a text are looked at.
const maxText = 500

// clean is s as one line that can be drawn and read: blanks are one space each, and what is not visible, or not UTF-8, is U+FFFD. That leaves nothing that XML 1.0
// forbids (section 2.2), nor what makes text run the other way.
func clean(s string) string {
	var b strings.Builder
	n := 0
	blank := false
	for _, r := range s {
		if unicode.IsSpace(r) {
			blank = n > 0
			continue
		}
		if n++; n > maxText {
			b.WriteRune('…')
			break
		}
		if blank {
			b.WriteByte(' ')
			blank = false
		}
		if !unicode.IsGraphic(r) {
			r = unicode.ReplacementChar
		}
		b.WriteRune(r)
	}
	return b.String()
}

// handler draws the texts of the axes onto a canvas. Unlike gonum's own it says where a text is anchored, so that one that ends at an axis ends there in
// whatever font it is seen.
type handler struct {
	text.Handler
	canvas *canvas
}

// Draw implements text.Handler.
func (h handler) Draw(_ vg.Canvas, txt string, sty text.Style, pt vg.Point) {
	if txt == "" {
		return
	}
	// The offset of the baseline from the point, before it is turned.
	down := float64(sty.Height(txt)*vg.Length(sty.YAlign)-sty.FontExtents().Ascent) + float64(sty.Font.Size)
	sin, cos := math.Sincos(sty.Rotation)
	h.canvas.text(float64(pt.X)-down*sin, h.canvas.height-float64(pt.Y)-down*cos, sty, txt)
}

// style is that of a text on the canvas.
func (c *canvas) style(size float64, ink string, bold bool) text.Style {
	s := text.Style{Color: hex(ink), Handler: handler{plot.DefaultTextHandler, c}}
	s.Font.Typeface, s.Font.Variant, s.Font.Size = "Liberation", "Sans", vg.Length(size)
	if bold {
		s.Font.Weight = bolder
	}
	return s
}

// fit cuts s to a width.
func fit(s string, style text.Style, width float64) string {
	if float64(style.Width(s)) <= width {
		return s
	}
	runes := []rune(s)
	low, high := 0, len(runes) // how many fit is at least low and below high
	for high-low > 1 {
		if mid := (low + high) / 2; float64(style.Width(string(runes[:mid])+"…")) <= width {
			low = mid
		} else {
			high = mid
		}
	}
	return strings.TrimRight(string(runes[:low]), " ") + "…"
}

// wrap breaks s between words into at most n lines of a width, of about the same length. The last one is cut if there is too much.
func wrap(s string, style text.Style, width float64, n int) []string {
	lines := breakLines(s, style, width, n)
	for len(lines) > 1 && !strings.HasSuffix(lines[len(lines)-1], "…") {
		width *= 0.96
		narrower := breakLines(s, style, width, n+1)
		if len(narrower) > len(lines) || strings.Join(narrower, " ") != strings.Join(lines, " ") {
			break // one line more, or a word cut
		}
		lines = narrower
	}
	return lines
}

func breakLines(s string, style text.Style, width float64, n int) []string {
	var lines []string
	words := strings.Fields(s)
	for len(words) > 0 {
		k := 1
		if len(lines) == n-1 {
			k = len(words)
		}
		for k < len(words) && float64(style.Width(strings.Join(words[:k+1], " "))) <= width {
			k++
		}
		lines = append(lines, fit(strings.Join(words[:k], " "), style, width))
		words = words[k:]
	}
	return lines
}

// short is a number for an axis: 2.5k, 10k, 1M.
func short(v float64) string {
	suffix := ""
	for _, u := range []string{"k", "M", "G", "T"} {
		if math.Abs(v) < 1000 {
			break
		}
		v /= 1000
		suffix = u
	}
	return strconv.FormatFloat(v, 'g', 10, 64) + suffix
}

// long is a number for the description, with its thousands apart: 1,234,567.
func long(v float64) string {
	if math.Abs(v) < 1000 {
		return strconv.FormatFloat(v, 'g', 4, 64)
	}
	digits := strconv.FormatFloat(math.Abs(v), 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	if v < 0 {
		return "-" + digits
	}
	return digits
}
