package sender_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/throttle"
	"github.com/reputemail/repute/warmup"
)

// probe enqueues one message and tells what was forecast, when it was first tried, and when it was enqueued. It waits for that.
func (w *world) probe(s *sender.Sender, m sender.Message, atMost time.Duration) (f sender.Forecast, tried time.Time, now time.Time) {
	w.t.Helper()
	now = time.Now()
	r, err := s.Enqueue(context.Background(), m)
	w.must(err)
	id, seen := r.Deliveries[0].ID, 0
	for end := now.Add(atMost); tried.IsZero(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("not tried within %v; forecast: %+v", atMost, r.Forecast)
		}
		w.mu.Lock()
		for ; seen < len(w.events); seen++ {
			if e := w.events[seen]; e.DeliveryID == id && e.Attempt == 1 {
				tried = e.Time
			}
		}
		w.mu.Unlock()
	}
	return r.Forecast, tried, now
}

// near fails unless a forecast is within a share, or some time, of what came true.
func near(t testing.TB, what string, f sender.Forecast, tried, now time.Time, share float64, slack time.Duration) {
	t.Helper()
	told, took := f.At.Sub(now), tried.Sub(now)
	off := (told - took).Abs()
	t.Logf("%s: forecast %v (%s, %d ahead, %.3g/s, over %s, %v), was %v: off by %.1f %%", what, told, f.Basis, f.Ahead, f.Rate, f.Path, f.Waits, took, 100*off.Seconds()/max(took.Seconds(), 0.001))
	if off > slack && off.Seconds() > share*took.Seconds() {
		t.Errorf("%s: forecast %v, was %v", what, told, took)
	}
	if f.Earliest.After(tried) {
		t.Errorf("%s: tried %v before the earliest time", what, f.Earliest.Sub(tried))
	}
}

func TestForecastBehindARate(t *testing.T) {
	for _, c := range []struct {
		messages, spread int           // to so many destinations of one provider
		slack            time.Duration // where a turn of theirs is more than a tenth of it all
	}{{2000, 1, 0}, {2000, 40, 0}, {400, 40, 41 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			domains := []string{}
			for i := range c.spread {
				domains = append(domains, fmt.Sprintf("d%d.example", i))
				w.mx(domains[i], sendertest.ServerConfig{})
			}
			cfg := w.config()
			cfg.Providers = oneProvider{}
			cfg.Limits = map[string]throttle.Limits{"all": {Connections: 5, MessageRate: throttle.Rate{N: 1, Per: time.Second}}}
			s := w.start(cfg)
			for i := range c.messages {
				w.enqueue(s, fmt.Sprintf("u%d@%s", i, domains[i%c.spread]))
			}
			time.Sleep(time.Second) // until it is known that all have one provider
			what := fmt.Sprintf("%d to %d domains", c.messages, c.spread)
			f, tried, now := w.probe(s, note("last@d0.example"), time.Hour)
			near(t, what+", at once", f, tried, now, 0.1, c.slack)
			for i := range 400 {
				w.enqueue(s, fmt.Sprintf("v%d@%s", i, domains[i%c.spread]))
			}
			time.Sleep(100 * time.Second)
			f, tried, now = w.probe(s, note("later@d0.example"), time.Hour)
			near(t, what+", under way", f, tried, now, 0.1, c.slack)
			if f.Basis == sender.BasisUnknown || f.Provider != "all" || len(f.Waits) == 0 || f.Waits[0].Reason != sender.WaitRate {
				t.Errorf("%+v", f)
			}
		})
	}
}

func TestForecastOfAnIdleSystemIsNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("example.com", sendertest.ServerConfig{})
		s := w.start(w.config())
		now := time.Now()
		f, err := s.Forecast(context.Background(), "", "Example.COM")
		w.must(err)
		if !f.At.Equal(now) || f.Basis != sender.BasisClear || f.Path != (sender.Path{Route: "direct", Provider: "example.com"}) || len(f.Waits) > 0 || f.Ahead != 0 {
			t.Errorf("%+v", f)
		}
		f, tried, now := w.probe(s, note("a@example.com"), time.Minute)
		near(t, "idle", f, tried, now, 0, 100*time.Millisecond)
		if f.Basis != sender.BasisClear {
			t.Errorf("%+v", f)
		}
	})
}

