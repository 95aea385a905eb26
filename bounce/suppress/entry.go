package suppress

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/reputemail/repute/bounce"
)

// Entry says that an address is suppressed, and why.
type Entry struct {
	// Address is the address in its one form; with Config.HashKey "hmac:" and its keyed hash in hexadecimal.
	Address string `json:"-"`
	// Stream is the stream for which it is suppressed; empty: all.
	Stream string `json:"stream,omitempty"`
	// Reason is why.
	Reason Reason `json:"reason"`
	// Category is that of the verdict that led to it, if one did.
	Category bounce.Category `json:"category,omitempty"`
	// Since is when it began.
	Since time.Time `json:"since"`
	// Until is when it ends; zero: never by itself.
	Until time.Time `json:"until,omitzero"`
	// Detail is in words: the rule that decided, or what an operator noted. Up to 200 bytes are kept.
	Detail string `json:"detail,omitempty"`
	// Strikes counts the strikes against an address that CheckAt does not find suppressed. Never stored.
	Strikes int `json:"-"`
}

// String tells of the entry without the address: "suppressed since 2026-03-10: dead, bad-mailbox (mailbox/unknown)".
func (e Entry) String() string {
	s := fmt.Sprintf("suppressed since %s: %s", e.Since.UTC().Format(time.DateOnly), e.Reason)
	if e.Category != "" {
		s += ", " + string(e.Category)
	}
	if e.Detail != "" {
		s += " (" + e.Detail + ")"
	}
	if !e.Until.IsZero() {
		s += " until " + e.Until.UTC().Format(time.DateOnly)
	}
	return s
}

// activeAt reports whether the entry holds at a time.
func (e *Entry) activeAt(now time.Time) bool { return e.Until.IsZero() || now.Before(e.Until) }

// Strike is an incident that counts against an address, but has not suppressed it yet.
type Strike struct {
	// Reason is what it was about.
	Reason Reason `json:"reason"`
	// At is when it happened.
	At time.Time `json:"at"`
}

// Release says who let an address in again, and why.
type Release struct {
	// Address is whom it is about. Required.
	Address string `json:"-"`
	// Stream is the stream for which it is let in; empty: all entries go.
	Stream string `json:"stream,omitempty"`
	// Actor is who did it, and Note why, in words. Up to 200 bytes of each are kept.
	Actor string `json:"actor,omitempty"`
	Note  string `json:"note,omitempty"`
	// At is when. Set by List.ReleaseAt.
	At time.Time `json:"at"`
}

// Status is all that is known of one address.
type Status struct {
	// Entries are those that hold or have ended and were not removed.
	Entries []Entry
	// Strikes are those that count.
	Strikes []Strike
	// Releases are the latest ones, oldest first.
	Releases []Release
}

// record is the value of one address in the store.
type record struct {
	Version int `json:"v"`
	// Address is missing where only hashes are stored.
	Address  string    `json:"address,omitempty"`
	Entries  []Entry   `json:"entries,omitempty"`
	Strikes  []Strike  `json:"strikes,omitempty"`
	Releases []Release `json:"releases,omitempty"`
	// Seen are the IDs of the latest incidents.
	Seen []string `json:"seen,omitempty"`
	// Last is when the record was changed.
	Last time.Time `json:"last"`
}

// What a record holds at most.
const (
	recordVersion = 1
	maxEntries    = 64 // one for each stream and reason; more streams than that are one for all
	maxSeen       = 32
	maxReleases   = 5
	maxDetail     = 200
	maxID         = 200
)

// decode reads a value of the store; nil is an empty record.
func decode(key string, value []byte) (*record, error) {
	r := &record{Version: recordVersion}
	if value == nil {
		return r, nil
	}
	if err := json.Unmarshal(value, r); err != nil {
		return nil, fmt.Errorf("suppress: the record %q cannot be read: %w", key, err)
	}
	if r.Version != recordVersion {
		return nil, fmt.Errorf("suppress: the record %q is of version %d; this program knows %d", key, r.Version, recordVersion)
	}
	return r, nil
}

