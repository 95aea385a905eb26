package sqlqueue_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/reputemail/repute/bounce/suppress"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

// TestEnqueueTxNeedsNoOtherConnection: hosts whose transactions hold all connections of the pool do not wait for themselves.
func TestEnqueueTxNeedsNoOtherConnection(t *testing.T) {
	both(t, func(t *testing.T, db database) {
		q := db.queue(t, sqlqueue.Config{})
		s, err := sender.New(sender.Config{Queue: q, Routes: []sender.Route{{Name: "direct", Hostname: "out.example.org"}}})
		must(t, err)
		list, err := suppress.New(suppress.Config{Store: q.SuppressionStore()})
		must(t, err)
		_, err = list.AddAt(bg, time.Now(), suppress.Entry{Address: "dead@example.com", Reason: suppress.Dead})
		must(t, err)
		q.DB().SetMaxOpenConns(6) // of which the queue keeps some
		ctx, cancel := context.WithTimeout(bg, time.Minute)
		defer cancel()
		var wg sync.WaitGroup
		for i := range 24 {
			wg.Go(func() {
				for {
					tx, err := q.DB().BeginTx(ctx, nil)
					if err != nil {
						t.Error(err)
						return
					}
					r, err := s.EnqueueTx(ctx, tx, sender.Message{
						ID: fmt.Sprint("order-", i), From: "shop@example.org", To: []string{"anna@example.com", "dead@example.com"},
						Data: []byte("From: shop@example.org\r\nSubject: Your order\r\n\r\nThanks!\r\n"),
					})
					if err == nil {
						err = tx.Commit()
					} else {
						tx.Rollback()
					}
					if err != nil && ctx.Err() == nil && db.engine == "sqlite" { // another writer was before it, as can be
						continue
					}
					if err != nil || len(r.Deliveries) != 1 || len(r.Refused) != 1 {
						t.Errorf("%d: %+v, %v", i, r, err)
					}
					return
				}
			})
		}
		wg.Wait()
		if n := count(t, q, "SELECT count(*) FROM repute_delivery"); n != 24 {
			t.Errorf("%d deliveries", n)
		}
	})
}

// TestPutTxIsAllOrNothing: when it is broken off in the middle, the host's transaction has nothing of the message, and it can be put again.
func TestPutTxIsAllOrNothing(t *testing.T) {
	both(t, func(t *testing.T, db database) {
		q := db.queue(t, sqlqueue.Config{})
		broken := 0
		for i := range 20 {
			p := message(fmt.Sprint("m", i), 3000)
			ctx, cancel := context.WithTimeout(bg, time.Duration(i)*2*time.Millisecond)
			tx, err := q.DB().Begin()
			must(t, err)
			put := q.PutTx(ctx, tx, p)
			cancel()
			committed := tx.Commit() == nil
			want := 0
			if put == nil {
				want = 3000
			} else {
				broken++
			}
			got, err := q.Get(bg, p.Message.ID)
			if err != nil && !errors.Is(err, queue.ErrNotFound) {
				t.Fatal(err)
			}
			if put == nil && !committed || len(got) != want {
				t.Fatalf("put: %v, committed: %v, %d deliveries", put, committed, len(got))
			}
			if put != nil {
				if _, err := q.Put(bg, p); err != nil {
					t.Fatalf("put again: %v", err)
				}
				if got, err := q.Get(bg, p.Message.ID); err != nil || len(got) != 3000 {
					t.Fatalf("put again: %d deliveries, %v", len(got), err)
				}
			}
		}
		if broken == 0 {
			t.Error("nothing was broken off")
		}
	})
}
