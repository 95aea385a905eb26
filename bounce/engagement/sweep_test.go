package engagement

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// overdue makes a campaign of n addresses whose time ends at start.
func overdue(t *testing.T, n int, config CampaignConfig) (*Campaign, *memoryStore) {
	store := newStore()
	config.Store = store
	c := campaign(t, config)
	for i, address := range numbered(n) {
		store.values[address] = record{StateInvited, 2, 0, stamp(start.Add(-DefaultGiveUpAfter)) - int64(n-i)}.encode()
	}
	return c, store
}

// A sweep may be cut off at each step, and tells the suppression of everybody all the same, before it marks.
func TestSweepIsCutOff(t *testing.T) {
	away := errors.New("away")
	const anna = "reader000000@example.com"
	for _, c := range []struct {
		name  string
		fails int // the step that fails
		told  int // how often the suppression is told in all
	}{
		{"before closing", 0, 1}, {"after closing", 1, 1}, {"the suppression", 2, 2}, {"before marking", 3, 2}, {"after marking", 4, 1},
	} {
		told, step := 0, 0
		fail := func() error {
			if step++; step-1 == c.fails {
				return away
			}
			return nil
		}
		var store *memoryStore
		cam, store := overdue(t, 1, CampaignConfig{Suppress: func(_ context.Context, address, _ string) error {
			if s := store.record(anna).state; address != anna || s != stateLapsing {
				t.Errorf("%s: told of %s in state %s", c.name, address, s)
			}
			told++
			return fail()
		}})
		inSuppress := cam.cfg.Suppress
		cam.cfg.Suppress = func(ctx context.Context, address, reason string) error { return inSuppress(ctx, address, reason) }
		store.fail = func(at, key string) error {
			if at == "get" || at == "load" {
				return nil
			}
			return fail()
		}
		if n, err := cam.SweepAt(ctx, start); n != 0 || !errors.Is(err, away) || strings.Contains(err.Error(), "reader") {
			t.Errorf("%s: %d, %v", c.name, n, err)
		}
		if c.fails > 0 {
			if _, err := cam.Confirm(ctx, start, cam.sealers[0].seal(anna, start.Add(1))); err != ErrLapsed {
				t.Errorf("%s: confirmed with %v", c.name, err)
			}
			if s, err := cam.Status(ctx, anna); s.State != StateLapsed || err != nil {
				t.Errorf("%s: %v, %v", c.name, s, err)
			}
		}
		// The next one may be by another process.
		store.fail = nil
		again := campaign(t, CampaignConfig{Store: store, Suppress: cam.cfg.Suppress})
		if _, err := again.SweepAt(ctx, start); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if s := store.record(anna).state; s != StateLapsed || told != c.told {
			t.Errorf("%s: %s, told %d times, want %d", c.name, s, told, c.told)
		}
	}
}

