package sender

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/reputemail/repute/warmup"
)

// The clocks of holds.
const (
	holdStoreTime = 10 * time.Second // for the store to answer
	holdsEvery    = lookEvery        // looking for the orders of other processes, and whether a route is drained
)

// holds are the operators' orders to stand still, as this process knows them.
type holds struct {
	s     *Sender
	store warmup.Store  // nil: they live as long as the Sender
	busy  chan struct{} // held by the one that uses the store
	wake  chan struct{} // tells keep that something changed

	looked time.Time // keep's: when it last looked at what others ordered

	mu  sync.Mutex
	all map[string]*Hold  // by Target.String; none is changed once it is here
	raw map[string]string // the records that they were read from
}

func newHolds(s *Sender) *holds {
	h := &holds{s: s, busy: make(chan struct{}, 1), wake: make(chan struct{}, 1), all: map[string]*Hold{}}
	if q, ok := s.cfg.Queue.(OperatorStorer); ok {
		h.store = q.OperatorStore()
	}
	return h
}

// use gets hold of the store, for as long as it should take. The result gives it back.
func (h *holds) use(ctx context.Context) (context.Context, func(), error) {
	ctx, cancel := context.WithTimeout(ctx, holdStoreTime)
	select {
	case h.busy <- struct{}{}:
		return ctx, func() { cancel(); <-h.busy }, nil
	case <-ctx.Done():
		defer cancel()
		return nil, nil, ctx.Err()
	}
}

// put makes this process obey an order.
func (h *holds) put(order Hold) *Hold {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all[order.Target.String()] = &order
	h.publish()
	return &order
}

// publish hands what is in force to the dispatcher. h.mu is held, so that the latest wins.
func (h *holds) publish() {
	h.s.dispatch.setHolds(newHoldSet(h.all, time.Now()))
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// current reports whether an order is the latest of its target.
func (h *holds) current(order *Hold) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all[order.Target.String()] == order
}

// save gives an order to the store, unless another one has taken its place.
func (h *holds) save(ctx context.Context, order *Hold) error {
	if h.store == nil {
		return nil
	}
	ctx, done, err := h.use(ctx)
	if err != nil {
		return err
	}
	defer done()
	if !h.current(order) {
		return nil
	}
	saved := *order
	saved.Unsaved = false
	value, err := h.encode(saved)
	if err != nil {
		return err
	}
	if err := h.store.Update(ctx, order.Target.String(), func([]byte) ([]byte, error) { return value, nil }); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if key := order.Target.String(); h.all[key] == order {
		h.all[key] = &saved
	}
	return nil
}

