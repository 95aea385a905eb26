package suppress

import (
	"bytes"
	"context"
	"maps"
	"sync"
)

// Store keeps small values under string keys.
//
// Contract, checked by suppresstest.Run:
//   - All methods are safe for concurrent use.
//   - Get returns the value of key, or nil when it is absent. The caller does not change it.
//   - Update reads the value of key, calls fn with it, and writes what fn returns, as one atomic step: no other Update of the key, in
//     this process or in another one on the same store, comes between. When Update returns nil, the new value is durable, as far as the
//     store is, and every later Get, Update and Load sees it.
//   - fn gets nil for a key that is absent. A nil result removes the key. fn may be called several times, when the step has to be
//     repeated after a conflict, and from another goroutine, but never after Update has returned. It does not keep or change its
//     argument, and does not call the store.
//   - When fn returns an error, nothing is written and Update returns that error, as errors.Is sees it.
//   - When ctx ends before the step is done, Update returns its error. After any error that does not come from fn the new value may or may
//     not have been written; it is never written in part.
//   - Load calls fn for every key, in no order, with a value that fn may keep. It sees all that was durable when it was called. It stops at
//     the first error from fn and returns it. fn must not call the store.
//   - Keys are valid UTF-8 of up to 1 KiB, without control characters. Values are of up to 64 KiB.
//   - A store never returns less than it was given: what it cannot read is an error, not an absent key.
type Store interface {
	Get(ctx context.Context, key string) ([]byte, error)
	Update(ctx context.Context, key string, fn func(old []byte) (new []byte, err error)) error
	Load(ctx context.Context, fn func(key string, value []byte) error) error
}

// MemoryStore is a Store that lives as long as the process, and the reference for others. Make one with NewMemoryStore. Safe for concurrent use.
type MemoryStore struct {
	mu     sync.RWMutex
	values map[string][]byte
}

// NewMemoryStore makes an empty MemoryStore.
func NewMemoryStore() *MemoryStore { return &MemoryStore{values: make(map[string][]byte)} }

// Get implements Store.
func (s *MemoryStore) Get(ctx context.Context, key string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.values[key], nil // never changed once it is there
}

// Update implements Store.
func (s *MemoryStore) Update(ctx context.Context, key string, fn func(old []byte) ([]byte, error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	value, err := fn(s.values[key])
	if err != nil {
		return err
	}
	if value == nil {
		delete(s.values, key)
	} else {
		s.values[key] = append([]byte{}, value...)
	}
	return nil
}

// Load implements Store.
func (s *MemoryStore) Load(ctx context.Context, fn func(key string, value []byte) error) error {
	s.mu.RLock()
	all := maps.Clone(s.values)
	s.mu.RUnlock()
	for key, value := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(key, bytes.Clone(value)); err != nil {
			return err
		}
	}
	return nil
}
