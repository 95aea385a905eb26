package chart

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gonum.org/v1/plot"
)

// names are those of ticks that have one.
func names(ticks []plot.Tick) string {
	var s []string
	for _, t := range ticks {
		if t.Label != "" {
			s = append(s, t.Label)
		}
	}
	return strings.Join(s, " ")
}

func TestEven(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		want      string
	}{
		{0, 0, "0 0.2 0.4 0.6 0.8 1"},
		{0, 1, "0 0.2 0.4 0.6 0.8 1"},
		{0, 3, "0 0.5 1 1.5 2 2.5 3"},
		{0, 100, "0 20 40 60 80 100"},
		{0, 101, "0 20 40 60 80 100 120"},
		{0, 2999, "0 500 1k 1.5k 2k 2.5k 3k"},
		{0, 61234, "0 20k 40k 60k 80k"},
		{0, 1e6, "0 200k 400k 600k 800k 1M"},
		{0, 5.5e9, "0 1G 2G 3G 4G 5G 6G"},
		{0, 24e15, "0 5000T 10000T 15000T 20000T 25000T"},
		{0, 0.03, "0 0.005 0.01 0.015 0.02 0.025 0.03"},
		{-50, 120, "-50 0 50 100 150"},
		{-5, 0, "-5 -4 -3 -2 -1 0"},
	} {
		low, high, ticks := even(c.low, c.high)
		if got := names(ticks); got != c.want {
			t.Errorf("%v to %v: %s, want %s", c.low, c.high, got, c.want)
		}
		if low != ticks[0].Value || high != ticks[len(ticks)-1].Value {
			t.Errorf("%v to %v: from %v to %v", c.low, c.high, low, high)
		}
	}
}

func TestLogarithmic(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		want      string
	}{
		{1, 1, "1 2 5 10"},
		{7, 9, "5 10 20 50"},
		{50, 50, "50 100 200 500"},
		{50, 90000, "50 100 200 500 1k 2k 5k 10k 20k 50k 100k"},
		{50, 1e6, "100 1k 10k 100k 1M"},
		{0.002, 3, "0.002 0.005 0.01 0.02 0.05 0.1 0.2 0.5 1 2 5"},
		{1e-9, 1e15, "1e-09 1e-06 0.001 1 1k 1M 1G 1T 1000T"},
	} {
		low, high, ticks := logarithmic(c.low, c.high)
		if got := names(ticks); got != c.want {
			t.Errorf("%v to %v: %s, want %s", c.low, c.high, got, c.want)
		}
		if low > c.low || high < c.high {
			t.Errorf("%v to %v: from %v to %v", c.low, c.high, low, high)
		}
	}
}

// No value lies outside of its axis, and there are a few names on it, whatever the values are.
func TestAxesHold(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		a, b := math.Pow(10, r.Float64()*24-9), math.Pow(10, r.Float64()*24-9)
		for _, f := range []func(float64, float64) (float64, float64, []plot.Tick){even, logarithmic} {
			low, high, ticks := f(min(a, b), max(a, b))
			if low > min(a, b)*(1+slack) || high < max(a, b)*(1-slack) || low >= high {
				t.Fatalf("%v and %v: from %v to %v", a, b, low, high)
			}
			if n := strings.Count(names(ticks), " ") + 1; n < 2 || n > 13 {
				t.Fatalf("%v and %v: %s", a, b, names(ticks))
			}
		}
	}
}

func TestEvery(t *testing.T) {
	for _, c := range [][3]int{{1, 1, 1}, {14, 14, 1}, {28, 14, 2}, {29, 14, 7}, {60, 12, 7}, {400, 14, 56}, {400, 60, 7}, {400, 50, 14}, {5000, 1, 7168}} {
		if got := every(c[0], c[1]); got != c[2] {
			t.Errorf("%d names in room for %d: every %d, want %d", c[0], c[1], got, c[2])
		}
	}
}
