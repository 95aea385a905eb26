package sender

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/suppress"
	"github.com/reputemail/repute/internal/keyed"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/route"
	"github.com/reputemail/repute/sender/transport"
	"github.com/reputemail/repute/throttle"
	"github.com/reputemail/repute/warmup"
)

// Errors of a Sender's life.
var (
	// ErrStarted: Start was called before.
	ErrStarted = errors.New("sender: already started")
	// ErrStopped: Stop was called.
	ErrStopped = errors.New("sender: stopped")
	// ErrNotStarted: Send needs a Sender that is running.
	ErrNotStarted = errors.New("sender: not started")
)

// Sender accepts mail and brings it to its receivers. All methods are safe for concurrent use. Two Senders can run in one
// process; two on one queue only if the queue says so.
type Sender struct {
	cfg           Config
	log           *slog.Logger
	routes        map[string]*routeInfo
	pools         map[string]*poolInfo
	streams       []*stream
	pacer         Pacer
	pacerObserver PacerObserver
	preparer      PacerPreparer
	domains       DomainThrottle
	keeper        ThrottleKeeper
	forecaster    PacerForecaster
	rooms         PacerRoom          // nil: the Pacer tells nothing of what is left
	states        ThrottleForecaster // nil: the Throttle tells nothing
	census        census
	ledger        *warmup.Ledger   // ours to close, or nil
	migrator      *warmup.Migrator // nil without migrations
	ownList       *suppress.List   // the list, unless the host has brought one
	redact        redactor
	hostname      string // for Message-ID

	dispatch *dispatcher
	holds    *holds
	settler  *settler
	events   *emitter
	stats    *stats
	waiters  *waiters
	signed   *keyed.Map[string, *signature]
	late     *keyed.Map[string, struct{}]  // what reports have told, by kind and delivery
	compared *keyed.Map[string, compared]  // by migration and recipient
	checked  *keyed.Map[string, admission] // by delivery: what the list said a moment ago

	arriving arrivals
	calls    sync.WaitGroup // of Enqueue

	mu      sync.Mutex
	state   lifeState
	live    context.Context    // of all but attempts: Stop lets those end, and need not wait for the rest
	wane    context.CancelFunc // ends live
	abort   context.CancelFunc // ends attempts, and live
	stopped chan struct{}      // closed when Stop is done
}

type lifeState int

const (
	created lifeState = iota
	started
	stopping
)

// maxLate is how many late results are remembered, so that each counts once.
const maxLate = 100_000

// maxChecked is of how many deliveries the answer of the list of suppressed addresses is kept for a moment.
const maxChecked = 4096

// New checks the configuration and returns a Sender that accepts mail; Start makes it send. An error is a *ConfigError,
// or that of a part that New makes itself.
func New(cfg Config) (*Sender, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Sender{
		cfg: cfg, log: cfg.Logger, redact: newRedactor(cfg.HashKey, cfg.PlainAddresses),
		routes: map[string]*routeInfo{}, stats: newStats(), waiters: newWaiters(), events: newEmitter(cfg.Observer),
		signed:   keyed.New(keyed.Config[string, *signature]{Max: maxSignatures, Idle: time.Hour}),
		late:     keyed.New(keyed.Config[string, struct{}]{Max: maxLate}),
		checked:  keyed.New(keyed.Config[string, admission]{Max: maxChecked, Idle: checkedFor}),
		compared: keyed.New(keyed.Config[string, compared]{Max: maxCompared, Idle: comparedFor}),
		stopped:  make(chan struct{}),
	}
	for _, r := range cfg.Routes {
		s.routes[r.Name] = newRouteInfo(r)
		if err := s.routes[r.Name].through(s); err != nil {
			return nil, err
		}
	}
	s.hostname = cfg.Routes[0].Hostname
	pools := map[string]*poolInfo{}
	s.pools = pools
	for _, p := range cfg.Pools {
		info := &poolInfo{}
		for _, name := range p.Routes {
			info.routes = append(info.routes, s.routes[name])
		}
		for _, name := range p.Overflow {
			info.overflow = append(info.overflow, s.routes[name])
		}
		if len(p.Weights) > 0 {
			info.weights = map[*routeInfo]int{}
			for _, r := range info.routes {
				info.weights[r] = max(1, p.Weights[r.Name])
			}
		}
		pools[p.Name] = info
	}
	for i, st := range cfg.Streams {
		info := &stream{Stream: st, index: i, pool: pools[st.Pool]}
		if _, planned := cfg.WarmupDomains[st.SigningDomain]; planned {
			info.domain = warmup.SigningDomain(st.SigningDomain, "").Route
		}
		s.streams = append(s.streams, info)
	}
	if err := s.prepareMigrations(pools); err != nil {
		return nil, err
	}
	for _, st := range s.streams {
		st.all = st.pool.all()
		for _, m := range st.migrations {
			st.all = append(st.all, m.to.all()...)
		}
		st.direct = slices.ContainsFunc(st.all, func(r *routeInfo) bool { return r.Relay == nil })
	}
	if err := s.compose(); err != nil {
		return nil, err
	}
	s.dispatch, s.settler, s.holds, s.census = newDispatcher(s), newSettler(s), newHolds(s), newCensus()
	return s, nil
}

