package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/reputemail/repute/warmup"
	"github.com/reputemail/repute/warmup/chart"
)

// weekRow is what became of one letter.
type weekRow struct {
	young   map[string]int // from the young address, by provider
	relay   int
	refused int // put off or blocked by a provider, each attempt counted
	waiting int // at the end of the week
}

// total is how many went from the young address.
func (w weekRow) total() int {
	n := 0
	for _, k := range w.young {
		n += k
	}
	return n
}

// scenario is the letter, week after week, for warmup.Simulate. There what finds no room overflows at once, so the letter comes evenly during the window: then
// the young address gets what it has room for, and the relay the rest, as with sender.Stream.OverflowAfter.
func (o options) scenario(l *list) warmup.Scenario {
	n := len(l.readers)
	s := warmup.Scenario{
		Days:     7 * o.weeks,
		Volume:   warmup.Curve{Days: []int{n, 0, 0, 0, 0, 0, 0}, Repeat: true, At: 9 * time.Hour, Over: window},
		Routes:   []warmup.ColdRoute{{Name: "young", Plan: o.plan()}},
		Overflow: &warmup.OverflowRoute{Name: "relay"},
		// Half a percent of a list of readers is gone by the next letter.
		BadAddresses: 0.005,
	}
	for _, p := range providers() {
		s.Providers = append(s.Providers, warmup.ProviderShare{
			Name: p.name, Share: float64(perProvider(n)[p.name]) / float64(n),
			Receiver: &warmup.Wary{New: o.start * 4 / 3, Trusted: []string{"relay"}},
		})
	}
	return s
}

// playWeeks plays all weeks through.
func playWeeks(ctx context.Context, o options, l *list) ([]weekRow, error) {
	f, err := warmup.Simulate(ctx, o.scenario(l))
	if err != nil {
		return nil, err
	}
	rows := make([]weekRow, o.weeks)
	for _, r := range f.Rows {
		w := &rows[(r.Day-1)/7]
		if w.young == nil {
			w.young = map[string]int{}
		}
		w.young[r.Provider] += r.Cold
		w.relay += r.Overflowed
		w.refused += r.Deferred + r.Blocked
		if r.Day%7 == 0 {
			w.waiting += r.Waiting
		}
	}
	return rows, nil
}

// weeksChart draws the weeks: what went over which way, and what Fit had said.
func weeksChart(said warmup.Fit, weeks []weekRow) chart.Chart {
	c := chart.Chart{
		Title: "A weekly letter from a young address", Subtitle: "letters of each week, by the way that they took",
		YLabel: "letters",
	}
	for i := range weeks {
		c.X = append(c.X, fmt.Sprint("week ", i+1))
	}
	for _, name := range names() {
		layer := chart.Layer{Name: "young address to " + name}
		for _, w := range weeks {
			layer.Values = append(layer.Values, float64(w.young[name]))
		}
		c.Stack = append(c.Stack, layer)
	}
	relay, fit := chart.Layer{Name: "relay"}, chart.Line{Name: "what Fit said for the young address", Dashed: true}
	for i, w := range weeks {
		relay.Values = append(relay.Values, float64(w.relay))
		fit.Values = append(fit.Values, float64(said.Sendings[i].Sent))
	}
	c.Stack, c.Lines = append(c.Stack, relay), []chart.Line{fit}
	if n := said.FirstFit; n > 0 {
		c.Marks = []chart.Mark{{At: n - 1, Text: "all of it fits"}}
	}
	return c
}

// writeChart writes a chart into a file.
func writeChart(name string, c chart.Chart) error {
	var svg bytes.Buffer
	if err := c.WriteSVG(&svg); err != nil {
		return err
	}
	return os.WriteFile(name, svg.Bytes(), 0o644)
}
