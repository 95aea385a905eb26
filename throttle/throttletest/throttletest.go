// Package throttletest checks that a throttle.Store keeps the contract on which shared limits rest.
package throttletest

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/reputemail/repute/internal/kvtest"
	"github.com/reputemail/repute/throttle"
)

// Open opens the store of a name: an empty one for a new name, and one with all that was written under that name otherwise. It is also
// called for a name whose store is in use, and then returns that store or, better, another connection to the same one, as another process
// would have. A store that is an io.Closer is closed when it is no longer needed. Names consist of letters and digits. Open fails the test if
// it cannot open the store.
type Open func(t *testing.T, name string) throttle.Store

// Run checks the stores that open opens, each clause of the contract in a subtest of its own.
func Run(t *testing.T, open Open) {
	t.Helper()
	kvtest.Run(t, func(t *testing.T, name string) kvtest.Store { return open(t, name) }, 1<<20)
	for _, c := range []struct {
		name string
		run  func(t *testing.T, stores []throttle.Store)
	}{
		{"Together", testTogether},
		{"Limiters", testLimiters},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stores []throttle.Store
			for range 4 {
				s := open(t, c.name)
				kvtest.CloseAfter(t, s)
				stores = append(stores, s)
			}
			c.run(t, stores)
		})
	}
}

// testTogether has several connections change the same keys at the same time: each change is made once, and on top of all before.
func testTogether(t *testing.T, stores []throttle.Store) {
	const each, keys = 30, 3
	var wg sync.WaitGroup
	for i, s := range stores {
		wg.Go(func() {
			for n := range each {
				if err := note(t.Context(), s, fmt.Sprint("key", n%keys), i); err != nil {
					t.Errorf("store %d: %v", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, s := range stores {
		total := 0
		err := s.Load(t.Context(), func(_ string, value []byte) error {
			total += len(value)
			return nil
		})
		if want := each * len(stores); err != nil || total != want {
			t.Errorf("%d changes made %d, %v", want, total, err)
		}
	}
}

// note adds a digit to the value of a key.
func note(ctx context.Context, s throttle.Store, key string, digit int) error {
	return s.Update(ctx, key, func(old []byte) ([]byte, error) {
		return strconv.AppendInt(append([]byte{}, old...), int64(digit), 10), nil
	})
}

// testLimiters has processes share a limit through the stores, by a clock of their own: together they never have more than it allows, and not much less.
func testLimiters(t *testing.T, stores []throttle.Store) {
	const rate, seconds, step = 100, 25, 50 * time.Millisecond
	begin := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	path := throttle.Path{Route: "out", Provider: "example.com"}
	limits := map[string]throttle.Limits{"example.com": {MessageRate: throttle.Rate{N: rate, Per: time.Second}, Connections: 6}}
	var all []*throttle.Limiter
	next := make([]time.Time, len(stores))
	for i, s := range stores {
		l, err := throttle.New(throttle.Config{Limits: limits, Store: s, Owner: fmt.Sprint("owner", i)})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	var sent []int // in each step
	open := 0
	for now := begin; now.Before(begin.Add(seconds * time.Second)); now = now.Add(step) {
		sent = append(sent, 0)
		for i, l := range all {
			if !now.Before(next[i]) {
				var err error
				if next[i], err = l.SyncAt(t.Context(), now); err != nil {
					t.Fatalf("sync: %v", err)
				}
			}
			for l.AcquireAt(now, path, throttle.TokenMessage).OK {
				sent[len(sent)-1]++
			}
			for l.AcquireAt(now, path, throttle.TokenConnection).OK {
				open++
			}
		}
	}
	total, window := 0, 0
	for i, n := range sent {
		total += n
		if window += n; i >= int(10*time.Second/step) {
			window -= sent[i-int(10*time.Second/step)]
		}
		if window > 10*rate*105/100 {
			t.Fatalf("%d messages in ten seconds, at %d a second", window, rate)
		}
	}
	if total < seconds*rate*9/10 {
		t.Errorf("%d messages in %d seconds, at %d a second", total, seconds, rate)
	}
	if open != 6 {
		t.Errorf("%d connections, want 6", open)
	}
	for i, l := range all {
		if err := l.CloseAt(t.Context(), begin.Add(seconds*time.Second)); err != nil {
			t.Errorf("owner %d: close: %v", i, err)
		}
	}
	for _, s := range stores[:1] {
		err := s.Load(t.Context(), func(key string, _ []byte) error { return fmt.Errorf("left the record %q", key) })
		if err != nil {
			t.Errorf("after all have given back: %v", err)
		}
	}
}
