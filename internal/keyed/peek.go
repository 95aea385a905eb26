package keyed

import "time"

// Peek returns the value of key as Get does, and does not mark it as used: whoever only looks keeps nothing alive.
func (m *Map[K, V]) Peek(now time.Time, key K) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entries[key]
	if e == nil || m.config.Idle > 0 && now.Sub(e.at) >= m.config.Idle && !m.live(now, e) {
		var none V
		return none, false
	}
	return e.value, true
}
