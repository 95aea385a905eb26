package warmup

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

// stages are the shares of most tests here.
var stages = []float64{0.1, 0.5, 1}

// trial is a Migrator with what it told.
type trial struct {
	*Migrator
	mu   sync.Mutex
	told []MigrationChange
}

func openTrial(t interface{ Fatal(...any) }, store Store, owner string, migrations ...Migration) *trial {
	tr := &trial{}
	m, err := OpenMigrator(context.Background(), MigratorConfig{Store: store, Owner: owner, Migrations: migrations, OnChange: func(c MigrationChange) {
		tr.mu.Lock()
		tr.told = append(tr.told, c)
		tr.mu.Unlock()
		_, _ = tr.State(c.Migration, c.Provider) // No lock is held.
		_ = tr.Hold(context.Background(), "no such migration", "", "")
	}})
	if err != nil {
		t.Fatal(err)
	}
	tr.Migrator = m
	return tr
}

func (tr *trial) sync(t testing.TB, now time.Time) {
	t.Helper()
	if err := tr.SyncAt(context.Background(), now); err != nil {
		t.Fatal(err)
	}
}

// takeTold are the changes told since the last call, in words.
func (tr *trial) takeTold() []string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	var all []string
	for _, c := range tr.told {
		all = append(all, fmt.Sprintf("%s %d -> %s %d %s", c.From.Phase, c.From.Stage, c.To.Phase, c.To.Stage, c.To.Cause))
	}
	tr.told = nil
	return all
}

func (tr *trial) observe(arm Arm, n, bounced int) {
	o := MigrationOutcome{Migration: "move", Arm: arm, Outcome: Delivered, N: n - bounced, First: true}
	tr.Observe(o)
	o.Outcome, o.N = Bounced, bounced
	tr.Observe(o)
}

func (tr *trial) at(t testing.TB, want MigrationPosition) {
	t.Helper()
	s, err := tr.State("move", "")
	if err != nil || s.MigrationPosition != want {
		t.Fatalf("got %+v, error %v, want %+v", s.MigrationPosition, err, want)
	}
}

// share is the part of recipients that go to the new arm.
func (tr *trial) share() float64 {
	const n = 2000
	fresh := 0
	for i := range n {
		if tr.Arm("move", "google", "news", fmt.Sprintf("user%d@example.com", i)) == ArmNew {
			fresh++
		}
	}
	return float64(fresh) / n
}

func told(t testing.TB, got []string, want ...string) {
	t.Helper()
	if !reflect.DeepEqual(got, want) && len(got)+len(want) > 0 {
		t.Errorf("told of %q, want %q", got, want)
	}
}

func TestMigratorCourse(t *testing.T) {
	store := NewMemoryStore()
	tr := openTrial(t, store, "", Migration{Name: "move", Shares: stages})
	tr.at(t, MigrationPosition{Phase: MigrationWaiting})
	tr.observe(ArmNew, 1000, 1000) // Not begun: nothing is counted.
	if s := tr.share(); s != 0 {
		t.Errorf("a share of %g before the start", s)
	}
	now := start
	tr.sync(t, now)
	told(t, tr.takeTold(), "waiting 0 -> running 1 ")
	first := map[string]bool{}
	for stage, share := range stages {
		tr.at(t, running(stage+1, share))
		if got := tr.share(); !near(got, share, 0.15) {
			t.Errorf("a share of %g in stage %d", got, stage+1)
		}
		for i := range 1000 {
			to := fmt.Sprintf("user%d@example.com", i)
			switch arm := tr.Arm("move", "google", "news", to); {
			case arm == ArmNew:
				first[to] = true
			case first[to]:
				t.Fatalf("%s was moved back", to)
			}
		}
		tr.observe(ArmNew, 300, 6)
		tr.observe(ArmControl, 1700, 34)
		now = now.Add(24 * time.Hour)
		tr.sync(t, now)
		tr.sync(t, now.Add(time.Minute))
	}
	tr.at(t, MigrationPosition{Phase: MigrationComplete, Stage: 3, Share: 1})
	told(t, tr.takeTold(), "running 1 -> running 2 ", "running 2 -> running 3 ", "running 3 -> complete 3 ")
	if s := tr.share(); s != 1 {
		t.Errorf("a share of %g at the end", s)
	}
	s, _ := tr.State("move", "")
	if s.New.Attempts != 900 || s.Control.Bounced != 102 || len(s.Rates) != rates || len(s.History) != 4 || s.Rates[0].New != (Proportion{12, 600}) {
		t.Errorf("got %+v", s)
	}
	// A fresh process goes on there.
	tr = openTrial(t, store, "", Migration{Name: "move", Shares: stages})
	tr.at(t, MigrationPosition{Phase: MigrationComplete, Stage: 3, Share: 1})
	if s := tr.share(); s != 1 {
		t.Errorf("a share of %g after a restart", s)
	}
	told(t, tr.takeTold())
}

