package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/reputemail/repute/warmup"
	"github.com/reputemail/repute/warmup/chart"
)

// flows are the messages that were delivered in a simulation, by route and day: a Forecast tells of providers only.
type flows map[string][]float64

func newFlows(days int) flows {
	f := flows{}
	for _, route := range append(newRoutes(), relay) {
		f[route] = make([]float64, days)
	}
	return f
}

// beside is a receiver whose deliveries are counted.
func (f flows) beside(r warmup.Receiver) warmup.Receiver { return counted{r, f} }

type counted struct {
	warmup.Receiver
	flows flows
}

// Receive implements warmup.Receiver.
func (c counted) Receive(now time.Time, route string, n, bad int) warmup.Received {
	got := c.Receiver.Receive(now, route, n, bad)
	c.flows[route][dayOf(now)-1] += float64(got.Delivered)
	return got
}

// draw draws what goes which way, day by day, below what the new addresses may carry.
func draw(f *warmup.Forecast, flows flows, o options) error {
	c := chart.Chart{
		Title:    "From a relay to two new addresses",
		Subtitle: fmt.Sprintf("Up to %d messages a day to %d providers", o.volume, len(providers())),
		YLabel:   "messages a day",
		X:        make([]string, f.Days),
	}
	allowance, overflow, old := make([]float64, f.Days), make([]float64, f.Days), make([]float64, f.Days)
	for i := range c.X {
		c.X[i] = fmt.Sprintf("day %d", i+1)
	}
	for _, r := range f.Rows {
		allowance[r.Day-1] += float64(r.DayCap)
		overflow[r.Day-1] += float64(r.Overflowed)
	}
	for i := range old {
		old[i] = max(0, flows[relay][i]-overflow[i])
	}
	c.Stack = []chart.Layer{
		{Name: "by " + mta1, Values: flows[mta1]},
		{Name: "by " + mta2, Values: flows[mta2]},
		{Name: "meant for them, by the relay", Values: overflow},
		{Name: "by the relay", Values: old},
	}
	c.Lines = []chart.Line{{Name: "what " + mta1 + " and " + mta2 + " may carry", Values: allowance, Dashed: true, Step: true}}
	if o.sabotage > 0 {
		c.Marks = append(c.Marks, chart.Mark{At: o.sabotage - 1, Text: sabotaged + " has enough"})
	}
	for _, m := range f.Migration {
		if m.To.Phase == warmup.MigrationRolledBack || m.To.Phase == warmup.MigrationComplete {
			c.Marks = append(c.Marks, chart.Mark{At: min(dayOf(m.Time), f.Days) - 1, Text: fmt.Sprintf("%s %s", m.Provider, m.To.Phase)})
		}
	}
	return create(o.chart, c.WriteSVG)
}

// create makes a file, and removes it again if it cannot be written.
func create(name string, write func(io.Writer) error) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	err = write(file)
	if failed := file.Close(); err == nil {
		err = failed
	}
	if err != nil {
		os.Remove(name)
	}
	return err
}
