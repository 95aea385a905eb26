package sender_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/route"
	"github.com/reputemail/repute/sender/transport"
	"github.com/reputemail/repute/throttle"
	"github.com/reputemail/repute/warmup"
)

// stage is a Sender's surroundings played by doubles, each of which remembers what it was asked: where a test wants one
// thing to be exactly so, they are simpler and faster than a world. A nil function stands for all being well. Functions
// are set before the Sender starts, or with set.
type stage struct {
	t testing.TB

	mu sync.Mutex
	// resolve says where a domain's mail goes. nil: to the host mx.DOMAIN.
	resolve func(ctx context.Context, domain string) (route.Destination, error)
	// dial says what a connection meets.
	dial func(t transport.Target) error
	// transact says what a transaction meets. It is called without the lock.
	transact func(ctx context.Context, c *conversation, e *transport.Envelope) ([]transport.Result, error)
	// acquire says what the throttle decides. It is called with the lock.
	acquire func(now time.Time, p throttle.Path, t throttle.Token) throttle.Decision
	// limits are those of every path.
	limits throttle.Limits
	// reserve says what the pacer decides. It is called with the lock.
	reserve func(now time.Time, p warmup.Path, n int) warmup.Reservation
	// provider is that of all domains. Empty: each domain is its own.
	provider string

	began   []string       // recipients of all transactions that began, in order
	sent    map[string]int // how often each recipient's message was taken
	over    map[string]int // messages taken, by EHLO name
	targets []transport.Target
	open    int // sessions
	most    int // of them at a time

	held     map[throttle.Path]int // connections, as the throttle counts them
	messages int                   // message tokens taken and not given back
	signals  []throttle.SignalKind

	reserved, committed, cancelled int // allowance, in messages
	outcomes                       []warmup.Outcome

	events []sender.Event
}

func newStage(t testing.TB) *stage {
	return &stage{t: t, sent: map[string]int{}, over: map[string]int{}, held: map[throttle.Path]int{}}
}

// set changes how a double behaves while the Sender runs.
func (st *stage) set(change func()) {
	st.mu.Lock()
	defer st.mu.Unlock()
	change()
}

// get reads what a double remembers.
func get[T any](st *stage, read func() T) T {
	st.mu.Lock()
	defer st.mu.Unlock()
	return read()
}

// config is a Config with direct routes of the given names and every double but the pacer.
func (st *stage) config(routes ...string) sender.Config {
	cfg := sender.Config{
		Resolver: stageResolver{st}, Transport: stageTransport{st}, Throttle: stageThrottle{st}, Providers: stageProviders{st},
		Classifier: classifier(), PlainAddresses: true,
		Observer: sender.ObserverFunc(func(e sender.Event) {
			st.mu.Lock()
			defer st.mu.Unlock()
			st.events = append(st.events, e)
		}),
	}
	for _, name := range routes {
		cfg.Routes = append(cfg.Routes, sender.Route{Name: name, Hostname: name + ".example.org"})
	}
	return cfg
}

// start makes and starts a Sender that stops with the test.
func (st *stage) start(cfg sender.Config) *sender.Sender {
	st.t.Helper()
	s, err := sender.New(cfg)
	if err != nil {
		st.t.Fatal(err)
	}
	if err := s.Start(context.Background()); err != nil {
		st.t.Fatal(err)
	}
	st.t.Cleanup(func() { s.Stop(context.Background()) })
	return s
}

// enqueue enqueues one message for each recipient in a stream; empty: the first one. It returns the last receipt.
func (st *stage) enqueue(s *sender.Sender, stream string, to ...string) (r sender.Receipt) {
	st.t.Helper()
	for _, one := range to {
		m := note(one)
		m.Stream = stream
		var err error
		if r, err = s.Enqueue(context.Background(), m); err != nil {
			st.t.Fatal(err)
		}
	}
	return r
}

// explain explains the only delivery of a message.
func (st *stage) explain(s *sender.Sender, id string) sender.Explanation {
	st.t.Helper()
	ex, err := s.Explain(context.Background(), id)
	if err != nil || len(ex) != 1 {
		st.t.Fatalf("explained as %+v, %v", ex, err)
	}
	return ex[0]
}

// waitsFor reports whether a delivery waits for a reason.
func waitsFor(ex sender.Explanation, why sender.WaitReason) bool {
	return slices.ContainsFunc(ex.Waits, func(w sender.Wait) bool { return w.Reason == why })
}

// of returns the events of the given types so far.
func (st *stage) of(types ...sender.EventType) (out []sender.Event) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, e := range st.events {
		if slices.Contains(types, e.Type) {
			out = append(out, e)
		}
	}
	return out
}

// sentTo is how often a recipient's message was taken.
func (st *stage) sentTo(to string) int { return get(st, func() int { return st.sent[to] }) }

