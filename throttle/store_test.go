package throttle_test

import (
	"testing"

	"github.com/reputemail/repute/throttle"
	"github.com/reputemail/repute/throttle/throttletest"
)

func TestMemoryStore(t *testing.T) {
	stores := make(map[string]*throttle.MemoryStore)
	throttletest.Run(t, func(t *testing.T, name string) throttle.Store {
		if stores[name] == nil {
			stores[name] = throttle.NewMemoryStore()
		}
		return stores[name]
	})
}
