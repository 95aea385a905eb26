package sender_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/transport"
	"github.com/reputemail/repute/throttle"
	"github.com/reputemail/repute/warmup"
)

// TestConnectionsOfTheProcess: there are never more than MaxConnections, and a path that waits for one gets it soon
// although a campaign could use them all.
func TestConnectionsOfTheProcess(t *testing.T) {
	for _, perConnection := range []int{20, 0} {
		t.Run(fmt.Sprintf("%d messages a connection", perConnection), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t)
				st.limits = throttle.Limits{Connections: 10, MessagesPerConnection: perConnection}
				st.transact = takes(250 * time.Millisecond)
				cfg := st.config("a")
				cfg.MaxConnections = 4
				cfg.Streams = []sender.Stream{{Name: "transactional", Weight: 1000}, {Name: "marketing"}}
				s := st.start(cfg)
				st.enqueue(s, "marketing", users(1000, "big.example")...)
				time.Sleep(5 * time.Second)
				for i := range 3 {
					began := time.Now()
					if _, err := s.Send(context.Background(), note(fmt.Sprintf("reset@small%d.example", i))); err != nil || time.Since(began) > 10*time.Second {
						t.Errorf("%v after %v", err, time.Since(began))
					}
				}
				time.Sleep(10 * time.Minute)
				if most := get(st, func() int { return st.most }); most != 4 {
					t.Errorf("%d connections at a time", most)
				}
				if n := len(st.of(sender.EventDelivered)); n != 1003 {
					t.Errorf("%d delivered", n)
				}
			})
		})
	}
}

// TestTheStricterTLSHolds: of the route's and the provider profile's.
func TestTheStricterTLSHolds(t *testing.T) {
	for _, c := range []struct {
		route   transport.TLSPolicy
		profile throttle.TLS
		want    transport.TLSPolicy
	}{
		{transport.TLSNone, throttle.TLSRequired, transport.TLSRequired},
		{transport.TLSOpportunistic, throttle.TLSRequired, transport.TLSRequired},
		{transport.TLSRequired, throttle.TLSRequired, transport.TLSRequired},
		{transport.TLSVerified, throttle.TLSRequired, transport.TLSVerified},
		{transport.TLSNone, throttle.TLSOpportunistic, transport.TLSNone},
		{transport.TLSRequired, throttle.TLSOpportunistic, transport.TLSRequired},
		{"", "", transport.TLSOpportunistic},
	} {
		t.Run(string(c.route)+" "+string(c.profile), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t)
				st.limits.TLS = c.profile
				cfg := st.config("a")
				cfg.Routes[0].TLS = c.route
				s := st.start(cfg)
				st.enqueue(s, "", "one@x.example")
				time.Sleep(time.Second)
				if got := get(st, func() []transport.Target { return st.targets }); len(got) != 1 || got[0].TLS != c.want {
					t.Errorf("dialled %+v, want %s", got, c.want)
				}
			})
		})
	}
}

// TestTokensAndAllowance: what an attempt took is given back where the receiver never saw the message, and only there.
func TestTokensAndAllowance(t *testing.T) {
	for _, c := range []struct {
		name     string
		prepare  func(st *stage, cfg *sender.Config)
		messages int // tokens kept
		kept     int // allowance kept
	}{
		{"delivered", func(*stage, *sender.Config) {}, 1, 1},
		{"refused", func(st *stage, _ *sender.Config) {
			st.transact = answers(said(bounce.StageRcpt, 550, "5.1.1 no such user"))
		}, 1, 1},
		{"unreachable", func(st *stage, _ *sender.Config) { st.dial = unreachable }, 0, 0},
		{"refused by the greeting", func(st *stage, _ *sender.Config) {
			st.dial = func(transport.Target) error { return greeted(554, "5.3.2 no mail here") }
		}, 0, 0},
		{"beyond the receiver", func(st *stage, _ *sender.Config) {
			r := said(bounce.StageMail, 0, "5.6.7 the host takes no international addresses")
			r.Local = true
			st.transact = answers(r)
		}, 0, 0},
		{"signer away", func(_ *stage, cfg *sender.Config) {
			cfg.Streams = []sender.Stream{{Name: "default", Signer: &countingSigner{fail: 1 << 30}}}
		}, 0, 0},
		{"gate closed", func(_ *stage, cfg *sender.Config) {
			cfg.Gate = secondThoughts(func(sender.Recipient) (string, error) { return "no", nil })
		}, 0, 0},
		{"gate away", func(_ *stage, cfg *sender.Config) {
			cfg.Gate = secondThoughts(func(sender.Recipient) (string, error) { return "", errors.New("away") })
		}, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t)
				cfg := st.config("a")
				cfg.Pacer = stagePacer{st}
				cfg.Routes[0].Warmup = warmup.Moderate(1000)
				c.prepare(st, &cfg)
				s := st.start(cfg)
				st.enqueue(s, "", "one@x.example")
				time.Sleep(500 * time.Millisecond)
				if err := s.Stop(context.Background()); err != nil {
					t.Error(err)
				}
				if st.reserved == 0 || st.committed != c.kept || st.reserved != st.committed+st.cancelled {
					t.Errorf("of %d reserved %d kept, %d given back; want %d kept", st.reserved, st.committed, st.cancelled, c.kept)
				}
				if st.messages != c.messages {
					t.Errorf("%d message tokens kept, want %d", st.messages, c.messages)
				}
				for p, n := range st.held {
					if n != 0 {
						t.Errorf("%d connections of %v kept", n, p)
					}
				}
			})
		})
	}
}

