package sqlqueue_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/queue/sqlitequeue"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

// TestRetention: a settled message is told of and its ID known for as long as is configured, and then gone; what is open stays however old it is.
func TestRetention(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	synctest.Test(t, func(t *testing.T) {
		q, err := sqlitequeue.OpenConfig(bg, path, sqlqueue.Config{Retention: time.Hour})
		must(t, err)
		defer func() { must(t, q.Close()) }()
		waiting := message("waiting", 1)
		waiting.ExpireAfter = 1000 * time.Hour
		half := message("half", 2)
		half.ExpireAfter = 1000 * time.Hour
		put(t, q, waiting, half)
		for i := range 1200 { // more than one step
			put(t, q, message(fmt.Sprint("m", i), 1))
		}
		for {
			ds := claim(t, q, 500)
			if len(ds) == 0 {
				break
			}
			for _, d := range ds {
				state := queue.Delivered
				if d.MessageID == "waiting" || d.ID == "half/2" {
					state = queue.Waiting
				}
				lost, err := q.Settle(bg, []queue.Settlement{{ID: d.ID, Lease: d.Lease, State: state, After: 5 * time.Hour, Began: true}})
				if err != nil || len(lost) > 0 {
					t.Fatal(lost, err)
				}
			}
		}
		time.Sleep(59 * time.Minute)
		if _, err := q.Get(bg, "m0"); err != nil {
			t.Errorf("before its time: %v", err)
		}
		if _, err := q.Put(bg, message("m0", 1)); !errors.Is(err, queue.ErrDuplicate) {
			t.Errorf("put again before its time: %v", err)
		}
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		time.Sleep(time.Minute)
		for _, table := range []string{"repute_message", "repute_delivery"} {
			want := map[string]int{"repute_message": 2, "repute_delivery": 3}[table]
			if n := count(t, q, "SELECT count(*) FROM "+table); n != want {
				t.Errorf("%s has %d rows, want %d", table, n, want)
			}
		}
		if ds, err := q.Get(bg, "half"); err != nil || len(ds) != 2 {
			t.Errorf("half: %v, %v", ids(ds), err)
		}
		put(t, q, message("m0", 1))
	})
}

// TestPruningInSmallSteps: messages to many recipients are not all forgotten in one transaction.
func TestPruningInSmallSteps(t *testing.T) {
	both(t, func(t *testing.T, db database) {
		q := db.queue(t, sqlqueue.Config{Retention: time.Second})
		for i := range 6 {
			put(t, q, message(fmt.Sprint("m", i), 900))
		}
		for {
			ds := claim(t, q, 1000)
			if len(ds) == 0 {
				break
			}
			settle(t, q, queue.Delivered, ds...)
		}
		for _, text := range []string{"UPDATE repute_message SET created = 1", "UPDATE repute_delivery SET due = 1"} {
			_, err := q.DB().Exec(text)
			must(t, err)
		}
		before := sqlqueue.Transactions(q)
		must(t, q.Prune(bg))
		if n := count(t, q, "SELECT count(*) FROM repute_delivery"); n != 0 {
			t.Errorf("%d deliveries are left", n)
		}
		if n := sqlqueue.Transactions(q) - before; n < 3 {
			t.Errorf("5400 deliveries in %d transactions", n)
		}
	})
}
