package throttle

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// slowStore is a Store that takes a while for everything, and is away at times.
type slowStore struct {
	Store
	mu   sync.Mutex
	away bool
}

func (s *slowStore) set(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

func (s *slowStore) Update(ctx context.Context, key string, fn func([]byte) ([]byte, error)) error {
	time.Sleep(5 * time.Millisecond)
	s.mu.Lock()
	away := s.away
	s.mu.Unlock()
	if away {
		return errAway
	}
	err := s.Store.Update(ctx, key, fn)
	time.Sleep(5 * time.Millisecond)
	return err
}

// sharer is a process that shares a rate through a Store, as the owner of a sharedRate has to do it.
type sharer struct {
	store Store
	key   string
	mu    sync.Mutex // guards rate
	rate  *sharedRate
}

// run exchanges until ctx ends, and then gives everything back.
func (s *sharer) run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := s.store.Update(ctx, s.key, func(old []byte) ([]byte, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.rate.exchange(time.Now(), old)
		})
		s.mu.Lock()
		s.rate.settle(time.Now(), err)
		pause := time.Until(s.rate.next)
		s.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return s.store.Update(context.WithoutCancel(ctx), s.key, func(old []byte) ([]byte, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.rate.release(old)
	})
}

// send takes as much as it can until ctx ends, and notes when.
func (s *sharer) send(ctx context.Context, note func(time.Time)) {
	for ctx.Err() == nil {
		s.mu.Lock()
		now := time.Now()
		until, ok := s.rate.take(now)
		s.mu.Unlock()
		if ok {
			note(now)
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Until(until)):
		}
	}
}

// shareFor has n processes share a rate for a time, all as busy as can be, and returns when they took something.
func shareFor(ctx context.Context, n int, rate Rate, store func() Store) ([]time.Time, error) {
	var mu sync.Mutex
	var taken []time.Time
	errs := make(chan error, n)
	var wg sync.WaitGroup
	for i := range n {
		s := &sharer{store: store(), key: shareKey("messages", "mta1", "example"), rate: newSharedRate(time.Now(), rate, fmt.Sprint("process ", i), 0)}
		wg.Go(func() { errs <- s.run(ctx) })
		wg.Go(func() {
			s.send(ctx, func(at time.Time) {
				mu.Lock()
				defer mu.Unlock()
				taken = append(taken, at)
			})
		})
	}
	wg.Wait()
	for range n {
		if err := <-errs; err != nil {
			return nil, err
		}
	}
	return taken, nil
}

// worst is the most that was taken in any time of a length.
func worst(taken []time.Time, length time.Duration) int {
	most, first := 0, 0
	for i, at := range taken {
		for at.Sub(taken[first]) >= length {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// TestShareThroughStore: four processes at 100 a second over a store that is slow, and away for two minutes.
func TestShareThroughStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := NewMemoryStore()
		slow := &slowStore{Store: memory}
		const run = 4 * time.Minute
		ctx, cancel := context.WithTimeout(t.Context(), run)
		defer cancel()
		time.AfterFunc(time.Minute, func() { slow.set(true) })
		time.AfterFunc(3*time.Minute, func() { slow.set(false) })
		taken, err := shareFor(ctx, 4, Rate{100, time.Second}, func() Store { return slow })
		if err != nil {
			t.Fatal(err)
		}
		if total := float64(len(taken)); total < 0.97*100*run.Seconds() || total > 1.003*100*run.Seconds() {
			t.Errorf("%v in %v", total, run)
		}
		if most := worst(taken, 10*time.Second); most > 1050 {
			t.Errorf("%d in ten seconds", most)
		}
		if err := memory.Load(t.Context(), func(key string, value []byte) error {
			return fmt.Errorf("%s is left: %s", key, value)
		}); err != nil {
			t.Error(err)
		}
	})
}
