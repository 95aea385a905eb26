package sender

import (
	"container/list"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/reputemail/repute/internal/keyed"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/throttle"
)

// The dispatcher's own clocks.
const (
	leaseFor        = 15 * time.Minute // a claim; longer than most attempts, renewed for the others
	houseTime       = time.Minute      // for one round of both
	tidyEvery       = time.Minute      // renewing and giving back leases, expiring
	lookEvery       = 15 * time.Second // looking for mail of other processes and of leases that ran out
	findEvery       = time.Minute      // the same, of a queue that tells of them by itself
	queueRetry      = 5 * time.Second  // after an error of the queue
	gateRetry       = time.Minute      // after an error of the gate or signer
	destinationTTL  = 5 * time.Minute  // of a Resolver that says nothing
	staleFor        = time.Minute      // how long after its end an answer is used while it is asked for anew
	minClaim        = 8
	maxClaim        = 256
	maxBuffered     = 256     // a lane's deliveries that go straight to dispatch
	maxHeld         = 1 << 16 // the same of all lanes together, roughly
	maxClaims       = 64      // claims under way at a time
	maxResolves     = 512     // look-ups under way at a time: dead name servers hold them for long
	maxTrackedHosts = 100_000
)

// dispatcher takes deliveries out of the queue and brings them onto paths. One mutex guards its state; whatever blocks
// (queue, DNS, SMTP) runs in goroutines of its own, and comes back by taking the mutex again.
type dispatcher struct {
	s   *Sender
	ctx context.Context // ends when Stop stops waiting: ends attempts

	mu               sync.Mutex
	stopping         bool
	lanes            map[queue.Lane]*lane
	paths            map[Path]*path
	alarms           alarms
	conns            int             // open connections of all paths
	connsOf          map[Path]int    // of them those of a route, and those to a provider
	pacerRests       time.Time       // until when a pacer that cannot prepare is not asked
	idle             *list.List      // of *session: idle ones of all paths, the oldest first
	starved          []*path         // in line for a connection under a cap
	hungry           map[*stream]int // how many of them are so for a stream
	sending          map[*stream]int // attempts that run
	feeds            int             // how often connections were given to those in line
	served           *path           // whose lanes are having their turns
	servedCold       bool            // those of its line for warm-up allowance
	outbox           []settled       // to be settled when the mutex is released: the settler needs the mutex itself
	spare            *session        // busy still, but may begin the next transaction: only while behind looks for one
	follower         *attempt        // the one that it found
	ready            []*attempt      // begun under the mutex, to be run when it is released
	running          map[*attempt]struct{}
	down             *keyed.Map[string, downHost]
	weights          *weigher
	speeds           *keyed.Map[Path, *speed]
	known            *keyed.Map[string, *destination] // domains, also those whose lanes are gone
	troubles         *keyed.Map[queue.Lane, trouble]  // with the host's parts, a short while ago
	counts           int                              // how often the queue was counted
	foresight        foresight
	wake             chan struct{} // tells run that an earlier alarm was set
	claims, resolves chan struct{} // semaphores
	prepares         chan struct{}
	late             []queue.Settlement // offered while stopping
	holds            *holdSet           // what operators have suspended
	ordered          map[queue.Lane]int // lanes whose mail operators' orders are being carried out on
	moved            map[movedTo]*stream
	wg               sync.WaitGroup
}

// downHost remembers that the hosts of a site could not be reached over a route.
type downHost struct {
	until time.Time
	tries int
}

func newDispatcher(s *Sender) *dispatcher {
	return &dispatcher{
		s:       s,
		lanes:   map[queue.Lane]*lane{},
		paths:   map[Path]*path{},
		running: map[*attempt]struct{}{},
		hungry:  map[*stream]int{}, sending: map[*stream]int{}, connsOf: map[Path]int{},
		idle:    list.New(),
		weights: newWeigher(),
		speeds:  newSpeeds(),
		known:   newKnown(), troubles: newTroubles(),
		down:   keyed.New(keyed.Config[string, downHost]{Max: maxTrackedHosts, Idle: 24 * time.Hour}),
		wake:   make(chan struct{}, 1),
		claims: make(chan struct{}, maxClaims), resolves: make(chan struct{}, maxResolves),
		prepares: make(chan struct{}, maxPrepares),
	}
}

