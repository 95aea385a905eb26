package throttle

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestShareProperties: whatever the order, whoever comes, goes, crashes, falls silent or loses the store, with conflicts and with writes of
// which nobody knows whether they were made, the sum is never above the limit; and when all is well again everybody has a fair part.
func TestShareProperties(t *testing.T) {
	for _, kind := range []shareKind{shareRate, shareConnections} {
		t.Run(string(kind), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { testShareProperties(t, kind) })
		})
	}
}

func testShareProperties(t *rapid.T, kind shareKind) {
	w := newShareWorld(kind, rapid.IntRange(1, 40).Draw(t, "limit"))
	outage := time.Time{}
	for range rapid.IntRange(1, 100).Draw(t, "steps") {
		pause := rapid.SampledFrom([]time.Duration{0, 0, time.Millisecond, time.Second, 10 * time.Second, 20 * time.Second, 10 * time.Minute}).Draw(t, "pause")
		var live []*shareProcess
		for _, p := range w.ps {
			if !p.gone {
				live = append(live, p)
			}
		}
		// A process is silent for half a minute at most, but in outages, when all are: longer means cut off (rule 6). Between two outages it
		// exchanges.
		if pause > 20*time.Second {
			for _, p := range live {
				if !p.since.IsZero() && !p.since.After(outage) {
					w.now = w.now.Add(time.Millisecond)
					w.exchange(t, p)
				}
			}
			outage = w.now.Add(pause)
			for _, p := range live {
				p.since = outage
			}
		}
		w.now = w.now.Add(pause)
		if len(live) == 0 {
			w.join()
			continue
		}
		for _, p := range live {
			if w.now.Sub(p.since) > 30*time.Second && !p.since.IsZero() {
				w.exchange(t, p)
			}
		}
		p := rapid.SampledFrom(live).Draw(t, "process")
		switch rapid.IntRange(0, 9).Draw(t, "step") {
		case 0:
			if len(live) < 8 {
				w.join()
			}
		case 1:
			w.release(t, p)
		case 2:
			p.gone = true // a crash
		case 3:
			p.busy = !p.busy
		case 4: // a conflict: the function is called again with another record
			if _, err := w.try(p, w.record); err != nil {
				t.Fatal(err)
			}
			w.check(t)
			q := rapid.SampledFrom(live).Draw(t, "the other")
			if q != p {
				w.exchange(t, q)
				w.check(t)
			}
			w.exchange(t, p)
		case 5: // the write fails, or only the answer
			record, err := w.try(p, w.record)
			if err != nil {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "written") {
				w.record, p.since = record, w.now
			}
			w.check(t)
			w.settle(p, errAway)
		case 6: // the store cannot even be read
			w.settle(p, errAway)
		case 7: // a restart under the same name
			w.start(p)
		default:
			w.exchange(t, p)
		}
		if rapid.Bool().Draw(t, "use") {
			w.use(p)
		}
		if rapid.Bool().Draw(t, "trim") {
			p.trim()
		}
		w.check(t)
	}
	// Those that crashed are dead after a minute; then all that are busy have equal parts.
	for range 70 {
		w.second(t)
	}
	busy := []int64{}
	for _, p := range w.ps {
		if !p.gone && p.busy {
			busy = append(busy, p.lease().share)
		}
	}
	if len(busy) == 0 {
		return
	}
	sum := int64(0)
	for _, s := range busy {
		sum += s
	}
	slices.Sort(busy)
	spread := busy[len(busy)-1] - busy[0]
	if kind == shareRate && (spread > 1000 || float64(sum) < 0.97*float64(w.limit)) {
		t.Fatalf("rates %v of %d", busy, w.limit)
	}
	if kind == shareConnections && (spread > 1 || sum < w.limit*7/8-1 && sum < w.limit-int64(len(w.ps))) {
		t.Fatalf("connections %v of %d", busy, w.limit)
	}
}

// TestDeadAfterTTL: the share of one that crashed is free after the TTL and not before, and the time without the store does not count.
func TestDeadAfterTTL(t *testing.T) {
	w := newShareWorld(shareConnections, 2)
	a, b := w.join(), w.join()
	for range 3 {
		w.second(t)
	}
	a.gone = true
	w.exchange(t, b)
	died := w.now
	for b.conns.most() < 2 {
		w.now = w.now.Add(time.Second)
		w.use(b)
		w.exchange(t, b)
		if w.now.Sub(died) > 2*time.Minute {
			t.Fatal("never")
		}
	}
	if d := w.now.Sub(died); d < time.Minute || d > 62*time.Second {
		t.Errorf("its share was free after %v", d)
	}

	// All are away for ten minutes; the first that is back does not take the other for dead.
	a = w.join()
	for range 3 {
		w.second(t)
	}
	w.now = w.now.Add(10 * time.Minute)
	for range 40 {
		w.now = w.now.Add(time.Second)
		w.use(b)
		w.exchange(t, b)
	}
	w.exchange(t, a)
	if a.conns.most() != 1 || b.conns.most() != 1 {
		t.Errorf("%d and %d after an outage", a.conns.most(), b.conns.most())
	}
	// A clock that is set back, or ahead, kills nobody either.
	for _, jump := range []time.Duration{-time.Hour, 2 * time.Hour} {
		w.now = w.now.Add(jump)
		if jump < 0 {
			b.conns.shift(w.now)
		}
		w.use(b)
		w.exchange(t, b)
		if b.conns.most() != 1 {
			t.Errorf("%d after a jump of %v", b.conns.most(), jump)
		}
	}
}

