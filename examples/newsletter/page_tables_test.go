package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/reputemail/repute/warmup"
)

// monday is when everything begins that is counted for the page.
func monday() time.Time { return time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC) }

// table writes a table in Markdown.
func table(rows ...[]string) string {
	var b strings.Builder
	for i, row := range rows {
		b.WriteString("| " + strings.Join(row, " | ") + " |\n")
		if i == 0 {
			b.WriteString("|" + strings.Repeat("---|", len(row)) + "\n")
		}
	}
	return b.String()
}

// number writes a number with its thousands apart.
func number(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// builtIn are the plans that the package makes, with what one should know of each.
func builtIn() []struct {
	call   string
	plan   func(peak int) warmup.Plan
	caveat string
} {
	return []struct {
		call   string
		plan   func(peak int) warmup.Plan
		caveat string
	}{
		{"`Conservative(peak)`", warmup.Conservative, "begins very small, then doubles every three days; one step of five times (100 to 500)"},
		{"`Moderate(peak)`", warmup.Moderate, "doubles daily in the first week, with a step of five times; above 1,000,000 a day by judgement"},
		{"`SparkPost(peak)`", warmup.SparkPost, "steps of 2 and 2.5 early on; the fastest of all"},
		{"`SendGrid(peak)`", warmup.SendGrid, "an hourly schedule: the day is 24 times the hour, so mail has to come all day long"},
		{"`SES(peak)`", warmup.SES, "45 stages whatever the peak; only length and end are Amazon's, and it is meant for 50,000 a day: above that it grows faster"},
		{"`Geometric(50, 0, peak)`", func(peak int) warmup.Plan { return warmup.Geometric(50, 0, peak) }, "no step larger than 1.4; start and factor are yours"},
		{"`Weekly(500, 0, peak)`", func(peak int) warmup.Plan { return warmup.Weekly(500, 0, peak) }, "for a sending a week, with a window of 12 hours at least"},
	}
}

// plansTable is how long each plan takes. A plan that ends at a volume carries it in its last stage, and each stage lasts a day, or a week, at least.
func plansTable(t *testing.T) string {
	rows := [][]string{{"plan", "first days", "10,000 a day", "100,000 a day", "1,000,000 a day", "source", "know that"}}
	for _, b := range builtIn() {
		row := []string{b.call, ""}
		for _, peak := range []int{10_000, 100_000, 1_000_000} {
			p := b.plan(peak)
			if err := p.Validate(); err != nil {
				t.Fatal(err)
			}
			row = append(row, "day "+strconv.Itoa((len(p.Stages)-1)*max(1, p.Every)+1))
		}
		p := b.plan(1_000_000)
		var days []string
		for _, s := range p.Stages[:4] {
			days = append(days, number(s.Day))
		}
		row[1] = strings.Join(days, ", ")
		rows = append(rows, append(row, p.Source, b.caveat))
	}
	return table(rows...)
}

// TestPlansTableIsTrue: a plan really gets there on the day that the table says, if all goes well.
func TestPlansTableIsTrue(t *testing.T) {
	t.Parallel()
	const peak = 10_000
	for _, b := range builtIn() {
		p := b.plan(peak)
		every := max(1, p.Every)
		want := (len(p.Stages)-1)*every + 1
		curve := warmup.Curve{Days: make([]int, every), Repeat: true}
		curve.Days[0] = 2 * peak // some for each stage, all day long
		f, err := warmup.Simulate(t.Context(), warmup.Scenario{
			Days: want + every, Volume: curve, Routes: []warmup.ColdRoute{{Name: "new", Plan: p}}, Overflow: &warmup.OverflowRoute{Name: "warm"},
		})
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		for _, r := range f.Rows {
			if r.Cold >= peak*98/100 && got == 0 {
				got = r.Day
			}
		}
		if got != want {
			t.Errorf("%s carries %d on day %d, the table says %d", b.call, peak, got, want)
		}
	}
}

// capsTable is how a day is spread, at some volumes.
func capsTable() string {
	rows := [][]string{{"a day", "an hour", "a minute", "one each"}}
	for _, day := range []int{50, 500, 5_000, 50_000, 500_000} {
		s := warmup.Stage{Day: day}.Caps()
		pace := 48 * time.Minute / time.Duration(s.Hour)
		rows = append(rows, []string{number(day), number(s.Hour), number(s.Minute), pace.Round(max(pace/100, 1)).Round(10 * time.Millisecond).String()})
	}
	return table(rows...)
}

// probed is a rate of the gate.
type probed struct {
	name    string
	outcome warmup.Outcome
	cause   warmup.Cause
	source  string
}

func probes() []probed {
	return []probed{
		{"bounces: recipients who do not exist, of attempts", warmup.Bounced, warmup.CauseBounces, "Amazon SES: review, pause"},
		{"deferrals for reputation or rate, of attempts", warmup.Deferred, warmup.CauseDeferrals, "judgement; no vendor publishes one"},
		{"blocks: refused for good for the sender's sake, of attempts", warmup.Blocked, warmup.CauseBlocks, "judgement"},
		{"complaints, of delivered", warmup.Complained, warmup.CauseComplaints, "Google, Yahoo, Amazon SES"},
	}
}

// verdict is what a path's phase is after a day with so many bad outcomes of so many: the ledger itself is asked.
func (p probed) verdict(t *testing.T, bad, of int) warmup.Phase {
	t.Helper()
	plan := warmup.Plan{Stages: []warmup.Stage{{Day: of}, {Day: of}, {Day: of}}}
	// Bursts are looked at apart.
	l, err := warmup.Open(context.Background(), warmup.Config{Plans: map[string]warmup.Plan{"new": plan}, Gate: warmup.Gate{BlockBurst: 100}})
	if err != nil {
		t.Fatal(err)
	}
	path := warmup.Path{Route: "new", Provider: "yahoo"}
	now := monday()
	if err := l.SetStage(context.Background(), path, 2); err != nil {
		t.Fatal(err)
	}
	l.CommitAt(now, l.ReserveAt(now, path, 1))
	good := of - bad
	if p.outcome == warmup.Complained {
		good = of
	}
	l.ObserveAt(now, path, warmup.Delivered, good)
	for hour := range 24 {
		l.ObserveAt(now.Add(time.Duration(hour)*time.Hour), path, p.outcome, bad*(hour+1)/24-bad*hour/24)
	}
	s := l.StateAt(now.Add(24*time.Hour), path)
	if s.Cause != p.cause {
		return warmup.PhaseWarming
	}
	return s.Phase
}

// from is the smallest number of bad outcomes that lead to a phase, or to a worse one; -1 if none does.
func (p probed) from(t *testing.T, of int, phase warmup.Phase) int {
	lo, hi := 0, of+1
	for hi-lo > 1 {
		mid := (lo + hi) / 2
		if got := p.verdict(t, mid, of); got == phase || got == warmup.PhaseSteppedBack {
			hi = mid
		} else {
			lo = mid
		}
	}
	if hi > of {
		return -1
	}
	return hi
}

// gateTable is from what rates on a path holds and steps back.
func gateTable(t *testing.T) string {
	const of = 10_000
	rows := [][]string{{"rate", "holds from", "steps back from", "source"}}
	for _, p := range probes() {
		rows = append(rows, []string{p.name, percent(p.from(t, of, warmup.PhaseHolding), of), percent(p.from(t, of, warmup.PhaseSteppedBack), of), p.source})
	}
	return table(rows...)
}

func percent(n, of int) string {
	return strconv.FormatFloat(100*float64(n)/float64(of), 'f', -1, 64) + " %"
}

// samplesTable is how many of a few it takes.
func samplesTable(t *testing.T) string {
	rows := [][]string{{"rate", "of 20", "of 50", "of 100", "of 1,000"}}
	for _, p := range probes() {
		row := []string{string(p.cause)}
		for _, of := range []int{20, 50, 100, 1000} {
			hold, back := p.from(t, of, warmup.PhaseHolding), p.from(t, of, warmup.PhaseSteppedBack)
			row = append(row, fmt.Sprintf("%d, %d", hold, back))
		}
		rows = append(rows, row)
	}
	return table(rows...)
}
