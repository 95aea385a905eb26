package sender_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/warmup"
)

// moving is a Config with a migration from the pool "main", with the route "old", to the route "new".
func (w *world) moving(plan warmup.Migration) sender.Config {
	cfg := w.config()
	cfg.Routes = []sender.Route{
		{Name: "old", LocalAddr: warmAddr.String(), Hostname: "old.example.org"},
		{Name: "new", LocalAddr: coldAddr.String(), Hostname: "new.example.org"},
	}
	cfg.Pools = []sender.Pool{{Name: "main", Routes: []string{"old"}}}
	cfg.Streams = []sender.Stream{{Name: "news", Pool: "main"}}
	if plan.Name == "" {
		plan.Name = "move"
	}
	cfg.Migrations = []sender.Migration{{Plan: plan, From: "main", To: "new"}}
	return cfg
}

// sendDays sends so many messages a day, evenly, each recipient once a day.
func (w *world) sendDays(s *sender.Sender, days, perDay int, domains ...string) {
	for range days {
		for i := range perDay {
			w.enqueue(s, fmt.Sprintf("user%d@%s", i, domains[i%len(domains)]))
			time.Sleep(24 * time.Hour / time.Duration(perDay))
		}
	}
}

// TestMigrationMoves: an equal route gets its share, stage by stage, in the end all; each recipient stays on the new route once there, and what is put off is
// tried again over its route; over restarts too.
func TestMigrationMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		seen := map[string]bool{}
		mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Greylist(time.Minute)})
		store := warmup.NewMemoryStore()
		cfg := w.moving(warmup.Migration{Shares: []float64{0.1, 0.5, 1}, MinSample: 8})
		cfg.MigrationStore = store
		s := w.start(cfg)
		var byDay []int
		for range 5 {
			before := len(mx.Inbox().Messages())
			w.sendDays(s, 1, 200, "example.com")
			n := 0
			for _, m := range mx.Inbox().Messages()[before:] {
				if m.Source == coldAddr {
					n++
					seen[m.To[0]] = true
				} else if seen[m.To[0]] {
					t.Errorf("%s is back on the old route", m.To[0])
				}
			}
			byDay = append(byDay, n)
			w.must(s.Stop(context.Background()))
			s = w.start(cfg)
		}
		if byDay[0] < 8 || byDay[0] > 35 || byDay[1] < 75 || byDay[1] > 125 || byDay[4] < 200 {
			t.Errorf("over the new route, by day: %v", byDay)
		}
		var phases []string
		for _, e := range w.of(sender.EventMigration) {
			phases = append(phases, fmt.Sprintf("%s %.2f", e.Migration.To.Phase, e.Migration.To.Share))
		}
		if got := strings.Join(phases, ", "); got != "running 0.10, running 0.50, running 1.00, complete 1.00" {
			t.Errorf("told %s", got)
		}
		for _, e := range w.of(sender.EventDelivered) {
			if e.Overflow {
				t.Errorf("%s overflowed: %s", e.DeliveryID, e.OverflowFor)
			}
		}
	})
}

// TestMigrationRollsBack: a new route that is refused more goes back by itself, with the evidence, and then all mail goes the old way, also what was put
// off over the new one. The other provider goes on.
func TestMigrationRollsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		worse := sendertest.Script{OnRcpt: func(s *sendertest.Session, to string) *sendertest.Answer {
			if s.Source() == coldAddr && strings.HasSuffix(strings.Split(to, "@")[0], "4") {
				return sendertest.Say("421 4.7.28 Our system has detected an unusual rate of unsolicited mail originating from your IP address")
			}
			return nil
		}}
		bad := w.mx("bad.example", sendertest.ServerConfig{Script: worse})
		good := w.mx("good.example", sendertest.ServerConfig{})
		cfg := w.moving(warmup.Migration{Shares: []float64{0.25, 0.5, 1}, PerProvider: true, MinSample: 50, Tests: warmup.MigrationTests{MinSample: 50}})
		s := w.start(cfg)
		w.sendDays(s, 3, 1200, "bad.example", "good.example")
		var back *warmup.MigrationChange
		var at time.Time
		for _, e := range w.of(sender.EventMigration) {
			if e.Migration.To.Phase == warmup.MigrationRolledBack {
				back, at = e.Migration, e.Time
			}
		}
		if back == nil || back.Provider != "bad.example" || back.To.Cause != warmup.CauseDeferrals || len(back.Evidence) == 0 {
			t.Fatalf("%+v", back)
		}
		time.Sleep(24 * time.Hour)
		late := 0
		for _, m := range bad.Inbox().Messages() {
			if m.Source == coldAddr && m.Time.After(at.Add(time.Minute)) {
				late++
			}
		}
		if n := bad.Inbox().Len(); late > 0 || n != 1800 {
			t.Errorf("%d over the new route after it was rolled back; %d of 1800 arrived", late, n)
		}
		if over := bySource(good.Inbox()); over[coldAddr] < 700 || over[coldAddr]+over[warmAddr] != 1800 {
			t.Errorf("the other provider: %v", over)
		}
		if err := s.Migrator().Restart(context.Background(), "move", "bad.example", "fixed"); err != nil {
			t.Error(err)
		}
		if st, err := s.Migrator().State("move", "bad.example"); err != nil || st.Phase != warmup.MigrationRunning {
			t.Errorf("%v, %v", st, err)
		}
	})
}

