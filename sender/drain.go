package sender

import (
	"context"
	"time"

	"github.com/reputemail/repute/sender/queue"
)

// drainGrace is how long other processes have to hear of an order before a route is called drained.
const drainGrace = time.Minute

// lookForDrained tells of routes and paths that are being drained and have nothing left.
func (h *holds) lookForDrained(ctx context.Context) {
	now := time.Now()
	var draining []*Hold
	h.mu.Lock()
	for _, one := range h.all {
		if one.Drain && one.Drained.IsZero() && !one.ended(now) && (h.store == nil || now.Sub(one.Since) >= drainGrace) {
			draining = append(draining, one)
		}
	}
	h.mu.Unlock()
	for _, one := range draining {
		left, err := h.s.leftOn(ctx, one.Target)
		if err == nil && !left {
			err = h.drained(ctx, one, now)
		}
		if err != nil && ctx.Err() == nil {
			h.s.log.Error("cannot look whether a route is drained", "target", one.Target.String(), "err", err)
		}
	}
}

// drained notes that nothing is left, and tells of it unless another process has done so.
func (h *holds) drained(ctx context.Context, order *Hold, now time.Time) error {
	done := *order
	done.Drained = now
	first := true
	if h.store != nil {
		ctx, free, err := h.use(ctx)
		if err != nil {
			return err
		}
		defer free()
		err = h.store.Update(ctx, order.Target.String(), func(old []byte) ([]byte, error) {
			first = false
			if old == nil {
				return nil, nil
			}
			stored, err := h.decode(old)
			if err != nil || !stored.Drain || !stored.Drained.IsZero() { // another order
				return old, err
			}
			first = true
			stored.Drained = now
			return h.encode(stored)
		})
		if err != nil {
			return err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if own := h.all[order.Target.String()]; own != nil && own.Drain && own.Drained.IsZero() {
		h.all[order.Target.String()] = &done
	}
	if first {
		h.s.log.Info("route is drained", "target", order.Target.String())
		h.s.events.emit(Event{
			Type: EventDrained, Time: now, Actor: done.Actor, Reason: done.Reason, Operation: &Operation{Verb: VerbSuspend, Hold: &done},
			Path: Path{Route: done.Route, Provider: done.Provider},
		})
	}
	return nil
}

// leftOn reports whether anything is being sent over a route or path, or has to be tried again over it.
func (s *Sender) leftOn(ctx context.Context, t Target) (bool, error) {
	d := s.dispatch
	d.mu.Lock()
	for a := range d.running {
		if a.path.key.Route == t.Route && (t.Provider == "" || a.dest.provider == t.Provider) {
			d.mu.Unlock()
			return true, nil
		}
	}
	d.mu.Unlock()
	if err := s.settler.flush(ctx); err != nil { // then what has ended is where it waits
		return true, err
	}
	due, err := d.find(ctx) // cheap where that is possible
	if err != nil {
		return true, err
	}
	for _, l := range due {
		if s.boundTo(ctx, l.Lane, t) {
			return true, nil
		}
	}
	all, err := s.cfg.Queue.Lanes(ctx)
	if err != nil {
		return true, err
	}
	for _, l := range all {
		if s.boundTo(ctx, l.Lane, t) {
			return true, nil
		}
	}
	return false, nil
}

// boundTo reports whether the mail of a lane has to go over a route or path; also if that cannot be known for the moment.
func (s *Sender) boundTo(ctx context.Context, key queue.Lane, t Target) bool {
	if route, _, _ := splitLaneRoute(key.Route); route != t.Route {
		return false
	}
	if t.Provider == "" {
		return true
	}
	provider, err := s.laneProvider(ctx, key)
	return err != nil || provider == t.Provider
}

// laneProvider is the provider that a lane's mail goes to.
func (s *Sender) laneProvider(ctx context.Context, key queue.Lane) (string, error) {
	s.dispatch.mu.Lock()
	if l := s.dispatch.lanes[key]; l != nil && l.dest != nil {
		defer s.dispatch.mu.Unlock()
		return l.dest.provider, nil
	}
	s.dispatch.mu.Unlock()
	return s.ProviderOf(ctx, key.Domain)
}

// flush waits until all that was handed over before is written.
func (t *settler) flush(ctx context.Context) error {
	t.mu.Lock()
	open := make(map[string]int64, len(t.open))
	for id, lease := range t.open {
		open[id] = lease
	}
	t.mu.Unlock()
	wait := time.NewTimer(0)
	defer wait.Stop()
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		t.mu.Lock()
		for id, lease := range open {
			if t.open[id] != lease {
				delete(open, id)
			}
		}
		t.mu.Unlock()
		if len(open) == 0 {
			return nil
		}
		wait.Reset(pause)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wait.C:
		}
	}
}
