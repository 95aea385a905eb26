package pgqueue_test

import (
	"testing"
	"time"
)

// TestOneOfFourIsKilled: the others finish its work. Nothing that was accepted is lost, and nothing arrives twice but what it had
// in flight.
func TestOneOfFourIsKilled(t *testing.T) {
	w := newWorld(t, childConfig{OwnerTimeout: time.Second, Connections: 6, Letters: letters{Lanes: 5, Size: 500}})
	w.sink.some = 9
	w.sink.delay = func(int) time.Duration { return 10 * time.Millisecond }
	w.seed("seed", 1000)
	all := w.four(600)
	victim := all[1]
	w.wait("the middle", func() bool { return w.sink.messages() > 800 })
	victim.kill()
	at := time.Now()
	before := len(w.lost(victim)) // while it was alive: on a busy machine it may have been silent for a second
	held := w.leasedBy(victim.owner)
	if held == 0 {
		t.Fatal("it had nothing in flight")
	}
	w.wait("taking over", func() bool { // what it had said to the server before may be committed after
		n := w.leasedBy(victim.owner)
		held = max(held, n)
		return n == 0
	})
	t.Logf("%d deliveries were in flight; the others had them after %v", held, time.Since(at).Round(10*time.Millisecond))
	for _, p := range all {
		if p != victim {
			p.await("put")
		}
	}
	w.settled()
	for _, p := range all {
		if p != victim {
			p.stop()
		}
	}
	w.checkTwice(w.checkAll(all...), victim, held+before)
}

// checkTwice checks what arrived twice: only what was taken over, and of the victim no more than it held, now or when it lost it.
func (w *world) checkTwice(twice []string, victim *process, held int) {
	w.t.Helper()
	lapsed := w.addresses("kind = 'lapsed'")
	own := w.lost(victim)
	n := 0
	for _, to := range twice {
		if !lapsed[to] {
			w.t.Errorf("%s arrived twice, by %v, and nobody had lost it", to, w.sink.arrivals()[to])
		}
		if own[to] {
			n++
		}
	}
	if n > held {
		w.t.Errorf("%d arrived twice of what %s had, which was %d", n, victim.owner, held)
	}
	// On a busy machine a live process may be silent for a second as well.
	w.t.Logf("%s lost %d leases, the others %d", victim.owner, len(own), len(lapsed)-len(own))
}

// lost are the recipients whose leases were taken from a process.
func (w *world) lost(p *process) map[string]bool {
	w.t.Helper()
	return w.addresses("kind = 'lapsed' AND audit.owner LIKE $1", p.owner+" %")
}