// run rings the alarms until ctx ends.
func (d *dispatcher) run(ctx context.Context) {
	defer d.wg.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		d.mu.Lock()
		next := d.alarms.ring(time.Now())
		d.unlock()
		if next.IsZero() {
			next = time.Now().Add(time.Hour)
		}
		timer.Reset(time.Until(next))
		select {
		case <-ctx.Done():
			return
		case <-d.wake:
		case <-timer.C:
		}
	}
}

// unlock releases the mutex and starts what was begun under it.
func (d *dispatcher) unlock() {
	ready, outbox := d.ready, d.outbox
	d.ready, d.outbox = nil, nil
	for i := range outbox {
		d.s.settler.note(&outbox[i])
	}
	d.mu.Unlock()
	for _, a := range ready {
		go d.work(a)
	}
	for _, b := range outbox {
		d.s.settler.in <- b
	}
}

// setEarlier sets an alarm unless it rings before anyway.
func (d *dispatcher) setEarlier(a *alarm, at time.Time) {
	if a.slot == 0 || at.Before(a.at) {
		d.setAlarm(a, at)
	}
}

// setAlarm sets an alarm and wakes run when it is the next one.
func (d *dispatcher) setAlarm(a *alarm, at time.Time) {
	d.alarms.set(a, at)
	if d.alarms.items[0] == a {
		select {
		case d.wake <- struct{}{}:
		default:
		}
	}
}

// spawn runs f in a goroutine of the dispatcher, unless it is stopping. The mutex is held.
func (d *dispatcher) spawn(f func()) bool {
	if d.stopping {
		return false
	}
	d.wg.Add(1)
	go func() {
		defer d.wg.Done()
		f()
	}()
	return true
}

// lane returns the lane, made when it is new. The mutex is held.
func (d *dispatcher) lane(key queue.Lane) *lane {
	l := d.lanes[key]
	if l == nil {
		l = &lane{key: key, stream: d.s.stream(key.Stream), chunk: minClaim, best: minRank}
		l.route, l.pool, l.warmOnly = splitLaneRoute(key.Route)
		l.stream = d.inPool(l.stream, l.pool)
		l.alarm.ring = func(time.Time) { d.advance(l, 0) }
		d.lanes[key] = l
	}
	return l
}

// expect notes that the queue holds mail for a lane at t.
func (d *dispatcher) expect(key queue.Lane, t time.Time) { d.expectRanked(key, minRank, t) }

// expectRanked is expect for a new delivery, whose priority is known.
func (d *dispatcher) expectRanked(key queue.Lane, rank int, t time.Time) {
	d.mu.Lock()
	defer d.unlock()
	l := d.lane(key)
	if rank > l.best {
		l.best = rank
		d.rerank(l)
	}
	if rank > minRank {
		l.hold(1, d.counts)
	}
	d.expectLocked(key, t)
}

func (d *dispatcher) expectLocked(key queue.Lane, t time.Time) {
	l := d.lane(key)
	l.expects(t)
	if l.free() == 0 && (l.lines == 0 || l.kept > 0) { // else it is in line already, and claims when its turn comes
		d.advance(l, 0)
	}
}

// takesDirect reports whether new deliveries may be leased to us in the write that stores them, rather than be claimed
// later: nothing older is in the queue, and what is in the way, if anything, ends soon.
func (d *dispatcher) takesDirect(ds []queue.Delivery) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopping || len(ds) > maxBuffered {
		return false
	}
	now := time.Now()
	room := max(1, min(maxBuffered, maxHeld/(len(d.lanes)+1)))
	for i := range ds {
		l := d.lanes[ds[i].Lane]
		if d.standsAt(ds[i].Lane, l, now) {
			return false
		}
		if l != nil && (l.lines > 0 && !l.passing() || l.free() >= room || !l.due.IsZero() && !l.due.After(now) || l.fetching || l.returning) {
			return false
		}
	}
	return true
}

