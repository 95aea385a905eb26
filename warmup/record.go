package warmup

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
)

// recordVersion is the version of the record format. A record of a later version is refused, never overwritten.
const recordVersion = 1

// errOwner is the refusal of a ledger whose owner name was taken over by a later one.
var errOwner = errors.New("warmup: another ledger has taken over this owner name")

// record is what the store holds for one path: where it stands, and what every owner (process) has used and may still use.
type record struct {
	Version  int    `json:"v"`
	Route    string `json:"route"`
	Provider string `json:"provider"`
	// Plan and Cap are the plan's name and the day cap of the position, to recognise a changed plan.
	Plan string `json:"plan,omitempty"`
	Cap  int    `json:"cap"`
	// Stage is ramp.pos; Complete says that it is the top.
	Stage     int    `json:"stage"`
	Complete  bool   `json:"complete,omitempty"`
	Since     int64  `json:"since,omitempty"`
	Period    int64  `json:"period,omitempty"`
	Cause     Cause  `json:"cause,omitempty"`
	Back      bool   `json:"back,omitempty"`
	Tries     int8   `json:"tries,omitempty"`
	Carry     carry  `json:"carry,omitzero"`
	Before    uint32 `json:"before,omitempty"`
	Paused    bool   `json:"paused,omitempty"`
	Fresh     bool   `json:"fresh,omitempty"`
	Touched   int64  `json:"touched,omitempty"`
	IdleFrom  int64  `json:"idle_from,omitempty"`
	IdleSteps int16  `json:"idle_steps,omitempty"`
	// Seen is the latest time that any owner acted at; Sent is when any owner last sent. Nanoseconds since 1970, like all times here.
	Seen int64 `json:"seen"`
	Sent int64 `json:"sent,omitempty"`
	// Owners are the shares of the processes by Config.Owner.
	Owners map[string]share `json:"owners"`
}

// share is what one owner has used, and has been promised.
type share struct {
	// Session is the random name of the ledger that wrote the share.
	Session string `json:"session"`
	// Used are the windows in the order of kind: bucket number and count by turns, oldest first.
	Used [kinds][]int64 `json:"used"`
	// Ahead is how much more the owner may use without writing again: what was promised, and what is outstanding. All of it has been used,
	// or never will be, at Until, which is no later than promiseLife after record.Seen.
	Ahead int   `json:"ahead,omitempty"`
	Until int64 `json:"until,omitempty"`
	// Outcomes were observed in the day that began at Period.
	Outcomes counts `json:"outcomes"`
	Period   int64  `json:"period,omitempty"`
	// Plan tells the plan of the owner from others, and Caps are those of its stage: owners with another plan keep within them too.
	Plan uint64     `json:"plan,omitempty"`
	Caps [kinds]int `json:"caps,omitzero"`
}

// recordKey is the key of a path in the store.
func recordKey(p Path) string {
	provider := p.Provider
	if len(provider) > maxName {
		sum := sha256.Sum256([]byte(provider))
		provider = "sha256:" + hex.EncodeToString(sum[:])
	}
	return url.PathEscape(p.Route) + "/" + url.PathEscape(provider)
}

// maxName is the longest route name, and the longest provider name that is kept as it is in keys, in bytes. Escaped, a key stays under
// 1 KiB.
const maxName = 128

// decodeRecord reads a record and refuses what this version could not have written.
func decodeRecord(data []byte) (*record, error) {
	var r record
	err := json.Unmarshal(data, &r)
	if err != nil {
		// A later version may have other types in its fields: it deserves to be called so.
		var head struct {
			Version int `json:"v"`
		}
		if json.Unmarshal(data, &head) == nil {
			r.Version = head.Version
		}
	}
	if r.Version > recordVersion {
		return nil, fmt.Errorf("warmup: record of version %d: this program knows versions up to %d", r.Version, recordVersion)
	}
	if err != nil {
		return nil, fmt.Errorf("warmup: unreadable record: %w", err)
	}
	if r.Owners == nil {
		r.Owners = make(map[string]share)
	}
	for name, s := range r.Owners {
		if s.Ahead > 0 && s.Until == 0 { // Without a date it could lapse at once.
			s.Until = r.Seen + promiseLife
			r.Owners[name] = s
		}
	}
	if err := r.validate(); err != nil {
		return nil, fmt.Errorf("warmup: corrupted record: %w", err)
	}
	return &r, nil
}

