package chart

import (
	"math"
	"strings"
	"testing"
)

func TestClean(t *testing.T) {
	for _, c := range [][2]string{
		{"", ""},
		{" \t\r\n", ""},
		{" a \n b ", "a b"},
		{"Zürich 東京", "Zürich 東京"},
		{"\x00a\x1b\x7f", "\ufffda\ufffd\ufffd"},
		{"\xff\xc3", "\ufffd\ufffd"},
		{"\u202e\u200b\ufffe\ue000", "\ufffd\ufffd\ufffd\ufffd"},
		{strings.Repeat("a", 501), strings.Repeat("a", 500) + "…"},
	} {
		if got := clean(c[0]); got != c[1] {
			t.Errorf("%q: %q, want %q", c[0], got, c[1])
		}
	}
}

func TestWrap(t *testing.T) {
	style := (&canvas{}).style(10, ink, false)
	for _, c := range []struct {
		s     string
		width float64
		n     int
		want  string
	}{
		{"", 100, 2, ""},
		{"one line", 100, 2, "one line"},
		{"the last word is not left alone", 120, 3, "the last word is|not left alone"},
		{"more than there is room for in two lines of this width", 80, 2, "more than there|is room for in t…"},
		{strings.Repeat("W", 40), 80, 2, "WWWWWWW…"},
		{"a", 0, 1, "…"},
	} {
		if got := strings.Join(wrap(c.s, style, c.width, c.n), "|"); got != c.want {
			t.Errorf("%s: %s, want %s", c.s, got, c.want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		v           float64
		short, long string
	}{
		{0, "0", "0"},
		{0.1 * 3, "0.3", "0.3"},
		{999, "999", "999"},
		{-1500, "-1.5k", "-1,500"},
		{10000, "10k", "10,000"},
		{1234567, "1.234567M", "1,234,567"},
		{1e15, "1000T", "1,000,000,000,000,000"},
	} {
		if s, l := short(c.v), long(c.v); s != c.short || l != c.long {
			t.Errorf("%v: %s and %s, want %s and %s", c.v, s, l, c.short, c.long)
		}
	}
	for v, want := range map[float64]string{-0.001: "0", math.Copysign(0, -1): "0", 1.005: "1", 12.346: "12.35", 1e6: "1000000"} {
		if got := number(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}
