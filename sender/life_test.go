package sender_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/auth"
	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/throttle"
)

func TestStartAndStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		w := newWorld(t)
		w.mx("example.com", sendertest.ServerConfig{})
		s, err := sender.New(w.config())
		w.must(err)
		if _, err := s.Send(ctx, note("anna@example.com")); !errors.Is(err, sender.ErrNotStarted) {
			t.Errorf("send before start: %v", err)
		}
		w.enqueue(s, "before@example.com") // waits for the start
		w.must(s.Start(ctx))
		if err := s.Start(ctx); !errors.Is(err, sender.ErrStarted) {
			t.Errorf("second start: %v", err)
		}
		time.Sleep(time.Minute)
		if n := len(w.of(sender.EventDelivered)); n != 1 {
			t.Errorf("%d delivered of what was enqueued before the start", n)
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if err := s.Stop(ctx); err != nil {
					t.Errorf("stop: %v", err)
				}
			})
		}
		wg.Wait()
		if err := s.Start(ctx); !errors.Is(err, sender.ErrStopped) {
			t.Errorf("start after stop: %v", err)
		}
		if _, err := s.Enqueue(ctx, note("anna@example.com")); !errors.Is(err, sender.ErrStopped) {
			t.Errorf("enqueue after stop: %v", err)
		}
		if _, err := s.Send(ctx, note("anna@example.com")); !errors.Is(err, sender.ErrStopped) {
			t.Errorf("send after stop: %v", err)
		}
		never, err := sender.New(w.config())
		w.must(err)
		w.must(never.Stop(ctx))
		w.must(never.Stop(ctx))
	})
}

// TestStopDrains: what is in flight is finished, what is not goes back to the queue and is sent by the next Sender.
func TestStopDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Tarpit(10 * time.Second)})
		q, err := queue.NewMemory(queue.MemoryConfig{})
		w.must(err)
		cfg := w.config()
		cfg.Queue = q
		cfg.Limits = map[string]throttle.Limits{"example.com": {Connections: 2}}
		s := w.start(cfg)
		w.enqueue(s, users(100, "example.com")...)
		time.Sleep(30 * time.Second)
		w.must(s.Stop(ctx))
		first := mx.Inbox().Len()
		if first < 1 || first > 4 || len(w.of(sender.EventDelivered)) != first || len(w.of(sender.EventDeferred)) != 0 {
			t.Errorf("%d arrived, %d delivered", first, len(w.of(sender.EventDelivered)))
		}
		lanes, err := q.Lanes(ctx)
		w.must(err)
		if len(lanes) != 1 || lanes[0].Waiting != 100-first || lanes[0].InFlight != 0 || lanes[0].Next != 0 {
			t.Errorf("left in the queue: %+v", lanes)
		}
		w.start(cfg)
		time.Sleep(3 * time.Hour)
		if n := mx.Inbox().Len(); n != 100 {
			t.Errorf("%d arrived in the end", n)
		}
	})
}

// TestStopBreaksOff: a Stop whose context ends does not wait for a receiver that never answers.
func TestStopBreaksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("example.com", sendertest.ServerConfig{Script: sendertest.HangAt(bounce.StageDot)})
		q, err := queue.NewMemory(queue.MemoryConfig{})
		w.must(err)
		cfg := w.config()
		cfg.Queue = q
		s := w.start(cfg)
		w.enqueue(s, "anna@example.com")
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		began := time.Now()
		if err := s.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("stop: %v", err)
		}
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("stop took %v", took)
		}
		d, err := q.Lanes(context.Background())
		if err != nil || len(d) != 1 || d[0].Waiting != 1 {
			t.Errorf("left in the queue: %+v, %v", d, err)
		}
	})
}

func TestSendEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Greylist(5 * time.Minute)})
		s := w.start(w.config())
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		out, err := s.Send(ctx, note("anna@example.com"))
		if !errors.Is(err, context.DeadlineExceeded) || len(out) != 1 || out[0].State.Final() {
			t.Errorf("%+v, %v", out, err)
		}
		time.Sleep(time.Hour)
		if mx.Inbox().Len() != 1 {
			t.Error("the message was not sent on")
		}
	})
}

