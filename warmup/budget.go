package warmup

import (
	"math"
	"time"
)

// Beside the allowance of its path, a message may have to keep within that of its route over all providers, and that of its signing domain at the
// provider. These are paths like any other, with names that no route has, and plans of their own in Config.Plans under Path.Route. Whoever
// sends reserves, settles and observes on each of them; the Sender does.

// Total is the path that stands for all providers of a route together. It has no gate: a provider that turns sour holds its own path, and the others go on.
func Total(route string) Path { return Path{Route: totalPrefix + route, Provider: "all"} }

// totalPrefix begins Path.Route of a Total.
const totalPrefix = "total:"

// SigningDomain is the path that stands for all mail that is signed by a domain, to a provider: receivers judge domains as they judge
// addresses, whatever address the mail comes from.
func SigningDomain(domain, provider string) Path {
	return Path{Route: "domain:" + domain, Provider: provider}
}

// Room is how much of the allowance of a path is left.
type Room struct {
	// N is how many messages could be reserved, one by one or together; math.MaxInt where no cap applies.
	N int
	// Until is when there may be more, as in a Reservation, and Reason why there is not; zero when N is above 0.
	Until  time.Time
	Reason Reason
}

// RoomWithinAt tells about how many messages a path may carry from a time on within another, if its stage stays: so many are worth keeping for it.
// math.MaxInt where no cap applies. Like RoomAt it goes by what this owner knows. Safe for concurrent use.
func (l *Ledger) RoomWithinAt(now time.Time, p Path, within time.Duration) int {
	lad := l.ladders[p.Route]
	if lad == nil {
		return math.MaxInt
	}
	pt := l.look(p, lad)
	pt.mu.Lock()
	defer pt.mu.Unlock()
	at := max(l.stamp(now), pt.seen)
	r := pt.ahead(at)
	switch {
	case r.paused || within <= 0:
		return 0
	case r.pos >= lad.top():
		return math.MaxInt
	}
	end := at + int64(min(within, 24*time.Hour))
	n := math.MaxInt
	for k := range kinds {
		times := (end-at)/k.span().length + 1 // how often the window may be filled
		if k == dayWindow {
			times = 1
		}
		n = min(n, lad.caps[r.pos][k]*int(times)-pt.windows[k].usedAt(k, end)-pt.outstanding)
	}
	if pace := lad.pace[r.pos]; pace > 0 {
		n = min(n, int((end-max(at, pt.paced-paceBurst))/pace)+1)
	}
	return max(0, n)
}

// RoomAt tells how many messages a path may carry at a time. It reserves nothing and does not use the store, so of what other processes use it knows
// only what the last lease told, and of a stage that is due to move it says what the next one would have. Safe for concurrent use.
func (l *Ledger) RoomAt(now time.Time, p Path) Room {
	lad := l.ladders[p.Route]
	if lad == nil {
		return Room{N: math.MaxInt}
	}
	pt := l.look(p, lad)
	pt.mu.Lock()
	defer pt.mu.Unlock()
	at := max(l.stamp(now), pt.seen)
	r := pt.ahead(at)
	switch {
	case r.paused:
		return Room{Until: unstamp(at + int64(time.Minute)), Reason: ReasonPaused}
	case r.pos >= lad.top():
		return Room{N: math.MaxInt}
	}
	n := MaxCap
	for k := range kinds {
		n = min(n, lad.caps[r.pos][k]-pt.windows[k].usedAt(k, at)-pt.outstanding)
	}
	if refused := pt.checkAt(r.pos, at, 1); !refused.OK {
		return Room{Until: refused.Until, Reason: refused.Reason}
	}
	return Room{N: n}
}
