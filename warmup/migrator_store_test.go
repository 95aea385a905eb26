package warmup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestMigratorConcurrent is for the race detector.
func TestMigratorConcurrent(t *testing.T) {
	ctx := context.Background()
	store := NewMemoryStore()
	const processes, each = 4, 2000
	trials := make([]*trial, processes)
	for i := range trials {
		trials[i] = openTrial(t, store, fmt.Sprint(i), Migration{Name: "move", StageTime: time.Hour * 1000})
		trials[i].sync(t, start)
	}
	var wg sync.WaitGroup
	for i, tr := range trials {
		wg.Go(func() {
			for k := range each {
				tr.Arm("move", "google", "", fmt.Sprint(k))
				tr.Observe(MigrationOutcome{Migration: "move", Arm: ArmNew, Outcome: Delivered, N: 1, First: true})
			}
		})
		wg.Go(func() {
			for k := range 50 {
				_ = tr.SyncAt(ctx, start)
				if i == 0 && k%10 == 0 {
					_ = tr.Hold(ctx, "move", "", "")
					_ = tr.Resume(ctx, "move", "", "")
				}
				tr.States()
			}
		})
	}
	wg.Wait()
	for _, tr := range trials {
		if err := tr.Close(ctx); err != nil {
			t.Fatal(err)
		}
		if tr.Close(ctx) != nil || !errors.Is(tr.SyncAt(ctx, start), ErrClosed) {
			t.Error("not closed")
		}
	}
	last := openTrial(t, store, "last", Migration{Name: "move"})
	if s, _ := last.State("move", ""); s.New.Attempts != processes*each {
		t.Errorf("%d attempts on record, want %d", s.New.Attempts, processes*each)
	}
}

// TestMigratorStore: whenever the store fails, and however often it repeats what it was given, each outcome counts once, each change is told once, and
// the share is never larger than on record.
func TestMigratorStore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		memory := NewMemoryStore()
		processes := rapid.IntRange(1, 10).Draw(t, "processes")
		plan := Migration{Name: "move", Shares: []float64{0.1, 0.2, 0.3, 0.4, 1}, StageTime: time.Hour, MinSample: 20}
		stores, trials := make([]*flakyStore, processes), make([]*trial, processes)
		for i := range trials {
			stores[i] = &flakyStore{Store: memory}
			trials[i] = openTrial(t, stores[i], fmt.Sprint(i), plan)
			if err := trials[i].SyncAt(ctx, start); err != nil { // From here on the time of all is known.
				t.Fatal(err)
			}
		}
		now := start
		var want ArmCounts
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			i := rapid.IntRange(0, processes-1).Draw(t, "process")
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(20*time.Minute)).Draw(t, "passes")))
			stores[i].fail = rapid.SampledFrom([]string{"", "", "before", "after"}).Draw(t, "fail")
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0, 1, 2:
				u := trials[i].migrations["move"].one
				if counted := u.rec != nil && (u.rec.Phase == MigrationRunning || u.rec.Phase == MigrationHolding); counted {
					n := rapid.IntRange(1, 50).Draw(t, "n")
					trials[i].observe(ArmNew, n, 0)
					want.add(tries(int64(n), 0))
				}
			case 5:
				_ = trials[i].Hold(ctx, "move", "", "")
				_ = trials[i].Resume(ctx, "move", "", "")
			default:
				if err := trials[i].SyncAt(ctx, now); err != nil && !errors.Is(err, errFlaky) {
					t.Fatal(err)
				}
			}
		}
		for round := range 3 {
			for i := range trials {
				stores[i].fail = ""
				if err := trials[i].SyncAt(ctx, now); err != nil {
					t.Fatal(err)
				}
			}
			if round < 2 { // A batch that failed, then what came after it, then what the others wrote.
				continue
			}
			for i := range trials {
				s, _ := trials[i].State("move", "")
				if s.New != want {
					t.Fatalf("process %d: got %+v, want %+v", i, s.New, want)
				}
			}
		}
		s, _ := trials[0].State("move", "")
		all := 0
		for _, tr := range trials {
			all += len(tr.told)
		}
		if rec := trials[0].migrations["move"].one.rec; all != rec.Changes && rec.Changes <= maxHistory {
			t.Fatalf("told of %d changes, there were %d", all, rec.Changes)
		}
		if elapsed := now.Sub(start); s.Stage > 1+int(elapsed/time.Hour) {
			t.Fatalf("stage %d after %s", s.Stage, elapsed)
		}
	})
}