func TestMigratorRollback(t *testing.T) {
	store := NewMemoryStore()
	a := openTrial(t, store, "a", Migration{Name: "move", Shares: stages})
	b := openTrial(t, store, "b", Migration{Name: "move", Shares: stages})
	a.sync(t, start)
	b.sync(t, start)
	a.observe(ArmNew, 150, 30) // Neither has a sample by itself.
	a.observe(ArmControl, 1500, 30)
	b.observe(ArmNew, 150, 30)
	a.sync(t, start.Add(time.Minute))
	b.sync(t, start.Add(time.Minute))
	told(t, a.takeTold(), "waiting 0 -> running 1 ")
	b.mu.Lock()
	if len(b.told) != 1 {
		t.Fatalf("told of %+v", b.told)
	}
	c := b.told[0]
	b.mu.Unlock()
	if e := c.Evidence[0]; c.To != (MigrationPosition{Phase: MigrationRolledBack, Cause: CauseBounces, Stage: 1}) || e.Rate != CauseBounces ||
		e.New != (Proportion{60, 300}) || e.Control != (Proportion{30, 1500}) || e.Verdict != VerdictProven || !near(e.Difference, 0.18, 1e-9) {
		t.Errorf("got %+v", c)
	}
	want := "migration move: running, stage 1 (10 %) -> rolled-back, stage 1 (0 %), bounces; bounces: 60 of 300 against 30 of 1500, 18.00 points more, p < 1e-15: proven"
	if !strings.HasPrefix(c.String(), want) {
		t.Errorf("got %s", c)
	}
	if b.share() != 0 || a.share() == 0 {
		t.Error("b goes on, or a knows of it already")
	}
	a.sync(t, start.Add(2*time.Minute))
	if a.share() != 0 {
		t.Error("a goes on")
	}
	told(t, a.takeTold())
	// It is final, and the reason is kept.
	a = openTrial(t, store, "c", Migration{Name: "move", Shares: stages})
	for day := range 10 {
		a.observe(ArmNew, 1000, 0)
		a.sync(t, start.Add(time.Duration(day)*24*time.Hour))
	}
	a.at(t, c.To)
	if s, _ := a.State("move", ""); !reflect.DeepEqual(s.History[len(s.History)-1], c) {
		t.Errorf("got %+v, want %+v", s.History, c)
	}
	if err := a.Restart(WithActor(context.Background(), "Ann"), "move", "", "it was the DNS"); err != nil {
		t.Fatal(err)
	}
	a.at(t, MigrationPosition{Phase: MigrationRunning, Cause: CauseOperator, Stage: 1, Share: 0.1})
	s, _ := a.State("move", "")
	if last := s.History[len(s.History)-1]; last.Actor != "Ann" || last.Reason != "it was the DNS" || s.New != (ArmCounts{}) || s.Control != (ArmCounts{}) {
		t.Errorf("got %+v", s)
	}
	// What b still has of the first run does not count.
	b.observe(ArmNew, 1000, 900)
	b.sync(t, start.Add(300*time.Hour))
	b.at(t, MigrationPosition{Phase: MigrationRunning, Cause: CauseOperator, Stage: 1, Share: 0.1})
	if s, _ := b.State("move", ""); s.New != (ArmCounts{}) {
		t.Errorf("got %+v", s)
	}
}

