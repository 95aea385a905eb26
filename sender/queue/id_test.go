package queue_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/reputemail/repute/sender/queue"
)

func TestDeliveryIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		message, n := rapid.String().Draw(t, "message"), rapid.IntRange(1, queue.MaxDeliveries).Draw(t, "n")
		if m, k, ok := queue.SplitDeliveryID(queue.DeliveryID(message, n)); !ok || m != message || k != n {
			t.Fatalf("%q, %d, %v", m, k, ok)
		}
	})
	for _, id := range []string{"", "m", "m/", "m/0", "m/01", "m/+1", "m/-1", "m/1048576", "m/x", "m/1 "} {
		if _, _, ok := queue.SplitDeliveryID(id); ok {
			t.Errorf("%q is taken", id)
		}
	}
}
