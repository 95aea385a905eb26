package warmup_test

import (
	"path/filepath"
	"testing"

	"github.com/reputemail/repute/warmup"
	"github.com/reputemail/repute/warmup/warmuptest"
)

func TestMemoryStore(t *testing.T) {
	stores := make(map[string]*warmup.MemoryStore)
	warmuptest.Run(t, func(t *testing.T, name string) warmup.Store {
		if stores[name] == nil {
			stores[name] = warmup.NewMemoryStore()
		}
		return stores[name]
	})
}

func TestFileStore(t *testing.T) {
	dir := t.TempDir()
	warmuptest.Run(t, func(t *testing.T, name string) warmup.Store {
		s, err := warmup.OpenFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