// remove ends the hold of a target, in the store too, if that is what over says of it. It returns what was ended; nil for nothing, or if another process was quicker.
func (h *holds) remove(ctx context.Context, key string, over func(*Hold) bool) (ended *Hold, err error) {
	if h.store != nil {
		var done func()
		if ctx, done, err = h.use(ctx); err != nil {
			return nil, err
		}
		defer done()
		err = h.store.Update(ctx, key, func(old []byte) ([]byte, error) {
			if ended = nil; old == nil {
				return nil, nil
			}
			stored, err := h.decode(old)
			if err != nil || over(&stored) {
				ended = &stored // also one that cannot be read
				return nil, nil
			}
			return old, nil
		})
		if err != nil {
			return nil, err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if own := h.all[key]; own != nil && over(own) {
		if ended == nil && (h.store == nil || own.Unsaved) || ended != nil && ended.Target == (Target{}) {
			ended = own
		}
		delete(h.all, key)
		h.publish()
	}
	return ended, nil
}

// refresh reads what all processes have ordered, and reports whether that is something else than before.
func (h *holds) refresh(ctx context.Context) (changed bool, err error) {
	if h.store == nil {
		return false, nil
	}
	ctx, done, err := h.use(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	raw, stored := map[string]string{}, map[string]*Hold{}
	err = h.store.Load(ctx, func(key string, value []byte) error {
		one, err := h.decode(value)
		if err != nil {
			return fmt.Errorf("the record of %q cannot be read: %w", key, err)
		}
		raw[key], stored[key] = string(value), &one
		return nil
	})
	if err != nil {
		return false, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, own := range h.all {
		if own.Unsaved {
			stored[key] = own
		} else if stored[key] == nil {
			changed = true
		}
	}
	for key := range raw {
		changed = changed || h.all[key] == nil
	}
	if !changed && maps.Equal(raw, h.raw) { // those on which the clocks of processes differ by something stay as they are
		return false, nil
	}
	h.all, h.raw = stored, raw
	h.publish()
	return true, nil
}

// list are the orders in force.
func (h *holds) list(now time.Time) (out []Hold) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, one := range h.all {
		if !one.ended(now) {
			out = append(out, *one)
		}
	}
	slices.SortFunc(out, func(a, b Hold) int { return cmp.Compare(a.Target.String(), b.Target.String()) })
	return out
}

// encode makes a record of an order, with times by the queue's clock.
func (h *holds) encode(order Hold) ([]byte, error) {
	if c, ok := h.s.cfg.Queue.(Clock); ok {
		order.inClock(c.SharedTime)
	}
	return json.Marshal(order)
}

// decode is the inverse of encode.
func (h *holds) decode(value []byte) (order Hold, err error) {
	if err := json.Unmarshal(value, &order); err != nil {
		return Hold{}, err
	}
	if c, ok := h.s.cfg.Queue.(Clock); ok {
		order.inClock(c.OwnTime)
	}
	return order, nil
}

// inClock translates the times of a hold that are set.
func (h *Hold) inClock(translate func(time.Time) time.Time) {
	for _, t := range []*time.Time{&h.Since, &h.Until, &h.Drained} {
		if !t.IsZero() {
			*t = translate(*t)
		}
	}
}

// keep sees to it, until ctx ends, that holds end when their time is over, that the store gets what it did not take, that the orders of other processes are obeyed, and
// that it is told when a route is drained.
func (h *holds) keep(ctx context.Context) {
	h.looked = time.Now() // by open
	timer := time.NewTimer(h.untilNext(h.looked))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.wake:
		case <-timer.C:
		}
		now := time.Now()
		h.end(ctx, now)
		if !now.Before(h.looked.Add(holdsEvery)) {
			h.looked = now
			h.look(ctx)
		}
		timer.Reset(h.untilNext(time.Now()))
	}
}

// untilNext is how long keep may sleep.
func (h *holds) untilNext(now time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := time.Hour
	look := h.store != nil
	for _, one := range h.all {
		look = look || one.ended(now) || one.Drain && one.Drained.IsZero() // the store did not take its end; it is being drained
		if !one.Until.IsZero() && !one.ended(now) {
			next = min(next, one.Until.Sub(now))
		}
	}
	if look {
		next = min(next, max(0, h.looked.Add(holdsEvery).Sub(now)))
	}
	return next
}

// end ends the holds whose time is over.
func (h *holds) end(ctx context.Context, now time.Time) {
	over := func(one *Hold) bool { return one.ended(now) }
	var keys []string
	h.mu.Lock()
	for key, one := range h.all {
		if over(one) {
			keys = append(keys, key)
		}
	}
	if len(keys) > 0 {
		h.s.dispatch.setHolds(newHoldSet(h.all, now)) // whatever the store says
	}
	h.mu.Unlock()
	if len(keys) == 0 {
		return
	}
	h.s.dispatch.review()
	for _, key := range keys {
		ended, err := h.remove(ctx, key, over)
		if err != nil {
			if ctx.Err() == nil {
				h.s.log.Error("the end of an operator's hold is not on record", "target", key, "err", err)
			}
			continue
		}
		if ended != nil {
			h.s.tellHold(VerbResume, *ended, Act{Actor: ended.Actor, Reason: "its time is over: " + ended.Reason})
		}
	}
}

// look does what has to be done by the clock.
func (h *holds) look(ctx context.Context) {
	h.mu.Lock()
	var unsaved []*Hold
	for _, one := range h.all {
		if one.Unsaved {
			unsaved = append(unsaved, one)
		}
	}
	h.mu.Unlock()
	for _, one := range unsaved {
		if err := h.save(ctx, one); err != nil && ctx.Err() == nil {
			h.s.log.Error("an operator's hold is not on record", "target", one.Target.String(), "err", err)
		}
	}
	changed, err := h.refresh(ctx)
	if err != nil && ctx.Err() == nil {
		h.s.log.Error("operators' holds cannot be read", "err", err)
	}
	if changed {
		h.s.dispatch.review()
	}
	h.lookForDrained(ctx)
}
