package throttle

import (
	"context"
	"sync"
)

// Store keeps small values under string keys, where several processes reach them: the records by which they share limits. It is asked about
// once a second for each limit that is in use.
//
// Contract, checked by throttletest.Run:
//   - Both methods are safe for concurrent use.
//   - Update reads the value of key, calls fn with it, and writes what fn returns, as one atomic step: no other Update of the key, in
//     this process or in another one on the same store, comes between. When Update returns nil, every later Update and Load sees the new
//     value. How durable it is, is up to the store: records that are lost cost a second or so of too much or too little.
//   - fn gets nil for a key that is absent. A nil result removes the key. fn may be called several times, when the step has to be
//     repeated after a conflict, and from another goroutine, but never after Update has returned. It does not keep or change its
//     argument, and does not call the store.
//   - When fn returns an error, nothing is written and Update returns that error, as errors.Is sees it.
//   - When ctx ends before the step is done, Update returns its error. After any error that does not come from fn the new value may or may
//     not have been written; it is never written in part.
//   - Load calls fn for every key, in no order, with a value that fn may keep. It sees all that was written before it was called. It stops
//     at the first error from fn and returns it. fn does not call the store.
//   - Keys are valid UTF-8 of up to 1 KiB, without control characters. Values are arbitrary bytes of up to 1 MiB; an empty value that
//     is not nil may come back as either.
//   - What the store cannot read is an error, not an absent key. It may forget a key that was not updated for an hour or more.
type Store interface {
	Update(ctx context.Context, key string, fn func(old []byte) (new []byte, err error)) error
	Load(ctx context.Context, fn func(key string, value []byte) error) error
}

// MemoryStore is a Store that lives as long as the process. It lets several Limiters of one process share their limits, and it is the
// reference for other stores. Safe for concurrent use.
type MemoryStore struct {
	mu     sync.Mutex
	values map[string][]byte
}

// NewMemoryStore makes an empty MemoryStore.
func NewMemoryStore() *MemoryStore { return &MemoryStore{values: make(map[string][]byte)} }

// Update implements Store.
func (s *MemoryStore) Update(ctx context.Context, key string, fn func(old []byte) ([]byte, error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	value, err := fn(clone(s.values[key]))
	switch {
	case err != nil:
		return err
	case value == nil:
		delete(s.values, key)
	default:
		s.values[key] = clone(value)
	}
	return nil
}

// Load implements Store.
func (s *MemoryStore) Load(ctx context.Context, fn func(key string, value []byte) error) error {
	s.mu.Lock()
	all := make(map[string][]byte, len(s.values))
	for key, value := range s.values {
		all[key] = clone(value)
	}
	s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	for key, value := range all {
		if err := fn(key, value); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// clone copies a value, keeping nil apart from empty.
func clone(value []byte) []byte {
	if value == nil {
		return nil
	}
	return append([]byte{}, value...)
}
