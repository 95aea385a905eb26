package sender_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/sender/transport"
	"github.com/reputemail/repute/throttle"
	"github.com/reputemail/repute/warmup"
)

// TestMailOfABlockedRouteConsumesAllowance: what one route was refused for good goes over a cold one within its plan.
func TestMailOfABlockedRouteConsumesAllowance(t *testing.T) {
	block := sendertest.When(func(s *sendertest.Session) bool { return s.Source() == warmAddr },
		sendertest.RejectAt(bounce.StageMail, "550 5.7.1 Service unavailable; client [198.51.100.2] blocked using bl.spamcop.net"))
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{Script: block})
		cfg := w.coldAndWarm(tiny(), false)
		cfg.Limits = map[string]throttle.Limits{"example.com": {Connections: 50}}
		cfg.Pools[0].Routes = []string{"warm", "cold"}
		s := w.start(cfg)
		w.enqueue(s, users(40, "example.com")...)
		time.Sleep(time.Hour)
		if got := bySource(mx.Inbox()); got[coldAddr] != 10 || got[warmAddr] != 0 {
			t.Errorf("arrived %v within an hour; the plan allows 10 over %v", got, coldAddr)
		}
	})
}

// TestTheLastMinutesAreNoHammering: before a delivery expires it is tried once more, not again and again.
func TestTheLastMinutesAreNoHammering(t *testing.T) {
	for _, reply := range []bounce.Reply{
		said(bounce.StageRcpt, 451, "4.3.0 try again later"),
		said(bounce.StageRcpt, 450, "4.7.1 greylisted, try again later"),
		said(bounce.StageRcpt, 452, "4.2.2 mailbox full"),
	} {
		t.Run(reply.Text(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t)
				st.transact = answers(reply)
				cfg := st.config("a")
				cfg.Streams = []sender.Stream{{Name: "default", ExpireAfter: 2 * time.Hour}}
				s := st.start(cfg)
				st.enqueue(s, "", "one@x.example")
				time.Sleep(3 * time.Hour)
				expired := st.of(sender.EventExpired)
				if len(expired) != 1 {
					t.Fatalf("%d expired", len(expired))
				}
				last := 0
				for _, e := range st.of(sender.EventDeferred) {
					if expired[0].Time.Sub(e.Time) < 2*time.Minute {
						last++
					}
				}
				if n := len(st.order()); last > 2 || n > 10 {
					t.Errorf("%d attempts, %d of them in the last two minutes", n, last)
				}
			})
		})
	}
}

// TestOneLastTryBeforeExpiry: where the next retry would come too late, one comes just before the end.
func TestOneLastTryBeforeExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		st.transact = answers(said(bounce.StageRcpt, 451, "4.3.0 try again later"))
		cfg := st.config("a")
		cfg.Streams = []sender.Stream{{Name: "default", ExpireAfter: time.Hour}}
		cfg.Retry = sender.RetryPolicy{ShortCause: 35 * time.Minute, OtherCause: 35 * time.Minute} // twice as long: at 105 minutes
		s := st.start(cfg)
		st.enqueue(s, "", "one@x.example")
		time.Sleep(50 * time.Minute)
		st.set(func() { st.transact = nil })
		time.Sleep(time.Hour)
		if st.sentTo("one@x.example") != 1 || len(st.of(sender.EventDelivered)) != 1 {
			t.Error("it had no last try")
		}
	})
}

// TestARefusedDeliveryTakesAnyOpenRoute: a verdict against one route leaves the choice among all others.
func TestARefusedDeliveryTakesAnyOpenRoute(t *testing.T) {
	for _, c := range []struct {
		name  string
		pools []sender.Pool
	}{
		{"routes", []sender.Pool{{Name: "main", Routes: []string{"a", "b", "c"}}}},
		{"overflow", []sender.Pool{{Name: "main", Routes: []string{"a", "b"}, Overflow: []string{"c"}}}},
		{"overflow only", []sender.Pool{{Name: "main", Routes: []string{"a"}, Overflow: []string{"b", "c"}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t)
				st.acquire = closed(map[string]time.Time{"b": time.Now().Add(24 * time.Hour)})
				st.dial = func(t transport.Target) error {
					if via(t, "a") {
						return greeted(554, "5.7.1 Client host blocked using zen.spamhaus.org")
					}
					return nil
				}
				cfg := st.config("a", "b", "c")
				cfg.Pools = c.pools
				s := st.start(cfg)
				st.enqueue(s, "", "one@x.example")
				time.Sleep(time.Hour)
				if n := get(st, func() int { return st.over["c.example.org"] }); n != 1 {
					t.Error("did not go over the route that is open")
				}
				if n := len(get(st, func() []transport.Target { return st.targets })); n != 2 {
					t.Errorf("%d connections", n)
				}
			})
		})
	}
}

