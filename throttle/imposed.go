package throttle

import (
	"fmt"
	"slices"
	"time"
)

// imposed is a measure that a Reaction has taken, until it ends.
type imposed struct {
	by    *Reaction
	until time.Time
}

// maxImposed bounds the measures on a path at a time: no receiver has as many replies.
const maxImposed = 32

// react counts a reply for its reaction, and takes the reaction's measures when it is one too many.
func (o *observation) react(l *Limiter, key Path) {
	r := o.reaction
	if r == nil {
		return
	}
	if r.Scope == ScopeDomain {
		if o.signal.Domain == "" {
			return
		}
		// What is about one recipient domain is counted and kept in a path of its own.
		key = DomainPath(key.Route, o.signal.Domain)
		o.path = l.path(o.now, key)
		o.path.clock(o.now)
	}
	k := o.path.lessons()
	w := k.windows[r]
	if w == nil {
		if k.windows == nil {
			k.windows = map[*Reaction]*window{}
		}
		w = &window{}
		k.windows[r] = w
	}
	if !w.hit(o.now, r.Trigger) {
		return
	}
	if r.Scope == ScopeDomain {
		if l.limitsDomain(o.now, key); l.config.Store != nil {
			l.sharing.dirty[key] = struct{}{}
		}
	}
	before := len(o.changes)
	o.impose(r)
	for i := before; i < len(o.changes); i++ {
		o.changes[i].Path = key
	}
}

// impose takes the measures of a reaction.
func (o *observation) impose(r *Reaction) {
	p, until := o.path, o.now.Add(r.For)
	if r.Suspend {
		o.suspend(r, until)
		return
	}
	k := p.lessons()
	k.imposed = slices.DeleteFunc(k.imposed, func(m imposed) bool { return m.by == r || !o.now.Before(m.until) })
	if len(k.imposed) < maxImposed {
		k.imposed = append(k.imposed, imposed{r, until})
	}
	detail := ""
	for _, m := range []struct {
		what string
		is   bool
		most any
	}{
		{"message rate", r.MessageRate != Rate{}, r.MessageRate},
		{"connections", r.Connections > 0, r.Connections},
		{"messages per connection", r.MessagesPerConnection > 0, r.MessagesPerConnection},
	} {
		if m.is && detail != "" {
			detail += ", "
		}
		if m.is {
			detail += fmt.Sprintf("%s: %v", m.what, m.most)
		}
	}
	o.changes = append(o.changes, Change{Kind: ChangeLowered, Cause: o.signal.Kind, Reaction: r.Name, Until: until, Detail: detail})
}

// suspend stops the path until a time, and lets it ramp after that.
func (o *observation) suspend(r *Reaction, until time.Time) {
	p := o.path
	o.halt(SignalBlocked, until)
	o.changes = append(o.changes, Change{Kind: ChangeStopped, Cause: o.signal.Kind, Reaction: r.Name, Until: p.until})
}

// lower applies measures to limits.
func (k *learnt) lowerImposed(now time.Time, l *Limits) {
	for _, m := range k.imposed {
		if now.Before(m.until) {
			l.Connections = tighter(l.Connections, m.by.Connections)
			l.MessagesPerConnection = tighter(l.MessagesPerConnection, m.by.MessagesPerConnection)
			l.MessageRate = slower(l.MessageRate, m.by.MessageRate)
		}
	}
}

// rate is the slowest of the pace and the measures, in messages a second; 0 if there is none.
func (k *learnt) rate(now time.Time) float64 {
	rate := k.pace.rate
	for _, m := range k.imposed {
		if now.Before(m.until) && m.by.MessageRate != (Rate{}) {
			if r := m.by.MessageRate.perSecond(); rate == 0 || r < rate {
				rate = r
			}
		}
	}
	return rate
}
