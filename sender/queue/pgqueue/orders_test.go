package pgqueue_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/reputemail/repute/internal/pgtest"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/queue/pgqueue"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

// TestOrdersOfSenders: two Senders on one database know what the other one has suspended, and carry out an order that both are given once.
func TestOrdersOfSenders(t *testing.T) {
	ctx := context.Background()
	dsn := pgtest.DSN(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	by := sender.Act{Actor: "ada", Reason: "test"}
	var ss [2]*sender.Sender
	for i := range ss {
		q, err := pgqueue.Open(ctx, dsn, sqlqueue.Config{})
		must(err)
		defer q.Close()
		ss[i], err = sender.New(sender.Config{
			Queue:  q,
			Routes: []sender.Route{{Name: "mta1", Hostname: "mta1.example.org"}, {Name: "mta2", Hostname: "mta2.example.org"}},
			Pools:  []sender.Pool{{Name: "one", Routes: []string{"mta1"}}, {Name: "two", Routes: []string{"mta2"}}},
		})
		must(err)
		defer ss[i].Stop(ctx)
	}
	must(ss[0].Suspend(ctx, sender.Hold{Target: sender.Target{Route: "mta1"}, Act: by, Drain: true}))
	hs, err := ss[1].Holds(ctx)
	if err != nil || len(hs) != 1 || hs[0].Route != "mta1" || !hs[0].Drain || hs[0].Actor != "ada" || hs[0].Unsaved || hs[0].Since.IsZero() {
		t.Fatalf("%+v, %v", hs, err)
	}
	must(ss[1].Resume(ctx, sender.Target{Route: "mta1"}, by))

	const messages, recipients = 40, 25
	var ids []string
	for i := range messages {
		m := sender.Message{ID: fmt.Sprint("m", i), From: "news@example.org", Data: []byte("From: <news@example.org>\r\nSubject: x\r\n\r\nx\r\n")}
		for k := range recipients {
			m.To = append(m.To, fmt.Sprintf("u%d@d%d.example.com", k, k%5))
		}
		_, err := ss[0].Enqueue(ctx, m)
		must(err)
		ids = append(ids, m.ID)
	}
	both := func(order func(s *sender.Sender) (sender.Result, error)) int {
		t.Helper()
		var results [2]sender.Result
		var wg sync.WaitGroup
		for i := range ss {
			wg.Go(func() {
				var err error
				if results[i], err = order(ss[i]); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		return results[0].Done + results[1].Done
	}
	if n := both(func(s *sender.Sender) (sender.Result, error) {
		return s.Move(ctx, sender.Filter{All: true}, sender.MoveTo{Pool: "two"}, by)
	}); n != messages*recipients {
		t.Errorf("%d moved", n)
	}
	if n := both(func(s *sender.Sender) (sender.Result, error) {
		return s.Bounce(ctx, sender.Filter{MessageIDs: ids[:20]}, by)
	}); n != 20*recipients {
		t.Errorf("%d bounced", n)
	}
	if n := both(func(s *sender.Sender) (sender.Result, error) {
		return s.Cancel(ctx, sender.Filter{Destinations: []string{"d1.example.com"}}, by)
	}); n != 20*recipients/5 {
		t.Errorf("%d cancelled", n)
	}
	states := map[queue.State]int{}
	for _, id := range ids {
		ex, err := ss[0].Explain(ctx, id)
		must(err)
		for _, e := range ex {
			states[e.State]++
		}
	}
	if states[queue.Bounced] != 500 || states[queue.Cancelled] != 100 || states[queue.Waiting] != 400 {
		t.Errorf("became %v", states)
	}
}
