package sender_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/sendertest"
)

// lateNews calls news once, after the first claim was answered and before the dispatcher hears the answer.
type lateNews struct {
	sender.Queue
	once sync.Once
	news func()
}

func (q *lateNews) Claim(ctx context.Context, c queue.Claim) (queue.Claimed, error) {
	got, err := q.Queue.Claim(ctx, c)
	if !c.Expired {
		q.once.Do(q.news)
	}
	return got, err
}

// TestNewsDuringAClaimIsNotLost: mail that is put while a claim is under way goes out at once, and not when the queue is
// looked through the next time.
func TestNewsDuringAClaimIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{})
		memory, err := queue.NewMemory(queue.MemoryConfig{})
		w.must(err)
		cfg := w.config()
		var s *sender.Sender
		cfg.Queue = &lateNews{Queue: memory, news: func() { w.enqueue(s, "late@example.com") }}
		s, err = sender.New(cfg)
		w.must(err)
		w.enqueue(s, "early@example.com") // before the start, so that it is claimed
		w.must(s.Start(context.Background()))
		defer s.Stop(context.Background())
		time.Sleep(time.Second)
		if n := mx.Inbox().Len(); n != 2 {
			t.Errorf("%d of 2 arrived within a second", n)
		}
	})
}
