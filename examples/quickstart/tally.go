package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
)

// tally is the Observer: it counts what Stats does not, and writes down what is news.
type tally struct {
	began time.Time
	want  int
	done  chan struct{} // closed when want deliveries have their final outcome

	mu     sync.Mutex
	final  int
	first  map[sender.Path]int        // deliveries by the path of their first attempt, or of their outcome without one
	causes map[bounce.Category]*cause // of deferrals and bounces
	times  map[string][]time.Duration // in the queue, by stream, of what was delivered
	news   []string
	told   map[string]bool
	riddle string // a delivery that waits for a reason worth telling
}

func newTally(want int) *tally {
	return &tally{
		began: time.Now(), want: want, done: make(chan struct{}),
		first: map[sender.Path]int{}, causes: map[bounce.Category]*cause{}, times: map[string][]time.Duration{}, told: map[string]bool{},
	}
}

// Observe takes note of an event. The Sender calls it for one event at a time.
func (t *tally) Observe(e sender.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.report(e)
	switch {
	case e.Type == sender.EventDeferred && e.Attempt == 1, e.Type.Final() && e.Attempt <= 1:
		t.first[e.Path]++
	}
	switch e.Type {
	case sender.EventBounced:
		t.cause(e.Verdict.Category).Bounced++
	case sender.EventDelivered:
		t.times[e.Stream] = append(t.times[e.Stream], e.QueueTime)
	case sender.EventDeferred:
		t.cause(e.Verdict.Category).Deferred++
		if t.riddle == "" || e.Verdict.Category == bounce.RateLimited {
			t.riddle = e.DeliveryID
		}
	}
	if e.Type.Final() {
		if t.final++; t.final == t.want {
			close(t.done)
		}
	}
}

// cause counts what happened for one reason.
type cause struct {
	Deferred int `json:"deferred"`
	Bounced  int `json:"bounced"`
}

func (t *tally) cause(c bounce.Category) *cause {
	if t.causes[c] == nil {
		t.causes[c] = &cause{}
	}
	return t.causes[c]
}

// report writes an event down if it is news.
func (t *tally) report(e sender.Event) {
	path := fmt.Sprintf("%s over %s", e.Path.Provider, e.Path.Route)
	switch {
	case e.Type == sender.EventPathClosed:
		t.tell("", "%s rests for %s: the receiver asked for less", path, seconds(time.Until(e.Wait.Until)))
	case e.Type == sender.EventPathOpened:
		t.tell("", "%s goes on, gently", path)
	case e.Overflow:
		t.tell("overflow "+e.Path.Provider, "%s: the cold address has had its share, the rest overflows to %s", e.Path.Provider, e.Path.Route)
	case e.Type == sender.EventDeferred:
		t.tell("deferred "+path+string(e.Verdict.Category), "%s defers: %s (%s)", path, reply(e.Reply), e.Verdict.Category)
	case e.Type == sender.EventBounced:
		t.tell("bounced "+e.Path.Provider, "%s bounces: %s (%s)", e.Path.Provider, reply(e.Reply), e.Verdict.Category)
	}
}

// tell adds news, once for each key but the empty one.
func (t *tally) tell(key, format string, args ...any) {
	if key != "" && t.told[key] {
		return
	}
	t.told[key] = true
	t.news = append(t.news, fmt.Sprintf("%6s  ", seconds(time.Since(t.began)))+fmt.Sprintf(format, args...))
}

// newsSince are the news but for the first n.
func (t *tally) newsSince(n int) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.news[n:])
}

// waiting is the ID of a delivery that was deferred, or empty.
func (t *tally) waiting() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.riddle
}

// wait waits until every delivery has its final outcome, or ctx ends.
func (t *tally) wait(ctx context.Context) {
	select {
	case <-t.done:
	case <-ctx.Done():
	}
}

// quantile is the time in the queue that a share of a stream's delivered mail did not exceed.
func (t *tally) quantile(stream string, share float64) time.Duration {
	times := slices.Sorted(slices.Values(t.times[stream]))
	if len(times) == 0 {
		return 0
	}
	return times[min(len(times)-1, int(share*float64(len(times))))]
}

// seconds is a duration for people.
func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", max(0, d.Seconds())) }