// TestRefusedByEveryRouteBounces: also when the last route that refused it was taken out of the configuration since.
func TestRefusedByEveryRouteBounces(t *testing.T) {
	for _, bound := range []string{"", "a", "c"} { // the route that it is bound to
		t.Run("bound to "+bound, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := context.Background()
				q := memory(t)
				lane := queue.Lane{Stream: "default", Domain: "x.example"}
				_, err := q.Put(ctx, queue.Put{
					Message:     &queue.Message{ID: "m", Stream: "default", Recipients: 1, Data: []byte("From: <a@b.example>\r\n\r\n")},
					Deliveries:  []queue.Delivery{{ID: "m/1", MessageID: "m", Recipient: "one@x.example", Lane: lane}},
					ExpireAfter: 5 * time.Hour,
				})
				if err != nil {
					t.Fatal(err)
				}
				for _, refused := range []string{"a", "b"} {
					got, err := q.Claim(ctx, queue.Claim{Lane: lane, Limit: 1, LeaseFor: time.Minute})
					if err != nil || len(got.Deliveries) != 1 {
						t.Fatalf("%+v, %v", got, err)
					}
					next := ""
					if refused == "b" {
						next = bound
					}
					_, err = q.Settle(ctx, []queue.Settlement{{
						ID: "m/1", Lease: got.Deliveries[0].Lease, State: queue.Waiting, Route: next, Began: true, Record: &queue.Attempt{
							Route: refused, Provider: "x.example", Reply: said(bounce.StageMail, 554, "5.7.1 blocked"),
							Verdict: bounce.Verdict{Category: bounce.Blocklisted, Scope: bounce.ScopeRoute, Permanent: true, Rule: "test"},
						},
					}})
					if err != nil {
						t.Fatal(err)
					}
				}
				st := newStage(t)
				cfg := st.config("a", "b")
				cfg.Queue = q
				s := st.start(cfg)
				time.Sleep(10 * time.Minute)
				if ex := st.explain(s, "m"); ex.State != queue.Bounced {
					t.Errorf("is %s, waits for %+v", ex.State, ex.Waits)
				}
				if b := st.of(sender.EventBounced); len(b) != 1 || b[0].Verdict.Category != bounce.Blocklisted || len(st.order()) != 0 {
					t.Errorf("bounced %+v after %d transactions", b, len(st.order()))
				}
			})
		})
	}
}

// TestOnlyTheRouteIsToBlame: a verdict against the address, the message or the domain holds over every route.
func TestOnlyTheRouteIsToBlame(t *testing.T) {
	for _, scope := range []bounce.Scope{bounce.ScopeRecipient, bounce.ScopeMessage, bounce.ScopeDomain, bounce.ScopeProvider, bounce.ScopeRoute} {
		t.Run(string(scope), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t)
				st.transact = answers(said(bounce.StageRcpt, 550, "no"))
				cfg := st.config("a", "b", "c")
				cfg.Pools = []sender.Pool{{Name: "main", Routes: []string{"a", "b"}, Overflow: []string{"c"}}}
				cfg.Classifier = verdict{Category: bounce.Policy, Scope: scope, Permanent: true, Rule: "test"}
				s := st.start(cfg)
				st.enqueue(s, "", "one@x.example")
				time.Sleep(time.Hour)
				want := 1
				if scope == bounce.ScopeRoute {
					want = 3
				}
				deferred, bounced := len(st.of(sender.EventDeferred)), len(st.of(sender.EventBounced))
				if n := len(st.order()); n != want || deferred != want-1 || bounced != 1 {
					t.Errorf("tried %d times, want %d; %d deferred, %d bounced", n, want, deferred, bounced)
				}
			})
		})
	}
}

