package sender_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/throttle"
)

var errDisk = errors.New("no space left on device")

// faultyQueue fails some of its calls, and before or after they took effect where that is allowed.
type faultyQueue struct {
	sender.Queue
	mu   sync.Mutex
	rnd  *rand.Rand
	odds float64
	full bool
}

func (q *faultyQueue) fails() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.rnd.Float64() < q.odds
}

func (q *faultyQueue) heal() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.odds = 0
}

func (q *faultyQueue) Put(ctx context.Context, p queue.Put) ([]int64, error) {
	q.mu.Lock()
	full := q.full
	q.mu.Unlock()
	if full || q.fails() {
		return nil, errDisk
	}
	return q.Queue.Put(ctx, p)
}

func (q *faultyQueue) Claim(ctx context.Context, c queue.Claim) (queue.Claimed, error) {
	if q.fails() {
		return queue.Claimed{}, errDisk
	}
	return q.Queue.Claim(ctx, c)
}

func (q *faultyQueue) Settle(ctx context.Context, b []queue.Settlement) ([]string, error) {
	if q.fails() {
		return nil, errDisk
	}
	return q.Queue.Settle(ctx, b)
}

func (q *faultyQueue) Lanes(ctx context.Context) ([]queue.LaneStatus, error) {
	if q.fails() {
		return nil, errDisk
	}
	return q.Queue.Lanes(ctx)
}

func (q *faultyQueue) Message(ctx context.Context, id string) (*queue.Message, error) {
	if q.fails() {
		return nil, errDisk
	}
	return q.Queue.Message(ctx, id)
}

func newFaulty(t testing.TB, odds float64, seed uint64) *faultyQueue {
	q, err := queue.NewMemory(queue.MemoryConfig{KeepSettled: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	return &faultyQueue{Queue: q, odds: odds, rnd: rand.New(rand.NewPCG(seed, 1))}
}

func TestFullDiskIsAnErrorOfEnqueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{})
		q := newFaulty(t, 0, 1)
		cfg := w.config()
		cfg.Queue = q
		s := w.start(cfg)
		q.full = true
		if _, err := s.Enqueue(context.Background(), note("anna@example.com")); !errors.Is(err, errDisk) {
			t.Errorf("error is %v", err)
		}
		if _, err := s.Send(context.Background(), note("anna@example.com")); !errors.Is(err, errDisk) {
			t.Errorf("error is %v", err)
		}
		time.Sleep(time.Hour)
		if mx.Inbox().Len() != 0 || len(w.of(sender.EventAccepted)) != 0 {
			t.Error("what was not stored was sent")
		}
		q.full = false
		wantOutcome(t, w.send(s, note("anna@example.com")), queue.Delivered, "")
	})
}

// TestNothingIsLost runs random receivers, limits and queue faults, with restarts in between: every accepted delivery has
// exactly one final event, and what was delivered arrived.
func TestNothingIsLost(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(t *testing.T) { checkNothingLost(rt, t) })
	})
}

