package sender

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/warmup"
)

// Migration moves mail from one route or pool to another by a growing share of its recipients, compares what becomes of it on both ways at the same time, and goes
// back by itself when the new way is worse. How, Plan says.
//
// What the new way has no warm-up allowance for goes the old way, marked as overflow: so the share never exceeds the allowance. A delivery that is tried
// again stays on its route, but for a rollback, after which all goes the old way.
type Migration struct {
	// Plan is what the migration is called, its shares and its tests. Plan.Name is required.
	Plan warmup.Migration
	// From is the pool whose streams take part; or a route, and all streams take part whose pool has it among its Routes. Required.
	From string
	// To is the pool or route that the mail is moved to. None of its routes is in a pool that it is moved from. Required.
	To string
}

// migrationInfo is a Migration made ready.
type migrationInfo struct {
	Migration
	to poolInfo
}

// migrationSync is how often a Sender lets its migrations decide.
const migrationSync = 30 * time.Second

// routesOf are the routes of a pool, or a route, by name.
func (s *Sender) routesOf(pools map[string]*poolInfo, field, name string) (poolInfo, error) {
	pool, route := pools[name], s.routes[name]
	switch {
	case name == "":
		return poolInfo{}, badConfig(field, "is empty")
	case pool != nil && route != nil:
		return poolInfo{}, badConfig(field, "%q is the name of a pool and of a route", name)
	case pool != nil:
		return *pool, nil
	case route != nil:
		return poolInfo{routes: []*routeInfo{route}}, nil
	default:
		return poolInfo{}, badConfig(field, "there is no pool and no route %q", name)
	}
}

// prepareMigrations ties migrations to the streams that take part.
func (s *Sender) prepareMigrations(pools map[string]*poolInfo) error {
	names := map[string]bool{}
	for i, m := range s.cfg.Migrations {
		field := "Migrations[" + strconv.Itoa(i) + "]"
		if err := m.Plan.Validate(); err != nil {
			return badConfig(field+".Plan", "%v", err)
		}
		if names[m.Plan.Name] {
			return badConfig(field+".Plan.Name", "%q stands twice", m.Plan.Name)
		}
		names[m.Plan.Name] = true
		if _, err := s.routesOf(pools, field+".From", m.From); err != nil {
			return err
		}
		info := &migrationInfo{Migration: m}
		var err error
		if info.to, err = s.routesOf(pools, field+".To", m.To); err != nil {
			return err
		}
		for _, name := range m.Plan.Streams {
			if !slices.ContainsFunc(s.streams, func(st *stream) bool { return st.Name == name }) {
				return badConfig(field+".Plan.Streams", "there is no stream %q", name)
			}
		}
		moved := false
		for _, st := range s.streams {
			from := st.Pool == m.From || slices.ContainsFunc(st.pool.routes, func(r *routeInfo) bool { return r.Name == m.From })
			if !from || len(m.Plan.Streams) > 0 && !slices.Contains(m.Plan.Streams, st.Name) {
				continue
			}
			for _, r := range info.to.all() {
				if st.pool.has(r) {
					return badConfig(field+".To", "pool %q of stream %q has the route %q already", st.Pool, st.Name, r.Name)
				}
			}
			for _, other := range st.migrations {
				if overlap(other.Plan.Providers, m.Plan.Providers) {
					return badConfig(field, "stream %q is moved by migration %q already", st.Name, other.Plan.Name)
				}
			}
			st.migrations = append(st.migrations, info)
			moved = true
		}
		if !moved {
			return badConfig(field+".From", "no stream sends over %q", m.From)
		}
	}
	return nil
}

// overlap reports whether two lists of providers, empty for all, have one in common.
func overlap(a, b []string) bool {
	return len(a) == 0 || len(b) == 0 || slices.ContainsFunc(a, func(p string) bool { return slices.Contains(b, p) })
}

// all are the routes of a pool, those for overflow last.
func (p *poolInfo) all() []*routeInfo {
	return append(append([]*routeInfo(nil), p.routes...), p.overflow...)
}

