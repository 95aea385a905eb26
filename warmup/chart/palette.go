package chart

import (
	"image/color"

	"gonum.org/v1/plot/vg"
)

// The colours of what is around the curves.
const (
	paper = "#ffffff"
	edge  = "#d0d7de"
	ink   = "#1f2328"
	faint = "#59636e"
	grid  = "#e4e8ec"
	axis  = "#8c959f"
)

// palette has the colours of curves. On the paper each has a contrast of at least 3 (WCAG 2.1, 1.4.11), and each two of them differ also for those who do not
// see red, green or blue: TestPalette measures it. The first four are of Okabe and Ito's "Color Universal Design".
var palette = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#332288", "#aa3377", "#004d40"}

// The dashes: of the first round of the palette, the second, and so on; whole lines and dashed ones.
var (
	whole  = [][]vg.Length{nil, {2, 3}, {10, 3, 2, 3}, {16, 3}}
	dashed = [][]vg.Length{{7, 5}, {4, 3, 1, 3}, {7, 3, 1, 3, 1, 3}, {3, 6}}
)

// hex reads "#rrggbb".
func hex(s string) color.NRGBA {
	digit := func(c byte) uint8 {
		if c >= 'a' {
			return c - 'a' + 10
		}
		return c - '0'
	}
	at := func(i int) uint8 { return digit(s[i])<<4 | digit(s[i+1]) }
	return color.NRGBA{R: at(1), G: at(3), B: at(5), A: 255}
}

// fade is a colour through which the grid is seen; every second round of the palette more so.
func fade(c color.NRGBA, round int) color.NRGBA {
	c.A = 140
	if round%2 == 1 {
		c.A = 70
	}
	return c
}
