package route

import (
	"context"
	"sync"
)

// flights joins calls for the same key that are made at the same time: the first starts the work, the others wait for its result. A
// caller whose context ends leaves at once; when the last has left, the work's context is cancelled. The zero value is ready.
type flights[V any] struct {
	mu     sync.Mutex
	flying map[string]*flight[V]
}

// flight is one piece of work under way.
type flight[V any] struct {
	done    chan struct{} // closed when value is there
	value   V
	waiters int // guarded by flights.mu
	cancel  context.CancelFunc
}

// do returns the result of fn, or ctx's error. fn runs in a goroutine of its own that lives no longer than its callers plus the time fn
// takes to heed its context, which has the values but not the end of the first caller's.
func (g *flights[V]) do(ctx context.Context, key string, fn func(context.Context) V) (V, error) {
	var none V
	if err := ctx.Err(); err != nil {
		return none, err
	}
	g.mu.Lock()
	f := g.flying[key]
	if f == nil {
		shared, cancel := context.WithCancel(context.WithoutCancel(ctx))
		f = &flight[V]{done: make(chan struct{}), cancel: cancel}
		if g.flying == nil {
			g.flying = make(map[string]*flight[V])
		}
		g.flying[key] = f
		go func() {
			defer cancel()
			f.value = fn(shared)
			g.mu.Lock()
			if g.flying[key] == f {
				delete(g.flying, key)
			}
			g.mu.Unlock()
			close(f.done)
		}()
	}
	f.waiters++
	g.mu.Unlock()

	select {
	case <-f.done:
		return f.value, nil
	case <-ctx.Done():
		g.mu.Lock()
		if f.waiters--; f.waiters == 0 {
			f.cancel()
			if g.flying[key] == f {
				delete(g.flying, key) // a new caller must not wait for work that was cancelled
			}
		}
		g.mu.Unlock()
		return none, ctx.Err()
	}
}
