package sender_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/route"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/sender/transport"
	"github.com/reputemail/repute/throttle"
)

// TestQueueTimeBesideACampaign: a campaign to one provider waits in the queue, and every second a message of another stream goes to the same provider. It is on its way at
// once, whatever holds the provider at its limit.
//
// The campaign has 20,000 messages to 100 domains of the provider, and 500,000 with REPUTE_SCALE=1.
func TestQueueTimeBesideACampaign(t *testing.T) {
	campaign := 20_000
	if os.Getenv("REPUTE_SCALE") == "1" {
		campaign = 500_000
	}
	for _, c := range []struct {
		name   string
		limits throttle.Limits
		takes  time.Duration
		weight int
	}{
		{"connections", throttle.Limits{Connections: 5, MessagesPerConnection: 50, Recipients: 1}, 300 * time.Millisecond, 8},
		{"the same weight", throttle.Limits{Connections: 5, MessagesPerConnection: 50, Recipients: 1}, 300 * time.Millisecond, 1},
		{"rate", throttle.Limits{Connections: 10, MessagesPerConnection: 100, Recipients: 1, MessageRate: throttle.Rate{N: 20, Per: time.Second}}, 10 * time.Millisecond, 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				mx := w.mx("hoster.example", sendertest.ServerConfig{Script: sendertest.Script{
					OnDot: func(s *sendertest.Session, _ string) *sendertest.Answer { s.Sleep(c.takes); return nil },
				}})
				const domains = 100
				for i := range domains {
					w.must(w.dns.AddMX(fmt.Sprintf("d%d.example", i), 10, "mx.hoster.example"))
				}
				cfg := w.config()
				var err error
				cfg.Queue, err = queue.NewMemory(queue.MemoryConfig{})
				w.must(err)
				cfg.Streams = []sender.Stream{{Name: "transactional", Weight: c.weight}, {Name: "marketing"}}
				cfg.Limits = map[string]throttle.Limits{"hoster.example": c.limits}
				s := w.start(cfg)
				for i := range campaign / 1000 {
					to := make([]string, 1000)
					for j := range to {
						to[j] = fmt.Sprintf("user%d@d%d.example", i*1000+j, j%domains)
					}
					m := note(to...)
					m.Stream = "marketing"
					_, err := s.Enqueue(context.Background(), m)
					w.must(err)
				}
				time.Sleep(10 * time.Second)
				before := mx.Inbox().Len()
				const n = 200
				for i := range n {
					m := note(fmt.Sprintf("reset%d@d%d.example", i, i%domains))
					m.Stream = "transactional"
					_, err := s.Enqueue(context.Background(), m)
					w.must(err)
					time.Sleep(time.Second)
				}
				var took []time.Duration
				for _, e := range w.of(sender.EventDelivered) {
					if e.Stream == "transactional" {
						took = append(took, e.QueueTime)
					}
				}
				if len(took) < n-5 {
					t.Fatalf("%d of %d arrived", len(took), n)
				}
				slices.Sort(took)
				t.Logf("%d messages of the campaign waiting; queue time: median %v, p99 %v, longest %v; the provider took %d a second",
					campaign-mx.Inbox().Len(), took[len(took)/2], took[len(took)*99/100], took[len(took)-1], (mx.Inbox().Len()-before)/n)
				if p99 := took[len(took)*99/100]; p99 >= 2*time.Second {
					t.Errorf("p99 of the queue time is %v", p99)
				}
				// The provider is at its limit all the time: nobody waits for the sake of others.
				limit := int(float64(c.limits.Connections) * float64(n) / c.takes.Seconds())
				if r := c.limits.MessageRate; r.N > 0 {
					limit = r.N * n
				}
				if got := mx.Inbox().Len() - before; got < limit*9/10 {
					t.Errorf("%d messages in %d seconds, and the provider takes %d", got, n, limit)
				}
			})
		})
	}
}

// TestBacklogOldestFirst: what waits of a stream for a destination goes by age, also when newer mail comes in all the time.
func TestBacklogOldestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{})
		cfg := w.config()
		cfg.Limits = map[string]throttle.Limits{"example.com": {Connections: 1, MessageRate: throttle.Rate{N: 2, Per: time.Second}}}
		s := w.start(cfg)
		for i := range 200 {
			w.enqueue(s, fmt.Sprintf("user%d@example.com", i))
			time.Sleep(100 * time.Millisecond)
		}
		w.await(func() bool { return mx.Inbox().Len() == 200 }, 10*time.Minute)
		for i, m := range mx.Inbox().Messages() {
			if want := fmt.Sprintf("user%d@example.com", i); m.To[0] != want {
				t.Fatalf("message %d went to %s, want %s", i, m.To[0], want)
			}
		}
	})
}

