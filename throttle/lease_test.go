package throttle

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var errAway = errors.New("the store is away")

// shareProcess is a process that shares one limit: of connections, or of a rate if rate is not nil.
type shareProcess struct {
	name  string
	conns *sharedConnections
	rate  *sharedRate
	open  int
	busy  bool // it wants all that it can have
	gone  bool // crashed, or has left
	since time.Time
}

func (p *shareProcess) lease() *lease {
	if p.rate != nil {
		return &p.rate.lease
	}
	return &p.conns.lease
}

// shareWorld is a record and those who share it.
type shareWorld struct {
	kind   shareKind
	limit  int64
	now    time.Time
	record []byte
	ps     []*shareProcess
	made   int
}

func newShareWorld(kind shareKind, limit int) *shareWorld {
	w := &shareWorld{kind: kind, limit: int64(limit), now: start}
	if kind == shareRate {
		w.limit *= one
	}
	return w
}

// join adds a process that wants all it can have.
func (w *shareWorld) join() *shareProcess {
	w.made++
	p := &shareProcess{name: fmt.Sprintf("p%03d", w.made), busy: true}
	w.start(p)
	w.ps = append(w.ps, p)
	return p
}

// start gives a process a lease, as after a restart.
func (w *shareWorld) start(p *shareProcess) {
	p.open, p.gone = 0, false
	if w.kind == shareRate {
		p.rate = newSharedRate(w.now, Rate{int(w.limit / one), time.Second}, p.name, time.Minute)
	} else {
		p.conns = newSharedConnections(w.now, int(w.limit), p.name, time.Minute)
	}
}

// use takes what a busy process can have.
func (w *shareWorld) use(p *shareProcess) {
	if !p.busy {
		return
	}
	if p.rate != nil {
		for ok := true; ok; {
			_, ok = p.rate.take(w.now)
		}
		return
	}
	for p.conns.take(p.open) {
		p.open++
	}
}

// trim closes connections until no more than allowed are open.
func (p *shareProcess) trim() {
	if p.conns != nil && (p.open > p.conns.most() || !p.busy) {
		p.open = min(p.open, p.conns.most())
		if !p.busy {
			p.open = 0
		}
	}
}

// try is one call of the exchange on the record.
func (w *shareWorld) try(p *shareProcess, old []byte) ([]byte, error) {
	if p.rate != nil {
		return p.rate.exchange(w.now, old)
	}
	return p.conns.exchange(w.now, old, p.open)
}

func (w *shareWorld) settle(p *shareProcess, err error) {
	if p.rate != nil {
		p.rate.settle(w.now, err)
	} else {
		p.conns.settle(w.now, err, p.open)
	}
}

// exchange does all of it, without anything in its way.
func (w *shareWorld) exchange(t failer, p *shareProcess) {
	t.Helper()
	record, err := w.try(p, w.record)
	if err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	w.record = record
	w.settle(p, nil)
	p.since = w.now
}

// second lets a second pass in which all that live exchange once, use what they get, and close what is too much.
func (w *shareWorld) second(t failer) {
	t.Helper()
	var order []*shareProcess
	for _, p := range w.ps {
		if !p.gone {
			order = append(order, p)
		}
	}
	for _, p := range order {
		steps := 1
		if w.kind == shareRate {
			steps = 20 // a bucket holds less than what comes in a second
		}
		for range steps {
			w.now = w.now.Add(time.Second / time.Duration(steps*len(order)))
			for _, p := range order {
				w.use(p)
			}
		}
		w.exchange(t, p)
		w.use(p)
		p.trim()
		w.check(t)
	}
}

func (w *shareWorld) release(t failer, p *shareProcess) {
	t.Helper()
	record, err := p.lease().release(w.record)
	if err != nil {
		t.Fatal(err)
	}
	w.record = record
	p.open, p.gone = 0, true
}

type failer interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// check holds the sums against the limit: of the record, and of what those who live may use or do use.
func (w *shareWorld) check(t failer) {
	t.Helper()
	r, err := parseShares(w.record, w.kind)
	if err != nil {
		t.Fatal(err)
	}
	recorded, allowed, open := int64(0), int64(0), 0
	for _, e := range r.Owners {
		recorded += e.Share
	}
	for _, p := range w.ps {
		if !p.gone {
			allowed += p.lease().share
			open += p.open
		}
	}
	if recorded > w.limit || allowed > w.limit {
		t.Fatalf("%d in the record and %d in use, limit %d: %s", recorded, allowed, w.limit, w.record)
	}
	if w.kind == shareConnections && int64(open) > w.limit {
		t.Fatalf("%d connections are open, limit %d: %s", open, w.limit, w.record)
	}
}

func (w *shareWorld) shares() []int64 {
	var all []int64
	for _, p := range w.ps {
		if !p.gone {
			all = append(all, p.lease().share)
		}
	}
	return all
}

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
