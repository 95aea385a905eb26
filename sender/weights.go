package sender

import (
	"cmp"
	"slices"
	"time"

	"github.com/reputemail/repute/internal/keyed"
)

// weigher shares the new mail of pools among their routes, for each provider in proportion to the weights (stride scheduling).
type weigher struct {
	shares *keyed.Map[poolShare, map[*routeInfo]uint64] // how far each route is
	routes []*routeInfo                                 // for the answer
}

// poolShare is a pool's mail to a provider.
type poolShare struct {
	pool     *poolInfo
	provider string
}

// maxShares is for how many pools and providers it is remembered how far their routes are.
const maxShares = 10_000

func newWeigher() *weigher {
	return &weigher{shares: keyed.New(keyed.Config[poolShare, map[*routeInfo]uint64]{Max: maxShares, Idle: 24 * time.Hour})}
}

// order is the pool's routes in the order in which they are to be tried next: first the one that is furthest behind its share. It is valid until the next
// call.
func (w *weigher) order(now time.Time, p *poolInfo, provider string) []*routeInfo {
	if p.weights == nil {
		return p.routes
	}
	far := w.far(now, p, provider)
	w.routes = append(w.routes[:0], p.routes...)
	slices.SortStableFunc(w.routes, func(a, b *routeInfo) int { return cmp.Compare(far[a], far[b]) })
	return w.routes
}

// took notes that a route of the pool took a new delivery.
func (w *weigher) took(now time.Time, p *poolInfo, provider string, r *routeInfo) {
	weight := p.weights[r]
	if weight == 0 {
		return
	}
	far := w.far(now, p, provider)
	least := far[r]
	for _, o := range p.routes {
		least = min(least, far[o])
	}
	// What was away for long has no claim to make up for all of it: it would take all the mail.
	far[r] = max(far[r], least) + strideUnit/uint64(weight)
	for _, o := range p.routes {
		if far[r] > maxBehind*strideUnit && far[o] < far[r]-maxBehind*strideUnit {
			far[o] = far[r] - maxBehind*strideUnit
		}
	}
}

// maxBehind is how many messages of weight 1 a route can be behind.
const maxBehind = 4

func (w *weigher) far(now time.Time, p *poolInfo, provider string) map[*routeInfo]uint64 {
	return w.shares.GetOrCreate(now, poolShare{p, provider}, func() map[*routeInfo]uint64 { return map[*routeInfo]uint64{} })
}
