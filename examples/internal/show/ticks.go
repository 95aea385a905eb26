package show

import (
	"sync"
	"time"
)

// Tick is how often something that moves is drawn.
const Tick = 100 * time.Millisecond

// Ticks calls a function every Tick, in a goroutine of its own, until Stop.
type Ticks struct {
	once    sync.Once
	quit    chan struct{}
	running sync.WaitGroup
}

// Start begins to call f with the number of the call, from 0 on. The last call, by Stop, is marked.
func (t *Ticks) Start(f func(n int, last bool)) {
	t.quit = make(chan struct{})
	t.running.Go(func() {
		ticker := time.NewTicker(Tick)
		defer ticker.Stop()
		for n := 0; ; n++ {
			select {
			case <-ticker.C:
				f(n, false)
			case <-t.quit:
				f(n, true)
				return
			}
		}
	})
}

// Stop makes the last call and waits for it. It may be called again.
func (t *Ticks) Stop() {
	t.once.Do(func() { close(t.quit) })
	t.running.Wait()
}
