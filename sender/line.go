package sender

import (
	"cmp"
	"slices"
)

// line holds the lanes that wait for a path. Where what they wait for is scarce it is ranked: the lanes with the best mail come first, by the rank of
// their best delivery, and those of the same rank are served as in a fairQueue. Otherwise all have the same rank. A lane stands in it at most once.
type line struct {
	ranked bool
	ranks  []int // that have lanes, the highest first
	by     map[int]*fairQueue
	in     map[*lane]int
}

func (q *line) len() int { return len(q.in) }

func (q *line) has(l *lane) bool { _, in := q.in[l]; return in }

// others reports whether another lane than l stands in it.
func (q *line) others(l *lane) bool { return len(q.in) > 1 || len(q.in) == 1 && !q.has(l) }

// add puts a lane in line by its rank, or moves it when that has changed. It reports whether it was not there already.
func (q *line) add(l *lane) bool {
	rank := 0
	if q.ranked {
		rank = l.rank()
	}
	before, there := q.in[l]
	if there && before == rank {
		return false
	}
	if there {
		q.by[before].remove(l)
		q.left(before)
	}
	if q.in == nil {
		q.in, q.by = map[*lane]int{}, map[int]*fairQueue{}
	}
	if q.by[rank] == nil {
		q.by[rank] = &fairQueue{}
		i, _ := slices.BinarySearchFunc(q.ranks, rank, func(a, b int) int { return cmp.Compare(b, a) })
		q.ranks = slices.Insert(q.ranks, i, rank)
	}
	q.by[rank].add(l)
	q.in[l] = rank
	return !there
}

// left forgets a rank that has no lanes any more.
func (q *line) left(rank int) {
	if q.by[rank].len() == 0 {
		delete(q.by, rank)
		q.ranks = slices.DeleteFunc(q.ranks, func(r int) bool { return r == rank })
	}
}

// first is the lane whose turn it is; nil if there is none.
func (q *line) first() *lane {
	for _, rank := range q.ranks {
		if best, _ := q.by[rank].next(); best != nil {
			return best.lanes[0]
		}
	}
	return nil
}

// pop takes the lane whose turn it is among those of the highest rank; if it can, one whose destination is site.
func (q *line) pop(site string) *lane {
	for q.by[q.ranks[0]].len() == 0 { // its last lane was taken and did not come back
		q.left(q.ranks[0])
	}
	l := q.by[q.ranks[0]].pop(site)
	delete(q.in, l)
	return l
}

// putBack returns a lane that was popped and stands in line again to its place: it had no turn.
func (q *line) putBack(l *lane) { q.by[q.in[l]].putBack(l) }
