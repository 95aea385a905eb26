package warmup

import (
	"context"
)

// writing is a use of the store for a path. The path goes on meanwhile.
type writing struct {
	done      chan struct{} // closed at its end
	committed int           // messages committed since it began
}

// wait waits for the end of w. It reports false when ctx ended before.
func (w *writing) wait(ctx context.Context) bool {
	select {
	case <-w.done:
		return true
	case <-ctx.Done():
		return false
	}
}

// snapshot is a path as the store is told of it.
type snapshot struct {
	account
	ladder  *ladder
	kept    int // of the promise: may be used meanwhile
	dropped int // of the promise: may not
}

// snapshot begins a use of the store. What the promise before has left can be used meanwhile only if the store is asked ahead of time:
// otherwise the answer may be that the path has to use less. What is refunded meanwhile can always be used, since the record has it as
// outstanding.
func (p *path) snapshot(q ask) *snapshot {
	s := &snapshot{account: p.account, ladder: p.ladder}
	for k := range kinds {
		s.windows[k] = p.windows[k].clone()
	}
	if q.ahead && p.ramp.pos < p.ladder.top() {
		s.kept = p.promise
	} else {
		s.dropped, p.promise = p.promise, 0
	}
	p.dirty = false
	return s
}

// use runs do, which uses the store, without p.mu, which is held before and after. Nobody else uses the store for p.
func (p *path) use(do func() error) (*writing, error) {
	w := &writing{done: make(chan struct{})}
	p.writing = w
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.writing = nil
		close(w.done)
	}()
	return w, do()
}

// lockIdle locks p when nobody uses the store for it, or returns the error of ctx and does not lock.
func (p *path) lockIdle(ctx context.Context) error {
	p.mu.Lock()
	for p.writing != nil {
		w := p.writing
		p.mu.Unlock()
		if !w.wait(ctx) {
			return ctx.Err()
		}
		p.mu.Lock()
	}
	return nil
}

// lockToUse is lock for a use of the store at time t: it waits for one that is under way. The path is nil when ctx ends before.
func (l *Ledger) lockToUse(ctx context.Context, p Path, lad *ladder, t int64) (*path, Reason) {
	for {
		pt, reason := l.lock(p, lad, t)
		if pt == nil || pt.writing == nil {
			return pt, reason
		}
		w := pt.writing
		pt.mu.Unlock()
		if !w.wait(ctx) {
			return nil, ReasonStore
		}
	}
}

// bounded is the context of a use of the store by a decision.
func (l *Ledger) bounded() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), l.storeTimeout)
}
