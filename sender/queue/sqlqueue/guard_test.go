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

// TestPutAgainAfterAnError: a host that was told an error puts its message again; whatever had become of the first try, it is there then, and stays.
func TestPutAgainAfterAnError(t *testing.T) {
	both(t, func(t *testing.T, db database) {
		q := db.queue(t, sqlqueue.Config{RetryFor: 3 * time.Second})
		for i := range 5 {
			p := message(fmt.Sprint("m", i), 1)
			if i%2 == 0 {
				p.LeaseFor = time.Hour
			}
			unlock := lock(t, q)
			ctx, cancel := context.WithTimeout(bg, 50*time.Millisecond)
			_, err := q.Put(ctx, p)
			cancel()
			if err == nil {
				t.Fatal("put while nothing can be written")
			}
			unlock()
			p.LeaseFor = 0
			if _, err := q.Put(bg, p); err != nil && !errors.Is(err, queue.ErrDuplicate) {
				t.Fatal(err)
			}
		}
		var got []queue.Delivery
		eventually(t, "all of them", func() bool { got = append(got, claim(t, q, 10)...); return len(got) == 5 })
	})
}

// TestAHostsTransactionHoldsUpItsOwn: as long as a transaction with a message is open, another Put of its ID waits, and the others do not.
func TestAHostsTransactionHoldsUpItsOwn(t *testing.T) {
	q := postgres(t).queue(t, sqlqueue.Config{})
	tx, err := q.DB().Begin()
	must(t, err)
	must(t, q.PutTx(bg, tx, message("held", 1)))
	var wg sync.WaitGroup
	for range 2 { // one for each connection that writes
		wg.Go(func() {
			if _, err := q.Put(bg, message("held", 1)); !errors.Is(err, queue.ErrDuplicate) {
				t.Errorf("held: %v", err)
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	for i := range 20 {
		ctx, cancel := context.WithTimeout(bg, 8*time.Second)
		if _, err := q.Put(ctx, message(fmt.Sprint("m", i), 1)); err != nil {
			t.Errorf("another message: %v", err)
		}
		cancel()
		if t.Failed() {
			break
		}
	}
	must(t, tx.Commit())
	wg.Wait()
}

// TestClaimPassesByWhatIsLocked: a claim takes the next ones, and does not wait.
func TestClaimPassesByWhatIsLocked(t *testing.T) {
	q := postgres(t).queue(t, sqlqueue.Config{})
	put(t, q, message("a", 1), message("b", 1))
	tx, err := q.DB().Begin()
	must(t, err)
	defer tx.Rollback()
	var seq int64
	must(t, tx.QueryRow("SELECT seq FROM repute_delivery ORDER BY seq LIMIT 1 FOR UPDATE").Scan(&seq))
	ctx, cancel := context.WithTimeout(bg, 900*time.Millisecond)
	defer cancel()
	got, err := q.Claim(ctx, queue.Claim{Lane: lane, Limit: 1, LeaseFor: time.Minute})
	if err != nil || len(got.Deliveries) != 1 || got.Deliveries[0].ID != "b/1" {
		t.Errorf("%v, %v", ids(got.Deliveries), err)
	}
}

// TestNobodyIsDeclaredDeadAtFirstSight: after an outage all come back at once, and each has to have had the time to say that it lives.
func TestNobodyIsDeclaredDeadAtFirstSight(t *testing.T) {
	db := postgres(t)
	dead, err := db.open(sqlqueue.Config{OwnerTimeout: time.Hour})
	must(t, err)
	put(t, dead, message("m", 1))
	claim(t, dead, 1)
	sqlqueue.Silence(dead)
	_, err = dead.DB().Exec("UPDATE repute_owner SET expires = 1")
	must(t, err)
	q := db.queue(t, sqlqueue.Config{OwnerTimeout: time.Hour}) // its opening is the first beat
	if len(claim(t, q, 1)) != 0 {
		t.Error("taken over at the first beat")
	}
	must(t, sqlqueue.Beat(q))
	if len(claim(t, q, 1)) != 1 {
		t.Error("not taken over at the second")
	}
	must(t, dead.Close())
}

// TestABodyGoesWithItsDeliveries: also when all of them are settled in one call.
func TestABodyGoesWithItsDeliveries(t *testing.T) {
	both(t, func(t *testing.T, db database) {
		q := db.queue(t, sqlqueue.Config{})
		put(t, q, message("m", 3))
		ds := claim(t, q, 10)
		settle(t, q, queue.Delivered, ds[:2]...)
		if n := count(t, q, "SELECT count(*) FROM repute_body"); n != 1 {
			t.Errorf("%d bodies while one waits", n)
		}
		settle(t, q, queue.Bounced, ds[2])
		put(t, q, message("n", 3))
		settle(t, q, queue.Delivered, claim(t, q, 10)...)
		if n := count(t, q, "SELECT count(*) FROM repute_body"); n != 0 {
			t.Errorf("%d bodies in the end", n)
		}
	})
}

// TestAClaimTellsOfOtherLanes: a lease that a claim of another lane finds run out is news of its own lane.
func TestAClaimTellsOfOtherLanes(t *testing.T) {
	q := sqlite(t).queue(t, sqlqueue.Config{})
	w := watch(t, q)
	p := message("m", 1)
	p.LeaseFor = time.Millisecond
	put(t, q, p)
	time.Sleep(100 * time.Millisecond)
	_, err := q.Claim(bg, queue.Claim{Lane: queue.Lane{Stream: "other", Domain: "example.net"}, Limit: 1, LeaseFor: time.Minute})
	must(t, err)
	eventually(t, "the news", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.lanes) == 1 && w.lanes[0] == lane
	})
}

// TestTransactionsAreBounded: however much comes at once, others get their turn.
func TestTransactionsAreBounded(t *testing.T) {
	q := sqlite(t).queue(t, sqlqueue.Config{})
	unlock := lock(t, q)
	before := sqlqueue.Transactions(q)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			if _, err := q.Put(bg, message(fmt.Sprint("m", i), 100)); err != nil {
				t.Error(err)
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	unlock()
	wg.Wait()
	if n := sqlqueue.Transactions(q) - before; n < 4 {
		t.Errorf("4000 deliveries in %d transactions", n)
	}
}

// TestALargeMessageIsNewsByItself: what is put in transactions is taken note of in small steps.
func TestALargeMessageIsNewsByItself(t *testing.T) {
	q := sqlite(t).queue(t, sqlqueue.Config{})
	tx, err := q.DB().Begin()
	must(t, err)
	for i := range 4 {
		must(t, q.PutTx(bg, tx, message(fmt.Sprint("m", i), 1500)))
	}
	must(t, tx.Commit())
	before := sqlqueue.Transactions(q)
	w := watch(t, q)
	eventually(t, "all news", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.accepted) == 6000 })
	if n := sqlqueue.Transactions(q) - before; n < 4 {
		t.Errorf("in %d steps", n)
	}
}

// TestADamagedHistoryHoldsNothingUp: it tells less, and its delivery goes out.
func TestADamagedHistoryHoldsNothingUp(t *testing.T) {
	both(t, func(t *testing.T, db database) {
		q := db.queue(t, sqlqueue.Config{})
		put(t, q, message("a", 1), message("b", 1))
		_, err := q.DB().Exec("UPDATE repute_delivery SET history = 'no JSON', records = 1 WHERE seq = (SELECT min(seq) FROM repute_delivery)")
		must(t, err)
		got := claim(t, q, 10)
		if len(got) != 2 || len(got[0].History) != 0 {
			t.Fatalf("%+v", got)
		}
		settle(t, q, queue.Delivered, got...)
	})
}
