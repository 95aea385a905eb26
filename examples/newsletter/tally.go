package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/reputemail/repute/examples/internal/show"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/warmup"
)

// tally is the Observer: it counts outcomes.
type tally struct {
	mu    sync.Mutex
	final int
	by    map[string]int // letters that were delivered, by route
	news  chan struct{}
}

func newTally() *tally {
	return &tally{by: map[string]int{}, news: make(chan struct{}, 1)}
}

// Observe implements sender.Observer.
func (t *tally) Observe(e sender.Event) {
	if !e.Type.Final() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.final++
	if e.Type == sender.EventDelivered && e.Stream == newsletter {
		t.by[e.Path.Route]++
	}
	select {
	case t.news <- struct{}{}:
	default:
	}
}

// wait waits until so many deliveries have their outcome.
func (t *tally) wait(ctx context.Context, want int) error {
	for {
		t.mu.Lock()
		final := t.final
		t.mu.Unlock()
		if final >= want {
			return nil
		}
		select {
		case <-t.news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// watch shows how the sending goes on until stop: in place on a terminal, and a line every few seconds elsewhere. Without a screen it shows nothing.
func watch(t *tally, days *calendar, fit warmup.Sending, screen *show.Screen) (stop func()) {
	if screen == nil {
		return func() {}
	}
	var ticks show.Ticks
	ticks.Start(func(n int, last bool) {
		t.mu.Lock()
		young, relayed := t.by["young"], t.by["relay"]
		t.mu.Unlock()
		clock := fmt.Sprintf("%4.1f hours", days.since(time.Now()).Hours())
		switch {
		case screen.Live():
			bar := max(6, min(40, screen.Width()-40))
			screen.Draw([]string{
				clock,
				fmt.Sprintf("young address %s %d of %d", screen.Style(show.Green, show.Bar(bar, young, fit.Sent)), young, fit.Sent),
				fmt.Sprintf("relay         %s %d of %d", screen.Style(show.Green, show.Bar(bar, relayed, fit.Overflow)), relayed, fit.Overflow),
			})
			if last {
				screen.Keep()
			}
		case last || n > 0 && n%plainEvery == 0:
			screen.Print(fmt.Sprintf("%s: young address %d of %d, relay %d of %d", clock, young, fit.Sent, relayed, fit.Overflow))
		}
	})
	return ticks.Stop
}

// plainEvery is after how many ticks there is something to read elsewhere than on a terminal.
const plainEvery = 20
