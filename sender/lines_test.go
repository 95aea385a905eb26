package sender_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/route"
	"github.com/reputemail/repute/sender/transport"
	"github.com/reputemail/repute/throttle"
	"github.com/reputemail/repute/warmup"
)

// TestTheEarliestWaitWakesALane: of two routes whose hosts are down the one that comes back first is used then.
func TestTheEarliestWaitWakesALane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		down := map[string]bool{"a": true, "b": true}
		st.dial = func(t transport.Target) error {
			if name, _, _ := strings.Cut(t.Hostname, "."); down[name] {
				return unreachable(t)
			}
			return nil
		}
		cfg := st.config("a", "b")
		cfg.Pools = []sender.Pool{{Name: "a", Routes: []string{"a"}}, {Name: "b", Routes: []string{"b"}}, {Name: "both", Routes: []string{"a", "b"}}}
		cfg.Streams = []sender.Stream{{Name: "both", Pool: "both"}, {Name: "a", Pool: "a"}, {Name: "b", Pool: "b"}}
		cfg.Retry = sender.RetryPolicy{ShortCause: time.Second, OtherCause: time.Second, Longest: time.Second}
		s := st.start(cfg)
		st.enqueue(s, "b", "probe@x.example")
		time.Sleep(35 * time.Minute) // tried after 1, 2, 4, 8 and 16 minutes, b rests for 30
		st.enqueue(s, "a", "probe@x.example")
		time.Sleep(time.Second)
		st.set(func() { down["a"] = false })
		r := st.enqueue(s, "both", "one@x.example") // a rests for one minute
		time.Sleep(time.Second)
		if ex := st.explain(s, r.MessageID); len(ex.Waits) != 2 || ex.Waits[0].Reason != sender.WaitHost || ex.Waits[1].Reason != sender.WaitHost {
			t.Fatalf("waits for %+v", ex.Waits)
		}
		time.Sleep(2 * time.Minute)
		if st.sentTo("one@x.example") != 1 {
			t.Error("route a is up, and the message waits for route b")
		}
	})
}

// TestHostsThatAreDown: a failure to connect keeps others from trying for a minute, over this route and not over the
// overflow route; a refusal by the host does not.
func TestHostsThatAreDown(t *testing.T) {
	for _, c := range []struct {
		name  string
		fails func(transport.Target) error
		dials int
	}{
		{"unreachable", unreachable, 1},
		{"a greeting that refuses", func(transport.Target) error { return greeted(421, "4.3.2 too busy") }, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t)
				st.dial = func(t transport.Target) error {
					if via(t, "a") {
						return c.fails(t)
					}
					return nil
				}
				cfg := st.config("a", "b")
				cfg.Pools = []sender.Pool{{Name: "main", Routes: []string{"a"}, Overflow: []string{"b"}}}
				s := st.start(cfg)
				var last sender.Receipt
				for i := range 3 {
					last = st.enqueue(s, "", fmt.Sprintf("u%d@x.example", i))
					time.Sleep(time.Second)
				}
				if n := len(get(st, func() []transport.Target { return st.targets })); n != c.dials {
					t.Errorf("%d connections were tried, want %d", n, c.dials)
				}
				if n := get(st, func() int { return st.over["b.example.org"] }); n != 0 {
					t.Errorf("%d went over the overflow route", n)
				}
				if ex := st.explain(s, last.MessageID); waitsFor(ex, sender.WaitHost) != (c.dials == 1) {
					t.Errorf("waits for %+v", ex.Waits)
				}
				st.set(func() { st.dial = nil })
				time.Sleep(20 * time.Minute)
				if n := len(st.of(sender.EventDelivered)); n != 3 {
					t.Errorf("%d of 3 delivered when it is up again", n)
				}
			})
		})
	}
}

// TestALineIsServedWithoutAPromise: mail that the throttle refuses without saying until when, while nothing is under way
// whose end would tell, is tried again soon.
func TestALineIsServedWithoutAPromise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		st.acquire = func(_ time.Time, _ throttle.Path, token throttle.Token) throttle.Decision {
			return throttle.Decision{OK: token != throttle.TokenConnection, Reason: throttle.ReasonConnections}
		}
		s := st.start(st.config("a"))
		st.enqueue(s, "", users(3, "x.example")...)
		time.Sleep(10 * time.Minute)
		st.set(func() { st.acquire = nil })
		time.Sleep(5 * time.Second)
		if n := len(st.of(sender.EventDelivered)); n != 3 {
			t.Errorf("%d of 3 delivered", n)
		}
	})
}

