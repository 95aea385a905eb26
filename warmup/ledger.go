package warmup

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config configures a Ledger.
type Config struct {
	// Store keeps the ledger's records over restarts, and lets several processes share their caps. Defaults to none: everything is in
	// memory, and a restart begins anew.
	Store Store
	// Plans are the plans by route name. A route without a plan is warm: it has no caps, and nothing is counted or stored for it. A name
	// has at most 128 bytes. The map is read by Open only. Defaults to none.
	Plans map[string]Plan
	// Owner names this process among those that share the store; at most 128 bytes. Two ledgers that run at the same time need two names.
	// A restarted process should use its old name again: it then goes on at once, while what was promised to a name that is gone counts
	// in full for up to 70 minutes, and as used for a day from then. When two ledgers use one name, the later one takes it over path by
	// path, and the earlier one is refused (ReasonStore) when its promise is used up. Defaults to "main".
	Owner string
	// MaxPaths bounds the number of paths in memory. When it is reached, a path without use in the last 24 hours makes room; it is read
	// back from the store when it is used again. Without a store only paths that stand at the plan's start make room. When none can, a
	// new path is refused (ReasonPaths). Defaults to 100,000.
	MaxPaths int
	// StoreTimeout bounds each use of the store by a decision, and the wait for one that is under way for the same path. PrepareAt is
	// bounded by its context instead. Defaults to 5 seconds.
	StoreTimeout time.Duration
	// RetryStore is how long a path waits after a failure of the store before it tries again. Defaults to 5 seconds.
	RetryStore time.Duration
	// Gate says what rates hold a path and put it back. Defaults to the zero Gate, whose fields say.
	Gate Gate
	// OnChange is told of every change of a path's phase or stage that this ledger has put on record, after it did so. It is called by the method of the
	// Ledger that made the change, before that returns and without any lock of the ledger's held, so it must not block; and it may be called
	// concurrently. Defaults to none.
	OnChange func(Change)
	// Logger is told of stage changes and store failures. Defaults to none.
	Logger *slog.Logger
}

func (c Config) validate() error {
	for route, plan := range c.Plans {
		if route == "" {
			return errors.New("warmup: Config.Plans: a route name is empty")
		}
		if len(route) > maxName {
			return fmt.Errorf("warmup: Config.Plans: the route name %.40q… has %d bytes: at most %d are allowed", route, len(route), maxName)
		}
		if err := plan.validate(); err != nil {
			return fmt.Errorf("warmup: Config.Plans[%q]: %w", route, err)
		}
	}
	if err := c.Gate.Validate(); err != nil {
		return fmt.Errorf("warmup: Config.%w", err)
	}
	switch {
	case len(c.Owner) > maxName:
		return fmt.Errorf("warmup: Config.Owner has %d bytes: at most %d are allowed", len(c.Owner), maxName)
	case c.MaxPaths < 0:
		return fmt.Errorf("warmup: Config.MaxPaths is %d: must not be negative", c.MaxPaths)
	case c.StoreTimeout < 0:
		return fmt.Errorf("warmup: Config.StoreTimeout is %s: must not be negative", c.StoreTimeout)
	case c.RetryStore < 0:
		return fmt.Errorf("warmup: Config.RetryStore is %s: must not be negative", c.RetryStore)
	}
	return nil
}

// Ledger counts what each path carried and decides what it may carry. All methods are safe for concurrent use. Decisions take the time
// as an argument; for each path time never runs backwards: an earlier time is taken for the latest one seen. Times from time.Now go by the time that passed
// since Open, so that a clock that is set meanwhile changes nothing. No method but ReserveAt, PrepareAt, ObserveAt, the operators' and Close ever waits
// for the store.
type Ledger struct {
	store        Store
	ladders      map[string]*ladder
	owner        string
	session      string
	maxPaths     int
	storeTimeout time.Duration
	retryStore   time.Duration
	log          *slog.Logger
	onChange     func(Change)
	opened       time.Time

	changesMu sync.Mutex
	changes   []Change    // not told yet
	untold    atomic.Bool // there are some

	latest atomic.Int64 // the time of the latest decision that used the store

	mu     sync.RWMutex
	paths  map[Path]*path
	closed bool
}

// path is the state of one path in memory.
type path struct {
	Path
	ledger *Ledger
	ladder *ladder

	mu sync.Mutex // Guards all below. Never held while the store is used.
	account
	// writing is the use of the store that is under way, or nil: there is one at a time.
	writing *writing

	retryAt int64 // before this, by the caller's clock, the store is not tried again
	slots   []slot
	granted int32  // the size of the latest promise
	free    uint32 // the first slot not in use, counted from 1; 0 if all are
	// full is why the last lease was refused on account of other owners, or nil.
	full *full
}

