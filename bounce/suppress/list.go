package suppress

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/internal/address"
)

// ErrAddress says that a text is no mail address. Errors of a List wrap it, and do not show the address.
var ErrAddress = address.ErrMalformed

// Config configures a List. The zero Config is a list in memory with the default policy.
type Config struct {
	// Store keeps it. Defaults to a MemoryStore.
	Store Store
	// Policy says when an address is suppressed. Defaults as its fields say.
	Policy Policy
	// HashKey has only keyed hashes of addresses stored (HMAC-SHA-256): the list cannot be read back into addresses then, and not be used without
	// the key. Words with an at sign are taken out of notes as well. At least 16 bytes; it must stay the same, or nobody is found on the list any
	// more. Defaults to none: addresses are stored.
	HashKey []byte
	// FoldSubaddress takes "anna+news@example.com" for "anna@example.com". Defaults to false: some hosts have other people behind "+".
	FoldSubaddress bool
}

// List is the list of addresses that are not mailed. It is safe for concurrent use, also with other Lists on the same store.
type List struct {
	store Store
	rules map[Reason]Rule
	key   []byte
	fold  bool
}

// New checks the configuration and makes a List. An error names the field.
func New(cfg Config) (*List, error) {
	rules, err := cfg.Policy.rules()
	if err != nil {
		return nil, err
	}
	if cfg.HashKey != nil && len(cfg.HashKey) < 16 {
		return nil, fmt.Errorf("suppress: Config.HashKey: has %d bytes; at least 16 are needed", len(cfg.HashKey))
	}
	if cfg.Store == nil {
		cfg.Store = NewMemoryStore()
	}
	return &List{store: cfg.Store, rules: rules, key: slices.Clone(cfg.HashKey), fold: cfg.FoldSubaddress}, nil
}

// On is the same list by way of another store that has the same values: one that reads within a transaction, say.
func (l *List) On(store Store) *List {
	other := *l
	other.store = store
	return &other
}

// CheckAt tells whether mail of a stream to an address is suppressed, and by which entry: one for all streams rather than one for this. If it is
// not, Entry.Strikes says how many strikes there are against it. An error is the store's or ErrAddress.
func (l *List) CheckAt(ctx context.Context, now time.Time, stream, address string) (Entry, bool, error) {
	key, err := l.keyOf(address)
	if err != nil {
		return Entry{}, false, err
	}
	value, err := l.store.Get(ctx, key)
	if err != nil {
		return Entry{}, false, fmt.Errorf("suppress: %w", err)
	}
	if value == nil {
		return Entry{}, false, nil
	}
	r, err := decode(key, value)
	if err != nil {
		return Entry{}, false, err
	}
	if e := r.find(now, stream); e != nil {
		found := *e
		found.Address = key
		return found, true, nil
	}
	return Entry{Address: key, Strikes: len(r.Strikes)}, false, nil
}

// errNothing ends an Update that would write nothing new.
var errNothing = errors.New("nothing to write")

// ObserveAt takes an incident in. It returns the entry by which the address is suppressed now, if the incident led to one; told again, an incident
// leads to none. It is durable when it returns nil. An error is the store's, ErrAddress, or names the field.
func (l *List) ObserveAt(ctx context.Context, now time.Time, i Incident) (Entry, bool, error) {
	reason, counts := reasonOf(&i)
	switch i.Kind {
	case Bounced, Deferred, Delivered, Complained, Unsubscribed, Unconfirmed:
	default:
		return Entry{}, false, fmt.Errorf("suppress: Incident.Kind: %q is unknown", i.Kind)
	}
	key, err := l.keyOf(i.Address)
	if err != nil {
		return Entry{}, false, err
	}
	if err := checkStream(i.Stream); err != nil {
		return Entry{}, false, err
	}
	if i.Kind == Delivered {
		return Entry{}, false, l.acquit(ctx, now, key)
	}
	rule := l.rules[reason]
	if !counts || rule.Never {
		return Entry{}, false, nil
	}
	var led Entry
	suppressed := false
	err = l.update(ctx, now, key, func(r *record) error {
		led, suppressed = Entry{}, false
		if !r.see(i.ID) {
			return errNothing
		}
		if rule.Strikes > 1 && !r.strike(Strike{Reason: reason, At: now.UTC(), Late: i.Late}, rule) {
			return nil
		}
		e := Entry{Reason: reason, Since: now.UTC()}
		if i.Kind == Bounced || i.Kind == Deferred {
			e.Category, e.Detail = i.Verdict.Category, l.hide(i.Verdict.Rule)
		}
		if rule.OneStream {
			e.Stream = i.Stream
		}
		if rule.For > 0 {
			e.Until = e.Since.Add(rule.For)
		}
		entry, _ := r.add(now, e)
		led, suppressed = *entry, true
		return nil
	})
	if err != nil {
		return Entry{}, false, err
	}
	led.Address = key
	return led, suppressed, nil
}

// acquit takes the strikes of an address away, but for late ones. Nearly all addresses have none, which costs one Get.
func (l *List) acquit(ctx context.Context, now time.Time, key string) error {
	value, err := l.store.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("suppress: %w", err)
	}
	if value == nil {
		return nil
	}
	return l.update(ctx, now, key, func(r *record) error {
		before := len(r.Strikes)
		r.Strikes = slices.DeleteFunc(r.Strikes, func(s Strike) bool { return !s.Late })
		if len(r.Strikes) == before {
			return errNothing
		}
		return nil
	})
}

