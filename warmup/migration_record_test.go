package warmup

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestMigrationRecordRefused(t *testing.T) {
	plan := Migration{Name: "move"}.withDefaults()
	for name, c := range map[string]struct {
		edit  func(r *migrationRecord)
		fault string
	}{
		"as it is":       {func(*migrationRecord) {}, ""},
		"later":          {func(r *migrationRecord) { r.Version = 2 }, "version 2"},
		"no version":     {func(r *migrationRecord) { r.Version = 0 }, "v is 0"},
		"name":           {func(r *migrationRecord) { r.Migration = "other" }, "migration is"},
		"provider":       {func(r *migrationRecord) { r.Provider = "google" }, "provider is"},
		"salt":           {func(r *migrationRecord) { r.Salt = "other" }, `the salt is "move", on record it is "other"`},
		"phase":          {func(r *migrationRecord) { r.Phase = "dancing" }, "phase is"},
		"share":          {func(r *migrationRecord) { r.Share = 0 }, "share is 0"},
		"other share":    {func(r *migrationRecord) { r.Share = 0.5 }, "share is 0.5, that of the last stage is 0.01"},
		"run":            {func(r *migrationRecord) { r.Run = 0 }, "run is 0"},
		"since":          {func(r *migrationRecord) { r.Since = -1 }, "since is -1"},
		"behind":         {func(r *migrationRecord) { r.Behind = -1 }, "behind is -1"},
		"first":          {func(r *migrationRecord) { r.First = -1 }, "first is -1"},
		"no strata":      {func(r *migrationRecord) { r.Strata = nil }, "0 strata"},
		"many strata":    {func(r *migrationRecord) { r.Strata = make([]stratum, maxStrata+1) }, "129 strata"},
		"stratum":        {func(r *migrationRecord) { r.Strata[0].Share = 2 }, "strata[0]: share is 2"},
		"negative count": {func(r *migrationRecord) { r.Strata[0].New.Slow = -1 }, "count is -1"},
		"too many":       {func(r *migrationRecord) { r.Strata[0].Control.Deferred = 1 }, "0 attempts, of which 1 deferred"},
		"too slow":       {func(r *migrationRecord) { r.Strata[0].Control.Slow = 1 }, "0 delivered, of which 1 slow"},
		"looks":          {func(r *migrationRecord) { r.Looks = -1 }, "looks is -1"},
		"changes":        {func(r *migrationRecord) { r.History = make([]recordedChange, 2) }, "changes is 0, with 2"},
	} {
		r := beginMigration(&plan, "", stamp(start))
		c.edit(r)
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		back, err := decodeMigration(data, &plan)
		if c.fault == "" {
			if err != nil || !reflect.DeepEqual(back, r) {
				t.Errorf("%s: got %+v, error %v", name, back, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%s: got error %v, want %q", name, err, c.fault)
		}
	}
	for text, fault := range map[string]string{
		"":                         "unreadable",
		"{":                        "unreadable",
		"null":                     "v is 0",
		`{"v":2,"share":"a half"}`: "version 2",
		`{"v":1,"share":"a half"}`: "unreadable",
	} {
		if _, err := decodeMigration([]byte(text), &plan); err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%s: got error %v, want %q", text, err, fault)
		}
	}
}

// TestMigrationKeys: the keys of migrations and of paths are never the same.
func TestMigrationKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		route, provider := rapid.String().Draw(t, "route"), rapid.String().Draw(t, "provider")
		if rapid.Bool().Draw(t, "a route of that name") {
			route = "migration"
		}
		if _, ok := isMigrationKey(recordKey(Path{route, provider})); ok {
			t.Fatalf("%q is a key of a migration", recordKey(Path{route, provider}))
		}
		key := migrationKey("a.b", provider)
		if name, ok := isMigrationKey(key); !ok || name != "a.b" || len(key) > 1024 || strings.HasSuffix(key, "/") != (provider == "") {
			t.Fatalf("key %q: name %q", key, name)
		}
	})
}

// TestMigrationRecordBounds: neither owners nor stages nor changes grow without end.
func TestMigrationRecordBounds(t *testing.T) {
	plan := Migration{Name: "move"}.withDefaults()
	r := beginMigration(&plan, "", 1)
	for i := range 3 * maxOwners {
		r.mark(fmt.Sprint(i), batchMark{Seq: 1, Seen: int64(i)})
	}
	if _, ok := r.Owners[fmt.Sprint(3*maxOwners-1)]; !ok || len(r.Owners) != maxOwners {
		t.Errorf("%d owners, the latest %t", len(r.Owners), ok)
	}
	r.mark("late", batchMark{Seen: 3*maxOwners + ownerLife})
	if len(r.Owners) != 1 {
		t.Errorf("%d owners after a day", len(r.Owners))
	}
	for range 3 * maxStrata {
		r.enter(0.5, 1)
	}
	if len(r.Strata) != maxStrata || r.number() != 3*maxStrata || r.counts(1, 0) != nil || r.counts(2, r.number()) != nil || r.counts(1, r.number()) != r.stage() {
		t.Errorf("%d strata, the last one is number %d", len(r.Strata), r.number())
	}
	if err := r.validate(&plan); err != nil {
		t.Error(err)
	}
	c := ArmCounts{Attempts: maxTally}
	c.add(ArmCounts{Attempts: 5, Bounced: 5})
	if c.Attempts != maxTally || c.Bounced != 5 {
		t.Errorf("got %+v", c)
	}
}
