package sqlitequeue_test

import (
	"path/filepath"
	"testing"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue/queuetest"
	"github.com/reputemail/repute/sender/queue/sqlitequeue"
)

func TestConformance(t *testing.T) {
	queuetest.Run(t, func(t *testing.T) sender.Queue {
		q, err := sqlitequeue.Open(filepath.Join(t.TempDir(), "queue.db"))
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
