package throttle

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// The clocks of SyncAt.
const (
	syncStates   = 2 * time.Second  // how often what other processes know of a path in use is looked at, and what changed is written
	syncRenew    = 20 * time.Minute // how often a memory is written although it has not changed
	syncIdle     = time.Minute      // how long a path, or cap, was not used for its shares to be given back
	syncQuiet    = 10 * time.Second // how long it was not used for them to be exchanged less often, four times in the TTL
	maxSyncs     = 16               // uses of the store at a time
	maxLooks     = 256              // paths of which it is looked at a time what others know
	syncPatience = 5 * time.Second  // for one use of the store
	syncBudget   = time.Second      // for all that is begun in one call: the rest comes in the next one, behind what is due again and more urgent
)

// shared is one limit of which this process has a share.
type shared struct {
	key         string
	rate        *sharedRate
	connections *sharedConnections
	open        *int // that are open now; of connections
	used        time.Time
	gone        bool // given back; the first use makes a new one
}

// lease is the common part.
func (s *shared) lease() *lease {
	if s.rate != nil {
		return &s.rate.lease
	}
	return &s.connections.lease
}

// sharing is what a Limiter with a Store has beside its paths. The Limiter's lock guards it.
type sharing struct {
	on      bool // limits are shared; else the store is only a memory
	limits  map[string]*shared
	dirty   map[Path]struct{} // paths whose memory has changed
	active  map[Path]time.Time
	seen    time.Time          // the latest time of a call
	written map[Path]time.Time // when the memories in the store were written
	looked  time.Time          // when the memories of active paths were last looked at
	loaded  map[Path]*memory   // what the store had when the Limiter was loaded, of paths that were not used yet
	wake    chan struct{}      // somebody waits for a share
	// answered is when the store made an exchange of any share.
	answered time.Time
}

// share returns this process's share of a limit, made when it is new. The Limiter is locked.
func (l *Limiter) share(now time.Time, key string, rate Rate, most int, open *int) *shared {
	s := l.sharing.limits[key]
	if s == nil {
		s = &shared{key: key, open: open}
		if most > 0 {
			s.connections = newSharedConnections(now, most, l.config.Owner, l.config.TTL)
		} else {
			s.rate = newSharedRate(now, rate, l.config.Owner, l.config.TTL)
		}
		l.sharing.limits[key] = s
		l.hurry()
	}
	s.used, s.open = now, open // of a path that was forgotten and made again, it is another one
	return s
}

// pathShares are this process's shares of a path's limits; nil where there is no limit.
type pathShares struct{ messages, connects, connections *shared }

// useShares makes sure that the path, and the caps that it counts against, have their shares. The Limiter is locked.
func (l *Limiter) useShares(now time.Time, key Path, p *path) {
	if p.shares == nil {
		p.shares = &pathShares{}
	}
	if r := p.limits.MessageRate; r != (Rate{}) && !p.shares.messages.keep(now, nil, l.sharing.answered) {
		p.shares.messages = l.share(now, shareKey("messages", key.Route, key.Provider), r, 0, nil)
	}
	if r := p.limits.ConnectRate; r != (Rate{}) && !p.shares.connects.keep(now, nil, l.sharing.answered) {
		p.shares.connects = l.share(now, shareKey("connects", key.Route, key.Provider), r, 0, nil)
	}
	if n := p.limits.Connections; n > 0 && !p.shares.connections.keep(now, &p.open, l.sharing.answered) {
		p.shares.connections = l.share(now, shareKey("connections", key.Route, key.Provider), Rate{}, n, &p.open)
	}
	l.useCapShares(now, "route", key.Route, p.route)
	l.useCapShares(now, "provider", key.Provider, p.provider)
}

