package sender_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/sender/transport"
	"github.com/reputemail/repute/throttle"
)

// TestCapsOfTheSender: what goes over a route, to a provider and out of the process keeps to the caps, whatever the paths.
func TestCapsOfTheSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var mu sync.Mutex
		bySource, byDomain, all := map[netip.Addr]int{}, map[string]int{}, 0
		count := func(domain string) sendertest.Script {
			return sendertest.Script{OnDot: func(s *sendertest.Session, _ string) *sendertest.Answer {
				mu.Lock()
				defer mu.Unlock()
				bySource[s.Source()]++
				byDomain[domain]++
				all++
				return nil
			}}
		}
		domains := []string{"one.example", "two.example", "three.example"}
		for _, d := range domains {
			w.mx(d, sendertest.ServerConfig{Script: count(d)})
		}
		cfg := w.config()
		perMinute := func(n int) throttle.Rate { return throttle.Rate{N: n, Per: time.Minute} }
		cfg.Routes[0].Cap = throttle.Cap{MessageRate: perMinute(60), Connections: 2}
		cfg.Routes = append(cfg.Routes, sender.Route{Name: "other", LocalAddr: "198.51.100.2", Hostname: "o.example.org"})
		cfg.Pools = []sender.Pool{{Name: "main", Routes: []string{"direct", "other"}, Weights: map[string]int{"direct": 1}}}
		cfg.ProviderCaps = map[string]throttle.Cap{"one.example": {MessageRate: perMinute(30)}}
		cfg.MaxMessageRate = perMinute(120)
		s := w.start(cfg)
		for _, d := range domains {
			w.enqueue(s, users(600, d)...)
		}
		time.Sleep(5 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if n := bySource[netip.MustParseAddr("198.51.100.1")]; n > 5*60+1 || n < 200 {
			t.Errorf("%d over the capped route in five minutes", n)
		}
		if n := byDomain["one.example"]; n > 5*30+1 || n < 140 {
			t.Errorf("%d to the capped provider in five minutes", n)
		}
		if all > 5*120+1 || all < 570 {
			t.Errorf("%d in five minutes", all)
		}
	})
}

// TestCapIsShared: of two providers under one cap of connections, each gets its part, though one has mail enough to keep all of them.
func TestCapIsShared(t *testing.T) {
	for _, c := range []struct {
		name string
		cap  func(cfg *sender.Config)
	}{
		{"route", func(cfg *sender.Config) { cfg.Routes[0].Cap.Connections = 2 }},
		{"process", func(cfg *sender.Config) { cfg.MaxConnections = 2 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				slow := sendertest.Script{OnDot: func(s *sendertest.Session, _ string) *sendertest.Answer { s.Sleep(time.Second); return nil }}
				big, small := w.mx("big.example", sendertest.ServerConfig{Script: slow}), w.mx("small.example", sendertest.ServerConfig{Script: slow})
				cfg := w.config()
				c.cap(&cfg)
				s := w.start(cfg)
				w.enqueue(s, users(2000, "big.example")...)
				time.Sleep(10 * time.Second)
				w.enqueue(s, users(100, "small.example")...)
				w.await(func() bool { return small.Inbox().Len() == 100 }, 5*time.Minute)
				if n := big.Inbox().Len(); n < 100 {
					t.Errorf("%d of the other", n)
				}
			})
		})
	}
}