// encode is the value of a record, or nil when there is nothing in it.
func (r *record) encode() ([]byte, error) {
	if len(r.Entries)+len(r.Strikes)+len(r.Releases)+len(r.Seen) == 0 {
		return nil, nil
	}
	return json.Marshal(r)
}

// find returns the entry that holds for a stream, one for all streams first.
func (r *record) find(now time.Time, stream string) *Entry {
	var found *Entry
	for i := range r.Entries {
		e := &r.Entries[i]
		if e.activeAt(now) && (e.Stream == "" || e.Stream == stream) && (found == nil || e.Stream == "") {
			found = e
		}
	}
	return found
}

// see notes the ID of an incident, and reports whether it is new.
func (r *record) see(id string) bool {
	if id == "" {
		return true
	}
	id = clip(id, maxID)
	if slices.Contains(r.Seen, id) {
		return false
	}
	r.Seen = append(r.Seen, id)
	if n := len(r.Seen) - maxSeen; n > 0 {
		r.Seen = slices.Delete(r.Seen, 0, n)
	}
	return true
}

// add puts an entry in. One of the same stream and reason that still holds stays, with its first date and the later end. It reports whether it is new.
func (r *record) add(now time.Time, e Entry) (*Entry, bool) {
	e.Detail = clip(e.Detail, maxDetail)
	for i := range r.Entries {
		old := &r.Entries[i]
		if old.Stream != e.Stream || old.Reason != e.Reason {
			continue
		}
		if !old.activeAt(now) {
			*old = e
			return old, true
		}
		if e.Until.IsZero() || !old.Until.IsZero() && old.Until.Before(e.Until) {
			old.Until = e.Until
		}
		return old, false
	}
	if len(r.Entries) >= maxEntries {
		e.Stream = ""
		r.Entries = slices.DeleteFunc(r.Entries, func(old Entry) bool { return old.Reason == e.Reason || !old.activeAt(now) })
		if len(r.Entries) >= maxEntries {
			r.Entries = r.Entries[1:]
		}
	}
	r.Entries = append(r.Entries, e)
	return &r.Entries[len(r.Entries)-1], true
}

// strike counts a strike, and reports whether the rule's measure is full.
func (r *record) strike(now time.Time, reason Reason, rule Rule) bool {
	r.Strikes = slices.DeleteFunc(r.Strikes, func(s Strike) bool {
		return s.Reason == reason && now.Sub(s.At) > rule.Within
	})
	var first, last time.Time
	n := 0
	for _, s := range r.Strikes {
		if s.Reason != reason {
			continue
		}
		if n++; first.IsZero() || s.At.Before(first) {
			first = s.At
		}
		if s.At.After(last) {
			last = s.At
		}
	}
	if n > 0 && now.Sub(last) < rule.Apart { // also when the clock was put back
		return false
	}
	if n > 0 && n+1 >= rule.Strikes && now.Sub(first) >= rule.Over {
		r.clear(reason)
		return true
	}
	if n >= maxStrikes { // enough of them, not long enough yet: the first stays, since it says how long it has been
		i := slices.IndexFunc(r.Strikes, func(s Strike) bool { return s.Reason == reason && !s.At.Equal(first) })
		r.Strikes = slices.Delete(r.Strikes, i, i+1)
	}
	r.Strikes = append(r.Strikes, Strike{Reason: reason, At: now})
	return false
}

// clear takes the strikes of a reason away.
func (r *record) clear(reason Reason) {
	r.Strikes = slices.DeleteFunc(r.Strikes, func(s Strike) bool { return s.Reason == reason })
}

// sorted are the entries in a steady order.
func sorted(entries []Entry) []Entry {
	slices.SortFunc(entries, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Reason, b.Reason))
	})
	return entries
}

// clip is the first n bytes of s, without half a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}