func TestSendTellsEachRecipient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.UnknownUsers(sendertest.AnyOf("dead@example.com"))})
		cfg := w.config()
		cfg.Gate = sender.GateFunc(func(_ context.Context, r sender.Recipient) (string, error) {
			if strings.HasPrefix(r.Address, "stop@") {
				return "asked to be left alone", nil
			}
			return "", nil
		})
		s := w.start(cfg)
		out, err := s.Send(context.Background(), note("anna@example.com", "dead@example.com", "stop@example.com", "nobody@no.example", "anna@EXAMPLE.com", "otto@example.com"))
		w.must(err)
		want := map[string]queue.State{
			"anna@example.com": queue.Delivered, "dead@example.com": queue.Bounced, "stop@example.com": queue.Suppressed,
			"nobody@no.example": queue.Bounced, "otto@example.com": queue.Delivered,
		}
		if len(out) != len(want) {
			t.Errorf("%d outcomes", len(out))
		}
		for _, o := range out {
			if o.State != want[o.Recipient] {
				t.Errorf("%s: %s (%s)", o.Recipient, o.State, o.Reply)
			}
		}
		// The three recipients of one domain went in one transaction, of which the receiver took two.
		if got := mx.Inbox().Messages(); len(got) != 1 || !slices.Equal(got[0].To, []string{"anna@example.com", "otto@example.com"}) {
			t.Errorf("arrived: %+v", got)
		}
	})
}

func TestTheSameIDIsAcceptedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{})
		s := w.start(w.config())
		m := note("anna@example.com")
		m.ID = "order-7"
		first, err := s.Enqueue(context.Background(), m)
		w.must(err)
		time.Sleep(time.Second)
		again, err := s.Enqueue(context.Background(), m)
		w.must(err)
		if first.Duplicate || !again.Duplicate || len(again.Deliveries) != 1 || again.Deliveries[0] != first.Deliveries[0] {
			t.Errorf("%+v, then %+v", first, again)
		}
		out := w.send(s, m) // known, and settled before
		if out.State != queue.Delivered || mx.Inbox().Len() != 1 {
			t.Errorf("%s, %d arrived", out.State, mx.Inbox().Len())
		}
	})
}

func TestExpiryHoldsInEveryState(t *testing.T) {
	for name, prepare := range map[string]func(w *world, cfg *sender.Config){
		"deferred": func(w *world, cfg *sender.Config) {
			w.mx("example.com", sendertest.ServerConfig{Script: sendertest.RejectAt(bounce.StageRcpt, "451 4.3.0 Try again later")})
		},
		"path closed": func(w *world, cfg *sender.Config) {
			w.mx("example.com", sendertest.ServerConfig{Script: sendertest.RejectAt(bounce.StageMail, "421 4.7.28 unusual rate of mail, rate limited")})
		},
		"no allowance": func(w *world, cfg *sender.Config) {
			w.mx("example.com", sendertest.ServerConfig{})
			cfg.Routes[0].Warmup = tiny()
			cfg.Routes[0].Warmup.Stages[0].Day = 1
			cfg.Routes[0].Warmup.AllowJumps = true
		},
		"connections busy": func(w *world, cfg *sender.Config) {
			w.mx("example.com", sendertest.ServerConfig{Script: sendertest.HangAt(bounce.StageMail)})
			cfg.Limits = map[string]throttle.Limits{"example.com": {Connections: 1}}
		},
		"gate in trouble": func(w *world, cfg *sender.Config) {
			w.mx("example.com", sendertest.ServerConfig{})
			g := &memoryGate{}
			cfg.Gate = g
			time.AfterFunc(time.Second, func() { g.fail(errors.New("database is away")) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				cfg := w.config()
				cfg.Streams = []sender.Stream{{Name: "default", ExpireAfter: 2 * time.Hour}}
				prepare(w, &cfg)
				if name == "no allowance" {
					cfg.Routes[0].Warmup.Stages = cfg.Routes[0].Warmup.Stages[:1]
					cfg.Routes[0].Warmup.Stages[0].Hour, cfg.Routes[0].Warmup.Stages[0].Minute = 1, 1
				}
				s := w.start(cfg)
				if name == "gate in trouble" {
					s.Stop(context.Background()) // the next one finds the mail
					s = nil
					late, err := sender.New(cfg)
					w.must(err)
					w.enqueue(late, "anna@example.com")
					time.Sleep(2 * time.Second)
					w.must(late.Start(context.Background()))
					defer late.Stop(context.Background())
				} else {
					w.enqueue(s, users(3, "example.com")...)
				}
				began := time.Now()
				time.Sleep(3 * time.Hour)
				expired := w.of(sender.EventExpired)
				want := 3
				if name == "no allowance" {
					want = 2
				} else if name == "gate in trouble" {
					want = 1
				}
				if len(expired) != want {
					t.Fatalf("%d expired, want %d", len(expired), want)
				}
				for _, e := range expired {
					// An attempt that began in time may end after it: 5 minutes for MAIL.
					if after := e.Time.Sub(began); after < 2*time.Hour || after > 2*time.Hour+6*time.Minute {
						t.Errorf("expired after %v", after)
					}
				}
			})
		})
	}
}