func TestMigratorFilters(t *testing.T) {
	tr := openTrial(t, nil, "", Migration{Name: "move", Shares: []float64{1}, Providers: []string{"google"}, Streams: []string{"news", "shop"}},
		Migration{Name: "all", Shares: []float64{1}}, Migration{Name: "each", Shares: []float64{1}, PerProvider: true})
	tr.sync(t, start)
	for _, c := range []struct {
		migration, provider, stream string
		want                        Arm
	}{
		{"move", "google", "news", ArmNew}, {"move", "google", "shop", ArmNew}, {"move", "google", "", ArmNone}, {"move", "yahoo", "news", ArmNone},
		{"all", "", "", ArmNew}, {"all", "yahoo", "other", ArmNew}, {"none", "google", "news", ArmNone},
		{"each", "", "", ArmControl}, {"each", "google", "", ArmControl}, // Not on record yet.
	} {
		if got := tr.Arm(c.migration, c.provider, c.stream, "a@example.com"); got != c.want {
			t.Errorf("%+v: got %q", c, got)
		}
	}
	tr.sync(t, start)
	if tr.Arm("each", "google", "", "a@example.com") != ArmNew || tr.Arm("each", "", "", "a@example.com") != ArmControl || len(tr.States()) != 3 {
		t.Errorf("got %v", tr.States())
	}
}

func TestMigratorOutcomes(t *testing.T) {
	tr := openTrial(t, nil, "", Migration{Name: "move"})
	tr.sync(t, start)
	for _, c := range []struct {
		o    MigrationOutcome
		want ArmCounts
	}{
		{MigrationOutcome{Outcome: Delivered, N: 2, First: true}, ArmCounts{Attempts: 2, Delivered: 2}},
		{MigrationOutcome{Outcome: Delivered, N: 2, Delay: 5 * time.Minute}, ArmCounts{Delivered: 2}},
		{MigrationOutcome{Outcome: Delivered, N: 2, Delay: 5*time.Minute + 1}, ArmCounts{Delivered: 2, Slow: 2}},
		{MigrationOutcome{Outcome: Bounced, N: 1, First: true}, ArmCounts{Attempts: 1, Bounced: 1}},
		{MigrationOutcome{Outcome: Bounced, N: 1}, ArmCounts{}},
		{MigrationOutcome{Outcome: Deferred, N: 1, First: true, Delay: time.Hour}, ArmCounts{Attempts: 1, Deferred: 1}},
		{MigrationOutcome{Outcome: Blocked, N: 1, First: true}, ArmCounts{Attempts: 1, Blocked: 1}},
		{MigrationOutcome{Outcome: Other, N: 1, First: true}, ArmCounts{Attempts: 1}},
		{MigrationOutcome{Outcome: "strange", N: 1, First: true}, ArmCounts{Attempts: 1}},
		{MigrationOutcome{Outcome: Complained, N: 3}, ArmCounts{Complained: 3}},
		{MigrationOutcome{Outcome: Complained, N: 3, First: true}, ArmCounts{Complained: 3}},
		{MigrationOutcome{Outcome: Delivered, N: 0, First: true}, ArmCounts{}},
		{MigrationOutcome{Outcome: Delivered, N: -5, First: true}, ArmCounts{}},
		{MigrationOutcome{Outcome: Delivered, N: 1, Arm: "other"}, ArmCounts{}},
		{MigrationOutcome{Outcome: Delivered, N: 1, Migration: "other"}, ArmCounts{}},
	} {
		before, _ := tr.State("move", "")
		arms := []Arm{c.o.Arm}
		if c.o.Arm == ArmNone {
			arms = []Arm{ArmNew, ArmControl, ArmNone}
		}
		for _, arm := range arms {
			o := c.o
			o.Arm = arm
			if o.Migration == "" {
				o.Migration = "move"
			}
			tr.Observe(o)
		}
		tr.sync(t, start)
		after, _ := tr.State("move", "")
		before.New.add(c.want)
		before.Control.add(c.want)
		if after.New != before.New || after.Control != before.Control {
			t.Errorf("%+v: got %+v and %+v, want %+v", c.o, after.New, after.Control, before.New)
		}
	}
}

