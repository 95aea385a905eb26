package warmup

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// bench is a record with a clock, for tests of what it decides.
type bench struct {
	plan  Migration
	rec   *migrationRecord
	at    int64
	notes []MigrationPosition
	found [][]Comparison
}

func newBench(plan Migration) *bench {
	plan = plan.withDefaults()
	at := stamp(start)
	return &bench{plan: plan, rec: beginMigration(&plan, "", at), at: at}
}

// send adds what became of messages of both arms, and decides after some time.
func (b *bench) send(after time.Duration, fresh, control ArmCounts) MigrationPosition {
	b.rec.stage().New.add(fresh)
	b.rec.stage().Control.add(control)
	return b.wait(after)
}

func (b *bench) wait(after time.Duration) MigrationPosition {
	b.at += int64(after)
	b.rec.decide(&b.plan, b.at, func(_ MigrationPosition, evidence []Comparison) {
		b.notes, b.found = append(b.notes, b.rec.position(&b.plan)), append(b.found, evidence)
	})
	return b.rec.position(&b.plan)
}

// tries are n first attempts of which some bounced.
func tries(n, bounced int64) ArmCounts {
	return ArmCounts{Attempts: n, Bounced: bounced, Delivered: n - bounced}
}

func running(stage int, share float64) MigrationPosition {
	return MigrationPosition{Phase: MigrationRunning, Stage: stage, Share: share}
}

func holding(cause Cause, stage int, share float64) MigrationPosition {
	return MigrationPosition{Phase: MigrationHolding, Cause: cause, Stage: stage, Share: share}
}

// TestMigrationDecides goes through stages step by step.
func TestMigrationDecides(t *testing.T) {
	day, hour := 24*time.Hour, time.Hour
	plan := Migration{Name: "move", Shares: []float64{0.1, 0.5, 1}}
	type step struct {
		after          time.Duration
		fresh, control ArmCounts
		want           MigrationPosition
	}
	good, most := tries(200, 4), tries(1800, 36)
	for name, steps := range map[string][]step{
		"to the end": {
			{day - 1, good, most, running(1, 0.1)}, // The time is not over.
			{1, ArmCounts{}, ArmCounts{}, running(2, 0.5)},
			{day - 1, good, good, running(2, 0.5)},
			{1, ArmCounts{}, ArmCounts{}, running(3, 1)},
			{day, tries(199, 0), ArmCounts{}, running(3, 1)},
			{0, tries(1, 0), ArmCounts{}, MigrationPosition{Phase: MigrationComplete, Stage: 3, Share: 1}},
			{9 * day, tries(900, 900), ArmCounts{}, MigrationPosition{Phase: MigrationComplete, Stage: 3, Share: 1}},
		},
		"the sample": {
			{9 * day, tries(199, 4), most, running(1, 0.1)},
			{0, tries(1, 0), ArmCounts{}, running(2, 0.5)},
			{day, tries(199, 4), most, running(2, 0.5)}, // That of the stage before does not count.
		},
		"a jump ahead": {
			{400 * day, good, most, running(2, 0.5)},
			{hour, good, good, running(2, 0.5)},
		},
		"a clock that runs backwards": {
			{hour, good, most, running(1, 0.1)},
			{-100 * day, good, most, running(1, 0.1)},
			{23 * hour, ArmCounts{}, ArmCounts{}, running(1, 0.1)},
			{100*day - 23*hour, ArmCounts{}, ArmCounts{}, running(1, 0.1)},
		},
		"a clock that was ahead for the first stage": {
			{400 * day, good, most, running(2, 0.5)},
			{-400 * day, good, good, running(2, 0.5)},
			{day - 1, ArmCounts{}, ArmCounts{}, running(2, 0.5)},
			{1, ArmCounts{}, ArmCounts{}, running(3, 1)},
		},
		"back in the middle of being behind": {
			{400 * day, good, most, running(2, 0.5)},
			{-400 * day, good, good, running(2, 0.5)},
			{23 * hour, ArmCounts{}, ArmCounts{}, running(2, 0.5)},
			{-10 * day, ArmCounts{}, ArmCounts{}, running(2, 0.5)}, // It begins again.
			{23 * hour, ArmCounts{}, ArmCounts{}, running(2, 0.5)},
		},
		"hold and recovery": {
			{hour, tries(150, 9), most, running(1, 0.1)},
			{day, tries(50, 0), ArmCounts{}, holding(CauseBounces, 1, 0.1)}, // 9 of 200 against 36 of 1800
			{9 * day, tries(20, 0), tries(180, 4), holding(CauseBounces, 1, 0.1)},
			{hour, tries(300, 4), tries(2700, 54), running(2, 0.5)}, // 26 % more and fine again: released, and due
		},
		"rollback": {
			{hour, tries(199, 40), most, running(1, 0.1)},
			{0, tries(1, 0), ArmCounts{}, MigrationPosition{Phase: MigrationRolledBack, Cause: CauseBounces, Stage: 1}},
			{9 * day, tries(9000, 0), tries(9000, 900), MigrationPosition{Phase: MigrationRolledBack, Cause: CauseBounces, Stage: 1}},
		},
		"no look before the sample has grown": {
			{hour, good, most, running(1, 0.1)},
			{hour, tries(49, 30), ArmCounts{}, running(1, 0.1)},
			{hour, tries(1, 0), ArmCounts{}, MigrationPosition{Phase: MigrationRolledBack, Cause: CauseBounces, Stage: 1}},
		},
		"an effect that does not matter": {
			{day, tries(1_000_000, 10_400), tries(9_000_000, 90_000), running(2, 0.5)},
		},
		"no control to compare with": {
			{day, tries(200, 100), tries(199, 0), running(2, 0.5)},
		},
		"the last stage is not compared": {
			{day, good, most, running(2, 0.5)},
			{day, good, good, running(3, 1)},
			{hour, tries(1000, 900), tries(1000, 0), running(3, 1)},
		},
	} {
		b := newBench(plan)
		for i, s := range steps {
			if got := b.send(s.after, s.fresh, s.control); got != s.want {
				t.Errorf("%s, step %d: got %+v, want %+v", name, i+1, got, s.want)
				break
			}
		}
	}
}

