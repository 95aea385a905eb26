package chart

import (
	"math"
	"testing"
)

// Each colour stands out from the paper, and from each other one, also where one kind of cone is missing.
func TestPalette(t *testing.T) {
	// Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency" (2009), severity 1.
	for name, eye := range map[string][3][3]float64{
		"all":   {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
		"red":   {{0.152286, 1.052583, -0.204868}, {0.114503, 0.786281, 0.099216}, {-0.003882, -0.048116, 1.051998}},
		"green": {{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}},
		"blue":  {{1.255528, -0.076749, -0.178779}, {-0.078411, 0.930809, 0.147602}, {0.004733, 0.691367, 0.303900}},
	} {
		for i, a := range palette {
			for _, b := range palette[:i] {
				x, y := lab(seen(eye, a)), lab(seen(eye, b))
				if d := math.Sqrt(sq(x[0]-y[0]) + sq(x[1]-y[1]) + sq(x[2]-y[2])); d < 15 {
					t.Errorf("%s and %s are %.1f apart (%s)", a, b, d, name)
				}
			}
		}
	}
	for _, a := range palette {
		if c := 1.05 / (luminance(linear(a)) + 0.05); c < 3 {
			t.Errorf("%s has a contrast of %.1f", a, c)
		}
	}
	for _, a := range []string{ink, faint} {
		if c := 1.05 / (luminance(linear(a)) + 0.05); c < 4.5 {
			t.Errorf("text in %s has a contrast of %.1f", a, c)
		}
	}
}

func sq(v float64) float64 { return v * v }

// linear is a colour of sRGB as light.
func linear(s string) [3]float64 {
	c := hex(s)
	var light [3]float64
	for i, v := range []uint8{c.R, c.G, c.B} {
		if f := float64(v) / 255; f <= 0.04045 {
			light[i] = f / 12.92
		} else {
			light[i] = math.Pow((f+0.055)/1.055, 2.4)
		}
	}
	return light
}

func seen(eye [3][3]float64, s string) [3]float64 {
	light := linear(s)
	var c [3]float64
	for i, row := range eye {
		c[i] = min(1, max(0, row[0]*light[0]+row[1]*light[1]+row[2]*light[2]))
	}
	return c
}

func luminance(c [3]float64) float64 { return 0.2126*c[0] + 0.7152*c[1] + 0.0722*c[2] }

// lab is a colour in CIELAB.
func lab(c [3]float64) [3]float64 {
	f := func(t float64) float64 {
		if t > 0.008856 {
			return math.Cbrt(t)
		}
		return 7.787*t + 16.0/116
	}
	x := f((0.4124*c[0] + 0.3576*c[1] + 0.1805*c[2]) / 0.95047)
	y := f(luminance(c))
	z := f((0.0193*c[0] + 0.1192*c[1] + 0.9505*c[2]) / 1.08883)
	return [3]float64{116*y - 16, 500 * (x - y), 200 * (y - z)}
}
