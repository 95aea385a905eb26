package sender_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/transport"
	"github.com/reputemail/repute/throttle"
)

// TestSessionsAreKept: a path that uses all connections of the process gives none up to make room for itself.
func TestSessionsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		st.limits = throttle.Limits{Connections: 5}
		st.transact = takes(100 * time.Millisecond)
		cfg := st.config("a")
		cfg.MaxConnections = 2
		s := st.start(cfg)
		st.enqueue(s, "", users(200, "big.example")...)
		time.Sleep(5 * time.Minute)
		if n := len(st.of(sender.EventDelivered)); n != 200 {
			t.Errorf("%d delivered", n)
		}
		if n := len(get(st, func() []transport.Target { return st.targets })); n != 2 {
			t.Errorf("%d connections were opened for 2 at a time", n)
		}
	})
}

// TestExpiredIsNotAttempted: without a gate, too, what expired since it was claimed is not attempted.
func TestExpiredIsNotAttempted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		st.limits = throttle.Limits{Connections: 1, Recipients: 1}
		st.transact = takes(40 * time.Second)
		cfg := st.config("a")
		cfg.Streams = []sender.Stream{{Name: "default", ExpireAfter: 70 * time.Second}} // the house is tidied after 60 and 120
		s := st.start(cfg)
		st.enqueue(s, "", users(4, "slow.example")...)
		time.Sleep(5 * time.Minute)
		if delivered, expired := len(st.of(sender.EventDelivered)), len(st.of(sender.EventExpired)); delivered != 2 || expired != 2 {
			t.Errorf("%d delivered, %d expired", delivered, expired)
		}
		for _, e := range st.of(sender.EventExpired) {
			if e.Attempt != 0 || e.Verdict.Category != bounce.Category("") {
				t.Errorf("attempted: %+v", e)
			}
		}
	})
}
