package sender_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/transport"
)

// lateAnswers is a queue that settles at once and takes its time to say so.
type lateAnswers struct {
	*queue.Memory
	takes time.Duration
}

func (q lateAnswers) Settle(ctx context.Context, batch []queue.Settlement) ([]string, error) {
	lost, err := q.Memory.Settle(ctx, batch)
	for _, s := range batch {
		if s.State == queue.Waiting && s.Began {
			time.Sleep(q.takes)
		}
	}
	return lost, err
}

// TestAClaimThatOvertakesItsSettlement: a retry falls due and is claimed before the Sender has heard that its deferral is durable. It goes out soon after
// that, and does not wait until the lease of that claim has run out.
func TestAClaimThatOvertakesItsSettlement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		tries := 0
		st.transact = func(context.Context, *conversation, *transport.Envelope) ([]transport.Result, error) {
			st.mu.Lock()
			defer st.mu.Unlock()
			if tries++; tries == 1 {
				return []transport.Result{{Reply: bounce.Reply{Code: 450, Status: bounce.Status{Class: 4, Subject: 2}, Stage: bounce.StageRcpt, Lines: []string{"greylisted"}}}}, nil
			}
			return []transport.Result{{Accepted: true, Reply: bounce.Reply{Code: 250, Stage: bounce.StageDot}}}, nil
		}
		memory, err := queue.NewMemory(queue.MemoryConfig{})
		if err != nil {
			t.Fatal(err)
		}
		cfg := st.config("direct")
		cfg.Queue = lateAnswers{memory, 40 * time.Second} // longer than until the next look at the lanes
		cfg.Retry = sender.RetryPolicy{Greylisted: time.Second, ShortCause: time.Second, OtherCause: time.Second}
		s := st.start(cfg)
		st.enqueue(s, "", "a@x.example")
		time.Sleep(3 * time.Minute)
		if n := get(st, func() int { return st.sent["a@x.example"] }); n != 1 {
			ds, _ := s.Explain(context.Background(), st.events[0].MessageID)
			t.Errorf("sent %d times in three minutes: %+v", n, ds)
		}
	})
}
