package throttle

import "time"

// LookAt is StateAt that does not mark the path as used: whoever only wants to know when mail would go out keeps nothing alive that is to be forgotten.
func (l *Limiter) LookAt(now time.Time, key Path) State {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, ok := l.paths.Peek(now, key)
	if !ok {
		p = l.newPath(now, key)
	}
	return p.state(p.look(now), key)
}
