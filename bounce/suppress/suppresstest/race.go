package suppresstest

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/suppress"
)

// increment adds one to the number under a key.
func increment(ctx context.Context, s suppress.Store, key string) error {
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

// testCreateAndRemove has workers make a key and remove it again: each step sees the one before.
func testCreateAndRemove(t *testing.T, s *stores) {
	st := s.get(t)
	var mu sync.Mutex
	made, removed := 0, 0
	parallel(t, 6, func(int) error {
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
func testLoadMany(t *testing.T, s *stores) {
	st := s.get(t)
	const workers, each = 16, 150
	parallel(t, workers, func(i int) error {
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
func testReadMeanwhile(t *testing.T, s *stores) {
	st := s.get(t)
	pad := strings.Repeat("x", 10_000)
	put(t, st, "count", []byte("0 "+pad))
	number := func(value []byte) (int, error) {
		n, rest, _ := strings.Cut(string(value), " ")
		if rest != pad {
			return 0, fmt.Errorf("a torn value of %d bytes", len(value))
		}
		return strconv.Atoi(n)
	}
	parallel(t, 6, func(i int) error {
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
				var value []byte
				if value, err = st.Get(t.Context(), "count"); err == nil {
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

var day0 = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// testList takes a whole list through the store, and reopens it.
func testList(t *testing.T, s *stores, hashKey []byte) {
	open := func() *suppress.List {
		l, err := suppress.New(suppress.Config{Store: s.get(t), HashKey: hashKey})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := open()
	dead := bounce.Verdict{Category: bounce.BadMailbox, Scope: bounce.ScopeRecipient, Permanent: true, Suppress: true, Rule: "mailbox/unknown"}
	hurt := bounce.Verdict{Category: bounce.Blocklisted, Scope: bounce.ScopeRoute, Permanent: true, Rule: "blocklist/any"}
	for _, i := range []suppress.Incident{
		{ID: "1", Stream: "news", Address: "dead@example.com", Kind: suppress.Bounced, Verdict: dead},
		{ID: "2", Stream: "news", Address: "alive@example.com", Kind: suppress.Bounced, Verdict: hurt},
		{ID: "3", Stream: "news", Address: "angry@example.com", Kind: suppress.Complained},
		{ID: "4", Stream: "news", Address: "back@example.com", Kind: suppress.Bounced, Verdict: dead},
	} {
		if _, _, err := l.ObserveAt(t.Context(), day0, i); err != nil {
			t.Fatalf("observe: %v", err)
		}
	}
	if ok, err := l.ReleaseAt(t.Context(), day0, suppress.Release{Address: "back@example.com", Actor: "operator"}); !ok || err != nil {
		t.Fatalf("release: %v, %v", ok, err)
	}
	l = open()
	for _, c := range []struct {
		stream, address string
		want            bool
	}{
		{"news", "dead@example.com", true}, {"receipts", "Dead@Example.com", true}, {"news", "alive@example.com", false},
		{"news", "angry@example.com", true}, {"receipts", "angry@example.com", false}, {"news", "back@example.com", false},
	} {
		if _, got, err := l.CheckAt(t.Context(), day0, c.stream, c.address); got != c.want || err != nil {
			t.Errorf("%s for %s: suppressed %v, %v; want %v", c.address, c.stream, got, err, c.want)
		}
	}
	var text strings.Builder
	if err := l.Export(t.Context(), &text); err != nil {
		t.Fatalf("export: %v", err)
	}
	if res, err := l.Import(t.Context(), day0, strings.NewReader(text.String())); err != nil || res.Known != 2 || res.Added+res.Failed > 0 {
		t.Errorf("import of its own export: %+v, %v", res, err)
	}
}

// testStrikes has several lists count strikes against some addresses at the same time: each counts once.
func testStrikes(t *testing.T, s *stores) {
	st := s.get(t)
	const tellers, addresses, strikes = 6, 4, 8
	rule := suppress.Rule{Strikes: strikes, Within: time.Hour}
	var mu sync.Mutex
	led := map[string]int{}
	doubt := bounce.Verdict{Category: bounce.BadMailbox, Scope: bounce.ScopeRecipient, Permanent: true, Rule: "mailbox/unsure"}
	parallel(t, tellers, func(teller int) error {
		l, err := suppress.New(suppress.Config{Store: st, Policy: suppress.Policy{Refused: rule}})
		if err != nil {
			return err
		}
		for n := range strikes * addresses {
			n = (n + teller*5) % (strikes * addresses)
			address := fmt.Sprintf("r%d@example.com", n%addresses)
			_, on, err := l.ObserveAt(t.Context(), day0, suppress.Incident{ID: fmt.Sprint(n), Address: address, Kind: suppress.Bounced, Verdict: doubt})
			if err != nil {
				return err
			}
			if on {
				mu.Lock()
				led[address]++
				mu.Unlock()
			}
		}
		return nil
	})
	l, err := suppress.New(suppress.Config{Store: s.get(t)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range addresses {
		address := fmt.Sprintf("r%d@example.com", i)
		status, err := l.Lookup(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		if led[address] != 1 || len(status.Entries) != 1 || len(status.Strikes) != 0 {
			t.Errorf("%s: suppressed %d times by %d strikes; left %+v", address, led[address], strikes, status)
		}
	}
}
