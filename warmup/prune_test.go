package warmup

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestPrune: a record that says no more than its absence is removed by Open and Close, and no other one is.
func TestPrune(t *testing.T) {
	ctx := context.Background()
	store := NewMemoryStore()
	cfg := Config{Plans: plans(Plan{Stages: []Stage{{10, 10, 10}, {15, 15, 15}}}), Store: store}
	keys := func(want ...string) {
		t.Helper()
		got := slices.Sorted(maps.Keys(store.values))
		for i := range got {
			got[i] = strings.TrimPrefix(got[i], "new/")
		}
		if !slices.Equal(got, want) {
			t.Errorf("the store holds %v, want %v", got, want)
		}
	}
	restart := func(l *Ledger) *Ledger {
		t.Helper()
		if err := l.Close(ctx); err != nil {
			t.Fatal(err)
		}
		return mustOpen(t, cfg)
	}
	at := func(provider string) Path { return Path{"new", provider} }
	l := mustOpen(t, cfg)
	now := start
	send(l, now, at("a"), 1)
	send(l, now, at("b"), 10) // Has earned stage 2.
	l.ReserveAt(now, at("outstanding"), 1)
	if r := l.ReserveAt(now, at("cancelled"), 1); r.OK {
		l.CancelAt(now, r)
	}
	if err := l.Pause(ctx, at("paused")); err != nil {
		t.Fatal(err)
	}
	keys("a", "b", "cancelled", "outstanding", "paused")
	l = restart(l)
	keys("a", "b", "cancelled", "outstanding", "paused") // The day began for all of them.

	now = now.Add(23 * time.Hour)
	send(l, now, at("c"), 1)
	l = restart(l)
	keys("a", "b", "c", "cancelled", "outstanding", "paused")

	// Close goes by the latest decision.
	now = now.Add(3 * time.Hour)
	send(l, now, at("c"), 1)
	if err := l.Close(ctx); err != nil {
		t.Fatal(err)
	}
	keys("b", "c", "paused")

	// Open goes by the latest record: here the last life crashed.
	l = mustOpen(t, cfg)
	now = now.Add(40 * 24 * time.Hour)
	send(l, now, at("d"), 1)
	keys("b", "c", "d", "paused")
	l = mustOpen(t, cfg)
	keys("d", "paused")
	if states := l.StatesAt(now); len(states) != 2 {
		t.Errorf("got %d states", len(states))
	}
	// A removed path begins anew.
	if r := l.ReserveAt(now, at("b"), 1); !r.OK || r.Cap != 10 {
		t.Errorf("got %+v", r)
	}

	// What cannot be removed does no harm; what other owners hold is left alone.
	now = now.Add(2 * 24 * time.Hour)
	cfg.Owner = "other"
	other := mustOpen(t, cfg)
	send(other, now, at("d"), 1)
	cfg.Owner = ""
	l = mustOpen(t, cfg)
	send(l, now, at("e"), 1)
	if err := l.Close(ctx); err != nil {
		t.Fatal(err)
	}
	keys("d", "e", "paused")
	if n := send(l, now, at("d"), 20); n != 0 {
		t.Errorf("sent %d after Close", n)
	}
	if n := send(mustOpen(t, cfg), now, at("d"), 20); n != 8 && n != 9 {
		t.Errorf("sent %d beside the other owner", n)
	}
}

// TestManyProviders: a store does not fill with providers that were written to once.
func TestManyProviders(t *testing.T) {
	store := NewMemoryStore()
	cfg := Config{Plans: plans(Conservative(1000)), Store: store}
	now := start
	for range 20 {
		l := mustOpen(t, cfg)
		for i := range 50 {
			send(l, now, Path{"new", fmt.Sprint(now.Unix(), i)}, 1)
		}
		if err := l.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		now = now.Add(25 * time.Hour)
	}
	if n := len(store.values); n > 100 {
		t.Errorf("the store holds %d records", n)
	}
}
