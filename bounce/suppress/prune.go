package suppress

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// PruneAt forgets what has no effect any more: entries that have ended and strikes that are too old, and addresses without either whose last
// incident was a year ago. It returns how many addresses it has forgotten. It goes through the whole store: once a day is enough.
func (l *List) PruneAt(ctx context.Context, now time.Time) (forgotten int, err error) {
	var stale []string
	err = l.store.Load(ctx, func(key string, value []byte) error {
		r, err := decode(key, value)
		if err != nil {
			return err
		}
		if l.prune(now, r) {
			stale = append(stale, key)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("suppress: %w", err)
	}
	for _, key := range stale {
		gone := false
		err := l.store.Update(ctx, key, func(old []byte) ([]byte, error) {
			gone = false
			r, err := decode(key, old)
			if err != nil {
				return nil, err
			}
			if !l.prune(now, r) {
				return nil, errNothing
			}
			value, err := r.encode()
			gone = value == nil
			return value, err
		})
		if err != nil && !errors.Is(err, errNothing) {
			return forgotten, fmt.Errorf("suppress: %w", err)
		}
		if gone {
			forgotten++
		}
	}
	return forgotten, nil
}

// prune takes out of a record what has no effect, and reports whether there was anything.
func (l *List) prune(now time.Time, r *record) bool {
	before := len(r.Entries) + len(r.Strikes) + len(r.Seen) + len(r.Releases)
	r.Entries = slices.DeleteFunc(r.Entries, func(e Entry) bool { return !e.activeAt(now) })
	r.Strikes = slices.DeleteFunc(r.Strikes, func(s Strike) bool { return now.Sub(s.At) > l.rules[s.Reason].Within })
	if len(r.Entries)+len(r.Strikes) == 0 && now.Sub(r.Last) > 365*days {
		r.Seen, r.Releases = nil, nil
	}
	return len(r.Entries)+len(r.Strikes)+len(r.Seen)+len(r.Releases) < before
}
