package sender

import "slices"

// movedTo names a stream's mail in a pool that is not the stream's.
type movedTo struct{ stream, pool string }

// inPool is the stream of a lane whose mail was moved to a pool: like the stream itself in all but its routes. It takes part in no migrations. A pool that was
// taken out of the configuration has no effect. The mutex is held.
func (d *dispatcher) inPool(st *stream, pool string) *stream {
	if pool == "" || pool == st.Pool {
		return st
	}
	key := movedTo{st.Name, pool}
	if moved := d.moved[key]; moved != nil {
		return moved
	}
	moved := st
	if to := d.s.pools[pool]; to != nil {
		other := *st
		moved = &other
		moved.of, moved.Pool, moved.pool, moved.migrations, moved.all = st, pool, to, nil, to.all()
		moved.direct = slices.ContainsFunc(moved.all, func(r *routeInfo) bool { return r.Relay == nil })
	} else {
		d.s.log.Warn("mail was moved to a pool that there is not any more: it takes the routes of its stream", "stream", st.Name, "pool", pool)
	}
	if d.moved == nil {
		d.moved = map[movedTo]*stream{}
	}
	d.moved[key] = moved
	return moved
}

// itself is the stream, wherever its mail was moved to: that by which it shares paths with others.
func (st *stream) itself() *stream {
	if st.of != nil {
		return st.of
	}
	return st
}