func (r *record) validate() error {
	switch {
	case r.Version < 1:
		return fmt.Errorf("v is %d", r.Version)
	case r.Stage < 0 || r.Stage > MaxStages:
		return fmt.Errorf("stage is %d", r.Stage)
	case r.Cap < 1 || r.Cap > MaxCap:
		return fmt.Errorf("cap is %d", r.Cap)
	case r.IdleSteps < 0:
		return fmt.Errorf("idle_steps is %d", r.IdleSteps)
	case r.Tries < 0:
		return fmt.Errorf("tries is %d", r.Tries)
	}
	for _, at := range [...]struct {
		field string
		ns    int64
	}{{"since", r.Since}, {"period", r.Period}, {"idle_from", r.IdleFrom}, {"seen", r.Seen}, {"sent", r.Sent}, {"touched", r.Touched}} {
		if at.ns < 0 || at.ns > maxUnix*1e9 {
			return fmt.Errorf("%s is %d", at.field, at.ns)
		}
	}
	for name, s := range r.Owners {
		if err := s.validate(r.Seen); err != nil {
			return fmt.Errorf("owner %q: %w", name, err)
		}
	}
	return nil
}

func (s share) validate(seen int64) error {
	if s.Ahead < 0 || s.Ahead > maxAhead {
		return fmt.Errorf("ahead is %d", s.Ahead)
	}
	if s.Until < 0 || s.Until > seen+promiseLife {
		return fmt.Errorf("until is %d", s.Until)
	}
	for k := range kinds {
		w, err := unpackWindow(k, s.Used[k])
		if err != nil {
			return fmt.Errorf("used %d: %w", k, err)
		}
		if len(w.buckets) > 0 && int64(w.newest)*k.span().width > seen {
			return fmt.Errorf("used %d: bucket %d is later than seen", k, w.newest)
		}
	}
	return nil
}

// maxAhead bounds a promise: outstanding reservations of a complete path count in it, so it is larger than MaxCap.
const maxAhead = 1 << 40

// maxCount bounds a bucket on record. It fills every window.
const maxCount = MaxCap

// pack is the window at time at in the form of the record.
func (w *window) pack(k kind, at int64) []int64 {
	w.prune(k, at)
	pairs := make([]int64, 0, 2*len(w.buckets))
	for _, b := range w.buckets {
		number := w.number(b)
		if i := len(pairs); i > 0 && pairs[i-2] == number {
			pairs[i-1] = min(pairs[i-1]+int64(b.n), maxCount)
			continue
		}
		pairs = append(pairs, number, int64(b.n))
	}
	return pairs
}

// unpackWindow is the inverse of pack.
func unpackWindow(k kind, pairs []int64) (window, error) {
	var w window
	if len(pairs)%2 != 0 {
		return w, errors.New("odd number of values")
	}
	s := k.span()
	last := int64(-1)
	for i := 0; i < len(pairs); i += 2 {
		number, n := pairs[i], pairs[i+1]
		switch {
		case number <= last || number > maxUnix*1e9/s.width:
			return w, fmt.Errorf("bucket %d out of order or range", number)
		case n < 1 || n > maxCount:
			return w, fmt.Errorf("count %d out of range", n)
		}
		last = number
		w.add(k, number*s.width, int(n))
	}
	return w, nil
}

// ramp is the position that the record holds, moved where the plan is not the one that the record was written under: to the highest
// stage whose day cap is no more than what was reached.
func (r *record) ramp(l *ladder) ramp {
	m := ramp{pos: r.Stage, since: r.Since, period: r.Period, cause: r.Cause, paused: r.Paused, idleFrom: r.IdleFrom, idleSteps: r.IdleSteps,
		carry: r.Carry, before: r.Before, back: r.Back, tries: r.Tries, fresh: r.Fresh, touched: r.Touched}
	if r.Complete == (m.pos >= l.top()) && l.dayCap(m.pos) == r.Cap && m.pos <= l.top() {
		return m
	}
	m.pos = 0
	for m.pos < l.top()-1 && l.caps[m.pos+1][dayWindow] <= r.Cap {
		m.pos++
	}
	if r.Complete && l.dayCap(l.top()) <= r.Cap {
		m.pos = l.top()
	}
	m.period, m.cause, m.carry, m.back, m.tries = 0, CausePlan, carry{}, false, 0
	return m
}

// setRamp is the inverse of ramp.
func (r *record) setRamp(m ramp, l *ladder) {
	r.Plan, r.Cap = l.name, l.dayCap(m.pos)
	r.Stage, r.Complete = m.pos, m.pos >= l.top()
	r.Since, r.Period, r.Cause, r.Paused = m.since, m.period, m.cause, m.paused
	r.IdleFrom, r.IdleSteps = m.idleFrom, m.idleSteps
	r.Before = m.before
	r.Carry, r.Back, r.Tries, r.Fresh, r.Touched = m.carry, m.back, m.tries, m.fresh, m.touched
}

// outcomes is what the owners on record have observed in the day that began at period.
func (r *record) outcomes(period int64) counts {
	var c counts
	for _, s := range r.Owners {
		if s.Period == period {
			c.addAll(s.Outcomes)
		}
	}
	return c
}
