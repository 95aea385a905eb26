package throttle

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// How processes share a limit.
//
// A Store has one record for each shared limit, with an entry for each process that uses it (an owner): its share, what it wants, the
// limit that it was configured with, and a beat. About once a second, or four times while it waits for its part, a process exchanges: in one Update it reads the record, decides on its
// own share, and writes it. It never changes the share of another one that is alive. The rules:
//
//  1. The limit is the smallest that any live owner has. The shares of all live owners together never grow beyond it: a share grows only by
//     what is free at that moment.
//  2. What each should have follows from the record alone, so all see it alike (divide): who wants little gets what it wants, at least a small
//     foothold; the others get the rest in equal parts. When nobody is short, half of what is left is spread over those that want something, and half is free for
//     whoever wants it first.
//  3. A share that is too large shrinks at once, before the record says so; one that is too small grows when the record does. A share of
//     connections shrinks no further than to those that are open, and these are closed as they come to an end. So what is taken
//     from one is never used twice, and a newcomer has its part when each of the others has exchanged once, and it then once more.
//  4. When there are fewer connections than owners that want one, they have them in turn: who had one for turnTime goes to the end of the
//     line when somebody waits.
//  5. An owner is dead when its beat has not changed for the TTL, counted by the clock of whoever looks, and only over time in which that
//     one was looking: of the time between two of its own exchanges at most a quarter of the TTL counts. So no clocks are compared, and after an
//     outage of the store nobody is taken for dead who merely comes back a little later. The share of a dead owner is free.
//  6. Without the store every process goes on with the share that it has. One that is cut off alone for more than the TTL is dead to
//     the others: what they use together is then above the limit by the shares of those cut off, each at most the limit.
//     When it comes back it has to wait until something is free.
//  7. Whoever finds its entry gone (it was taken for dead, or the store has lost the record) does not grow for its next few exchanges. So a
//     lost record costs nothing until a newcomer meets the empty one, and then about a second of what the others had.
//
// Rates have tokens too (sharedRate). What one does not use of its share of a second, and another one could, goes through a pot in the record.

// shareKind is what a limit counts.
type shareKind string

// The kinds.
const (
	// shareRate: events per second, in billionths.
	shareRate shareKind = "rate"
	// shareConnections: open connections.
	shareConnections shareKind = "connections"
)

// Bounds of a record.
const (
	maxOwners    = 1000
	maxOwnerName = 255 // bytes
	maxShareKey  = 512 // bytes
	// one is an event, and a rate of one event per second, in the unit of shareRate.
	one = 1_000_000_000
	// maxShare bounds every amount, so that a few can be added.
	maxShare = maxRate * one
)

// shareRecord is what the store has for a limit.
type shareRecord struct {
	Version int       `json:"v"`
	Kind    shareKind `json:"k"`
	// Pot are tokens that anybody who is short of some may take; of rates only.
	Pot int64 `json:"p,omitempty"`
	// Owners are sorted by name.
	Owners []shareEntry `json:"o"`
}

// shareEntry is one owner's part of a record. Share, Want and Limit are in the unit of the kind.
type shareEntry struct {
	Owner string `json:"o"`
	Share int64  `json:"s"`
	// Want is what the owner could use: its Limit if that is more than it has.
	Want int64 `json:"w"`
	// Limit is the owner's own opinion of the limit.
	Limit int64 `json:"l"`
	// Beat changes with each exchange.
	Beat uint64 `json:"b"`
	// Turn is the place in the line for what cannot be divided: the smaller, the sooner.
	Turn uint64 `json:"t,omitempty"`
}

const shareVersion = 1

// parseShares reads a record; nil is an empty one.
func parseShares(data []byte, kind shareKind) (*shareRecord, error) {
	r := &shareRecord{Version: shareVersion, Kind: kind}
	if data == nil {
		return r, nil
	}
	r.Version, r.Kind = 0, ""
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("throttle: record of shares: %w", err)
	}
	if err := r.check(kind); err != nil {
		return nil, fmt.Errorf("throttle: record of shares: %w", err)
	}
	return r, nil
}

// check refuses what bytes never writes.
func (r *shareRecord) check(kind shareKind) error {
	switch {
	case r.Version != shareVersion:
		return fmt.Errorf("version %d, want %d", r.Version, shareVersion)
	case r.Kind != kind:
		return fmt.Errorf("it counts %q, want %q", r.Kind, kind)
	case r.Pot < 0 || r.Pot > maxShare:
		return fmt.Errorf("pot of %d", r.Pot)
	case len(r.Owners) == 0 || len(r.Owners) > maxOwners:
		return fmt.Errorf("%d owners", len(r.Owners))
	}
	sum := int64(0)
	for i, e := range r.Owners {
		switch {
		case checkOwner(e.Owner) != nil:
			return checkOwner(e.Owner)
		case i > 0 && r.Owners[i-1].Owner >= e.Owner:
			return fmt.Errorf("owner %q is out of order", e.Owner)
		case e.Share < 0 || e.Share > maxShare || e.Want < 0 || e.Want > maxShare || e.Limit <= 0 || e.Limit > maxShare:
			return fmt.Errorf("owner %q has %d of %d and wants %d", e.Owner, e.Share, e.Limit, e.Want)
		}
		if sum += e.Share; sum > 4*maxShare {
			return errors.New("the shares are too large")
		}
	}
	return nil
}

