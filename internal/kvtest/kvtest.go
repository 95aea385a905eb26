// Package kvtest checks stores of small values under string keys: the shape of warmup.Store, throttle.Store and suppress.Store, which have the same
// contract and must not import each other. Their own kits (warmuptest, throttletest, suppresstest) run these tests, and add what is theirs.
package kvtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
)

// Store is what is checked. The comments of those three have the contract.
type Store interface {
	Update(ctx context.Context, key string, fn func(old []byte) (new []byte, err error)) error
	Load(ctx context.Context, fn func(key string, value []byte) error) error
}

// getter is what suppress.Store has besides.
type getter interface {
	Get(ctx context.Context, key string) ([]byte, error)
}

// Open opens the store of a name: an empty one for a new name, and one with all that was written under that name otherwise. A store
// that is an io.Closer is closed before its name is opened again, and at the end of the test. Names consist of letters and digits. Open
// fails the test if it cannot open the store.
type Open func(t *testing.T, name string) Store

// Run checks the stores that open opens, each clause of the contract in a subtest of its own. The contract says how large values may be, in bytes.
func Run(t *testing.T, open Open, maxValue int) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s *Stores)
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
		{"CreateAndRemove", testCreateAndRemove},
		{"LoadMany", testLoadMany},
		{"ReadMeanwhile", testReadMeanwhile},
		{"CancelInside", testCancelInside},
		{"CancelWhileLoading", testCancelWhileLoading},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewStores(t, open, c.name)
			s.maxValue = maxValue
			c.run(t, s)
		})
	}
}

// Stores opens the store of one name, again and again.
type Stores struct {
	open Open
	name string
	last Store
	// maxValue is the size of the largest value, in bytes.
	maxValue int
}

// get reads a key by Update, and by Get where there is one, which must agree.
// NewStores makes Stores of a name, and closes the last one at the end of the test.
func NewStores(t *testing.T, open Open, name string) *Stores {
	s := &Stores{open: open, name: name}
	t.Cleanup(func() { s.close(t) })
	return s
}

// Get opens the store anew, the one before is closed.
func (s *Stores) Get(t *testing.T) Store {
	t.Helper()
	s.close(t)
	s.last = s.open(t, s.name)
	return s.last
}

