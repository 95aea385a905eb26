package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/reputemail/repute/warmup"
)

// simulate plays the move in virtual time, prints what is to be expected, and draws it.
func simulate(ctx context.Context, o options, stdout, stderr io.Writer) error {
	plan := warmPlan(o.volume)
	move := migration(plan, o.volume)
	scenario := warmup.Scenario{
		Start:  firstDay,
		Days:   o.days,
		Volume: o.curve,
		Routes: []warmup.ColdRoute{{Name: mta1, Plan: plan}, {Name: mta2, Plan: plan}},
		// The relay is what the mail moves from, and what takes what the addresses have no room for.
		Overflow:  &warmup.OverflowRoute{Name: relay},
		Migration: &move,
	}
	flows := newFlows(o.days)
	for _, p := range providers() {
		var receiver warmup.Receiver = &warmup.Wary{New: 2*plan.Stages[0].Day + 10, Trusted: []string{relay}}
		if p.name == sabotaged && o.sabotage > 0 {
			receiver = &sour{Receiver: receiver, from: startOf(o.sabotage)}
		}
		scenario.Providers = append(scenario.Providers, warmup.ProviderShare{
			Name: p.name, Share: 1 / float64(len(providers())), Receiver: flows.beside(receiver),
		})
	}
	forecast, err := warmup.Simulate(ctx, scenario)
	if err != nil {
		return err
	}
	if err := print(forecast, o.format, stdout); err != nil {
		return err
	}
	notes := stdout
	if o.format != "table" {
		notes = stderr // standard output is for the document
	}
	if o.chart != "" {
		if err := draw(forecast, flows, o); err != nil {
			return fmt.Errorf("-chart: %w", err)
		}
		fmt.Fprintf(notes, "The chart is in %s.\n", o.chart)
	}
	return outcome(forecast, o, notes)
}

// print prints the forecast.
func print(f *warmup.Forecast, format string, w io.Writer) error {
	switch format {
	case "csv":
		return f.WriteCSV(w)
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(f)
	default:
		return f.WriteTable(w)
	}
}

// outcome says how the move ends. It is an error if a provider is rolled back that was not sabotaged, or the sabotaged one is not.
func outcome(f *warmup.Forecast, o options, notes io.Writer) error {
	back := map[string]bool{}
	for _, c := range f.Migration {
		if c.To.Phase != warmup.MigrationRolledBack {
			continue
		}
		back[c.Provider] = true
		fmt.Fprintf(notes, "%s goes back to the relay on day %d, because of %s.\n", c.Provider, dayOf(c.Time), c.To.Cause)
		for _, e := range c.Evidence {
			if e.Verdict == warmup.VerdictProven {
				fmt.Fprintln(notes, "  "+e.String())
			}
		}
	}
	for _, p := range providers() {
		switch want := o.sabotage > 0 && p.name == sabotaged; {
		case want && !back[p.name]:
			return fmt.Errorf("%s has had enough of the new addresses since day %d, and is not rolled back", p.name, o.sabotage)
		case !want && back[p.name]:
			return fmt.Errorf("%s is rolled back, for no reason", p.name)
		}
	}
	return nil
}

// sour is a receiver that has enough of the new addresses from a day on: it puts off every second message that they bring.
type sour struct {
	warmup.Receiver
	from     time.Time
	messages int
}

// Receive implements warmup.Receiver.
func (s *sour) Receive(now time.Time, route string, n, bad int) warmup.Received {
	if route == relay || now.Before(s.from) {
		return s.Receiver.Receive(now, route, n, bad)
	}
	before := s.messages / 2
	s.messages += n
	off := s.messages/2 - before
	got := s.Receiver.Receive(now, route, n-off, min(bad, n-off))
	got.Deferred += off
	return got
}