func TestForecastOfAStoppedPath(t *testing.T) {
	for _, n := range []int{0, 300} { // that wait already
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			slow := true
			w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Script{OnMail: func(_ *sendertest.Session, from string) *sendertest.Answer {
				if slow {
					slow = false
					return sendertest.Say("421 4.7.28 [198.51.100.1] An unusual rate of mail is coming from your IP address. - gsmtp")
				}
				return nil
			}}})
			cfg := w.config()
			cfg.Limits = map[string]throttle.Limits{"example.com": {Connections: 5, MessageRate: throttle.Rate{N: 1, Per: time.Second}}}
			s := w.start(cfg)
			w.enqueue(s, "first@example.com")
			time.Sleep(time.Minute)
			w.enqueue(s, users(n, "example.com")...)
			f, tried, now := w.probe(s, note("last@example.com"), time.Hour)
			near(t, fmt.Sprintf("stopped, %d wait", n), f, tried, now, 0.1, time.Second)
			if f.Waits[0].Reason != sender.WaitBackoff || f.Earliest.Sub(now) < 8*time.Minute || f.Basis != sender.BasisLimits {
				t.Errorf("%+v", f)
			}
		})
	}
}

// TestForecastOfASlowedPath: the receiver stops a path that was busy; it comes back at half its speed and rises.
func TestForecastOfASlowedPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n := 0
		w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Script{OnMail: func(_ *sendertest.Session, from string) *sendertest.Answer {
			if n++; n == 400 {
				return sendertest.Say("421 4.7.28 [198.51.100.1] An unusual rate of mail is coming from your IP address. - gsmtp")
			}
			return nil
		}}})
		cfg := w.config()
		cfg.Limits = map[string]throttle.Limits{"example.com": {Connections: 5, MessageRate: throttle.Rate{N: 1, Per: time.Second}}}
		s := w.start(cfg)
		w.enqueue(s, users(1500, "example.com")...)
		time.Sleep(500 * time.Second)
		f, tried, now := w.probe(s, note("last@example.com"), 5*time.Hour)
		near(t, "slowed", f, tried, now, 0.1, 0)
	})
}

func TestForecastOfAColdRoute(t *testing.T) {
	plan := warmup.Plan{Stages: []warmup.Stage{{Day: 20, Hour: 10, Minute: 10}, {Day: 30, Hour: 15, Minute: 15}}}
	for _, overflow := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.mx("example.com", sendertest.ServerConfig{})
			s := w.start(w.coldAndWarm(plan, overflow))
			w.enqueue(s, users(10, "example.com")...)
			time.Sleep(time.Minute)
			f, tried, now := w.probe(s, note("last@example.com"), 48*time.Hour)
			near(t, fmt.Sprintf("overflow %t", overflow), f, tried, now, 0.1, time.Second)
			if f.Overflow != overflow || len(f.Waits) == 0 || f.Waits[0].Reason != sender.WaitWarmup {
				t.Errorf("%+v", f)
			}
			if overflow {
				return
			}
			w.enqueue(s, users(10, "example.com")...) // up to 20 a day, in two hours at least
			f, tried, now = w.probe(s, note("tenth@example.com"), 48*time.Hour)
			near(t, "behind others", f, tried, now, 0.2, time.Second)
		})
	}
}

// TestForecastOfHolds: what an operator has suspended goes on when that ends, if it is known, and takes another route if it may.
func TestForecastOfHolds(t *testing.T) {
	const until = 20 * time.Minute
	for _, c := range []struct {
		name   string
		target sender.Target
		routes int // that there are
		ends   bool
		path   string
		basis  sender.Basis
		most   time.Duration // until it is tried; 0: it is not
	}{
		{"destination for a time", sender.Target{Destination: "example.com"}, 1, true, "out", sender.BasisLimits, time.Hour},
		{"provider for a time", sender.Target{Provider: "example.com"}, 1, true, "out", sender.BasisLimits, time.Hour},
		{"stream for a time", sender.Target{Stream: "default"}, 1, true, "out", sender.BasisLimits, time.Hour},
		{"the only route for a time", sender.Target{Route: "out"}, 1, true, "out", sender.BasisLimits, time.Hour},
		{"the only path for a time", sender.Target{Route: "out", Provider: "example.com"}, 1, true, "out", sender.BasisLimits, time.Hour},
		{"one of two routes for a time", sender.Target{Route: "out"}, 2, true, "other", sender.BasisLimits, 10 * time.Minute},
		{"one of two routes", sender.Target{Route: "out"}, 2, false, "other", sender.BasisLimits, 10 * time.Minute},
		{"destination", sender.Target{Destination: "example.com"}, 1, false, "out", sender.BasisUnknown, 0},
		{"the only route", sender.Target{Route: "out"}, 1, false, "out", sender.BasisUnknown, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.mx("example.com", sendertest.ServerConfig{})
				cfg := w.config()
				cfg.Streams = []sender.Stream{{Name: "default"}}
				cfg.Routes = []sender.Route{{Name: "out", Hostname: "out.example.org"}, {Name: "other", Hostname: "other.example.org"}}[:c.routes]
				cfg.Limits = map[string]throttle.Limits{"example.com": {Connections: 5, MessageRate: throttle.Rate{N: 1, Per: time.Second}}}
				s := w.start(cfg)
				f, err := s.Forecast(bg, "", "example.com") // which looks its hosts up
				w.must(err)
				if f.Basis != sender.BasisClear {
					t.Errorf("before: %+v", f)
				}
				h := sender.Hold{Target: c.target, Act: ada}
				if c.ends {
					h.Until = time.Now().Add(until)
				}
				w.must(s.Suspend(bg, h))
				w.enqueue(s, users(300, "example.com")...)
				time.Sleep(time.Second)
				if c.most > 0 {
					f, tried, now := w.probe(s, note("last@example.com"), c.most)
					near(t, c.name, f, tried, now, 0.1, 0)
					if f.Path.Route != c.path || f.Basis != c.basis || f.Waits[0].Reason != sender.WaitSuspended || f.Waits[0].Until != h.Until {
						t.Errorf("%+v", f)
					}
					return
				}
				m := note("last@example.com")
				m.NotAfter = time.Now().Add(time.Minute)
				r, err := s.Enqueue(bg, m) // may be resumed at any time
				w.must(err)
				if f = r.Forecast; f.Path.Route != c.path || f.Basis != c.basis || len(f.Waits) != 1 || f.Waits[0].Reason != sender.WaitSuspended || f.Ahead < 299 {
					t.Errorf("%+v", f)
				}
				if off := time.Until(f.At) - 299*time.Second; off.Abs() > 30*time.Second {
					t.Errorf("off by %v", off)
				}
			})
		})
	}
}