func checkNothingLost(rt *rapid.T, t *testing.T) {
	w := newWorld(t)
	servers := map[string]*sendertest.Server{}
	scripts := map[string]sendertest.Script{
		"good":     {},
		"grey":     sendertest.Greylist(5 * time.Minute),
		"limited":  sendertest.RateLimit(40, time.Hour),
		"closes":   sendertest.CloseAfter(3),
		"drops":    sendertest.Times(5, sendertest.DropAt(bounce.StageData)),
		"unknown":  sendertest.UnknownUsers(func(a string) bool { return strings.HasPrefix(a, "u1") }),
		"blocks":   sendertest.RejectAt(bounce.StageMail, "554 5.7.1 blocked using zen.spamhaus.org"),
		"crowded":  sendertest.MaxConnections(2),
		"tarpit":   sendertest.Tarpit(3 * time.Second),
		"deferred": sendertest.RejectAt(bounce.StageRcpt, "451 4.3.0 Temporary lookup failure"),
	}
	names := []string{"good", "grey", "limited", "closes", "drops", "unknown", "blocks", "crowded", "tarpit", "deferred"}
	domains := make([]string, 0, 4)
	for i := range rapid.IntRange(1, 4).Draw(rt, "domains") {
		kind := rapid.SampledFrom(names).Draw(rt, "kind")
		domain := fmt.Sprintf("%s%d.example", kind, i)
		servers[domain] = w.mx(domain, sendertest.ServerConfig{Script: scripts[kind]})
		domains = append(domains, domain)
	}
	domains = append(domains, "nowhere.example")
	q := newFaulty(t, rapid.SampledFrom([]float64{0, 0.05, 0.3}).Draw(rt, "odds"), rapid.Uint64().Draw(rt, "seed"))
	cfg := w.coldAndWarm(tiny(), rapid.Bool().Draw(rt, "overflow"))
	cfg.Queue = q
	cfg.MaxConnections = rapid.SampledFrom([]int{1, 3, 100}).Draw(rt, "connections")
	cfg.Limits = map[string]throttle.Limits{}
	for d := range servers {
		cfg.Limits[d] = throttle.Limits{Connections: rapid.IntRange(1, 3).Draw(rt, "limit"), MessagesPerConnection: rapid.IntRange(1, 5).Draw(rt, "messages")}
	}
	cfg.Streams = []sender.Stream{{Name: "a", Weight: 8, ExpireAfter: 7 * time.Hour}, {Name: "b", Weight: 1, ExpireAfter: 7 * time.Hour}}
	s, err := sender.New(cfg)
	w.must(err)
	w.must(s.Start(context.Background()))
	accepted := map[string]string{}
	n := 0
	for range rapid.IntRange(1, 4).Draw(rt, "rounds") {
		for range rapid.IntRange(1, 40).Draw(rt, "burst") {
			to := make([]string, rapid.IntRange(1, 3).Draw(rt, "recipients"))
			for i := range to {
				n++
				to[i] = fmt.Sprintf("u%d@%s", n, rapid.SampledFrom(domains).Draw(rt, "domain"))
			}
			m := note(to...)
			m.Stream = rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "stream")
			m.Priority = rapid.IntRange(-2, 2).Draw(rt, "priority")
			r, err := s.Enqueue(context.Background(), m)
			if err != nil && !errors.Is(err, errDisk) {
				rt.Fatal(err)
			}
			for _, d := range r.Deliveries {
				accepted[d.ID] = d.Recipient
			}
		}
		time.Sleep(time.Duration(rapid.IntRange(0, 600).Draw(rt, "pause")) * time.Second)
		if rapid.Bool().Draw(rt, "restart") {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rapid.IntRange(0, 60).Draw(rt, "patience"))*time.Second)
			s.Stop(ctx)
			cancel()
			s, err = sender.New(cfg)
			w.must(err)
			w.must(s.Start(context.Background()))
		}
	}
	time.Sleep(8 * time.Hour)
	q.heal()
	time.Sleep(time.Hour)
	w.must(s.Stop(context.Background()))
	final := map[string]sender.EventType{}
	for _, e := range w.of(sender.EventDelivered, sender.EventBounced, sender.EventExpired, sender.EventSuppressed) {
		if before, twice := final[e.DeliveryID]; twice {
			rt.Fatalf("%s was settled twice: %s, %s", e.DeliveryID, before, e.Type)
		}
		final[e.DeliveryID] = e.Type
	}
	arrived := map[string]bool{}
	for _, srv := range servers {
		for _, m := range srv.Inbox().Messages() {
			for _, to := range m.To {
				arrived[to] = true
			}
		}
	}
	for id, to := range accepted {
		f, ok := final[id]
		if !ok {
			ex, _ := s.Explain(context.Background(), id)
			rt.Fatalf("%s to %s has no end: %+v", id, to, ex)
		}
		if f == sender.EventDelivered && !arrived[to] {
			rt.Fatalf("%s was called delivered and never arrived", to)
		}
	}
	if len(final) != len(accepted) {
		rt.Fatalf("%d accepted, %d ended", len(accepted), len(final))
	}
	synctest.Wait() // the other sides see it
	if n := w.net.OpenConns(); n != 0 {
		rt.Fatalf("%d connections are open", n)
	}
	for _, e := range w.of(sender.EventBounced) {
		if e.Verdict.Suppress && e.Verdict.Category != bounce.BadMailbox && e.Verdict.Category != bounce.BadDomain {
			rt.Fatalf("suppressed for %s", e.Verdict.Category)
		}
	}
}

