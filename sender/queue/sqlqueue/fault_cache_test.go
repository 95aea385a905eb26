package sqlqueue_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/reputemail/repute/internal/pgtest"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/queue/pgqueue"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

// A message whose ID was used before, long ago, is sent with its own body, also by a process that remembers the old one.
func TestNoBodyOfAnEarlierMessage(t *testing.T) {
	dsn := pgtest.DSN(t)
	var queues [2]*sqlqueue.Queue
	for i := range queues {
		q, err := pgqueue.Open(ctx, dsn, sqlqueue.Config{Retention: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		queues[i] = q
	}
	one, other := queues[0], queues[1]
	deliver := func(q *sqlqueue.Queue, want []byte) {
		t.Helper()
		got, err := q.Claim(ctx, queue.Claim{Lane: laneOf("a", ""), Limit: 1, LeaseFor: time.Hour})
		if err != nil || len(got.Deliveries) != 1 {
			t.Fatalf("%+v, %v", got, err)
		}
		m, err := q.Message(ctx, "a")
		if err != nil || !bytes.Equal(m.Data, want) {
			t.Fatalf("%q, %v, want %q", m.Data, err, want)
		}
		d := got.Deliveries[0]
		if lost, err := q.Settle(ctx, []queue.Settlement{{ID: d.ID, Lease: d.Lease, State: queue.Delivered}}); err != nil || len(lost) > 0 {
			t.Fatal(lost, err)
		}
	}
	old, later := newPut("a", 1, 0), newPut("a", 1, 0)
	later.Message.Data = []byte("Subject: later\r\n\r\nSomething else.\r\n")
	if _, err := one.Put(ctx, old); err != nil {
		t.Fatal(err)
	}
	deliver(other, old.Message.Data)
	execute(t, one.DB(), "UPDATE repute_message SET created = 0")
	execute(t, one.DB(), "UPDATE repute_delivery SET due = 0")
	if err := one.Prune(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Put(ctx, later); err != nil {
		t.Fatal(err)
	}
	deliver(one, later.Message.Data)
}
