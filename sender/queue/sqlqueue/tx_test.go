package sqlqueue_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

// watching collects the news of a queue until the test ends.
type watching struct {
	mu       sync.Mutex
	accepted []string
	lanes    []queue.Lane
}

func watch(t *testing.T, q *sqlqueue.Queue) *watching {
	w := &watching{}
	ctx, cancel := context.WithCancel(bg)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := q.Watch(ctx, w.tell); !errors.Is(err, context.Canceled) && !errors.Is(err, queue.ErrClosed) {
			t.Errorf("watch: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return w
}

func (w *watching) tell(n queue.News) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.accepted = append(w.accepted, ids(n.Accepted)...)
	w.lanes = append(w.lanes, n.Lanes...)
}

func (w *watching) heard(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Contains(w.accepted, id)
}

func TestPutTxIsThereWithTheCommit(t *testing.T) {
	both(t, func(t *testing.T, db database) {
		q := db.queue(t, sqlqueue.Config{})
		w := watch(t, q)
		_, err := q.DB().Exec("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
		must(t, err)

		tx, err := q.DB().Begin()
		must(t, err)
		_, err = tx.Exec("INSERT INTO orders VALUES (1)")
		must(t, err)
		must(t, q.PutTx(bg, tx, message("order-1", 2)))
		if err := q.PutTx(bg, tx, message("order-1", 1)); !errors.Is(err, queue.ErrDuplicate) {
			t.Errorf("twice in one transaction: %v", err)
		}
		if _, err := q.Get(bg, "order-1"); !errors.Is(err, queue.ErrNotFound) {
			t.Errorf("before the commit: %v", err)
		}
		must(t, tx.Commit())
		eventually(t, "news of the commit", func() bool { return w.heard("order-1/1") && w.heard("order-1/2") })
		if got := claim(t, q, 10); len(got) != 2 {
			t.Errorf("%d deliveries", len(got))
		}

		tx, err = q.DB().Begin()
		must(t, err)
		must(t, q.PutTx(bg, tx, message("order-2", 1)))
		must(t, tx.Rollback())

		tx, err = q.DB().Begin() // the same order again: the transaction stays usable
		must(t, err)
		if err := q.PutTx(bg, tx, message("order-1", 1)); !errors.Is(err, queue.ErrDuplicate) {
			t.Errorf("again: %v", err)
		}
		_, err = tx.Exec("INSERT INTO orders VALUES (3)")
		must(t, err)
		must(t, q.PutTx(bg, tx, message("order-3", 1)))
		must(t, tx.Commit())
		eventually(t, "news of the third", func() bool { return w.heard("order-3/1") })
		if n := count(t, q, "SELECT count(*) FROM orders"); n != 2 {
			t.Errorf("%d orders", n)
		}
		if _, err := q.Get(bg, "order-2"); !errors.Is(err, queue.ErrNotFound) || w.heard("order-2/1") {
			t.Errorf("rolled back: %v", err)
		}
		if n := count(t, q, "SELECT count(*) FROM repute_news"); n != 0 {
			t.Errorf("%d messages in the news still", n)
		}
	})
}

// TestNewsOfWhatNobodyWatched: mail whose transaction was committed while no process was there is told to the next one.
func TestNewsOfWhatNobodyWatched(t *testing.T) {
	both(t, func(t *testing.T, db database) {
		q, err := db.open(sqlqueue.Config{})
		must(t, err)
		tx, err := q.DB().Begin()
		must(t, err)
		must(t, q.PutTx(bg, tx, message("m", 1)))
		must(t, tx.Commit())
		must(t, q.Close())
		w := watch(t, db.queue(t, sqlqueue.Config{}))
		eventually(t, "the news", func() bool { return w.heard("m/1") })
	})
}

// TestNewsOfAnotherProcess: PostgreSQL notifies, without polling.
func TestNewsOfAnotherProcess(t *testing.T) {
	db := postgres(t)
	one, other := db.queue(t, sqlqueue.Config{}), db.queue(t, sqlqueue.Config{Poll: 1000 * 1000 * 1000 * 3600})
	w := watch(t, other)
	for _, id := range []string{"a", "b"} {
		tx, err := one.DB().Begin()
		must(t, err)
		must(t, one.PutTx(bg, tx, message(id, 1)))
		must(t, tx.Commit())
		eventually(t, "the notification", func() bool { return w.heard(id + "/1") })
	}
}

func TestPutTxRefuses(t *testing.T) {
	q := sqlite(t).queue(t, sqlqueue.Config{})
	tx, err := q.DB().Begin()
	must(t, err)
	defer tx.Rollback()
	if err := q.PutTx(bg, tx, queue.Put{}); !errors.Is(err, queue.ErrInvalid) {
		t.Errorf("nothing: %v", err)
	}
}