// compose makes the organs that the host did not bring.
func (s *Sender) compose() (err error) {
	c := &s.cfg
	if c.Queue == nil {
		q, err := queue.NewMemory(queue.MemoryConfig{})
		if err != nil {
			return err
		}
		c.Queue = q
	}
	if c.Classifier == nil {
		b, err := bounce.NewClassifier(bounce.Config{})
		if err != nil {
			return err
		}
		c.Classifier = b
	}
	if c.Suppressions == nil {
		if s.ownList, err = newSuppressions(c.Queue); err != nil {
			return err
		}
		c.Suppressions = s.ownList
	}
	var table *throttle.Table
	if c.Providers == nil || c.Throttle == nil {
		if t, ok := c.Providers.(*throttle.Table); ok {
			table = t
		} else if table, err = throttle.NewTable(throttle.TableConfig{}); err != nil {
			return err
		}
	}
	if c.Providers == nil {
		c.Providers = table
	}
	if c.Throttle == nil {
		l, err := throttle.New(s.throttleConfig(table))
		if err != nil {
			return badConfig("Limits, Backoff, ProviderCaps, MaxMessageRate, ThrottleOwner, ThrottleTTL or Routes' Cap or Relay.Limits", "%v", err)
		}
		c.Throttle = l
	}
	if c.Resolver == nil && (s.needsDNS() || len(c.DNS) > 0) {
		r, err := route.New(route.Config{Servers: c.DNS, Dial: c.DialDNS, AllowLoopback: c.AllowLoopback, AllowPrivate: c.AllowPrivate})
		if err != nil {
			return badConfig("DNS", "%v", err)
		}
		c.Resolver = r
	}
	if c.Transport == nil {
		t, err := transport.New(transport.Config{Dial: c.Dial, TLSConfig: c.TLS, Logger: c.Logger})
		if err != nil {
			return badConfig("TLS", "%v", err)
		}
		c.Transport = SMTP(t)
	}
	s.pacer = c.Pacer
	s.pacerObserver, _ = c.Pacer.(PacerObserver)
	s.preparer, _ = c.Pacer.(PacerPreparer)
	s.forecaster, _ = c.Pacer.(PacerForecaster)
	s.rooms, _ = c.Pacer.(PacerRoom)
	s.states, _ = c.Throttle.(ThrottleForecaster)
	s.domains, _ = c.Throttle.(DomainThrottle)
	s.keeper, _ = c.Throttle.(ThrottleKeeper)
	return nil
}

// needsDNS reports whether any route or relay needs names resolved.
func (s *Sender) needsDNS() bool {
	for _, r := range s.routes {
		if r.Relay == nil || net.ParseIP(r.relayHost) == nil {
			return true
		}
	}
	return false
}

// SMTP makes a Transport of a *transport.Transport.
func SMTP(t *transport.Transport) Transport { return smtpTransport{t} }

type smtpTransport struct{ t *transport.Transport }

// Dial returns an untyped nil Session with an error.
func (a smtpTransport) Dial(ctx context.Context, t transport.Target) (Session, error) {
	s, err := a.t.Dial(ctx, t)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Start opens the warm-up ledger and begins to send. ctx bounds only the start itself; Stop ends the sending.
func (s *Sender) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.state {
	case started:
		return ErrStarted
	case stopping:
		return ErrStopped
	}
	if _, err := s.holds.refresh(ctx); err != nil { // what is suspended must not be sent
		return fmt.Errorf("sender: operators' holds: %w", err)
	}
	if s.pacer == nil {
		plans := map[string]warmup.Plan{}
		for name, r := range s.routes {
			if r.warming {
				plans[name] = r.Warmup
			}
			if r.total != (warmup.Path{}) {
				plans[r.total.Route] = r.WarmupTotal
			}
		}
		for domain, plan := range s.cfg.WarmupDomains {
			plans[warmup.SigningDomain(domain, "").Route] = plan
		}
		store, owner := s.warmupStore()
		ledger, err := warmup.Open(ctx, warmup.Config{
			Store: store, Owner: owner, Plans: plans, Gate: s.cfg.WarmupGate, OnChange: s.tellWarmup, Logger: s.log,
		})
		if err != nil {
			return fmt.Errorf("sender: warm-up ledger: %w", err)
		}
		s.ledger, s.pacer, s.pacerObserver, s.preparer, s.forecaster = ledger, ledger, ledger, ledger, ledger
		s.rooms = ledger
		if c, ok := s.cfg.Queue.(Clock); ok && s.cfg.WarmupStore == nil {
			by := sharedLedger{ledger, c}
			s.pacer, s.pacerObserver, s.preparer, s.forecaster = by, by, by, by
			s.rooms = by
		}
	}
	if err := s.openMigrator(ctx); err != nil {
		return fmt.Errorf("sender: migrations: %w", err)
	}
	keeps := s.loadThrottle(ctx)
	run, abort := context.WithCancel(context.Background())
	live, wane := context.WithCancel(run)
	s.abort, s.live, s.wane = abort, live, wane
	s.dispatch.ctx = run
	s.state = started
	s.dispatch.wg.Add(2)
	go s.dispatch.run(live)
	go s.dispatch.keepHouse(live)
	s.dispatch.wg.Go(func() { s.holds.keep(live) })
	if keeps {
		s.dispatch.wg.Go(func() { s.keepThrottle(live) })
	}
	s.dispatch.wg.Go(func() { s.keepCounting(live) })
	if s.migrator != nil {
		s.dispatch.wg.Go(func() { s.keepMigrating(live) })
	}
	if p, ok := s.cfg.Suppressions.(SuppressionPruner); ok {
		s.dispatch.wg.Go(func() { s.pruneSuppressions(live, p) })
	}
	if w, ok := s.cfg.Queue.(Watcher); ok {
		s.dispatch.wg.Go(func() { s.dispatch.watch(live, w) })
	}
	s.settler.wg.Add(1)
	go s.settler.run(run)
	s.events.wg.Add(1)
	go s.events.run()
	return nil
}