// account is what a path has agreed with the store, and what was used since.
type account struct {
	// loaded says that the state was agreed with the store by this ledger. Before, it is for display only.
	loaded bool
	// dirty says that something changed since the store was written.
	dirty bool
	// gone says that the path has left the ledger's map.
	gone bool
	// scarce says that the cap for 24 hours refused something in the running day.
	scarce bool
	// shared says that other owners are on record.
	shared bool
	// tripped says that the gate wants the path to step back, by what this owner knows.
	tripped bool

	seen   int64 // the latest time seen
	caller int64 // the time of the latest call, as the caller gave it
	behind int64 // since when, by its own count, the caller's clock is behind seen; 0 if it is not
	synced int64 // when the store was last written
	leased int64 // the caller's time then
	// lastSent is when any owner last sent, as far as known.
	lastSent int64

	// outstanding counts messages reserved and not settled. They are part of every window.
	outstanding int
	// promise is how much of the promise on record is left: what may be reserved without the store.
	promise  int
	windows  [kinds]window
	ramp     ramp
	outcomes counts   // of the running period
	blocks   *[]int64 // when the latest blocks came, oldest first; nil for most
	paced    int64    // the time that is taken up by what was reserved, where the stage spreads it
}

// full is a refused lease of n: it is not worth asking for as much again before its time.
type full struct {
	grant
	n int
}

// slot is a reservation that may be outstanding: n is 0 when it is not. gen tells the uses of a slot apart; next is the next free slot,
// counted like path.free.
type slot struct {
	n    int
	gen  uint32
	next uint32
}

