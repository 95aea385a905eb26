package warmup

import (
	"math"
	"time"
)

// kind names one of the rolling windows.
type kind int

const (
	dayWindow kind = iota
	hourWindow
	minuteWindow
	kinds // the number of windows
)

// reason is why a reservation is refused when the window is full.
func (k kind) reason() Reason {
	switch k {
	case dayWindow:
		return ReasonDayCap
	case hourWindow:
		return ReasonHourCap
	default:
		return ReasonMinuteCap
	}
}

// span is the length of a window and the width of its buckets, in nanoseconds. A count stays for up to length+width, so that
// length/(length+width) of the cap is the least that can be used: 98.9 % for the day, 98.3 % for the hour and the minute.
type span struct{ length, width int64 }

func (k kind) span() span {
	switch k {
	case dayWindow:
		return span{int64(24 * time.Hour), int64(15 * time.Minute)}
	case hourWindow:
		return span{int64(time.Hour), int64(time.Minute)}
	default:
		return span{int64(time.Minute), int64(time.Second)}
	}
}

// maxUnix is the last second that the buckets can number: 2100-01-01.
const maxUnix = 4102444800

// stamp is t in nanoseconds since 1970. Times before 1970 and after 2100 are taken for the nearer end.
func stamp(t time.Time) int64 {
	s := t.Unix()
	if s < 0 {
		return 0
	}
	if s >= maxUnix {
		return maxUnix * int64(time.Second)
	}
	return t.UnixNano()
}

// stamp is a time in nanoseconds since 1970. One that has a monotonic reading, as those of time.Now have, goes by the time that passed since Open.
func (l *Ledger) stamp(t time.Time) int64 {
	if t != t.Round(0) {
		t = l.opened.Round(0).Add(t.Sub(l.opened))
	}
	return stamp(t)
}

// unstamp is the inverse of stamp, in UTC; 0 is the zero time.
func unstamp(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

// bucket is the count of one bucket. slot is the low half of its number; the high half follows from window.newest, since all buckets
// of a window lie close together. Counts above 65,535 take several buckets of the same slot.
type bucket struct{ slot, n uint16 }

// window counts what was used in a rolling window. It is sparse, and errs on the safe side only: a count stays until the end of its
// bucket plus the length of the window.
type window struct {
	buckets []bucket // oldest first
	sum     int      // of all buckets
	newest  uint32   // number of the last bucket
}

// number is the full number of bucket b.
func (w *window) number(b bucket) int64 {
	return int64(w.newest - uint32(uint16(w.newest)-b.slot))
}

// end is when a bucket of the given number stops counting.
func (s span) end(number int64) int64 { return (number+1)*s.width + s.length }

// add counts n at time at, which must not be before that of an earlier add.
func (w *window) add(k kind, at int64, n int) {
	w.prune(k, at)
	s := k.span()
	number := at / s.width
	w.newest = uint32(number)
	w.sum += n
	slot := uint16(number)
	if i := len(w.buckets) - 1; i >= 0 && w.buckets[i].slot == slot {
		room := math.MaxUint16 - int(w.buckets[i].n)
		w.buckets[i].n += uint16(min(n, room))
		n -= min(n, room)
	}
	for n > 0 {
		part := min(n, math.MaxUint16)
		if i := len(w.buckets); i == cap(w.buckets) && i < 128 {
			// Most paths use few buckets: grow by a little, not to the double.
			w.buckets = append(make([]bucket, 0, i+2+i/8), w.buckets...)
		}
		w.buckets = append(w.buckets, bucket{slot, uint16(part)})
		n -= part
	}
}

// prune forgets what no longer counts at time at.
func (w *window) prune(k kind, at int64) {
	s := k.span()
	if len(w.buckets) == 0 || at < s.end(w.number(w.buckets[0])) {
		return
	}
	gone := 0
	for gone < len(w.buckets) && s.end(w.number(w.buckets[gone])) <= at {
		w.sum -= int(w.buckets[gone].n)
		gone++
	}
	w.buckets = w.buckets[:copy(w.buckets, w.buckets[gone:])]
}

// usedAt is what counts at time at, without forgetting anything.
func (w *window) usedAt(k kind, at int64) int {
	used := w.sum
	s := k.span()
	for _, b := range w.buckets {
		if s.end(w.number(b)) > at {
			break
		}
		used -= int(b.n)
	}
	return used
}

// freeAt is when need of what counts will have stopped counting, and false when there is less than that in the window.
func (w *window) freeAt(k kind, need int) (int64, bool) {
	for _, b := range w.buckets {
		need -= int(b.n)
		if need <= 0 {
			return k.span().end(w.number(b)), true
		}
	}
	return 0, false
}

// clone is a copy that shares nothing with w.
func (w *window) clone() window {
	c := *w
	c.buckets = append([]bucket(nil), w.buckets...)
	return c
}
