package sqlqueue_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/queue/sqlitequeue"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

// Two that prune at the same time forget no message that comes in between, and that may be given the number of a forgotten one.
func TestPruneAtTheSameTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	q, err := sqlitequeue.OpenConfig(ctx, path, sqlqueue.Config{Retention: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	for i := range 5 {
		p := newPut(fmt.Sprint("old", i), 1, time.Hour)
		leases, err := q.Put(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := q.Settle(ctx, []queue.Settlement{{ID: p.Deliveries[0].ID, Lease: leases[0], State: queue.Delivered}}); err != nil {
			t.Fatal(err)
		}
	}
	execute(t, q.DB(), "UPDATE repute_message SET created = 0")
	execute(t, q.DB(), "UPDATE repute_delivery SET due = 0")
	tx, err := q.DB().Begin() // holds up the calls, in their order
	if err != nil {
		t.Fatal(err)
	}
	errs := make(chan error)
	for _, call := range []func() error{
		func() error { return q.Prune(ctx) },
		func() error { return q.Prune(ctx) },
		func() error { _, err := q.Put(ctx, newPut("new", 1, 0)); return err },
	} {
		go func() { errs <- call() }()
		time.Sleep(50 * time.Millisecond)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if _, err := q.Get(ctx, "new"); err != nil {
		t.Errorf("what was put meanwhile: %v", err)
	}
	if _, err := q.Get(ctx, "old0"); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("what was pruned: %v", err)
	}
}

// A settlement whose caller did not wait for it, and which was written nevertheless, is not lost when it comes again.
func TestSettleAgainAfterItsContextEnded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	q, err := sqlitequeue.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	p := newPut("a", 1, time.Hour)
	leases, err := q.Put(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	batch := []queue.Settlement{{ID: p.Deliveries[0].ID, Lease: leases[0], State: queue.Delivered, Began: true}}
	tx, err := q.DB().Begin()
	if err != nil {
		t.Fatal(err)
	}
	limit, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := q.Settle(limit, batch); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("settle: %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	lost, err := q.Settle(ctx, batch)
	if err != nil || len(lost) > 0 {
		t.Errorf("settle again: %v, %v", lost, err)
	}
	if d, err := q.Get(ctx, "a"); err != nil || d[0].Attempts != 1 || d[0].State != queue.Delivered {
		t.Errorf("%+v, %v", d, err)
	}
}
