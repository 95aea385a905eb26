package throttle

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// memory is what the store keeps of a path: where its stop stands, and what it has learnt. Times are Unix milliseconds, durations milliseconds.
type memory struct {
	Version int   `json:"v"`
	At      int64 `json:"at"` // of the latest use of the path: a renewal is none

	Cause   SignalKind `json:"cause,omitempty"`
	Until   int64      `json:"until,omitempty"`
	Began   int64      `json:"began,omitempty"`
	Length  int64      `json:"length,omitempty"`
	Allowed int        `json:"allowed,omitempty"`
	Goal    int        `json:"goal,omitempty"`

	Connections   *memoryConnections `json:"connections,omitempty"`
	Pace          *memoryPace        `json:"pace,omitempty"`
	PerConnection *memoryNumber      `json:"per_connection,omitempty"`
	Recipients    *memoryNumber      `json:"recipients,omitempty"`
	// Imposed are the measures of reactions by name: until when.
	Imposed map[string]int64 `json:"imposed,omitempty"`
}

type memoryConnections struct {
	Most int   `json:"most"`
	Top  int   `json:"top"`
	At   int64 `json:"at"`
	Wait int64 `json:"wait"`
}

type memoryPace struct {
	Rate float64 `json:"rate"`
	Base float64 `json:"base"`
	At   int64   `json:"at"`
}

type memoryNumber struct {
	N  int   `json:"n"`
	At int64 `json:"at"`
}

const memoryVersion = 1

// memoryKey is the store's key of a path. Its parts are those of shareKey, so that they can be told apart again.
func memoryKey(p Path) string { return shareKey("path", p.Route, p.Provider) }

// pathOfKey is the inverse of memoryKey; false for other keys, and for those that were too long.
func pathOfKey(key string) (Path, bool) {
	parts := strings.Split(key, "/")
	if len(parts) != 3 || parts[0] != "path" || len(key) >= maxShareKey {
		return Path{}, false
	}
	route, ok1 := unescape(parts[1])
	provider, ok2 := unescape(parts[2])
	return Path{route, provider}, ok1 && ok2
}

// unescape undoes what shareKey does to a name.
func unescape(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		var c byte
		if i+2 >= len(s) {
			return "", false
		}
		if _, err := fmt.Sscanf(s[i+1:i+3], "%02X", &c); err != nil {
			return "", false
		}
		b.WriteByte(c)
		i += 2
	}
	return b.String(), true
}

func milli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMilli(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// over reports whether a record is worth nothing any more: the path was not used for Idle, and neither its stop nor a measure runs. There is none at all when m is nil.
func (m *memory) over(now time.Time, l *Limiter) bool {
	return m == nil || m.idle(now, l) && !m.running(now, l)
}

// idle reports whether a path that was last used then is forgotten, with what it has learnt.
func (m *memory) idle(now time.Time, l *Limiter) bool {
	return now.Sub(fromMilli(m.At)) >= l.config.Idle
}

// running reports whether the stop or a measure is not over. An end that no stop or measure can have was written by a clock that is wrong, and does not count.
func (m *memory) running(now time.Time, l *Limiter) bool {
	if left := fromMilli(m.Until).Sub(now); m.Cause != "" && left > 0 && left <= l.longest {
		return true
	}
	for _, until := range m.Imposed {
		if left := fromMilli(until).Sub(now); left > 0 && left <= maxFor {
			return true
		}
	}
	return false
}

// keepMemory is what an exchange writes of a path that this process knows nothing of: the old record, renewed when it is time, for the next start and for others. One
// that is over, or nil, is removed. The Limiter is locked.
func (l *Limiter) keepMemory(now time.Time, key Path, m *memory, old []byte) ([]byte, error) {
	if m.over(now, l) {
		delete(l.sharing.written, key)
		delete(l.sharing.loaded, key)
		if old == nil {
			return nil, errNothingNew
		}
		return nil, nil
	}
	if at, ok := l.sharing.written[key]; !ok || now.Sub(at) < syncRenew {
		return nil, errNothingNew
	}
	l.sharing.written[key] = now
	return old, nil
}

// remember is what is worth keeping of a path; nil if nothing is.
func (p *path) remember(now time.Time) *memory {
	k := p.learnt
	if p.cause == "" && (k == nil || k.empty(now)) {
		return nil
	}
	m := &memory{
		Version: memoryVersion, At: milli(p.seen), Cause: p.cause, Until: milli(p.until), Began: milli(p.began), Length: p.length.Milliseconds(),
		Allowed: p.allowed, Goal: p.goal,
	}
	if k == nil {
		return m
	}
	if c := &k.conns; c.most > 0 {
		m.Connections = &memoryConnections{c.most, c.top, milli(c.at), c.wait.Milliseconds()}
	}
	if k.pace.rate > 0 {
		m.Pace = &memoryPace{k.pace.rate, k.pace.base, milli(k.pace.at)}
	}
	for _, n := range []struct {
		from *learntNumber
		to   **memoryNumber
	}{{&k.perConnection, &m.PerConnection}, {&k.recipients, &m.Recipients}} {
		if n.from.n > 0 {
			*n.to = &memoryNumber{n.from.n, milli(n.from.at)}
		}
	}
	for _, i := range k.imposed {
		if now.Before(i.until) {
			if m.Imposed == nil {
				m.Imposed = map[string]int64{}
			}
			m.Imposed[i.by.Name] = milli(i.until)
		}
	}
	return m
}

// parseMemory reads a record. One of another version, or that cannot be, is an error.
func parseMemory(data []byte) (*memory, error) {
	if data == nil {
		return nil, nil
	}
	m := &memory{}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("throttle: record of a path: %w", err)
	}
	if m.Version != memoryVersion {
		return nil, fmt.Errorf("throttle: record of a path: version %d, want %d", m.Version, memoryVersion)
	}
	return m, nil
}

