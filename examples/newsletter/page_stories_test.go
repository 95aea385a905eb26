package main

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/reputemail/repute/warmup"
	"github.com/reputemail/repute/warmup/chart"
)

// story is a worked example of the page: a listing and a chart.
type story struct {
	name    string
	listing string
	svg     []byte
}

// stories are all of them.
func stories(t *testing.T) []story {
	var all []story
	for name, tell := range map[string]func(*testing.T) (string, chart.Chart){"daily": daily, "weekly": weekly, "sour": sourStory, "migration": migration} {
		listing, c := tell(t)
		var svg bytes.Buffer
		if err := c.WriteSVG(&svg); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, story{name, listing, svg.Bytes()})
	}
	return all
}

func simulate(t *testing.T, s warmup.Scenario) *warmup.Forecast {
	t.Helper()
	f, err := warmup.Simulate(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// thirds are the usual three providers, with a receiver of one's own at outlook.
func thirds(outlook warmup.Receiver) []warmup.ProviderShare {
	return []warmup.ProviderShare{{Name: "google", Share: 0.5}, {Name: "outlook", Share: 0.3, Receiver: outlook}, {Name: "yahoo", Share: 0.2}}
}

// days are the names of days from the first on.
func days(n int) []string {
	var x []string
	for i := range n {
		x = append(x, fmt.Sprint("day ", i+1))
	}
	return x
}

// overNew is what went over the new address on a day, to a provider or, without a name, to all.
func overNew(f *warmup.Forecast, day int, provider string) int {
	n := 0
	for _, r := range f.Rows {
		if r.Day == day && (provider == "" || r.Provider == provider) {
			n += r.Cold
		}
	}
	return n
}

// changes are what happened, as the ledger tells it, without the plain course.
func changes(f *warmup.Forecast, most int) string {
	var b strings.Builder
	left := 0
	for _, c := range f.Changes {
		if c.To.Phase == warmup.PhaseWarming {
			continue
		}
		if most--; most < 0 {
			left++
			continue
		}
		fmt.Fprintf(&b, "%s: %v\n", clock(c.Time), c)
	}
	if left > 0 {
		fmt.Fprintf(&b, "and %d more\n", left)
	}
	return b.String()
}

func dayOf(t time.Time) int { return int(t.Sub(monday())/(24*time.Hour)) + 1 }

// clock is a time as the day and what a clock shows.
func clock(t time.Time) string { return fmt.Sprintf("day %d %s", dayOf(t), t.Format("15:04")) }

// listing puts text into a block.
func listing(text string) string { return "```text\n" + strings.TrimRight(text, "\n") + "\n```\n" }

// daily is 100,000 a day over a new address, by two plans.
func daily(t *testing.T) (string, chart.Chart) {
	const volume, peak, length = 100_000, 50_000, 45
	c := chart.Chart{Title: "100,000 messages a day over a new address", Subtitle: "what it carries each day; the rest overflows", YLabel: "messages", X: days(length), Log: true}
	rows := [][]string{{"plan", "1,000 on", "10,000 on", "50,000 on", "99 % of all on", "overflow until then", "google complete on"}}
	for _, p := range []warmup.Plan{warmup.Geometric(50, 0, peak), warmup.Conservative(peak)} {
		f := simulate(t, warmup.Scenario{
			Days: length, Volume: warmup.Flat(volume), Providers: thirds(nil),
			Routes: []warmup.ColdRoute{{Name: "new", Plan: p}}, Overflow: &warmup.OverflowRoute{Name: "esp"},
		})
		line, first, overflowed, complete := chart.Line{Name: p.Name}, map[int]int{}, 0, ""
		steps := []int{1_000, 10_000, 50_000, volume * 99 / 100}
		for day := 1; day <= length; day++ {
			n := overNew(f, day, "")
			line.Values = append(line.Values, float64(n))
			for _, s := range steps {
				if n >= s && first[s] == 0 {
					first[s] = day
				}
			}
			if first[steps[3]] == 0 {
				overflowed += volume - n
			}
		}
		for _, ch := range f.Changes {
			if ch.Provider == "google" && ch.To.Phase == warmup.PhaseComplete && complete == "" {
				complete = fmt.Sprint("day ", dayOf(ch.Time))
			}
		}
		row := []string{p.Name}
		for _, s := range steps {
			row = append(row, fmt.Sprint("day ", first[s]))
		}
		rows = append(rows, append(row, number(overflowed), complete))
		c.Lines = append(c.Lines, line)
		c.Marks = append(c.Marks, chart.Mark{At: first[steps[3]] - 1, Text: p.Name + ": all but 1 %"})
	}
	return table(rows...), c
}

// weekly is what the program itself tells, without the sending.
func weekly(t *testing.T) (string, chart.Chart) {
	o, status := parse(nil, t.Output())
	if status != proceed {
		t.Fatalf("status %d", status)
	}
	l := newList(o.readers)
	a, err := ask(o, l)
	if err != nil {
		t.Fatal(err)
	}
	weeks, err := playWeeks(t.Context(), o, l)
	if err != nil {
		t.Fatal(err)
	}
	rows := [][]string{{"week", "Fit: young address", "Fit: does not fit", "Fit: out without overflow after", "simulated: young address", "a daily plan: young address"}}
	for i, s := range a.weekly.Sendings {
		rows = append(rows, []string{
			fmt.Sprint(i + 1), number(s.Sent), number(s.Overflow), outAfter(s), number(weeks[i].total()), number(a.daily.Sendings[i].Sent),
		})
	}
	return table(rows...), weeksChart(a.weekly, weeks)
}

// sourStory is a provider that is sour for four days from day 9 on.
func sourStory(t *testing.T) (string, chart.Chart) {
	const length = 24
	f := simulate(t, warmup.Scenario{
		Days: length, Volume: warmup.Flat(20_000), Providers: thirds(sour{from: monday().AddDate(0, 0, 8), until: monday().AddDate(0, 0, 12)}),
		Routes: []warmup.ColdRoute{{Name: "new", Plan: warmup.Geometric(500, 0, 10_000)}}, Overflow: &warmup.OverflowRoute{Name: "esp"},
	})
	c := chart.Chart{
		Title: "A provider turns sour on day 9, for four days", Subtitle: "what the new address carries to it, and to another one that does not mind", YLabel: "messages", X: days(length),
		Marks: []chart.Mark{{At: 8, Text: "outlook puts off half"}, {At: 12, Text: "it takes all again"}},
	}
	for _, name := range []string{"google", "outlook"} {
		line, limit := chart.Line{Name: name}, chart.Line{Name: "cap of " + name, Of: name, Dashed: true, Step: true}
		for _, r := range f.Rows {
			if r.Provider == name {
				line.Values = append(line.Values, float64(r.Cold))
				v := float64(r.DayCap)
				if r.DayCap == 0 { // complete
					v = math.NaN()
				}
				limit.Values = append(limit.Values, v)
			}
		}
		c.Lines = append(c.Lines, line, limit)
	}
	return listing(changes(f, 12)), c
}

// migration is a move to a new address which outlook does not like from day 4 on.
func migration(t *testing.T) (string, chart.Chart) {
	const length = 6
	f := move(t, length, warmup.Migration{Name: "to-new"})
	const step = 2 * time.Hour
	share := chart.Line{Name: "recipients who belong to the new address", Step: true}
	c := chart.Chart{Title: "A migration that is rolled back", Subtitle: "outlook puts off half of what comes from the new address, from day 4 on", YLabel: "percent"}
	at, next := 0.0, 0
	for point := range length * int(24*time.Hour/step) {
		now := monday().Add(time.Duration(point) * step)
		for next < len(f.Migration) && !f.Migration[next].Time.After(now) {
			at = f.Migration[next].To.Share
			if f.Migration[next].To.Phase == warmup.MigrationRolledBack {
				c.Marks = append(c.Marks, chart.Mark{At: point, Text: "rolled back: " + string(f.Migration[next].To.Cause)})
			}
			next++
		}
		if now.Equal(monday().AddDate(0, 0, 3)) {
			c.Marks = append(c.Marks, chart.Mark{At: point, Text: "outlook turns sour"})
		}
		c.X = append(c.X, clock(now))
		share.Values = append(share.Values, 100*at)
	}
	c.Lines = []chart.Line{share}
	var b strings.Builder
	for _, ch := range f.Migration {
		fmt.Fprintf(&b, "%s: %v\n", clock(ch.Time), ch)
	}
	b.WriteString("\noutlook by itself:\n")
	for _, ch := range move(t, length, warmup.Migration{Name: "to-new", PerProvider: true, Providers: []string{"outlook"}}).Migration {
		if ch.To.Phase != warmup.MigrationRunning {
			fmt.Fprintf(&b, "%s: %v\n", clock(ch.Time), ch)
		}
	}
	return listing(b.String()), c
}

// move plays it.
func move(t *testing.T, days int, m warmup.Migration) *warmup.Forecast {
	return simulate(t, warmup.Scenario{
		Days: days, Volume: warmup.Flat(100_000), Providers: thirds(sour{from: monday().AddDate(0, 0, 3), until: monday().AddDate(1, 0, 0)}),
		Routes: []warmup.ColdRoute{{Name: "new", Plan: warmup.Geometric(5_000, 0, 50_000)}}, Overflow: &warmup.OverflowRoute{Name: "old"},
		Migration: &m,
	})
}
