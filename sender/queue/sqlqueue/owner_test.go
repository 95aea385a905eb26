package sqlqueue_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

// TestOneOwnerOfAFile: a second queue on a SQLite file is refused, and the message says on which.
func TestOneOwnerOfAFile(t *testing.T) {
	db := sqlite(t)
	q, err := db.open(sqlqueue.Config{})
	must(t, err)
	if _, err := db.open(sqlqueue.Config{}); !errors.Is(err, sqlqueue.ErrLocked) || !strings.Contains(err.Error(), "queue.db") {
		t.Errorf("second: %v", err)
	}
	put(t, q, message("m", 2))
	claimed := claim(t, q, 1)
	must(t, q.Close())
	q = db.queue(t, sqlqueue.Config{})
	if got := claim(t, q, 10); len(got) != 2 || got[0].ID != claimed[0].ID || got[0].Lease == claimed[0].Lease {
		t.Errorf("after a restart: %v", ids(got))
	}
}

// TestOwnersTakeOver: what a silent process had leased is claimed by another one after its time-out, and told as news; what one that
// lives has leased is left to it.
func TestOwnersTakeOver(t *testing.T) {
	db := postgres(t)
	dead, err := db.open(sqlqueue.Config{OwnerTimeout: time.Second})
	must(t, err)
	alive, other := db.queue(t, sqlqueue.Config{OwnerTimeout: time.Second}), db.queue(t, sqlqueue.Config{OwnerTimeout: time.Second})
	w := watch(t, other)
	put(t, dead, message("m", 3))
	lost := claim(t, dead, 1)
	kept := claim(t, alive, 1)
	sqlqueue.Silence(dead)
	var got []queue.Delivery
	eventually(t, "taking over", func() bool {
		got = append(got, claim(t, other, 10)...)
		return len(got) == 2
	})
	if !slices.Contains(ids(got), lost[0].ID) || slices.Contains(ids(got), kept[0].ID) {
		t.Errorf("claimed %v; the dead one had %v, the live one %v", ids(got), ids(lost), ids(kept))
	}
	settle(t, alive, queue.Delivered, kept...)
	// The dead one comes back: its settlement is refused.
	gone, err := dead.Settle(bg, []queue.Settlement{{ID: lost[0].ID, Lease: lost[0].Lease, State: queue.Bounced, Began: true}})
	must(t, err)
	if len(gone) != 1 {
		t.Errorf("a late settlement is taken: %v", gone)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	alive.Close()
	must(t, dead.Close())
}

// TestALeaseThatIsLostAgainAndAgain: such a delivery may be what kills its process, so it waits longer each time.
func TestALeaseThatIsLostAgainAndAgain(t *testing.T) {
	db := sqlite(t)
	q, err := db.open(sqlqueue.Config{})
	must(t, err)
	put(t, q, message("m", 1))
	if len(claim(t, q, 1)) != 1 {
		t.Fatal("nothing to claim")
	}
	reopen := func() queue.Claimed {
		t.Helper()
		sqlqueue.Crash(q)
		q, err = db.open(sqlqueue.Config{})
		must(t, err)
		got, err := q.Claim(bg, queue.Claim{Lane: lane, Limit: 1, LeaseFor: time.Minute})
		must(t, err)
		return got
	}
	for range 3 {
		if got := reopen(); len(got.Deliveries) != 1 {
			t.Fatalf("after one of the first crashes: %+v", got)
		}
	}
	got := reopen()
	if len(got.Deliveries) != 0 || !got.More || got.Next <= 5*time.Second || got.Next > 10*time.Second {
		t.Errorf("after the fourth: %+v", got)
	}
	must(t, q.Close())
}

// TestALateSettlementCounts: a lease that ran out while nobody else wanted the delivery is still good.
func TestALateSettlementCounts(t *testing.T) {
	q := sqlite(t).queue(t, sqlqueue.Config{})
	p := message("m", 1)
	p.LeaseFor = time.Millisecond
	leases, err := q.Put(bg, p)
	must(t, err)
	time.Sleep(2 * time.Millisecond)
	lost, err := q.Settle(bg, []queue.Settlement{{ID: "m/1", Lease: leases[0], State: queue.Delivered, Began: true}})
	if err != nil || len(lost) > 0 {
		t.Errorf("%v, %v", lost, err)
	}
}
