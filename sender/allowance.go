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

// reserveRest asks the pacer for what is left of a group whose allowance was just given back. It is called without the mutex.
func (d *dispatcher) reserveRest(now time.Time, p Path, n int) warmup.Reservation {
	if d.s.preparer != nil {
		res, _ := d.s.preparer.TryReserveAt(now, warmup.Path(p), n)
		return res
	}
	return d.s.pacer.ReserveAt(now, warmup.Path(p), n)
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
		ctx, cancel := context.WithTimeout(d.ctx, prepareTime)
		defer cancel()
		go func() { // a Sender that stops needs no allowance
			select {
			case <-d.s.stop:
				cancel()
			case <-ctx.Done():
			}
		}()
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