// TestMigratorPlans: a fresh process with other shares never sends more than the one before.
func TestMigratorPlans(t *testing.T) {
	store := NewMemoryStore()
	tr := openTrial(t, store, "", Migration{Name: "move", Shares: stages})
	tr.sync(t, start)
	if err := tr.Advance(context.Background(), "move", "", ""); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		shares []float64
		want   MigrationPosition
		told   []string
	}{
		{[]float64{0.2, 0.5, 0.7, 1}, MigrationPosition{MigrationRunning, CauseOperator, 2, 0.5}, nil},
		{[]float64{0.2, 0.4, 0.7, 1}, MigrationPosition{MigrationRunning, CausePlan, 2, 0.4}, []string{"running 2 -> running 2 plan"}},
		{[]float64{0.3, 1}, MigrationPosition{MigrationRunning, CausePlan, 1, 0.3}, []string{"running 1 -> running 1 plan"}},
		{[]float64{0.6, 1}, MigrationPosition{MigrationRunning, CausePlan, 0, 0.3}, nil},
	} {
		tr = openTrial(t, store, "", Migration{Name: "move", Shares: c.shares})
		if got := tr.share(); !near(got, c.want.Share, 0.1) {
			t.Errorf("%v: a share of %g at once", c.shares, got)
		}
		tr.sync(t, start.Add(time.Hour))
		tr.at(t, c.want)
		told(t, tr.takeTold(), c.told...)
	}
	tr.observe(ArmNew, 200, 0)
	tr.observe(ArmControl, 200, 0)
	tr.sync(t, start.Add(25*time.Hour))
	tr.at(t, running(1, 0.6))
	if _, err := OpenMigrator(context.Background(), MigratorConfig{Store: store, Migrations: []Migration{{Name: "move", Salt: "new"}}}); err == nil ||
		!strings.Contains(err.Error(), `key "migration/move/"`) || !strings.Contains(err.Error(), "salt") {
		t.Errorf("got error %v", err)
	}
}

func TestMigratorCorruption(t *testing.T) {
	ctx := context.Background()
	for text, fault := range map[string]string{"{": "unreadable", `{"v":9}`: "version 9", `{"v":1}`: "corrupted"} {
		store := NewMemoryStore()
		tr := openTrial(t, store, "", Migration{Name: "move"}, Migration{Name: "other"})
		tr.sync(t, start)
		tr.observe(ArmNew, 10, 0)
		put := func(key string) {
			_ = store.Update(ctx, key, func([]byte) ([]byte, error) { return []byte(text), nil })
		}
		put("migration/gone/") // That of no migration here, and those of others, do not matter.
		put("migration/move/google")
		put("migration/google")
		put("what/ever")
		put("migration/move/")
		for _, err := range []error{tr.SyncAt(ctx, start), tr.Hold(ctx, "move", "", "")} {
			if err == nil || !strings.Contains(err.Error(), `key "migration/move/"`) || !strings.Contains(err.Error(), fault) {
				t.Errorf("%s: got error %v", text, err)
			}
		}
		if _, err := OpenMigrator(ctx, MigratorConfig{Store: store, Migrations: []Migration{{Name: "move"}}}); err == nil ||
			!strings.Contains(err.Error(), `key "migration/move/"`) || !strings.Contains(err.Error(), fault) {
			t.Errorf("%s: got error %v", text, err)
		}
		openTrial(t, store, "", Migration{Name: "other"})
		tr.at(t, running(1, 0.01)) // It goes on by what it knew.
	}
}

