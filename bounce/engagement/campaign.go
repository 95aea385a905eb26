package engagement

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/reputemail/repute/bounce/suppress"
)

// Bounds and defaults of a campaign.
const (
	// DefaultMaxMessages is how many messages an address gets.
	DefaultMaxMessages = 2
	// DefaultInterval is the time between them.
	DefaultInterval = 7 * day
	// DefaultGiveUpAfter is the time from the last one to giving up.
	DefaultGiveUpAfter = 14 * day
	// DefaultPerDay is how many messages a campaign sends in 24 hours.
	DefaultPerDay = 500
	// DefaultRefresh is how old the index may be.
	DefaultRefresh = time.Hour

	maxMessages = 10
	maxPerDay   = 10_000_000
	maxTime     = 10 * 365 * day
)

// CampaignConfig is what a Campaign is made of.
type CampaignConfig struct {
	// Store has the records of this campaign and nothing else, of at most 16 KiB each. The State of a queue in a database is one, if
	// the campaign gets a kind of its own. It is required.
	Store suppress.Store
	// Stream is the stream of the confirmation messages. A Gate admits invited addresses there. It should carry nothing else,
	// since the gate does not know one message from another. It is required, and part of what tokens are made from.
	Stream string
	// Key is the secret that tokens are made with: at least 16 random octets, the same in all processes. It is required.
	Key []byte
	// OldKeys are former keys, whose tokens are still taken. Defaults to none.
	OldKeys [][]byte
	// MaxMessages is k, the largest number of messages to an address, at most 10. Defaults to 2.
	MaxMessages int
	// Interval is the shortest time between two messages to an address, at most ten years like all times here. Defaults to 7 days.
	Interval time.Duration
	// GiveUpAfter is the time to confirm after the last message. Defaults to 14 days.
	GiveUpAfter time.Duration
	// TokenLife is how long a token is good. Defaults to all the time that an address has if no message waits for the trickle:
	// Interval times MaxMessages-1, and GiveUpAfter.
	TokenLife time.Duration
	// PerDay is the largest number of messages in any 24 hours, at most ten million, over all processes on the store. A twentieth of it,
	// rounded up, is the most in any 50 minutes. Defaults to 500.
	PerDay int
	// Refresh is how old the index of who is due may be: what other processes add is seen by then. Each time all records are
	// read. Defaults to an hour.
	Refresh time.Duration
	// Suppress is told of an address that did not confirm, with a reason in words, before it is marked as lapsed. It should be
	// durable when it returns nil. It may be called twice for an address, must not call SweepAt or DueAt of the campaign, and
	// after an error it is called again by a later SweepAt. Defaults to nil: addresses are only marked, and the Gate refuses them.
	Suppress func(ctx context.Context, address, reason string) error
}

// complete fills in the defaults, or says which field is wrong.
func (c *CampaignConfig) complete() error {
	switch {
	case c.Store == nil:
		return fault("Store", "is missing")
	case c.Stream == "":
		return fault("Stream", "is empty")
	case c.MaxMessages < 0 || c.MaxMessages > maxMessages:
		return fault("MaxMessages", "is %d: must be between 1 and %d", c.MaxMessages, maxMessages)
	case c.PerDay < 0 || c.PerDay > maxPerDay:
		return fault("PerDay", "is %d: must be between 1 and %d", c.PerDay, maxPerDay)
	}
	if c.MaxMessages == 0 {
		c.MaxMessages = DefaultMaxMessages
	}
	if c.PerDay == 0 {
		c.PerDay = DefaultPerDay
	}
	for _, field := range [...]struct {
		name  string
		value *time.Duration
		zero  func() time.Duration
	}{
		{"Interval", &c.Interval, func() time.Duration { return DefaultInterval }},
		{"GiveUpAfter", &c.GiveUpAfter, func() time.Duration { return DefaultGiveUpAfter }},
		{"TokenLife", &c.TokenLife, func() time.Duration { return time.Duration(c.MaxMessages-1)*c.Interval + c.GiveUpAfter }},
		{"Refresh", &c.Refresh, func() time.Duration { return DefaultRefresh }},
	} {
		if *field.value < 0 || *field.value > maxTime {
			return fault(field.name, "is %v: must be between 0 and %v", *field.value, maxTime)
		}
		if *field.value == 0 {
			*field.value = field.zero()
		}
	}
	return nil
}

// Campaign asks addresses whether they want mail. Make one with NewCampaign. Its methods are safe for concurrent use; DueAt and SweepAt
// wait for each other.
type Campaign struct {
	cfg     CampaignConfig
	sealers []*sealer // of Key and OldKeys
	most    int       // entries of a line of the index

	busy  chan struct{} // holds a value while DueAt or SweepAt runs, which index belongs to
	index index

	mu     sync.Mutex
	joined []entry // what Add added since DueAt or SweepAt last looked
}

// NewCampaign makes a Campaign. It does not use the store yet. The error names the field that is wrong.
func NewCampaign(config CampaignConfig) (*Campaign, error) {
	if err := config.complete(); err != nil {
		return nil, fmt.Errorf("engagement: CampaignConfig.%w", err)
	}
	c := &Campaign{cfg: config, most: maxLine, busy: make(chan struct{}, 1)}
	for i, key := range append([][]byte{config.Key}, config.OldKeys...) {
		s, err := newSealer(key, config.Stream)
		if err != nil && i == 0 {
			return nil, fmt.Errorf("engagement: CampaignConfig.Key %w", err)
		}
		if err != nil {
			return nil, fmt.Errorf("engagement: CampaignConfig.OldKeys[%d] %w", i-1, err)
		}
		c.sealers = append(c.sealers, s)
	}
	return c, nil
}

