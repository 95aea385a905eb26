package suppress_test

import (
	"testing"

	"github.com/reputemail/repute/bounce/suppress"
	"github.com/reputemail/repute/bounce/suppress/suppresstest"
)

func TestMemoryStore(t *testing.T) {
	stores := make(map[string]*suppress.MemoryStore)
	suppresstest.Run(t, func(t *testing.T, name string) suppress.Store {
		if stores[name] == nil {
			stores[name] = suppress.NewMemoryStore()
		}
		return stores[name]
	})
}
