// Package kvtest checks stores of small values under string keys: the shape of warmup.Store and throttle.Store, which have the same contract
// and must not import each other. Their own kits (warmuptest, throttletest) run these tests, and add what is theirs.
package kvtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Store is what is checked. The comments of warmup.Store and throttle.Store have the contract.
type Store interface {
	Update(ctx context.Context, key string, fn func(old []byte) (new []byte, err error)) error
	Load(ctx context.Context, fn func(key string, value []byte) error) error
}

// Open opens the store of a name: an empty one for a new name, and one with all that was written under that name otherwise. A store
// that is an io.Closer is closed before its name is opened again, and at the end of the test. Names consist of letters and digits. Open
// fails the test if it cannot open the store.
type Open func(t *testing.T, name string) Store

// Run checks the stores that open opens, each clause of the contract in a subtest of its own.
func Run(t *testing.T, open Open) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s *stores)
	}{
		{"Absent", testAbsent},
		{"Values", testValues},
		{"Keys", testKeys},
		{"Remove", testRemove},
		{"FuncError", testFuncError},
		{"Copies", testCopies},
		{"Context", testContext},
		{"LoadError", testLoadError},
		{"Reopen", testReopen},
		{"OneKey", testOneKey},
		{"ManyKeys", testManyKeys},
		{"LoadMeanwhile", testLoadMeanwhile},
		{"CancelInside", testCancelInside},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &stores{open: open, name: c.name}
			t.Cleanup(func() { s.close(t) })
			c.run(t, s)
		})
	}
}

// stores opens the store of one subtest, again and again.
type stores struct {
	open Open
	name string
	last Store
}

func (s *stores) get(t *testing.T) Store {
	t.Helper()
	s.close(t)
	s.last = s.open(t, s.name)
	return s.last
}

