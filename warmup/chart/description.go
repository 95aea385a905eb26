package chart

import (
	"fmt"
	"math"
	"strings"
)

// description says in words what is drawn.
func (d *drawing) description() string {
	var b strings.Builder
	sentence := func(format string, args ...any) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, format, args...)
	}
	if d.Subtitle != "" {
		sentence("%s.", strings.TrimSuffix(d.Subtitle, "."))
	}
	if n := len(d.X); n == 1 {
		sentence("At %s:", d.X[0])
	} else {
		sentence("From %s to %s:", d.X[0], d.X[n-1])
	}
	var parts []string
	for _, l := range d.Stack {
		parts = append(parts, l.Name+" "+course(l.Values))
	}
	for _, l := range d.Lines {
		parts = append(parts, l.Name+" "+course(l.Values))
	}
	sentence("%s.", strings.Join(parts, "; "))
	for _, m := range d.Marks {
		if m.Text != "" {
			sentence("%s: %s.", d.X[m.At], strings.TrimSuffix(m.Text, "."))
		}
	}
	return b.String()
}

// course says how values go.
func course(values []float64) string {
	var known []float64
	for _, v := range values {
		if !math.IsNaN(v) {
			known = append(known, v)
		}
	}
	if len(known) == 0 {
		return "unknown"
	}
	low, high := known[0], known[0]
	for _, v := range known {
		low, high = min(low, v), max(high, v)
	}
	if low == high {
		return long(low)
	}
	first, last := known[0], known[len(known)-1]
	s := long(first) + " to " + long(last)
	if low < min(first, last) {
		s += ", at least " + long(low)
	}
	if high > max(first, last) {
		s += ", at most " + long(high)
	}
	return s
}
