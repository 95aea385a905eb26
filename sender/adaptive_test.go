package sender_test

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/throttle"
	"github.com/reputemail/repute/warmup"
)

// peaks counts the connections of each source address.
type peaks struct {
	mu   sync.Mutex
	open map[netip.Addr]int
	most map[netip.Addr]int
	seen map[netip.Addr][]peak
}

// peak is how many were open at a time.
type peak struct {
	at   time.Time
	open int
}

func newPeaks() *peaks {
	return &peaks{open: map[netip.Addr]int{}, most: map[netip.Addr]int{}, seen: map[netip.Addr][]peak{}}
}

func (p *peaks) script() sendertest.Script {
	count := func(s *sendertest.Session, by int) {
		p.mu.Lock()
		defer p.mu.Unlock()
		src := s.Source()
		p.open[src] += by
		p.most[src] = max(p.most[src], p.open[src])
		if by > 0 {
			p.seen[src] = append(p.seen[src], peak{time.Now(), p.open[src]})
		}
	}
	return sendertest.Script{
		OnConnect: func(s *sendertest.Session, _ string) *sendertest.Answer { count(s, 1); return nil },
		OnClose:   func(s *sendertest.Session) { count(s, -1) },
	}
}

func (p *peaks) all() map[netip.Addr]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.most)
}

// after is how many were open with each new connection from a time on.
func (p *peaks) after(src netip.Addr, at time.Time) (open []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.seen[src] {
		if !s.at.Before(at) {
			open = append(open, s.open)
		}
	}
	return open
}

// perConnection answers 421 to MAIL above so many messages of a connection, and says why in these words.
func perConnection(n int, said string) sendertest.Script {
	return sendertest.Script{OnMail: func(s *sendertest.Session, _ string) *sendertest.Answer {
		if s.Messages() < n {
			return nil
		}
		return sendertest.Say(said)
	}}
}

// TestFindsTheReceiversLimits: a receiver takes 5 connections and 20 messages over each, and answers 421 above. The Sender, which is told twice as much and
// more, finds both, puts hardly any mail off for that, and uses what there is.
func TestFindsTheReceiversLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var refused, begun atomic.Int64
		count := sendertest.Script{
			OnConnect: func(*sendertest.Session, string) *sendertest.Answer { begun.Add(1); return nil },
			OnDot:     func(s *sendertest.Session, _ string) *sendertest.Answer { s.Sleep(200 * time.Millisecond); return nil },
			OnReply: func(_ *sendertest.Session, a *sendertest.Answer) {
				if a.Reply.Code == 421 {
					refused.Add(1)
				}
			},
		}
		limits := sendertest.Compose(sendertest.MaxConnections(5), perConnection(20, "421 4.7.0 Too many messages on this connection"))
		mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Compose(limits, count)})
		cfg := w.config()
		cfg.Limits = map[string]throttle.Limits{"example.com": {Connections: 12, MessagesPerConnection: 100, Recipients: 1}}
		s := w.start(cfg)
		const messages = 30_000
		began := time.Now()
		for i := range messages / 1000 {
			_, err := s.Enqueue(context.Background(), note(users1000(i)...))
			w.must(err)
		}
		time.Sleep(2 * time.Minute)
		settled := refused.Load()
		atTwoMinutes := mx.Inbox().Len()
		w.await(func() bool { return mx.Inbox().Len() == messages }, 3*time.Hour)
		took := time.Since(began)
		deferred := len(w.of(sender.EventDeferred))
		if share := float64(deferred) / float64(messages+deferred); share > 0.05 {
			t.Errorf("%d of %d attempts deferred: %.1f %%", deferred, messages+deferred, 100*share)
		}
		if share := float64(refused.Load()) / messages; share > 0.05 {
			t.Errorf("the receiver said 421 %d times", refused.Load())
		}
		// Five connections of a message each 200 ms.
		best := time.Duration(messages) * 200 * time.Millisecond / 5
		if rate := float64(best) / float64(took); rate < 0.9 {
			t.Errorf("took %v, which is %.0f %% of what the receiver allows", took, 100*rate)
		}
		// Found within two minutes: from then on only the rare looks for more are refused.
		if after := refused.Load() - settled; after > 10 {
			t.Errorf("421 %d times after the first two minutes", after)
		}
		t.Logf("%d of %d attempts deferred, 421 %d times (%d in the first two minutes), %d connections, %.1f %% of the receiver's speed, %d messages in the first two minutes",
			deferred, messages+deferred, refused.Load(), settled, begun.Load(), 100*float64(best)/float64(took), atTwoMinutes)
		if n := len(w.of(sender.EventBounced, sender.EventExpired)); n != 0 {
			t.Errorf("%d are lost", n)
		}
	})
}

