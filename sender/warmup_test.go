package sender_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/warmup"
)

// capped is a plan of one stage whose cap stays.
func capped(n int) warmup.Plan {
	return warmup.Plan{Stages: []warmup.Stage{{Day: n, Hour: n, Minute: n}}, Keep: true}
}

// TestBudgets: what goes out keeps within the cap of its path, that of its route over all providers, and that of its signing domain at the provider, over warm
// routes too; what is above says which of them it was.
func TestBudgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := map[string]*sendertest.Server{}
		for _, domain := range []string{"a.example", "b.example", "c.example"} {
			mx[domain] = w.mx(domain, sendertest.ServerConfig{})
		}
		cfg := w.coldAndWarm(capped(10), true)
		cfg.Routes[0].WarmupTotal = capped(25)
		cfg.Streams = []sender.Stream{{Name: "old", SigningDomain: "old.example"}, {Name: "young", SigningDomain: "young.example"}}
		cfg.WarmupDomains = map[string]warmup.Plan{"young.example": capped(4)}
		s := w.start(cfg)
		var waiting string
		for i := range 12 {
			for domain := range mx {
				for _, stream := range []string{"old", "young"} {
					m := note(users(12, domain)[i])
					m.Stream = stream
					r, err := s.Enqueue(context.Background(), m)
					w.must(err)
					if stream == "young" && i == 11 {
						waiting = r.Deliveries[0].ID
					}
				}
			}
		}
		time.Sleep(12 * time.Hour)
		cold, young := 0, map[string]int{}
		for _, e := range w.of(sender.EventDelivered) {
			if e.Path.Route == "cold" {
				if cold++; e.Overflow || e.OverflowFor.Reason != "" {
					t.Errorf("over the cold route it overflowed for %q", e.OverflowFor)
				}
			} else if !e.Overflow || e.OverflowFor.Reason != sender.WaitWarmup || !strings.Contains(e.OverflowFor.String(), "day-cap: ") {
				t.Errorf("it overflowed for %q", e.OverflowFor)
			}
			if e.Stream == "young" {
				young[e.Path.Provider]++
			}
		}
		if cold != 25 {
			t.Errorf("%d over the cold route, its cap is 25", cold)
		}
		for _, domain := range []string{"a.example", "b.example", "c.example"} {
			if young[domain] != 4 {
				t.Errorf("%d of the young domain to %s, its cap is 4", young[domain], domain)
			}
			over := bySource(mx[domain].Inbox())
			if over[coldAddr] > 10 || over[coldAddr]+over[warmAddr] != 16 {
				t.Errorf("%s: %v", domain, over)
			}
		}
		x, err := s.Explain(context.Background(), waiting)
		w.must(err)
		said := false
		for _, wait := range x[0].Waits {
			said = said || wait.Path.Route == "domain:young.example" && strings.HasPrefix(wait.Detail, "day-cap: 4 of 4")
		}
		if !said {
			t.Errorf("it waits for %v", x[0].Waits)
		}
		states := map[string]warmup.State{}
		for _, st := range s.WarmupStates() {
			states[st.Path.String()] = st
		}
		if st := states["total:cold/all"]; st.Day.Used != 25 || st.Outcomes.Delivered != 25 {
			t.Errorf("%+v", st)
		}
		time.Sleep(14 * time.Hour) // the next day
		if n := len(w.of(sender.EventDelivered)); n < 48+12 {
			t.Errorf("%d delivered by the next day", n)
		}
	})
}

