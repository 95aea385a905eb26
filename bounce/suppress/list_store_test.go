package suppress

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// TestAddWritesNothingTwice: the same file may be imported every day.
func TestAddWritesNothingTwice(t *testing.T) {
	s := &countingStore{MemoryStore: NewMemoryStore()}
	l := list(t, Config{Store: s})
	for range 3 {
		add(t, l, day0, Entry{Address: anna, Reason: Manual})
	}
	if s.written != 1 {
		t.Errorf("%d writes", s.written)
	}
}

type countingStore struct {
	*MemoryStore
	written int
}

func (s *countingStore) Update(ctx context.Context, key string, fn func(old []byte) ([]byte, error)) error {
	err := s.MemoryStore.Update(ctx, key, fn)
	if err == nil {
		s.written++
	}
	return err
}

// brokenStore fails.
type brokenStore struct{ err error }

func (s brokenStore) Get(context.Context, string) ([]byte, error) { return nil, s.err }
func (s brokenStore) Update(context.Context, string, func([]byte) ([]byte, error)) error {
	return s.err
}
func (s brokenStore) Load(context.Context, func(string, []byte) error) error { return s.err }

func TestErrorsOfTheStore(t *testing.T) {
	down := errors.New("the database is away")
	l := list(t, Config{Store: brokenStore{down}})
	calls := map[string]func() error{
		"check": func() error { _, _, err := l.CheckAt(t.Context(), day0, "", anna); return err },
		"bounced": func() error {
			_, _, err := l.ObserveAt(t.Context(), day0, Incident{Address: anna, Kind: Bounced, Verdict: deadVerdict})
			return err
		},
		"delivered": func() error {
			_, _, err := l.ObserveAt(t.Context(), day0, Incident{Address: anna, Kind: Delivered})
			return err
		},
		"add":     func() error { _, err := l.AddAt(t.Context(), day0, Entry{Address: anna, Reason: Manual}); return err },
		"release": func() error { _, err := l.ReleaseAt(t.Context(), day0, Release{Address: anna}); return err },
		"lookup":  func() error { _, err := l.Lookup(t.Context(), anna); return err },
		"each":    func() error { return l.Each(t.Context(), func(Entry) error { return nil }) },
		"prune":   func() error { _, err := l.PruneAt(t.Context(), day0); return err },
		"export":  func() error { return l.Export(t.Context(), &strings.Builder{}) },
		"import":  func() error { _, err := l.Import(t.Context(), day0, strings.NewReader(anna)); return err },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, down) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What is not ours, or of a later version, is not an empty record.
	for _, value := range []string{"", "{", `{"v":2}`, "{}", "null", "[]"} {
		store := NewMemoryStore()
		store.values[anna] = []byte(value)
		l = list(t, Config{Store: store})
		for name, call := range calls {
			if err := call(); err == nil {
				t.Errorf("%s of a record %q: no error", name, value)
			}
		}
		if string(store.values[anna]) != value {
			t.Errorf("record %q became %q", value, store.values[anna])
		}
	}
}