// users1000 are a thousand recipients, others for each i.
func users1000(i int) []string {
	to := make([]string, 1000)
	for j := range to {
		to[j] = fmt.Sprintf("user%d-%d@example.com", i, j)
	}
	return to
}

// TestSilentLimitIsLearnt: a receiver that closes connections without a word after so many messages costs no attempt, and after two of them no surprise either.
func TestSilentLimitIsLearnt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.CloseAfter(7)})
		cfg := w.config()
		cfg.Limits = map[string]throttle.Limits{"example.com": {Connections: 1, MessagesPerConnection: 100}}
		s := w.start(cfg)
		w.enqueue(s, users(100, "example.com")...)
		w.await(func() bool { return mx.Inbox().Len() == 100 }, time.Hour)
		if n := len(w.of(sender.EventDeferred)); n != 0 {
			t.Errorf("%d deferred", n)
		}
		slowed := w.of(sender.EventPathSlowed)
		if len(slowed) != 1 || slowed[0].Throttle.Cause != throttle.SignalClosed || slowed[0].Throttle.Detail != "messages per connection: 7, closed without a word" {
			t.Errorf("told %+v", slowed)
		}
	})
}

// TestResetAtALimit: a receiver resets connections above its limit. Mail waits for the others, and the limit is found.
func TestResetAtALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var open atomic.Int64
		mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Script{
			OnConnect: func(s *sendertest.Session, _ string) *sendertest.Answer {
				if open.Add(1) > 3 {
					return &sendertest.Answer{Reset: true}
				}
				return nil
			},
			OnDot:   func(s *sendertest.Session, _ string) *sendertest.Answer { s.Sleep(time.Second); return nil },
			OnClose: func(*sendertest.Session) { open.Add(-1) },
		}})
		cfg := w.config()
		cfg.Limits = map[string]throttle.Limits{"example.com": {Connections: 8, MessagesPerConnection: 1000}}
		s := w.start(cfg)
		w.enqueue(s, users(3000, "example.com")...)
		w.await(func() bool { return mx.Inbox().Len() == 3000 }, 10*time.Hour)
		if n := len(w.of(sender.EventDeferred)); n > 10 { // those of the first moment, when no connection worked yet
			t.Errorf("%d deferred", n)
		}
	})
}

// TestTooManyRecipients: those above the receiver's limit of recipients go in the next transaction at once, without a try of theirs, whatever the receiver's words, and the next ones are of
// the right size.
func TestTooManyRecipients(t *testing.T) {
	for _, said := range []string{"452 4.5.3 Too many recipients", "452 4.5.3 Too many recipients in this session", "550 5.5.3 Too many recipients", "552 Too many recipients"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			var transactions, named atomic.Int64
			mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Script{
				OnMail: func(*sendertest.Session, string) *sendertest.Answer { transactions.Add(1); return nil },
				OnRcpt: func(s *sendertest.Session, _ string) *sendertest.Answer {
					if named.Add(1); len(s.To()) >= 10 {
						return sendertest.Say(said)
					}
					return nil
				},
			}})
			s := w.start(w.config())
			for range 5 {
				_, err := s.Enqueue(context.Background(), note(users(100, "example.com")...))
				w.must(err)
			}
			time.Sleep(10 * time.Second)
			if n := reached(mx); n != 500 {
				t.Errorf("%s: %d recipients were reached at once", said, n)
			}
			if n := len(w.of(sender.EventDeferred, sender.EventBounced)); n != 0 {
				t.Errorf("%s: %d deferred or bounced", said, n)
			}
			if n := transactions.Load(); n > 60 {
				t.Errorf("%s: %d transactions", said, n)
			}
			if n := named.Load(); n > 1600 { // of each connection the first transaction or two are too large
				t.Errorf("%s: %d recipients named", said, n)
			}
		})
	}
}