// order is the recipients of all transactions that began.
func (st *stage) order() []string { return get(st, func() []string { return slices.Clone(st.began) }) }

// conversation is a session of a stage.
type conversation struct {
	st     *stage
	target transport.Target
	sent   int // transactions that began
}

type stageTransport struct{ st *stage }

func (d stageTransport) Dial(ctx context.Context, t transport.Target) (sender.Session, error) {
	st := d.st
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	st.targets = append(st.targets, t)
	if st.dial != nil {
		if err := st.dial(t); err != nil {
			return nil, err
		}
	}
	st.open++
	st.most = max(st.most, st.open)
	return &conversation{st: st, target: t}, nil
}

func (c *conversation) Send(ctx context.Context, e *transport.Envelope) ([]transport.Result, error) {
	st := c.st
	st.mu.Lock()
	c.sent++
	st.began = append(st.began, e.To...)
	transact := st.transact
	st.mu.Unlock()
	results := make([]transport.Result, len(e.To))
	for i := range results {
		results[i] = transport.Result{Accepted: true, Reply: said(bounce.StageDot, 250, "ok")}
	}
	var err error
	if transact != nil {
		results, err = transact(ctx, c, e)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	for i, r := range results {
		if r.Accepted {
			st.sent[e.To[i]]++
			st.over[c.target.Hostname]++
		}
	}
	return results, err
}

func (c *conversation) Close() error {
	c.st.mu.Lock()
	defer c.st.mu.Unlock()
	c.st.open--
	return nil
}

// said is a receiver's reply. The text may begin with an enhanced status code.
func said(stage bounce.Stage, code int, text string) bounce.Reply {
	r := bounce.Reply{Code: code, Stage: stage, Host: "mx.example.com", Lines: []string{text}}
	if n, _ := fmt.Sscanf(text, "%d.%d.%d ", &r.Status.Class, &r.Status.Subject, &r.Status.Detail); n == 3 {
		_, r.Lines[0], _ = strings.Cut(text, " ")
	} else {
		r.Status = bounce.Status{}
	}
	return r
}

// all gives every recipient of a transaction the same reply.
func all(e *transport.Envelope, r bounce.Reply) []transport.Result {
	results := make([]transport.Result, len(e.To))
	for i := range results {
		results[i] = transport.Result{Accepted: r.OK(), Reply: r}
	}
	return results
}

// answers makes every transaction end with a reply.
func answers(r bounce.Reply) func(context.Context, *conversation, *transport.Envelope) ([]transport.Result, error) {
	return func(_ context.Context, _ *conversation, e *transport.Envelope) ([]transport.Result, error) {
		return all(e, r), nil
	}
}

// takes makes every transaction succeed after a time.
func takes(d time.Duration) func(context.Context, *conversation, *transport.Envelope) ([]transport.Result, error) {
	return func(ctx context.Context, _ *conversation, e *transport.Envelope) ([]transport.Result, error) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(d):
			return all(e, said(bounce.StageDot, 250, "ok")), nil
		}
	}
}

// unreachable is the failure to connect to a host at which nobody listens.
func unreachable(t transport.Target) error {
	return &transport.Error{Reply: bounce.Reply{
		Status: bounce.Status{Class: 4, Subject: 4, Detail: 1}, Stage: bounce.StageConnect, Host: t.Host, Local: true,
		Lines: []string{"connection refused"},
	}}
}

// greeted is a host that greets with a refusal.
func greeted(code int, text string) error {
	return &transport.Error{Reply: said(bounce.StageConnect, code, text)}
}

// via reports whether a target is dialled over a route.
func via(t transport.Target, route string) bool { return t.Hostname == route+".example.org" }

type stageResolver struct{ st *stage }

func (d stageResolver) Resolve(ctx context.Context, domain string) (route.Destination, error) {
	if resolve := get(d.st, func() func(context.Context, string) (route.Destination, error) { return d.st.resolve }); resolve != nil {
		return resolve(ctx, domain)
	}
	return found(domain), nil
}

func (stageResolver) Addrs(context.Context, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("203.0.113.10")}, nil
}

// found is the destination of a domain with one mail exchanger.
func found(domain string) route.Destination {
	return route.Destination{
		Domain: domain, MX: []string{"mx." + domain}, Expires: time.Now().Add(1000 * time.Hour),
		Hosts: []route.Host{{Name: "mx." + domain, Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}},
	}
}

type stageProviders struct{ st *stage }

func (d stageProviders) Provider(domain string, _ []string) string {
	if d.st.provider != "" {
		return d.st.provider
	}
	return domain
}

type stageThrottle struct{ st *stage }

