package sender

import (
	"time"

	"github.com/reputemail/repute/throttle"
)

// obstacle says why a lane could not use a path.
type obstacle struct {
	path *path
	wait Wait
	// saturated: the path is open and only busy, so that overflow routes are not for this mail.
	saturated bool
	// cold: only warm-up is in the way.
	cold bool
	// forbidden: the path is not for this mail, as long as it is cold.
	forbidden bool
	// brief: the answer is on its way, so that no other route is for this mail yet.
	brief bool
	// long: the path has been closed for stickyFor already.
	long bool
	// common: what is scarce is so for the other routes as well.
	common common
}

// common says for which routes something is scarce.
type common int

const (
	notCommon  common = iota
	ofProvider        // all that go to the provider
	ofProcess         // all
)

// commonRates are the reasons of the caps that paths share.
var commonRates = map[throttle.Reason]common{throttle.ReasonProviderRate: ofProvider, throttle.ReasonProcessRate: ofProcess}

// holds reports whether the same is scarce for another route.
func (c common) holds(r *routeInfo) bool { return c == ofProcess || c == ofProvider && r.Relay == nil }

// stand puts a lane in line behind an obstacle. It reports whether it did not stand there already.
func (d *dispatcher) stand(l *lane, o obstacle, now time.Time) (began bool) {
	until := o.wait.Until
	switch {
	case o.wait.Reason == WaitSuspended: // the lanes are reviewed when that ends
	case o.path == nil, o.forbidden:
		began = l.alarm.slot == 0
		d.setEarlier(&l.alarm, until)
	case o.cold:
		began = o.path.cold.add(l)
		switch {
		case o.brief: // then it looks at the other routes
			d.setEarlier(&l.alarm, until)
		case !until.IsZero():
			d.setEarlier(&o.path.coldAt, until)
		}
	default:
		began = o.path.busy.add(l)
		d.hunger(o.path, l.stream.itself())
		if !until.IsZero() {
			d.setEarlier(&o.path.alarm, until)
		}
		d.ensureServed(o.path, now)
	}
	return began
}

// rerank moves a lane in the lines of cold paths to where its best delivery belongs, and has them served if it has its turn. The mutex is held.
func (d *dispatcher) rerank(l *lane) {
	if l.lines == 0 || l.dest == nil {
		return
	}
	for _, r := range l.stream.all {
		keys, n := d.s.budgets(l.stream, r, l.dest.provider)
		for _, key := range keys[:n] {
			p := d.paths[Path(key)]
			if p != nil && p.busy.has(l) {
				p.busy.add(l)
			}
			if p != nil && p.cold.has(l) {
				p.cold.add(l)
				if p.turn == l && len(l.buf) > 0 {
					p.turn = nil
					d.setEarlier(&p.coldAt, time.Now())
				}
			}
		}
	}
}

// ensureServed keeps the invariant that every line is served some time: by an alarm, or by the end of something that is
// under way on the path. It holds after each change of a line or of what is under way.
func (d *dispatcher) ensureServed(p *path, now time.Time) {
	if p.busy.len() > 0 && p.alarm.slot == 0 && p.claiming == 0 && p.starved == "" && p.quiet() {
		d.setAlarm(&p.alarm, now.Add(tokenHold))
	}
}

// quiet reports whether nothing is under way on the path whose end would serve its lines.
func (p *path) quiet() bool {
	idle := 0
	for _, s := range p.idle {
		idle += len(s)
	}
	return p.open == idle
}

// standInLine puts a lane that just had its turn at the end of the line it was served from.
func (d *dispatcher) standInLine(l *lane) {
	switch {
	case d.served == nil:
	case d.servedCold:
		d.served.cold.add(l)
	default:
		d.served.busy.add(l)
	}
}

// serve lets the lanes that wait for a path have their turns, until it is full. site is that of a session that just
// became free, or empty. Each lane that has its turn begins an attempt, or finds the path full, or leaves this line, for
// what is in its way is not here. The mutex is held.
func (d *dispatcher) serve(p *path, site string) {
	if d.served != nil || d.stopping {
		return
	}
	d.served, p.full = p, false
	for left := p.busy.len() + maxTurns; left > 0 && p.busy.len() > 0 && !p.full; left-- {
		l := p.busy.pop(site)
		site = ""
		if began := d.advance(l, 1); began {
			continue
		}
		if p.busy.has(l) && p.full {
			p.busy.putBack(l)
		}
		if l.fetching && len(l.buf) == 0 && l.turn == nil { // its turn is kept
			l.turn = p
			if p.claiming++; p.claiming >= maxClaiming {
				break
			}
		}
	}
	d.served = nil
	d.ensureServed(p, time.Now())
	if p.busy.len() > 0 && !p.full && p.claiming == 0 && p.alarm.slot == 0 {
		d.setAlarm(&p.alarm, time.Now()) // there is room still: go on once others had the mutex
	}
	d.forget(p)
}

// yields reports whether a path leaves mail to one that it rather takes, and that waits for what all of them are short of: so that the order and the weights of a pool
// hold under a common cap, where each path that waits would have as many turns as another. It has its turn when the other one had its, and if that made no use of it, it does not yield again.
func (p *path) yields(before *obstacle, now time.Time) (obstacle, bool) {
	to, until := before.path, before.wait.Until
	if until.IsZero() && to.alarm.slot > 0 {
		until = to.alarm.at
	}
	if p.yielded.to == to && p.yielded.begun == to.begun {
		if until = p.yielded.until; !now.Before(until) {
			return obstacle{}, false
		}
	} else if until.IsZero() {
		return obstacle{}, false
	} else {
		until = until.Add(time.Millisecond)
	}
	p.yielded, p.full = yielded{to, to.begun, until}, true
	return obstacle{path: p, saturated: true, wait: Wait{Reason: WaitTurn, Path: p.key, Until: until}}, true
}

// yielded is to which path another one has left a turn, how many messages that had begun then, and until when.
type yielded struct {
	to    *path
	begun int
	until time.Time
}

// serveCold lets the lanes that wait for warm-up allowance have their turns, until it is used up again.
func (d *dispatcher) serveCold(p *path) {
	if d.served != nil || d.stopping {
		return
	}
	d.served, d.servedCold, p.turn = p, true, nil
	for left := p.cold.len() + maxTurns; left > 0 && p.cold.len() > 0; left-- {
		l := p.cold.pop("")
		if d.advance(l, 1) {
			continue
		}
		if l.fetching && len(l.buf) == 0 { // its turn is kept until it knows what for
			p.cold.add(l)
			p.turn = l
			break
		}
		if p.cold.has(l) {
			p.cold.putBack(l)
			break
		}
	}
	d.served, d.servedCold = nil, false
	if p.cold.len() > 0 && p.coldAt.slot == 0 && !p.preparing {
		d.setAlarm(&p.coldAt, time.Now().Add(tokenHold))
	}
	d.forget(p)
}