// TestSurplusRecipientsUseNoAllowance: recipients that go in the next transaction count once for warm-up.
func TestSurplusRecipientsUseNoAllowance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{MaxRecipients: 2})
		cfg := w.config()
		cfg.Routes[0].Warmup = warmup.Plan{Name: "own", Stages: []warmup.Stage{{Day: 20}, {Day: 30}}}
		s := w.start(cfg)
		_, err := s.Enqueue(context.Background(), note(users(20, "example.com")...))
		w.must(err)
		time.Sleep(23 * time.Hour)
		if n := reached(mx); n < 19 || n > 20 {
			t.Errorf("%d of 20 were reached on the first day", n)
		}
	})
}

// TestBlockedOnOneOfThreeRoutes: a provider blocks one of three addresses. There is a warning first, the path is suspended within five blocked messages, its mail goes over
// the two others within their limits, nothing bounces, and the suspension ends gradually.
func TestBlockedOnOneOfThreeRoutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		bad := netip.MustParseAddr("198.51.100.2")
		until := time.Now().Add(3 * time.Hour)
		var blocked atomic.Int64
		most := newPeaks()
		mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Compose(most.script(), sendertest.Script{
			OnMail: func(s *sendertest.Session, _ string) *sendertest.Answer {
				if s.Source() == bad && time.Now().Before(until) && time.Now().After(until.Add(-170*time.Minute)) {
					blocked.Add(1)
					return sendertest.Say("550 5.7.1 Messages from [198.51.100.2] were not sent on: part of your network is on our block list (S3140).")
				}
				return nil
			},
		})})
		cfg := w.config()
		cfg.Routes = []sender.Route{
			{Name: "a", LocalAddr: "198.51.100.1", Hostname: "a.example.org"},
			{Name: "b", LocalAddr: bad.String(), Hostname: "b.example.org"},
			{Name: "c", LocalAddr: "198.51.100.3", Hostname: "c.example.org"},
		}
		cfg.Pools = []sender.Pool{{Name: "main", Routes: []string{"a", "b", "c"}, Weights: map[string]int{"a": 1}}}
		cfg.Limits = map[string]throttle.Limits{"example.com": {Connections: 2, MessagesPerConnection: 50, MessageRate: throttle.Rate{N: 1, Per: time.Second}}}
		s := w.start(cfg)
		const messages = 24_000
		for i := range messages / 4 { // 4 every 5 seconds, and for four hours
			w.enqueue(s, fmt.Sprintf("a%d@example.com", i), fmt.Sprintf("b%d@example.com", i), fmt.Sprintf("c%d@example.com", i), fmt.Sprintf("d%d@example.com", i))
			time.Sleep(5 * time.Second)
		}
		w.await(func() bool { return mx.Inbox().Len() == messages }, time.Hour)
		if n := blocked.Load(); n > 5+4 { // the suspension, and the tries after it
			t.Errorf("%d messages were blocked", n)
		}
		if n := len(w.of(sender.EventBounced, sender.EventExpired)); n != 0 {
			t.Errorf("%d bounced", n)
		}
		warned, closed := w.of(sender.EventPathWarning), w.of(sender.EventPathClosed)
		if len(warned) == 0 || len(closed) == 0 || closed[0].Path.Route != "b" || warned[0].Path.Route != "b" || !warned[0].Time.Before(closed[0].Time) {
			t.Fatalf("warned %+v\nclosed %+v", warned, closed)
		}
		for _, c := range closed {
			if c.Path.Route != "b" {
				t.Errorf("%v was closed", c.Path)
			}
		}
		for source, n := range most.all() {
			if n > 2 {
				t.Errorf("%d connections from %v", n, source)
			}
		}
		stats, err := s.Stats(context.Background())
		w.must(err)
		by := map[string]int64{}
		for _, p := range stats.Paths {
			by[p.Route] += p.Delivered
		}
		if by["a"] < messages*3/10 || by["c"] < messages*3/10 || by["b"] < messages/20 {
			t.Errorf("delivered %v", by)
		}
		t.Logf("%d messages blocked; delivered %v; warned %v before the suspension", blocked.Load(), by, closed[0].Time.Sub(warned[0].Time))
		ramp := most.after(bad, closed[len(closed)-1].Wait.Until)
		if len(ramp) == 0 || ramp[0] != 1 {
			t.Errorf("connections after the suspension: %v", ramp)
		}
	})
}

