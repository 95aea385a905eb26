package chart

import (
	"math/rand/v2"
	"testing"
)

func TestPlace(t *testing.T) {
	for _, c := range []struct {
		name string
		x    []float64
		rows []int
	}{
		{"none", nil, nil},
		{"apart", []float64{0, 200}, []int{0, 0}},
		{"close", []float64{0, 50, 100}, []int{2, 1, 0}},
		{"close, the other way round", []float64{100, 50, 0}, []int{0, 1, 2}},
		{"on one point", []float64{10, 10}, []int{0, 1}},
		{"on the last point", []float64{500, 500}, []int{0, 1}},
		{"more than rows", []float64{0, 10, 20, 30, 40, 50}, []int{-1, 4, 3, 2, 1, 0}},
	} {
		labels := make([]label, len(c.x))
		for i, x := range c.x {
			labels[i] = label{x: x, text: "t", right: 100}
		}
		rows := place(labels, 500)
		for i, l := range labels {
			if l.row != c.rows[i] || l.row >= rows {
				t.Errorf("%s: label %d is in row %d of %d, want %d", c.name, i, l.row, rows, c.rows[i])
			}
		}
	}
}

// No two texts overlap, and no line goes through a text.
func TestPlaceApart(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		labels := make([]label, r.IntN(30))
		for i := range labels {
			labels[i] = label{x: float64(r.IntN(50) * 10), text: "t", right: 5 + 200*r.Float64()}
			if r.IntN(10) == 0 {
				labels[i].text = ""
			}
		}
		rows := place(labels, 510)
		for i, a := range labels {
			if a.row >= rows || a.right > 510 || a.text == "" && a.row != -1 {
				t.Fatalf("%+v in %d rows", a, rows)
			}
			for j, b := range labels {
				if i == j || a.row < 0 || b.row < 0 {
					continue
				}
				if a.row == b.row && a.left < b.right && b.left < a.right {
					t.Fatalf("%+v and %+v overlap", a, b)
				}
				if a.row > b.row && a.x != b.x && b.left < a.x && a.x < b.right {
					t.Fatalf("the line of %+v goes through %+v", a, b)
				}
			}
		}
	}
}