// TestExceptedDomain: a recipient domain with limits of its own keeps to them within those of its provider, and its neighbours do not notice.
func TestExceptedDomain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var mu sync.Mutex
		at := map[string]int{} // transactions under way by domain
		most, named := map[string]int{}, map[string]int{}
		script := sendertest.Script{OnDot: func(s *sendertest.Session, _ string) *sendertest.Answer {
			_, domain, _ := strings.Cut(s.To()[0], "@")
			mu.Lock()
			at[domain]++
			most[domain] = max(most[domain], at[domain])
			named[domain] = max(named[domain], len(s.To()))
			mu.Unlock()
			s.Sleep(time.Second)
			mu.Lock()
			at[domain]--
			mu.Unlock()
			return nil
		}}
		mx := w.mx("hoster.example", sendertest.ServerConfig{Script: script})
		for _, d := range []string{"small.example", "other.example"} {
			w.must(w.dns.AddMX(d, 10, "mx.hoster.example"))
		}
		cfg := w.config()
		table, err := throttle.NewTable(throttle.TableConfig{Exceptions: []throttle.Exception{{
			Domain: "small.example", Limits: throttle.Limits{Connections: 1, Recipients: 2}, Source: "their postmaster",
		}}})
		w.must(err)
		cfg.Providers = table
		cfg.Limits = map[string]throttle.Limits{"hoster.example": {Connections: 4, Recipients: 10}}
		s := w.start(cfg)
		for _, d := range []string{"small.example", "other.example"} {
			for i := range 10 {
				to := make([]string, 10)
				for j := range to {
					to[j] = fmt.Sprintf("user%d-%d@%s", i, j, d)
				}
				_, err := s.Enqueue(context.Background(), note(to...))
				w.must(err)
			}
		}
		w.await(func() bool { return reached(mx) == 200 }, 3*time.Minute)
		if most["small.example"] != 1 || named["small.example"] != 2 {
			t.Errorf("%d transactions at a time with up to %d recipients to the excepted domain", most["small.example"], named["small.example"])
		}
		if most["other.example"] < 3 || named["other.example"] != 10 {
			t.Errorf("%d transactions at a time with up to %d recipients to its neighbour", most["other.example"], named["other.example"])
		}
	})
}

// domainsThrottle limits every recipient domain.
type domainsThrottle struct{ stageThrottle }

func (domainsThrottle) LimitsDomainAt(time.Time, string, string) bool { return true }

// TestDomainTokensAreGivenBack: what was taken of the signing domain and of the recipient domain is given back when the latter is told no.
func TestDomainTokensAreGivenBack(t *testing.T) {
	own := throttle.DomainPath("a", "x.example")
	for _, refused := range []throttle.Token{throttle.TokenConnection, throttle.TokenMessage} {
		t.Run(string(refused), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t)
				st.limits = throttle.Limits{Connections: 1}
				opens, refusals := time.Now().Add(10*time.Second), 0
				st.acquire = func(now time.Time, p throttle.Path, tok throttle.Token) throttle.Decision {
					if p == own && tok == refused && now.Before(opens) {
						refusals++
						return throttle.Decision{Reason: throttle.ReasonMessageRate, Until: now.Add(time.Second)}
					}
					return throttle.Decision{OK: true}
				}
				cfg := st.config("a")
				cfg.Throttle = domainsThrottle{stageThrottle{st}}
				cfg.Streams = []sender.Stream{{Name: "news", SigningDomain: "example.org"}}
				s := st.start(cfg)
				st.enqueue(s, "", "one@x.example")
				time.Sleep(time.Minute)
				if n, no := st.sentTo("one@x.example"), get(st, func() int { return refusals }); n != 1 || no < 5 {
					t.Errorf("sent %d times after %d refusals", n, no)
				}
				if err := s.Stop(context.Background()); err != nil {
					t.Error(err)
				}
				if st.messages != 3 {
					t.Errorf("%d message tokens are kept for one message on three paths", st.messages)
				}
				for p, n := range st.held {
					if n != 0 {
						t.Errorf("%d connections of %v are kept", n, p)
					}
				}
			})
		})
	}
}

// TestReactionToADomain: what a provider says of one recipient domain stops that alone.
func TestReactionToADomain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var first atomic.Bool
		first.Store(true)
		mx := w.mx("mx.comcast.net", sendertest.ServerConfig{Script: sendertest.Script{OnMail: func(*sendertest.Session, string) *sendertest.Answer {
			if first.Swap(false) {
				return sendertest.Say("451 4.2.0 Throttled - see smtp-error-codes.php#RL000010")
			}
			return nil
		}}, TLS: w.certified("mx.mx.comcast.net")})
		for _, d := range []string{"a.example", "b.example"} {
			w.must(w.dns.AddMX(d, 10, "mx.mx.comcast.net"))
		}
		cfg := w.config()
		cfg.Classifier = classifierFunc(func(provider string, r bounce.Reply) bounce.Verdict {
			v := classifier().Classify(provider, r)
			if r.Code == 451 { // that it says nothing of the rest is the reaction's part; the signal itself must not stop the path here
				v.Category, v.Scope = bounce.RateLimited, bounce.ScopeRoute
			}
			return v
		})
		cfg.Backoff = throttle.Backoff{RateLimited: time.Second}
		s := w.start(cfg)
		w.enqueue(s, "one@a.example")
		time.Sleep(5 * time.Second)
		w.enqueue(s, "two@a.example", "three@b.example")
		time.Sleep(time.Minute)
		if n := len(mx.Inbox().WithRecipient("three@b.example")); n != 1 {
			t.Errorf("the neighbour waits: %d arrived", n)
		}
		if n := len(mx.Inbox().WithRecipient("two@a.example")); n != 0 {
			t.Errorf("the domain goes on: %d arrived", n)
		}
		time.Sleep(10 * time.Minute)
		if n := mx.Inbox().Len(); n != 3 {
			t.Errorf("%d arrived in the end", n)
		}
	})
}

