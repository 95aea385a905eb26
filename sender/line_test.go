package sender

import (
	"testing"

	"github.com/reputemail/repute/sender/queue"
)

// ranked makes a lane of a stream whose best delivery has a priority.
func ranked(s *stream, priority int) *lane {
	return &lane{stream: s, best: minRank, buf: []queue.Delivery{{Priority: priority}}}
}

// TestLineGoesByRank: the best mail comes first, a lane moves when its mail gets better, and where nothing is scarce ranks do not matter.
func TestLineGoesByRank(t *testing.T) {
	s := &stream{Stream: Stream{Weight: 1}}
	low, mid, high := ranked(s, 1), ranked(s, 5), ranked(s, 9)
	q := line{ranked: true}
	for _, l := range []*lane{low, high, mid} {
		if !q.add(l) || q.add(l) {
			t.Fatal("it stands there twice")
		}
	}
	low.best = 7 // something better came
	q.add(low)
	for i, want := range []*lane{high, low, mid} {
		if got := q.pop(""); got != want {
			t.Errorf("place %d has rank %d", i, got.rank())
		}
	}
	if q.len() != 0 || low.lines != 0 {
		t.Errorf("%d stand in line, %d lines", q.len(), low.lines)
	}
	var fair line
	for _, l := range []*lane{low, high, mid} {
		fair.add(l)
	}
	for i, want := range []*lane{low, high, mid} {
		if got := fair.pop(""); got != want {
			t.Errorf("without ranks, place %d has rank %d", i, got.rank())
		}
	}
}

// TestLineForgetsNobody: a stream whose lane is put back under another rank than it was taken from is served on like the others.
func TestLineForgetsNobody(t *testing.T) {
	one, other := &stream{Stream: Stream{Weight: 1}, index: 0}, &stream{Stream: Stream{Weight: 1}, index: 1}
	a, b := ranked(one, 9), ranked(other, 9)
	q := line{ranked: true}
	q.add(a)
	if q.pop("") != a {
		t.Fatal("it is not there")
	}
	q.ranked = false // its path has become warm meanwhile
	q.add(a)
	q.putBack(a)
	q.add(b)
	served := map[*lane]int{}
	for range 10 {
		l := q.pop("")
		served[l]++
		q.add(l)
	}
	if served[a] != 5 || served[b] != 5 {
		t.Errorf("%d and %d turns", served[a], served[b])
	}
}
