package engagement

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var errAway = errors.New("away")

// given is a message that a campaign may have sent. at is on a clock that stands still when the others go back.
type given struct {
	at      int64
	address string
}

// world is campaigns on one store, and what happened outside of them.
type world struct {
	t         *rapid.T
	store     *memoryStore
	config    CampaignConfig
	campaigns []*Campaign

	at, behind int64 // the campaigns' clock is at-behind
	back       int64 // how much it was put back since it was right

	counted    []given // by the records: what can have been sent
	handed     map[string]int
	tokens     map[string][]string
	confirmed  map[string]bool
	suppressed map[string]bool
	fails      int // the number of the store's steps until one fails; 0 for none
}

func (w *world) now() time.Time { return unstamp(w.at - w.behind) }

func (w *world) open() *Campaign {
	c := campaign(w.t, w.config)
	c.most = rapid.IntRange(1, 12).Draw(w.t, "room in the index")
	return c
}

// watch sees each change of a record.
func (w *world) watch() {
	before := map[string]record{}
	w.store.fail = func(step, key string) error {
		if step == "after" && key != trickleKey {
			r, err := decode(w.store.values[key])
			if err != nil {
				w.t.Fatalf("%s: %v", key, err)
			}
			w.changed(key, before[key], r)
			before[key] = r
		}
		if w.fails > 0 {
			if w.fails--; w.fails == 0 {
				return errAway
			}
		}
		return nil
	}
}

// changed checks a step of a record.
func (w *world) changed(address string, old, r record) {
	switch {
	case r.sent == old.sent+1:
		if old.state != StateInvited || r.state != StateInvited {
			w.t.Fatalf("%s has a message and goes from %s to %s", address, old.state, r.state)
		}
		for i := len(w.counted) - 1; i >= 0; i-- {
			if g := w.counted[i]; g.address == address {
				if w.at-g.at < int64(w.config.Interval) {
					w.t.Fatalf("%s: two messages in %v", address, time.Duration(w.at-g.at))
				}
				break
			}
		}
		w.counted = append(w.counted, given{w.at, address})
	case r.sent != old.sent:
		w.t.Fatalf("%s: %d messages after %d", address, r.sent, old.sent)
	}
	if r.sent > w.config.MaxMessages {
		w.t.Fatalf("%s: %d messages", address, r.sent)
	}
	switch edge := string(old.state) + " " + string(r.state); edge {
	case " invited", "invited invited", "invited active", "invited lapsing", "lapsing lapsing", "lapsing lapsed", "active active":
	case " active", "lapsing active", "lapsed active": // By hand.
		if !w.confirmed[address] {
			w.t.Fatalf("%s: %s", address, edge)
		}
	default:
		w.t.Fatalf("%s: %s", address, edge)
	}
	if old.state == StateInvited && r.state == stateLapsing {
		if r.sent != w.config.MaxMessages {
			w.t.Fatalf("%s: given up after %d messages", address, r.sent)
		}
		last := w.counted[len(w.counted)-1]
		for i := len(w.counted) - 1; w.counted[i].address != address; i-- {
			last = w.counted[i-1]
		}
		if w.at-last.at < int64(w.config.GiveUpAfter) {
			w.t.Fatalf("%s: given up after %v", address, time.Duration(w.at-last.at))
		}
	}
	if r.state == StateLapsed && !w.suppressed[address] {
		w.t.Fatalf("%s: lapsed, and not suppressed", address)
	}
}

// trickles checks that no window is over its limit.
func (w *world) trickles() {
	burst := (w.config.PerDay + spread - 1) / spread
	inDay, inBurst := 0, 0
	for i := len(w.counted) - 1; i >= 0; i-- {
		age := w.at - w.counted[i].at
		if age < dayWindow {
			inDay++
		}
		if age < burstWindow {
			inBurst++
		}
	}
	if inDay > w.config.PerDay || inBurst > burst {
		w.t.Fatalf("%d of %d in a day, %d of %d in a burst", inDay, w.config.PerDay, inBurst, burst)
	}
}

