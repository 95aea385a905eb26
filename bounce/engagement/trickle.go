package engagement

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// trickleKey is the key of the trickle's record. No address is like it.
const trickleKey = "trickle"

const (
	slotWidth = int64(5 * time.Minute)
	dayWindow = int64(24 * time.Hour)
	// burstWindow is how long one part in spread of the day's messages has to last. A slot counts up to five minutes longer, so who
	// asks once an hour always finds the whole part free, and after 20 of them the day's.
	burstWindow = int64(50 * time.Minute)
	spread      = 20
	// maxSlots is more than there can be: of a day past, a day to come and the ends.
	maxSlots = 2*int(dayWindow/slotWidth) + 8
)

// slot is how many messages were handed out in five minutes.
type slot struct {
	number int64 // since 1970
	n      int
}

// ends is when the slot stops counting in a window: its last message may have gone at its end.
func (s slot) ends(window int64) int64 { return (s.number+1)*slotWidth + window }

// trickle is what was handed out in the last 24 hours by all processes, oldest first.
type trickle []slot

var errTrickle = errors.New("engagement: the trickle's record is not of this version")

// decodeTrickle reads "1 number:n number:n …".
func decodeTrickle(b []byte) (trickle, error) {
	if b == nil {
		return nil, nil
	}
	if len(b) > 32*maxSlots {
		return nil, errTrickle
	}
	fields := strings.Split(string(b), " ")
	if fields[0] != recordFormat || len(fields) > maxSlots+1 {
		return nil, errTrickle
	}
	t := make(trickle, 0, len(fields))
	for _, field := range fields[1:] {
		number, n, _ := strings.Cut(field, ":")
		s, err := strconv.ParseUint(number, 10, 32)
		if err != nil || int64(s) > maxStamp/slotWidth || len(t) > 0 && int64(s) <= t[len(t)-1].number {
			return nil, errTrickle
		}
		count, err := strconv.ParseUint(n, 10, 31)
		if err != nil || count == 0 {
			return nil, errTrickle
		}
		t = append(t, slot{int64(s), int(count)})
	}
	return t, nil
}

func (t trickle) encode() []byte {
	b := []byte(recordFormat)
	for _, s := range t {
		b = append(b, ' ')
		b = strconv.AppendInt(b, s.number, 10)
		b = append(b, ':')
		b = strconv.AppendInt(b, int64(s.n), 10)
	}
	return b
}

// at drops what no longer counts, and dates to now what is more than a day ahead of it. redated says that there was such.
func (t trickle) at(now int64) (moved trickle, redated bool) {
	kept := make(trickle, 0, len(t)+1)
	ahead := 0
	for _, s := range t {
		switch {
		case s.number*slotWidth > now+dayWindow:
			ahead += s.n
		case s.ends(dayWindow) > now:
			kept = append(kept, s)
		}
	}
	return kept.add(now, ahead), ahead > 0
}

// add counts n messages, or takes back -n.
func (t trickle) add(now int64, n int) trickle {
	number := now / slotWidth
	i, found := slices.BinarySearchFunc(t, number, func(s slot, number int64) int { return int(s.number - number) })
	switch {
	case found:
		t[i].n += n
		if t[i].n <= 0 {
			t = slices.Delete(t, i, i+1)
		}
	case n > 0:
		t = slices.Insert(t, i, slot{number, n})
	}
	return t
}

// used is what counts in a window. What is ahead of now does.
func (t trickle) used(now, window int64) int {
	n := 0
	for _, s := range t {
		if s.ends(window) > now {
			n += s.n
		}
	}
	return n
}

// frees is when a window has room for one below its limit: now, or when enough of the oldest slots have stopped counting.
func (t trickle) frees(now, window int64, limit int) int64 {
	used, at := t.used(now, window), now
	for _, s := range t {
		if used < limit {
			break
		}
		if s.ends(window) > now {
			used -= s.n
			at = s.ends(window)
		}
	}
	return at
}

var errFull = errors.New("the trickle is used up")

// reserve takes up to n messages from the trickle. free is when there are more.
func (c *Campaign) reserve(ctx context.Context, at int64, n int) (granted int, free int64, err error) {
	burst := (c.cfg.PerDay + spread - 1) / spread
	err = c.cfg.Store.Update(ctx, trickleKey, func(old []byte) ([]byte, error) {
		t, err := decodeTrickle(old)
		if err != nil {
			return nil, err
		}
		t, redated := t.at(at)
		granted = max(0, min(n, c.cfg.PerDay-t.used(at, dayWindow), burst-t.used(at, burstWindow)))
		t = t.add(at, granted)
		free = max(t.frees(at, dayWindow, c.cfg.PerDay), t.frees(at, burstWindow, burst))
		if granted == 0 && !redated { // If it is, from now on it counts down.
			return nil, errFull
		}
		return t.encode(), nil
	})
	switch {
	case errors.Is(err, errFull):
		return 0, free, nil
	case err != nil:
		return 0, at, fmt.Errorf("engagement: trickle: %w", err)
	}
	return granted, free, nil
}

// refund gives back n that were reserved at a time and not used.
func (c *Campaign) refund(ctx context.Context, at int64, n int) error {
	if n == 0 {
		return nil
	}
	err := c.cfg.Store.Update(ctx, trickleKey, func(old []byte) ([]byte, error) {
		t, err := decodeTrickle(old)
		if err != nil {
			return nil, err
		}
		return t.add(at, -n).encode(), nil
	})
	if err != nil {
		return fmt.Errorf("engagement: trickle: %w", err)
	}
	return nil
}