// TestForecastUnderCommonCaps: what all routes may carry together is not more for there being several of them.
func TestForecastUnderCommonCaps(t *testing.T) {
	rate := throttle.Rate{N: 1, Per: time.Second}
	for name, set := range map[string]func(*sender.Config){
		"provider": func(c *sender.Config) { c.ProviderCaps = map[string]throttle.Cap{"all": {MessageRate: rate}} },
		"process":  func(c *sender.Config) { c.MaxMessageRate = rate },
	} {
		for _, weights := range []map[string]int{{"large": 3}, nil} {
			for _, domains := range []int{1, 40} {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					names := []string{}
					for i := range domains {
						names = append(names, fmt.Sprintf("d%d.example", i))
						w.mx(names[i], sendertest.ServerConfig{})
					}
					cfg := w.config()
					cfg.Providers = oneProvider{}
					cfg.Routes = []sender.Route{{Name: "large", Hostname: "a.example.org"}, {Name: "small", Hostname: "b.example.org"}}
					cfg.Pools = []sender.Pool{{Name: "main", Routes: []string{"large", "small"}, Weights: weights}}
					set(&cfg)
					s := w.start(cfg)
					for i := range 800 {
						w.enqueue(s, fmt.Sprintf("u%d@%s", i, names[i%domains]))
					}
					time.Sleep(100 * time.Second)
					f, tried, now := w.probe(s, note("last@d0.example"), time.Hour)
					near(t, fmt.Sprintf("cap of the %s, weights %v, %d domains", name, weights, domains), f, tried, now, 0.1, 0)
				})
			}
		}
	}
}

// TestForecastOfUsedUpConnections: where a cap of connections is used up, nobody knows when a path that has none gets one; Explain and the forecast say what it waits for.
func TestForecastOfUsedUpConnections(t *testing.T) {
	for name, set := range map[string]func(*sender.Config){
		"process":  func(c *sender.Config) { c.MaxConnections = 3 },
		"route":    func(c *sender.Config) { c.Routes[0].Cap.Connections = 3 },
		"provider": func(c *sender.Config) { c.ProviderCaps = map[string]throttle.Cap{"all": {Connections: 3}} },
	} {
		synctest.Test(t, func(t *testing.T) {
			st := newStage(t)
			cfg := st.config("a", "b")
			cfg.Throttle = nil
			set(&cfg)
			cfg.Pools = []sender.Pool{{Name: "one", Routes: []string{"a"}}, {Name: "other", Routes: []string{"b"}}}
			cfg.Streams = []sender.Stream{{Name: "news", Pool: "one"}, {Name: "reset", Pool: "one"}}
			if name == "provider" { // by another route
				st.provider, cfg.Streams[1].Pool = "all", "other"
			}
			st.transact = takes(time.Minute)
			s := st.start(cfg)
			f, err := s.Forecast(bg, "reset", "example.net")
			if err != nil || f.Basis != sender.BasisClear {
				t.Fatalf("%s: before: %+v, %v", name, f, err)
			}
			st.enqueue(s, "news", users(300, "example.com")...)
			time.Sleep(10 * time.Second)
			m := note("one@example.net")
			m.Stream, m.NotAfter = "reset", time.Now().Add(time.Hour)
			r, err := s.Enqueue(bg, m)
			if err != nil {
				t.Fatal(err)
			}
			if f = r.Forecast; f.Basis != sender.BasisUnknown || f.Rate != 0 || len(f.Waits) != 1 || f.Waits[0].Reason != sender.WaitConnections {
				t.Errorf("%s: %+v", name, f)
			}
			f, err = s.Forecast(bg, "news", "example.com") // which has the connections
			if err != nil || f.Basis == sender.BasisUnknown || f.Basis == sender.BasisClear || f.Ahead < 250 {
				t.Errorf("%s: %+v, %v", name, f, err)
			}
		})
	}
}