// Whatever happens to campaigns on one store (restarts, failures, clocks that jump), nobody gets more than k messages or two in less
// than the interval, nobody gets the same one twice, no window has more than its limit, nobody is given up without all messages and time,
// nobody lapses who was not suppressed, and nobody who confirmed is suppressed.
func TestCampaignKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{
			t: t, store: newStore(), at: stamp(start),
			handed: map[string]int{}, tokens: map[string][]string{}, confirmed: map[string]bool{}, suppressed: map[string]bool{},
		}
		w.config = CampaignConfig{
			Store: w.store, MaxMessages: rapid.IntRange(1, 3).Draw(t, "k"), PerDay: rapid.IntRange(1, 60).Draw(t, "per day"),
			Interval:    time.Duration(rapid.IntRange(1, 48).Draw(t, "interval")) * time.Hour,
			GiveUpAfter: time.Duration(rapid.IntRange(1, 48).Draw(t, "give up")) * time.Hour,
			Refresh:     time.Duration(rapid.IntRange(1, 200).Draw(t, "refresh")) * time.Hour,
			Suppress: func(_ context.Context, address, _ string) error {
				if rapid.IntRange(0, 9).Draw(t, "suppress fails") == 0 {
					return errAway
				}
				w.suppressed[address] = true
				return nil
			},
		}
		w.watch()
		for range rapid.IntRange(1, 3).Draw(t, "campaigns") {
			w.campaigns = append(w.campaigns, w.open())
		}
		one := func() *Campaign { return w.campaigns[rapid.IntRange(0, len(w.campaigns)-1).Draw(t, "campaign")] }
		check := func(err error) {
			if err != nil && !errors.Is(err, errAway) {
				t.Fatal(err)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				var list []string
				for range rapid.IntRange(1, 20).Draw(t, "addresses") {
					list = append(list, fmt.Sprintf("reader%d@example.com", rapid.IntRange(0, 60).Draw(t, "address")))
				}
				_, err := one().Add(ctx, w.now(), list...)
				check(err)
			},
			"due": func(t *rapid.T) {
				n := rapid.IntRange(1, 30).Draw(t, "n")
				before := len(w.counted)
				invitations, next, err := one().DueAt(ctx, w.now(), n)
				check(err)
				if len(invitations) > n || err == nil && next.Before(w.now()) {
					t.Fatalf("%d of %d invitations, next %v at %v", len(invitations), n, next, w.now())
				}
				if missing := len(w.counted) - before - len(invitations); missing < 0 || missing > 0 && err == nil || missing > 1 {
					t.Fatalf("%d messages counted and not given, %v", missing, err)
				}
				for _, i := range invitations {
					key := fmt.Sprint(i.Address, " ", i.Number)
					if w.handed[key]++; w.handed[key] > 1 || i.Number > i.Of {
						t.Fatalf("message %s of %d is given for the %d. time", key, i.Of, w.handed[key])
					}
					w.tokens[i.Address] = append(w.tokens[i.Address], i.Token)
				}
				w.trickles()
			},
			"confirm": func(t *rapid.T) {
				address := fmt.Sprintf("reader%d@example.com", rapid.IntRange(0, 60).Draw(t, "address"))
				for _, token := range w.tokens[address] {
					before := w.store.record(address)
					got, err := one().Confirm(ctx, w.now(), token)
					switch {
					case err == nil:
						if got != address || w.suppressed[address] && before.state != StateActive || before.state == stateLapsing || before.state == StateLapsed {
							t.Fatalf("%s in %+v confirmed as %s", address, before, got)
						}
						w.confirmed[address] = true
					case errors.Is(err, ErrTokenExpired):
					case errors.Is(err, ErrLapsed):
						if before.state != stateLapsing && before.state != StateLapsed {
							t.Fatalf("%s in %+v: %v", address, before, err)
						}
					default:
						check(err)
					}
				}
			},
			"confirm by hand": func(t *rapid.T) {
				address := fmt.Sprintf("reader%d@example.com", rapid.IntRange(0, 60).Draw(t, "address"))
				w.confirmed[address] = true // Perhaps: the store may fail after it.
				check(one().ConfirmAddress(ctx, w.now(), address))
				delete(w.suppressed, address)
			},
			"sweep": func(t *rapid.T) {
				_, err := one().SweepAt(ctx, w.now())
				check(err)
				for address := range w.suppressed {
					if s := w.store.record(address).state; s == StateActive {
						t.Fatalf("%s is %s and suppressed", address, s)
					}
				}
			},
			"restart": func(t *rapid.T) {
				w.campaigns[rapid.IntRange(0, len(w.campaigns)-1).Draw(t, "campaign")] = w.open()
			},
			"time": func(t *rapid.T) {
				w.at += rapid.OneOf(
					rapid.Int64Range(0, int64(10*time.Minute)), rapid.Int64Range(0, int64(2*time.Hour)), rapid.Int64Range(0, int64(60*time.Hour)),
				).Draw(t, "passes")
			},
			"back": func(t *rapid.T) {
				by := rapid.OneOf(rapid.Int64Range(0, int64(time.Hour)), rapid.Int64Range(0, int64(100*time.Hour))).Draw(t, "by")
				w.behind += by
				w.back += by
			},
			"right": func(t *rapid.T) { // Which nobody can tell from time that passes.
				w.at += w.back
				w.back = 0
			},
			"failure": func(t *rapid.T) { w.fails = rapid.IntRange(1, 20).Draw(t, "step") },
		})
	})
}

// With time enough, everybody has confirmed or lapsed in the end, whatever fails on the way.
func TestCampaignComesToItsEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		store := newStore()
		fails := func() error {
			if random.IntN(20) == 0 {
				return errAway
			}
			return nil
		}
		store.fail = func(step, _ string) error { return fails() }
		config := CampaignConfig{
			Store: store, MaxMessages: rapid.IntRange(1, 3).Draw(t, "k"), PerDay: rapid.IntRange(1, 100).Draw(t, "per day"),
			Suppress: func(context.Context, string, string) error { return fails() },
		}
		var campaigns []*Campaign
		for range rapid.IntRange(1, 2).Draw(t, "campaigns") {
			c := campaign(t, config)
			c.most = rapid.IntRange(1, 12).Draw(t, "room in the index")
			campaigns = append(campaigns, c)
		}
		all := numbered(rapid.IntRange(1, 15).Draw(t, "addresses"))
		for added := 0; added < len(all); {
			a, err := campaigns[0].Add(ctx, start, all...)
			if added = a.New + a.Had; err != nil && !errors.Is(err, errAway) {
				t.Fatal(err)
			}
		}
		ended := func() (n int) {
			for _, address := range all {
				if s := store.record(address).state; s == StateActive || s == StateLapsed {
					n++
				}
			}
			return n
		}
		now := start
		for calls := 0; ended() < len(all); calls++ {
			if now.After(start.Add(365 * day)) {
				t.Fatalf("%d of %d have come to their end in a year", ended(), len(all))
			}
			c := campaigns[calls%len(campaigns)]
			invitations, next, err := c.DueAt(ctx, now, 10)
			for _, i := range invitations {
				if random.IntN(4) == 0 {
					c.Confirm(ctx, now, i.Token)
				}
			}
			if err != nil {
				next = now.Add(time.Minute)
			}
			c.SweepAt(ctx, now)
			if now = now.Add(time.Second); now.Before(next) {
				now = next
			}
		}
	})
}