// TestALineIsServedInOrder: who comes when a path happens to be free does not overtake those who wait for it.
func TestALineIsServedInOrder(t *testing.T) {
	until := time.Minute
	for name, c := range map[string]func(st *stage, at time.Time, cfg *sender.Config) func(){
		"rate": func(st *stage, at time.Time, _ *sender.Config) func() {
			st.acquire = func(now time.Time, _ throttle.Path, token throttle.Token) throttle.Decision {
				if token == throttle.TokenMessage && now.Before(at) {
					return throttle.Decision{Reason: throttle.ReasonMessageRate, Until: at}
				}
				return throttle.Decision{OK: true}
			}
			return func() { st.acquire = nil }
		},
		"warm-up": func(st *stage, at time.Time, cfg *sender.Config) func() {
			cfg.Pacer = stagePacer{st}
			cfg.Routes[0].Warmup = warmup.Moderate(1000)
			st.reserve = func(now time.Time, _ warmup.Path, _ int) warmup.Reservation {
				return warmup.Reservation{OK: !now.Before(at), Until: at, Reason: warmup.ReasonHourCap}
			}
			return func() { st.reserve = nil }
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t)
				st.provider, st.limits.Connections = "big", 1
				cfg := st.config("a")
				free := c(st, time.Now().Add(until), &cfg)
				s := st.start(cfg)
				st.enqueue(s, "", "one@x.example")
				time.Sleep(time.Second)
				st.enqueue(s, "", "two@y.example")
				time.Sleep(29 * time.Second)
				st.set(free) // before the line was told
				st.enqueue(s, "", "three@z.example")
				time.Sleep(2 * time.Minute)
				if got := st.order(); !slices.Equal(got, []string{"one@x.example", "two@y.example", "three@z.example"}) {
					t.Errorf("sent %v", got)
				}
			})
		})
	}
}

// TestNewMailDoesNotOvertake: what comes while older mail of its lane is being claimed goes after it.
func TestNewMailDoesNotOvertake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		st.limits.Connections = 1
		cfg := st.config("a")
		cfg.Queue = &hookedQueue{Queue: memory(t), afterClaim: func() { time.Sleep(time.Second) }}
		s, err := sender.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		old := users(20, "x.example")
		for _, to := range old {
			st.enqueue(s, "", to)
			time.Sleep(time.Millisecond)
		}
		if err := s.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		defer s.Stop(context.Background())
		time.Sleep(500 * time.Millisecond)
		st.enqueue(s, "", "new@x.example")
		time.Sleep(time.Minute)
		if got := st.order(); !slices.Equal(got, append(old, "new@x.example")) {
			t.Errorf("sent %v", got)
		}
	})
}

// TestIdleSessionsMakeRoom: where connections are short, an idle one is closed for one to another site at once.
func TestIdleSessionsMakeRoom(t *testing.T) {
	for name, change := range map[string]func(st *stage, cfg *sender.Config){
		"connections of a path":        func(st *stage, _ *sender.Config) { st.provider, st.limits.Connections = "big", 1 },
		"connections of the process":   func(_ *stage, cfg *sender.Config) { cfg.MaxConnections = 1 },
		"connections of both together": func(st *stage, cfg *sender.Config) { st.provider, cfg.MaxConnections = "big", 1 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t)
				cfg := st.config("a")
				change(st, &cfg)
				s := st.start(cfg)
				st.enqueue(s, "", "one@x.example")
				time.Sleep(2 * time.Second)
				if get(st, func() int { return st.open }) != 1 {
					t.Fatal("the session was not kept")
				}
				st.enqueue(s, "", "two@y.example")
				time.Sleep(3 * time.Second)
				if st.sentTo("two@y.example") != 1 {
					t.Error("waits for an idle session to end")
				}
				if most := get(st, func() int { return st.most }); most != 1 {
					t.Errorf("%d sessions at a time", most)
				}
			})
		})
	}
}

// TestSessionsAreNotKeptForLong: idle ones are closed, and at once where the path is closed.
func TestSessionsAreNotKeptForLong(t *testing.T) {
	open := func(st *stage) int { return get(st, func() int { return st.open }) }
	t.Run("idle", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			st := newStage(t)
			s := st.start(st.config("a"))
			st.enqueue(s, "", "one@x.example")
			time.Sleep(time.Second)
			before := open(st)
			if time.Sleep(time.Minute); before != 1 || open(st) != 0 {
				t.Errorf("%d sessions after a second, %d after a minute", before, open(st))
			}
		})
	})
	t.Run("the provider's own time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			st := newStage(t)
			st.limits.IdleTimeout = 3 * time.Second
			s := st.start(st.config("a"))
			st.enqueue(s, "", "one@x.example")
			time.Sleep(time.Second)
			before := open(st)
			if time.Sleep(3 * time.Second); before != 1 || open(st) != 0 {
				t.Errorf("%d sessions after a second, %d after four", before, open(st))
			}
		})
	})
	t.Run("path closed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			st := newStage(t)
			st.provider = "big"
			s := st.start(st.config("a"))
			st.enqueue(s, "", "one@x.example", "two@y.example")
			time.Sleep(time.Second)
			before := open(st)
			st.set(func() { st.acquire = closed(map[string]time.Time{"a": time.Now().Add(time.Hour)}) })
			st.enqueue(s, "", "three@z.example")
			if time.Sleep(time.Second); before != 2 || open(st) != 0 {
				t.Errorf("%d sessions before the path closed, %d after", before, open(st))
			}
		})
	})
}

