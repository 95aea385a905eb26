//go:build unix

package pgqueue_test

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestOneOfFourStandsStill: a process that is stopped for longer than its time-out loses its deliveries to the others. When it goes on, its
// settlements of them are refused, and nothing arrives twice but what it had in flight.
func TestOneOfFourStandsStill(t *testing.T) {
	w := newWorld(t, childConfig{OwnerTimeout: time.Second, Connections: 6, Letters: letters{Lanes: 5, Size: 500}})
	w.sink.some = 9
	w.sink.delay = func(int) time.Duration { return 10 * time.Millisecond }
	w.seed("seed", 1000)
	all := w.four(600)
	victim := all[1]
	w.wait("the middle", func() bool { return w.sink.messages() > 800 })
	w.must(victim.cmd.Process.Signal(syscall.SIGSTOP))
	at := time.Now()
	held := w.leasedBy(victim.owner)
	if held == 0 {
		t.Fatal("it had nothing in flight")
	}
	inside := w.number("SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND state = 'idle in transaction'", victim.owner)
	w.wait("taking over", func() bool { // what it had said to the server before may be committed after
		n := w.leasedBy(victim.owner)
		held = max(held, n)
		return n == 0
	})
	taken := len(w.lost(victim))
	if taken > held {
		t.Errorf("%d were taken over of %d", taken, held)
	}
	t.Logf("%d deliveries were in flight, and %d transactions; the others had them after %v", held, inside, time.Since(at).Round(10*time.Millisecond))
	for _, p := range all {
		if p != victim {
			p.await("put")
		}
	}
	w.settled()
	t.Logf("the others had settled all after %v", time.Since(at).Round(10*time.Millisecond))
	w.must(victim.cmd.Process.Signal(syscall.SIGCONT))
	victim.await("put")
	w.settled()
	for _, p := range all {
		p.stop()
	}
	// On a busy machine it may have been silent again since.
	w.checkTwice(w.checkAll(all...), victim, held+len(w.lost(victim))-taken)
	const refused = "taken over by another process before it was settled"
	if n := strings.Count(victim.said(), refused); n == 0 {
		t.Error("none of its settlements was refused")
	} else {
		t.Logf("%d of its settlements were refused", n)
	}
}
