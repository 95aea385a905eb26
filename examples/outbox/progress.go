package main

import (
	"fmt"
	"time"

	"github.com/reputemail/repute/examples/internal/show"
)

// progress shows how many confirmations have gone out.
type progress struct {
	screen *show.Screen
	want   int
	done   func() int
	began  time.Time
	ticks  show.Ticks
}

const (
	plainEvery = 10 // ticks, elsewhere than on a terminal
	barWidth   = 40
)

// watch begins to show progress; stop ends it.
func watch(screen *show.Screen, o options, host *mailHost, done func() int) *progress {
	p := &progress{screen: screen, want: o.confirmations(), done: done, began: time.Now()}
	where := "the mail host at " + host.addr
	if host.own {
		where = "a mail host inside this program"
	}
	screen.Print(fmt.Sprintf("Up to order %d is placed, and the confirmations go to %s.", o.orders, where),
		"Orders and mail are written into "+o.store()+".", "")
	p.ticks.Start(p.show)
	return p
}

// stop shows the last state and ends.
func (p *progress) stop() { p.ticks.Stop() }

func (p *progress) show(n int, last bool) {
	done := p.done()
	words := fmt.Sprintf("%5.1f s  %d of at most %d confirmations sent", time.Since(p.began).Seconds(), done, p.want)
	switch {
	case p.screen.Live():
		p.screen.Draw([]string{p.screen.Style(show.Green, show.Bar(barWidth, done, p.want)) + " " + words})
	case last || n%plainEvery == plainEvery-1:
		p.screen.Print(words)
	}
	if last {
		p.screen.Keep()
	}
}
