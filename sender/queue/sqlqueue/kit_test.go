package sqlqueue_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/reputemail/repute/internal/pgtest"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/queue/pgqueue"
	"github.com/reputemail/repute/sender/queue/sqlitequeue"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

var bg = context.Background()

// database is one database of an engine, which can be opened again and again.
type database struct {
	engine string
	open   func(cfg sqlqueue.Config) (*sqlqueue.Queue, error)
}

// both runs a test with a new database of each engine.
func both(t *testing.T, f func(t *testing.T, db database)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { f(t, sqlite(t)) })
	t.Run("postgres", func(t *testing.T) { f(t, postgres(t)) })
}

func sqlite(t testing.TB) database {
	path := filepath.Join(t.TempDir(), "queue.db")
	return database{"sqlite", func(cfg sqlqueue.Config) (*sqlqueue.Queue, error) { return sqlitequeue.OpenConfig(bg, path, cfg) }}
}

func postgres(t testing.TB) database {
	dsn := pgtest.DSN(t)
	return database{"postgres", func(cfg sqlqueue.Config) (*sqlqueue.Queue, error) { return pgqueue.Open(bg, dsn, cfg) }}
}

// queue opens the queue; it is closed with the test.
func (d database) queue(t testing.TB, cfg sqlqueue.Config) *sqlqueue.Queue {
	t.Helper()
	q, err := d.open(cfg)
	must(t, err)
	t.Cleanup(func() { must(t, q.Close()) })
	return q
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var lane = queue.Lane{Stream: "news", Domain: "example.com"}

// message is a message for n recipients of the lane.
func message(id string, n int) queue.Put {
	p := queue.Put{
		Message:     &queue.Message{ID: id, Stream: lane.Stream, From: "a@example.org", Recipients: n, Data: []byte("Subject: " + id + "\r\n\r\nHello\r\n")},
		ExpireAfter: time.Hour,
	}
	for i := range n {
		p.Deliveries = append(p.Deliveries, queue.Delivery{
			ID: queue.DeliveryID(id, i+1), MessageID: id, Lane: lane, Recipient: fmt.Sprintf("r%d@example.com", i),
		})
	}
	return p
}

// put stores messages.
func put(t testing.TB, q *sqlqueue.Queue, ps ...queue.Put) {
	t.Helper()
	for _, p := range ps {
		_, err := q.Put(bg, p)
		must(t, err)
	}
}

func claim(t testing.TB, q *sqlqueue.Queue, limit int) []queue.Delivery {
	t.Helper()
	got, err := q.Claim(bg, queue.Claim{Lane: lane, Limit: limit, LeaseFor: time.Minute})
	must(t, err)
	return got.Deliveries
}

// settle settles and expects that no lease was lost.
func settle(t testing.TB, q *sqlqueue.Queue, state queue.State, ds ...queue.Delivery) {
	t.Helper()
	var batch []queue.Settlement
	for _, d := range ds {
		batch = append(batch, queue.Settlement{ID: d.ID, Lease: d.Lease, State: state, Began: state.Final()})
	}
	lost, err := q.Settle(bg, batch)
	must(t, err)
	if len(lost) > 0 {
		t.Fatalf("lost %v", lost)
	}
}

// ids are the IDs of deliveries.
func ids(ds []queue.Delivery) []string {
	out := []string{}
	for _, d := range ds {
		out = append(out, d.ID)
	}
	return out
}

// count runs a query for one number.
func count(t testing.TB, q *sqlqueue.Queue, query string) int {
	t.Helper()
	var n int
	must(t, q.DB().QueryRow(query).Scan(&n))
	return n
}

// eventually waits until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 20 seconds", what)
		}
	}
}