// TestStrictestLimit: the smallest limit that a live owner has is that of all.
func TestStrictestLimit(t *testing.T) {
	w := newShareWorld(shareConnections, 10)
	a, b := w.join(), w.join()
	for range 3 {
		w.second(t)
	}
	b.conns.setLimit(4)
	w.exchange(t, b)
	b.trim()
	w.exchange(t, b)
	w.exchange(t, a)
	a.trim()
	w.exchange(t, a)
	w.limit = 4
	w.check(t)
	for range 3 {
		w.second(t)
	}
	if got := w.shares(); !slices.Equal(got, []int64{2, 2}) {
		t.Errorf("%v", got)
	}
	w.release(t, b)
	w.limit = 10
	for range 3 {
		w.second(t)
	}
	if got := w.shares(); !slices.Equal(got, []int64{10}) {
		t.Errorf("%v after it has left", got)
	}
}

// TestLostRecord: when the store has lost the record those who were there go on as before.
func TestLostRecord(t *testing.T) {
	for _, kind := range []shareKind{shareRate, shareConnections} {
		w := newShareWorld(kind, 12)
		for range 4 {
			w.join()
		}
		for range 10 {
			w.second(t)
		}
		before := w.shares()
		w.record = nil
		for range 5 {
			w.second(t)
		}
		if got := w.shares(); !slices.Equal(got, before) {
			t.Errorf("%s: %v, before %v", kind, got, before)
		}
	}
}

// TestReleaseGivesBack: a release leaves nothing, and the last one no record.
func TestReleaseGivesBack(t *testing.T) {
	w := newShareWorld(shareRate, 12)
	a, b := w.join(), w.join()
	for range 3 {
		w.second(t)
	}
	w.release(t, a)
	if a.rate.share != 0 {
		t.Errorf("%d is left", a.rate.share)
	}
	w.exchange(t, b)
	if b.rate.perSecond() != 12 {
		t.Errorf("%v per second for the other one, at once", b.rate.perSecond())
	}
	w.release(t, b)
	w.release(t, b)
	if w.record != nil {
		t.Errorf("left %s", w.record)
	}
	if _, err := a.rate.release([]byte("?")); err == nil {
		t.Error("a record that cannot be read was released")
	}
}

// TestSharesRefuse: what cannot be read changes nothing, nor does one owner too many.
func TestSharesRefuse(t *testing.T) {
	w := newShareWorld(shareConnections, 2000)
	a := w.join()
	w.use(a)
	w.exchange(t, a)
	if _, err := w.try(a, []byte(`{"v":9}`)); err == nil {
		t.Error("a record of another version was taken")
	} else {
		w.settle(a, err)
	}
	if a.conns.most() != 2000 || a.conns.due(w.now) || !a.conns.due(w.now.Add(2*time.Second)) {
		t.Errorf("%d afterwards", a.conns.most())
	}
	r, err := parseShares(w.record, shareConnections)
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxOwners - 1 {
		r.Owners = append(r.Owners, shareEntry{Owner: fmt.Sprintf("q%064d", i), Want: 2000, Limit: 2000, Beat: 1 << 40, Turn: 1 << 40})
	}
	if w.record, err = r.bytes(); err != nil {
		t.Fatal(err)
	}
	if len(w.record) > 200_000 {
		t.Errorf("the record has %d bytes", len(w.record))
	}
	if _, err := w.try(w.join(), w.record); err == nil {
		t.Error("one owner too many was taken")
	}
	w.exchange(t, a)
}

// TestPause: processes do not come all at the same time; sooner when they have too little, later when the store is away.
func TestPause(t *testing.T) {
	seen := map[time.Duration]bool{}
	for i := range 20 {
		l := newLease(start, shareRate, fmt.Sprint("owner", i), 0)
		p := l.pause(false)
		seen[p] = true
		if p < 900*time.Millisecond || p > 1100*time.Millisecond || l.pause(true) != p/4 {
			t.Errorf("%v, %v", p, l.pause(true))
		}
		l.failures = 100
		if late := l.pause(false); late != 8*p {
			t.Errorf("%v after failures", late)
		}
	}
	if len(seen) < 15 {
		t.Errorf("only %d different ones of 20", len(seen))
	}
}
