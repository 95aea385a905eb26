package throttle

import (
	"errors"
	"fmt"
	"time"
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