// verdict is a Classifier that says the same of every reply.
type verdict bounce.Verdict

func (v verdict) Classify(string, bounce.Reply) bounce.Verdict { return bounce.Verdict(v) }

// TestWhatVerdictsMeanToTheThrottle: only what is said of our route and pace is told as such.
func TestWhatVerdictsMeanToTheThrottle(t *testing.T) {
	const route, recipient, message = bounce.ScopeRoute, bounce.ScopeRecipient, bounce.ScopeMessage
	for _, c := range []struct {
		stage    bounce.Stage
		category bounce.Category
		scope    bounce.Scope
		want     throttle.SignalKind
	}{
		{bounce.StageMail, bounce.RateLimited, route, throttle.SignalRateLimited},
		{bounce.StageMail, bounce.RateLimited, bounce.ScopeProvider, throttle.SignalRateLimited},
		{bounce.StageConnect, bounce.RateLimited, route, throttle.SignalTooManyConnections},
		{bounce.StageRcpt, bounce.RateLimited, recipient, throttle.SignalOther},
		{bounce.StageMail, bounce.ReputationBlock, route, throttle.SignalBlocked},
		{bounce.StageMail, bounce.Blocklisted, route, throttle.SignalBlocked},
		{bounce.StageRcpt, bounce.Blocklisted, recipient, throttle.SignalOther},
		{bounce.StageDot, bounce.Blocklisted, message, throttle.SignalOther},
		{bounce.StageDot, bounce.Blocklisted, bounce.ScopeDomain, throttle.SignalOther},
		{bounce.StageDot, bounce.RateLimited, message, throttle.SignalOther},
		{bounce.StageRcpt, bounce.ReputationBlock, recipient, throttle.SignalOther},
		{bounce.StageRcpt, bounce.Greylisted, route, throttle.SignalGreylisted},
		{bounce.StageRcpt, bounce.BadMailbox, recipient, throttle.SignalOther},
		{bounce.StageMail, bounce.ServerBusy, bounce.ScopeProvider, throttle.SignalOther},
		{bounce.StageDot, bounce.SpamContent, message, throttle.SignalOther},
	} {
		t.Run(string(c.stage)+" "+string(c.category)+" "+string(c.scope), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t)
				if c.stage == bounce.StageConnect {
					st.dial = func(transport.Target) error { return greeted(421, "no") }
				} else {
					st.transact = answers(said(c.stage, 451, "no"))
				}
				cfg := st.config("a")
				cfg.Classifier = verdict{Category: c.category, Scope: c.scope, Rule: "test"}
				s := st.start(cfg)
				st.enqueue(s, "", "one@x.example")
				time.Sleep(time.Second)
				if got := get(st, func() []throttle.SignalKind { return st.signals }); !slices.Equal(got, []throttle.SignalKind{c.want}) {
					t.Errorf("told %v, want %s", got, c.want)
				}
			})
		})
	}
}

