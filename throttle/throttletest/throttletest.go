// Package throttletest checks that a throttle.Store keeps the contract on which shared limits rest.
package throttletest

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"

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
		// Tests of Limiters that share limits through the stores have their place here.
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