// TestMigratorLoad reads a store where records and keys are exchanged.
func TestMigratorLoad(t *testing.T) {
	store := NewMemoryStore()
	long := strings.Repeat("provider.", 20)
	cfg := Migration{Name: "move", PerProvider: true, Providers: []string{"google", "a/b ü", long}}
	tr := openTrial(t, store, "", cfg)
	tr.sync(t, start)
	if err := tr.Advance(context.Background(), "move", long, ""); err != nil {
		t.Fatal(err)
	}
	tr = openTrial(t, store, "", Migration{Name: "move", PerProvider: true})
	if got := tr.States(); len(got) != 3 || got[2].Provider != long || got[2].Stage != 2 || got[0].Stage != 1 {
		t.Errorf("got %v", got)
	}
	store.values["migration/move/yahoo"] = store.values["migration/move/google"]
	if _, err := OpenMigrator(context.Background(), MigratorConfig{Store: store, Migrations: []Migration{cfg}}); err == nil || !strings.Contains(err.Error(), `key "migration/move/yahoo"`) {
		t.Errorf("got error %v", err)
	}
}

// TestMigratorMany: providers beyond the bound stay with the control arm.
func TestMigratorMany(t *testing.T) {
	tr := openTrial(t, nil, "", Migration{Name: "move", Shares: []float64{1}, PerProvider: true})
	for i := range maxMigrationUnits + 10 {
		if tr.Arm("move", fmt.Sprint(i), "", "a@example.com") != ArmControl {
			t.Fatal("new before it is on record")
		}
	}
	if n := len(tr.States()); n != maxMigrationUnits {
		t.Errorf("%d units", n)
	}
	if err := tr.Resume(context.Background(), "move", "7", ""); err != nil {
		t.Fatal(err)
	}
	for i, want := range map[int]Arm{7: ArmNew, 8: ArmControl, maxMigrationUnits: ArmControl} {
		if got := tr.Arm("move", fmt.Sprint(i), "", "a@example.com"); got != want {
			t.Errorf("provider %d: %s", i, got)
		}
	}
}

// TestMigratorIdle: of many providers the idle ones are read in turns, those in use each time.
func TestMigratorIdle(t *testing.T) {
	store := NewMemoryStore()
	tr := openTrial(t, store, "", Migration{Name: "move", Shares: stages, PerProvider: true})
	for i := range 3 * manyUnits {
		tr.Arm("move", fmt.Sprint(i), "", "")
	}
	tr.sync(t, start)
	other := openTrial(t, store, "other", Migration{Name: "move", Shares: stages, PerProvider: true})
	if err := other.Rollback(context.Background(), "move", "", ""); err != nil {
		t.Fatal(err)
	}
	tr.Observe(MigrationOutcome{Migration: "move", Provider: "7", Arm: ArmControl, Outcome: Delivered, N: 1, First: true})
	tr.Observe(MigrationOutcome{Migration: "move", Provider: "17", Arm: ArmControl, Outcome: Delivered, N: 1, First: true})
	for round := range idleRounds {
		tr.sync(t, start)
		back := 0
		for _, s := range tr.States() {
			if s.Phase == MigrationRolledBack {
				back++
			} else if s.Provider == "7" || s.Provider == "17" {
				t.Errorf("got %v", s)
			}
		}
		if least := (round + 1) * 3 * manyUnits / idleRounds; back < least || back > least+2 {
			t.Errorf("round %d: %d know of it", round, back)
		}
	}
}
