// Package keyed is the library's one bounded map from keys to state: limiter paths, ledgers, sessions, caches.
//
// What a program keeps for each key that it meets must be bounded, or a stranger who can make up keys (domains, hosts)
// can fill its memory. But an entry that is in use must stay, or a limit that it holds is forgotten and handed out twice.
// A Map keeps both promises:
//
//  1. Every Get, GetOrCreate, Do or Put marks the entry as used. Entries are kept in the order of use.
//  2. When a new entry makes the map hold more than Config.Max, the least recently used ones are dropped.
//  3. An entry that was not used for Config.Idle is dropped by the next call, and never returned after that time.
//  4. An entry for which Config.Live is true is neither: it is parked, and goes back to the others when it is used. Each
//     new entry also looks at two parked ones again, so that the map shrinks to Max when they are no longer live.
//
// So a map holds at most Max entries, plus those that were live when last looked at, plus the newest one when all the
// others are live. Every call costs amortised O(1); nothing runs in the background.
//
// A value that Get or GetOrCreate returned may be dropped the moment after, and another one made for the same key. Where
// that matters (a counter that the caller is about to raise), change the value inside Do, or make every call under a lock
// of the caller's own that Live's answer depends on as well.
package keyed

import (
	"sync"
	"time"
)

// DefaultMax is the most entries that a Map keeps when its Config does not say.
const DefaultMax = 100_000

// recheck is how many parked entries each new entry looks at again. More than one, so that the parked list shrinks
// faster than it can grow.
const recheck = 2

// Config says what a Map keeps. The zero Config is a least-recently-used map of DefaultMax entries.
type Config[K comparable, V any] struct {
	// Max is the most entries kept; entries that are live may exceed it. Not positive means the default.
	// Defaults to DefaultMax.
	Max int
	// Idle is how long an entry is kept without use. Defaults to 0: never dropped by age.
	Idle time.Duration
	// Live reports whether an entry is in use and must not be dropped. It is called with the map locked, so it must be
	// quick and must not call the map. Defaults to nil: no entry is protected.
	Live func(now time.Time, key K, v V) bool
}

// Map is a bounded map. It is safe for concurrent use; make one with New.
//
// Time is the caller's. It never runs backwards inside a Map: a now before the latest one seen counts as that one.
type Map[K comparable, V any] struct {
	config Config[K, V]

	mu      sync.Mutex
	entries map[K]*entry[K, V]
	// used and parked are the sentinels of two rings. used.next is the most recently used entry, used.prev the least;
	// parked holds the entries that were live when they were about to be dropped.
	used, parked entry[K, V]
	now          time.Time
}

// entry is one key's place in a ring.
type entry[K comparable, V any] struct {
	prev, next *entry[K, V]
	at         time.Time
	key        K
	value      V
}

// New makes an empty Map.
func New[K comparable, V any](config Config[K, V]) *Map[K, V] {
	if config.Max <= 0 {
		config.Max = DefaultMax
	}
	m := &Map[K, V]{config: config, entries: make(map[K]*entry[K, V])}
	m.used.prev, m.used.next = &m.used, &m.used
	m.parked.prev, m.parked.next = &m.parked, &m.parked
	return m
}

// Get returns the value of key and marks it as used; false when there is none or it was idle too long.
func (m *Map[K, V]) Get(now time.Time, key K) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now)
	e := m.touch(now, key)
	if e == nil {
		var none V
		return none, false
	}
	return e.value, true
}

// GetOrCreate returns the value of key, which create makes when there is none, and marks it as used. create is called at
// most once, with the map locked: it must be quick and must not call the map.
func (m *Map[K, V]) GetOrCreate(now time.Time, key K, create func() V) V {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.getOrCreate(now, key, create).value
}

// Do is GetOrCreate that calls fn with the value while the map is still locked: the entry cannot be dropped, nor be used
// by another Do, before fn returns. fn must be quick and must not call the map.
func (m *Map[K, V]) Do(now time.Time, key K, create func() V, fn func(V)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fn(m.getOrCreate(now, key, create).value)
}

// Put sets the value of key, whether or not there was one, and marks it as used.
func (m *Map[K, V]) Put(now time.Time, key K, v V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now)
	if e := m.entries[key]; e != nil {
		e.value = v
		m.use(e)
		return
	}
	m.insert(now, key, v)
}