// TestTurnsOutliveAnswersOfDNS: the destinations of a provider have their turns in the same order all the time, also when what DNS said of them runs out,
// all at once, and is asked for anew, and when leases go back. Sixteen lanes may ask the queue at a time; the one that hears first goes first.
func TestTurnsOutliveAnswersOfDNS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const domains, each = 40, 20
		st := newStage(t)
		st.provider = "all"
		cfg := st.config("a")
		cfg.Throttle = nil
		cfg.Limits = map[string]throttle.Limits{"all": {Connections: 5, MessageRate: throttle.Rate{N: 1, Per: time.Second}}}
		st.resolve = func(_ context.Context, domain string) (route.Destination, error) {
			time.Sleep(time.Duration(rand.Int64N(int64(100 * time.Millisecond))))
			d := found(domain)
			d.Expires = time.Now().Add(5 * time.Minute)
			return d, nil
		}
		s := st.start(cfg)
		for i := range domains * each {
			st.enqueue(s, "", fmt.Sprintf("u%d@d%d.example", i, i%domains))
		}
		time.Sleep(time.Hour)
		order := st.order()
		if len(order) != domains*each {
			t.Fatalf("%d of %d were sent", len(order), domains*each)
		}
		latest := map[string]int{}
		for i, to := range order {
			_, d, _ := strings.Cut(to, "@")
			if before, ok := latest[d]; ok && before >= domains && (i-before < domains-16 || i-before > domains+16) {
				t.Errorf("%s had its turns %d and %d", d, before, i)
			}
			latest[d] = i
		}
	})
}

// TestOpenSessionsStarveNobody: destinations of one provider with hosts of their own, and fewer connections than hosts. A session goes on with its own destination's mail for a
// while, but all get on about equally, and connections are not opened for each message.
func TestOpenSessionsStarveNobody(t *testing.T) {
	for _, connections := range []int{1, 2, 3} {
		synctest.Test(t, func(t *testing.T) {
			const domains, each = 4, 100
			st := newStage(t)
			st.provider = "all"
			st.limits.Connections = connections
			st.transact = takes(time.Second)
			s := st.start(st.config("a"))
			for i := range domains * each {
				st.enqueue(s, "", fmt.Sprintf("u%d@d%d.example", i, i%domains))
			}
			time.Sleep(time.Hour)
			sent := map[string]int{}
			for i, to := range st.order() {
				_, d, _ := strings.Cut(to, "@")
				sent[d]++
				for j := range domains {
					if least := sent[fmt.Sprintf("d%d.example", j)]; sent[d]-least > 25 {
						t.Fatalf("%d connections: after %d messages %s has had %d turns, another one %d", connections, i, d, sent[d], least)
					}
				}
			}
			if n := len(get(st, func() []transport.Target { return st.targets })); len(st.order()) != domains*each || n > domains*each/10 {
				t.Errorf("%d connections: %d of %d messages over %d sessions", connections, len(st.order()), domains*each, n)
			}
		})
	}
}

// TestConnectionsGoToWhoHasLeast: where a cap of connections is used up by a campaign to many providers, mail of another stream to one more gets a connection within a message time or two;
// and two campaigns share the connections by weight without opening one for each message.
func TestConnectionsGoToWhoHasLeast(t *testing.T) {
	for name, set := range map[string]func(*sender.Config){
		"process": func(c *sender.Config) { c.MaxConnections = 20 },
		"few":     func(c *sender.Config) { c.MaxConnections = 2 },
		"route":   func(c *sender.Config) { c.Routes[0].Cap.Connections = 20 },
	} {
		synctest.Test(t, func(t *testing.T) {
			st := newStage(t)
			st.transact = takes(time.Second)
			cfg := st.config("a")
			cfg.Throttle = nil
			cfg.Streams = []sender.Stream{{Name: "transactional", Weight: 8}, {Name: "news"}}
			set(&cfg)
			s := st.start(cfg)
			for i := range 300 {
				st.enqueue(s, "news", users(30, fmt.Sprintf("d%d.example", i))...)
			}
			time.Sleep(10*time.Second + 500*time.Millisecond)
			for i := range 10 {
				began, to := time.Now(), fmt.Sprintf("reset%d@e%d.example", i, i%3)
				st.enqueue(s, "transactional", to)
				for st.sentTo(to) == 0 && time.Since(began) < time.Hour {
					time.Sleep(100 * time.Millisecond)
				}
				if took := time.Since(began); took > 3*time.Second {
					t.Errorf("cap of the %s: delivered after %v, a message takes a second", name, took)
				}
				time.Sleep(1700 * time.Millisecond)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		sent := map[string]int{}
		st.transact = func(ctx context.Context, c *conversation, e *transport.Envelope) ([]transport.Result, error) {
			get(st, func() int { sent[e.To[0][:1]]++; return 0 })
			return takes(time.Second)(ctx, c, e)
		}
		cfg := st.config("a")
		cfg.MaxConnections = 20
		cfg.Streams = []sender.Stream{{Name: "news", Weight: 3}, {Name: "offers"}}
		s := st.start(cfg)
		for i := range 100 {
			for j := range 30 {
				st.enqueue(s, "news", fmt.Sprintf("n%d@d%d.example", j, i))
				st.enqueue(s, "offers", fmt.Sprintf("o%d@d%d.example", j, i+100))
			}
		}
		time.Sleep(100 * time.Second)
		if n, o := get(st, func() int { return sent["n"] }), get(st, func() int { return sent["o"] }); n+o < 1900 || n < 5*o/2 || n > 7*o/2 {
			t.Errorf("%d and %d were begun in 100 seconds over 20 connections, with weights 3 and 1", n, o)
		}
		if n := len(get(st, func() []transport.Target { return st.targets })); n > 300 {
			t.Errorf("%d connections for 2000 messages", n)
		}
	})
}
