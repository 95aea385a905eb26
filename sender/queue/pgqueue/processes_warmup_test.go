package pgqueue_test

import (
	"fmt"
	"testing"
	"time"
)

// TestFourProcessesKeepAWarmupCap: four processes share the allowance of a cold address. Together they never send more in a day, though one of
// them is killed, started again under its name, and all are restarted in the end.
func TestFourProcessesKeepAWarmupCap(t *testing.T) {
	const limit, useful = 1000, 700
	w := newWorld(t, childConfig{OwnerTimeout: time.Second, Connections: 8, Cap: limit, Letters: letters{Lanes: 3, Size: 500, Single: true}})
	w.sink.delay = func(int) time.Duration { return 20 * time.Millisecond }
	w.seed("seed", 2000)
	all := w.four(400)
	w.wait("the middle", func() bool { return w.sink.messages() > 300 })
	all[2].kill()
	at := w.sink.messages()
	all[2] = w.spawn(all[2].owner)
	all[2].start()
	all[2].puts("again", 300)
	w.quiet()
	if n := w.sink.messages(); n <= at {
		t.Errorf("nothing came after one was killed at %d messages", at)
	}
	for _, p := range all {
		p.await("put")
		p.stop()
	}
	// A process of a new name, and all under their old ones.
	for i := range 5 {
		all = append(all, w.spawn(fmt.Sprintf("p%d", i+1)))
		all[len(all)-1].start()
	}
	w.quiet()
	for _, p := range all[4:] {
		p.stop()
	}
	n := w.sink.messages()
	if n > limit || n < useful {
		t.Errorf("%d messages came; at most %d may, and at least %d should", n, limit, useful)
	}
	by := map[string]int{}
	for _, hosts := range w.sink.arrivals() {
		for _, h := range hosts {
			by[h]++
		}
	}
	t.Logf("%d messages came, of a cap of %d; %d before the kill; %v", n, limit, at, by)
	if n := w.number("SELECT count(*) FROM repute_delivery WHERE state NOT IN (0, 1, 3)"); n != 0 {
		t.Errorf("%d deliveries neither wait nor are delivered", n)
	}
}

// quiet waits until nothing more comes.
func (w *world) quiet() {
	w.t.Helper()
	last, since := -1, time.Now()
	w.wait("silence", func() bool {
		if n := w.sink.messages(); n != last {
			last, since = n, time.Now()
		}
		return time.Since(since) > 3*time.Second
	})
}
