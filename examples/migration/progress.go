package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/reputemail/repute/examples/internal/show"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/warmup"
)

// progress shows how the move goes on: a table that is redrawn on a terminal, and elsewhere the news, with a line at the end of each day.
type progress struct {
	s      *sender.Sender
	count  *tally
	days   calendar
	o      options
	screen *show.Screen

	told   int           // news that were printed
	day    int           // the day that is shown
	behind time.Duration // by how much mail was written too late, at most, by the calendar
}

// watch begins to show progress.
func watch(s *sender.Sender, count *tally, days calendar, o options, screen *show.Screen) *progress {
	screen.Print(
		fmt.Sprintf("%d messages a day go to three fake providers on this machine. They move from a", o.volume),
		fmt.Sprintf("relay to two addresses, %s and %s, which are cold. A day lasts %s here: warm-up,", mta1, mta2, o.day),
		"migration and providers go by that. The SMTP is real.",
		"",
	)
	return &progress{s: s, count: count, days: days, o: o, screen: screen, day: 1}
}

// latest is how many news stand below the table.
const latest = 10

// show draws the table on a terminal; elsewhere it prints the news.
func (p *progress) show() {
	now := p.days.now()
	day := min(dayOf(now), p.o.days)
	if p.screen.Live() {
		done := min(now.Sub(firstDay), startOf(p.o.days+1).Sub(firstDay))
		bar := show.Bar(30, int(done.Hours()), p.o.days*24)
		lines := append([]string{fmt.Sprintf("day %2d %s  %s", day, now.Format("15:04"), p.screen.Style(show.Green, bar)), ""}, p.table(day).Lines()...)
		news := p.count.newsSince(0)
		p.screen.Draw(append(append(lines, ""), news[max(0, len(news)-latest):]...))
		return
	}
	if day > p.day { // the news of a day stand above its line
		p.line(p.day)
		p.day = day
	}
	if news := p.count.newsSince(p.told); len(news) > 0 {
		p.told += len(news)
		p.screen.Print(news...)
	}
}

// end shows the last state.
func (p *progress) end() {
	p.show()
	if p.screen.Live() {
		p.screen.Keep()
		return
	}
	p.line(p.day)
}

// line prints what a day brought.
func (p *progress) line(day int) {
	var ways []string
	for _, pr := range providers() {
		f := p.count.flow(day, pr.name)
		ways = append(ways, fmt.Sprintf("%s %d new, %d old", pr.name, f.by[mta1]+f.by[mta2], f.by[relay]))
	}
	p.screen.Print(fmt.Sprintf("day %2d done    %s; %d wait", day, strings.Join(ways, "; "), p.count.open()))
}

// table is where each provider stands, and what went to it today.
func (p *progress) table(day int) show.Table {
	t := show.Table{Head: []string{"provider", "stage", "share", "may", mta1, mta2, relay, "overflow", "put off", "wait"}}
	waiting, may := p.waiting(), p.allowance()
	for _, pr := range providers() {
		st, _ := p.s.Migrator().State(p.o.name(), pr.name) // a provider is not known before its first message
		f := p.count.flow(day, pr.name)
		stage := string(st.Phase)
		switch st.Phase {
		case warmup.MigrationRunning:
			stage = fmt.Sprintf("%d of %d", st.Stage, st.Stages)
		case warmup.MigrationHolding:
			stage = fmt.Sprintf("holds %d of %d", st.Stage, st.Stages)
		}
		t.Rows = append(t.Rows, []string{
			pr.name, stage, fmt.Sprintf("%.1f %%", 100*st.Share), may[pr.name],
			strconv.Itoa(f.by[mta1]), strconv.Itoa(f.by[mta2]), strconv.Itoa(f.by[relay]), strconv.Itoa(f.overflow), strconv.Itoa(f.deferred),
			strconv.Itoa(waiting[pr.domain]),
		})
	}
	return t
}

// allowance is what both addresses may carry in a day, by provider: "28+20".
func (p *progress) allowance() map[string]string {
	first := strconv.Itoa(warmPlan(p.o.volume).Stages[0].Day)
	caps := map[warmup.Path]string{}
	for _, st := range p.s.WarmupStates() {
		caps[st.Path] = strconv.Itoa(st.Day.Cap)
	}
	may := map[string]string{}
	for _, pr := range providers() {
		for i, route := range newRoutes() {
			c, known := caps[warmup.Path{Route: route, Provider: pr.name}]
			if !known {
				c = first
			}
			if i > 0 {
				c = "+" + c
			}
			may[pr.name] += c
		}
	}
	return may
}

// waiting is what the queue holds, by domain.
func (p *progress) waiting() map[string]int {
	waiting := map[string]int{}
	lanes, err := p.s.Lanes(context.Background())
	if err != nil {
		return waiting // the report will say so
	}
	for _, l := range lanes {
		waiting[l.Lane.Domain] += l.Waiting + l.InFlight
	}
	return waiting
}