// useCapShares does the same for a cap. That of the process is its own.
func (l *Limiter) useCapShares(now time.Time, what, name string, c *capacity) {
	if c == nil {
		return
	}
	if c.rate != (Rate{}) && !c.messageShare.keep(now, nil, l.sharing.answered) {
		c.messageShare = l.share(now, shareKey(what+"-messages", name), c.rate, 0, nil)
	}
	if c.most > 0 && !c.connectionShare.keep(now, &c.open, l.sharing.answered) {
		c.connectionShare = l.share(now, shareKey(what+"-connections", name), Rate{}, c.most, &c.open)
	}
}

// sharesClock follows a clock that was set back. The Limiter is locked.
func (l *Limiter) sharesClock(now time.Time) {
	back := l.sharing.seen.Sub(now)
	if back > clockSlack {
		for _, s := range l.sharing.limits {
			if s.used = now; s.rate != nil {
				s.rate.shift(now)
			} else {
				s.connections.shift(now)
			}
		}
		l.sharing.looked, l.sharing.answered = time.Time{}, time.Time{}
		for p := range l.sharing.active {
			l.sharing.active[p] = now
		}
	}
	if back <= 0 || back > clockSlack {
		l.sharing.seen = now
	}
}

// keep notes that a share is used, of connections of which as many are open. It reports whether it is a share still. One that was not exchanged for most of the TTL, while the store
// answers, is none: the others will take this process for dead.
func (s *shared) keep(now time.Time, open *int, answered time.Time) bool {
	if s == nil || s.gone {
		return false
	}
	s.used, s.open = now, open
	if l := s.lease(); l.lapses(now, answered) {
		if l.share = 0; s.rate != nil {
			s.rate.tokens, s.rate.last = 0, now
		}
	}
	return true
}

// quiet reports whether a share was not used for some time.
func (s *shared) quiet(now time.Time) bool { return now.Sub(s.used) >= syncQuiet }

// idle reports whether a share is to be given back.
func (s *shared) idle(now time.Time) bool {
	return now.Sub(s.used) >= syncIdle && (s.open == nil || *s.open == 0)
}

// due is when the next exchange is.
func (s *shared) due(now time.Time) time.Time {
	l := s.lease()
	if at := l.renewed.Add(l.ttl / 4); s.quiet(now) && l.next.Before(at) {
		return at
	}
	return l.next
}

// shareFull says which of this process's shares of connections is used up, and when there may be more; empty if none is. All are asked, since they take note of what is
// lacking.
func (p *path) shareFull() (why Reason, until time.Time) {
	check := func(s *shared, reason Reason) {
		if s == nil || s.connections.take(*s.open) {
			return
		}
		why = reason
		if next := s.lease().next.Add(shareSettles); next.After(until) {
			until = next
		}
	}
	if p.shares == nil {
		return "", time.Time{}
	}
	if p.provider != nil {
		check(p.provider.connectionShare, ReasonProviderCap)
	}
	if p.route != nil {
		check(p.route.connectionShare, ReasonRouteCap)
	}
	check(p.shares.connections, ReasonShare)
	return why, until
}

// shareSettles is how long an exchange may take that is awaited.
const shareSettles = 50 * time.Millisecond

// hurry tells whoever calls SyncAt that somebody waits for it.
func (l *Limiter) hurry() {
	select {
	case l.sharing.wake <- struct{}{}:
	default:
	}
}

// SyncWanted tells when SyncAt should be called before the time that the last call returned: mail waits for a share. It never closes. Nil without a Store.
func (l *Limiter) SyncWanted() <-chan struct{} { return l.sharing.wake }

// LoadAt reads what the store remembers of all paths. It is called once, before the first use; without it stops and what was learnt begin anew. Without a Store it does nothing.
func (l *Limiter) LoadAt(ctx context.Context, now time.Time) error {
	if l.config.Store == nil {
		return nil
	}
	var errs []error
	loaded, found := map[Path]*memory{}, []Path{}
	err := l.config.Store.Load(ctx, func(key string, value []byte) error {
		p, ok := pathOfKey(key)
		if !ok {
			return nil
		}
		m, err := parseMemory(value)
		if err != nil {
			errs = append(errs, err)
			return nil
		}
		found = append(found, p)
		if !m.over(now, l) && len(loaded) < l.maxPaths() {
			loaded[p] = m
		}
		return nil
	})
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range found { // all are renewed, or removed when they are over, but not all at once
		l.sharing.written[key] = now.Add(-rand.N(syncRenew))
	}
	for key, m := range loaded {
		l.limitsDomain(now, key)
		if p, ok := l.paths.Get(now, key); ok {
			p.recall(p.clock(now), m, l)
			delete(loaded, key)
		}
	}
	l.sharing.loaded = loaded
	return errors.Join(errs...)
}