// Delete drops key, live or not. It does nothing when there is no such key.
func (m *Map[K, V]) Delete(key K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.entries[key]; e != nil {
		m.drop(e)
	}
}

// Len is the number of entries kept. It counts idle ones until a call drops them.
func (m *Map[K, V]) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.entries)
}

// All calls fn for each entry until fn returns false: first the parked ones, then the others with the most recently used
// one first. It marks none as used. It goes over a snapshot without the lock, so fn may call the map.
func (m *Map[K, V]) All(fn func(K, V) bool) {
	type pair struct {
		key   K
		value V
	}
	m.mu.Lock()
	pairs := make([]pair, 0, len(m.entries))
	for _, ring := range []*entry[K, V]{&m.parked, &m.used} {
		for e := ring.next; e != ring; e = e.next {
			pairs = append(pairs, pair{e.key, e.value})
		}
	}
	m.mu.Unlock()
	for _, p := range pairs {
		if !fn(p.key, p.value) {
			return
		}
	}
}

// getOrCreate is GetOrCreate with the map locked.
func (m *Map[K, V]) getOrCreate(now time.Time, key K, create func() V) *entry[K, V] {
	m.advance(now)
	if e := m.touch(now, key); e != nil {
		return e
	}
	return m.insert(now, key, create())
}

// advance takes note of the time and drops what was idle too long.
func (m *Map[K, V]) advance(now time.Time) {
	if now.After(m.now) {
		m.now = now
	}
	if m.config.Idle <= 0 {
		return
	}
	for e := m.used.prev; e != &m.used && m.idle(e); e = m.used.prev {
		m.dropOrPark(now, e)
	}
}

// touch marks the entry of key as used and returns it, or drops it and returns nil when it was idle too long.
// Only a parked one can be: advance has dropped the others.
func (m *Map[K, V]) touch(now time.Time, key K) *entry[K, V] {
	e := m.entries[key]
	if e == nil {
		return nil
	}
	if m.idle(e) && !m.live(now, e) {
		m.drop(e)
		return nil
	}
	m.use(e)
	return e
}

// insert adds a new entry, then makes room for it.
func (m *Map[K, V]) insert(now time.Time, key K, v V) *entry[K, V] {
	added := &entry[K, V]{key: key, value: v, at: m.now}
	m.entries[key] = added
	m.pushFront(&m.used, added)
	for range recheck {
		e := m.parked.prev
		if e == &m.parked {
			break
		}
		unlink(e)
		switch {
		case m.live(now, e):
			m.pushFront(&m.parked, e)
		case len(m.entries) > m.config.Max || m.idle(e):
			delete(m.entries, e.key)
		default: // It was used before all the others, or it would not have been parked.
			m.pushFront(m.used.prev, e)
		}
	}
	for e := m.used.prev; len(m.entries) > m.config.Max && e != added; e = m.used.prev {
		m.dropOrPark(now, e)
	}
	return added
}

// dropOrPark drops an entry, or parks it when it is live.
func (m *Map[K, V]) dropOrPark(now time.Time, e *entry[K, V]) {
	if !m.live(now, e) {
		m.drop(e)
		return
	}
	unlink(e)
	m.pushFront(&m.parked, e)
}

// use makes an entry the most recently used one.
func (m *Map[K, V]) use(e *entry[K, V]) {
	e.at = m.now
	if m.used.next != e {
		unlink(e)
		m.pushFront(&m.used, e)
	}
}

// drop removes an entry for good.
func (m *Map[K, V]) drop(e *entry[K, V]) {
	unlink(e)
	delete(m.entries, e.key)
}

func (m *Map[K, V]) idle(e *entry[K, V]) bool {
	return m.config.Idle > 0 && m.now.Sub(e.at) >= m.config.Idle
}

func (m *Map[K, V]) live(now time.Time, e *entry[K, V]) bool {
	return m.config.Live != nil && m.config.Live(now, e.key, e.value)
}

// pushFront links e after the entry or sentinel at.
func (m *Map[K, V]) pushFront(at, e *entry[K, V]) {
	e.prev, e.next = at, at.next
	e.prev.next, e.next.prev = e, e
}

func unlink[K comparable, V any](e *entry[K, V]) {
	e.prev.next, e.next.prev = e.next, e.prev
	e.prev, e.next = nil, nil
}
