package sender_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/route"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/sender/transport"
	"github.com/reputemail/repute/throttle"
	"github.com/reputemail/repute/warmup"
)

// bodyless is a queue that does not give bodies while it is broken.
type bodyless struct {
	sender.Queue
	broken *atomic.Bool
}

func (q bodyless) Message(ctx context.Context, id string) (*queue.Message, error) {
	if q.broken.Load() {
		return nil, errors.New("the disk is away")
	}
	return q.Queue.Message(ctx, id)
}

type signerFunc func() error

func (f signerFunc) Sign(context.Context, []byte) ([]byte, error) { return nil, f() }

// TestExplainTellsWhenItIsTried: of each reason for which mail waits, Explain tells, and until when; and then it is tried.
func TestExplainTellsWhenItIsTried(t *testing.T) {
	const minute = time.Minute
	type scene struct {
		st     *stage
		cfg    sender.Config
		broken *atomic.Bool
		before []string // what is enqueued before
	}
	for _, c := range []struct {
		reason sender.WaitReason
		set    func(s *scene)
		path   bool          // a path is named
		until  time.Duration // from now on; 0: it depends on others
		next   time.Duration
	}{
		{sender.WaitRetry, func(s *scene) {
			first := true
			s.st.transact = func(_ context.Context, _ *conversation, e *transport.Envelope) ([]transport.Result, error) {
				if first {
					first = false
					return all(e, said(bounce.StageRcpt, 450, "4.2.1 later")), nil
				}
				return all(e, said(bounce.StageDot, 250, "ok")), nil
			}
			s.cfg.Retry = sender.RetryPolicy{ShortCause: 10 * minute, OtherCause: 10 * minute}
		}, true, -1, -1},
		{sender.WaitDNS, func(s *scene) {
			s.st.resolve = func(_ context.Context, domain string) (route.Destination, error) {
				if s.broken.Load() {
					return route.Destination{}, &route.Error{Domain: domain, Temporary: true, Err: errors.New("no answer")}
				}
				return found(domain), nil
			}
		}, false, minute, minute},
		{sender.WaitHost, func(s *scene) {
			s.st.dial = func(t transport.Target) error {
				if s.broken.Load() {
					return unreachable(t)
				}
				return nil
			}
			s.before = []string{"other@example.com"}
		}, true, minute, minute},
		{sender.WaitWarmup, func(s *scene) {
			end := time.Now().Add(20 * minute)
			s.cfg.Routes[0].Warmup, s.cfg.Pacer = warmup.Conservative(1000), stagePacer{s.st}
			s.st.reserve = func(now time.Time, _ warmup.Path, n int) warmup.Reservation {
				return warmup.Reservation{OK: !now.Before(end), Until: end, Reason: warmup.ReasonDayCap, Cap: 50, Used: 50}
			}
		}, true, 20 * minute, 20 * minute},
		{sender.WaitRate, func(s *scene) {
			s.cfg.Throttle = nil
			s.cfg.Providers = oneProvider{}
			s.cfg.Limits = map[string]throttle.Limits{"all": {MessageRate: throttle.Rate{N: 1, Per: 10 * minute}}}
			s.before = []string{"other@example.com"}
		}, true, 10*minute - time.Second, 10*minute - time.Second},
		{sender.WaitConnections, func(s *scene) {
			s.st.limits, s.st.transact = throttle.Limits{Connections: 1}, takes(10*time.Second)
			s.before = []string{"other@example.com", "third@example.com"}
		}, true, 0, 0},
		{sender.WaitTurn, func(s *scene) {
			s.cfg.Throttle, s.cfg.Providers = nil, oneProvider{}
			s.cfg.Limits = map[string]throttle.Limits{"all": {MessageRate: throttle.Rate{N: 1, Per: 10 * minute}}}
			s.before = []string{"other@example.net", "third@example.net"}
		}, true, 0, 20*minute - time.Second},
		{sender.WaitBackoff, func(s *scene) {
			s.st.acquire = closed(map[string]time.Time{"out": time.Now().Add(30 * minute)})
		}, true, 30 * minute, 30 * minute},
		{sender.WaitGate, func(s *scene) {
			asked := 0
			s.cfg.Gate = sender.GateFunc(func(context.Context, sender.Recipient) (string, error) {
				if asked++; asked > 1 && s.broken.Load() {
					return "", errors.New("the gate is broken")
				}
				return "", nil
			})
		}, false, minute, minute},
		{sender.WaitSigner, func(s *scene) {
			s.cfg.Streams = []sender.Stream{{Name: "news", Signer: signerFunc(func() error {
				if s.broken.Load() {
					return errors.New("the key is away")
				}
				return nil
			})}}
		}, false, minute, minute},
		{sender.WaitQueue, func(s *scene) { s.cfg.Queue = bodyless{memory(s.st.t), s.broken} }, false, minute, minute},
	} {
		t.Run(string(c.reason), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := scene{st: newStage(t), broken: &atomic.Bool{}}
				s.broken.Store(true)
				s.cfg = s.st.config("out")
				c.set(&s)
				snd := s.st.start(s.cfg)
				s.st.enqueue(snd, "", s.before...)
				time.Sleep(time.Second)
				r := s.st.enqueue(snd, "", "a@example.com")
				synctest.Wait()
				now := time.Now()
				ex := s.st.explain(snd, r.Deliveries[0].ID)
				i := slices.IndexFunc(ex.Waits, func(w sender.Wait) bool { return w.Reason == c.reason })
				if i < 0 || ex.State != queue.Waiting {
					t.Fatalf("%s, waits for %v", ex.State, ex.Waits)
				}
				w := ex.Waits[i]
				t.Logf("%v until %v, next %v, %d ahead, all %v", w, w.Until.Sub(now), ex.Next.Sub(now), ex.Ahead, ex.Waits)
				if (w.Path != sender.Path{}) != c.path {
					t.Errorf("path %v", w.Path)
				}
				about := func(what string, at time.Time, want time.Duration) {
					if want < 0 {
						return
					}
					if want == 0 && at.IsZero() {
						return
					}
					if off := at.Sub(now) - want; off.Abs() > 2*time.Second {
						t.Errorf("%s: %v, want %v", what, at.Sub(now), want)
					}
				}
				about("until", w.Until, c.until)
				about("next", ex.Next, c.next)
				s.broken.Store(false)
				n := slices.Index(s.st.order(), "a@example.com") // a retry was tried already
				for k := 0; ; k++ {
					time.Sleep(time.Second)
					order := s.st.order()
					if n < 0 && slices.Contains(order, "a@example.com") || n >= 0 && len(order) > 1 {
						break
					}
					if k > 3*3600 {
						t.Fatal("was never tried")
					}
				}
				if took := time.Since(now); !ex.Next.IsZero() && (time.Since(ex.Next)).Abs() > max(3*time.Second, took/20) {
					t.Errorf("tried after %v, Next was %v", took, ex.Next.Sub(now))
				}
			})
		})
	}
}

func TestExplainBeforeStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		s, err := sender.New(st.config("out"))
		if err != nil {
			t.Fatal(err)
		}
		r := st.enqueue(s, "", "a@example.com")
		if ex := st.explain(s, r.MessageID); len(ex.Waits) != 1 || ex.Waits[0].Reason != sender.WaitStopped || !ex.Next.IsZero() {
			t.Errorf("%+v", ex)
		}
		if r.Forecast.Basis != sender.BasisUnknown || r.Forecast.Waits[0].Reason != sender.WaitStopped {
			t.Errorf("%+v", r.Forecast)
		}
		if err := s.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
}

// TestExplainTellsThePlace: of a delivery in a long lane, also one that only the queue has.
func TestExplainTellsThePlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("example.com", sendertest.ServerConfig{})
		cfg := w.config()
		cfg.Limits = map[string]throttle.Limits{"example.com": {Connections: 5, MessageRate: throttle.Rate{N: 1, Per: time.Second}}}
		s := w.start(cfg)
		var ids []string
		for i := range 1000 {
			r, err := s.Enqueue(context.Background(), note(users(1000, "example.com")[i]))
			w.must(err)
			ids = append(ids, r.Deliveries[0].ID)
			time.Sleep(100 * time.Millisecond)
		}
		for _, i := range []int{110, 300, 600, 999} {
			ex, err := s.Explain(context.Background(), ids[i])
			w.must(err)
			now := time.Now()
			due := time.Duration(i+1)*time.Second - 100*time.Second
			if off := ex[0].Next.Sub(now) - due; off.Abs() > due/5+10*time.Second {
				t.Errorf("%d: tried in %v, want about %v; %d ahead, %v", i, ex[0].Next.Sub(now), due, ex[0].Ahead, ex[0].Waits)
			}
			if ex[0].Waits[0].Reason != sender.WaitRate {
				t.Errorf("%v", ex[0].Waits)
			}
		}
	})
}

// TestExplainOfMovedMail: mail that was moved to another pool shares the path with its own stream, and its Next is as true as before.
func TestExplainOfMovedMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		st.provider = "all"
		cfg := st.config("a", "b")
		cfg.Throttle = nil
		cfg.Limits = map[string]throttle.Limits{"all": {Connections: 5, MessageRate: throttle.Rate{N: 1, Per: time.Second}}}
		cfg.Pools = []sender.Pool{{Name: "main", Routes: []string{"a"}}, {Name: "other", Routes: []string{"b"}}}
		cfg.Streams = []sender.Stream{{Name: "news", Pool: "main"}}
		s := st.start(cfg)
		if err := s.Suspend(bg, sender.Hold{Target: sender.Target{Route: "a"}, Act: ada}); err != nil {
			t.Fatal(err)
		}
		const n, domains = 800, 40
		var last sender.Receipt
		for i := range n {
			last = st.enqueue(s, "", fmt.Sprintf("u%d@d%d.example", i, i%domains))
		}
		time.Sleep(time.Second)
		if r, err := s.Move(bg, sender.Filter{All: true}, sender.MoveTo{Pool: "other", Now: true}, ada); err != nil || r.Done != n {
			t.Fatal(r, err)
		}
		time.Sleep(20 * time.Second)
		ex, now := st.explain(s, last.MessageID), time.Now()
		for to := fmt.Sprintf("u%d@d%d.example", n-1, (n-1)%domains); st.sentTo(to) == 0; {
			time.Sleep(time.Second)
			if time.Since(now) > time.Hour {
				t.Fatal("not sent")
			}
		}
		if told, took := ex.Next.Sub(now), time.Since(now); (told - took).Abs() > took/10 {
			t.Errorf("Next in %v, was tried after %v; %d ahead", told, took, ex.Ahead)
		}
	})
}
