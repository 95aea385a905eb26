package sender_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-sasl"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/throttle"
	"github.com/reputemail/repute/warmup"
)

var (
	coldAddr = netip.MustParseAddr("198.51.100.1")
	warmAddr = netip.MustParseAddr("198.51.100.2")
)

// coldAndWarm is a Config whose pool has a cold route, and a warm one for overflow if overflow is set.
func (w *world) coldAndWarm(plan warmup.Plan, overflow bool) sender.Config {
	cfg := w.config()
	cfg.Routes = []sender.Route{
		{Name: "cold", LocalAddr: coldAddr.String(), Hostname: "cold.example.org", Warmup: plan},
		{Name: "warm", LocalAddr: warmAddr.String(), Hostname: "warm.example.org"},
	}
	cfg.Pools = []sender.Pool{{Name: "main", Routes: []string{"cold"}}}
	if overflow {
		cfg.Pools[0].Overflow = []string{"warm"}
	}
	return cfg
}

// bySource counts what arrived by source address.
func bySource(in *sendertest.Inbox) map[netip.Addr]int {
	out := map[netip.Addr]int{}
	for _, m := range in.Messages() {
		out[m.Source]++
	}
	return out
}

// tiny is a plan of 10 messages a day, all of them at once.
func tiny() warmup.Plan {
	return warmup.Plan{Name: "tiny", Stages: []warmup.Stage{{Day: 10, Hour: 10, Minute: 10}, {Day: 15, Hour: 15, Minute: 15}}}
}

func TestOverflowGoesToTheWarmRoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{})
		s := w.start(w.coldAndWarm(tiny(), true))
		w.enqueue(s, users(50, "example.com")...)
		time.Sleep(time.Hour)
		if got := bySource(mx.Inbox()); got[coldAddr] != 10 || got[warmAddr] != 40 {
			t.Errorf("arrived %v", got)
		}
		over := 0
		for _, e := range w.of(sender.EventDelivered) {
			if e.Overflow != (e.Path.Route == "warm") {
				t.Errorf("overflow %v over %s", e.Overflow, e.Path.Route)
			}
			if e.Overflow {
				over++
			}
		}
		st, err := s.Stats(context.Background())
		w.must(err)
		if over != 40 || len(st.Paths) != 2 || st.Paths[1].Overflowed != 40 || st.Paths[0].Overflowed != 0 {
			t.Errorf("%d overflowed; stats %+v", over, st.Paths)
		}
	})
}

func TestWithoutOverflowMailWaitsForTheAllowance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{})
		s := w.start(w.coldAndWarm(tiny(), false))
		w.enqueue(s, users(20, "example.com")...)
		time.Sleep(time.Hour)
		if got := bySource(mx.Inbox()); got[coldAddr] != 10 || len(got) != 1 {
			t.Fatalf("arrived %v", got)
		}
		waiting := 0
		for _, e := range w.of(sender.EventAccepted) {
			ex, err := s.Explain(context.Background(), e.DeliveryID)
			w.must(err)
			if ex[0].State.Final() {
				continue
			}
			waiting++
			wt := ex[0].Waits
			if len(wt) != 1 || wt[0].Reason != sender.WaitWarmup || wt[0].Path.Route != "cold" || time.Until(wt[0].Until) < 20*time.Hour || wt[0].Detail != "day-cap: 10 of 10 used" {
				t.Errorf("%s waits for %+v", e.DeliveryID, wt)
			}
			if ex[0].Attempts != 0 {
				t.Errorf("%d attempts", ex[0].Attempts)
			}
		}
		if waiting != 10 {
			t.Errorf("%d wait", waiting)
		}
		time.Sleep(25 * time.Hour)
		if got := bySource(mx.Inbox()); got[coldAddr] != 20 {
			t.Errorf("a day later arrived %v", got)
		}
	})
}

func TestAllowanceIsRefundedWhenTheReceiverSawNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Times(5, sendertest.DropAt(bounce.StageConnect))})
		s := w.start(w.coldAndWarm(tiny(), false))
		w.enqueue(s, users(10, "example.com")...)
		time.Sleep(12 * time.Hour)
		if got := bySource(mx.Inbox()); got[coldAddr] != 10 {
			t.Errorf("arrived %v: a failed connection cost allowance", got)
		}
	})
}

func TestRetriesConsumeNoAllowance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Greylist(5 * time.Minute)})
		s := w.start(w.coldAndWarm(tiny(), true))
		w.enqueue(s, users(10, "example.com")...)
		time.Sleep(time.Hour)
		if got := bySource(mx.Inbox()); got[coldAddr] != 10 || len(got) != 1 {
			t.Errorf("arrived %v: a retry changed its route or needed allowance", got)
		}
	})
}