// bytes is the record as the store has it; nil for one without owners.
func (r *shareRecord) bytes() ([]byte, error) {
	if len(r.Owners) == 0 {
		return nil, nil
	}
	return json.Marshal(r)
}

// find returns the place of an owner, and whether it is there.
func (r *shareRecord) find(owner string) (int, bool) {
	return slices.BinarySearchFunc(r.Owners, owner, func(e shareEntry, name string) int { return cmp.Compare(e.Owner, name) })
}

// limit is the strictest of all owners' limits, and others the sum of the shares but for that of the i-th.
func (r *shareRecord) limit(i int) (limit, others int64) {
	limit = maxShare
	for j, e := range r.Owners {
		limit = min(limit, e.Limit)
		if j != i {
			others += e.Share
		}
	}
	return limit, others
}

// lastTurn is the largest Turn.
func (r *shareRecord) lastTurn() uint64 {
	last := uint64(0)
	for _, e := range r.Owners {
		last = max(last, e.Turn)
	}
	return last
}

// foothold is what an owner has that wants nothing, so that it can begin at once: all of them together at most a fiftieth of a
// rate, or an eighth of the connections. An owner of few connections has to ask first.
func foothold(kind shareKind, limit int64, owners int) int64 {
	if kind == shareRate {
		return limit / 50 / int64(owners)
	}
	return min(1, limit/8/int64(owners))
}

// division says what each owner should have.
type division struct {
	goals []int64 // in the order of the record
	// short is how many owners want more than there is for them.
	short int
	// level is what each of the short ones has at least.
	level int64
}

// divide divides a limit by the wants of the owners, as max-min fairness has it. The goals add up to the limit when somebody is short, and
// to less otherwise.
func (r *shareRecord) divide(limit int64) division {
	n := len(r.Owners)
	d := division{goals: make([]int64, n)}
	least := foothold(r.Kind, limit, n)
	order := make([]int, n)
	for i, e := range r.Owners {
		order[i] = i
		d.goals[i] = min(max(e.Want, least), limit)
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(d.goals[a], d.goals[b]) })
	rest := limit
	for len(order) > 0 && d.goals[order[0]] <= rest/int64(len(order)) {
		rest -= d.goals[order[0]]
		order = order[1:]
	}
	// Those that are left want more than an equal part. If none are, those that want anything have something on top.
	if d.short = len(order); d.short > 0 {
		for _, i := range order {
			d.goals[i] = 0
		}
	} else {
		rest /= 2
		order = order[:0]
		for i, e := range r.Owners {
			if e.Want > least {
				order = append(order, i)
			}
		}
		if len(order) == 0 {
			return d
		}
	}
	part, odd := rest/int64(len(order)), rest%int64(len(order))
	d.level = part
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(r.Owners[a].Turn, r.Owners[b].Turn) })
	for place, i := range order {
		d.goals[i] += part
		if int64(place) < odd {
			d.goals[i]++
		}
	}
	return d
}

// checkOwner refuses what cannot name an owner.
func checkOwner(name string) error {
	if name == "" || len(name) > maxOwnerName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return fmt.Errorf("owner %.80q: want 1 to %d bytes of UTF-8 without control characters", name, maxOwnerName)
	}
	return nil
}

// shareKey is the store's key of a shared limit: "messages/mta1/google". Names may hold anything; the end of a key that is too long for a
// store becomes its hash.
func shareKey(what string, names ...string) string {
	var b strings.Builder
	b.WriteString(what)
	for _, name := range names {
		b.WriteByte('/')
		for i := 0; i < len(name); i++ {
			if c := name[i]; c <= ' ' || c >= 0x7f || c == '/' || c == '%' {
				fmt.Fprintf(&b, "%%%02X", c)
			} else {
				b.WriteByte(c)
			}
		}
	}
	key := b.String()
	if len(key) > maxShareKey {
		sum := sha256.Sum256([]byte(key))
		key = key[:maxShareKey-2*len(sum)] + hex.EncodeToString(sum[:])
	}
	return key
}

// How a process takes part. They are the same for all processes that share a limit.
const (
	defaultTTL = 15 * time.Second
	// exchangeEvery is how often a limit in use is exchanged.
	exchangeEvery = time.Second
	// hastyFor is for how many exchanges a newcomer comes four times as often, since it has to find out what it wants. So does, as long
	// as it takes, who has less than it should have.
	hastyFor = 4
	// turnTime is how long an owner may have a connection when others wait for one.
	turnTime = 10 * time.Second
	// waryFor is for how many exchanges a share does not grow after its entry was found gone.
	waryFor = 3
)