// TestMigrationRates: each rate by itself rolls back, with its own evidence and denominator.
func TestMigrationRates(t *testing.T) {
	for cause, bad := range map[Cause]func(c *ArmCounts, n int64){
		CauseBounces:    func(c *ArmCounts, n int64) { c.Bounced = n },
		CauseDeferrals:  func(c *ArmCounts, n int64) { c.Deferred = n },
		CauseBlocks:     func(c *ArmCounts, n int64) { c.Blocked = n },
		CauseComplaints: func(c *ArmCounts, n int64) { c.Complained = n },
		CauseDelays:     func(c *ArmCounts, n int64) { c.Slow = n },
	} {
		b := newBench(Migration{Name: "move"})
		fresh, control := ArmCounts{Attempts: 1000, Delivered: 900}, ArmCounts{Attempts: 9000, Delivered: 8000}
		bad(&fresh, 50)
		bad(&control, 80)
		b.send(time.Hour, fresh, control)
		want := Proportion{50, 1000}
		if cause == CauseComplaints || cause == CauseDelays {
			want.Of = 900
		}
		if b.rec.Phase != MigrationRolledBack || b.rec.Cause != cause || len(b.found) != 1 || len(b.found[0]) != rates {
			t.Fatalf("%s: %s for %s, evidence %v", cause, b.rec.Phase, b.rec.Cause, b.found)
		}
		for _, c := range b.found[0] {
			if c.Rate == cause && (c.Verdict != VerdictProven || c.New != want || c.P > 1e-9 || c.Difference < 0.03) || c.Rate != cause && c.Verdict != VerdictFine {
				t.Errorf("%s: %v", cause, c)
			}
		}
	}
	// A quarter of a percentage point matters for complaints only; more complaints than deliveries are all of them.
	b := newBench(Migration{Name: "move"})
	b.send(time.Hour, ArmCounts{Attempts: 50_000, Bounced: 625, Deferred: 625, Blocked: 625, Delivered: 50_000, Slow: 625},
		ArmCounts{Attempts: 50_000, Bounced: 500, Deferred: 500, Blocked: 500, Delivered: 50_000, Slow: 500})
	if b.rec.Phase != MigrationRunning {
		t.Errorf("%s for %s", b.rec.Phase, b.rec.Cause)
	}
	b.send(time.Hour, ArmCounts{Attempts: 50_000, Delivered: 50_000, Complained: 250}, ArmCounts{Attempts: 50_000, Delivered: 50_000, Complained: 50})
	if b.rec.Phase != MigrationRolledBack || b.rec.Cause != CauseComplaints {
		t.Errorf("%s for %s", b.rec.Phase, b.rec.Cause)
	}
	if p := (&ArmCounts{Delivered: 1, Complained: 3}).proportion(CauseComplaints); p != (Proportion{1, 1}) {
		t.Errorf("got %+v", p)
	}
}

