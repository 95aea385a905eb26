package warmup

import (
	"testing"
	"time"
)

// TestMigratorLacksAllowance: a stage in which most of the new arm's mail had to go the old way does not pass, until a StageTime in which it had not.
func TestMigratorLacksAllowance(t *testing.T) {
	tr := openTrial(t, NewMemoryStore(), "", Migration{Name: "move", Shares: stages})
	const day = 24 * time.Hour
	now := start
	tr.sync(t, now)
	tr.takeTold()
	divert := func(n int) {
		tr.Observe(MigrationOutcome{Migration: "move", Arm: ArmNew, Diverted: true, Outcome: Bounced, N: n, First: true})
	}
	step := func(went, diverted int, want ...string) {
		t.Helper()
		tr.observe(ArmNew, went, 0)
		tr.observe(ArmControl, 1000, 0)
		divert(diverted)
		now = now.Add(day)
		tr.sync(t, now)
		told(t, tr.takeTold(), want...)
	}
	step(300, 400, "running 1 -> holding 1 allowance")
	step(300, 400)
	step(300, 200, "holding 1 -> running 2 ")
	step(300, 290, "running 2 -> running 3 ")
	step(300, 200, "running 3 -> holding 3 allowance") // in the last stage almost all has to
	step(300, 20, "holding 3 -> complete 3 ")
	s, err := tr.State("move", "")
	if err != nil || s.New.Bounced != 0 || s.New.Diverted != 400+400+200+290+200+20 {
		t.Errorf("%+v, %v", s.New, err)
	}
}

// TestMigratorLate: what comes back later counts as bounced, without an attempt of its own.
func TestMigratorLate(t *testing.T) {
	tr := openTrial(t, NewMemoryStore(), "", Migration{Name: "move", Shares: stages})
	tr.sync(t, start)
	tr.observe(ArmControl, 1000, 0)
	tr.Observe(MigrationOutcome{Migration: "move", Arm: ArmControl, Outcome: Bounced, N: 30, Late: true})
	tr.Observe(MigrationOutcome{Migration: "move", Arm: ArmControl, Outcome: Other, N: 30, Late: true})
	tr.sync(t, start.Add(time.Minute))
	if s, err := tr.State("move", ""); err != nil || s.Control.Bounced != 30 || s.Control.Attempts != 1000 {
		t.Errorf("%+v, %v", s.Control, err)
	}
}
