package sender_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/throttle"
	"github.com/reputemail/repute/warmup"
)

// TestForecastOfRoutesTogether: routes of a pool that have a rate each carry what waits together, from when each is open.
func TestForecastOfRoutesTogether(t *testing.T) {
	for _, c := range []struct {
		messages, domains int
		rests             time.Duration // of one route
		route             string        // that rests
		rate              float64       // that is told
	}{
		{2000, 1, 0, "", 2}, {2000, 40, 0, "", 2},
		{2000, 1, 5 * time.Minute, "b", 2}, {2000, 1, 5 * time.Minute, "a", 2},
		{200, 1, 15 * time.Minute, "b", 1}, {400, 1, 15 * time.Minute, "c", 2}, // which are out before
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			names := []string{}
			for i := range c.domains {
				names = append(names, fmt.Sprintf("d%d.example", i))
				w.mx(names[i], sendertest.ServerConfig{})
			}
			cfg := w.config()
			cfg.Providers = oneProvider{}
			cfg.Routes = []sender.Route{{Name: "a", Hostname: "a.example.org"}, {Name: "b", Hostname: "b.example.org"}}
			if c.route == "c" {
				cfg.Routes = append(cfg.Routes, sender.Route{Name: "c", Hostname: "c.example.org"})
			}
			cfg.Limits = map[string]throttle.Limits{"all": {Connections: 5, MessageRate: throttle.Rate{N: 1, Per: time.Second}}}
			s := w.start(cfg)
			_, err := s.Forecast(bg, "", "d0.example") // which looks its hosts up
			w.must(err)
			if c.rests > 0 {
				w.must(s.Suspend(bg, sender.Hold{Target: sender.Target{Route: c.route}, Act: ada, Until: time.Now().Add(c.rests)}))
			}
			for i := range c.messages {
				w.enqueue(s, fmt.Sprintf("u%d@%s", i, names[i%c.domains]))
			}
			time.Sleep(20 * time.Second)
			f, tried, now := w.probe(s, note("last@d0.example"), time.Hour)
			near(t, fmt.Sprintf("%d messages to %d domains, %q rests for %v", c.messages, c.domains, c.route, c.rests), f, tried, now, 0.1, 0)
			if f.Rate < 0.9*c.rate && c.domains == 1 || f.Rate > 1.1*c.rate {
				t.Errorf("%v a second, want %v", f.Rate, c.rate)
			}
		})
	}
}

// TestForecastUnderTheCapOfARoute: it is known before anything was measured.
func TestForecastUnderTheCapOfARoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("example.com", sendertest.ServerConfig{})
		cfg := w.config()
		cfg.Routes[0].Cap.MessageRate = throttle.Rate{N: 1, Per: time.Second}
		s := w.start(cfg)
		w.enqueue(s, users(600, "example.com")...)
		time.Sleep(time.Second)
		f, tried, now := w.probe(s, note("last@example.com"), time.Hour)
		near(t, "cap of the route", f, tried, now, 0.1, 0)
		if f.Basis != sender.BasisLimits {
			t.Errorf("%+v", f)
		}
	})
}

// TestForecastOfWarmOnlyMail: it is not foreseen on a route that is being warmed up.
func TestForecastOfWarmOnlyMail(t *testing.T) {
	for _, overflow := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.mx("example.com", sendertest.ServerConfig{})
			cfg := w.coldAndWarm(tiny(), overflow)
			cfg.Limits = map[string]throttle.Limits{"example.com": {Connections: 5, MessageRate: throttle.Rate{N: 1, Per: time.Second}}}
			s := w.start(cfg)
			_, err := s.Forecast(bg, "", "example.com") // which looks its hosts up
			w.must(err)
			m := note("last@example.com")
			m.WarmOnly = true
			if !overflow {
				r, err := s.Enqueue(bg, m)
				w.must(err)
				if f := r.Forecast; f.Basis != sender.BasisUnknown || len(f.Waits) != 1 || f.Waits[0].Reason != sender.WaitWarmup {
					t.Errorf("%+v", f)
				}
				return
			}
			for _, u := range users(300, "example.com") {
				before := note(u)
				before.WarmOnly = true
				_, err := s.Enqueue(bg, before)
				w.must(err)
			}
			time.Sleep(time.Second)
			f, tried, now := w.probe(s, m, time.Hour)
			near(t, "for warm routes", f, tried, now, 0.1, 0)
			if f.Path.Route != "warm" {
				t.Errorf("%+v", f)
			}
		})
	}
}

// TestForecastOfAPausedWarmup: when it goes on nobody knows but the operator, so that no mail is refused for it.
func TestForecastOfAPausedWarmup(t *testing.T) {
	for _, paused := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.mx("example.com", sendertest.ServerConfig{})
			s := w.start(w.coldAndWarm(tiny(), false))
			w.enqueue(s, users(10, "example.com")...)
			time.Sleep(time.Minute)
			if paused {
				w.must(s.Warmup().Pause(bg, warmup.Path{Route: "cold", Provider: "example.com"}))
			}
			w.enqueue(s, users(5, "example.com")...)
			time.Sleep(time.Second)
			f, err := s.Forecast(bg, "", "example.com")
			w.must(err)
			if paused != (f.Basis == sender.BasisUnknown) || len(f.Waits) != 1 || f.Waits[0].Reason != sender.WaitWarmup || (f.Waits[0].Detail == string(warmup.ReasonPaused)) != paused {
				t.Errorf("paused %t: %+v", paused, f)
			}
		})
	}
}