// recall takes over what the store has of a path, as far as it is stricter than what the path knows itself. It reports whether anything changed.
func (p *path) recall(now time.Time, m *memory, l *Limiter) (changed bool) {
	if m == nil {
		return false
	}
	if !m.idle(now, l) || now.Before(fromMilli(m.Until)) {
		changed = p.recallStop(now, m, l)
	}
	changed = p.recallImposed(now, m, l) || changed
	if m.idle(now, l) { // only what runs outlives it
		return changed
	}
	b := &l.config.Backoff
	if c := m.Connections; c != nil && c.Most > 0 && (p.learnt == nil || p.learnt.conns.at.Before(fromMilli(c.At))) {
		p.lessons().conns = concurrency{
			most: max(b.MinConnections, c.Most), top: c.Top, at: fromMilli(c.At), wait: min(max(b.RaiseAfter, time.Duration(c.Wait)*time.Millisecond), b.MaxRaiseAfter),
		}
		changed = true
	}
	if c := m.Pace; c != nil && c.Rate > 0 && c.Base > 0 && (p.learnt == nil || p.learnt.pace.at.Before(fromMilli(c.At))) {
		if rate := max(c.Rate, b.MinMessageRate.perSecond()); p.configuredRate() == 0 || rate < p.configuredRate() {
			p.lessons().pace = pace{rate: rate, base: max(rate, c.Base), at: fromMilli(c.At)}
			changed = true
		}
	}
	if n := m.PerConnection; n != nil && n.N > 0 && (p.learnt == nil || p.learnt.perConnection.at.Before(fromMilli(n.At))) {
		p.lessons().perConnection = learntNumber{n.N, fromMilli(n.At)}
		changed = true
	}
	if n := m.Recipients; n != nil && n.N > 0 && (p.learnt == nil || p.learnt.recipients.at.Before(fromMilli(n.At))) {
		p.lessons().recipients = learntNumber{n.N, fromMilli(n.At)}
		changed = true
	}
	return changed
}

// recallImposed takes over the measures that run.
func (p *path) recallImposed(now time.Time, m *memory, l *Limiter) (changed bool) {
	for _, r := range l.config.Reactions.named(m.Imposed) {
		until := fromMilli(m.Imposed[r.Name])
		if !now.Before(until) || until.Sub(now) > r.For {
			continue
		}
		known := false
		for i := range p.lessons().imposed {
			if mine := &p.learnt.imposed[i]; mine.by == r {
				known = true
				if until.After(mine.until) {
					mine.until, changed = until, true
				}
			}
		}
		if !known && len(p.learnt.imposed) < maxImposed {
			p.learnt.imposed = append(p.learnt.imposed, imposed{r, until})
			changed = true
		}
	}
	return changed
}

// recallStop takes over a stop that ends later than the path's own.
func (p *path) recallStop(now time.Time, m *memory, l *Limiter) (changed bool) {
	if m == nil {
		return false
	}
	longest := now.Add(l.longest) // whatever the clocks of others say
	if until := fromMilli(m.Until); m.Cause != "" && until.After(p.until) && !until.After(longest) {
		goal := m.Goal
		if p.goal > 0 {
			goal = p.goal
		}
		p.cause, p.until, p.began, p.length = m.Cause, until, fromMilli(m.Began), time.Duration(m.Length)*time.Millisecond
		p.allowed, p.goal = max(1, m.Allowed), max(1, goal)
		if now.Before(until) {
			p.allowed = 1
		}
		changed = true
	}
	return changed
}

// named are the reactions of these names.
func (r *Reactions) named(names map[string]int64) (found []*Reaction) {
	if r == nil || len(names) == 0 {
		return nil
	}
	for i := range r.list {
		if _, ok := names[r.list[i].Name]; ok {
			found = append(found, &r.list[i].Reaction)
		}
	}
	return found
}