// TestWeightsUnderCommonCaps: where it is a cap over all routes that holds mail up, the routes of a pool share what it lets through by their weights; without weights the first one has
// all of it.
func TestWeightsUnderCommonCaps(t *testing.T) {
	for name, set := range map[string]func(*sender.Config){
		"provider": func(c *sender.Config) {
			c.ProviderCaps = map[string]throttle.Cap{"all": {MessageRate: throttle.Rate{N: 10, Per: time.Second}}}
		},
		"process": func(c *sender.Config) { c.MaxMessageRate = throttle.Rate{N: 10, Per: time.Second} },
	} {
		for _, domains := range []int{1, 40} {
			for _, weights := range []map[string]int{{"large": 3}, {"large": 9}, nil} {
				synctest.Test(t, func(t *testing.T) {
					const messages = 1000
					st := newStage(t)
					st.provider = "all"
					st.transact = takes(500 * time.Millisecond)
					cfg := st.config("large", "small")
					cfg.Throttle = nil
					cfg.Pools = []sender.Pool{{Name: "main", Routes: []string{"large", "small"}, Weights: weights}}
					cfg.Limits = map[string]throttle.Limits{"all": {Connections: 100}}
					set(&cfg)
					s := st.start(cfg)
					began := time.Now()
					for i := range messages {
						st.enqueue(s, "", fmt.Sprintf("u%d@d%d.example", i, i%domains))
					}
					for len(st.order()) < messages && time.Since(began) < time.Hour {
						time.Sleep(time.Second)
					}
					took := time.Since(began)
					time.Sleep(time.Minute)
					small := messages / (weights["large"] + 1)
					if weights == nil {
						small = 0
					}
					what := fmt.Sprintf("cap of the %s, %d domains, weights %v", name, domains, weights)
					if n := get(st, func() int { return st.over["small.example.org"] }); n < small*95/100 || n > small*105/100+3 {
						t.Errorf("%s: %d went over the small route, want %d", what, n, small)
					}
					if least := messages / 10 * time.Second; took < least-3*time.Second || took > least*103/100 {
						t.Errorf("%s: took %v, want %v", what, took, least)
					}
				})
			}
		}
	}
}

// TestStopUnderACommonCap: what waits under a cap of all routes for one of them goes over the others when that one is stopped.
func TestStopUnderACommonCap(t *testing.T) {
	for _, weights := range []map[string]int{{"large": 3}, nil} {
		synctest.Test(t, func(t *testing.T) {
			const messages, domains = 2000, 40
			st := newStage(t)
			st.provider = "all"
			began := time.Now()
			st.transact = func(ctx context.Context, c *conversation, e *transport.Envelope) ([]transport.Result, error) {
				if via(c.target, "large") && time.Since(began) > time.Minute {
					return all(e, said(bounce.StageMail, 421, "4.7.28 unusual rate of mail")), nil
				}
				return takes(200*time.Millisecond)(ctx, c, e)
			}
			cfg := st.config("large", "small")
			cfg.Throttle = nil
			cfg.Pools = []sender.Pool{{Name: "main", Routes: []string{"large", "small"}, Weights: weights}}
			cfg.ProviderCaps = map[string]throttle.Cap{"all": {MessageRate: throttle.Rate{N: 10, Per: time.Second}}}
			cfg.Limits = map[string]throttle.Limits{"all": {Connections: 100}}
			s := st.start(cfg)
			for i := range messages {
				st.enqueue(s, "", fmt.Sprintf("u%d@d%d.example", i, i%domains))
			}
			time.Sleep(4 * time.Minute)
			if n := len(st.of(sender.EventDelivered)); n < messages-60 { // what large has refused waits for its next try
				t.Errorf("weights %v: %d of %d delivered in the time that the cap needs for them, and 40 seconds", weights, n, messages)
			}
		})
	}
}
