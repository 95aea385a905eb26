package suppress

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

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
	// Strikes counts the strikes against an address that CheckAt does not find suppressed, also those that have become too old. Never stored.
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
	// Late is as in Incident.
	Late bool `json:"late,omitempty"`
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
	// Seen are the IDs of the latest incidents, as digests.
	Seen []string `json:"seen,omitempty"`
	// Last is when the record was changed.
	Last time.Time `json:"last"`
}

const recordVersion = 1

// What a record holds at most, so that its value is below 64 KiB.
const (
	maxEntries  = 64 // one for each stream and reason; more streams than that are one for all
	maxSeen     = 32
	maxReleases = 5
	maxDetail   = 200 // bytes
	maxStream   = 64  // bytes
)

// decode reads a value of the store; nil is an empty record.
func decode(key string, value []byte) (*record, error) {
	if value == nil {
		return &record{Version: recordVersion}, nil
	}
	r := &record{}
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
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // it would make texts six times as long
	if err := e.Encode(r); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
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

// see notes the ID of an incident, and reports whether it is new. It keeps a digest: strangers write some IDs, at any length and in bytes that
// JSON does not keep.
func (r *record) see(id string) bool {
	if id == "" {
		return true
	}
	sum := sha256.Sum256([]byte(id))
	id = base64.RawURLEncoding.EncodeToString(sum[:16])
	if slices.Contains(r.Seen, id) {
		return false
	}
	r.Seen = append(r.Seen, id)
	if n := len(r.Seen) - maxSeen; n > 0 {
		r.Seen = slices.Delete(r.Seen, 0, n)
	}
	return true
}

// add puts an entry in. One of the same stream and reason that still holds stays, with its first date and the later end. It reports whether it is
// new.
func (r *record) add(now time.Time, e Entry) (*Entry, bool) {
	e.Detail = note(e.Detail)
	for i := range r.Entries {
		old := &r.Entries[i]
		if old.Stream != e.Stream || old.Reason != e.Reason {
			continue
		}
		if !old.activeAt(now) {
			*old = e
			return old, true
		}
		old.extend(Entry{Since: old.Since, Until: e.Until})
		return old, false
	}
	if len(r.Entries) >= maxEntries {
		r.Entries = slices.DeleteFunc(r.Entries, func(old Entry) bool { return !old.activeAt(now) })
	}
	if len(r.Entries) >= maxEntries {
		r.gather()
	}
	r.Entries = append(r.Entries, e)
	return &r.Entries[len(r.Entries)-1], true
}

// gather makes the entries of the reason that has most of them into one for all streams, from the first date to the last end. More is suppressed
// then than was asked for, never less.
func (r *record) gather() {
	count := map[Reason]int{}
	var most Reason
	for _, e := range r.Entries {
		if count[e.Reason]++; count[e.Reason] > count[most] {
			most = e.Reason
		}
	}
	var all *Entry
	kept := make([]Entry, 0, maxEntries)
	for _, e := range r.Entries {
		switch {
		case e.Reason != most:
			kept = append(kept, e)
		case all == nil:
			e.Stream = ""
			kept = append(kept, e)
			all = &kept[len(kept)-1]
		default:
			all.extend(e)
		}
	}
	r.Entries = kept
}

// extend makes an entry last as long as another one, and begin as early.
func (e *Entry) extend(other Entry) {
	if other.Since.Before(e.Since) {
		e.Since = other.Since
	}
	if other.Until.IsZero() || !e.Until.IsZero() && e.Until.Before(other.Until) {
		e.Until = other.Until
	}
}

// strike counts a strike, and reports whether the rule's measure is full. It counts none from before the latest one, as it may come when a clock
// was put back; so the strikes of a reason are in the order of time.
func (r *record) strike(s Strike, rule Rule) bool {
	r.Strikes = slices.DeleteFunc(r.Strikes, func(old Strike) bool {
		return old.Reason == s.Reason && s.At.Sub(old.At) > rule.Within
	})
	n, second := 0, 0
	var first, last time.Time
	for i, old := range r.Strikes {
		if old.Reason != s.Reason {
			continue
		}
		switch n++; n {
		case 1:
			first = old.At
		case 2:
			second = i
		}
		last = old.At
	}
	if n > 0 && s.At.Sub(last) < rule.Apart {
		return false
	}
	if n > 0 && n+1 >= rule.Strikes && s.At.Sub(first) >= rule.Over {
		r.Strikes = slices.DeleteFunc(r.Strikes, func(old Strike) bool { return old.Reason == s.Reason })
		return true
	}
	if n >= maxStrikes { // enough of them, not long enough yet: the first stays, since it says how long it has been
		r.Strikes = slices.Delete(r.Strikes, second, second+1)
	}
	r.Strikes = append(r.Strikes, s)
	return false
}

// sorted are the entries in a steady order.
func sorted(entries []Entry) []Entry {
	slices.SortFunc(entries, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Reason, b.Reason))
	})
	return entries
}

// note is a text of others as it is kept: short, UTF-8 and without control characters.
func note(s string) string {
	s = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c // U+FFFD for what is not UTF-8
	}, clip(s, maxDetail))
	return strings.TrimSpace(clip(s, maxDetail))
}

// checkStream refuses names of streams that a record cannot keep.
func checkStream(s string) error {
	if len(s) > maxStream || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return &fieldError{"stream", fmt.Sprintf("is not UTF-8 of up to %d bytes without control characters", maxStream)}
	}
	return nil
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