// TestAWaitIsNotAnAttempt: a rested path, an exhausted allowance and a busy receiver cost no attempts.
func TestAWaitIsNotAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Times(1, sendertest.RejectAt(bounce.StageMail, "421 4.7.28 unusual rate of mail, rate limited"))})
		s := w.start(w.config())
		w.enqueue(s, users(200, "example.com")...)
		time.Sleep(24 * time.Hour)
		delivered := w.of(sender.EventDelivered)
		if len(delivered) != 200 {
			t.Fatalf("%d delivered", len(delivered))
		}
		attempts := 0
		for _, e := range delivered {
			attempts += e.Attempt
		}
		if deferred := len(w.of(sender.EventDeferred)); attempts != 200+deferred || deferred > 10 {
			t.Errorf("%d attempts for 200 messages, %d deferred", attempts, deferred)
		}
	})
}

func TestGateIsAskedAgainBeforeAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Compose(
			sendertest.UnknownUsers(sendertest.AnyOf("dead@example.com")), sendertest.Greylist(5*time.Minute))})
		gate := &memoryGate{}
		cfg := w.config()
		cfg.Gate, cfg.Suppressions = gate, sender.NoSuppressions{}
		s := w.start(cfg)
		wantOutcome(t, w.send(s, note("dead@example.com")), queue.Bounced, bounce.BadMailbox)
		time.Sleep(time.Second)
		r, err := s.Enqueue(context.Background(), note("dead@example.com"))
		w.must(err)
		if len(r.Refused) != 1 || len(r.Deliveries) != 0 || r.Refused[0].Reason != "suppressed: bad-mailbox" {
			t.Errorf("a dead address is taken again: %+v", r)
		}
		w.enqueue(s, "anna@example.com")
		time.Sleep(time.Minute) // greylisted
		gate.Suppress(context.Background(), sender.Recipient{Address: "anna@example.com"}, bounce.Verdict{Category: bounce.BadMailbox})
		time.Sleep(time.Hour)
		if sup := w.of(sender.EventSuppressed); len(sup) != 1 || sup[0].Reason == "" || mx.Inbox().Len() != 0 {
			t.Errorf("suppressed: %+v; %d arrived", sup, mx.Inbox().Len())
		}
		gate.fail(errors.New("database is away"))
		if _, err := s.Enqueue(context.Background(), note("otto@example.com")); err == nil || !strings.Contains(err.Error(), "database is away") {
			t.Errorf("enqueue with a failing gate: %v", err)
		}
	})
}

func TestDKIMIsSignedOnceForManyRecipients(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	rsa, err := auth.GenerateRSA(2048)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		boxes := []*sendertest.Server{w.mx("example.com", sendertest.ServerConfig{}), w.mx("example.net", sendertest.ServerConfig{})}
		signer, err := auth.New(auth.Config{Domain: "example.org", Keys: []auth.Key{{Selector: "r1", Signer: rsa}, {Selector: "e1", Signer: ed}}})
		w.must(err)
		for sel, key := range map[string]any{"r1": rsa.Public(), "e1": ed.Public()} {
			txt, err := auth.Record(key)
			w.must(err)
			w.must(w.dns.AddTXT(sel+"._domainkey.example.org", txt))
		}
		counting := &countingSigner{Signer: signer}
		cfg := w.config()
		cfg.Streams = []sender.Stream{{Name: "default", Signer: counting}}
		s := w.start(cfg)
		to := append(users(30, "example.com"), users(30, "example.net")...)
		out, err := s.Send(context.Background(), note(to...))
		w.must(err)
		if len(out) != 60 || counting.n != 1 {
			t.Errorf("%d outcomes, signed %d times", len(out), counting.n)
		}
		for _, b := range boxes {
			w.must(b.Inbox().VerifyDKIM(w.dns))
			sigs, err := b.Inbox().Messages()[0].VerifyDKIM(w.dns)
			if err != nil || len(sigs) != 2 {
				t.Errorf("signatures %+v, %v", sigs, err)
			}
		}
	})
}