// arm is how a delivery takes part in a migration.
type arm struct {
	of  *migrationInfo // nil: it does not
	arm warmup.Arm
}

// armOf is how a recipient's mail takes part in the migrations of a stream.
func (s *Sender) armOf(st *stream, provider, recipient string) arm {
	if s.migrator == nil {
		return arm{}
	}
	for _, m := range st.migrations {
		if a := s.migrator.Arm(m.Plan.Name, provider, st.Name, recipient); a != warmup.ArmNone {
			return arm{m, a}
		}
	}
	return arm{}
}

// armOfDelivery is armOf, but that a delivery which was tried by the old way is of that arm still when the share has grown meanwhile.
func (s *Sender) armOfDelivery(st *stream, provider string, del *queue.Delivery) arm {
	a := s.armOf(st, provider, del.Recipient)
	if a.arm == warmup.ArmNew && len(del.History) > 0 {
		if r := s.routes[del.History[0].Route]; r != nil && !a.of.to.has(r) {
			a.arm = warmup.ArmControl
		}
	}
	return a
}

// tiers are the routes that the first delivery of a lane may use, in the order in which they are tried: the next tier when all of the one before are closed.
// sticky says that the first tier is the route on which it was tried before, and that the others are only for when that is stopped for long.
func (d *dispatcher) tiers(l *lane) (a arm, tiers [4][]*routeInfo, sticky bool) {
	pool := l.stream.pool
	if len(l.stream.migrations) > 0 {
		a = d.s.armOfDelivery(l.stream, l.dest.provider, l.first())
	}
	if r := d.s.routes[l.route]; r != nil && (pool.has(r) || a.arm == warmup.ArmNew && a.of.to.has(r)) {
		return a, [4][]*routeInfo{{r}, d.others(pool.routes, r), d.others(pool.overflow, r)}, true
	}
	if a.arm == warmup.ArmNew {
		return a, [4][]*routeInfo{a.of.to.routes, a.of.to.overflow, pool.routes, pool.overflow}, false
	}
	return a, [4][]*routeInfo{pool.routes, pool.overflow}, false
}

// others are the routes but one.
func (d *dispatcher) others(routes []*routeInfo, r *routeInfo) []*routeInfo {
	if !slices.Contains(routes, r) {
		return routes
	}
	return slices.DeleteFunc(slices.Clone(routes), func(o *routeInfo) bool { return o == r })
}

// sameArm is the part of a group that goes by the same arm as its first delivery; it is brought to the front.
func (d *dispatcher) sameArm(l *lane, group []queue.Delivery) []queue.Delivery {
	if len(l.stream.migrations) == 0 {
		return group
	}
	first, n := d.s.armOfDelivery(l.stream, l.dest.provider, &group[0]), 1
	for i := 1; i < len(group); i++ { // all are of one message, so their order does not matter
		if d.s.armOfDelivery(l.stream, l.dest.provider, &group[i]) == first {
			group[n], group[i] = group[i], group[n]
			n++
		}
	}
	return group[:n]
}

// compare tells a migration what became of a delivery of one of its arms. Greylisting, which meets each recipient that is new to a route, delays nothing
// here.
func (d *dispatcher) compare(a *attempt, del *queue.Delivery, now time.Time, o warmup.Outcome) {
	if a.arm.of == nil || !d.s.compares(a.arm.of, del, d.s.queueTime(now)) {
		return
	}
	delay := time.Duration(0)
	if len(del.History) > 0 && !slices.ContainsFunc(del.History, func(a queue.Attempt) bool { return a.Verdict.Category == bounce.Greylisted }) {
		delay = now.Sub(del.History[0].At)
	}
	d.s.migrator.Observe(warmup.MigrationOutcome{
		Migration: a.arm.of.Plan.Name, Provider: a.dest.provider, Arm: a.arm.arm, Outcome: o, N: 1, Delay: delay, First: del.Attempts == 0,
		Diverted: a.arm.arm == warmup.ArmNew && !a.arm.of.to.has(a.path.route),
	})
}

