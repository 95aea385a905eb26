package sender_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/warmup"
)

// provider starts a provider whose mail exchangers have addresses of their own.
func (w *world) provider(cfg sendertest.ProviderConfig) *sendertest.Provider {
	w.t.Helper()
	w.next += 2
	cfg.Addrs = []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, w.next}), netip.AddrFrom4([4]byte{192, 0, 2, w.next + 1})}
	cfg.Thresholds.AllowUnsigned, cfg.CA = true, w.ca
	p, err := sendertest.StartProvider(w.net, w.dns, cfg)
	w.must(err)
	w.t.Cleanup(func() { p.Close() })
	return p
}

// TestStoryDayOneBlast: a new address that sends its full volume on the first day is turned away by the provider, and most of the mail expires. With a warm-up and
// a warm route for what is above it, 99 % arrive, and the provider has nothing against the new address.
func TestStoryDayOneBlast(t *testing.T) {
	for _, warm := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			p := w.provider(sendertest.ProviderConfig{
				Kind: sendertest.GmailLike, Trusted: []netip.Addr{warmAddr}, Thresholds: sendertest.Thresholds{Window: 24 * time.Hour, NewAllowance: 100},
			})
			cfg := w.coldAndWarm(warmup.Geometric(40, 1.4, 2000), true)
			cfg.Streams = []sender.Stream{{Name: "news", OverflowAfter: 10 * time.Hour}}
			if !warm {
				cfg.Routes[0].Warmup = warmup.Plan{}
				cfg.Pools[0].Overflow = nil
			}
			cfg.TLS = clientTLS(w.ca)
			s := w.start(cfg)
			const n = 2000
			for i := range n {
				w.enqueue(s, fmt.Sprintf("user%d@gmail.example", i))
			}
			time.Sleep(80 * time.Hour)
			delivered, expired := len(w.of(sender.EventDelivered)), len(w.of(sender.EventExpired))
			var cold sendertest.SourceReport
			for _, r := range p.Report() {
				if r.Source == coldAddr {
					cold = r
				}
			}
			if warm && (delivered < n*99/100 || cold.Deferred+cold.Rejected > 0 || cold.Accepted < 30) {
				t.Errorf("with a warm-up %d of %d arrived; the new address: %+v", delivered, n, cold)
			}
			if !warm && (delivered > n/3 || expired < n/2 || cold.Deferred == 0) {
				t.Errorf("a blast: %d of %d arrived, %d expired; the address: %+v", delivered, n, expired, cold)
			}
			if delivered+expired != n {
				t.Errorf("%d delivered, %d expired of %d", delivered, expired, n)
			}
		})
	}
}

// TestStorySourOnDayNine: a provider turns sour on the ninth day. Its path steps back, and says on what evidence; the path to the other provider goes on as
// if nothing had happened, and all mail arrives.
func TestStorySourOnDayNine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		began := time.Now()
		sour := func() bool { return time.Since(began) >= 8*24*time.Hour }
		w.provider(sendertest.ProviderConfig{
			Kind: sendertest.GmailLike, Trusted: []netip.Addr{warmAddr}, Thresholds: sendertest.Thresholds{NewAllowance: 10_000},
			Script: sendertest.Script{OnRcpt: func(s *sendertest.Session, to string) *sendertest.Answer {
				if s.Source() == coldAddr && sour() {
					return sendertest.Say("421-4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address.\n421 4.7.28 " +
						"To protect our users from spam, mail sent from your IP address has been temporarily rate limited.")
				}
				return nil
			}},
		})
		w.provider(sendertest.ProviderConfig{Kind: sendertest.YahooLike, Trusted: []netip.Addr{warmAddr}, Thresholds: sendertest.Thresholds{NewAllowance: 10_000}})
		const days, perDay = 13, 260
		cfg := w.coldAndWarm(warmup.Geometric(20, 1.2, 1000), true)
		cfg.Streams = []sender.Stream{{Name: "news", OverflowAfter: 10 * time.Hour}}
		cfg.TLS = clientTLS(w.ca)
		s := w.start(cfg)
		var stages []map[string]warmup.State
		for day := range days {
			for i := range perDay {
				w.enqueue(s, fmt.Sprintf("d%du%d@%s", day, i, [2]string{"gmail.example", "yahoo.example"}[i%2]))
			}
			time.Sleep(24*time.Hour + 20*time.Minute)
			now := map[string]warmup.State{}
			for _, st := range s.WarmupStates() {
				now[st.Provider] = st
			}
			stages = append(stages, now)
		}
		time.Sleep(24 * time.Hour)
		gmail, yahoo := "google", "yahoo"
		before, after := stages[7], stages[days-1]
		if before[gmail].Stage < 7 || before[gmail].Stage != before[yahoo].Stage {
			t.Errorf("before it: gmail in stage %d, yahoo in %d", before[gmail].Stage, before[yahoo].Stage)
		}
		if after[gmail].Stage >= before[gmail].Stage || after[yahoo].Stage < before[yahoo].Stage+4 {
			t.Errorf("after it: gmail %v, yahoo %v", after[gmail], after[yahoo])
		}
		back := 0
		for _, e := range w.of(sender.EventWarmup) {
			if e.Warmup.To.Phase == warmup.PhaseSteppedBack {
				back++
				if e.Path.Provider != gmail || e.Warmup.Evidence.Cause != warmup.CauseDeferrals || e.Warmup.Evidence.Bad < 3 || e.Time.Before(began.Add(8*24*time.Hour)) {
					t.Errorf("%v", e.Warmup)
				}
			}
		}
		if back == 0 {
			t.Errorf("nothing stepped back: %v", after[gmail])
		}
		if n := len(w.of(sender.EventDelivered)); n != days*perDay {
			t.Errorf("%d of %d arrived", n, days*perDay)
		}
		w.must(s.Stop(context.Background()))
	})
}
