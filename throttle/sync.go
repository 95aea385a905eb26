package throttle

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// The clocks of SyncAt.
const (
	syncStates   = 2 * time.Second  // how often what other processes know of a path in use is looked at, and what changed is written
	syncRenew    = 20 * time.Minute // how often a memory is written although it has not changed
	syncIdle     = time.Minute      // how long a path, or cap, was not used for its shares to be given back
	maxSyncs     = 16               // uses of the store at a time
	syncPatience = 5 * time.Second  // for one of them
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
	if r := p.limits.MessageRate; r != (Rate{}) && !p.shares.messages.keep(now, nil) {
		p.shares.messages = l.share(now, shareKey("messages", key.Route, key.Provider), r, 0, nil)
	}
	if r := p.limits.ConnectRate; r != (Rate{}) && !p.shares.connects.keep(now, nil) {
		p.shares.connects = l.share(now, shareKey("connects", key.Route, key.Provider), r, 0, nil)
	}
	if n := p.limits.Connections; n > 0 && !p.shares.connections.keep(now, &p.open) {
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
	if c.rate != (Rate{}) && !c.messageShare.keep(now, nil) {
		c.messageShare = l.share(now, shareKey(what+"-messages", name), c.rate, 0, nil)
	}
	if c.most > 0 && !c.connectionShare.keep(now, &c.open) {
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
		l.sharing.looked = time.Time{}
		for p := range l.sharing.active {
			l.sharing.active[p] = now
		}
	}
	if back <= 0 || back > clockSlack {
		l.sharing.seen = now
	}
}

// keep notes that a share is used, of connections of which as many are open. It reports whether it is a share still.
func (s *shared) keep(now time.Time, open *int) bool {
	if s == nil || s.gone {
		return false
	}
	s.used, s.open = now, open
	return true
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
	var due []func(context.Context) error
	clock := running(now)
	l.mu.Lock()
	l.sharesClock(now)
	for key, s := range l.sharing.limits {
		switch {
		case now.Sub(s.used) >= syncIdle && (s.open == nil || *s.open == 0):
			due = append(due, func(ctx context.Context) error { return l.giveBack(ctx, s) })
			s.gone = true
			delete(l.sharing.limits, key)
		case s.lease().due(now):
			due = append(due, func(ctx context.Context) error { return l.exchange(ctx, s, clock) })
		}
	}
	look := now.Sub(l.sharing.looked) >= syncStates
	if look {
		l.sharing.looked = now
		for p, used := range l.sharing.active {
			if now.Sub(used) >= syncIdle {
				delete(l.sharing.active, p)
			} else if l.sharing.on {
				l.sharing.dirty[p] = struct{}{}
			}
		}
		for p, at := range l.sharing.written { // a store may forget what is not renewed
			if now.Sub(at) >= syncRenew {
				l.sharing.dirty[p] = struct{}{}
			}
		}
		for p := range l.sharing.dirty {
			due = append(due, func(ctx context.Context) error { return l.exchangeMemory(ctx, p, clock) })
		}
		clear(l.sharing.dirty)
	}
	l.mu.Unlock()
	err = inParallel(ctx, due)
	l.mu.Lock()
	defer l.mu.Unlock()
	next = l.sharing.looked.Add(syncStates)
	for _, s := range l.sharing.limits {
		if at := s.lease().next; at.Before(next) {
			next = at
		}
	}
	return next, err
}

// inParallel runs what uses the store, a few at a time.
func inParallel(ctx context.Context, do []func(context.Context) error) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	turns := make(chan struct{}, maxSyncs)
	for _, f := range do {
		turns <- struct{}{}
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
	if s.rate != nil {
		s.rate.settle(clock(), err)
	} else {
		s.connections.settle(clock(), err, *s.open)
	}
	return err
}

// running is a clock that goes on from a time.
func running(now time.Time) func() time.Time {
	began := time.Now()
	return func() time.Time { return now.Add(time.Since(began)) }
}

// giveBack ends this process's part of a limit.
func (l *Limiter) giveBack(ctx context.Context, s *shared) error {
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
		do = append(do, func(ctx context.Context) error { return l.giveBack(ctx, s) })
	}
	for p := range l.sharing.dirty {
		do = append(do, func(ctx context.Context) error { return l.exchangeMemory(ctx, p, clock) })
	}
	clear(l.sharing.dirty)
	l.mu.Unlock()
	return inParallel(ctx, do)
}
