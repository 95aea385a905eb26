package sender

import (
	"context"
	"sync"
)

// emitter hands events to the Observer, one at a time and in order, from a goroutine of its own, so that an Observer may
// call the Sender. Emitting never waits for the Observer, but the settler does when too many events are behind.
type emitter struct {
	observer Observer

	mu      sync.Mutex
	pending []Event
	wake    *sync.Cond // something is pending, or closed
	room    *sync.Cond // fewer are pending
	closed  bool
	wg      sync.WaitGroup
}

// maxPendingEvents is how many events may be behind before settling waits.
const maxPendingEvents = 4096

func newEmitter(o Observer) *emitter {
	e := &emitter{observer: o}
	e.wake, e.room = sync.NewCond(&e.mu), sync.NewCond(&e.mu)
	return e
}

// emit queues an event.
func (e *emitter) emit(ev Event) {
	if e.observer == nil {
		return
	}
	e.mu.Lock()
	e.pending = append(e.pending, ev)
	e.mu.Unlock()
	e.wake.Signal()
}

// await waits until the Observer has caught up.
func (e *emitter) await() {
	if e.observer == nil {
		return
	}
	e.mu.Lock()
	for len(e.pending) > maxPendingEvents && !e.closed {
		e.room.Wait()
	}
	e.mu.Unlock()
}

// run hands events over until close, and then the rest.
func (e *emitter) run() {
	defer e.wg.Done()
	var batch []Event
	for {
		clear(batch)
		if cap(batch) > 2*maxPendingEvents {
			batch = nil
		}
		e.mu.Lock()
		for len(e.pending) == 0 && !e.closed {
			e.wake.Wait()
		}
		batch, e.pending = e.pending, batch[:0]
		done := e.closed && len(batch) == 0
		e.mu.Unlock()
		e.room.Broadcast()
		if done {
			return
		}
		for _, ev := range batch {
			e.observer.Observe(ev)
		}
	}
}

// close makes run end once everything is handed over.
func (e *emitter) close() {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.wake.Broadcast()
	e.room.Broadcast()
}

// waitFor waits for a group until ctx ends.
func waitFor(ctx context.Context, wg *sync.WaitGroup) bool {
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// arrivals are the messages that are being enqueued: what becomes of one is not told before that it was accepted.
type arrivals struct {
	mu sync.Mutex
	m  map[string]*arrival
}

// arrival is one of them.
type arrival struct {
	told bool
	over chan struct{} // closed when it was told; made by the first that waits
}

// begin notes that a message is about to be put, and returns what to call, once or more, when its acceptance was told.
func (a *arrivals) begin(id string) (end func()) {
	one := &arrival{}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.m == nil {
		a.m = map[string]*arrival{}
	}
	a.m[id] = one
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if one.told {
			return
		}
		one.told = true
		if a.m[id] == one {
			delete(a.m, id)
		}
		if one.over != nil {
			close(one.over)
		}
	}
}

// wait waits while a message is being enqueued.
func (a *arrivals) wait(id string) {
	a.mu.Lock()
	one := a.m[id]
	if one == nil {
		a.mu.Unlock()
		return
	}
	if one.over == nil {
		one.over = make(chan struct{})
	}
	over := one.over
	a.mu.Unlock()
	<-over
}
