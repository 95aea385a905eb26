package engagement

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Invitation is a confirmation message to send.
type Invitation struct {
	// Address is whom it goes to, in its normal form.
	Address string
	// Token is what the link holds: letters, digits, hyphens and underscores, some 70 of them, that tell nobody the address.
	Token string
	// Number is the message's number for the address, counted from 1, of Of.
	Number, Of int
	// Expires is when the token stops being good.
	Expires time.Time
}

// DueAt gives up to n confirmation messages to send now, and counts them as sent: what the host does not send is not given again. It
// should be called at next, or once an hour at least: what an hour may take and does not is not made up for by the next one.
//
// next is when it is worth to ask again: now when n was what limited, otherwise when the trickle has more or the next message is due,
// and never later than the index's next refresh, since other processes may add addresses.
//
// The invitations are good with an error, too: the step after them failed, in the store or by the end of ctx. Where it is not known
// whether a message was counted it is not given. Safe for concurrent use; see the package's comment for several processes.
func (c *Campaign) DueAt(ctx context.Context, now time.Time, n int) (invitations []Invitation, next time.Time, err error) {
	if n <= 0 {
		return nil, now, nil
	}
	if err := c.lock(ctx); err != nil {
		return nil, now, err
	}
	defer c.unlock()
	at := stamp(now)
	for len(invitations) < n {
		batch, err := c.take(ctx, at, n-len(invitations))
		if err != nil {
			return invitations, now, err
		}
		if len(batch) == 0 {
			return invitations, c.next(at), nil
		}
		granted, free, err := c.reserve(ctx, at, len(batch))
		for _, w := range batch[granted:] {
			c.file(w.address, w.record)
		}
		if err != nil {
			return invitations, now, err
		}
		marked, err := c.markAll(ctx, at, batch[:granted])
		if invitations = append(invitations, marked...); err != nil {
			return invitations, now, err
		}
		if granted < len(batch) {
			return invitations, unstamp(free), nil
		}
	}
	return invitations, now, nil
}

// waiting is an address whose turn it is, and its record.
type waiting struct {
	address string
	record  record
}

// take gets up to n addresses from the index whose turn it is, by their records: those who had a message first.
func (c *Campaign) take(ctx context.Context, at int64, n int) ([]waiting, error) {
	if err := c.reindex(ctx, at, false); err != nil {
		return nil, err
	}
	var batch []waiting
	for len(batch) < n {
		x := &c.index
		if x.again.dry() || x.fresh.dry() && !x.again.ready(at) {
			if len(batch) > 0 { // Mark these first, or they are found again.
				break
			}
			if err := c.reindex(ctx, at, true); err != nil {
				return nil, err
			}
		}
		l := &x.again
		if !l.ready(at) {
			l = &x.fresh
		}
		if len(l.entries) == 0 {
			break
		}
		e := l.take()
		r, err := c.record(ctx, e.address)
		if err != nil {
			l.put(e)
			for _, w := range batch {
				c.file(w.address, w.record)
			}
			return nil, fmt.Errorf("engagement: %s: %w", place(e.address), err)
		}
		if c.due(r, at) { // Otherwise somebody else was there before, and the next refresh finds what is to come.
			batch = append(batch, waiting{e.address, r})
		}
	}
	return batch, nil
}

// due reports whether a record's address may have a message.
func (c *Campaign) due(r record, at int64) bool {
	return r.state == StateInvited && r.sent < c.cfg.MaxMessages && (r.sent == 0 || r.last+int64(c.cfg.Interval) <= at)
}

// markAll counts a message for each of the batch, and gives back what of the trickle is not used.
func (c *Campaign) markAll(ctx context.Context, at int64, batch []waiting) ([]Invitation, error) {
	invitations := make([]Invitation, 0, len(batch))
	expires := unstamp(at).Add(c.cfg.TokenLife)
	unused := 0
	for i, w := range batch {
		var marked record
		err := c.update(ctx, w.address, func(r record) (record, error) {
			if !c.due(r, at) {
				return r, errUnchanged
			}
			marked = record{r.state, r.sent + 1, r.since, at}
			return marked, nil
		})
		if errors.Is(err, errUnchanged) {
			unused++
			continue
		}
		if err != nil { // This one may be counted.
			for _, w := range batch[i:] {
				c.file(w.address, w.record)
			}
			unused += len(batch) - i - 1
			return invitations, errors.Join(fmt.Errorf("engagement: mark %s: %w", place(w.address), err), c.refund(ctx, at, unused))
		}
		c.file(w.address, marked)
		invitations = append(invitations, Invitation{
			Address: w.address, Token: c.sealers[0].seal(w.address, expires),
			Number: marked.sent, Of: c.cfg.MaxMessages, Expires: expires,
		})
	}
	return invitations, c.refund(ctx, at, unused)
}

// file puts an address into the index.
func (c *Campaign) file(address string, r record) {
	if l, due := c.index.of(c, r); l != nil {
		l.put(entry{due, address})
	}
}

// next is when DueAt may find somebody, if nobody is there now.
func (c *Campaign) next(at int64) time.Time {
	next := c.index.loaded + int64(c.cfg.Refresh)
	if due, ok := c.index.again.first(); ok {
		next = min(next, due)
	}
	return unstamp(max(next, at))
}

// lock waits until nobody else has the index.
func (c *Campaign) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case c.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Campaign) unlock() { <-c.busy }
