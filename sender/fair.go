package sender

import (
	"cmp"
	"slices"
)

// fairQueue holds the lanes that wait for one path. It is served stream by stream in proportion to their weights
// (stride scheduling), and within a stream in turn. A lane stands in it at most once.
type fairQueue struct {
	streams map[*stream]*turn
	in      map[*lane]uint64 // the place of each, counted from the first that ever stood here
	places  uint64
	pass    uint64 // of the stream served last: where a stream starts that was absent
}

// place is where a lane stood in a queue.
type place struct {
	in *fairQueue
	at uint64
}

// turn is one stream's place in a fairQueue.
type turn struct {
	lanes []*lane
	pass  uint64
	pops  int // how many turns lanes have had
}

// strideUnit is divided by a stream's weight to give its stride.
const strideUnit = 1 << 20

// sameSiteScan is how many lanes of a stream are looked at for one that can use the session that just became free.
const sameSiteScan = 32

// sameSiteAhead is how many turns more than the lane that is next a lane may have had for the sake of its session.
const sameSiteAhead = 10

func (q *fairQueue) len() int { return len(q.in) }

// add puts a lane at the end of its stream's turn. It reports whether it was not there already.
func (q *fairQueue) add(l *lane) bool {
	if _, there := q.in[l]; there {
		return false
	}
	if q.in == nil {
		q.in = map[*lane]uint64{}
		q.streams = map[*stream]*turn{}
	}
	q.places++
	q.in[l] = q.places
	l.lines++
	t := q.streams[l.stream.itself()]
	if t == nil {
		t = &turn{pass: q.pass}
		q.streams[l.stream.itself()] = t
	}
	if len(t.lanes) == 0 {
		t.pass = max(t.pass, q.pass) // who was away has no credit
	}
	if l.turnOf != t || t.pops-l.popped > 2*len(t.lanes)+2 { // nor has a lane
		l.turnOf, l.turns = t, 0
		if len(t.lanes) > 0 {
			l.turns = t.lanes[0].turns
		}
	}
	t.lanes = append(t.lanes, l)
	return true
}

// next is the turn that comes next, and whose it is; nil if there is none.
func (q *fairQueue) next() (best *turn, who *stream) {
	for s, t := range q.streams {
		if len(t.lanes) == 0 {
			continue
		}
		if best == nil || t.pass < best.pass || t.pass == best.pass && s.index < who.index {
			best, who = t, s
		}
	}
	return best, who
}

// pop takes the lane whose turn it is: of the stream with the least pass; among the first lanes of that stream one
// whose destination is site, so that an open session is used, else the first.
func (q *fairQueue) pop(site string) *lane {
	best, who := q.next()
	if best == nil {
		return nil
	}
	i := 0
	if site != "" {
		for j, l := range best.lanes[:min(len(best.lanes), sameSiteScan)] {
			if l.site() == site && l.turns < best.lanes[0].turns+sameSiteAhead {
				i = j
				break
			}
		}
	}
	l := best.lanes[i]
	if i == 0 {
		best.lanes[0] = nil
		best.lanes = best.lanes[1:]
	} else {
		best.lanes = append(best.lanes[:i], best.lanes[i+1:]...)
	}
	best.pops++
	l.turns++
	l.popped, l.stood = best.pops, place{q, q.in[l]}
	delete(q.in, l)
	l.lines--
	q.pass = best.pass
	best.pass += strideUnit / uint64(who.Weight)
	return l
}

// remove takes a lane out, wherever it stands.
func (q *fairQueue) remove(l *lane) {
	if _, in := q.in[l]; !in {
		return
	}
	t := q.streams[l.stream.itself()]
	t.lanes = slices.DeleteFunc(t.lanes, func(o *lane) bool { return o == l })
	delete(q.in, l)
	l.lines--
}

// putBack returns a lane that stands in the queue again to the place from which it was popped: it had no turn. One that was popped from another queue since,
// as when its rank has changed, stays where it is.
func (q *fairQueue) putBack(l *lane) {
	if l.stood.in != q {
		return
	}
	t := q.streams[l.stream.itself()]
	q.in[l] = l.stood.at
	if n := len(t.lanes) - 1; t.lanes[n] == l {
		t.lanes = t.lanes[:n]
	} else { // others have come since
		t.lanes = slices.DeleteFunc(t.lanes, func(o *lane) bool { return o == l })
	}
	i, _ := slices.BinarySearchFunc(t.lanes, l.stood.at, func(o *lane, at uint64) int { return cmp.Compare(q.in[o], at) })
	t.lanes = slices.Insert(t.lanes, i, l)
	l.turns--
	t.pass -= min(t.pass, strideUnit/uint64(l.stream.Weight))
}