// TestWhatVerdictsMeanToTheWarmUp: a ramp slows down for what is said of our reputation, and for nothing else.
func TestWhatVerdictsMeanToTheWarmUp(t *testing.T) {
	for _, c := range []struct {
		category  bounce.Category
		permanent bool
		want      warmup.Outcome
	}{
		{bounce.RateLimited, false, warmup.Deferred},
		{bounce.ReputationBlock, false, warmup.Deferred},
		{bounce.Blocklisted, false, warmup.Deferred},
		{bounce.RateLimited, true, warmup.Blocked},
		{bounce.ReputationBlock, true, warmup.Blocked},
		{bounce.Blocklisted, true, warmup.Blocked},
		{bounce.BadMailbox, true, warmup.Bounced},
		{bounce.InactiveMailbox, true, warmup.Bounced},
		{bounce.BadDomain, true, warmup.Bounced},
		{bounce.NoReverseDNS, true, warmup.Blocked},
		{bounce.Policy, true, warmup.Blocked},
		{bounce.NoReverseDNS, false, warmup.Other},
		{bounce.BadMailbox, false, warmup.Other},
		{bounce.Greylisted, false, warmup.Other},
		{bounce.MailboxFull, true, warmup.Other},
		{bounce.SpamContent, true, warmup.Other},
		{bounce.Network, false, warmup.Other},
		{"", false, warmup.Delivered},
	} {
		t.Run(string(c.category), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t)
				if c.category != "" {
					st.transact = answers(said(bounce.StageRcpt, 451, "no"))
				}
				cfg := st.config("a")
				cfg.Classifier = verdict{Category: c.category, Scope: bounce.ScopeRoute, Permanent: c.permanent, Rule: "test"}
				cfg.Pacer = stagePacer{st}
				cfg.Routes[0].Warmup = warmup.Moderate(1000)
				s := st.start(cfg)
				st.enqueue(s, "", "one@x.example")
				time.Sleep(time.Second)
				if got := get(st, func() []warmup.Outcome { return st.outcomes }); !slices.Equal(got, []warmup.Outcome{c.want}) {
					t.Errorf("told %v, want %s", got, c.want)
				}
			})
		})
	}
}

// TestATimeOutIsAnAttempt: a receiver that falls silent at MAIL of an open session has been tried. One that has closed
// the session in the meantime has not (TestSessionClosedByTheOtherSideIsNoAttempt).
func TestATimeOutIsAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		used := sendertest.When(func(s *sendertest.Session) bool { return s.Messages() > 0 }, sendertest.HangAt(bounce.StageMail))
		mx := w.mx("example.com", sendertest.ServerConfig{Script: used})
		cfg := w.config()
		cfg.Limits = map[string]throttle.Limits{"example.com": {Connections: 1}}
		s := w.start(cfg)
		w.enqueue(s, "anna@example.com", "otto@example.com")
		time.Sleep(6 * time.Minute) // 5 for the reply to MAIL
		if n := mx.Inbox().Len(); n != 1 {
			t.Errorf("%d arrived", n)
		}
		d := w.of(sender.EventDeferred)
		if len(d) != 1 || d[0].Reply.Stage != bounce.StageMail || d[0].Verdict.Category != bounce.Network {
			t.Fatalf("deferred %+v", d)
		}
		time.Sleep(time.Hour)
		if n := mx.Inbox().Len(); n != 2 {
			t.Errorf("%d arrived in the end", n)
		}
	})
}

// TestWhatWasClosedBefore: of what we say ourselves at MAIL of a used session, only a lost connection is no attempt. A host that is out of step has been tried.
func TestWhatWasClosedBefore(t *testing.T) {
	for _, c := range []struct {
		name     string
		status   bounce.Status
		deferred int
	}{
		{"lost", bounce.Status{Class: 4, Subject: 4, Detail: 2}, 0},
		{"out of step", bounce.Status{Class: 4, Subject: 5, Detail: 0}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t)
				st.transact = func(_ context.Context, conv *conversation, e *transport.Envelope) ([]transport.Result, error) {
					if conv.sent == 1 {
						return all(e, said(bounce.StageDot, 250, "ok")), nil
					}
					r := bounce.Reply{Status: c.status, Stage: bounce.StageMail, Host: "mx.x.example", Local: true, Lines: []string{c.name}}
					return all(e, r), &transport.Error{Reply: r}
				}
				s := st.start(st.config("a"))
				st.enqueue(s, "", "one@x.example")
				time.Sleep(time.Second)
				st.enqueue(s, "", "two@x.example")
				time.Sleep(time.Second)
				if n := len(st.of(sender.EventDeferred)); n != c.deferred || st.sentTo("two@x.example") != 1-c.deferred {
					t.Errorf("%d deferred, sent %d times", n, st.sentTo("two@x.example"))
				}
				time.Sleep(time.Hour)
				if st.sentTo("two@x.example") != 1 {
					t.Errorf("sent %d times in the end", st.sentTo("two@x.example"))
				}
			})
		})
	}
}
