package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/examples/internal/show"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/warmup"
)

// TestRun is the program over sockets, with less mail and shorter days: it fails by itself if a message does not arrive exactly once, or a provider is not moved.
// It has the machine for itself, for its time is real.
func TestRun(t *testing.T) {
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), strings.Fields("-run -volume 300 -days 12 -day 700ms"), &stdout, &stderr)
	wants := []string{"of the recipients move", "day  1 done ", "day 12 done "}
	if status == 0 {
		wants = append(wants, "outlook: complete", "3600 messages were written, and each arrived exactly once.")
	} else if !strings.Contains(stdout.String(), "of the calendar late") {
		t.Fatalf("status %d\n%s%s", status, &stderr, &stdout)
	}
	// Where the machine is too busy for the calendar, and the program says so, a provider may not be through yet. Nothing else may be wrong.
	for line := range strings.Lines(stdout.String()) {
		if strings.HasPrefix(line, "Problem:") && !strings.Contains(line, "is not through after") {
			t.Error(line)
		}
	}
	for _, want := range wants {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("there is no %q", want)
		}
	}
	if strings.Contains(stdout.String(), "\x1b") {
		t.Error("there are escape sequences")
	}
	if t.Failed() {
		t.Log(stdout.String())
	}
}

// TestRollback is the same in a bubble, where time costs nothing: the sabotaged provider goes back by itself, and the others move on.
func TestRollback(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		o := options{days: 10, volume: 300, day: 5 * time.Minute, sabotage: 4}
		if err := perform(t.Context(), o, sendertest.NewNetwork(), show.New(&out, true)); err != nil {
			t.Error(err)
		}
		text := out.String()
		for _, want := range []string{
			"outlook: ROLLED BACK to the relay from ", "%, because of deferrals\n", ": proven\n",
			"google: complete", "yahoo: complete", "outlook 0 new, 100 old", "3000 messages were written, and each arrived exactly once. The mail to google and yahoo is moved. outlook went back to the relay on day ",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("there is no %q", want)
			}
		}
		if t.Failed() {
			t.Log(text)
		}
	})
}

// TestInterrupt stops the program on its way.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, interrupt := context.WithTimeout(t.Context(), 12*time.Minute)
		defer interrupt()
		var out strings.Builder
		err := perform(ctx, options{days: 10, volume: 300, day: 10 * time.Minute}, sendertest.NewNetwork(), show.New(&out, true))
		if err == nil || !strings.Contains(err.Error(), "interrupted on day 2") {
			t.Errorf("error %v", err)
		}
	})
}

func TestCalendar(t *testing.T) {
	c := newCalendar(2 * time.Second)
	for _, since := range []time.Duration{0, 1, 12_345, time.Millisecond, time.Second, 3 * time.Hour} {
		own := c.began.Add(since)
		if got := c.OwnTime(c.SharedTime(own)); !got.Equal(own) {
			t.Errorf("%v became %v", since, got.Sub(c.began))
		}
		// What is to be at a time of the calendar has come at the time of the process.
		shared := c.SharedTime(own).Add(time.Nanosecond)
		if back := c.SharedTime(c.OwnTime(shared)); back.Before(shared) {
			t.Errorf("%v: %v is before %v", since, back, shared)
		}
	}
	if d := dayOf(c.SharedTime(c.began.Add(3 * time.Second))); d != 2 {
		t.Errorf("after one day and a half it is day %d", d)
	}
	if got := c.short(24 * time.Hour); got != 2*time.Second {
		t.Errorf("a day is %v", got)
	}
}

// TestPlan: for every volume the plan and the migration are valid, and the shares lie a tenth above what the addresses may carry.
func TestPlan(t *testing.T) {
	for _, volume := range []int{minVolume, 301, 1200, maxRun, 123_456, maxVolume} {
		plan := warmPlan(volume)
		m := migration(plan, volume)
		if err := plan.Validate(); err != nil {
			t.Error(err)
		}
		if err := m.Validate(); err != nil {
			t.Error(err)
		}
		if room := 2 * plan.Peak(); room < each(volume) || room > each(volume)*11/10 {
			t.Errorf("%d a day: both addresses carry up to %d of %d", volume, room, each(volume))
		}
		if len(m.Shares) < 5 {
			t.Errorf("%d a day: the shares are %v", volume, m.Shares)
		}
	}
}

// TestReportTells: what is claimed is checked.
func TestReportTells(t *testing.T) {
	o := options{days: 1, volume: 2}
	sound := func() (*tally, *internet) {
		count := newTally(newCalendar(time.Second))
		count.written = map[string]writing{"<a>": {startOf(1), "google"}, "<b>": {startOf(1), "outlook"}}
		count.final = 2
		return count, &internet{arrived: map[string][]string{"<a>": {mta1}, "<b>": {relay}}}
	}
	for _, tt := range []struct {
		name string
		harm func(*tally, *internet)
		says string
	}{
		{"nothing", func(*tally, *internet) {}, ""},
		{"missing", func(_ *tally, w *internet) { delete(w.arrived, "<a>") }, "1 messages did not arrive"},
		{"twice", func(_ *tally, w *internet) { w.arrived["<a>"] = []string{mta1, relay} }, "1 messages arrived more than once"},
		{"strange", func(_ *tally, w *internet) { w.arrived["<c>"] = []string{relay} }, "1 messages arrived and were never written"},
		{"bounced", func(c *tally, _ *internet) { c.lost++ }, "1 messages have another outcome than delivered"},
		{"waiting", func(c *tally, _ *internet) { c.final-- }, "1 messages still wait"},
		{"not written", func(c *tally, w *internet) { delete(c.written, "<a>"); delete(w.arrived, "<a>"); c.final-- }, "1 messages were written, and not 2"},
		{"by the new way after a rollback", func(c *tally, w *internet) {
			c.rollback["outlook"] = warmup.MigrationChange{Time: c.days.OwnTime(startOf(1).Add(-24 * time.Hour))}
			w.arrived["<b>"] = []string{mta2}
		}, "1 messages went by the new addresses after the rollback"},
	} {
		count, world := sound()
		tt.harm(count, world)
		if got := strings.Join(checkArrivals(o, count, world), "; "); got != tt.says {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.says)
		}
	}
}