// TestMigratorBatches: a batch that may be on record is given up where the record can not tell any more.
func TestMigratorBatches(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		fail    string
		between func(tr *trial, store Store)
		later   time.Duration
		want    int64
	}{
		"not written":             {"before", func(*trial, Store) {}, time.Minute, 110},
		"written":                 {"after", func(*trial, Store) {}, time.Minute, 110},
		"not written, days later": {"before", func(*trial, Store) {}, 50 * time.Hour, 110}, // It was never offered.
		"written, days later":     {"after", func(*trial, Store) {}, 50 * time.Hour, 110},
		"written, another process of that name": {"after", func(_ *trial, store Store) {
			other := openTrial(t, store, "a", Migration{Name: "move"})
			other.observe(ArmNew, 1, 0)
			other.sync(t, start)
		}, time.Minute, 111},
		"written, forgotten": {"after", func(_ *trial, store Store) {
			other := openTrial(t, store, "b", Migration{Name: "move"})
			other.observe(ArmNew, 1, 0)
			other.sync(t, start.Add(1000*time.Hour))
		}, time.Minute, 111},
	} {
		memory := NewMemoryStore()
		flaky := &flakyStore{Store: memory}
		tr := openTrial(t, flaky, "a", Migration{Name: "move"})
		tr.sync(t, start)
		tr.observe(ArmNew, 10, 0)
		tr.sync(t, start)
		tr.observe(ArmNew, 90, 0)
		flaky.fail = c.fail
		if err := tr.SyncAt(ctx, start); !errors.Is(err, errFlaky) || !strings.Contains(err.Error(), `key "migration/move/"`) {
			t.Fatalf("%s: got error %v", name, err)
		}
		if err := tr.Hold(ctx, "move", "", ""); !errors.Is(err, errFlaky) {
			t.Errorf("%s: got error %v", name, err)
		}
		tr.observe(ArmNew, 10, 0)
		flaky.fail = ""
		c.between(tr, memory)
		tr.sync(t, start.Add(c.later))
		tr.sync(t, start.Add(c.later))
		if s, _ := tr.State("move", ""); s.New.Attempts != c.want {
			t.Errorf("%s: %d attempts on record, want %d", name, s.New.Attempts, c.want)
		}
	}
}

// TestMigratorAway: without the store the share stays, deltas stay small, and the end is an error that tells of it.
func TestMigratorAway(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	flaky := &flakyStore{Store: NewMemoryStore()}
	tr := openTrial(t, flaky, "", Migration{Name: "move", Shares: stages})
	tr.sync(t, start)
	flaky.fail = "before"
	for day := range 30 {
		tr.observe(ArmNew, 1000, 500)
		tr.observe(ArmControl, 1000, 0)
		if err := tr.SyncAt(ctx, start.Add(time.Duration(day)*24*time.Hour)); !errors.Is(err, errFlaky) {
			t.Fatalf("got error %v", err)
		}
		tr.at(t, running(1, 0.1))
	}
	if u := tr.migrations["move"].one; len(u.deltas) > 1 {
		t.Errorf("%d deltas", len(u.deltas))
	}
	if err := tr.Advance(ctx, "move", "", ""); !errors.Is(err, errFlaky) {
		t.Errorf("got error %v", err)
	}
	// A call that must wait for another one gives up with its context.
	u := tr.migrations["move"].one
	u.writing <- struct{}{}
	cancel()
	if err := tr.SyncAt(ctx, start); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v", err)
	}
	<-u.writing
	if err := tr.Close(context.Background()); !errors.Is(err, errFlaky) {
		t.Errorf("got error %v", err)
	}
	tr.observe(ArmNew, 1, 0)
	if tr.share() == 0 || tr.Arm("move", "", "", "") == ArmNone {
		t.Error("no arms after the end")
	}
}

func TestMigratorArmDoesNotAllocate(t *testing.T) {
	tr := openTrial(t, nil, "", Migration{Name: "move", PerProvider: true, Streams: []string{"news"}})
	tr.Arm("move", "google", "news", "")
	tr.sync(t, start)
	if n := testing.AllocsPerRun(100, func() { tr.Arm("move", "google", "news", "somebody.with.a.name@example.com") }); n != 0 {
		t.Errorf("%g allocations", n)
	}
}

func BenchmarkMigratorArm(b *testing.B) {
	for _, each := range []bool{false, true} {
		b.Run(fmt.Sprintf("PerProvider=%t", each), func(b *testing.B) {
			tr := openTrial(b, nil, "", Migration{Name: "move", PerProvider: each, Providers: []string{"google", "yahoo"}, Streams: []string{"news"}})
			tr.sync(b, start)
			b.ReportAllocs()
			for b.Loop() {
				tr.Arm("move", "google", "news", "somebody.with.a.name@example.com")
			}
		})
	}
}

func BenchmarkMigratorObserve(b *testing.B) {
	tr := openTrial(b, nil, "", Migration{Name: "move"})
	tr.sync(b, start)
	b.ReportAllocs()
	for b.Loop() {
		tr.Observe(MigrationOutcome{Migration: "move", Arm: ArmNew, Outcome: Delivered, N: 1, First: true})
	}
}

func BenchmarkMigratorSync(b *testing.B) {
	tr := openTrial(b, nil, "", Migration{Name: "move"})
	tr.sync(b, start)
	b.ReportAllocs()
	for b.Loop() {
		tr.observe(ArmNew, 2, 1)
		tr.sync(b, start)
	}
}
