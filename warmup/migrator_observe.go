package warmup

import (
	"math"
	"slices"
	"time"
)

// MigrationOutcome is what became of N messages of an arm.
type MigrationOutcome struct {
	Migration string
	Provider  string
	// Arm is what the method Arm said of the messages. ArmNone is not counted.
	Arm Arm
	// Diverted says that messages of the new arm went the old way after all, for want of warm-up allowance or since the new one was closed. They tell nothing of either
	// arm; but where too many are, the stage does not pass.
	Diverted bool
	// Late says that it came to be known of messages that had been delivered: of Bounced ones, which came back. Their attempts are counted already.
	Late bool
	// Outcome is counted as follows: of a first attempt, what it was. Of a later one, only Delivered. Complained at any time.
	Outcome Outcome
	// N is the number of messages. Below 1 nothing is counted.
	N int
	// Delay is how long a Delivered message took since its first attempt, or since it was ready for it.
	Delay time.Duration
	// First says that it was the first attempt.
	First bool
}

// counts are what an outcome adds.
func (o MigrationOutcome) counts(slowAfter time.Duration) ArmCounts {
	n := min(int64(o.N), math.MaxInt32)
	var c ArmCounts
	switch {
	case o.Diverted && o.First:
		c.Diverted = n
		return c
	case o.Outcome == Complained:
		c.Complained = n
		return c
	case o.Late && o.Outcome == Bounced:
		c.Bounced = n
		return c
	case o.Diverted || o.Late:
		return c
	}
	if o.Outcome == Delivered {
		c.Delivered = n
		if o.Delay > slowAfter {
			c.Slow = n
		}
	}
	if o.First {
		c.Attempts = n
		switch o.Outcome {
		case Bounced:
			c.Bounced = n
		case Deferred:
			c.Deferred = n
		case Blocked:
			c.Blocked = n
		case Failed:
			c.Failed = n
		}
	}
	return c
}

// Observe counts an outcome in the current stage. It is on record after the next SyncAt. Nothing is counted of what is not on record yet,
// rolled back or complete.
func (m *Migrator) Observe(o MigrationOutcome) {
	g := m.migrations[o.Migration]
	if g == nil || o.N < 1 || o.Arm != ArmNew && o.Arm != ArmControl || m.closed.Load() {
		return
	}
	u, _ := g.find(o.Provider)
	if u == nil {
		return
	}
	c := o.counts(g.plan.Tests.SlowAfter)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.rec == nil || u.rec.Phase != MigrationRunning && u.rec.Phase != MigrationHolding {
		return
	}
	d := u.delta()
	if o.Arm == ArmNew {
		d.new.add(c)
	} else {
		d.control.add(c)
	}
}

// delta is that of the current stage. u.mu is held, and u.rec is not nil.
func (u *migrationUnit) delta() *migrationDelta {
	run, stage := u.rec.Run, u.rec.number()
	if n := len(u.deltas); n == 0 || u.deltas[n-1].run != run || u.deltas[n-1].stage != stage {
		u.deltas = append(u.deltas, migrationDelta{run: run, stage: stage})
		if len(u.deltas) > maxDeltas {
			u.deltas = slices.Delete(u.deltas, 0, 1)
		}
	}
	return &u.deltas[len(u.deltas)-1]
}
