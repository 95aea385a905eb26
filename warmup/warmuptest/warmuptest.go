// Package warmuptest checks that a warmup.Store keeps the contract that the ledger's promises rest on.
package warmuptest

import (
	"io"
	"testing"
	"time"

	"github.com/reputemail/repute/internal/kvtest"
	"github.com/reputemail/repute/warmup"
)

// Open opens the store of a name: an empty one for a new name, and one with all that was written under that name otherwise. A store
// that is an io.Closer is closed before its name is opened again, and at the end of the test. Names consist of letters and digits. Open
// fails the test if it cannot open the store.
type Open func(t *testing.T, name string) warmup.Store

// Run checks the stores that open opens, each clause of the contract in a subtest of its own.
func Run(t *testing.T, open Open) {
	t.Helper()
	kvtest.Run(t, func(t *testing.T, name string) kvtest.Store { return open(t, name) }, 1<<20)
	t.Run("Ledger", func(t *testing.T) { testLedger(t, open) })
}

// testLedger sends as much as the ledger allows, with a crash and a clean restart by turns, and counts.
func testLedger(t *testing.T, open Open) {
	const dayCap = 60
	cfg := warmup.Config{Plans: map[string]warmup.Plan{"new": {Stages: []warmup.Stage{{Day: dayCap, Hour: dayCap, Minute: dayCap}}}}}
	at := warmup.Path{Route: "new", Provider: "example"}
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	var store warmup.Store
	end := func() {
		if c, ok := store.(io.Closer); ok {
			if err := c.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		store = nil
	}
	defer end()
	sent := 0
	for life := range 6 {
		end()
		store = open(t, "Ledger")
		cfg.Store = store
		l, err := warmup.Open(t.Context(), cfg)
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		for range 8 {
			now = now.Add(time.Second)
			if r := l.ReserveAt(now, at, 1); r.OK {
				l.CommitAt(now, r)
				sent++
			}
		}
		if life%2 == 0 {
			if err := l.Close(t.Context()); err != nil {
				t.Errorf("close: %v", err)
			}
		}
	}
	if sent < 40 || sent > 48 {
		t.Errorf("sent %d in six lives, want 40 to 48", sent)
	}
	l, err := warmup.Open(t.Context(), cfg)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	for range 2 * dayCap {
		if r := l.ReserveAt(now, at, 1); r.OK {
			l.CommitAt(now, r)
			sent++
		}
	}
	// Each of three crashes costs up to an eighth of the cap.
	if sent > dayCap || sent < dayCap-3*dayCap/8 {
		t.Errorf("sent %d, want %d or a little less", sent, dayCap)
	}
}