// warmupStore is the host's, or the queue's, with the name of this process in it; empty: the only one.
func (s *Sender) warmupStore() (store warmup.Store, owner string) {
	if q, ok := s.cfg.Queue.(WarmupStorer); ok && s.cfg.WarmupStore == nil {
		return q.WarmupStore()
	}
	return s.cfg.WarmupStore, ""
}

// suppressTime is how long a gate may take to suppress an address.
const suppressTime = time.Minute

// stopGrace is how long Stop waits, after its context has ended, for what cannot be broken off: the queue, the Observer.
const stopGrace = 15 * time.Second

// Stop ends the sending: nothing new is begun, attempts in flight are waited for until ctx ends and then broken off, what
// was leased goes back to the queue, sessions say QUIT. The queue keeps what is waiting. It returns ctx's error when
// attempts had to be broken off, and an error when the queue or the Observer did not return in time; what the queue did
// not take is attempted again once its leases have run out. Stopping twice, or before Start, is allowed; a second call
// waits for the first.
func (s *Sender) Stop(ctx context.Context) error {
	s.mu.Lock()
	before := s.state
	s.state = stopping
	s.mu.Unlock()
	switch before {
	case created:
		close(s.stopped)
		return nil
	case stopping:
		select {
		case <-s.stopped:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer close(s.stopped)
	defer s.abort()
	s.wane()
	back := s.dispatch.stop()
	var errs []error
	cancel := func() {}
	defer func() { cancel() }()
	grace := sync.OnceValue(func() context.Context {
		errs = append(errs, ctx.Err())
		s.abort() // ends attempts
		var c context.Context
		c, cancel = context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
		return c
	})
	end := func() context.Context {
		if ctx.Err() == nil {
			return ctx
		}
		return grace()
	}
	wait := func(wg *sync.WaitGroup) bool { return waitFor(ctx, wg) || waitFor(end(), wg) }
	if !wait(&s.calls) || !wait(&s.dispatch.wg) {
		go func() { // should it return after all
			s.calls.Wait()
			s.dispatch.wg.Wait()
			close(s.settler.in)
			s.settler.wg.Wait()
			s.waiters.close()
			s.events.close()
		}()
		return errors.Join(append(errs, errors.New("sender: stop: a call of the host's parts does not return"))...)
	}
	close(s.settler.in)
	if !wait(&s.settler.wg) {
		go func() {
			s.settler.wg.Wait()
			s.waiters.close()
			s.events.close()
		}()
		return errors.Join(append(errs, errors.New("sender: stop: the queue or a gate does not return"))...)
	}
	s.dispatch.mu.Lock()
	back = append(back, s.dispatch.late...)
	s.dispatch.mu.Unlock()
	if len(back) > 0 {
		if _, err := s.cfg.Queue.Settle(end(), back); err != nil {
			s.log.Error("queue does not take back leases; they run out by themselves", "count", len(back), "err", err)
		}
	}
	s.waiters.close()
	if s.ledger != nil {
		if err := s.ledger.Close(end()); err != nil {
			errs = append(errs, fmt.Errorf("sender: warm-up ledger: %w", err))
		}
	}
	if s.migrator != nil {
		if err := s.migrator.Close(end()); err != nil {
			errs = append(errs, fmt.Errorf("sender: migrations: %w", err))
		}
	}
	if s.keeper != nil {
		if err := s.keeper.CloseAt(end(), time.Now()); err != nil {
			errs = append(errs, fmt.Errorf("sender: throttle: %w", err))
		}
	}
	s.events.close()
	if !wait(&s.events.wg) {
		errs = append(errs, errors.New("sender: stop: the Observer does not return"))
	}
	return errors.Join(errs...)
}

// stream is the stream of a name; of a lane whose stream was taken out of the configuration, the first one.
func (s *Sender) stream(name string) *stream {
	for _, st := range s.streams {
		if st.Name == name {
			return st
		}
	}
	return s.streams[0]
}
