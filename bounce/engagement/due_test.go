package engagement

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func addresses(invitations []Invitation) []string {
	var all []string
	for _, i := range invitations {
		all = append(all, i.Address)
	}
	return all
}

func TestDueInvites(t *testing.T) {
	c := campaign(t, CampaignConfig{})
	add(t, c, start, "anna@example.com")
	got := due(t, c, start.Add(time.Hour), 10)
	if len(got) != 1 {
		t.Fatalf("%+v", got)
	}
	want := Invitation{Address: "anna@example.com", Token: got[0].Token, Number: 1, Of: 2, Expires: start.Add(time.Hour + 21*day)}
	if got[0] != want {
		t.Errorf("%+v, want %+v", got[0], want)
	}
	if i, next, err := c.DueAt(ctx, start, 0); len(i) != 0 || next != start || err != nil {
		t.Error(i, next, err)
	}
}

// Those who were asked once go first, and within each the oldest.
func TestDueOrder(t *testing.T) {
	c := campaign(t, CampaignConfig{PerDay: 1000})
	add(t, c, start.Add(2*time.Hour), "b2@example.com", "a2@example.com")
	add(t, c, start.Add(time.Hour), "z1@example.com")
	if got, want := addresses(due(t, c, start.Add(3*time.Hour), 2)), []string{"z1@example.com", "a2@example.com"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	now := start.Add(3*time.Hour + 7*day)
	add(t, c, start, "older@example.com")
	if got, want := addresses(due(t, c, now, 3)), []string{"a2@example.com", "z1@example.com", "older@example.com"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := addresses(due(t, c, now, 3)), []string{"b2@example.com"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// What next says is when there is something, step by step.
func TestDueNext(t *testing.T) {
	c := campaign(t, CampaignConfig{PerDay: 40, Refresh: 100 * day}) // 2 at once
	for i, s := range []struct {
		at      time.Duration
		add, n  int
		want    int
		nextAt  time.Duration
		because string
	}{
		{0, 0, 5, 0, 100 * day, "the next refresh"},
		{0, 3, 1, 1, 0, "n"},
		{0, 0, 5, 1, 55 * time.Minute, "the trickle"},
		{55 * time.Minute, 0, 5, 1, 7 * day, "the second messages"},
		{7 * day, 0, 5, 2, 7*day + 55*time.Minute, "the second message of the third"},
		{8 * day, 0, 5, 1, 100 * day, "the next refresh"},
		{100 * day, 0, 5, 0, 200 * day, "the next refresh"},
	} {
		now := start.Add(s.at)
		for j := range s.add {
			add(t, c, now, fmt.Sprintf("reader%d@example.com", j))
		}
		got, next, err := c.DueAt(ctx, now, s.n)
		if len(got) != s.want || !next.Equal(start.Add(s.nextAt)) || err != nil {
			t.Fatalf("step %d: %d, %v, %v; want %d, %v: %s", i, len(got), next, err, s.want, start.Add(s.nextAt), s.because)
		}
	}
}

// A campaign that nobody tells still finds, by its refresh, what another one on the store has added or sent.
func TestDueSeesOthers(t *testing.T) {
	store := newStore()
	a, b := campaign(t, CampaignConfig{Store: store}), campaign(t, CampaignConfig{Store: store})
	due(t, a, start, 1)
	add(t, b, start, "anna@example.com", "bert@example.com")
	_, next, err := a.DueAt(ctx, start.Add(time.Minute), 5)
	if !next.Equal(start.Add(time.Hour)) || err != nil {
		t.Fatal(next, err)
	}
	if got := addresses(due(t, a, next, 1)); !slices.Equal(got, []string{"anna@example.com"}) {
		t.Errorf("%q", got)
	}
	if got := addresses(due(t, b, next, 5)); !slices.Equal(got, []string{"bert@example.com"}) {
		t.Errorf("%q", got)
	}
	// b takes over both when a is gone.
	if got := addresses(due(t, b, next.Add(7*day), 5)); !slices.Equal(got, []string{"anna@example.com", "bert@example.com"}) {
		t.Errorf("%q", got)
	}
}

// What others did is not done again, and does not cost the trickle's record a write.
func TestDueByAnOldIndex(t *testing.T) {
	store := newStore()
	a := campaign(t, CampaignConfig{Store: store, Refresh: 1000 * day})
	b := campaign(t, CampaignConfig{Store: store, Refresh: 1000 * day})
	add(t, a, start, "anna@example.com")
	now := start
	if _, err := b.SweepAt(ctx, now); err != nil { // b has a look.
		t.Fatal(err)
	}
	idle := func(c *Campaign) {
		t.Helper()
		writes := store.writes
		if got := due(t, c, now, 5); len(got) != 0 || store.writes != writes {
			t.Fatalf("%d invitations, %d writes", len(got), store.writes-writes)
		}
	}
	if got := due(t, a, now, 5); len(got) != 1 {
		t.Fatalf("%+v", got)
	}
	idle(b)
	b = campaign(t, CampaignConfig{Store: store, Refresh: 1000 * day})
	idle(b) // Now b waits for the second message.
	now = now.Add(7 * day)
	if got := due(t, a, now, 5); len(got) != 1 || got[0].Number != 2 {
		t.Fatalf("%+v", got)
	}
	now = now.Add(7 * day)
	idle(b)
	idle(a)
}

// Another process may come between the look at a record and its mark.
func TestDueIsForestalled(t *testing.T) {
	store := newStore()
	a, b := campaign(t, CampaignConfig{Store: store}), campaign(t, CampaignConfig{Store: store})
	add(t, a, start, "anna@example.com", "bert@example.com", "carl@example.com")
	var got, other []string
	store.meanwhile = func() { other = addresses(due(t, a, start, 2)) }
	got = addresses(due(t, b, start, 3))
	if !slices.Equal(other, []string{"anna@example.com", "bert@example.com"}) || !slices.Equal(got, []string{"carl@example.com"}) {
		t.Errorf("%q and %q", other, got)
	}
	tr, err := decodeTrickle(store.values[trickleKey])
	if used := tr.used(stamp(start), dayWindow); used != 3 || err != nil {
		t.Errorf("%d of the trickle used, %v", used, err)
	}
}

// A clock that was put back does not keep the index from its refresh.
func TestDueAfterTheClockWasPutBack(t *testing.T) {
	store := newStore()
	a, b := campaign(t, CampaignConfig{Store: store}), campaign(t, CampaignConfig{Store: store})
	due(t, a, start.Add(10*day), 1)
	add(t, b, start, "anna@example.com")
	if got := due(t, a, start, 1); len(got) != 1 {
		t.Errorf("%+v", got)
	}
}

// The index has room for few only: all the others come too, in order, and loading is rare.
func TestDueWithASmallIndex(t *testing.T) {
	store := newStore()
	c := campaign(t, CampaignConfig{Store: store, PerDay: 10_000, Refresh: 1000 * day})
	c.most = 8
	all := numbered(100)
	add(t, c, start, all...)
	var got []string
	for at := time.Duration(0); at < 6*day; at += time.Hour {
		got = append(got, addresses(due(t, c, start.Add(at), 30))...)
	}
	if !slices.Equal(got, all) {
		t.Errorf("first messages: %q", got)
	}
	if store.loads > 15 {
		t.Errorf("%d loads for 100 addresses", store.loads)
	}
	got = nil
	for at := 7 * day; at < 14*day; at += time.Hour {
		got = append(got, addresses(due(t, c, start.Add(at), 30))...)
	}
	if slices.Sort(got); !slices.Equal(got, all) {
		t.Errorf("second messages: %q", got)
	}
	if n, err := c.SweepAt(ctx, start.Add(100*day)); n != 100 || err != nil {
		t.Error(n, err)
	}
	if store.loads > 50 {
		t.Errorf("%d loads in all", store.loads)
	}
	if n := cap(c.index.fresh.entries) + cap(c.index.again.entries) + cap(c.index.lapse.entries); n > 6*c.most {
		t.Errorf("room for %d entries", n)
	}
}

// Many processes ask at once: each invitation is given once, and the trickle holds over all.
func TestDueAtOnce(t *testing.T) {
	store := newStore()
	all := numbered(200)
	setup := campaign(t, CampaignConfig{Store: store})
	add(t, setup, start, all...)
	var mu sync.Mutex
	given := map[string]int{}
	var wg sync.WaitGroup
	for range 4 {
		c := campaign(t, CampaignConfig{Store: store, PerDay: 2000}) // 100 at once
		for range 2 {
			wg.Go(func() {
				for range 50 {
					invitations, _, err := c.DueAt(ctx, start, 7)
					mu.Lock()
					if err != nil {
						t.Error(err)
					}
					for _, i := range invitations {
						given[i.Address]++
					}
					mu.Unlock()
				}
			})
		}
		wg.Go(func() {
			if _, err := c.Add(ctx, start, all...); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(given) != 100 {
		t.Errorf("%d of 100 addresses", len(given))
	}
	for address, n := range given {
		if n != 1 {
			t.Errorf("%s was given %d times", address, n)
		}
	}
}

// What fails between is never given twice, and the trickle gets back what surely was not used.
func TestDueFails(t *testing.T) {
	away := errors.New("away")
	for _, c := range []struct {
		step, key string
		given     int  // with the error
		lost      bool // the address that failed is counted
		used      int  // of the trickle
	}{
		{"load", "", 0, false, 0},
		{"get", "reader000001@example.com", 0, false, 0},
		{"before", trickleKey, 0, false, 0},
		{"after", trickleKey, 0, false, 3},
		{"before", "reader000001@example.com", 1, false, 2},
		{"after", "reader000001@example.com", 1, true, 2},
	} {
		store := newStore()
		cam := campaign(t, CampaignConfig{Store: store, PerDay: 1000})
		all := numbered(3)
		add(t, cam, start, all...)
		failed := false
		store.fail = func(step, key string) error {
			if !failed && step == c.step && key == c.key {
				failed = true
				return away
			}
			return nil
		}
		got, next, err := cam.DueAt(ctx, start, 10)
		if len(got) != c.given || !errors.Is(err, away) || !next.Equal(start) || strings.Contains(err.Error(), "reader") {
			t.Errorf("%s %s: %d, %v, %v", c.step, c.key, len(got), next, err)
		}
		tr, err := decodeTrickle(store.values[trickleKey])
		if used := tr.used(stamp(start), dayWindow); used != c.used || err != nil {
			t.Errorf("%s %s: %d of the trickle used, %v; want %d", c.step, c.key, used, err, c.used)
		}
		rest := addresses(append(got, due(t, cam, start, 10)...))
		want := slices.Clone(all)
		if c.lost {
			want = slices.Delete(want, 1, 2)
		}
		if slices.Sort(rest); !slices.Equal(rest, want) {
			t.Errorf("%s %s: %q in all, want %q", c.step, c.key, rest, want)
		}
	}
}

func TestDueEnds(t *testing.T) {
	store := newStore()
	c := campaign(t, CampaignConfig{Store: store})
	add(t, c, start, "anna@example.com")
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if got, _, err := c.DueAt(canceled, start, 1); len(got) != 0 || !errors.Is(err, context.Canceled) {
		t.Error(got, err)
	}
	if n, err := c.SweepAt(canceled, start); n != 0 || !errors.Is(err, context.Canceled) {
		t.Error(n, err)
	}
	// Who waits for another call does not wait longer than his ctx.
	c.busy <- struct{}{}
	waiting, cancel := context.WithCancel(ctx)
	done := make(chan error)
	go func() {
		_, _, err := c.DueAt(waiting, start, 1)
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-c.busy
	store.values["bert@example.com"] = []byte("2 of another version")
	if _, _, err := c.DueAt(ctx, start, 1); !errors.Is(err, errRecord) || strings.Contains(err.Error(), "bert") {
		t.Error(err)
	}
}

// A k that is changed goes for those on their way, too.
func TestDueWithAnotherMaxMessages(t *testing.T) {
	store := newStore()
	two := campaign(t, CampaignConfig{Store: store})
	add(t, two, start, "anna@example.com")
	due(t, two, start, 1)
	now := start.Add(14 * day)
	one := campaign(t, CampaignConfig{Store: store, MaxMessages: 1})
	if got := due(t, one, now, 1); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	three := campaign(t, CampaignConfig{Store: store, MaxMessages: 3})
	if got := due(t, three, now, 1); len(got) != 1 || got[0].Number != 2 || got[0].Of != 3 {
		t.Errorf("%+v", got)
	}
}

func BenchmarkDueAt(b *testing.B) {
	store := newStore()
	c := campaign(b, CampaignConfig{Store: store, PerDay: maxPerDay, Refresh: maxTime, Interval: maxTime})
	c.most = 1 << 21
	now := start
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if n%1000 == 0 {
			b.StopTimer()
			clear(store.values)
			if a, err := c.Add(ctx, now, numbered(1000)...); a.New != 1000 || err != nil {
				b.Fatal(a, err)
			}
			now = now.Add(day)
			b.StartTimer()
		}
		if got, _, err := c.DueAt(ctx, now, 1); len(got) != 1 || err != nil {
			b.Fatal(got, err)
		}
		n++
	}
}

// An index of a campaign of a hundred thousand.
func BenchmarkReindex(b *testing.B) {
	store := newStore()
	c := campaign(b, CampaignConfig{Store: store})
	for i, address := range numbered(100_000) {
		store.values[address] = record{StateInvited, i % 3, stamp(start) + int64(i), 0}.encode()
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := c.reindex(ctx, stamp(start), true); err != nil {
			b.Fatal(err)
		}
	}
}
