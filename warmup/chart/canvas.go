package chart

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"image"
	"image/color"
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
)

// bolder is the weight of titles: font.WeightBold of golang.org/x/image, which gonum takes, and which is not worth a dependency.
const bolder = 3

// canvas writes SVG 1.1. It is gonum's canvas as far as a plot uses one, with names for what is drawn and texts that say where they are anchored. A unit
// is a pixel; y goes down, except in what the interface gives it.
type canvas struct {
	b             bytes.Buffer
	width, height float64
	state         state
	saved         []state
}

// state is what Push saves.
type state struct {
	width vg.Length
	dash  []vg.Length
	color color.Color
}

var _ vg.Canvas = (*canvas)(nil)

func (c *canvas) SetLineWidth(w vg.Length)                  { c.state.width = w }
func (c *canvas) SetLineDash(dash []vg.Length, _ vg.Length) { c.state.dash = dash }
func (c *canvas) SetColor(ink color.Color)                  { c.state.color = ink }
func (c *canvas) Push()                                     { c.saved = append(c.saved, c.state) }

func (c *canvas) Pop() {
	c.state = c.saved[len(c.saved)-1]
	c.saved = c.saved[:len(c.saved)-1]
}

// Only texts are turned, and handler does that. Nothing else is transformed, no text is drawn but by handler, and there are no images.
func (c *canvas) Rotate(float64)                         {}
func (c *canvas) Translate(vg.Point)                     {}
func (c *canvas) Scale(float64, float64)                 {}
func (c *canvas) FillString(font.Face, vg.Point, string) {}
func (c *canvas) DrawImage(vg.Rectangle, image.Image)    {}

// Stroke implements vg.Canvas.
func (c *canvas) Stroke(p vg.Path) {
	if c.state.width <= 0 {
		return
	}
	fmt.Fprintf(&c.b, `<path d="%s" fill="none"%s stroke-width="%s"`, c.data(p), paint("stroke", c.state.color), number(float64(c.state.width)))
	if len(c.state.dash) > 0 {
		dash := make([]string, len(c.state.dash))
		for i, d := range c.state.dash {
			dash[i] = number(float64(d))
		}
		fmt.Fprintf(&c.b, ` stroke-dasharray="%s"`, strings.Join(dash, " "))
	}
	c.b.WriteString("/>\n")
}

// Fill implements vg.Canvas.
func (c *canvas) Fill(p vg.Path) {
	fmt.Fprintf(&c.b, "<path d=\"%s\"%s/>\n", c.data(p), paint("fill", c.state.color))
}

// data is a path of straight lines; the axes and curves have no others.
func (c *canvas) data(p vg.Path) string {
	var b strings.Builder
	for _, s := range p {
		switch s.Type {
		case vg.MoveComp:
			b.WriteByte('M')
		case vg.LineComp:
			b.WriteByte('L')
		case vg.CloseComp:
			b.WriteByte('Z')
			continue
		default:
			continue
		}
		b.WriteString(number(float64(s.Pos.X)) + " " + number(c.height-float64(s.Pos.Y)))
	}
	return b.String()
}

// open begins a group with a name, which close ends. Viewers show it as a hint.
func (c *canvas) open(name string) { c.b.WriteString("<g><title>" + escape(name) + "</title>\n") }
func (c *canvas) close()           { c.b.WriteString("</g>\n") }

// line draws a line; y goes down.
func (c *canvas) line(x1, y1, x2, y2 float64) {
	var p vg.Path
	p.Move(vg.Point{X: vg.Length(x1), Y: vg.Length(c.height - y1)})
	p.Line(vg.Point{X: vg.Length(x2), Y: vg.Length(c.height - y2)})
	c.Stroke(p)
}

// box draws a box from its upper left corner; y goes down.
func (c *canvas) box(x, y, width, height float64, ink color.Color) {
	fmt.Fprintf(&c.b, "<rect x=\"%s\" y=\"%s\" width=\"%s\" height=\"%s\"%s/>\n", number(x), number(y), number(width), number(height), paint("fill", ink))
}

// dot draws a dot; y goes down.
func (c *canvas) dot(x, y, r float64, ink color.Color) {
	fmt.Fprintf(&c.b, "<circle cx=\"%s\" cy=\"%s\" r=\"%s\"%s/>\n", number(x), number(y), number(r), paint("fill", ink))
}

// text draws a text whose baseline goes through x, y; y goes down.
func (c *canvas) text(x, y float64, style text.Style, s string) {
	fmt.Fprintf(&c.b, `<text x="%s" y="%s" font-size="%s"%s`, number(x), number(y), number(float64(style.Font.Size)), paint("fill", style.Color))
	if style.Font.Weight == bolder {
		c.b.WriteString(` font-weight="bold"`)
	}
	switch style.XAlign {
	case text.XCenter:
		c.b.WriteString(` text-anchor="middle"`)
	case text.XRight:
		c.b.WriteString(` text-anchor="end"`)
	}
	if style.Rotation != 0 {
		fmt.Fprintf(&c.b, ` transform="rotate(%s %s %s)"`, number(-style.Rotation*180/math.Pi), number(x), number(y))
	}
	c.b.WriteString(">" + escape(s) + "</text>\n")
}

// document is the whole drawing.
//
// The sizes of texts are those of Liberation Sans, which has the widths of Arial and Helvetica.
func (c *canvas) document(title, description string) []byte {
	var b bytes.Buffer
	w, h := number(c.width), number(c.height)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%s" height="%s" viewBox="0 0 %s %s" role="img" font-family="Arial, 'Liberation Sans', Helvetica, sans-serif" stroke-linejoin="round">`+"\n",
		w, h, w, h)
	fmt.Fprintf(&b, "<title>%s</title>\n<desc>%s</desc>\n", escape(title), escape(description))
	fmt.Fprintf(&b, `<rect x="0.5" y="0.5" width="%s" height="%s" rx="6" fill="%s" stroke="%s"/>`+"\n", number(c.width-1), number(c.height-1), paper, edge)
	b.Write(c.b.Bytes())
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// escape makes a text of a document's text; clean has taken out what cannot be escaped.
func escape(s string) string {
	var b bytes.Buffer
	xml.EscapeText(&b, []byte(s)) // a Buffer never fails
	return b.String()
}

// number is a coordinate, to a hundredth of a pixel: what is finer depends on the processor.
func number(v float64) string {
	return strconv.FormatFloat(math.Round(v*100)/100+0, 'f', -1, 64) // + 0 makes -0 0
}

// paint is the attribute for a colour, with its opacity.
func paint(attribute string, ink color.Color) string {
	n := color.NRGBAModel.Convert(ink).(color.NRGBA)
	s := fmt.Sprintf(` %s="#%02x%02x%02x"`, attribute, n.R, n.G, n.B)
	if n.A < 255 {
		s += fmt.Sprintf(` %s-opacity="%s"`, attribute, number(float64(n.A)/255))
	}
	return s
}
