// Package suppresstest checks that a suppress.Store keeps the contract that a list of suppressed addresses rests on.
package suppresstest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/suppress"
	"github.com/reputemail/repute/internal/kvtest"
)

// Open opens the store of a name: an empty one for a new name, and one with all that was written under that name otherwise. A store
// that is an io.Closer is closed before its name is opened again, and at the end of the test. Names consist of letters and digits. Open
// fails the test if it cannot open the store.
type Open func(t *testing.T, name string) suppress.Store

// Run checks the stores that open opens, each clause of the contract in a subtest of its own.
func Run(t *testing.T, open Open) {
	t.Helper()
	as := func(t *testing.T, name string) kvtest.Store { return open(t, name) }
	kvtest.Run(t, as, 64<<10)
	for _, c := range []struct {
		name string
		run  func(t *testing.T, open func() suppress.Store)
	}{
		{"List", func(t *testing.T, open func() suppress.Store) { testList(t, open, nil) }},
		{"HashedList", func(t *testing.T, open func() suppress.Store) { testList(t, open, []byte("a key of enough bytes")) }},
		{"Strikes", testStrikes},
	} {
		t.Run(c.name, func(t *testing.T) {
			stores := kvtest.NewStores(t, as, c.name)
			c.run(t, func() suppress.Store { return stores.Get(t).(suppress.Store) })
		})
	}
}

var day0 = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// testList takes a whole list through the store, and reopens it.
func testList(t *testing.T, open func() suppress.Store, hashKey []byte) {
	list := func() *suppress.List {
		l, err := suppress.New(suppress.Config{Store: open(), HashKey: hashKey})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := list()
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
	l = list()
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
func testStrikes(t *testing.T, open func() suppress.Store) {
	st := open()
	const tellers, addresses, strikes = 6, 4, 8
	rule := suppress.Rule{Strikes: strikes, Within: time.Hour}
	var mu sync.Mutex
	led := map[string]int{}
	doubt := bounce.Verdict{Category: bounce.BadMailbox, Scope: bounce.ScopeRecipient, Permanent: true, Rule: "mailbox/unsure"}
	kvtest.Parallel(t, tellers, func(teller int) error {
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
	l, err := suppress.New(suppress.Config{Store: open()})
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