// TestMigrationWithWarmup: what the new route has no allowance for goes the old way, and says so.
func TestMigrationWithWarmup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{})
		cfg := w.moving(warmup.Migration{Shares: []float64{1}, MinSample: 1})
		cfg.Routes[1].Warmup = warmup.Plan{Stages: []warmup.Stage{{Day: 20, Hour: 20, Minute: 20}}, Keep: true}
		s := w.start(cfg)
		w.sendDays(s, 1, 200, "example.com")
		if over := bySource(mx.Inbox()); over[coldAddr] != 20 || over[warmAddr] != 180 {
			t.Errorf("%v", over)
		}
		time.Sleep(time.Hour) // the stage has had its day
		if st, err := s.Migrator().State("move", ""); err != nil || st.Phase != warmup.MigrationHolding || st.Cause != warmup.CauseAllowance {
			t.Errorf("%v, %s, %v", st, st.Cause, err)
		}
		for _, e := range w.of(sender.EventDelivered) {
			if e.Overflow != (e.Path.Route == "old") || e.Overflow && (e.OverflowFor.Reason != sender.WaitWarmup || e.OverflowFor.Path.Route != "new") {
				t.Errorf("over %s, overflow %t: %s", e.Path, e.Overflow, e.OverflowFor)
			}
		}
	})
}

// TestMigrationFromARelay: the old way is a relay, the new one goes directly, and providers are told apart on both.
func TestMigrationFromARelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{})
		relay, err := sendertest.StartServer(w.net, sendertest.ServerConfig{Hostname: "relay.example.net", Addr: netip.MustParseAddrPort("192.0.2.200:587")})
		w.must(err)
		t.Cleanup(func() { relay.Close() })
		cfg := w.moving(warmup.Migration{Shares: []float64{0.5, 1}, MinSample: 10, Providers: []string{"example.com"}})
		cfg.Routes[0] = sender.Route{Name: "old", Relay: &sender.Relay{Addr: "192.0.2.200:587"}}
		other := w.mx("other.example", sendertest.ServerConfig{})
		s := w.start(cfg)
		w.sendDays(s, 1, 100, "example.com", "other.example")
		if n := mx.Inbox().Len(); n < 15 || n > 35 || other.Inbox().Len() != 0 || relay.Inbox().Len()+n != 100 {
			t.Errorf("%d directly, %d to the other provider, %d over the relay", n, other.Inbox().Len(), relay.Inbox().Len())
		}
	})
}

