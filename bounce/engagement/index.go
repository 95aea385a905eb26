package engagement

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"slices"
)

// maxLine is the largest number of entries of a line: some 8 MiB.
const maxLine = 1 << 16

// entry is an address and when it is its turn.
type entry struct {
	due     int64
	address string
}

func byTurn(a, b entry) int {
	return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(a.address, b.address))
}

// line is the earliest entries of a kind: a heap by turn.
type line struct {
	entries []entry
	most    int
	more    bool // there are entries that found no place, later than these
}

// Len, Less, Swap, Push and Pop are for container/heap.
func (l *line) Len() int           { return len(l.entries) }
func (l *line) Less(i, j int) bool { return byTurn(l.entries[i], l.entries[j]) < 0 }
func (l *line) Swap(i, j int)      { l.entries[i], l.entries[j] = l.entries[j], l.entries[i] }
func (l *line) Push(e any)         { l.entries = append(l.entries, e.(entry)) }
func (l *line) Pop() any {
	last := len(l.entries) - 1
	e := l.entries[last]
	l.entries[last] = entry{}
	l.entries = l.entries[:last]
	return e
}

// put adds an entry, if there is a place for it.
func (l *line) put(e entry) {
	if len(l.entries) >= l.most {
		l.more = true
		return
	}
	heap.Push(l, e)
}

// take removes the first entry.
func (l *line) take() entry { return heap.Pop(l).(entry) }

// first is when the first entry is due, if there is one.
func (l *line) first() (due int64, ok bool) {
	if len(l.entries) == 0 {
		return 0, false
	}
	return l.entries[0].due, true
}

// ready reports whether the first entry's turn has come.
func (l *line) ready(at int64) bool {
	due, ok := l.first()
	return ok && due <= at
}

// dry reports whether only the store knows who is next.
func (l *line) dry() bool { return len(l.entries) == 0 && l.more }

// gather adds an entry while the line is being built; it is a heap after trim.
func (l *line) gather(e entry) {
	if l.entries = append(l.entries, e); len(l.entries) >= 2*l.most {
		l.trim()
	}
}

// trim sorts the entries, and drops the latest ones that have no place.
func (l *line) trim() {
	slices.SortFunc(l.entries, byTurn)
	if len(l.entries) > l.most {
		l.more = true
		clear(l.entries[l.most:])
		l.entries = l.entries[:l.most]
	}
}

// index is who is next, as far as is known. The records are the truth.
type index struct {
	built  bool
	loaded int64    // when it was
	fresh  line     // without a message, by when they were added
	again  line     // with a message, by when the next may go
	lapse  line     // with the last message, by when they are given up
	ahead  []string // whose last message is on record for more than a day later than now
}

// reindex builds the index from the store, if it is out of date or was never built, or if must is set.
func (c *Campaign) reindex(ctx context.Context, at int64, must bool) error {
	age := at - c.index.loaded
	if c.index.built && !must && age < int64(c.cfg.Refresh) && age > -int64(c.cfg.Refresh) {
		c.join()
		return nil
	}
	c.join() // Load sees all of these; those that come after may be in the index twice, which does no harm.
	x := index{built: true, loaded: at, fresh: line{most: c.most}, again: line{most: c.most}, lapse: line{most: c.most}}
	err := c.cfg.Store.Load(ctx, func(key string, value []byte) error {
		if key == trickleKey {
			return nil
		}
		r, err := decode(value)
		if err != nil {
			return fmt.Errorf("%s: %w", place(key), err)
		}
		if r.state == StateInvited && r.last > at+dayWindow && len(x.ahead) < c.most {
			x.ahead = append(x.ahead, key)
		}
		if l, due := x.of(c, r); l != nil {
			l.gather(entry{due, key})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("engagement: load: %w", err)
	}
	for _, l := range [...]*line{&x.fresh, &x.again, &x.lapse} {
		l.trim()
	}
	c.index = x
	return nil
}

// join puts what was added since into the index.
func (c *Campaign) join() {
	c.mu.Lock()
	joined := c.joined
	c.joined = nil
	c.mu.Unlock()
	if !c.index.built {
		return
	}
	for _, e := range joined {
		c.index.fresh.put(e)
	}
}

// of is the line of a record and when it is its turn; nil for one that has an end.
func (x *index) of(c *Campaign, r record) (*line, int64) {
	switch {
	case r.state == stateLapsing: // Somebody did not come to the end of it.
		return &x.lapse, 0
	case r.state != StateInvited:
		return nil, 0
	case r.sent >= c.cfg.MaxMessages:
		return &x.lapse, r.last + int64(c.cfg.GiveUpAfter)
	case r.sent > 0:
		return &x.again, r.last + int64(c.cfg.Interval)
	default:
		return &x.fresh, r.since
	}
}
