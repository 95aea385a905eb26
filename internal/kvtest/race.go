package kvtest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// increment adds one to the number under a key.
func increment(ctx context.Context, s Store, key string) error {
	return s.Update(ctx, key, func(old []byte) ([]byte, error) {
		n := 0
		if old != nil {
			var err error
			if n, err = strconv.Atoi(string(old)); err != nil {
				return nil, err
			}
		}
		runtime.Gosched() // let another one come between, if it can
		return []byte(strconv.Itoa(n + 1)), nil
	})
}

// Parallel runs fn n times at the same time.
func Parallel(t *testing.T, n int, fn func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if err := fn(i); err != nil {
				t.Errorf("worker %d: %v", i, err)
			}
		})
	}
	wg.Wait()
}

func testOneKey(t *testing.T, s *Stores) {
	st := s.Get(t)
	const workers, each = 8, 25
	Parallel(t, workers, func(int) error {
		for range each {
			if err := increment(t.Context(), st, "count"); err != nil {
				return err
			}
		}
		return nil
	})
	if got := load(t, s.Get(t))["count"]; got != strconv.Itoa(workers*each) {
		t.Errorf("%d increments made %s", workers*each, got)
	}
}

func testManyKeys(t *testing.T, s *Stores) {
	st := s.Get(t)
	const workers, each = 8, 25
	Parallel(t, workers, func(i int) error {
		for range each {
			if err := increment(t.Context(), st, fmt.Sprint("key", i)); err != nil {
				return err
			}
		}
		return nil
	})
	all := load(t, s.Get(t))
	for i := range workers {
		if got := all[fmt.Sprint("key", i)]; got != strconv.Itoa(each) {
			t.Errorf("key %d: %d increments made %s", i, each, got)
		}
	}
}

// testCreateAndRemove has workers make a key and remove it again: each step sees the one before.
func testCreateAndRemove(t *testing.T, s *Stores) {
	st := s.Get(t)
	var mu sync.Mutex
	made, removed := 0, 0
	Parallel(t, 6, func(int) error {
		for range 20 {
			was := false
			err := st.Update(t.Context(), "a", func(old []byte) ([]byte, error) {
				runtime.Gosched()
				if was = old != nil; was {
					return nil, nil
				}
				return []byte("here"), nil
			})
			if err != nil {
				return err
			}
			mu.Lock()
			if was {
				removed++
			} else {
				made++
			}
			mu.Unlock()
		}
		return nil
	})
	if made != 60 || removed != 60 {
		t.Errorf("made it %d times and removed it %d times, want 60 of each", made, removed)
	}
	if got := get(t, st, "a"); got != nil {
		t.Errorf("left %q", got)
	}
}

// testLoadMany has more keys than a store may read at a time.
func testLoadMany(t *testing.T, s *Stores) {
	st := s.Get(t)
	const workers, each = 16, 150
	Parallel(t, workers, func(i int) error {
		for j := range each {
			key := fmt.Sprintf("r%d@example.com", j*workers+i)
			if err := st.Update(t.Context(), key, func([]byte) ([]byte, error) { return []byte(key), nil }); err != nil {
				return err
			}
		}
		return nil
	})
	all := load(t, st)
	for key, value := range all {
		if key != value {
			t.Errorf("%q has the value %q", key, value)
		}
	}
	if len(all) != workers*each {
		t.Errorf("got %d keys, want %d", len(all), workers*each)
	}
}

// testReadMeanwhile reads whole values only, and never older ones than before.
func testReadMeanwhile(t *testing.T, s *Stores) {
	st := s.Get(t)
	pad := strings.Repeat("x", 10_000)
	put(t, st, "count", []byte("0 "+pad))
	number := func(value []byte) (int, error) {
		n, rest, _ := strings.Cut(string(value), " ")
		if rest != pad {
			return 0, fmt.Errorf("a torn value of %d bytes", len(value))
		}
		return strconv.Atoi(n)
	}
	Parallel(t, 6, func(i int) error {
		last := 0
		for range 20 {
			seen := last
			var err error
			switch i % 3 {
			case 0:
				err = st.Update(t.Context(), "count", func(old []byte) ([]byte, error) {
					n, err := number(old)
					seen = n
					return []byte(strconv.Itoa(n+1) + " " + pad), err
				})
			case 1:
				g, gets := st.(getter)
				if !gets {
					continue
				}
				var value []byte
				if value, err = g.Get(t.Context(), "count"); err == nil {
					seen, err = number(value)
				}
			case 2:
				err = st.Load(t.Context(), func(_ string, value []byte) (err error) {
					seen, err = number(value)
					return err
				})
			}
			if err != nil {
				return err
			}
			if seen < last {
				return fmt.Errorf("found %d after %d", seen, last)
			}
			last = seen
		}
		return nil
	})
}

// testCancelInside ends the context while the step is under way: it is done or not, never in part, and is over when Update returns.
func testCancelInside(t *testing.T, s *Stores) {
	st := s.Get(t)
	for i, old := range []string{"", "old"} {
		key := fmt.Sprint("key", i)
		if old != "" {
			put(t, st, key, []byte(old))
		}
		ctx, cancel := context.WithCancel(t.Context())
		var returned atomic.Bool
		err := st.Update(ctx, key, func([]byte) ([]byte, error) {
			if returned.Load() {
				t.Error("the function was called after Update had returned")
			}
			cancel()
			return []byte("new"), nil
		})
		returned.Store(true)
		switch got := string(get(t, st, key)); {
		case err == nil && got != "new":
			t.Errorf("an update that succeeded left %q", got)
		case err != nil && !errors.Is(err, context.Canceled):
			t.Errorf("got error %v, want none or context.Canceled", err)
		case got != "new" && got != old:
			t.Errorf("a cancelled update left %q, want %q or %q", got, old, "new")
		}
	}
}

func testCancelWhileLoading(t *testing.T, s *Stores) {
	st := s.Get(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for i := range 50 {
		put(t, st, fmt.Sprint("key", i), []byte("1"))
	}
	calls := 0
	err := st.Load(ctx, func(string, []byte) error {
		calls++
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || calls != 1 {
		t.Errorf("load: got %d calls and error %v, want 1 call and context.Canceled", calls, err)
	}
}