// compares reports whether a delivery is one to compare by. Of each recipient one a day is: what becomes of several at a time is not independent, and the
// tests take it to be. (Dead addresses and those who complain are suppressed, so they do not come again.)
func (s *Sender) compares(m *migrationInfo, del *queue.Delivery, now time.Time) bool {
	key := m.Plan.Name + " " + del.Recipient
	if c, known := s.compared.Get(now, key); known && now.Sub(c.at) < comparedFor {
		return c.id == del.ID
	}
	s.compared.Put(now, key, compared{del.ID, now})
	return true
}

// compared is the delivery by which a recipient was compared last.
type compared struct {
	id string
	at time.Time
}

// How many recipients are remembered for that, and for how long.
const (
	maxCompared = 100_000
	comparedFor = 20 * time.Hour
)

// compareLate tells a migration of what came to be known of a message later, a complaint or a bounce, by the route that the message took.
func (s *Sender) compareLate(e *Event, o warmup.Outcome) {
	if s.migrator == nil {
		return
	}
	for _, m := range s.stream(e.Stream).migrations {
		if e.Overflow { // it was diverted, perhaps
			continue
		}
		if len(m.Plan.Providers) > 0 && !slices.Contains(m.Plan.Providers, e.Path.Provider) {
			continue
		}
		by := warmup.ArmControl
		if r := s.routes[e.Path.Route]; r != nil && m.to.has(r) {
			by = warmup.ArmNew
		}
		s.migrator.Observe(warmup.MigrationOutcome{Migration: m.Plan.Name, Provider: e.Path.Provider, Arm: by, Outcome: o, N: 1, Late: true})
	}
}

// openMigrator begins the migrations, or goes on with them.
func (s *Sender) openMigrator(ctx context.Context) error {
	if len(s.cfg.Migrations) == 0 {
		return nil
	}
	cfg := warmup.MigratorConfig{Store: s.cfg.MigrationStore, OnChange: s.tellMigration, Logger: s.log}
	if q, ok := s.cfg.Queue.(MigrationStorer); ok && cfg.Store == nil {
		cfg.Store, cfg.Owner = q.MigrationStore()
	}
	for _, m := range s.cfg.Migrations {
		cfg.Migrations = append(cfg.Migrations, m.Plan)
	}
	m, err := warmup.OpenMigrator(ctx, cfg)
	if err != nil {
		return err
	}
	s.migrator = m
	if err := m.SyncAt(ctx, s.queueTime(time.Now())); err != nil { // all mail goes the old way until the store is back
		s.log.Error("migrations are not on record", "err", err)
	}
	return nil
}

// keepMigrating lets the migrations decide, until ctx ends.
func (s *Sender) keepMigrating(ctx context.Context) {
	tick := time.NewTicker(migrationSync)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		limit, cancel := context.WithTimeout(ctx, migrationSync)
		err := s.migrator.SyncAt(limit, s.queueTime(time.Now()))
		cancel()
		if err != nil && ctx.Err() == nil {
			s.log.Error("migrations are not synced", "err", err)
		}
	}
}

// Migrator carries out Config.Migrations, for its operators' methods (Advance, Hold, Rollback, ...) and states; nil before Start, and without migrations.
// Its times are those of the queue's clock, where the queue keeps it.
func (s *Sender) Migrator() *warmup.Migrator {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.migrator
}

// queueTime is a time of this process by the clock of the queue, where it has one that processes share.
func (s *Sender) queueTime(t time.Time) time.Time {
	if c, ok := s.cfg.Queue.(Clock); ok && s.cfg.MigrationStore == nil {
		return c.SharedTime(t)
	}
	return t
}

// tellMigration tells that a migration moved.
func (s *Sender) tellMigration(c warmup.MigrationChange) {
	if clock, ok := s.cfg.Queue.(Clock); ok && s.cfg.MigrationStore == nil {
		c.Time = clock.OwnTime(c.Time)
	}
	s.events.emit(Event{Type: EventMigration, Time: c.Time, Path: Path{Provider: c.Provider}, Migration: &c})
}