// TestEverythingIsForgotten: once all mail is settled nothing is left of its lanes and paths.
func TestEverythingIsForgotten(t *testing.T) {
	for name, prepare := range map[string]func(st *stage){
		"delivered": func(*stage) {},
		"greylisted": func(st *stage) {
			st.transact = answers(said(bounce.StageRcpt, 450, "4.7.1 greylisted, try again later"))
		},
		"unreachable": func(st *stage) { st.dial = unreachable },
		"closed":      func(st *stage) { st.acquire = closed(map[string]time.Time{"a": time.Now().Add(10 * time.Hour)}) },
		"no domain": func(st *stage) {
			st.resolve = func(_ context.Context, domain string) (route.Destination, error) {
				return route.Destination{}, &route.Error{Domain: domain, Reply: said(bounce.StageResolve, 556, "5.1.10 null MX")}
			}
		},
		"no name server": func(st *stage) {
			st.resolve = func(_ context.Context, domain string) (route.Destination, error) {
				return route.Destination{}, &route.Error{Domain: domain, Temporary: true}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t)
				prepare(st)
				cfg := st.config("a")
				cfg.Streams = []sender.Stream{{Name: "default", ExpireAfter: 90 * time.Minute}}
				s := st.start(cfg)
				for i := range 50 {
					st.enqueue(s, "", fmt.Sprintf("u@d%d.example", i))
				}
				time.Sleep(24 * time.Hour)
				if n := len(st.of(sender.EventDelivered, sender.EventExpired, sender.EventBounced)); n != 50 {
					t.Errorf("%d of 50 settled", n)
				}
				if h := sender.HeldBy(s); h != (sender.Held{}) {
					t.Errorf("a day later it holds %+v", h)
				}
			})
		})
	}
}

// TestAHealthyDomainDoesNotWaitForSilentNameServers: thousands of domains that cannot be resolved wait by themselves.
func TestAHealthyDomainDoesNotWaitForSilentNameServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		st.resolve = func(ctx context.Context, domain string) (route.Destination, error) {
			if strings.HasPrefix(domain, "dead") {
				select {
				case <-time.After(10 * time.Second):
				case <-ctx.Done():
					return route.Destination{}, ctx.Err()
				}
				return route.Destination{}, &route.Error{Domain: domain, Temporary: true}
			}
			return found(domain), nil
		}
		cfg := st.config("a")
		cfg.Streams = []sender.Stream{{Name: "transactional", Weight: 1000}, {Name: "marketing"}}
		s := st.start(cfg)
		for i := range 3000 {
			st.enqueue(s, "marketing", fmt.Sprintf("u@dead%d.example", i))
		}
		began := time.Now()
		if _, err := s.Send(context.Background(), note("reset@good.example")); err != nil || time.Since(began) > time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// TestAResolverWithoutExpiry: a Resolver may leave Expires zero.
func TestAResolverWithoutExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		n := 0
		st.resolve = func(_ context.Context, domain string) (route.Destination, error) {
			st.mu.Lock()
			n++
			again := n
			st.mu.Unlock()
			if again > 100 {
				time.Sleep(time.Second) // the test ends, however often it is asked
			}
			d := found(domain)
			d.Expires = time.Time{}
			return d, nil
		}
		s := st.start(st.config("a"))
		st.enqueue(s, "", "one@x.example", "two@x.example")
		time.Sleep(10 * time.Second)
		if n := get(st, func() int { return n }); st.sentTo("two@x.example") != 1 || n > 2 {
			t.Errorf("sent %d times after %d look-ups", st.sentTo("two@x.example"), n)
		}
	})
}

// TestExpiryReachesAllThatWaits: what is leased and in line, and what only the queue knows of.
func TestExpiryReachesAllThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		st.acquire = closed(map[string]time.Time{"a": time.Now().Add(24 * time.Hour)})
		cfg := st.config("a")
		cfg.Streams = []sender.Stream{{Name: "default", ExpireAfter: 2 * time.Hour}}
		s := st.start(cfg)
		st.enqueue(s, "", users(200, "x.example")...)
		began := time.Now()
		time.Sleep(3 * time.Hour)
		expired := st.of(sender.EventExpired)
		if len(expired) != 200 {
			t.Errorf("%d of 200 expired", len(expired))
		}
		for _, e := range expired {
			if after := e.Time.Sub(began); after < 2*time.Hour || after > 2*time.Hour+2*time.Minute {
				t.Fatalf("expired after %v", after)
			}
		}
	})
}