func (l *Limiter) maxPaths() int {
	if l.config.MaxPaths > 0 {
		return l.config.MaxPaths
	}
	return 100_000
}

// SyncAt exchanges with the store what is due: this process's shares of limits, and what it and the others have learnt of the paths in use. It returns when it
// should be called again; SyncWanted may ask for it earlier. Errors are the store's: what failed is tried again, and meanwhile the process keeps to
// the shares that it has. One call at a time. Without a Store it does nothing and returns the zero time.
func (l *Limiter) SyncAt(ctx context.Context, now time.Time) (next time.Time, err error) {
	if l.config.Store == nil {
		return time.Time{}, nil
	}
	var busy, quiet []*shared
	var memories, idle []func(context.Context) error
	clock := running(now)
	l.mu.Lock()
	l.sharesClock(now)
	for _, s := range l.sharing.limits {
		switch {
		case s.idle(now):
			idle = append(idle, func(ctx context.Context) error { return l.giveBack(ctx, s, clock) })
		case now.Before(s.due(now)):
		case s.quiet(now):
			quiet = append(quiet, s)
		default:
			busy = append(busy, s)
		}
	}
	if look := now.Sub(l.sharing.looked) >= syncStates; look {
		l.sharing.looked = now
		l.lookAround(now)
		for p := range l.sharing.dirty {
			memories = append(memories, func(ctx context.Context) error { return l.exchangeMemory(ctx, p, clock) })
		}
	}
	l.mu.Unlock()
	// What is used comes first, each by how long it has waited. Where there is more to do than the store can, shares that nobody uses lapse.
	due := append(append(append(l.exchanges(busy, clock), memories...), l.exchanges(quiet, clock)...), idle...)
	err = inParallel(ctx, due, syncBudget)
	l.mu.Lock()
	defer l.mu.Unlock()
	next = l.sharing.looked.Add(syncStates)
	for _, s := range l.sharing.limits {
		if at := s.due(now); at.Before(next) {
			next = at
		}
	}
	return next, err
}

// lookAround notes the paths of which it is time to see what the others know, and the memories that are to be renewed. The Limiter is locked.
func (l *Limiter) lookAround(now time.Time) {
	looks := maxLooks
	for p, used := range l.sharing.active {
		if now.Sub(used) >= syncIdle {
			delete(l.sharing.active, p)
		} else if l.sharing.on && looks > 0 { // any of them, where there are more
			l.sharing.dirty[p] = struct{}{}
			looks--
		}
	}
	for p, at := range l.sharing.written { // a store may forget what is not renewed
		if now.Sub(at) >= syncRenew {
			l.sharing.dirty[p] = struct{}{}
		}
	}
}

// exchanges are those of shares, the one first that has waited for longest.
func (l *Limiter) exchanges(shares []*shared, clock func() time.Time) (do []func(context.Context) error) {
	slices.SortFunc(shares, func(a, b *shared) int { return a.lease().next.Compare(b.lease().next) })
	for _, s := range shares {
		do = append(do, func(ctx context.Context) error { return l.exchange(ctx, s, clock) })
	}
	return do
}