// TestMigrationLooks: however the sample grows, there are no more than 60 looks, and none later rolls back.
func TestMigrationLooks(t *testing.T) {
	b := newBench(Migration{Name: "move", Shares: []float64{0.5, 1}, StageTime: 1 << 60, Tests: MigrationTests{MinSample: 1}})
	looks := 0
	for b.rec.sample() < 1<<33 {
		n := b.rec.sample()/50 + 1
		b.send(0, tries(n, 0), tries(n, 0))
		if b.rec.Looks > looks {
			looks = b.rec.Looks
		}
	}
	if looks != maxLooks+1 {
		t.Errorf("%d looks", looks)
	}
	n := b.rec.sample()
	if got := b.send(0, tries(n, n/2), tries(n, 0)); got != running(1, 0.5) {
		t.Errorf("got %+v", got)
	}
	b = newBench(Migration{Name: "move", Shares: []float64{0.5, 1}, StageTime: 1 << 60})
	for b.rec.sample() < 50_000_000 {
		n := b.rec.sample()/1000 + 1
		b.send(0, tries(n, 0), tries(n, 0))
	}
	if b.rec.Looks < 50 || b.rec.Looks > maxLooks {
		t.Errorf("%d looks at 50 million messages", b.rec.Looks)
	}
}

// TestMigrationPace: whatever clocks and samples do, in any time of StageTime there begins at most one stage, but for one at each jump ahead of the
// clock. A clock that is wrong once, and late, is no such jump.
func TestMigrationPace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBench(Migration{Name: "move", Shares: []float64{0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1}, StageTime: 24 * time.Hour})
		truth, allowed, last := stamp(start), 0, stamp(start)
		slips := rapid.Bool().Draw(t, "only slips")
		was := int64(0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			offset := int64(0)
			switch {
			case slips && was == 0 && rapid.Bool().Draw(t, "a slip"):
				offset = -rapid.Int64Range(0, 400*24*int64(time.Hour)).Draw(t, "behind")
			case !slips && rapid.Bool().Draw(t, "wrong"):
				offset = rapid.Int64Range(-400*24*int64(time.Hour), 400*24*int64(time.Hour)).Draw(t, "offset")
			}
			if !slips && offset > was {
				allowed++
			}
			was = offset
			truth += rapid.Int64Range(0, 30*int64(time.Hour)).Draw(t, "passes")
			stage := b.plan.stage(b.rec.Share)
			b.at = truth + offset
			got := b.send(0, tries(300, 3), tries(300, 3))
			if got.Stage > stage+1 || got.Stage < stage {
				t.Fatalf("from stage %d to %d", stage, got.Stage)
			}
			if got.Stage == stage+1 {
				if truth-last < 24*int64(time.Hour) {
					if allowed--; allowed < 0 {
						t.Fatalf("stage %d after %s", got.Stage, time.Duration(truth-last))
					}
				}
				last = truth
			}
		}
	})
}

// TestMigrationAdapt: a changed plan never means a larger share.
func TestMigrationAdapt(t *testing.T) {
	shares := rapid.Custom(func(t *rapid.T) []float64 {
		s := append(rapid.SliceOfDistinct(rapid.Float64Range(0.001, 0.999), rapid.ID[float64]).Draw(t, "shares"), 1)
		slices.Sort(s)
		return s
	})
	rapid.Check(t, func(t *rapid.T) {
		b := newBench(Migration{Name: "move", Shares: shares.Draw(t, "old")[:]})
		for b.rec.Phase == MigrationRunning && rapid.Bool().Draw(t, "advance") {
			b.rec.pass(&b.plan, b.at)
		}
		was, phase := b.rec.Share, b.rec.Phase
		b.plan.Shares = shares.Draw(t, "new")
		told := 0
		b.rec.adapt(&b.plan, b.at, func(from MigrationPosition, _ []Comparison) { told++ })
		got := b.rec.position(&b.plan)
		if got.Share > was || got.Share != b.rec.stage().Share || got.Phase != phase || phase == MigrationComplete && got.Share != 1 {
			t.Fatalf("%g became %+v", was, got)
		}
		if i := slices.Index(b.plan.Shares, got.Share); i+1 != got.Stage || i < 0 && was > b.plan.Shares[0] {
			t.Fatalf("%g became %+v", was, got)
		}
		if (told > 0) != (got.Share != was) || told > 0 && got.Cause != CausePlan {
			t.Fatalf("told %d times of %+v", told, got)
		}
		if b.rec.validate(&b.plan) != nil {
			t.Fatal(b.rec.validate(&b.plan))
		}
	})
}