// Open makes a Ledger and reads its store. It fails, rather than start with less than was recorded, when the store cannot be read or
// holds a record that is corrupted or of a later version; the error names the record. Records of routes without a plan are left alone.
// What was promised to this owner and not returned by Close counts as used: a crash costs a little of the allowance and never adds to it.
// Records that say no more than their absence, at the latest time on record, are removed.
func Open(ctx context.Context, cfg Config) (*Ledger, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	l := &Ledger{
		store:        cfg.Store,
		ladders:      make(map[string]*ladder, len(cfg.Plans)),
		owner:        cfg.Owner,
		session:      rand.Text(),
		maxPaths:     cfg.MaxPaths,
		storeTimeout: cfg.StoreTimeout,
		retryStore:   cfg.RetryStore,
		log:          cfg.Logger,
		onChange:     cfg.OnChange,
		opened:       time.Now(),
		paths:        make(map[Path]*path),
	}
	if l.owner == "" {
		l.owner = "main"
	}
	if l.maxPaths == 0 {
		l.maxPaths = 100_000
	}
	if l.storeTimeout == 0 {
		l.storeTimeout = 5 * time.Second
	}
	if l.retryStore == 0 {
		l.retryStore = 5 * time.Second
	}
	if l.log == nil {
		l.log = discard()
	}
	gate := cfg.Gate.withDefaults()
	off := gate
	off.Off = true
	reports := make(map[string]bool, len(gate.Reporters))
	for _, provider := range gate.Reporters {
		reports[provider] = true
	}
	for route, plan := range cfg.Plans {
		g := &gate
		if strings.HasPrefix(route, totalPrefix) {
			g = &off
		}
		l.ladders[route] = newLadder(route, plan, g, reports)
	}
	if l.store == nil {
		return l, nil
	}
	if err := l.load(ctx); err != nil {
		return nil, fmt.Errorf("warmup: open: %w", err)
	}
	return l, nil
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// load reads the store, and removes what has become blank.
func (l *Ledger) load(ctx context.Context) error {
	records := make(map[Path]*record)
	latest := int64(0)
	err := l.store.Load(ctx, func(key string, value []byte) error {
		if _, other := isMigrationKey(key); other { // A Migrator may share the store.
			return nil
		}
		rec, err := decodeRecord(value)
		if err != nil {
			return fmt.Errorf("%w (key %q)", err, key)
		}
		if l.ladders[rec.Route] != nil {
			records[Path{rec.Route, rec.Provider}] = rec
			latest = max(latest, rec.Seen)
		}
		return nil
	})
	if err != nil {
		return err
	}
	// The time is not known here, but that it was the latest on record, or not as late if the clock was wrong then.
	latest = min(latest, l.stamp(time.Now()))
	var blank []Path
	for key, rec := range records {
		lad := l.ladders[rec.Route]
		if len(l.paths) < l.maxPaths {
			p := l.newPath(key, lad)
			p.show(rec, l.owner)
			l.paths[p.Path] = p
		}
		if rec.blankAt(lad, latest) {
			delete(l.paths, key)
			blank = append(blank, key)
		}
	}
	for _, err := range inParallel(blank, func(p Path) error { return l.prune(ctx, p, latest) }) {
		l.log.Warn("warm-up record was not removed", "error", err) // It does no harm.
	}
	return nil
}

// newPath makes the state of a path that nothing is known of. It keeps no memory of the caller's strings.
func (l *Ledger) newPath(p Path, lad *ladder) *path {
	return &path{
		Path:    Path{lad.route, strings.Clone(p.Provider)},
		ledger:  l,
		ladder:  lad,
		account: account{loaded: l.store == nil},
	}
}

// show fills a path from its record, to be displayed until the first decision reads the record again.
func (p *path) show(rec *record, owner string) {
	p.ramp = rec.ramp(p.ladder)
	p.seen, p.lastSent = rec.Seen, rec.Sent
	me := rec.Owners[owner]
	me.Until = min(me.Until, rec.Seen)
	me.lapse(rec.Seen)
	for k := range kinds {
		p.windows[k], _ = unpackWindow(k, me.Used[k]) // Was checked by decodeRecord.
	}
	if me.Period == p.ramp.period {
		p.outcomes = me.Outcomes
	}
}

// lock finds or makes the state of a path, and locks it; it does not wait for the store. When there is none and no room for one it
// returns the reason.
func (l *Ledger) lock(p Path, lad *ladder, t int64) (*path, Reason) {
	for {
		l.mu.RLock()
		pt, closed := l.paths[p], l.closed
		l.mu.RUnlock()
		if closed {
			return nil, ReasonClosed
		}
		if pt == nil {
			if pt = l.insert(p, lad, t); pt == nil {
				return nil, ReasonPaths
			}
		}
		pt.mu.Lock()
		if !pt.gone {
			return pt, ""
		}
		pt.mu.Unlock()
	}
}

// insert adds a path to the map, or returns nil when there is no room.
func (l *Ledger) insert(p Path, lad *ladder, t int64) *path {
	l.mu.Lock()
	defer l.mu.Unlock()
	if pt := l.paths[p]; pt != nil {
		return pt
	}
	if l.closed || len(l.paths) >= l.maxPaths && !l.evict(t) {
		return nil
	}
	pt := l.newPath(p, lad)
	l.paths[pt.Path] = pt
	return pt
}

// evictTries is the number of paths looked at to make room for one.
const evictTries = 64

// evict drops a path that is not in use. To drop one is like a crash of that path alone: its promise counts as used when it comes back.
// l.mu is held.
func (l *Ledger) evict(t int64) bool {
	tries := 0
	for key, p := range l.paths { // In random order.
		if tries++; tries > evictTries {
			return false
		}
		if !p.mu.TryLock() {
			continue
		}
		if p.writing == nil && p.evictable(max(t, p.seen), l.store != nil) {
			p.gone = true
			delete(l.paths, key)
			p.mu.Unlock()
			return true
		}
		p.mu.Unlock()
	}
	return false
}

func (p *path) evictable(t int64, stored bool) bool {
	if p.outstanding > 0 || p.windows[dayWindow].usedAt(dayWindow, t) > 0 {
		return false
	}
	if stored {
		return true
	}
	r := p.ahead(t)
	return r.pos == 0 && !r.told() && !r.paused
}

// Close writes what is not on record yet and gives back what was promised and not used. Decisions after Close are refused with
// ReasonClosed; reservations that are still outstanding count as used in the next Open. Close returns the errors of the store, joined;
// what could not be written is treated by the next Open as after a crash. Records that say no more than their absence, at the time of the
// latest decision that used the store, are removed. A second Close does nothing. It does not close the Store.
func (l *Ledger) Close(ctx context.Context) error {
	l.mu.Lock()
	closed := l.closed
	l.closed = true
	l.mu.Unlock()
	if closed || l.store == nil {
		return nil
	}
	at := l.latest.Load()
	defer l.tell()
	return errors.Join(inParallel(slices.Collect(maps.Values(l.paths)), func(p *path) error { // Nothing is inserted any more.
		if err := l.flush(ctx, p, at); err != nil {
			return fmt.Errorf("warmup: close: %s: %w", p.Path, err)
		}
		return nil
	})...)
}

// flush writes a path that has something to write, and removes its record if that is blank at a time.
func (l *Ledger) flush(ctx context.Context, p *path, at int64) error {
	if err := p.lockIdle(ctx); err != nil {
		return err
	}
	defer p.mu.Unlock()
	at = max(at, p.seen)
	switch {
	case p.gone:
		return nil
	case p.loaded && (p.dirty || p.promise > 0):
		return l.write(ctx, p, ask{at: at}).err
	case p.blank(at):
		_, err := p.use(func() error { return l.prune(ctx, p.Path, at) })
		return err
	default:
		return nil
	}
}
