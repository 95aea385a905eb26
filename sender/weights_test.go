package sender

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever the weights and whichever routes are away for a while: what each takes while all are open keeps to its weight.
func TestWeigher(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pool, sum := &poolInfo{weights: map[*routeInfo]int{}}, 0
		for range rapid.IntRange(1, 5).Draw(t, "routes") {
			r := &routeInfo{}
			pool.routes = append(pool.routes, r)
			pool.weights[r] = rapid.IntRange(1, 20).Draw(t, "weight")
			sum += pool.weights[r]
		}
		w, now := newWeigher(), time.Now()
		away := map[*routeInfo]bool{}
		for range rapid.IntRange(0, 300).Draw(t, "messages before") { // a past with routes that come and go
			if r := pool.routes[rapid.IntRange(0, len(pool.routes)-1).Draw(t, "which")]; rapid.IntRange(0, 9).Draw(t, "goes") == 0 {
				away[r] = !away[r]
			}
			for _, r := range w.order(now, pool, "p") {
				if !away[r] {
					w.took(now, pool, "p", r)
					break
				}
			}
		}
		took := map[*routeInfo]int{}
		const rounds = 20
		for range rounds * sum {
			r := w.order(now, pool, "p")[0]
			took[r]++
			w.took(now, pool, "p", r)
		}
		for r, weight := range pool.weights {
			if slack := maxBehind*20 + 1; took[r] < rounds*weight-slack || took[r] > rounds*weight+slack {
				t.Fatalf("a weight of %d of %d took %d of %d", weight, sum, took[r], rounds*sum)
			}
		}
	})
}

// In a pool without weights the order is that of the configuration.
func TestWeigherWithoutWeights(t *testing.T) {
	pool := &poolInfo{routes: []*routeInfo{{}, {}}}
	w := newWeigher()
	for range 3 {
		if got := w.order(time.Now(), pool, "p"); got[0] != pool.routes[0] || got[1] != pool.routes[1] {
			t.Fatal("another order")
		}
		w.took(time.Now(), pool, "p", pool.routes[0])
	}
}

// A route that was away for long gets a few messages more than its share when it is back, not all of them.
func TestWeigherAfterAnAbsence(t *testing.T) {
	pool := &poolInfo{routes: []*routeInfo{{}, {}}}
	stays, away := pool.routes[0], pool.routes[1]
	pool.weights = map[*routeInfo]int{stays: 1, away: 1}
	w, now, took := newWeigher(), time.Now(), 0
	for range 1000 {
		w.took(now, pool, "p", stays)
	}
	for range 40 {
		r := w.order(now, pool, "p")[0]
		if w.took(now, pool, "p", r); r == stays {
			took++
		}
	}
	if took < 16 || took > 20 {
		t.Errorf("the route that stayed took %d of 40", took)
	}
}