// Added is what became of addresses that were added.
type Added struct {
	// New is how many the campaign did not have.
	New int
	// Had is how many it had already, in whatever state. Nothing has changed for them.
	Had int
	// Invalid are those that are no mail addresses, as they were given.
	Invalid []string
}

// errUnchanged is what an Update ends with that writes nothing.
var errUnchanged = errors.New("unchanged")

// Add takes in addresses whose activity is unknown, in their normal form. It is one update of the store for each, so a long list takes
// its time, in which ctx may end it; adding the list again goes on where it ended, and does no harm. The error is the store's or
// ctx's: what came before it is in Added.
func (c *Campaign) Add(ctx context.Context, now time.Time, addresses ...string) (Added, error) {
	var added Added
	at := stamp(now)
	fresh := record{state: StateInvited, since: at}.encode()
	for _, given := range addresses {
		address, err := normalize(given)
		if err != nil {
			added.Invalid = append(added.Invalid, given)
			continue
		}
		err = c.cfg.Store.Update(ctx, address, func(old []byte) ([]byte, error) {
			if old != nil {
				return nil, errUnchanged
			}
			return append([]byte(nil), fresh...), nil
		})
		switch {
		case err == nil:
			added.New++
			c.mu.Lock()
			if len(c.joined) <= c.most { // The one too many tells the index that it has not all.
				c.joined = append(c.joined, entry{at, address})
			}
			c.mu.Unlock()
		case errors.Is(err, errUnchanged):
			added.Had++
		default:
			return added, fmt.Errorf("engagement: add %s: %w", place(address), err)
		}
	}
	return added, nil
}

// Confirm takes the token of a confirmation link: its address is active since now. A second time changes nothing. It returns the
// address in its normal form, also with ErrLapsed: then the person came too late, and the host may release the address from its
// suppression and call ConfirmAddress. Other errors are ErrToken, ErrTokenExpired, the store's and ctx's.
func (c *Campaign) Confirm(ctx context.Context, now time.Time, token string) (address string, err error) {
	for _, s := range c.sealers {
		address, err = s.open(token, now)
		if !errors.Is(err, ErrToken) {
			break
		}
	}
	if err != nil {
		return "", err
	}
	return address, c.confirm(ctx, address, func(r record) (record, error) {
		switch r.state {
		case StateActive:
			return r, errUnchanged
		case StateLapsed, stateLapsing:
			return r, ErrLapsed
		}
		return record{StateActive, r.sent, stamp(now), r.last}, nil
	})
}

// ConfirmAddress makes an address active since now, whatever its state was, because the host knows better: it wrote, or logged in.
// It takes addresses that the campaign does not have, too. If the address had lapsed, the host has to release it from its
// suppression. The error is ErrAddress, the store's or ctx's.
func (c *Campaign) ConfirmAddress(ctx context.Context, now time.Time, address string) error {
	address, err := normalize(address)
	if err != nil {
		return err
	}
	return c.confirm(ctx, address, func(r record) (record, error) {
		at := stamp(now)
		if r.state == StateActive && r.since >= at {
			return r, errUnchanged
		}
		return record{StateActive, r.sent, at, r.last}, nil
	})
}

func (c *Campaign) confirm(ctx context.Context, address string, step func(record) (record, error)) error {
	err := c.update(ctx, address, step)
	switch {
	case err == nil, errors.Is(err, errUnchanged):
		return nil
	case errors.Is(err, ErrLapsed):
		return ErrLapsed
	}
	return fmt.Errorf("engagement: confirm %s: %w", place(address), err)
}

// update changes a record, which is the zero one if there is none.
func (c *Campaign) update(ctx context.Context, address string, step func(record) (record, error)) error {
	return c.cfg.Store.Update(ctx, address, func(old []byte) ([]byte, error) {
		var r record
		if old != nil {
			var err error
			if r, err = decode(old); err != nil {
				return nil, err
			}
		}
		r, err := step(r)
		if err != nil {
			return nil, err
		}
		return r.encode(), nil
	})
}

// record reads a record, which is the zero one if there is none.
func (c *Campaign) record(ctx context.Context, address string) (record, error) {
	value, err := c.cfg.Store.Get(ctx, address)
	if err != nil || value == nil {
		return record{}, err
	}
	return decode(value)
}

// Status says where an address stands. The error is ErrAddress, the store's or ctx's.
func (c *Campaign) Status(ctx context.Context, address string) (Status, error) {
	address, err := normalize(address)
	if err != nil {
		return Status{}, err
	}
	r, err := c.record(ctx, address)
	if err != nil {
		return Status{}, fmt.Errorf("engagement: status of %s: %w", place(address), err)
	}
	s := Status{State: r.state, Sent: r.sent, Of: c.cfg.MaxMessages}
	switch {
	case r.state == "":
		s.State = StateUnknown
		return s, nil
	case r.state == stateLapsing:
		s.State = StateLapsed
	case r.state != StateInvited:
	case r.sent >= c.cfg.MaxMessages:
		s.Until = unstamp(r.last).Add(c.cfg.GiveUpAfter)
	case r.sent > 0:
		s.Next = unstamp(r.last).Add(c.cfg.Interval)
	default:
		s.Next = unstamp(r.since)
	}
	s.Since = unstamp(r.since)
	return s, nil
}
