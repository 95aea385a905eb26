package throttle

import "time"

// learnt is what a path has learnt of its receiver. Most paths have none.
type learnt struct {
	conns concurrency
	pace  pace
	next  time.Time // when the pace lets the next message begin

	perConnection, recipients learntNumber
	closedAfter               int       // how many messages the latest session had carried that was closed without a word
	closedAt                  time.Time // when that was noticed

	// The rows and windows that lead to a suspension: blocks are the times of the latest blocks, the oldest first; blockRow counts those without a
	// success between.
	blocks   []time.Time
	blockRow int
	warned   time.Time // the latest warning

	// What reactions have counted, and what they have imposed.
	windows map[*Reaction]*window
	imposed []imposed
}

// learntNumber is a number that a receiver has shown by refusing more. It holds for a day, and then the configured one is tried again.
type learntNumber struct {
	n  int // 0: none
	at time.Time
}

const (
	learntHold = 24 * time.Hour
	// closesWithin is how far apart two sessions may be closed after the same number of messages to show a limit.
	closesWithin = time.Hour
	// warnEvery is how often a path is warned of at most.
	warnEvery = time.Hour
)

func (n *learntNumber) effective(now time.Time, configured int) int {
	if n.n == 0 {
		return configured
	}
	if now.Sub(n.at) >= learntHold {
		*n = learntNumber{}
		return configured
	}
	return tighter(configured, n.n)
}

// refused notes that the receiver took no more than taken; 0 when that is not known: then it is half, once a minute at most. fallback is what an
// unlimited number counts as. It reports whether the number is lower now.
func (n *learntNumber) refused(now time.Time, taken, configured, fallback int) bool {
	most := n.effective(now, configured)
	if taken <= 0 {
		if n.n > 0 && now.Sub(n.at) < time.Minute {
			return false
		}
		if taken = most / 2; most == 0 {
			taken = fallback / 2
		}
		taken = max(1, taken)
	}
	lower := most == 0 || taken < most
	n.n, n.at = taken, now
	return lower
}

// lower applies what was learnt to limits.
func (k *learnt) lower(now time.Time, l *Limits) {
	l.Connections = k.conns.effective(l.Connections)
	l.MessagesPerConnection = k.perConnection.effective(now, l.MessagesPerConnection)
	l.Recipients = k.recipients.effective(now, l.Recipients)
	if k.pace.rate > 0 {
		l.MessageRate = slower(l.MessageRate, asRate(k.pace.rate))
	}
	k.lowerImposed(now, l)
}

// empty reports whether nothing is remembered that lowers a limit.
func (k *learnt) empty(now time.Time) bool {
	for _, m := range k.imposed {
		if now.Before(m.until) {
			return false
		}
	}
	return k.conns.most == 0 && k.pace.rate == 0 && k.perConnection.effective(now, 0) == 0 && k.recipients.effective(now, 0) == 0
}

// take takes a message of the pace, or says when there will be one.
func (k *learnt) take(now time.Time) (until time.Time, ok bool) {
	rate := k.rate(now)
	if rate == 0 {
		return time.Time{}, true
	}
	interval := time.Duration(float64(time.Second) / rate)
	if latest := now.Add(interval); k.next.After(latest) { // the rate has risen since
		k.next = latest
	}
	if now.Before(k.next) {
		return k.next, false
	}
	k.next = now.Add(interval)
	return time.Time{}, true
}

// give gives back a message that take gave.
func (k *learnt) give() { k.next = time.Time{} }

// block counts a block, and reports whether it is one too many.
func (k *learnt) block(now time.Time, b *Backoff) bool {
	if n := len(k.blocks); n > 0 && now.Sub(k.blocks[n-1]) >= blockWindow {
		k.blockRow = 0
	}
	k.blockRow++
	if k.blocks == nil {
		k.blocks = make([]time.Time, 0, b.BlocksPerHour)
	}
	if len(k.blocks) == cap(k.blocks) {
		copy(k.blocks, k.blocks[1:])
		k.blocks = k.blocks[:len(k.blocks)-1]
	}
	k.blocks = append(k.blocks, now)
	full := len(k.blocks) == cap(k.blocks) && now.Sub(k.blocks[0]) < blockWindow
	return full || k.blockRow >= b.BlocksInRow
}

// closed notes a session that the receiver closed without a word after some messages. It reports whether that shows a limit.
func (k *learnt) closed(now time.Time, messages int) bool {
	same := k.closedAfter == messages && now.Sub(k.closedAt) < closesWithin
	k.closedAfter, k.closedAt = messages, now
	return same
}

// shift moves what is remembered by the distance that the clock jumped.
func (k *learnt) shift(by time.Duration) {
	times := []*time.Time{&k.conns.at, &k.pace.at, &k.next, &k.perConnection.at, &k.recipients.at, &k.closedAt, &k.warned}
	for i := range k.blocks {
		times = append(times, &k.blocks[i])
	}
	for i := range k.imposed {
		times = append(times, &k.imposed[i].until)
	}
	for _, w := range k.windows {
		w.shift(by)
	}
	for _, t := range times {
		if !t.IsZero() {
			*t = t.Add(by)
		}
	}
}