// TestNothingIsSentAfterItsExpiry: a path that opens just after a delivery has expired does not get it, although nobody
// has swept since.
func TestNothingIsSentAfterItsExpiry(t *testing.T) {
	for _, after := range []time.Duration{5 * time.Second, 20 * time.Second, 35 * time.Second, 50 * time.Second} {
		t.Run(after.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t)
				cfg := st.config("a")
				cfg.Streams = []sender.Stream{{Name: "default", ExpireAfter: 2 * time.Minute}}
				st.acquire = closed(map[string]time.Time{"a": time.Now().Add(2*time.Minute + after + time.Second)})
				s := st.start(cfg)
				time.Sleep(after)
				st.enqueue(s, "", "one@x.example")
				time.Sleep(time.Hour)
				if n := len(st.of(sender.EventExpired)); n != 1 || len(st.order()) != 0 {
					t.Errorf("%d expired, sent %v", n, st.order())
				}
			})
		})
	}
}

// TestTroubleOfOurOwnHoldsTheLane: while the signer or a gate is away, mail waits in its lane: the queue is not asked to
// move each message to and fro, and Explain says why.
func TestTroubleOfOurOwnHoldsTheLane(t *testing.T) {
	away := errors.New("key store is away")
	for _, why := range []sender.WaitReason{sender.WaitSigner, sender.WaitGate} {
		t.Run(string(why), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t)
				q := &hookedQueue{Queue: memory(t)}
				cfg := st.config("a")
				cfg.Queue = q
				gate, signer := &memoryGate{}, &countingSigner{}
				cfg.Streams = []sender.Stream{{Name: "default", Signer: signer, Gate: gate}}
				st.acquire = closed(map[string]time.Time{"a": time.Now().Add(time.Second)})
				s := st.start(cfg)
				last := st.enqueue(s, "", users(1000, "x.example")...)
				if why == sender.WaitGate {
					gate.fail(away)
				} else {
					signer.mu.Lock()
					signer.fail = 1 << 30
					signer.mu.Unlock()
				}
				time.Sleep(time.Hour + 30*time.Second)
				ex := st.explain(s, last.MessageID)
				if !waitsFor(ex, why) || ex.Attempts != 0 {
					t.Errorf("after %d attempts waits for %+v", ex.Attempts, ex.Waits)
				}
				q.mu.Lock()
				n := q.settled
				q.mu.Unlock()
				if n > 2000 {
					t.Errorf("%d settlements in an hour for 1000 messages that wait", n)
				}
				gate.fail(nil)
				signer.mu.Lock()
				signer.fail = 0
				signer.mu.Unlock()
				time.Sleep(10 * time.Minute)
				if n := len(st.of(sender.EventDelivered)); n != 1000 {
					t.Errorf("%d of 1000 delivered when it is back", n)
				}
			})
		})
	}
}

// TestARefundWakesTheLine: allowance that is given back is used at once by those who wait for it.
func TestARefundWakesTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		plan := warmup.Plan{Name: "two", Stages: []warmup.Stage{{Day: 2, Hour: 2, Minute: 2}}}
		var mu sync.Mutex
		asked := 0
		cfg := st.config("a")
		cfg.Routes[0].Warmup = plan
		cfg.Streams = []sender.Stream{{Name: "a"}, {Name: "b"}}
		cfg.Gate = sender.GateFunc(func(_ context.Context, r sender.Recipient) (string, error) {
			if r.Stream != "a" {
				return "", nil
			}
			mu.Lock()
			asked++
			again := asked > 1
			mu.Unlock()
			if again { // at the attempt
				time.Sleep(time.Second)
				return "asked to be left alone", nil
			}
			return "", nil
		})
		s := st.start(cfg)
		st.enqueue(s, "b", "one@x.example")
		time.Sleep(100 * time.Millisecond)
		st.enqueue(s, "a", "two@x.example") // has the rest of the allowance for a second
		time.Sleep(100 * time.Millisecond)
		st.enqueue(s, "b", "three@x.example")
		time.Sleep(10 * time.Minute)
		if st.sentTo("one@x.example") != 1 || st.sentTo("two@x.example") != 0 || st.sentTo("three@x.example") != 1 {
			t.Errorf("sent %v; %d suppressed", st.order(), len(st.of(sender.EventSuppressed)))
		}
	})
}