func TestForecastOfWeights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("a.example", sendertest.ServerConfig{})
		w.mx("b.example", sendertest.ServerConfig{})
		cfg := w.config()
		cfg.Providers = oneProvider{}
		cfg.Limits = map[string]throttle.Limits{"all": {Connections: 5, MessageRate: throttle.Rate{N: 1, Per: time.Second}}}
		cfg.Streams = []sender.Stream{{Name: "transactional", Weight: 8}, {Name: "campaign"}}
		s := w.start(cfg)
		for i := range 2000 {
			m := note(fmt.Sprintf("u%d@%c.example", i, 'a'+rune(i%2)))
			m.Stream = "campaign"
			_, err := s.Enqueue(context.Background(), m)
			w.must(err)
		}
		time.Sleep(time.Minute)
		f, tried, now := w.probe(s, note("one@a.example"), time.Hour)
		near(t, "one of weight 8", f, tried, now, 0.1, 2*time.Second)
		w.enqueue(s, users(400, "a.example")...)
		f, tried, now = w.probe(s, note("last@a.example"), time.Hour)
		near(t, "400 of weight 8", f, tried, now, 0.1, 0)
		m := note("bulk@b.example")
		m.Stream = "campaign"
		w.enqueue(s, users(200, "a.example")...)
		f, tried, now = w.probe(s, m, 2*time.Hour)
		near(t, "of weight 1", f, tried, now, 0.1, 0)
	})
}

func TestForecastOfBusyConnections(t *testing.T) {
	for _, mc := range []int{0, 20} {
		synctest.Test(t, func(t *testing.T) {
			st := newStage(t)
			st.limits = throttle.Limits{Connections: 5, MessagesPerConnection: mc}
			st.transact = takes(200 * time.Millisecond)
			s := st.start(st.config("out"))
			st.enqueue(s, "", users(3000, "example.com")...)
			time.Sleep(20 * time.Second)
			now := time.Now()
			r := st.enqueue(s, "", "last@example.com")
			for st.sentTo("last@example.com") == 0 {
				time.Sleep(50 * time.Millisecond)
			}
			near(t, "5 connections", r.Forecast, time.Now().Add(-200*time.Millisecond), now, 0.1, 0)
			if r.Forecast.Basis != sender.BasisSpeed {
				t.Errorf("%+v", r.Forecast)
			}
		})
	}
}

func TestForecastRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.must(w.dns.AddA("a.example", nobody))
		s, err := sender.New(w.config())
		w.must(err)
		f, err := s.Forecast(context.Background(), "", "a.example")
		if err != nil || f.Basis != sender.BasisUnknown || f.Waits[0].Reason != sender.WaitStopped {
			t.Errorf("%+v, %v", f, err)
		}
		w.must(s.Start(context.Background()))
		defer s.Stop(context.Background())
		for _, c := range [][3]string{{"nosuch", "a.example", "Stream"}, {"", "", "destination"}, {"", "no dots", "destination"}, {"", "a@", "destination"}} {
			var field *sender.FieldError
			if _, err := s.Forecast(context.Background(), c[0], c[1]); !errors.As(err, &field) || field.Field != c[2] {
				t.Errorf("%v: %v", c, err)
			}
		}
		if f, err := s.Forecast(context.Background(), "", "somebody@a.example"); err != nil || f.Destination != "a.example" || f.Basis != sender.BasisClear {
			t.Errorf("%+v, %v", f, err)
		}
		if _, err := s.Forecast(context.Background(), "", "nosuch.example"); err == nil {
			t.Error("a domain that does not exist should be an error")
		}
	})
}

// TestForecastLooksAtFew: a message to very many destinations is forecast by its first ones.
func TestForecastLooksAtFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		s := st.start(st.config("out"))
		var to []string
		for i := range 500 {
			to = append(to, fmt.Sprintf("a@d%d.example", i))
		}
		m := note(to...)
		r, err := s.Enqueue(context.Background(), m)
		if err != nil || len(r.Deliveries) != 500 || r.Forecast.Basis != sender.BasisUnknown || r.Forecast.Destination == "" {
			t.Errorf("%v, %+v", err, r.Forecast)
		}
		if i := slices.Index(to, "a@"+r.Forecast.Destination); i < 0 || i >= 16 {
			t.Errorf("looked at %s", r.Forecast.Destination)
		}
	})
}