func (s *Stores) close(t *testing.T) {
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

// get reads a key by Update, and by Get where there is one, which must agree.
func get(t *testing.T, s Store, key string) []byte {
	t.Helper()
	var value []byte
	err := s.Update(t.Context(), key, func(old []byte) ([]byte, error) {
		value = bytes.Clone(old)
		return nil, errKeep
	})
	if !errors.Is(err, errKeep) {
		t.Fatalf("update %.80q: got error %v, want that of the function", key, err)
	}
	if g, ok := s.(getter); ok {
		got, err := g.Get(t.Context(), key)
		if err != nil {
			t.Fatalf("get %.80q: %v", key, err)
		}
		if !bytes.Equal(got, value) || (got == nil) != (value == nil) {
			t.Errorf("%.80q: get finds %.80q, update %.80q", key, got, value)
		}
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

func testAbsent(t *testing.T, s *Stores) {
	st := s.Get(t)
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

func testValues(t *testing.T, s *Stores) {
	st := s.Get(t)
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for i, value := range []string{
		`{"v":1}`, ` {"v":1} `, "{\"a\":\n1}", `null`, `{`, `"text"`, "{\"a\":\"\xff\"}", "\x00", string(all), strings.Repeat("x", s.maxValue),
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
	after := load(t, s.Get(t))
	for key, value := range before {
		if after[key] != value {
			t.Errorf("after reopening, %q is %.80q, was %.80q", key, after[key], value)
		}
	}
}

// keys are such as are used, and others that differ in what a store might take for the same.
var keys = []string{
	"anna@example.com", "Anna@example.com", "anna@example.com ", " anna@example.com", "anna+news@example.com", "anna@xn--bcher-kva.example",
	"ánna@example.com", "a\u0301nna@example.com", "日本@example.com", `"a b"@example.com`, `"a\"b"@example.com`, "'; drop table x; --@example.com",
	"%@example.com", "_@example.com", "*@example.com", "a/../b@example.com", "<&>@example.com", "a", "b", "🙂",
	"hmac:" + "00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff",
	"hmac:" + "00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00fe",
	"A", "a/b", "a%2Fb", `a"b\c`, "a b", " a", "a ", "é", "日本", "..", "'; drop table x; --", "<&>", "%s",
}

func testKeys(t *testing.T, s *Stores) {
	st := s.Get(t)
	keys := append([]string{strings.Repeat("k", 1023) + "a", strings.Repeat("k", 1023) + "b"}, keys...)
	for i, key := range keys {
		put(t, st, key, []byte(strconv.Itoa(i)))
	}
	all := load(t, st)
	for i, key := range keys {
		if want := strconv.Itoa(i); all[key] != want || string(get(t, st, key)) != want {
			t.Errorf("key %.80q: loaded %q, got %q, want %d", key, all[key], get(t, st, key), i)
		}
	}
	if len(all) != len(keys) {
		t.Errorf("got %d keys, want %d", len(all), len(keys))
	}
	for _, key := range []string{"anna", "@example.com", "nna@example.com", "c@example.com", "hmac:", "B"} {
		if got := get(t, st, key); got != nil {
			t.Errorf("%q, which is like another key, is %q", key, got)
		}
	}
}

func testRemove(t *testing.T, s *Stores) {
	st := s.Get(t)
	put(t, st, "a", []byte("1"))
	put(t, st, "b", []byte("2"))
	put(t, st, "a", nil)
	put(t, st, "never", nil)
	if got := get(t, st, "a"); got != nil {
		t.Errorf("a removed key has the value %q", got)
	}
	if got := load(t, s.Get(t)); len(got) != 1 || got["b"] != "2" {
		t.Errorf("got %v, want b only", got)
	}
	put(t, s.last, "a", []byte("3"))
	if got := get(t, s.last, "a"); string(got) != "3" {
		t.Errorf("put again after its removal: %q", got)
	}
}

func testFuncError(t *testing.T, s *Stores) {
	st := s.Get(t)
	put(t, st, "a", []byte("1"))
	for _, value := range [][]byte{nil, []byte("2")} {
		for _, key := range []string{"a", "b"} {
			err := st.Update(t.Context(), key, func([]byte) ([]byte, error) { return value, errKeep })
			if !errors.Is(err, errKeep) {
				t.Errorf("got error %v, want that of the function", err)
			}
		}
	}
	if got := load(t, s.Get(t)); len(got) != 1 || got["a"] != "1" {
		t.Errorf("got %v, want a to be as before and nothing else", got)
	}
}

func testCopies(t *testing.T, s *Stores) {
	st := s.Get(t)
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
	var read []byte
	g, gets := st.(getter)
	if gets {
		if read, err = g.Get(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
	}
	put(t, st, "a", []byte("other"))
	if gets && string(read) != "value" {
		t.Errorf("a value that was read changed to %q", read)
	}
	if string(kept) != "value" {
		t.Errorf("a loaded value changed to %q", kept)
	}
}

func testContext(t *testing.T, s *Stores) {
	st := s.Get(t)
	put(t, st, "a", []byte("1"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if g, ok := st.(getter); ok {
		if _, err := g.Get(ctx, "a"); !errors.Is(err, context.Canceled) {
			t.Errorf("get: got error %v, want context.Canceled", err)
		}
	}
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

func testLoadError(t *testing.T, s *Stores) {
	st := s.Get(t)
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

func testReopen(t *testing.T, s *Stores) {
	for i := range 5 {
		st := s.Get(t)
		if got := get(t, st, "count"); i > 0 && string(got) != strconv.Itoa(i-1) {
			t.Errorf("opening %d: got %q, want %d", i, got, i-1)
		}
		put(t, st, "count", []byte(strconv.Itoa(i)))
		put(t, st, fmt.Sprint("key", i), []byte("x"))
	}
	if got := load(t, s.Get(t)); len(got) != 6 {
		t.Errorf("got %v, want 6 keys", got)
	}
}
