package warmup

import (
	"context"
	"errors"
	"sync"
)

// errKeep says that a record is to stay as it is.
var errKeep = errors.New("warmup: record is kept")

// blankAt says that at a time the record says no more than its absence: the path stands at the plan's start, and nothing counts. It
// changes r when it says so.
func (r *record) blankAt(l *ladder, at int64) bool {
	m := r.ramp(l)
	m, _ = m.next(l, r.Provider, max(at, r.Seen), r.Sent, day{outcomes: r.outcomes(m.period)})
	if m.pos > 0 || m.period != 0 || m.told() || m.paused {
		return false
	}
	for _, s := range r.Owners {
		s.lapse(max(at, r.Seen))
		if !s.spent(max(at, r.Seen), 0) {
			return false
		}
	}
	return true
}

// prune removes the record of a path if it is blank at a time.
func (l *Ledger) prune(ctx context.Context, p Path, at int64) error {
	err := l.store.Update(ctx, recordKey(p), func(old []byte) ([]byte, error) {
		if old == nil {
			return nil, errKeep
		}
		rec, err := decodeRecord(old)
		if err != nil {
			return nil, err
		}
		if !rec.blankAt(l.ladders[p.Route], at) {
			return nil, errKeep
		}
		return nil, nil
	})
	if errors.Is(err, errKeep) {
		return nil
	}
	return err
}

// blank says that the record of p may be blank at a time, as far as this owner knows.
func (p *path) blank(at int64) bool {
	r := p.ahead(at)
	return p.outstanding == 0 && p.windows[dayWindow].usedAt(dayWindow, at) == 0 && r.pos == 0 && r.period == 0 && !r.told() && !r.paused
}

// writers is the number of paths that Open and Close write at the same time: a store may gather them into one write.
const writers = 32

// inParallel calls do for all, and returns the first few errors: enough to see what is wrong.
func inParallel[T any](all []T, do func(T) error) []error {
	var mu sync.Mutex
	var errs []error
	var wg sync.WaitGroup
	work := make(chan T)
	for range min(writers, len(all)) {
		wg.Go(func() {
			for one := range work {
				if err := do(one); err != nil {
					mu.Lock()
					if len(errs) < 8 {
						errs = append(errs, err)
					}
					mu.Unlock()
				}
			}
		})
	}
	for _, one := range all {
		work <- one
	}
	close(work)
	wg.Wait()
	return errs
}