// secondThoughts is a Gate that admits each recipient once and then asks again.
func secondThoughts(again func(sender.Recipient) (string, error)) sender.GateFunc {
	var mu sync.Mutex
	asked := map[string]bool{}
	return func(_ context.Context, r sender.Recipient) (string, error) {
		mu.Lock()
		before := asked[r.Address]
		asked[r.Address] = true
		mu.Unlock()
		if !before {
			return "", nil
		}
		return again(r)
	}
}

// TestRefusedRecipientsKeepNoAllowance: of a message to many the allowance is for those that the gate still admits.
func TestRefusedRecipientsKeepNoAllowance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		cfg := st.config("a")
		cfg.Pacer = stagePacer{st}
		cfg.Routes[0].Warmup = warmup.Moderate(1000)
		cfg.Gate = secondThoughts(func(r sender.Recipient) (string, error) {
			if r.Address == "user0@x.example" {
				return "", nil
			}
			return "asked to be left alone", nil
		})
		s := st.start(cfg)
		if _, err := s.Enqueue(context.Background(), note(users(10, "x.example")...)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if len(st.order()) != 1 || st.committed != 1 || st.reserved != st.committed+st.cancelled {
			t.Errorf("%d sent; of %d reserved %d kept, %d given back", len(st.order()), st.reserved, st.committed, st.cancelled)
		}
	})
}

// TestAStreamsOwnGate: it is asked for its stream only, before and at the attempt, and told of dead addresses.
func TestAStreamsOwnGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		st := newStage(t)
		st.transact = func(_ context.Context, _ *conversation, e *transport.Envelope) ([]transport.Result, error) {
			if e.To[0] == "dead@x.example" {
				return all(e, said(bounce.StageRcpt, 550, "5.1.1 no such user")), nil
			}
			return all(e, said(bounce.StageDot, 250, "ok")), nil
		}
		house, own := &memoryGate{}, &memoryGate{}
		cfg := st.config("a")
		cfg.Gate = house
		cfg.Streams = []sender.Stream{{Name: "guarded", Gate: own}, {Name: "open"}}
		s := st.start(cfg)
		st.enqueue(s, "guarded", "dead@x.example")
		time.Sleep(time.Second)
		for name, g := range map[string]*memoryGate{"of the house": house, "of the stream": own} {
			g.mu.Lock()
			_, told := g.dead["dead@x.example"]
			g.mu.Unlock()
			if !told {
				t.Errorf("the gate %s was not told", name)
			}
		}
		if err := own.Suppress(ctx, sender.Recipient{Address: "gone@x.example"}, bounce.Verdict{Category: bounce.BadMailbox}); err != nil {
			t.Fatal(err)
		}
		m := note("gone@x.example")
		if r, err := s.Enqueue(ctx, m); err != nil || len(r.Refused) != 1 {
			t.Errorf("the stream's gate was not asked: %+v, %v", r, err)
		}
		m.Stream = "open"
		if r, err := s.Enqueue(ctx, m); err != nil || len(r.Refused) != 0 {
			t.Errorf("the gate of another stream was asked: %+v, %v", r, err)
		}
		st.set(func() { st.acquire = closed(map[string]time.Time{"a": time.Now().Add(time.Minute)}) })
		st.enqueue(s, "guarded", "late@x.example")
		if err := own.Suppress(ctx, sender.Recipient{Address: "late@x.example"}, bounce.Verdict{Category: bounce.BadMailbox}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		if slices.Contains(st.order(), "late@x.example") || len(st.of(sender.EventSuppressed)) != 1 {
			t.Errorf("the stream's gate was not asked at the attempt: sent %v", st.order())
		}
	})
}
