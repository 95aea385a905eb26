package pgqueue_test

import (
	"context"
	"testing"

	"github.com/reputemail/repute/internal/pgtest"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue/pgqueue"
	"github.com/reputemail/repute/sender/queue/queuetest"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

func TestConformance(t *testing.T) {
	pgtest.DSN(t) // or the test ends here
	queuetest.RunWith(t, queuetest.Options{Real: true}, func(t *testing.T) sender.Queue {
		q, err := pgqueue.Open(context.Background(), pgtest.DSN(t), sqlqueue.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := q.Close(); err != nil {
				t.Error(err)
			}
		})
		return q
	})
}