func (s *stores) close(t *testing.T) {
	t.Helper()
	if c, ok := s.last.(io.Closer); ok {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	s.last = nil
}

// CloseAfter closes a store at the end of the test, if it is an io.Closer.
func CloseAfter(t *testing.T, s Store) {
	if c, ok := s.(io.Closer); ok {
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

func put(t *testing.T, s Store, key string, value []byte) {
	t.Helper()
	if err := s.Update(t.Context(), key, func([]byte) ([]byte, error) { return value, nil }); err != nil {
		t.Fatalf("update %q: %v", key, err)
	}
}

var errKeep = errors.New("keep the value")

func get(t *testing.T, s Store, key string) []byte {
	t.Helper()
	var value []byte
	err := s.Update(t.Context(), key, func(old []byte) ([]byte, error) {
		value = bytes.Clone(old)
		return nil, errKeep
	})
	if !errors.Is(err, errKeep) {
		t.Fatalf("update %q: got error %v, want that of the function", key, err)
	}
	return value
}

func load(t *testing.T, s Store) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := s.Load(t.Context(), func(key string, value []byte) error {
		if _, double := all[key]; double {
			t.Errorf("load: key %q twice", key)
		}
		all[key] = string(value)
		return nil
	})
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	return all
}

func testAbsent(t *testing.T, s *stores) {
	st := s.get(t)
	if got := load(t, st); len(got) != 0 {
		t.Errorf("a new store holds %v", got)
	}
	if got := get(t, st, "a"); got != nil {
		t.Errorf("an absent key has the value %q, want nil", got)
	}
	if got := load(t, st); len(got) != 0 {
		t.Errorf("looking made %v", got)
	}
}

func testValues(t *testing.T, s *stores) {
	st := s.get(t)
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for i, value := range []string{
		`{"v":1}`, ` {"v":1} `, "{\"a\":\n1}", `null`, `{`, `"text"`, "{\"a\":\"\xff\"}", "\x00", string(all), strings.Repeat("x", 1<<20),
		`{"a":"<&>"}`, `{"a" : 1.0,  "a":2}`,
	} {
		put(t, st, "key", []byte(value))
		if got := get(t, st, "key"); string(got) != value {
			t.Errorf("value %d: got %.80q, want %.80q", i, got, value)
		}
		put(t, st, fmt.Sprint("key", i), []byte(value))
	}
	put(t, st, "empty", []byte{})
	if got := get(t, st, "empty"); len(got) != 0 {
		t.Errorf("an empty value became %q", got)
	}
	before := load(t, st)
	if len(before["key8"]) != 256 {
		t.Errorf("load: got %.80q for binary data", before["key8"])
	}
	after := load(t, s.get(t))
	for key, value := range before {
		if after[key] != value {
			t.Errorf("after reopening, %q is %.80q, was %.80q", key, after[key], value)
		}
	}
}

func testKeys(t *testing.T, s *stores) {
	st := s.get(t)
	keys := []string{"a", "A", "a/b", "a%2Fb", `a"b\c`, "a b", " a", "a ", "é", "日本", "..", "'; drop table x; --", "<&>", "%s",
		strings.Repeat("k", 1024)}
	for i, key := range keys {
		put(t, st, key, []byte(strconv.Itoa(i)))
	}
	all := load(t, st)
	for i, key := range keys {
		if all[key] != strconv.Itoa(i) {
			t.Errorf("key %q: got %q, want %d", key, all[key], i)
		}
	}
	if len(all) != len(keys) {
		t.Errorf("got %d keys, want %d", len(all), len(keys))
	}
}

func testRemove(t *testing.T, s *stores) {
	st := s.get(t)
	put(t, st, "a", []byte("1"))
	put(t, st, "b", []byte("2"))
	put(t, st, "a", nil)
	put(t, st, "never", nil)
	if got := get(t, st, "a"); got != nil {
		t.Errorf("a removed key has the value %q", got)
	}
	if got := load(t, s.get(t)); len(got) != 1 || got["b"] != "2" {
		t.Errorf("got %v, want b only", got)
	}
}

func testFuncError(t *testing.T, s *stores) {
	st := s.get(t)
	put(t, st, "a", []byte("1"))
	for _, value := range [][]byte{nil, []byte("2")} {
		for _, key := range []string{"a", "b"} {
			err := st.Update(t.Context(), key, func([]byte) ([]byte, error) { return value, errKeep })
			if !errors.Is(err, errKeep) {
				t.Errorf("got error %v, want that of the function", err)
			}
		}
	}
	if got := load(t, s.get(t)); len(got) != 1 || got["a"] != "1" {
		t.Errorf("got %v, want a to be as before and nothing else", got)
	}
}

func testCopies(t *testing.T, s *stores) {
	st := s.get(t)
	value := []byte("value")
	put(t, st, "a", value)
	value[0] = 'X'
	if got := get(t, st, "a"); string(got) != "value" {
		t.Errorf("the store kept the caller's memory: %q", got)
	}
	var kept []byte
	err := st.Load(t.Context(), func(_ string, v []byte) error {
		kept = v
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	put(t, st, "a", []byte("other"))
	if string(kept) != "value" {
		t.Errorf("a loaded value changed to %q", kept)
	}
}

func testContext(t *testing.T, s *stores) {
	st := s.get(t)
	put(t, st, "a", []byte("1"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := st.Update(ctx, "a", func([]byte) ([]byte, error) { return []byte("2"), nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("update: got error %v, want context.Canceled", err)
	}
	if err := st.Load(ctx, func(string, []byte) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("load: got error %v, want context.Canceled", err)
	}
	if got := get(t, st, "a"); string(got) != "1" {
		t.Errorf("a cancelled update wrote %q", got)
	}
}

func testLoadError(t *testing.T, s *stores) {
	st := s.get(t)
	put(t, st, "a", []byte("1"))
	put(t, st, "b", []byte("2"))
	calls := 0
	err := st.Load(t.Context(), func(string, []byte) error {
		calls++
		return errKeep
	})
	if !errors.Is(err, errKeep) || calls != 1 {
		t.Errorf("got %d calls and error %v, want 1 call and the function's error", calls, err)
	}
}

func testReopen(t *testing.T, s *stores) {
	for i := range 5 {
		st := s.get(t)
		if got := get(t, st, "count"); i > 0 && string(got) != strconv.Itoa(i-1) {
			t.Errorf("opening %d: got %q, want %d", i, got, i-1)
		}
		put(t, st, "count", []byte(strconv.Itoa(i)))
		put(t, st, fmt.Sprint("key", i), []byte("x"))
	}
	if got := load(t, s.get(t)); len(got) != 6 {
		t.Errorf("got %v, want 6 keys", got)
	}
}

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
		return []byte(strconv.Itoa(n + 1)), nil
	})
}

func testOneKey(t *testing.T, s *stores) {
	st := s.get(t)
	const workers, each = 8, 25
	parallel(t, workers, func(int) error {
		for range each {
			if err := increment(t.Context(), st, "count"); err != nil {
				return err
			}
		}
		return nil
	})
	if got := load(t, s.get(t))["count"]; got != strconv.Itoa(workers*each) {
		t.Errorf("%d increments made %s", workers*each, got)
	}
}

func testManyKeys(t *testing.T, s *stores) {
	st := s.get(t)
	const workers, each = 8, 25
	parallel(t, workers, func(i int) error {
		for range each {
			if err := increment(t.Context(), st, fmt.Sprint("key", i)); err != nil {
				return err
			}
		}
		return nil
	})
	all := load(t, s.get(t))
	for i := range workers {
		if got := all[fmt.Sprint("key", i)]; got != strconv.Itoa(each) {
			t.Errorf("key %d: %d increments made %s", i, each, got)
		}
	}
}

func testLoadMeanwhile(t *testing.T, s *stores) {
	st := s.get(t)
	put(t, st, "count", []byte("0"))
	parallel(t, 4, func(i int) error {
		for range 20 {
			if i%2 == 0 {
				if err := increment(t.Context(), st, "count"); err != nil {
					return err
				}
				continue
			}
			err := st.Load(t.Context(), func(key string, value []byte) error {
				_, err := strconv.Atoi(string(value))
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// parallel runs fn n times at the same time.
func parallel(t *testing.T, n int, fn func(i int) error) {
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

// testCancelInside ends the context while the step is under way: it is done or not, never in part, and is over when Update returns.
func testCancelInside(t *testing.T, s *stores) {
	st := s.get(t)
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
