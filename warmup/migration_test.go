package warmup

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMigrationValidate(t *testing.T) {
	many := make([]string, maxMigrationUnits+1)
	for i := range many {
		many[i] = strings.Repeat("x", 1+i%7) + time.Duration(i).String()
	}
	shares := make([]float64, maxMigrationShares+1)
	for i := range shares {
		shares[i] = float64(i+1) / float64(len(shares))
	}
	for _, c := range []struct {
		name  string
		edit  func(*Migration)
		fault string
	}{
		{"the least", func(*Migration) {}, ""},
		{"all", func(m *Migration) {
			*m = Migration{Name: "A-z_0.9", Shares: []float64{0.5, 1}, StageTime: time.Hour, MinSample: 1, Salt: "s", PerProvider: true,
				Providers: []string{"google"}, Streams: []string{"a", "b"},
				Tests: MigrationTests{Alpha: 0.5, HoldAlpha: 0.5, MinEffect: 1, MinSample: 1, SlowAfter: time.Second}}
		}, ""},
		{"one share", func(m *Migration) { m.Shares = []float64{1} }, ""},
		{"no name", func(m *Migration) { m.Name = "" }, "Name is empty"},
		{"long name", func(m *Migration) { m.Name = strings.Repeat("x", 65) }, "Name has 65 bytes"},
		{"name", func(m *Migration) { m.Name = "a/b" }, "Name has other characters"},
		{"name not ASCII", func(m *Migration) { m.Name = "ä" }, "Name has other characters"},
		{"many shares", func(m *Migration) { m.Shares = shares }, "Shares has 101 entries"},
		{"share 0", func(m *Migration) { m.Shares = []float64{0, 1} }, "Shares has 0 in stage 1"},
		{"share NaN", func(m *Migration) { m.Shares = []float64{math.NaN(), 1} }, "Shares has NaN in stage 1"},
		{"equal shares", func(m *Migration) { m.Shares = []float64{0.5, 0.5, 1} }, "Shares has 0.5 in stage 2: must be above 0.5"},
		{"more than all", func(m *Migration) { m.Shares = []float64{0.5, 1.1} }, "Shares has 1.1 in stage 2"},
		{"not all", func(m *Migration) { m.Shares = []float64{0.5} }, "Shares ends at 0.5"},
		{"stage time", func(m *Migration) { m.StageTime = -1 }, "StageTime is -1ns"},
		{"sample", func(m *Migration) { m.MinSample = -1 }, "MinSample is -1"},
		{"large sample", func(m *Migration) { m.MinSample = maxMigrationSample + 1 }, "MinSample is"},
		{"salt", func(m *Migration) { m.Salt = strings.Repeat("x", 129) }, "Salt has 129 bytes"},
		{"provider", func(m *Migration) { m.Providers = []string{"a", ""} }, "Providers has an empty name"},
		{"provider twice", func(m *Migration) { m.Providers = []string{"a", "a"} }, `Providers has "a" twice`},
		{"many providers", func(m *Migration) { m.Providers = many }, ""},
		{"too many providers", func(m *Migration) { m.Providers, m.PerProvider = many, true }, "Providers has 10001 entries"},
		{"stream", func(m *Migration) { m.Streams = []string{""} }, "Streams has an empty name"},
		{"alpha", func(m *Migration) { m.Tests.Alpha = 0.6 }, "Tests.Alpha is 0.6"},
		{"alpha NaN", func(m *Migration) { m.Tests.Alpha = math.NaN() }, "Tests.Alpha is NaN"},
		{"hold", func(m *Migration) { m.Tests.HoldAlpha = -1 }, "Tests.HoldAlpha is -1"},
		{"effect", func(m *Migration) { m.Tests.MinEffect = 1.5 }, "Tests.MinEffect is 1.5"},
		{"test sample", func(m *Migration) { m.Tests.MinSample = -2 }, "Tests.MinSample is -2"},
		{"slow", func(m *Migration) { m.Tests.SlowAfter = -time.Second }, "Tests.SlowAfter is -1s"},
	} {
		m := Migration{Name: "move"}
		c.edit(&m)
		err := m.Validate()
		if c.fault == "" && err != nil || c.fault != "" && (err == nil || !strings.Contains(err.Error(), ": "+c.fault)) {
			t.Errorf("%s: got error %v, want %q", c.name, err, c.fault)
		}
		if _, openErr := OpenMigrator(t.Context(), MigratorConfig{Migrations: []Migration{m}}); (openErr == nil) != (err == nil) {
			t.Errorf("%s: got error %v on opening, %v on validating", c.name, openErr, err)
		}
	}
	for fault, cfg := range map[string]MigratorConfig{
		"Migrations[1] \"a\": the name is used twice": {Migrations: []Migration{{Name: "a"}, {Name: "a"}}},
		"Owner has 129 bytes":                         {Owner: strings.Repeat("x", 129)},
	} {
		if _, err := OpenMigrator(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("got error %v, want %q", err, fault)
		}
	}
}

func TestMigrationDefaults(t *testing.T) {
	got := Migration{Name: "move"}.withDefaults()
	want := Migration{Name: "move", Shares: []float64{0.01, 0.05, 0.1, 0.25, 0.5, 1}, StageTime: 24 * time.Hour, MinSample: 200, Salt: "move",
		Tests: MigrationTests{Alpha: 0.01, HoldAlpha: 0.05, MinEffect: 0.005, MinSample: 200, SlowAfter: 5 * time.Minute}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
	shares := []float64{0.5, 1}
	m := Migration{Shares: shares}.withDefaults()
	shares[0] = 0.9
	if !slices.Equal(m.Shares, []float64{0.5, 1}) {
		t.Error("it keeps the caller's slice")
	}
}

func TestMigrationJSON(t *testing.T) {
	data, err := json.Marshal(Migration{Name: "move"})
	if err != nil || string(data) != `{"name":"move"}` {
		t.Errorf("got %s, error %v", data, err)
	}
	full := Migration{Name: "move", PerProvider: true, Streams: []string{"news"}}.withDefaults()
	if data, err = json.Marshal(full); err != nil {
		t.Fatal(err)
	}
	var back Migration
	if err := json.Unmarshal(data, &back); err != nil || !reflect.DeepEqual(back, full) {
		t.Errorf("%s: got %+v, error %v", data, back, err)
	}
}

func TestMigrationShares(t *testing.T) {
	m := Migration{Shares: []float64{0.05, 0.5, 1}}
	for _, c := range []struct {
		share  float64
		stage  int
		next   float64
		within float64
	}{
		{0.01, 0, 0.05, 0.01}, {0.05, 1, 0.5, 0.05}, {0.1, 1, 0.5, 0.05}, {0.5, 2, 1, 0.5}, {0.99, 2, 1, 0.5}, {1, 3, 0, 1},
	} {
		next, ok := m.next(c.share)
		if got := m.stage(c.share); got != c.stage || next != c.next || ok != (c.next > 0) || m.within(c.share) != c.within {
			t.Errorf("share %g: stage %d, next %g, within %g", c.share, got, next, m.within(c.share))
		}
	}
}