// TestSigningDomainIsStopped: what a receiver limits for the signing domain stops that stream on all routes, and no other stream.
func TestSigningDomainIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var limited atomic.Bool
		limited.Store(true)
		mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Script{OnDot: func(s *sendertest.Session, _ string) *sendertest.Answer {
			if limited.Load() && s.From() == "news@example.org" {
				return sendertest.Say("421 4.7.32 limited for its domain")
			}
			return nil
		}}})
		cfg := w.config()
		cfg.Routes = append(cfg.Routes, sender.Route{Name: "other", LocalAddr: "198.51.100.9", Hostname: "o.example.org"})
		cfg.Streams = []sender.Stream{{Name: "news", SigningDomain: "news.example.org"}, {Name: "resets", SigningDomain: "id.example.org"}}
		cfg.Classifier = classifierFunc(func(provider string, r bounce.Reply) bounce.Verdict {
			v := classifier().Classify(provider, r)
			if r.Status.Detail == 32 {
				v.Category, v.Scope, v.Permanent = bounce.RateLimited, bounce.ScopeDomain, false
			}
			return v
		})
		s := w.start(cfg)
		m := note("first@example.com")
		m.Stream = "news"
		_, err := s.Enqueue(context.Background(), m)
		w.must(err)
		time.Sleep(time.Second)
		m = note("second@example.com")
		m.Stream, m.ID = "news", "second"
		_, err = s.Enqueue(context.Background(), m)
		w.must(err)
		reset := note("reset@example.com")
		reset.Stream, reset.From = "resets", "id@example.org"
		if out := w.send(s, reset); out.State != "delivered" {
			t.Errorf("the other domain's mail is %s", out.State)
		}
		ex, err := s.Explain(context.Background(), "second")
		w.must(err)
		want := sender.Path{Route: "domain:news.example.org", Provider: "example.com"}
		if len(ex[0].Waits) == 0 || ex[0].Waits[0].Reason != sender.WaitBackoff || ex[0].Waits[0].Path != want {
			t.Errorf("waits for %+v", ex[0].Waits)
		}
		limited.Store(false)
		time.Sleep(30 * time.Minute)
		if n := mx.Inbox().Len(); n != 3 {
			t.Errorf("%d arrived in the end", n)
		}
	})
}

// reached counts the recipients of what a server accepted.
func reached(mx *sendertest.Server) (n int) {
	for _, m := range mx.Inbox().Messages() {
		n += len(m.To)
	}
	return n
}

// TestSuspendedPathLetsRetriesGo: what is to be tried again stays on its route, for the sake of greylisting; unless that is stopped for long.
func TestSuspendedPathLetsRetriesGo(t *testing.T) {
	for _, block := range []string{
		"550 5.7.1 Messages from [198.51.100.1] were not sent on: part of your network is on our block list (S3140).", // suspends the path for two hours
		"421 4.7.28 [198.51.100.1] An unusual rate of mail is coming from your IP address. - gsmtp",                   // stops it for ten minutes
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			var mu sync.Mutex
			tried, blocked, times := 0, 0, 2
			if block[0] == '4' {
				times = 1
			}
			mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Compose(sendertest.Script{
				OnMail: func(s *sendertest.Session, _ string) *sendertest.Answer {
					mu.Lock()
					defer mu.Unlock()
					if s.Source() == netip.MustParseAddr("198.51.100.1") && tried > 0 && blocked < times {
						blocked++
						return sendertest.Say(block)
					}
					return nil
				},
				OnRcpt: func(s *sendertest.Session, to string) *sendertest.Answer {
					mu.Lock()
					defer mu.Unlock()
					if tried++; tried == 1 {
						return sendertest.Say("451 4.7.1 Greylisted, try again in five minutes")
					}
					return nil
				},
			})})
			cfg := w.config()
			cfg.Routes = append(cfg.Routes, sender.Route{Name: "other", LocalAddr: "198.51.100.2", Hostname: "o.example.org"})
			cfg.Limits = map[string]throttle.Limits{"example.com": {Connections: 1, MessagesPerConnection: 1}}
			s := w.start(cfg)
			w.enqueue(s, "grey@example.com")
			time.Sleep(time.Second)
			w.enqueue(s, "one@example.com")
			time.Sleep(time.Second)
			w.enqueue(s, "two@example.com")
			time.Sleep(30 * time.Minute)
			if n := mx.Inbox().Len(); n != 3 {
				t.Fatalf("%d arrived", n)
			}
			last := w.of(sender.EventDelivered)
			for _, e := range last {
				if e.Recipient.Address != "grey@example.com" {
					continue
				}
				if want := map[bool]string{true: "other", false: "direct"}[block[0] == '5']; e.Path.Route != want {
					t.Errorf("%.3s: went over %s, want %s", block, e.Path.Route, want)
				}
			}
		})
	}
}
