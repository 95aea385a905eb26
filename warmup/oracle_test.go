package warmup

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"pgregory.net/rapid"
)

// sighting is a reservation as the oracle sees it: the receiver saw its n messages at some time between from and to.
type sighting struct {
	from, to int64
	open     bool // not settled: to is not known
	n        int
	caps     [kinds]int // of the stage when it was made
	complete bool
	jumped   bool // The clock jumped ahead since it was made.
	aged     bool // The same since it was settled or recovered, so that it does not count any more.
}

// oracle is the plain list of all that was sent.
type oracle []*sighting

// used is the most that the receiver can have seen in the window that ends at a time, with or without what was sent while complete.
func (o oracle) used(k kind, at int64, complete bool) int {
	n := 0
	for _, s := range o {
		if s.complete && !complete || s.aged {
			continue
		}
		if s.open || s.to >= at-k.span().length {
			n += s.n
		}
	}
	return n
}

// checkArrivals draws an arrival within each sighting and looks at every window of them.
func (o oracle) checkArrivals(t *rapid.T, rnd *rand.Rand) {
	type arrival struct {
		at int64
		s  *sighting
	}
	var all []arrival
	for _, s := range o {
		if s.aged {
			continue
		}
		at := s.from
		if s.to > s.from {
			at += rnd.Int64N(s.to - s.from + 1)
		}
		all = append(all, arrival{at, s})
	}
	slices.SortFunc(all, func(a, b arrival) int { return cmp.Compare(a.at, b.at) })
	for k := range kinds {
		for i, first := range all {
			n, limit := 0, 0
			for _, a := range all[i:] {
				if a.at > first.at+k.span().length {
					break
				}
				n += a.s.n
				limit = max(limit, a.s.caps[k])
				if a.s.complete {
					limit = MaxCap
				}
				if n > limit {
					t.Fatalf("%d messages in the window %d that begins at %v: the cap is %d", n, k, unstamp(first.at), limit)
				}
			}
		}
	}
}
