package sender_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/transport"
)

// TestStopEndsWhenAPartHangs: Stop comes back soon after its context has ended, whatever does not.
func TestStopEndsWhenAPartHangs(t *testing.T) {
	for name, hang := range map[string]func(cfg *sender.Config, free chan struct{}){
		"settle": func(cfg *sender.Config, free chan struct{}) {
			cfg.Queue = &hookedQueue{Queue: cfg.Queue, settle: func(ctx context.Context, _ []queue.Settlement) ([]string, error) {
				select {
				case <-ctx.Done():
					return nil, ctx.Err()
				case <-free:
					return nil, nil
				}
			}}
		},
		"settle that fails": func(cfg *sender.Config, free chan struct{}) {
			cfg.Queue = &hookedQueue{Queue: cfg.Queue, settle: func(context.Context, []queue.Settlement) ([]string, error) { return nil, errDisk }}
		},
		"observer": func(cfg *sender.Config, free chan struct{}) {
			cfg.Observer = sender.ObserverFunc(func(sender.Event) { <-free })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t)
				free := make(chan struct{})
				cfg := st.config("a")
				cfg.Queue = memory(t)
				hang(&cfg, free)
				s, err := sender.New(cfg)
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Start(context.Background()); err != nil {
					t.Fatal(err)
				}
				st.enqueue(s, "", "one@x.example")
				time.Sleep(time.Second)
				time.AfterFunc(time.Hour, func() { close(free) })
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
				defer cancel()
				began := time.Now()
				if err := s.Stop(ctx); err == nil {
					t.Error("Stop tells of no trouble")
				}
				if took := time.Since(began); took > time.Minute {
					t.Errorf("Stop with 5 s of patience took %v", took)
				}
				time.Sleep(2 * time.Hour) // all that hung comes back
			})
		})
	}
}

// contextGate is a gate whose Suppress takes a while.
type contextGate struct {
	mu   sync.Mutex
	told int
	errs []error
}

func (g *contextGate) Admit(context.Context, sender.Recipient) (string, error) { return "", nil }

func (g *contextGate) Suppress(ctx context.Context, _ sender.Recipient, _ bounce.Verdict) error {
	time.Sleep(2 * time.Second)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.told++
	g.errs = append(g.errs, ctx.Err())
	return ctx.Err()
}

// TestDeadAddressesAreSuppressedAtStop: what a receiver said just before the stop reaches the gate.
func TestDeadAddressesAreSuppressedAtStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		st.transact = func(_ context.Context, _ *conversation, e *transport.Envelope) ([]transport.Result, error) {
			time.Sleep(10 * time.Second)
			return all(e, said(bounce.StageRcpt, 550, "5.1.1 no such user")), nil
		}
		gate := &contextGate{}
		cfg := st.config("a")
		cfg.Gate = gate
		s := st.start(cfg)
		st.enqueue(s, "", users(5, "x.example")...)
		time.Sleep(5 * time.Second)
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if gate.told != 5 || errors.Join(gate.errs...) != nil {
			t.Errorf("%d of 5 told, with %v", gate.told, errors.Join(gate.errs...))
		}
	})
}

// TestASlowListOfLanesStopsNoClock: looking into the queue may take its time, the paths' alarms ring nevertheless.
func TestASlowListOfLanesStopsNoClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		st.acquire = closed(map[string]time.Time{"a": time.Now().Add(time.Minute)})
		var n atomic.Int32
		cfg := st.config("a")
		cfg.Queue = &hookedQueue{Queue: memory(t), lanes: func() {
			if n.Add(1) == 2 {
				time.Sleep(time.Hour)
			}
		}}
		s := st.start(cfg)
		st.enqueue(s, "", "one@x.example")
		time.Sleep(5 * time.Minute)
		if st.sentTo("one@x.example") != 1 {
			t.Error("the path has been open for four minutes")
		}
	})
}

// TestAcceptedIsToldFirst: also when another goroutine finds the mail in the queue, and sends it, before Put has returned.
func TestAcceptedIsToldFirst(t *testing.T) {
	for name, recipients := range map[string]int{"leased with Put": 3, "claimed": 70} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t)
				cfg := st.config("a")
				cfg.Queue = &hookedQueue{Queue: memory(t), afterPut: func() { time.Sleep(700 * time.Millisecond) }}
				s := st.start(cfg)
				const calls = 60
				var wg sync.WaitGroup
				for i := range calls {
					wg.Go(func() {
						time.Sleep(time.Duration(i) * 500 * time.Millisecond) // some are under way when the dispatcher looks
						if _, err := s.Enqueue(context.Background(), note(users(recipients, "x.example")...)); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				time.Sleep(time.Minute)
				first := map[string]sender.EventType{}
				delivered := 0
				for _, e := range st.of(sender.EventAccepted, sender.EventDelivered) {
					if first[e.DeliveryID] == "" {
						first[e.DeliveryID] = e.Type
					}
					if e.Type == sender.EventDelivered {
						delivered++
					}
				}
				late := 0
				for _, typ := range first {
					if typ != sender.EventAccepted {
						late++
					}
				}
				if late > 0 || delivered != calls*recipients || len(first) != delivered {
					t.Errorf("%d of %d deliveries; %d were told as delivered before they were accepted", delivered, calls*recipients, late)
				}
			})
		})
	}
}
