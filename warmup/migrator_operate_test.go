package warmup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestMigratorVerbs goes through each verb in each phase.
func TestMigratorVerbs(t *testing.T) {
	ctx := context.Background()
	verbs := map[string]func(*Migrator) error{
		"advance":  func(m *Migrator) error { return m.Advance(ctx, "move", "", "because") },
		"hold":     func(m *Migrator) error { return m.Hold(ctx, "move", "", "because") },
		"resume":   func(m *Migrator) error { return m.Resume(ctx, "move", "", "because") },
		"rollback": func(m *Migrator) error { return m.Rollback(ctx, "move", "", "because") },
		"restart":  func(m *Migrator) error { return m.Restart(ctx, "move", "", "because") },
	}
	for _, c := range []struct {
		before []string
		verb   string
		want   string // phase and stage, or the error
		told   bool
	}{
		{nil, "advance", "running 2", true},
		{nil, "hold", "holding 1", true},
		{nil, "resume", "running 1", false},
		{nil, "rollback", "rolled-back 1", true},
		{nil, "restart", "running 1", true},
		{[]string{"hold"}, "advance", "running 2", true},
		{[]string{"hold"}, "hold", "holding 1", false},
		{[]string{"hold"}, "resume", "running 1", true},
		{[]string{"hold"}, "rollback", "rolled-back 1", true},
		{[]string{"advance", "hold"}, "restart", "running 1", true},
		{[]string{"advance", "rollback"}, "advance", "it is rolled back", false},
		{[]string{"rollback"}, "hold", "it is rolled back", false},
		{[]string{"rollback"}, "resume", "it is rolled back", false},
		{[]string{"rollback"}, "rollback", "rolled-back 1", false},
		{[]string{"advance", "rollback"}, "restart", "running 1", true},
		{[]string{"advance", "advance"}, "advance", "complete 3", true},
		{[]string{"advance", "advance", "advance"}, "advance", "it is complete", false},
		{[]string{"advance", "advance", "advance"}, "hold", "it is complete", false},
		{[]string{"advance", "advance", "advance"}, "resume", "it is complete", false},
		{[]string{"advance", "advance", "advance"}, "rollback", "rolled-back 3", true},
		{[]string{"advance", "advance", "advance"}, "restart", "running 1", true},
	} {
		tr := openTrial(t, nil, "", Migration{Name: "move", Shares: stages})
		tr.sync(t, start)
		for _, verb := range c.before {
			if err := verbs[verb](tr.Migrator); err != nil {
				t.Fatal(err)
			}
		}
		tr.takeTold()
		err := verbs[c.verb](tr.Migrator)
		s, _ := tr.State("move", "")
		got := fmt.Sprintf("%s %d", s.Phase, s.Stage)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s after %v: got %s, want %s", c.verb, c.before, got, c.want)
		}
		tr.mu.Lock()
		if (len(tr.told) == 1) != c.told || c.told && (tr.told[0].Reason != "because" || tr.told[0].To != s.MigrationPosition || !tr.told[0].Time.Equal(start)) {
			t.Errorf("%s after %v: told of %+v", c.verb, c.before, tr.told)
		}
		tr.mu.Unlock()
		_ = tr.Close(ctx)
		if err := verbs[c.verb](tr.Migrator); !errors.Is(err, ErrClosed) {
			t.Errorf("%s after the end: got error %v", c.verb, err)
		}
	}
}

// TestMigratorHolds: an operator's hold stays, but not against a rollback; a rate's hold that an operator ends does not come back in the stage.
func TestMigratorHolds(t *testing.T) {
	ctx := context.Background()
	day := 24 * time.Hour
	tr := openTrial(t, nil, "", Migration{Name: "move", Shares: stages})
	tr.sync(t, start)
	if err := tr.Hold(ctx, "move", "", "a holiday"); err != nil {
		t.Fatal(err)
	}
	tr.observe(ArmNew, 300, 6)
	tr.observe(ArmControl, 2700, 54)
	tr.sync(t, start.Add(9*day))
	tr.at(t, holding(CauseOperator, 1, 0.1))
	tr.observe(ArmNew, 300, 100)
	tr.sync(t, start.Add(9*day))
	tr.at(t, MigrationPosition{Phase: MigrationRolledBack, Cause: CauseBounces, Stage: 1})

	tr = openTrial(t, nil, "", Migration{Name: "move", Shares: stages})
	tr.sync(t, start)
	tr.observe(ArmNew, 300, 12)
	tr.observe(ArmControl, 2700, 54)
	tr.sync(t, start.Add(day))
	tr.at(t, holding(CauseBounces, 1, 0.1))
	if err := tr.Resume(ctx, "move", "", "a bad list"); err != nil {
		t.Fatal(err)
	}
	tr.sync(t, start.Add(day))
	tr.at(t, running(2, 0.5))
	tr.observe(ArmNew, 300, 12)
	tr.observe(ArmControl, 300, 6)
	tr.sync(t, start.Add(2*day))
	tr.at(t, holding(CauseBounces, 2, 0.5)) // The next stage is another matter.
}

func TestMigratorNames(t *testing.T) {
	ctx := context.Background()
	tr := openTrial(t, nil, "", Migration{Name: "b"}, Migration{Name: "a", PerProvider: true, Providers: []string{"google", "yahoo"}})
	for _, c := range []struct{ name, provider, want string }{
		{"move", "", `"move": there is no such migration: there are a, b`},
		{"b", "google", `it has no provider "google": all advance together`},
		{"a", "gogle", `it has no provider "gogle": there are google, yahoo`},
	} {
		_, err := tr.State(c.name, c.provider)
		errs := []error{err}
		for _, verb := range []func(context.Context, string, string, string) error{tr.Advance, tr.Hold, tr.Resume, tr.Rollback, tr.Restart} {
			errs = append(errs, verb(ctx, c.name, c.provider, ""))
		}
		for i, err := range errs {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%d: got error %v, want %q", i, err, c.want)
			}
		}
	}
	if _, err := tr.State("a", ""); err == nil {
		t.Error("a state of all providers")
	}
	if err := tr.Hold(ctx, "a", "", strings.Repeat("ä", 600)); err != nil { // Both, before they were on record.
		t.Fatal(err)
	}
	tr.sync(t, start)
	var got []string
	for _, s := range tr.States() {
		got = append(got, s.Migration+" "+s.Provider+" "+string(s.Phase))
	}
	told(t, got, "a google holding", "a yahoo holding", "b  running")
	if s, _ := tr.State("a", "google"); len(s.History[1].Reason) > maxReason+3 || s.String() != "migration a (google): holding, stage 1 of 6 (1 %), 0 of 200 in the sample" {
		t.Errorf("got %s, %+v", s, s.History[1])
	}
}