// TestWarmOnly: a message that forbids cold routes goes over the warm one, and waits where there is none until the cold one is warm; also after it was
// put off, and other mail is not held up by it.
func TestWarmOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		deferrals := 1
		mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Script{OnRcpt: func(_ *sendertest.Session, to string) *sendertest.Answer {
			if deferrals > 0 && strings.HasPrefix(to, "reset") {
				deferrals--
				return sendertest.Say("450 4.2.0 Greylisted, try again later")
			}
			return nil
		}}})
		reset := note("reset@example.com")
		reset.WarmOnly = true
		s := w.start(w.coldAndWarm(tiny(), true))
		w.send(s, note("other@example.com"))
		if out := w.send(s, reset); out.State != queue.Delivered {
			t.Fatalf("%+v", out)
		}
		if over := bySource(mx.Inbox()); over[warmAddr] != 1 || over[coldAddr] != 1 || deferrals != 0 {
			t.Errorf("%v", over)
		}
		for _, e := range w.of(sender.EventDelivered, sender.EventDeferred) {
			if strings.HasPrefix(e.Recipient.Address, "reset") && (e.Path.Route != "warm" || !strings.Contains(e.OverflowFor.Detail, "may not go over a route that is being warmed up")) {
				t.Errorf("%s over %s, for %q", e.Type, e.Path, e.OverflowFor)
			}
		}

		alone := newWorld(t)
		only := alone.mx("example.com", sendertest.ServerConfig{})
		s = alone.start(alone.coldAndWarm(tiny(), false))
		r, err := s.Enqueue(context.Background(), reset)
		alone.must(err)
		alone.enqueue(s, users(3, "example.com")...)
		time.Sleep(time.Hour)
		if n := only.Inbox().Len(); n != 3 {
			t.Errorf("%d arrived", n)
		}
		x, err := s.Explain(context.Background(), r.MessageID)
		alone.must(err)
		if len(x[0].Waits) != 1 || x[0].Waits[0].Reason != sender.WaitWarmup || !strings.Contains(x[0].Waits[0].Detail, "being warmed up") {
			t.Errorf("%v", x[0].Waits)
		}
		alone.must(s.Warmup().AlreadyWarm(warmup.WithActor(context.Background(), "ops"), warmup.Path{Route: "cold", Provider: "example.com"}))
		time.Sleep(time.Hour)
		if n := only.Inbox().Len(); n != 4 {
			t.Errorf("%d arrived once it was warm", n)
		}
		events := alone.of(sender.EventWarmup)
		if len(events) != 1 || events[0].Warmup.Actor != "ops" || events[0].Warmup.To.Phase != warmup.PhaseComplete || events[0].Path.Provider != "example.com" {
			t.Errorf("%+v", events)
		}
	})
}

// TestFitCampaign: what the Sender says of a campaign is what then happens.
func TestFitCampaign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{})
		cfg := w.coldAndWarm(warmup.Geometric(100, 1.5, 1000), true)
		cfg.Streams = []sender.Stream{{Name: "news", OverflowAfter: 20 * time.Hour}}
		s, err := sender.New(cfg)
		w.must(err)
		campaign := warmup.Campaign{Messages: map[string]int{"example.com": 150}, Window: 20 * time.Hour}
		if _, err := s.FitCampaign("cold", campaign); !errors.Is(err, sender.ErrNoLedger) {
			t.Errorf("before Start: %v", err)
		}
		w.must(s.Start(context.Background()))
		t.Cleanup(func() { s.Stop(context.Background()) })
		w.enqueue(s, users(10, "example.com")...)
		time.Sleep(2 * time.Hour)
		fit, err := s.FitCampaign("cold", campaign)
		w.must(err)
		if _, err := s.FitCampaign("warm", campaign); !errors.Is(err, warmup.ErrWarm) {
			t.Errorf("a warm route: %v", err)
		}
		before := bySource(mx.Inbox())
		for i := range 150 {
			w.enqueue(s, users(200, "example.com")[20+i])
		}
		time.Sleep(20 * time.Hour)
		after := bySource(mx.Inbox())
		cold := after[coldAddr] - before[coldAddr]
		if fit.Fits || cold < fit.Sendings[0].Sent-2 || cold > fit.Sendings[0].Sent || after[coldAddr]+after[warmAddr] != 160 {
			t.Errorf("%+v, then %v after %v", fit, after, before)
		}
	})
}

func TestWarmupConfig(t *testing.T) {
	bad := warmup.Plan{Stages: []warmup.Stage{{Day: 0}}}
	for want, spoil := range map[string]func(*sender.Config){
		"Routes[0].WarmupTotal: warmup: plan: stage 1: Day is 0":       func(c *sender.Config) { c.Routes[0].WarmupTotal = bad },
		"Routes[0].Warmup: warmup: plan: stage 1: Day is 0":            func(c *sender.Config) { c.Routes[0].Warmup = bad },
		"WarmupGate: Gate.MinSample is -1":                             func(c *sender.Config) { c.WarmupGate.MinSample = -1 },
		`WarmupDomains["x.example"]: no stream has this SigningDomain`: func(c *sender.Config) { c.WarmupDomains = map[string]warmup.Plan{"x.example": capped(1)} },
		`WarmupDomains["y.example"]: warmup: plan: Stages is empty`: func(c *sender.Config) {
			c.Streams = []sender.Stream{{Name: "s", SigningDomain: "y.example"}}
			c.WarmupDomains = map[string]warmup.Plan{"y.example": {}}
		},
		"WarmupGate: has no effect beside a Pacer": func(c *sender.Config) {
			c.Pacer, _ = warmup.Open(context.Background(), warmup.Config{})
			c.WarmupGate.MinSample = 5
		},
	} {
		cfg := sender.Config{Routes: []sender.Route{{Name: "a", Hostname: "a.example.org"}}}
		spoil(&cfg)
		if _, err := sender.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