type countingSigner struct {
	sender.Signer
	mu   sync.Mutex
	n    int
	fail int
}

func (c *countingSigner) Sign(ctx context.Context, m []byte) ([]byte, error) {
	c.mu.Lock()
	c.n++
	bad := c.n <= c.fail
	c.mu.Unlock()
	if bad {
		return nil, errors.New("key store is away")
	}
	if c.Signer == nil {
		return nil, nil
	}
	return c.Signer.Sign(ctx, m)
}

func TestSignerInTroubleDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{})
		cfg := w.config()
		cfg.Streams = []sender.Stream{{Name: "default", Signer: &countingSigner{fail: 3}}}
		s := w.start(cfg)
		w.enqueue(s, "anna@example.com")
		time.Sleep(10 * time.Minute)
		got := w.of(sender.EventDelivered)
		if len(got) != 1 || got[0].Attempt != 1 || mx.Inbox().Len() != 1 {
			t.Errorf("delivered %+v", got)
		}
	})
}

// TestEventsTellTheStory: in order, accepted first, the final one last, and never again.
func TestEventsTellTheStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Greylist(5 * time.Minute)})
		s := w.start(w.config())
		w.enqueue(s, users(100, "example.com")...)
		time.Sleep(2 * time.Hour)
		story := map[string]string{}
		for _, e := range w.of(sender.EventAccepted, sender.EventDeferred, sender.EventDelivered, sender.EventBounced) {
			story[e.DeliveryID] += string(e.Type) + " "
			if e.MessageID == "" || e.Domain != "example.com" || e.Stream != "default" || e.Time.IsZero() {
				t.Errorf("event %+v", e)
			}
			if e.Type == sender.EventDelivered && (e.Path.Route != "direct" || e.Path.Provider != "example.com" || !e.Reply.OK() || e.QueueTime < 6*time.Minute || e.Attempt != 2) {
				t.Errorf("event %+v", e)
			}
		}
		for id, s := range story {
			if s != "accepted deferred delivered " {
				t.Errorf("%s: %s", id, s)
			}
		}
		if len(story) != 100 {
			t.Errorf("%d stories", len(story))
		}
	})
}

func TestObserverMayCallTheSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{})
		cfg := w.config()
		var s *sender.Sender
		chain := 0
		cfg.Observer = sender.ObserverFunc(func(e sender.Event) {
			if e.Type == sender.EventDelivered && chain < 20 {
				chain++
				w.enqueue(s, fmt.Sprintf("next%d@example.com", chain))
				if _, err := s.Explain(context.Background(), e.DeliveryID); err != nil {
					t.Error(err)
				}
			}
		})
		s = w.start(cfg)
		w.enqueue(s, "first@example.com")
		time.Sleep(time.Hour)
		if n := mx.Inbox().Len(); n != 21 {
			t.Errorf("%d arrived", n)
		}
	})
}

func TestAddressesAreHashedInEventsAndLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("example.com", sendertest.ServerConfig{Script: sendertest.UnknownUsers(func(string) bool { return true })})
		var log bytes.Buffer
		cfg := w.config()
		cfg.PlainAddresses = false
		cfg.HashKey = []byte("key")
		cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		gate := &memoryGate{}
		cfg.Gate = gate
		s := w.start(cfg)
		out := w.send(s, note("secret.name@example.com"))
		if out.Recipient != "secret.name@example.com" {
			t.Errorf("the caller of Send gets %q", out.Recipient)
		}
		gate.fail(errors.New("away"))
		w.must(s.Stop(context.Background()))
		for _, e := range w.of(sender.EventAccepted, sender.EventBounced) {
			shown := fmt.Sprintf("%v %+v %s", e.Recipient, e.Recipient, mustJSON(e))
			if strings.Contains(shown, "secret") || !strings.HasSuffix(e.Recipient.String(), "@example.com") || len(e.Recipient.String()) != 16+len("@example.com") {
				t.Errorf("shows %s", shown)
			}
		}
		if strings.Contains(log.String(), "secret.name") {
			t.Errorf("logged %s", log.String())
		}
		if _, ok := gate.dead["secret.name@example.com"]; !ok {
			t.Errorf("the gate was told of %v", gate.dead)
		}
	})
}