func TestBlockedRouteIsLeftForAnother(t *testing.T) {
	block := sendertest.When(func(s *sendertest.Session) bool { return s.Source() == coldAddr },
		sendertest.RejectAt(bounce.StageMail, "550 5.7.1 Service unavailable; client [198.51.100.1] blocked using bl.spamcop.net"))
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{Script: block})
		cfg := w.coldAndWarm(warmup.Plan{}, false)
		cfg.Pools[0].Routes = []string{"cold", "warm"}
		s := w.start(cfg)
		w.enqueue(s, users(20, "example.com")...)
		time.Sleep(time.Hour)
		if got := bySource(mx.Inbox()); got[warmAddr] != 20 {
			t.Errorf("arrived %v", got)
		}
		if b := w.of(sender.EventBounced); len(b) != 0 {
			t.Errorf("bounced for our own fault: %+v", b[0])
		}
		if closed := w.of(sender.EventPathClosed); len(closed) == 0 || closed[0].Path.Route != "cold" {
			t.Errorf("path was not closed: %+v", closed)
		}
		if n := len(w.of(sender.EventDeferred)); n > 12 {
			t.Errorf("%d attempts over the blocked route before it was left", n)
		}
	})
}

func TestBlockedEverywhereBouncesWithoutSuppressing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("example.com", sendertest.ServerConfig{Script: sendertest.RejectAt(bounce.StageMail, "550 5.7.1 Client host blocked using zen.spamhaus.org")})
		cfg := w.coldAndWarm(warmup.Plan{}, true)
		gate := &memoryGate{}
		cfg.Gate = gate
		s := w.start(cfg)
		out := w.send(s, note("anna@example.com"))
		wantOutcome(t, out, queue.Bounced, bounce.Blocklisted)
		if routes := w.of(sender.EventDeferred); len(routes) != 1 || routes[0].Path.Route != "cold" {
			t.Errorf("the other route was not tried: %+v", routes)
		}
		if len(gate.dead) != 0 {
			t.Errorf("suppressed %v", gate.dead)
		}
	})
}

func TestRateLimitRestsThePathAndComesBackWithOneConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.RateLimit(30, time.Hour)})
		s := w.start(w.config())
		began := time.Now()
		w.enqueue(s, users(100, "example.com")...)
		for mx.Inbox().Len() < 100 && time.Since(began) < 48*time.Hour {
			time.Sleep(time.Minute)
		}
		if n := mx.Inbox().Len(); n != 100 {
			t.Fatalf("%d arrived", n)
		}
		closed, opened := w.of(sender.EventPathClosed), w.of(sender.EventPathOpened)
		if len(closed) < 3 || len(opened) < 3 {
			t.Errorf("closed %d times, opened %d times", len(closed), len(opened))
		}
		for _, e := range closed {
			if rest := e.Wait.Until.Sub(e.Time); rest < 10*time.Minute {
				t.Errorf("rests for %v", rest)
			}
		}
		if b := w.of(sender.EventBounced, sender.EventExpired); len(b) != 0 {
			t.Errorf("lost: %+v", b[0])
		}
	})
}

func TestRelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		relay, err := sendertest.StartServer(w.net, sendertest.ServerConfig{
			Hostname: "smtp.esp.example", Addr: netip.MustParseAddrPort("203.0.113.10:587"), CA: w.ca,
			Auth: map[string]string{"user": "secret"}, RequireAuth: true,
		})
		w.must(err)
		t.Cleanup(func() { relay.Close() })
		w.must(w.dns.AddA("smtp.esp.example", netip.MustParseAddr("203.0.113.10")))
		cfg := w.config()
		cfg.TLS = clientTLS(w.ca)
		cfg.Routes = []sender.Route{{Name: "esp", Relay: &sender.Relay{Addr: "smtp.esp.example:587", Auth: sasl.NewPlainClient("", "user", "secret")}}}
		s := w.start(cfg)
		// The domain does not exist in DNS: only the relay has to know it.
		wantOutcome(t, w.send(s, note("anna@example.com")), queue.Delivered, "")
		got := relay.Inbox().Messages()
		if len(got) != 1 || got[0].User != "user" || got[0].TLS == nil || got[0].Hostname != "[127.0.0.1]" {
			t.Errorf("arrived %+v", got)
		}
	})
}

func TestRelayWithWrongPasswordBouncesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		relay, err := sendertest.StartServer(w.net, sendertest.ServerConfig{
			Hostname: "smtp.esp.example", Addr: netip.MustParseAddrPort("203.0.113.10:465"), CA: w.ca, ImplicitTLS: true,
			Auth: map[string]string{"user": "secret"}, RequireAuth: true,
		})
		w.must(err)
		t.Cleanup(func() { relay.Close() })
		w.must(w.dns.AddA("smtp.esp.example", netip.MustParseAddr("203.0.113.10")))
		cfg := w.config()
		cfg.TLS = clientTLS(w.ca)
		cfg.Streams = []sender.Stream{{Name: "default", ExpireAfter: 3 * time.Hour}}
		cfg.Routes = []sender.Route{{Name: "esp", Relay: &sender.Relay{Addr: "smtp.esp.example:465", AuthFunc: func() sasl.Client { return sasl.NewPlainClient("", "user", "old") }}}}
		s := w.start(cfg)
		out := w.send(s, note("anna@example.com"))
		if out.State == queue.Delivered || out.Verdict.Suppress || out.Verdict.Category != bounce.AuthFailure {
			t.Errorf("became %s: %+v", out.State, out.Verdict)
		}
	})
}

func TestRelayOfItsOwnLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		relay, err := sendertest.StartServer(w.net, sendertest.ServerConfig{
			Hostname: "smtp.esp.example", Addr: netip.MustParseAddrPort("203.0.113.10:25"), Script: sendertest.Tarpit(time.Second),
		})
		w.must(err)
		t.Cleanup(func() { relay.Close() })
		cfg := w.config()
		cfg.Routes = []sender.Route{{Name: "esp", Relay: &sender.Relay{Addr: "203.0.113.10:25", Limits: &throttle.Limits{Connections: 2, MessagesPerConnection: 5, Recipients: 1}}}}
		s := w.start(cfg)
		for i := range 40 {
			w.enqueue(s, fmt.Sprintf("u%d@d%d.example", i, i))
		}
		time.Sleep(time.Hour)
		if st := relay.Stats(); relay.Inbox().Len() != 40 || st.MaxOpen > 2 || st.Connections != 8 {
			t.Errorf("%d arrived over %d connections, %d at a time", relay.Inbox().Len(), st.Connections, st.MaxOpen)
		}
	})
}

func TestConnectionLimitOfAProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Tarpit(time.Second)})
		cfg := w.config()
		cfg.Limits = map[string]throttle.Limits{"example.com": {Connections: 3, MessagesPerConnection: 10}}
		s := w.start(cfg)
		w.enqueue(s, users(60, "example.com")...)
		time.Sleep(time.Hour)
		if st := mx.Stats(); mx.Inbox().Len() != 60 || st.MaxOpen != 3 || st.Connections != 6 {
			t.Errorf("%d arrived over %d connections, %d at a time", mx.Inbox().Len(), st.Connections, st.MaxOpen)
		}
	})
}

// TestSessionClosedByTheOtherSideIsNoAttempt: a receiver that closes without a word after 20 messages costs nothing.
func TestSessionClosedByTheOtherSideIsNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.CloseAfter(20)})
		s := w.start(w.config())
		w.enqueue(s, users(500, "example.com")...)
		time.Sleep(time.Hour)
		if n := mx.Inbox().Len(); n != 500 {
			t.Errorf("%d arrived", n)
		}
		if d := w.of(sender.EventDeferred); len(d) != 0 {
			t.Errorf("%d deferred: %s", len(d), d[0].Reply)
		}
	})
}

// TestRecipientsOfOneTransaction: a message to more recipients than the provider takes at once goes out in several.
func TestRecipientsOfOneTransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{MaxRecipients: 10})
		cfg := w.config()
		cfg.Limits = map[string]throttle.Limits{"example.com": {Connections: 1, Recipients: 10}}
		s := w.start(cfg)
		out, err := s.Send(context.Background(), note(users(25, "example.com")...))
		w.must(err)
		sizes := map[int]int{}
		for _, m := range mx.Inbox().Messages() {
			sizes[len(m.To)]++
		}
		if len(out) != 25 || sizes[10] != 2 || sizes[5] != 1 || len(w.of(sender.EventDeferred)) != 0 {
			t.Errorf("%d outcomes, transactions by size %v", len(out), sizes)
		}
	})
}

// TestOverflowDoesNotWaitBehindItself: a lane in line for a cold route must not keep itself from its overflow route.
func TestOverflowDoesNotWaitBehindItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("example.com", sendertest.ServerConfig{})
		s := w.start(w.coldAndWarm(tiny(), true))
		began := time.Now()
		w.enqueue(s, users(400, "example.com")...)
		for len(w.of(sender.EventDelivered)) < 400 && time.Since(began) < time.Hour {
			time.Sleep(100 * time.Millisecond)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("took %v", took)
		}
		w.must(s.Stop(context.Background()))
	})
}

// TestRelayFailureThatTellsMost: of the failures of a relay's addresses the one that got farthest is told.
func TestRelayFailureThatTellsMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		relay, err := sendertest.StartServer(w.net, sendertest.ServerConfig{
			Hostname: "other.example", Addr: netip.MustParseAddrPort("203.0.113.10:465"), CA: w.ca, ImplicitTLS: true,
		})
		w.must(err)
		t.Cleanup(func() { relay.Close() })
		w.must(w.dns.AddA("smtp.esp.example", netip.MustParseAddr("203.0.113.10")))
		w.must(w.dns.AddA("smtp.esp.example", nobody)) // refuses connections
		cfg := w.config()
		cfg.TLS = clientTLS(w.ca)
		cfg.Routes = []sender.Route{{Name: "esp", Relay: &sender.Relay{Addr: "smtp.esp.example:465"}}}
		s := w.start(cfg)
		w.enqueue(s, "anna@example.com")
		time.Sleep(time.Minute)
		if d := w.of(sender.EventDeferred); len(d) != 1 || d[0].Verdict.Category != bounce.TLSRequired {
			t.Errorf("deferred: %+v", d)
		}
	})
}