func TestMigrationConfig(t *testing.T) {
	good := func() sender.Config {
		cfg := sender.Config{
			Routes:     []sender.Route{{Name: "old", Hostname: "a.example.org"}, {Name: "new", Hostname: "b.example.org"}, {Name: "both", Hostname: "c.example.org"}},
			Pools:      []sender.Pool{{Name: "main", Routes: []string{"old"}}, {Name: "fresh", Routes: []string{"new"}}, {Name: "both", Routes: []string{"both"}}},
			Streams:    []sender.Stream{{Name: "news", Pool: "main"}},
			Migrations: []sender.Migration{{Plan: warmup.Migration{Name: "move"}, From: "main", To: "fresh"}},
		}
		return cfg
	}
	if _, err := sender.New(good()); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*sender.Config){
		"Migrations[0].Plan: warmup: migration":                              func(c *sender.Config) { c.Migrations[0].Plan.Name = "" },
		`Migrations[0].From: there is no pool and no route "x"`:              func(c *sender.Config) { c.Migrations[0].From = "x" },
		`Migrations[0].To: there is no pool and no route "y"`:                func(c *sender.Config) { c.Migrations[0].To = "y" },
		"Migrations[0].To: is empty":                                         func(c *sender.Config) { c.Migrations[0].To = "" },
		`Migrations[0].From: "both" is the name of a pool and of a route`:    func(c *sender.Config) { c.Migrations[0].From = "both" },
		`Migrations[0].To: pool "main" of stream "news" has the route "old"`: func(c *sender.Config) { c.Migrations[0].To = "old" },
		`Migrations[0].From: no stream sends over "fresh"`:                   func(c *sender.Config) { c.Migrations[0].From = "fresh"; c.Migrations[0].To = "old" },
		`Migrations[0].Plan.Streams: there is no stream "z"`:                 func(c *sender.Config) { c.Migrations[0].Plan.Streams = []string{"z"} },
		`Migrations[1].Plan.Name: "move" stands twice`:                       func(c *sender.Config) { c.Migrations = append(c.Migrations, c.Migrations[0]) },
		`Migrations[1]: stream "news" is moved by migration "move" already`: func(c *sender.Config) {
			c.Migrations = append(c.Migrations, sender.Migration{Plan: warmup.Migration{Name: "again"}, From: "old", To: "new"})
		},
	} {
		cfg := good()
		spoil(&cfg)
		if _, err := sender.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestMigrationOfADeadRoute: a new route that nobody can be reached over, or that everybody refuses for reasons of their own, is rolled back, and meanwhile the control arm goes
// on as if nothing were.
func TestMigrationOfADeadRoute(t *testing.T) {
	for name, script := range map[string]sendertest.Script{
		"policy": {OnRcpt: func(s *sendertest.Session, _ string) *sendertest.Answer {
			if s.Source() == coldAddr {
				return sendertest.Say("550 5.7.1 Message rejected due to local policy")
			}
			return nil
		}},
		"no PTR": {OnConnect: func(s *sendertest.Session, _ string) *sendertest.Answer {
			if s.Source() == coldAddr {
				return sendertest.Say("421 4.7.25 The IP address sending this message does not have a PTR record")
			}
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				mx := w.mx("example.com", sendertest.ServerConfig{Script: script})
				s := w.start(w.moving(warmup.Migration{Shares: []float64{0.3, 1}, MinSample: 50, Tests: warmup.MigrationTests{MinSample: 50}}))
				w.sendDays(s, 3, 400, "example.com")
				st, err := s.Migrator().State("move", "")
				w.must(err)
				if st.Phase != warmup.MigrationRolledBack {
					t.Errorf("%v: %v", st, st.Rates)
				}
				slow := 0
				for _, e := range w.of(sender.EventDelivered) {
					if e.QueueTime > 10*time.Minute && !e.Overflow && e.Attempt == 1 {
						slow++
					}
				}
				if n := mx.Inbox().Len(); slow > 0 || n < 1000 {
					t.Errorf("%d arrived; %d of the control arm waited for the new route", n, slow)
				}
			})
		})
	}
}

// TestMigrationAndPatience: with OverflowAfter mail of the new arm waits for its allowance, and mail of the control arm for nothing.
func TestMigrationAndPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{})
		cfg := w.moving(warmup.Migration{Shares: []float64{0.3, 1}})
		cfg.Streams[0].OverflowAfter = 10 * time.Hour
		cfg.Routes[1].Warmup = warmup.Geometric(24, 1.4, 1000)
		s := w.start(cfg)
		w.enqueue(s, users(200, "example.com")...)
		time.Sleep(30 * time.Minute)
		over := bySource(mx.Inbox())
		if over[warmAddr] < 150 || over[coldAddr] > 4 {
			t.Errorf("after half an hour: %v", over)
		}
		time.Sleep(12 * time.Hour)
		st, err := s.Migrator().State("move", "")
		w.must(err)
		over = bySource(mx.Inbox())
		if over[coldAddr] < 22 || over[coldAddr] > 24 || over[coldAddr]+over[warmAddr] != 200 {
			t.Errorf("after half a day: %v", over)
		}
		time.Sleep(time.Minute) // the migration has synced
		if st, err = s.Migrator().State("move", ""); err != nil || st.New.Attempts != int64(over[coldAddr]) || st.Control.Attempts < 100 {
			t.Errorf("%+v against %+v, %v", st.New, st.Control, err)
		}
		for _, e := range w.of(sender.EventDelivered) {
			if e.QueueTime > time.Hour && e.Path.Route == "old" && e.QueueTime < 9*time.Hour {
				t.Errorf("%s waited %v for the old route", e.DeliveryID, e.QueueTime)
			}
		}
	})
}

// TestMigrationOfGroups: a message to many goes in two transactions, one for each arm, and no transaction mixes them.
func TestMigrationOfGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{})
		s := w.start(w.moving(warmup.Migration{Shares: []float64{0.5, 1}}))
		if _, err := s.Enqueue(context.Background(), note(users(100, "example.com")...)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		transactions, recipients := 0, map[netip.Addr]int{}
		for _, m := range mx.Inbox().Messages() {
			transactions++
			recipients[m.Source] += len(m.To)
			for _, to := range m.To {
				want := warmAddr
				if s.Migrator().Arm("move", "example.com", "news", to) == warmup.ArmNew {
					want = coldAddr
				}
				if m.Source != want {
					t.Errorf("%s from %s", to, m.Source)
				}
			}
		}
		if transactions > 8 || recipients[coldAddr]+recipients[warmAddr] != 100 || recipients[coldAddr] < 30 {
			t.Errorf("%d transactions, %v", transactions, recipients)
		}
	})
}
