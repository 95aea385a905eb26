package throttle

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestConnectionsAreShared(t *testing.T) {
	w := newShareWorld(shareConnections, 10)
	want := func(when string, shares ...int64) {
		t.Helper()
		for range 3 {
			w.second(t)
		}
		if got := w.shares(); !slices.Equal(got, shares) {
			t.Errorf("%s: %v, want %v", when, got, shares)
		}
	}
	a := w.join()
	want("alone", 10)
	b := w.join()
	want("two", 5, 5)
	c := w.join()
	want("three", 4, 3, 3)
	a.busy = false
	want("one is idle", 0, 5, 5)
	a.busy = true
	w.release(t, c)
	want("one has left", 5, 5)
	b.gone = true
	want("one has crashed", 5)
	w.now = w.now.Add(time.Second)
	for range 70 {
		w.second(t)
	}
	want("and is dead", 10)
}

// TestConnectionsInTurn: with more processes than connections everybody has one every now and then, whoever comes and goes.
func TestConnectionsInTurn(t *testing.T) {
	for _, limit := range []int{1, 2, 3} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			w := newShareWorld(shareConnections, limit)
			const n = 7
			for range n {
				w.join()
			}
			last := map[*shareProcess]time.Time{}
			used, seconds := 0, 0
			for i := range 400 {
				w.second(t)
				if i == 200 { // somebody comes, at the end of the line
					w.join()
				}
				for _, p := range w.ps {
					if last[p].IsZero() {
						last[p] = w.now
					}
					if p.open > 0 {
						used++
						last[p] = w.now
					}
					// A round is a turn of each, and some seconds from one to the next.
					if wait, round := w.now.Sub(last[p]), (turnTime+4*time.Second)*time.Duration(len(w.ps)/limit+1); wait > round {
						t.Fatalf("%s has waited for %v", p.name, wait)
					}
				}
				seconds += limit
			}
			if part := float64(used) / float64(seconds); part < 0.75 {
				t.Errorf("%.2f of the connections were used", part)
			}
		})
	}
}

// TestTurnWithoutOthers: who has the only connection keeps it when nobody else wants it.
func TestTurnWithoutOthers(t *testing.T) {
	w := newShareWorld(shareConnections, 1)
	a := w.join()
	w.second(t)
	w.join().busy = false
	for range 60 {
		w.second(t)
		if a.open != 1 {
			t.Fatal("it was taken away")
		}
	}
}

// TestOpenConnectionsCount: a share does not shrink below what is open, and none is opened again.
func TestOpenConnectionsCount(t *testing.T) {
	w := newShareWorld(shareConnections, 4)
	a := w.join()
	w.use(a)
	w.exchange(t, a)
	w.use(a)
	b := w.join()
	w.exchange(t, b)
	w.now = w.now.Add(time.Second)
	w.use(b)
	w.exchange(t, b)
	w.exchange(t, a)
	if a.open != 4 || a.conns.most() != 2 || b.conns.most() != 0 {
		t.Errorf("%d open of %d, and %d", a.open, a.conns.most(), b.conns.most())
	}
	a.open = 3
	if a.conns.take(a.open) {
		t.Error("a connection above the share was opened again")
	}
	w.exchange(t, a)
	w.exchange(t, b)
	if b.conns.most() != 1 {
		t.Errorf("%d for the other when one was closed", b.conns.most())
	}
	w.check(t)
}

// TestConnectionsOfOneCutOff: one that was cut off for more than the TTL keeps what it has, and no more; back again, it counts with what it
// has open.
func TestConnectionsOfOneCutOff(t *testing.T) {
	w := newShareWorld(shareConnections, 6)
	a, b := w.join(), w.join()
	for range 3 {
		w.second(t)
	}
	a.gone = true // to the world
	for range 70 {
		w.second(t)
	}
	if a.conns.most() != 3 || b.conns.most() != 6 {
		t.Fatalf("%d and %d", a.conns.most(), b.conns.most())
	}
	a.gone = false
	w.exchange(t, a)
	if a.conns.most() != 0 || a.open != 3 {
		t.Errorf("%d of %d open", a.open, a.conns.most())
	}
	r, err := parseShares(w.record, shareConnections)
	if err != nil || r.Owners[0].Share != 3 {
		t.Errorf("%s, %v", w.record, err)
	}
	a.trim()
	b.open = 0
	for range 5 {
		w.second(t)
	}
	if a.conns.most() != 3 || b.conns.most() != 3 {
		t.Errorf("%d and %d in the end", a.conns.most(), b.conns.most())
	}
}

func BenchmarkShareExchange(b *testing.B) {
	for _, n := range []int{4, 100, 1000} {
		b.Run(fmt.Sprint(n, " owners"), func(b *testing.B) {
			w := newShareWorld(shareConnections, 100)
			for range n {
				w.exchange(failsBenchmark{b}, w.join())
			}
			p := w.ps[n/2]
			b.ReportAllocs()
			for b.Loop() {
				w.exchange(failsBenchmark{b}, p)
			}
			b.ReportMetric(float64(len(w.record)), "bytes")
		})
	}
}

type failsBenchmark struct{ *testing.B }
