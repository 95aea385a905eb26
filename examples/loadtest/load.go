package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
)

// load is what is sent, and what became of it. It is the Sender's Observer.
type load struct {
	o       options
	letters *letters
	prefix  string // of the message IDs of this run

	accepted, delivered, failed, deferred, barely atomic.Int64

	began    time.Time
	enqueued []time.Duration // when Enqueue was called for each message, since began
	settled  chan struct{}   // closed with the last one

	mu   sync.Mutex
	took []time.Duration // from the call to the delivery; 0: it was not delivered

	accepting, lasted, bareTook time.Duration
	used, bareUsed              resources
}

func newLoad(o options) *load {
	return &load{
		o: o, letters: newLetters(o.size, o.domains, time.Now()), prefix: rand.Text()[:12] + "-",
		enqueued: make([]time.Duration, o.messages), took: make([]time.Duration, o.messages), settled: make(chan struct{}),
	}
}

// run enqueues all messages and waits until the last is settled, or ctx ends.
func (l *load) run(ctx context.Context, s *sender.Sender) error {
	before := measureResources()
	l.began = time.Now()
	defer func() {
		l.lasted = time.Since(l.began)
		l.used = measureResources().since(before)
	}()
	err := l.enqueue(ctx, s)
	l.accepting = time.Since(l.began)
	if err != nil {
		return err
	}
	select {
	case <-l.settled:
	case <-ctx.Done():
	}
	return nil
}

// fullPause is how long an enqueuer waits for a full queue.
const fullPause = 5 * time.Millisecond

// enqueue hands all messages to the Sender. The end of ctx ends it and is no error.
func (l *load) enqueue(ctx context.Context, s *sender.Sender) error {
	return l.share(ctx, l.o.enqueuers, func(ctx context.Context, next func() (int, bool)) error {
		var data []byte // Enqueue copies it
		for i, ok := next(); ok; i, ok = next() {
			data = l.letters.data(data, i)
			l.enqueued[i] = time.Since(l.began)
			m := sender.Message{ID: fmt.Sprintf("%s%0*d", l.prefix, digits, i), From: from, To: []string{l.letters.to(i)}, Data: data}
			if err := l.enqueueOne(ctx, s, m); err != nil {
				return fmt.Errorf("message %d: %w", i, err)
			}
		}
		return nil
	})
}

// enqueueOne hands one message to the Sender, again and again while the queue is full.
func (l *load) enqueueOne(ctx context.Context, s *sender.Sender, m sender.Message) error {
	for {
		_, err := s.Enqueue(ctx, m)
		if err == nil {
			l.accepted.Add(1)
		}
		if !errors.Is(err, queue.ErrFull) {
			return err
		}
		select {
		case <-time.After(fullPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// share has several goroutines work, each on the messages that next gives it. The first error ends them and is returned; the
// end of ctx ends them without one.
func (l *load) share(ctx context.Context, goroutines int, work func(ctx context.Context, next func() (int, bool)) error) error {
	within, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var taken atomic.Int64
	next := func() (int, bool) {
		i := int(taken.Add(1)) - 1
		return i, i < l.o.messages && within.Err() == nil
	}
	var wg sync.WaitGroup
	for range min(goroutines, l.o.messages) {
		wg.Go(func() {
			if err := work(within, next); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return context.Cause(within)
}

// Observe implements sender.Observer.
func (l *load) Observe(e sender.Event) {
	text, ours := strings.CutPrefix(e.MessageID, l.prefix)
	if !ours {
		return // of an earlier run
	}
	switch {
	case e.Type == sender.EventDelivered:
		i, err := strconv.Atoi(text)
		if err != nil || i < 0 || i >= len(l.took) {
			return
		}
		l.mu.Lock()
		l.took[i] = time.Since(l.began) - l.enqueued[i]
		l.mu.Unlock()
		l.delivered.Add(1)
	case e.Type.Final():
		l.failed.Add(1)
	case e.Type == sender.EventDeferred:
		l.deferred.Add(1)
		return
	default:
		return
	}
	if int(l.delivered.Load()+l.failed.Load()) == l.o.messages {
		close(l.settled)
	}
}

// percentiles are the times within which a share of the delivered messages was delivered.
func (l *load) percentiles(shares ...float64) []time.Duration {
	l.mu.Lock()
	took := slices.DeleteFunc(slices.Clone(l.took), func(d time.Duration) bool { return d == 0 })
	l.mu.Unlock()
	slices.Sort(took)
	out := make([]time.Duration, len(shares))
	if len(took) == 0 {
		return out
	}
	for i, share := range shares {
		out[i] = took[min(len(took)-1, int(share*float64(len(took))))]
	}
	return out
}
