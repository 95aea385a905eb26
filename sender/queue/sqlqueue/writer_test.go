package sqlqueue_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

// TestCallsShareACommit: what is put and settled at the same time goes into far fewer transactions.
func TestCallsShareACommit(t *testing.T) {
	both(t, func(t *testing.T, db database) {
		q := db.queue(t, sqlqueue.Config{})
		unlock := lock(t, q)
		before := sqlqueue.Transactions(q)
		const n = 100
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				if _, err := q.Put(bg, message(fmt.Sprint("m", i), 1)); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(50 * time.Millisecond) // so that most are waiting when the lock goes
		unlock()
		wg.Wait()
		if commits := sqlqueue.Transactions(q) - before; commits > n/2 {
			t.Errorf("%d puts took %d transactions", n, commits)
		}
		if got := claim(t, q, 2*n); len(got) != n {
			t.Errorf("%d deliveries", len(got))
		}
	})
}

// lock keeps the queue from writing until unlock is called.
func lock(t testing.TB, q *sqlqueue.Queue) (unlock func()) {
	t.Helper()
	c, err := q.DB().Conn(bg)
	must(t, err)
	if _, err = c.ExecContext(bg, "BEGIN IMMEDIATE"); err != nil { // PostgreSQL has no such thing
		_, err = c.ExecContext(bg, "BEGIN")
		must(t, err)
		_, err = c.ExecContext(bg, "LOCK TABLE repute_message, repute_delivery IN ACCESS EXCLUSIVE MODE")
	}
	must(t, err)
	return func() {
		_, err := c.ExecContext(bg, "ROLLBACK")
		must(t, err)
		must(t, c.Close())
	}
}

// TestPutEndsWithItsContext: while nothing can be written, Put returns when its context ends, and nothing is in the queue later on.
func TestPutEndsWithItsContext(t *testing.T) {
	both(t, func(t *testing.T, db database) {
		q := db.queue(t, sqlqueue.Config{})
		unlock := lock(t, q)
		var wg sync.WaitGroup
		for i := range 3 { // the first is part of a transaction already, the others wait behind it
			wg.Go(func() {
				p := message(fmt.Sprint("m", i), 2)
				if i%2 == 0 {
					p.LeaseFor = time.Minute
				}
				ctx, cancel := context.WithTimeout(bg, 100*time.Millisecond)
				defer cancel()
				if _, err := q.Put(ctx, p); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("put: %v", err)
				}
			})
		}
		wg.Wait()
		unlock()
		put(t, q, message("last", 1))
		eventually(t, "taking back", func() bool {
			return count(t, q, "SELECT count(*) FROM repute_message WHERE id <> 'last'")+count(t, q, "SELECT count(*) FROM repute_delivery")+
				count(t, q, "SELECT count(*) FROM repute_body") == 2
		})
		time.Sleep(100 * time.Millisecond) // nothing comes after
		if n := count(t, q, "SELECT count(*) FROM repute_message"); n != 1 {
			t.Errorf("%d messages", n)
		}
	})
}

// TestOneBadCallFailsAlone: what the database refuses does not fail the calls that share its transaction.
func TestOneBadCallFailsAlone(t *testing.T) {
	q := postgres(t).queue(t, sqlqueue.Config{})
	unlock := lock(t, q)
	bad := message("bad", 1)
	bad.Deliveries[0].Recipient = "nul\x00@example.com"
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			if _, err := q.Put(bg, message(fmt.Sprint("m", i), 1)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Go(func() {
		if _, err := q.Put(bg, bad); err == nil || errors.Is(err, queue.ErrDuplicate) {
			t.Errorf("bad: %v", err)
		}
	})
	time.Sleep(20 * time.Millisecond)
	unlock()
	wg.Wait()
	if got := claim(t, q, 20); len(got) != 10 {
		t.Errorf("%d of 10 are there", len(got))
	}
}

func TestClosed(t *testing.T) {
	both(t, func(t *testing.T, db database) {
		q, err := db.open(sqlqueue.Config{})
		must(t, err)
		put(t, q, message("m", 1))
		claim(t, q, 1)
		must(t, q.Close())
		must(t, q.Close())
		if _, err := q.Put(bg, message("n", 1)); !errors.Is(err, queue.ErrClosed) {
			t.Errorf("put: %v", err)
		}
		if _, err := q.Get(bg, "m"); !errors.Is(err, queue.ErrClosed) {
			t.Errorf("get: %v", err)
		}
		if got := claim(t, db.queue(t, sqlqueue.Config{}), 1); len(got) != 1 {
			t.Errorf("the lease was not given back")
		}
	})
}
