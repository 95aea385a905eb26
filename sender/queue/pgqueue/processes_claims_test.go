package pgqueue_test

import (
	"fmt"
	"testing"
	"time"
)

// four starts four processes, which send and put n messages each.
func (w *world) four(n int) []*process {
	w.t.Helper()
	var all []*process
	for i := range 4 {
		all = append(all, w.spawn(fmt.Sprintf("p%d", i+1)))
	}
	for _, p := range all {
		p.start()
		p.puts(p.owner, n)
	}
	return all
}

// TestFourProcessesClaimNothingTwice: each delivery arrives once, also when it is deferred and when its lease is renewed many times.
func TestFourProcessesClaimNothingTwice(t *testing.T) {
	w := newWorld(t, childConfig{OwnerTimeout: time.Minute, Connections: 8, Lease: 10 * time.Second, Letters: letters{Lanes: 7, Size: 500}})
	w.sink.some = 5
	w.sink.delay = func(n int) time.Duration {
		if n%700 == 0 {
			return 15 * time.Second // longer than a lease
		}
		return 0
	}
	w.seed("seed", 1500)
	all := w.four(500)
	for _, p := range all {
		p.await("put")
	}
	w.settled()
	for _, p := range all {
		p.stop()
	}
	if twice := w.checkAll(all...); len(twice) != 0 {
		t.Errorf("%d deliveries were made twice: %.500v", len(twice), twice)
	}
	if n := w.number("SELECT count(*) FROM audit"); n != 0 {
		t.Errorf("%d leases were lost", n)
	}
	if n := w.sink.wandered(); n == 0 {
		t.Error("no retry was made by another process than the first attempt")
	} else {
		t.Logf("%d retries were made by another process", n)
	}
	if n := w.number("SELECT count(*) FROM repute_delivery WHERE attempts <> CASE WHEN records = 2 THEN 2 ELSE 1 END"); n != 0 {
		t.Errorf("%d deliveries have another number of attempts than of records", n)
	}
}
