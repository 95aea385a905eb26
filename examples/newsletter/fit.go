package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/reputemail/repute/examples/internal/show"
	"github.com/reputemail/repute/warmup"
)

// answer is what two plans say of the same letters.
type answer struct {
	weekly, daily warmup.Fit
}

// ask asks both plans, before anything was sent.
func ask(o options, l *list) (answer, error) {
	weekly, err := o.plan().Fit(l.campaign(o.weeks))
	if err != nil {
		return answer{}, err
	}
	daily, err := o.dailyPlan().Fit(l.campaign(o.weeks))
	return answer{weekly, daily}, err
}

// text is the answer for people.
func (a answer) text(o options, screen *show.Screen) []string {
	t := show.Table{Head: []string{"week", "weekly plan: young", "relay", "google a day", "if nothing overflowed", "daily plan: young", "relay", "google a day"}}
	for i, w := range a.weekly.Sendings {
		d := a.daily.Sendings[i]
		t.Rows = append(t.Rows, []string{
			strconv.Itoa(i + 1), strconv.Itoa(w.Sent), strconv.Itoa(w.Overflow), largestCap(w), outAfter(w),
			strconv.Itoa(d.Sent), strconv.Itoa(d.Overflow), largestCap(d),
		})
	}
	lines := []string{
		screen.Style(show.Bold, fmt.Sprintf("Does a letter to %d readers fit within %s?", o.readers, hours(window))),
		fmt.Sprintf("Two plans for the young address, both from %d a day at each provider to %d:", o.start, o.peak()),
		"",
	}
	lines = append(lines, t.Lines()...)
	switch n := a.weekly.FirstFit; {
	case n == 0:
		lines = append(lines, "", fmt.Sprintf("In none of %d weeks does all of it fit; what does not goes over the relay.", o.weeks))
	default:
		lines = append(lines, "", fmt.Sprintf("By the weekly plan it fits from week %d on.", n))
	}
	if !a.daily.Fits && a.daily.Sendings[len(a.daily.Sendings)-1].Sent <= a.daily.Sendings[0].Sent {
		lines = append(lines, "The plan for daily mail never gets on: in the days between two letters it takes back what the last one has gained.")
	}
	return append(lines, "")
}

// largestCap is what the largest provider may get in a day; "-" when its warm-up is complete: any number.
func largestCap(s warmup.Sending) string {
	n := s.Providers[providers()[0].name].DayCap
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

// outAfter is how long a sending would take over the young address alone.
func outAfter(s warmup.Sending) string {
	if s.Done.IsZero() {
		return "never"
	}
	return hours(s.Done.Sub(s.Start))
}

// hours is a duration for people.
func hours(d time.Duration) string {
	if d < 48*time.Hour {
		return fmt.Sprintf("%.0f hours", d.Hours())
	}
	return fmt.Sprintf("%.1f days", d.Hours()/24)
}

// names are the names of the providers.
func names() []string {
	var all []string
	for _, p := range providers() {
		all = append(all, p.name)
	}
	return all
}
