package sqlqueue

import (
	"context"
	"errors"
	"testing"

	"github.com/reputemail/repute/sender/queue"
)

// TestLeave: a caller whose context has ended is told what can be known, and a lease that may have been taken for it is given back.
func TestLeave(t *testing.T) {
	for _, c := range []struct {
		name    string
		state   opState
		unsure  bool
		unknown bool
		back    bool // at once; else by whoever writes it
	}{
		{"in line", opQueued, false, false, false},
		{"in line again after a commit that broke", opQueued, true, true, true},
		{"before the commit", opTaken, false, false, false},
		{"before another commit", opTaken, true, true, false},
		{"in the commit", opCommitting, false, true, false},
	} {
		w := newWriter(&Queue{})
		o := &op{name: "claim", lease: 7, state: c.state, unsure: c.unsure}
		err := w.leave(o, context.Canceled)
		if !errors.Is(err, context.Canceled) || errors.Is(err, queue.ErrUnknown) != c.unknown {
			t.Errorf("%s: %v", c.name, err)
		}
		if back := len(w.ops) == 1; back != c.back {
			t.Errorf("%s: given back at once: %v", c.name, back)
		}
	}
}

// TestLaterForNobody: a call that nobody waits for is not put off, but ends, and what it may have leased is given back.
func TestLaterForNobody(t *testing.T) {
	w := newWriter(&Queue{d: postgresDialect()})
	o := &op{name: "claim", lease: 7, state: opAbandoned, unsure: true, done: make(chan struct{})}
	w.later(o, errors.New("lock timeout"))
	<-o.done
	if !errors.Is(o.err, queue.ErrUnknown) || len(w.ops) != 1 {
		t.Errorf("%v, %d given back", o.err, len(w.ops))
	}
}
