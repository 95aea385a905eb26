package sender

import (
	"context"
	"time"

	"github.com/reputemail/repute/warmup"
)

// The clocks of a pacer that has a store.
const (
	// prepareTime bounds one preparation.
	prepareTime = time.Minute
	// storePatience is how long mail waits for a preparation before it takes another route.
	storePatience = time.Second
	// maxPrepares is how many paths are prepared at a time: a store may gather their writes.
	maxPrepares = 64
)

// A pacer without PacerPreparer is asked while the dispatcher stands still. So after an answer that took long, cold paths
// rest for a multiple of that time: most of the time belongs to the others.
const (
	slowPacer = 50 * time.Millisecond
	pacerRest = 20 // times as long as the answer took
)

// maxBudgets is how many budgets a message can count against.
const maxBudgets = 3

// budgets are what the first attempts of a stream over a route to a provider count against: the path, the route over all providers, the signing domain at
// the provider, as far as these have plans.
func (s *Sender) budgets(st *stream, r *routeInfo, provider string) (keys [maxBudgets]warmup.Path, n int) {
	if r.warming {
		keys[n] = warmup.Path{Route: r.Name, Provider: provider}
		n++
	}
	if r.total != (warmup.Path{}) {
		keys[n] = r.total
		n++
	}
	if st.domain != "" {
		keys[n] = warmup.Path{Route: st.domain, Provider: provider}
		n++
	}
	return keys, n
}

// allowance is what the pacer has granted to an attempt: a reservation for each budget.
type allowance struct {
	res [maxBudgets]warmup.Reservation
	on  [maxBudgets]Path // in whose lines others wait for it
	n   int
}

// budget is the line for one of the budgets of a path: the path itself, or one that has no connections.
func (d *dispatcher) budget(p *path, key warmup.Path) *path {
	if Path(key) == p.key {
		return p
	}
	b := d.paths[Path(key)]
	if b == nil {
		b = &path{key: Path(key)}
		b.cold.ranked = true
		b.coldAt.ring = func(time.Time) { d.serveCold(b) }
		d.paths[b.key] = b
	}
	return b
}

// allow asks for n first attempts of a lane over a path, from all budgets or none. On ok false it says what is in the way.
func (d *dispatcher) allow(l *lane, p *path, n int, now time.Time) (a allowance, o obstacle, ok bool) {
	keys, budgets := d.s.budgets(l.stream, p.route, l.dest.provider)
	for _, key := range keys[:budgets] {
		b := d.budget(p, key)
		if (d.served != b || !d.servedCold) && b.cold.len() > 0 && (b.coldAt.slot > 0 || b.preparing) { // others were here before
			d.giveBack(&a, now)
			return a, b.scarceFor(now), false
		}
		res, ready := d.reserve(b, n, now)
		if !ready {
			d.giveBack(&a, now)
			return a, d.awaited(b, n, now), false
		}
		b.answered()
		if !res.OK {
			d.giveBack(&a, now)
			return a, b.refused(res, now), false
		}
		a.res[a.n], a.on[a.n] = res, b.key
		a.n++
		if b != p {
			d.forget(b) // unless somebody waits in it
		} else {
			p.busy.ranked = res.Cap > 0 && !res.Complete // nothing is scarce on a warm path: streams share it by their weights
		}
		if l.warmOnly && b == p && res.Cap > 0 && !res.Complete {
			d.giveBack(&a, now)
			return a, obstacle{path: p, wait: Wait{
				Reason: WaitWarmup, Path: p.key, Until: now.Add(warmOnlyEvery), Detail: "the message may not go over a route that is being warmed up",
			}, forbidden: true}, false
		}
	}
	return a, obstacle{}, true
}

// warmOnlyEvery is how often it is looked whether a route has become warm, for mail that forbids cold ones.
const warmOnlyEvery = 10 * time.Minute

// giveBack cancels what was granted in vain.
func (d *dispatcher) giveBack(a *allowance, now time.Time) {
	for _, res := range a.res[:a.n] {
		d.s.pacer.CancelAt(now, res)
	}
	a.n = 0
}

