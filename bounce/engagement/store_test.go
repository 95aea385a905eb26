package engagement

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// memoryStore is a Store that fails as told.
type memoryStore struct {
	mu     sync.Mutex
	values map[string][]byte
	loads  int
	writes int
	gets   int
	// fail is asked before an Update ("before") and after it was written ("after"), a Get ("get") and a Load ("load").
	fail func(step, key string) error
	// meanwhile is called once, before the next Update of the trickle, and may use the store.
	meanwhile func()
}

func newStore() *memoryStore { return &memoryStore{values: make(map[string][]byte)} }

func (s *memoryStore) failing(step, key string) error {
	if s.fail == nil {
		return nil
	}
	return s.fail(step, key)
}

func (s *memoryStore) Get(ctx context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(ctx.Err(), s.failing("get", key)); err != nil {
		return nil, err
	}
	s.gets++
	return slices.Clone(s.values[key]), nil
}

func (s *memoryStore) Update(ctx context.Context, key string, fn func([]byte) ([]byte, error)) error {
	if meanwhile := s.meanwhile; meanwhile != nil && key == trickleKey {
		s.meanwhile = nil
		meanwhile()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(ctx.Err(), s.failing("before", key)); err != nil {
		return err
	}
	if _, err := fn(slices.Clone(s.values[key])); err != nil { // As after a conflict.
		return err
	}
	value, err := fn(slices.Clone(s.values[key]))
	if err != nil {
		return err
	}
	s.writes++
	if value == nil {
		delete(s.values, key)
	} else {
		s.values[key] = slices.Clone(value)
	}
	return s.failing("after", key)
}

func (s *memoryStore) Load(ctx context.Context, fn func(string, []byte) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(ctx.Err(), s.failing("load", "")); err != nil {
		return err
	}
	s.loads++
	for key, value := range s.values {
		if err := fn(key, value); err != nil {
			return err
		}
	}
	return nil
}

// record is what the store has of an address.
func (s *memoryStore) record(address string) record {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := decode(s.values[address])
	if err != nil {
		return record{}
	}
	return r
}