func (d stageThrottle) AcquireAt(now time.Time, p throttle.Path, t throttle.Token) throttle.Decision {
	st := d.st
	st.mu.Lock()
	defer st.mu.Unlock()
	dec := throttle.Decision{OK: true}
	if st.acquire != nil {
		dec = st.acquire(now, p, t)
	}
	if n := st.limits.Connections; dec.OK && t == throttle.TokenConnection && n > 0 && st.held[p] >= n {
		dec = throttle.Decision{Reason: throttle.ReasonConnections}
	}
	dec.Limits = st.limits
	switch {
	case !dec.OK:
	case t == throttle.TokenConnection:
		st.held[p]++
	case t == throttle.TokenMessage:
		st.messages++
	}
	return dec
}

func (d stageThrottle) ReleaseAt(_ time.Time, p throttle.Path, t throttle.Token) {
	d.st.mu.Lock()
	defer d.st.mu.Unlock()
	if t == throttle.TokenMessage {
		d.st.messages--
		return
	}
	d.st.held[p]--
}

func (d stageThrottle) ObserveAt(_ time.Time, _ throttle.Path, s throttle.Signal) {
	d.st.mu.Lock()
	defer d.st.mu.Unlock()
	d.st.signals = append(d.st.signals, s.Kind)
}

// closed is the acquire of paths that rest, by route.
func closed(until map[string]time.Time) func(time.Time, throttle.Path, throttle.Token) throttle.Decision {
	return func(now time.Time, p throttle.Path, _ throttle.Token) throttle.Decision {
		if at := until[p.Route]; at.After(now) {
			return throttle.Decision{Reason: throttle.ReasonBackoff, Until: at}
		}
		return throttle.Decision{OK: true}
	}
}

// stagePacer is for routes with a warm-up plan.
type stagePacer struct{ st *stage }

func (d stagePacer) ReserveAt(now time.Time, p warmup.Path, n int) warmup.Reservation {
	st := d.st
	st.mu.Lock()
	defer st.mu.Unlock()
	r := warmup.Reservation{OK: true}
	if st.reserve != nil {
		r = st.reserve(now, p, n)
	}
	r.Path, r.N = p, n
	if r.OK {
		st.reserved += n
	}
	return r
}

func (d stagePacer) CommitAt(_ time.Time, r warmup.Reservation) {
	d.st.set(func() { d.st.committed += r.N })
}

func (d stagePacer) CancelAt(_ time.Time, r warmup.Reservation) {
	d.st.set(func() { d.st.cancelled += r.N })
}

func (d stagePacer) ObserveAt(_ time.Time, _ warmup.Path, o warmup.Outcome, n int) {
	d.st.set(func() {
		for range n {
			d.st.outcomes = append(d.st.outcomes, o)
		}
	})
}

// memory is a queue in memory.
func memory(t testing.TB) *queue.Memory {
	q, err := queue.NewMemory(queue.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// leased counts the deliveries that a queue has out.
func leased(t testing.TB, q interface {
	Lanes(ctx context.Context) ([]queue.LaneStatus, error)
}) (n int) {
	lanes, err := q.Lanes(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lanes {
		n += l.InFlight
	}
	return n
}

// hookedQueue is a queue whose calls meet something first. A nil hook changes nothing.
type hookedQueue struct {
	sender.Queue
	mu sync.Mutex
	// settle comes before Settle; an error ends it. afterPut and afterClaim come after the call took effect.
	settle               func(ctx context.Context, batch []queue.Settlement) (lost []string, err error)
	afterPut, afterClaim func()
	lanes                func()
	settled              int
}

func (q *hookedQueue) Put(ctx context.Context, p queue.Put) ([]int64, error) {
	leases, err := q.Queue.Put(ctx, p)
	if q.afterPut != nil {
		q.afterPut()
	}
	return leases, err
}

func (q *hookedQueue) Claim(ctx context.Context, c queue.Claim) (queue.Claimed, error) {
	got, err := q.Queue.Claim(ctx, c)
	if q.afterClaim != nil && !c.Expired {
		q.afterClaim()
	}
	return got, err
}

func (q *hookedQueue) Settle(ctx context.Context, batch []queue.Settlement) ([]string, error) {
	q.mu.Lock()
	q.settled += len(batch)
	settle := q.settle
	q.mu.Unlock()
	if settle != nil {
		if lost, err := settle(ctx, batch); err != nil || lost != nil {
			return lost, err
		}
	}
	return q.Queue.Settle(ctx, batch)
}

func (q *hookedQueue) Lanes(ctx context.Context) ([]queue.LaneStatus, error) {
	if q.lanes != nil {
		q.lanes()
	}
	return q.Queue.Lanes(ctx)
}

// breakSettle makes Settle fail, or heals it.
func (q *hookedQueue) breakSettle(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.settle = nil
	if err != nil {
		q.settle = func(context.Context, []queue.Settlement) ([]string, error) { return nil, err }
	}
}