// update changes the record of a key. The error of change is returned, but for errNothing.
func (l *List) update(ctx context.Context, now time.Time, key string, change func(*record) error) error {
	err := l.store.Update(ctx, key, func(old []byte) ([]byte, error) {
		r, err := decode(key, old)
		if err != nil {
			return nil, err
		}
		if err := change(r); err != nil {
			return nil, err
		}
		if r.Last = now.UTC(); l.key == nil {
			r.Address = key
		}
		return r.encode()
	})
	if errors.Is(err, errNothing) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("suppress: %w", err)
	}
	return nil
}

// AddAt puts an address on the list by hand. Address and Reason are needed; Since defaults to now. An entry for that stream and reason that holds
// already stays, until the later end of the two; one that has ended is not put in. It reports whether the entry is new. An error is the store's,
// ErrAddress, or names the field.
func (l *List) AddAt(ctx context.Context, now time.Time, e Entry) (added bool, err error) {
	if !slices.Contains(Reasons(), e.Reason) {
		return false, &fieldError{"reason", fmt.Sprintf("%q is unknown", clip(string(e.Reason), 40))}
	}
	if e.Category != "" && !slices.Contains(bounce.Categories(), e.Category) {
		return false, &fieldError{"category", fmt.Sprintf("%q is unknown", clip(string(e.Category), 40))}
	}
	if err := checkStream(e.Stream); err != nil {
		return false, err
	}
	if e.Since.IsZero() {
		e.Since = now
	}
	e.Since, e.Until = e.Since.UTC(), e.Until.UTC()
	switch {
	case e.Since.Year() < 1 || e.Since.Year() > 9999: // JSON and RFC 3339 have no others
		return false, &fieldError{"since", "is not in the years 1 to 9999"}
	case e.Until.IsZero():
	case !e.Until.After(e.Since):
		return false, &fieldError{"until", "is not after since"}
	case e.Until.Year() > 9999:
		return false, &fieldError{"until", "is not in the years 1 to 9999"}
	}
	over := !e.activeAt(now)
	e.Detail = l.hide(e.Detail)
	key, err := l.keyOf(e.Address)
	if err != nil || over {
		return false, err
	}
	err = l.update(ctx, now, key, func(r *record) error {
		before := slices.Clone(r.Entries)
		if _, added = r.add(now, e); slices.Equal(before, r.Entries) {
			return errNothing
		}
		return nil
	})
	return added && err == nil, err
}

// ReleaseAt lets an address in again: for a stream, which leaves entries for all streams as they are, or for all. Its strikes are taken away, and
// incidents from before do not count again. It notes who did it, and reports whether there was an entry to take away. An error is the store's,
// ErrAddress, or names the field.
func (l *List) ReleaseAt(ctx context.Context, now time.Time, r Release) (released bool, err error) {
	key, err := l.keyOf(r.Address)
	if err != nil {
		return false, err
	}
	if err := checkStream(r.Stream); err != nil {
		return false, err
	}
	r.At, r.Actor, r.Note = now.UTC(), note(l.hide(r.Actor)), note(l.hide(r.Note))
	err = l.update(ctx, now, key, func(rec *record) error {
		before := len(rec.Entries)
		rec.Entries = slices.DeleteFunc(rec.Entries, func(e Entry) bool { return r.Stream == "" || e.Stream == r.Stream })
		released = len(rec.Entries) < before
		if !released && len(rec.Strikes) == 0 {
			return errNothing
		}
		rec.Strikes = nil
		rec.Releases = append(rec.Releases, r)
		if n := len(rec.Releases) - maxReleases; n > 0 {
			rec.Releases = slices.Delete(rec.Releases, 0, n)
		}
		return nil
	})
	return released && err == nil, err
}

// Lookup returns all that is known of an address; a zero Status when that is nothing. An error is the store's or ErrAddress.
func (l *List) Lookup(ctx context.Context, address string) (Status, error) {
	key, err := l.keyOf(address)
	if err != nil {
		return Status{}, err
	}
	value, err := l.store.Get(ctx, key)
	if err != nil {
		return Status{}, fmt.Errorf("suppress: %w", err)
	}
	r, err := decode(key, value)
	if err != nil {
		return Status{}, err
	}
	for i := range r.Entries {
		r.Entries[i].Address = key
	}
	for i := range r.Releases {
		r.Releases[i].Address = key
	}
	return Status{Entries: sorted(r.Entries), Strikes: r.Strikes, Releases: r.Releases}, nil
}

// Each calls fn for each entry, also those that have ended, in no order. It stops at the first error and returns it. fn must not use the List.
func (l *List) Each(ctx context.Context, fn func(Entry) error) error {
	return l.store.Load(ctx, func(key string, value []byte) error {
		r, err := decode(key, value)
		if err != nil {
			return err
		}
		for _, e := range sorted(r.Entries) {
			e.Address = key
			if err := fn(e); err != nil {
				return err
			}
		}
		return nil
	})
}