// offer hands over deliveries that were leased to us when they were put.
func (d *dispatcher) offer(ds []queue.Delivery) {
	d.mu.Lock()
	defer d.unlock()
	if d.stopping { // the leases run out by themselves, but need not
		for _, del := range ds {
			d.late = append(d.late, release(&del))
		}
		return
	}
	for _, del := range ds {
		l := d.lane(del.Lane)
		l.insert(del)
	}
	for _, del := range ds {
		if l := d.lanes[del.Lane]; l != nil {
			d.rerank(l)
			d.advance(l, 0)
		}
	}
}

// advance brings a lane forward as far as it goes: claims when it has nothing, resolves its destination, begins
// attempts while paths have room: at most limit of them over the path that is being served, after which the lane stands
// at the end of its line; 0: no limit. The mutex is held. It reports whether it began one.
func (d *dispatcher) advance(l *lane, limit int) (began bool) {
	now := time.Now()
	for n := 0; !d.stopping; {
		if d.stands(l, now) {
			return began
		}
		if l.free() <= l.chunk/2 && !l.due.IsZero() && !l.due.After(now) {
			d.claim(l)
		} else if l.lines > 0 && l.better(now) { // what is scarce is for the best
			if d.claim(l); l.fetching {
				return began
			}
		}
		if len(l.buf) == 0 {
			d.retain(l, nil, 0)
			if l.fetching || l.returning || l.resolving { // their end comes back here
				return began
			}
			if !l.due.IsZero() {
				d.setEarlier(&l.alarm, l.due)
			} else if l.idle() {
				d.alarms.clear(&l.alarm)
				delete(d.lanes, l.key)
			}
			return began
		}
		if l.heldUntil.After(now) {
			d.setEarlier(&l.alarm, l.heldUntil)
			return began
		}
		if l.pause > 0 && l.inFlight > 0 { // one at a time, until one gets through; its end comes back here
			return began
		}
		if !d.resolved(l, now) || d.stands(l, now) { // its provider may be known only now
			return began
		}
		if limit > 0 && n >= limit {
			d.standInLine(l)
			return began
		}
		on := d.begin(l, now)
		if on == nil {
			return began
		}
		began = true
		if on == d.served {
			n++
		}
	}
	return began
}

// again puts what was not attempted of a group back at the front of its lane. The mutex is held.
func (d *dispatcher) again(a *attempt) {
	l := a.lane
	if d.stopping {
		for i := range a.back {
			d.late = append(d.late, release(&a.back[i]))
		}
		return
	}
	l.buf = append(slices.Clip(a.back), l.buf...)
}

// hold makes a lane pause, twice as long each time in a row, for a reason that is not the receiver's. The mutex is held.
func (d *dispatcher) hold(l *lane, why WaitReason, err error) {
	l.pause = min(gateRetry, max(time.Second, 2*l.pause))
	l.heldUntil = time.Now().Add(l.pause)
	l.waits = []Wait{{Reason: why, Until: l.heldUntil, Detail: err.Error()}}
	d.troubled(l)
}

// stop makes the dispatcher begin nothing more. What it had leased and not begun goes back to the queue.
func (d *dispatcher) stop() []queue.Settlement {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopping = true
	var back []queue.Settlement
	for _, l := range d.lanes {
		for _, del := range l.buf {
			back = append(back, release(&del))
		}
		l.buf = nil
	}
	for _, p := range d.paths {
		for len(p.idle) > 0 {
			d.evictIdle(p)
		}
	}
	return back
}

// token asks the throttle for one token.
func (d *dispatcher) token(now time.Time, p Path, t throttle.Token) throttle.Decision {
	return d.s.cfg.Throttle.AcquireAt(now, throttle.Path(p), t)
}
