package sender_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/warmup"
)

// sharedQueue is a queue in memory with a ledger's store, and a clock of its own.
type sharedQueue struct {
	*queue.Memory
	store warmup.Store
	owner string
	ahead time.Duration
}

func (q sharedQueue) WarmupStore() (warmup.Store, string) { return q.store, q.owner }
func (q sharedQueue) SharedTime(t time.Time) time.Time    { return t.Round(0).Add(-q.ahead) }
func (q sharedQueue) OwnTime(t time.Time) time.Time       { return t.Add(q.ahead) }

// TestClocksOfProcessesMayDiffer: two processes share a cap of a day. The clock of one is hours ahead: it has not let go of what the other one sent.
func TestClocksOfProcessesMayDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{})
		store := warmup.NewMemoryStore()
		start := func(owner string, ahead time.Duration) *sender.Sender {
			memory, err := queue.NewMemory(queue.MemoryConfig{})
			w.must(err)
			cfg := w.config()
			// The time in a bubble is the same for all: that this process is ahead is the same as that the queue is behind.
			cfg.Queue = sharedQueue{memory, store, owner, ahead}
			cfg.Routes[0].Warmup = warmup.Plan{Name: "test", Stages: []warmup.Stage{{Day: 10, Hour: 10, Minute: 10}, {Day: 19, Hour: 19, Minute: 19}}}
			return w.start(cfg)
		}
		right := start("right", 0)
		w.enqueue(right, users(30, "example.com")...)
		time.Sleep(time.Hour)
		w.must(right.Stop(context.Background()))
		first := mx.Inbox().Len()
		if first != 10 {
			t.Fatalf("%d went out on the first day", first)
		}
		time.Sleep(26 * time.Hour) // by the queue's clock, an hour: the other process's clock is 26 hours ahead
		wrong := start("wrong", 26*time.Hour)
		w.enqueue(wrong, users(30, "example.com")...)
		time.Sleep(time.Hour)
		if n := mx.Inbox().Len(); n != first {
			t.Errorf("%d more went out on the first day", n-first)
		}
		time.Sleep(23 * time.Hour)
		if n := mx.Inbox().Len(); n <= first || n > first+19 {
			t.Errorf("%d on the second day", n-first)
		}
	})
}