// inParallel runs what uses the store, a few at a time. When the time is over it begins no more; 0: no bound.
func inParallel(ctx context.Context, do []func(context.Context) error, within time.Duration) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	turns, began := make(chan struct{}, maxSyncs), time.Now()
	for _, f := range do {
		turns <- struct{}{}
		if within > 0 && time.Since(began) > within {
			break
		}
		wg.Go(func() {
			defer func() { <-turns }()
			ctx, cancel := context.WithTimeout(ctx, syncPatience)
			defer cancel()
			if err := f(ctx); err != nil {
				mu.Lock()
				if len(errs) < 3 {
					errs = append(errs, err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// exchange makes one exchange of a share.
func (l *Limiter) exchange(ctx context.Context, s *shared, clock func() time.Time) error {
	err := l.config.Store.Update(ctx, s.key, func(old []byte) ([]byte, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if s.gone {
			return old, nil
		}
		if s.rate != nil {
			return s.rate.exchange(clock(), old)
		}
		return s.connections.exchange(clock(), old, *s.open)
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	now, done := clock(), false
	if s.rate != nil {
		done = s.rate.settle(now, err)
	} else {
		done = s.connections.settle(now, err, *s.open)
	}
	if done {
		l.sharing.answered = now
	}
	return err
}

// running is a clock that goes on from a time.
func running(now time.Time) func() time.Time {
	began := time.Now()
	return func() time.Time { return now.Add(time.Since(began)) }
}

// giveBack ends this process's part of a limit, unless it is used again.
func (l *Limiter) giveBack(ctx context.Context, s *shared, clock func() time.Time) error {
	l.mu.Lock()
	used := !s.gone && !s.idle(clock())
	if !used {
		s.gone = true
		delete(l.sharing.limits, s.key)
	}
	l.mu.Unlock()
	if used {
		return nil
	}
	return l.config.Store.Update(ctx, s.key, func(old []byte) ([]byte, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		return s.lease().release(old)
	})
}

// errNothingNew ends an Update without a write.
var errNothingNew = errors.New("nothing new")

// exchangeMemory writes what this process knows of a path, and takes over what others know.
func (l *Limiter) exchangeMemory(ctx context.Context, key Path, clock func() time.Time) error {
	l.mu.Lock()
	delete(l.sharing.dirty, key)
	l.mu.Unlock()
	err := l.config.Store.Update(ctx, memoryKey(key), func(old []byte) ([]byte, error) {
		m, err := parseMemory(old)
		if err != nil {
			return nil, err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		now := clock()
		p, ok := l.paths.Peek(now, key) // a renewal is no use of the path
		if !ok {
			return l.keepMemory(now, key, m, old)
		}
		now = p.look(now)
		if l.sharing.on {
			p.recallStop(now, m, l)
		}
		mine := p.remember(now)
		if mine == nil {
			if !l.sharing.on { // else it may be another process's
				m = nil
			}
			return l.keepMemory(now, key, m, old)
		}
		if m != nil {
			used := mine.At
			mine.At = m.At
			if same, err := json.Marshal(mine); err == nil && bytes.Equal(same, old) && now.Sub(l.sharing.written[key]) < syncRenew {
				return nil, errNothingNew
			}
			mine.At = min(milli(now), max(used, m.At)) // others may have used the path since
		}
		l.sharing.written[key] = now
		return json.Marshal(mine)
	})
	if errors.Is(err, errNothingNew) {
		return nil
	}
	if err != nil {
		l.mu.Lock()
		l.sharing.dirty[key] = struct{}{}
		l.mu.Unlock()
	}
	return err
}

// CloseAt writes what is not written yet, and gives all shares back. The Limiter must not be used after it.
func (l *Limiter) CloseAt(ctx context.Context, now time.Time) error {
	if l.config.Store == nil {
		return nil
	}
	var do []func(context.Context) error
	clock := running(now)
	l.mu.Lock()
	for key, s := range l.sharing.limits {
		s.gone = true
		delete(l.sharing.limits, key)
		do = append(do, func(ctx context.Context) error { return l.giveBack(ctx, s, clock) })
	}
	for p := range l.sharing.dirty {
		do = append(do, func(ctx context.Context) error { return l.exchangeMemory(ctx, p, clock) })
	}
	l.mu.Unlock()
	return inParallel(ctx, do, 0)
}