// reserve asks the pacer for n first attempts. When the answer is not ready, it has to be prepared. The mutex is held.
func (d *dispatcher) reserve(p *path, n int, now time.Time) (res warmup.Reservation, ready bool) {
	key := warmup.Path(p.key)
	if d.s.preparer != nil {
		if res, ready = d.s.preparer.TryReserveAt(now, key, n); ready && res.Low {
			d.prepare(p, n, now)
		}
		return res, ready
	}
	if d.pacerRests.After(now) {
		return warmup.Reservation{Path: key, N: n, Reason: warmup.ReasonStore, Until: d.pacerRests}, true
	}
	began := time.Now()
	res = d.s.pacer.ReserveAt(now, key, n)
	if took := time.Since(began); took > slowPacer {
		d.pacerRests = now.Add(min(time.Minute, pacerRest*took))
		d.s.log.Warn("pacer is slow: cold paths rest", "took", took, "until", d.pacerRests)
	}
	return res, true
}

// reserveRest asks the pacer for what is left of a group whose allowance, a, was just given back. It is called without the mutex.
func (d *dispatcher) reserveRest(now time.Time, a *allowance, n int) bool {
	for i, key := range a.on {
		if key == (Path{}) {
			break
		}
		var res warmup.Reservation
		if d.s.preparer != nil {
			res, _ = d.s.preparer.TryReserveAt(now, warmup.Path(key), n)
		} else {
			res = d.s.pacer.ReserveAt(now, warmup.Path(key), n)
		}
		if !res.OK {
			d.giveBack(a, now)
			return false
		}
		a.res[i] = res
		a.n = i + 1
	}
	return true
}

// refused makes an obstacle of the pacer's refusal.
func (p *path) refused(res warmup.Reservation, now time.Time) obstacle {
	until := res.Until
	if !until.After(now) {
		until = now.Add(tokenHold)
	}
	p.scarce = Wait{Reason: WaitWarmup, Path: p.key, Until: until, Detail: warmupDetail(res)}
	return obstacle{path: p, cold: true, wait: p.scarce}
}

// awaited is the obstacle while the pacer has no answer for n first attempts. It sees to it that there will be one.
func (d *dispatcher) awaited(p *path, n int, now time.Time) obstacle {
	p.scarce = Wait{Reason: WaitWarmup, Path: p.key, Detail: "store: allowance is being leased"}
	again := p.prepared.Add(tokenHold)
	if !p.preparing && n <= p.preparedFor && again.After(now) { // the latest preparation was of no use
		p.patience, p.scarce.Until = now, again
		return p.scarceFor(now)
	}
	if !p.preparing || p.patience.IsZero() {
		p.patience = now.Add(storePatience)
	}
	d.prepare(p, n, now)
	return p.scarceFor(now)
}

// answered notes that the pacer had an answer.
func (p *path) answered() { p.patience, p.preparedFor, p.useful = time.Time{}, 0, true }

// scarceFor is the obstacle that the latest refusal makes for those who come now.
func (p *path) scarceFor(now time.Time) obstacle {
	o := obstacle{path: p, cold: true, wait: p.scarce}
	if p.patience.After(now) {
		o.brief, o.wait.Until = true, p.patience
	}
	return o
}

// prepare has the pacer prepare its answer for n first attempts, in a goroutine of its own, one at a time for a path; its
// end serves the line. The mutex is held.
func (d *dispatcher) prepare(p *path, n int, now time.Time) {
	if p.preparing {
		return
	}
	p.useful = false
	p.preparing = d.spawn(func() {
		ctx, cancel := context.WithTimeout(d.s.live, prepareTime) // a Sender that stops needs no allowance
		defer cancel()
		select {
		case d.prepares <- struct{}{}:
			d.s.preparer.PrepareAt(ctx, now, warmup.Path(p.key), n)
			<-d.prepares
		case <-ctx.Done():
		}
		end := time.Now()
		d.mu.Lock()
		defer d.unlock()
		if p.preparing, p.prepared = false, end; !p.useful { // else others have used up meanwhile what it brought
			p.preparedFor = n
		}
		if p.cold.len() > 0 {
			d.setEarlier(&p.coldAt, end)
		}
		d.forget(p)
	})
}

func warmupDetail(r warmup.Reservation) string {
	if r.Reason == warmup.ReasonStore {
		return "store: it failed, or is not asked for a while"
	}
	return string(r.Reason) + ": " + itoa(r.Used) + " of " + itoa(r.Cap) + " used"
}