// TestTransactionalOvertakesACampaign: with one connection, a message of a heavy stream waits for few others.
func TestTransactionalOvertakesACampaign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Tarpit(100 * time.Millisecond)})
		cfg := w.config()
		cfg.Limits = map[string]throttle.Limits{"example.com": {Connections: 1}}
		cfg.Streams = []sender.Stream{{Name: "transactional", Weight: 8}, {Name: "marketing", Weight: 1}}
		s := w.start(cfg)
		for _, to := range users(2000, "example.com") {
			m := note(to)
			m.Stream = "marketing"
			if _, err := s.Enqueue(context.Background(), m); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Second)
		for i := range 20 {
			m := note(fmt.Sprintf("order%d@example.com", i))
			m.Stream = "transactional"
			began := time.Now()
			if out := w.send(s, m); out.State != queue.Delivered {
				t.Fatalf("%s", out.State)
			}
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("took %v behind a campaign of 2000", took)
			}
			time.Sleep(5 * time.Second)
		}
	})
}

// countingQueue counts what is asked of a queue.
type countingQueue struct {
	sender.Queue
	mu             sync.Mutex
	claims, settle int
}

func (q *countingQueue) Claim(ctx context.Context, c queue.Claim) (queue.Claimed, error) {
	q.mu.Lock()
	if !c.Expired {
		q.claims++
	}
	q.mu.Unlock()
	return q.Queue.Claim(ctx, c)
}

func (q *countingQueue) Settle(ctx context.Context, b []queue.Settlement) ([]string, error) {
	q.mu.Lock()
	q.settle += len(b)
	q.mu.Unlock()
	return q.Queue.Settle(ctx, b)
}

func (q *countingQueue) reset() (claims, settle int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	claims, settle = q.claims, q.settle
	q.claims, q.settle = 0, 0
	return claims, settle
}

// TestAClosedPathCostsNothing: while a provider's path rests, nobody touches the mail that waits for it, and mail to others
// goes on.
func TestAClosedPathCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		closed := w.mx("closed.example", sendertest.ServerConfig{Script: sendertest.Times(1, sendertest.RejectAt(bounce.StageMail, "421 4.7.28 unusual rate of mail, rate limited"))})
		open := w.mx("open.example", sendertest.ServerConfig{})
		const domains, each = 300, 30
		for i := range domains {
			w.must(w.dns.AddMX(fmt.Sprintf("d%d.example", i), 10, "mx.closed.example"))
		}
		memory, err := queue.NewMemory(queue.MemoryConfig{})
		w.must(err)
		q := &countingQueue{Queue: memory}
		cfg := w.config()
		cfg.Queue = q
		cfg.Backoff.RateLimited = time.Hour
		s := w.start(cfg)
		for i := range domains * each {
			w.enqueue(s, fmt.Sprintf("u%d@d%d.example", i, i%domains))
		}
		time.Sleep(20 * time.Minute)
		q.reset()
		time.Sleep(30 * time.Minute)
		if claims, settled := q.reset(); claims != 0 || settled != 0 {
			t.Errorf("%d claims and %d settlements while the path was closed", claims, settled)
		}
		for i := range 100 {
			wantOutcome(t, w.send(s, note(fmt.Sprintf("u%d@open.example", i))), queue.Delivered, "")
		}
		time.Sleep(24 * time.Hour)
		if n := closed.Inbox().Len(); n != domains*each || open.Inbox().Len() != 100 {
			t.Errorf("%d of %d arrived when it opened", n, domains*each)
		}
	})
}
