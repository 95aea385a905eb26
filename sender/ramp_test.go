package sender_test

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/warmup"
)

// arrivals checks, at each message that comes over the cold route, that no rolling window of its provider holds more
// than the cap of the stage that the ledger is in.
type arrivals struct {
	mu     sync.Mutex
	ledger *warmup.Ledger
	times  map[string][]time.Time // of the cold source, by provider
	peak   map[string]int         // the fullest 24 hours
	cold   int
	total  int
	seen   map[string]int // by message
	broken []string
}

func (a *arrivals) add(provider string, r sendertest.Received) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.total++
	a.seen[r.To[0]]++
	if r.Source != netip.MustParseAddr("198.51.100.1") {
		return
	}
	a.cold++
	a.times[provider] = append(a.times[provider], r.Time)
	state := a.ledger.StateAt(r.Time, warmup.Path{Route: "cold", Provider: provider})
	for _, w := range []struct {
		span time.Duration
		cap  int
	}{{24 * time.Hour, state.Day.Cap}, {time.Hour, state.Hour.Cap}, {time.Minute, state.Minute.Cap}} {
		n := 0
		for i := len(a.times[provider]) - 1; i >= 0 && r.Time.Sub(a.times[provider][i]) < w.span; i-- {
			n++
		}
		if w.span == 24*time.Hour {
			a.peak[provider] = max(a.peak[provider], n)
		}
		if w.cap > 0 && n > w.cap {
			a.broken = append(a.broken, fmt.Sprintf("%s: %d messages in %v up to %v, cap %d", provider, n, w.span, r.Time, w.cap))
		}
	}
}

// ramp sends mail over days through a cold route with overflow to a warm one, and returns what arrived.
func ramp(t testing.TB, days, perDay int, plan warmup.Plan) *arrivals {
	w := newWorld(t)
	a := &arrivals{times: map[string][]time.Time{}, peak: map[string]int{}, seen: map[string]int{}}
	domains := []string{"alpha.example", "beta.example"}
	for _, domain := range domains {
		inbox, err := sendertest.NewInbox(sendertest.InboxConfig{Keep: sendertest.KeepCount, OnMessage: func(r sendertest.Received) { a.add(domain, r) }})
		w.must(err)
		w.mx(domain, sendertest.ServerConfig{Inbox: inbox})
	}
	ctx := context.Background()
	ledger, err := warmup.Open(ctx, warmup.Config{Plans: map[string]warmup.Plan{"cold": plan}})
	w.must(err)
	a.ledger = ledger
	cfg := w.config()
	cfg.Observer = nil
	cfg.Pacer = ledger
	cfg.Routes = []sender.Route{
		{Name: "cold", LocalAddr: "198.51.100.1", Hostname: "cold.example.org", Warmup: plan},
		{Name: "warm", LocalAddr: "198.51.100.2", Hostname: "warm.example.org"},
	}
	cfg.Pools = []sender.Pool{{Name: "main", Routes: []string{"cold"}, Overflow: []string{"warm"}}}
	cfg.Streams = []sender.Stream{{Name: "news", OverflowAfter: 3 * time.Hour}}
	s := w.start(cfg)
	const clump = 6
	n := 0
	for range days {
		// Half of a day's mail comes as one campaign, the rest in clumps all day.
		for i := range perDay {
			w.enqueue(s, fmt.Sprintf("u%d@%s", n, domains[n%2]))
			n++
			if i > perDay/2 && i%clump == 0 {
				time.Sleep(24 * time.Hour * clump / time.Duration(perDay/2))
			}
		}
	}
	time.Sleep(time.Hour)
	w.must(s.Stop(ctx))
	if a.total != n || len(a.seen) != n {
		t.Errorf("%d of %d messages arrived, %d different", a.total, n, len(a.seen))
	}
	for _, b := range a.broken {
		t.Error(b)
	}
	synctest.Wait() // the other sides see it
	if open := w.net.OpenConns(); open != 0 {
		t.Errorf("%d connections are open", open)
	}
	return a
}

func TestRampNeverExceedsACap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const days, perDay = 10, 1400
		a := ramp(t, days, perDay, warmup.Geometric(50, 1.4, 10_000))
		first, last := 50, 50.0
		for range days - 1 {
			last *= 1.4
		}
		for provider, peak := range a.peak {
			if peak <= first || float64(peak) > last {
				t.Errorf("%s: the fullest day had %d messages, the plan goes from %d to %.0f", provider, peak, first, last)
			}
		}
		t.Logf("%d of %d messages over the cold route; fullest days %v", a.cold, a.total, a.peak)
	})
}

// TestRampOf45Days: the whole of a ramp like that of Amazon SES, over real SMTP, ends with the full volume over the new address, and no rolling window ever held more than
// its cap.
func TestRampOf45Days(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const peak = 150
		a := ramp(t, 50, 2*peak+60, warmup.SES(peak))
		for provider := range a.times {
			st := a.ledger.StateAt(time.Now(), warmup.Path{Route: "cold", Provider: provider})
			if st.Stage < 43 {
				t.Errorf("%v", st)
			}
			if a.peak[provider] < peak*9/10 {
				t.Errorf("%s: the fullest day had %d messages", provider, a.peak[provider])
			}
		}
		t.Logf("%d of %d messages over the cold route; fullest days %v", a.cold, a.total, a.peak)
	})
}
