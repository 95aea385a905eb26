package engagement

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// maxFailures is how many addresses SweepAt cannot give up before it stops: the suppression is away then.
const maxFailures = 10

// SweepAt gives up on the addresses whose time to confirm is over, oldest first: it closes the record, so that nobody can confirm any
// more, calls Suppress, and marks the address as lapsed. A sweep that was cut off in between is made good by the next one.
// It should be called at least once a day.
//
// It returns how many have lapsed. An error does not stop it before ten addresses have failed or ctx ends; it says how many and holds
// the first one's. They are tried again by the next sweep. Safe for concurrent use, in several processes too.
func (c *Campaign) SweepAt(ctx context.Context, now time.Time) (lapsed int, err error) {
	if err := c.lock(ctx); err != nil {
		return 0, err
	}
	defer c.unlock()
	at := stamp(now)
	if err := c.reindex(ctx, at, false); err != nil {
		return 0, err
	}
	if err := c.redate(ctx, at); err != nil {
		return 0, err
	}
	var failed []entry
	for len(failed) < maxFailures && ctx.Err() == nil {
		if c.index.lapse.dry() && len(failed) == 0 {
			if err := c.reindex(ctx, at, true); err != nil {
				return lapsed, err
			}
		}
		if !c.index.lapse.ready(at) {
			break
		}
		e := c.index.lapse.take()
		ok, giveUpErr := c.giveUp(ctx, at, e.address)
		if ok {
			lapsed++
		}
		if giveUpErr != nil {
			if err == nil {
				err = fmt.Errorf("%s: %w", place(e.address), giveUpErr)
			}
			failed = append(failed, entry{at, e.address}) // After the others.
		}
	}
	for _, e := range failed {
		c.index.lapse.put(e)
	}
	switch {
	case len(failed) > 0:
		return lapsed, fmt.Errorf("engagement: could not give up %d, the first: %w", len(failed), err)
	default:
		return lapsed, ctx.Err()
	}
}

// giveUp ends an address's time, if it is over. ok says that it has lapsed by this.
func (c *Campaign) giveUp(ctx context.Context, at int64, address string) (ok bool, err error) {
	var sent int
	err = c.update(ctx, address, func(r record) (record, error) {
		over := r.state == StateInvited && r.sent >= c.cfg.MaxMessages && r.last+int64(c.cfg.GiveUpAfter) <= at
		if !over && r.state != stateLapsing {
			return r, errUnchanged
		}
		sent = r.sent
		return record{stateLapsing, r.sent, at, r.last}, nil
	})
	if errors.Is(err, errUnchanged) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if c.cfg.Suppress != nil {
		if err := c.cfg.Suppress(ctx, address, fmt.Sprintf("did not confirm after %d messages", sent)); err != nil {
			return false, fmt.Errorf("suppress: %w", err)
		}
	}
	err = c.update(ctx, address, func(r record) (record, error) {
		if r.state != stateLapsing { // ConfirmAddress, or another process.
			return r, errUnchanged
		}
		return record{StateLapsed, r.sent, r.since, r.last}, nil
	})
	if errors.Is(err, errUnchanged) {
		return false, nil
	}
	return err == nil, err
}

// redate takes messages that are on record for more than a day later than now for ones of now.
func (c *Campaign) redate(ctx context.Context, at int64) error {
	for len(c.index.ahead) > 0 {
		address := c.index.ahead[0]
		var redated record
		err := c.update(ctx, address, func(r record) (record, error) {
			if r.state != StateInvited || r.last <= at+dayWindow {
				return r, errUnchanged
			}
			redated = record{r.state, r.sent, min(r.since, at), at}
			return redated, nil
		})
		if err != nil && !errors.Is(err, errUnchanged) {
			return fmt.Errorf("engagement: %s: %w", place(address), err)
		}
		if err == nil {
			c.file(address, redated)
		}
		c.index.ahead = c.index.ahead[1:]
	}
	return nil
}