// One address that cannot be suppressed does not hold up the others; when none can, the sweep stops.
func TestSweepFails(t *testing.T) {
	away := errors.New("away")
	bad := "reader000000@example.com"
	var told []string
	all := false
	c, _ := overdue(t, 30, CampaignConfig{Suppress: func(_ context.Context, address, _ string) error {
		told = append(told, address)
		if all || address == bad {
			return away
		}
		return nil
	}})
	all = true
	n, err := c.SweepAt(ctx, start)
	if n != 0 || len(told) != maxFailures || !errors.Is(err, away) || !strings.HasPrefix(err.Error(), "engagement: could not give up 10, the first: an address at example.com: ") {
		t.Errorf("%d, %v, %d told", n, err, len(told))
	}
	all, told = false, nil
	n, err = c.SweepAt(ctx, start)
	if n != 29 || len(told) != 30 || !errors.Is(err, away) {
		t.Errorf("%d, %v, %d told", n, err, len(told))
	}
	bad = ""
	if n, err := c.SweepAt(ctx, start); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := c.SweepAt(ctx, start); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func TestSweepOrder(t *testing.T) {
	var told []string
	c, _ := overdue(t, 20, CampaignConfig{Suppress: func(_ context.Context, address, _ string) error {
		told = append(told, address)
		return nil
	}})
	c.most = 3
	if n, err := c.SweepAt(ctx, start.Add(-1)); n != 20 || err != nil || !slices.Equal(told, numbered(20)) {
		t.Errorf("%d, %v, %q", n, err, told)
	}
}

func TestSweepEnds(t *testing.T) {
	ending, cancel := context.WithCancel(ctx)
	c, store := overdue(t, 5, CampaignConfig{Suppress: func(_ context.Context, address, _ string) error {
		if address == "reader000002@example.com" {
			cancel()
		}
		return nil
	}})
	n, err := c.SweepAt(ending, start)
	if n != 2 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d, %v", n, err)
	}
	if s := store.record("reader000002@example.com").state; s != stateLapsing {
		t.Errorf("%s", s)
	}
	if n, err := c.SweepAt(ctx, start); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// What the index says is held against the record.
func TestGiveUp(t *testing.T) {
	const anna = "anna@example.com"
	last := stamp(start.Add(-DefaultGiveUpAfter))
	for _, c := range []struct {
		r, want record
	}{
		{record{StateInvited, 2, 5, last}, record{StateLapsed, 2, stamp(start), last}},
		{record{stateLapsing, 2, 5, last}, record{StateLapsed, 2, stamp(start), last}},
		{record{stateLapsing, 2, 5, last + 1}, record{StateLapsed, 2, stamp(start), last + 1}},
		{record{StateInvited, 2, 5, last + 1}, record{StateInvited, 2, 5, last + 1}},
		{record{StateInvited, 1, 5, last}, record{StateInvited, 1, 5, last}},
		{record{StateInvited, 0, 5, 0}, record{StateInvited, 0, 5, 0}},
		{record{StateActive, 2, 5, last}, record{StateActive, 2, 5, last}},
		{record{StateLapsed, 2, 5, last}, record{StateLapsed, 2, 5, last}},
	} {
		told := false
		store := newStore()
		cam := campaign(t, CampaignConfig{Store: store, Suppress: func(context.Context, string, string) error {
			told = true
			return nil
		}})
		store.values[anna] = c.r.encode()
		ok, err := cam.giveUp(ctx, stamp(start), anna)
		if got := store.record(anna); got != c.want || ok != (c.r != c.want) || told != ok || err != nil {
			t.Errorf("%+v: %v, %v, told %v, %+v", c.r, ok, err, told, got)
		}
	}
}

// Who is confirmed by hand in the middle of a sweep stays active.
func TestConfirmedWhileSweeping(t *testing.T) {
	const anna = "reader000000@example.com"
	var c *Campaign
	c, store := overdue(t, 1, CampaignConfig{Suppress: func(ctx context.Context, address, _ string) error {
		return c.ConfirmAddress(ctx, start, address)
	}})
	if n, err := c.SweepAt(ctx, start); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if s := store.record(anna).state; s != StateActive {
		t.Errorf("%s", s)
	}
}

// What a clock that was years ahead has marked is not stuck for years.
func TestSweepRedates(t *testing.T) {
	store := newStore()
	ahead := campaign(t, CampaignConfig{Store: store})
	add(t, ahead, start, "anna@example.com", "bert@example.com")
	invited := due(t, ahead, start.Add(1000*day), 2)
	if len(invited) != 2 {
		t.Fatalf("%+v", invited)
	}
	now := start.Add(time.Hour)
	c := campaign(t, CampaignConfig{Store: store, Refresh: 100 * day}) // It looks at the store once.
	if got := due(t, c, now, 1); len(got) != 0 {
		t.Fatalf("%+v", got)
	}
	if _, err := c.Confirm(ctx, now, invited[1].Token); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if n, err := c.SweepAt(ctx, now); n != 0 || err != nil {
			t.Fatal(n, err)
		}
		if r := store.record("anna@example.com"); r != (record{StateInvited, 1, stamp(start), stamp(now)}) {
			t.Errorf("%+v", r)
		}
		if r := store.record("bert@example.com"); r != (record{StateActive, 1, stamp(now), stamp(start.Add(1000 * day))}) {
			t.Errorf("%+v", r)
		}
	}
	if got := due(t, c, now.Add(7*day-1), 1); len(got) != 0 {
		t.Errorf("too early: %+v", got)
	}
	if got := due(t, c, now.Add(7*day), 1); len(got) != 1 || got[0].Number != 2 {
		t.Errorf("%+v", got)
	}
	if n, err := c.SweepAt(ctx, now.Add(21*day)); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}
