package sqlqueue_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/reputemail/repute/internal/pgtest"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

// failingOn makes the n-th statement fail for which match is true.
func failingOn(n int, what outcome, match func(text string) bool) func(int, string) outcome {
	seen := 0
	return func(_ int, text string) outcome {
		if !match(text) {
			return goesOn
		}
		if seen++; seen == n {
			return what
		}
		return goesOn
	}
}

// failingOften makes one of n statements fail for which match is true.
func failingOften(t *testing.T, n int, what outcome, match func(text string) bool) func(int, string) outcome {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	return func(_ int, text string) outcome {
		if match(text) && r.IntN(n) == 0 {
			return what
		}
		return goesOn
	}
}

func anything(text string) bool { return true }

// bounds are where SQLite meets the locks of others.
func bounds(text string) bool { return strings.HasPrefix(text, "BEGIN") || text == "COMMIT" }

func isCommit(text string) bool { return text == "COMMIT" }

// notRollback: neither SQLite's rollback nor its savepoints meet locks.
func notRollback(text string) bool {
	return !strings.HasPrefix(text, "ROLLBACK") && !strings.HasPrefix(text, "SAVEPOINT") && !strings.HasPrefix(text, "RELEASE")
}

// transient plays the script with faults that pass, and expects all of it to succeed, once. It reports whether there was any fault.
func transient(t *testing.T, db, aside *sql.DB, f *faults) (hit bool) {
	t.Helper()
	execute(t, aside, ordersTable)
	q, err := sqlqueue.Open(ctx, db, quick)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	f.arm()
	s := newScript(t, q, f, aside)
	s.run()
	f.disarm()
	struck := f.struck()
	if s.failed != nil {
		t.Fatalf("after faults at %q: %v", struck, s.failed)
	}
	if found := observe(t, aside); found.String() != s.known.String() {
		t.Fatalf("after faults at %q: found:\n%vwant:\n%v", struck, found, s.known)
	}
	for _, id := range []string{"t1", "t2"} {
		if !s.told[id] {
			t.Errorf("after faults at %q: nobody was told of %s", struck, id)
		}
	}
	return len(struck) > 0
}

// SQLite is busy at each bound of a transaction once, and often at any statement.
func TestBusySQLite(t *testing.T) {
	run := func(t *testing.T, decide func(int, string) outcome) (hit bool) {
		path := filepath.Join(t.TempDir(), "queue.db")
		f := newFaults(decide)
		f.busy = true
		return transient(t, sqliteWith(t, path, f), cleanSQLite(t, path), f)
	}
	t.Run("once", func(t *testing.T) {
		t.Parallel()
		untilThrough(t, func(t *testing.T, n int) bool { return run(t, failingOn(n, failsBefore, bounds)) })
	})
	t.Run("often", func(t *testing.T) {
		t.Parallel()
		for range 5 {
			run(t, failingOften(t, 15, failsBefore, notRollback))
		}
	})
}

// The connection to PostgreSQL breaks at each statement that writes once, after each commit, and often.
func TestBrokenConnectionsPostgres(t *testing.T) {
	pgtest.DSN(t)
	run := func(t *testing.T, decide func(int, string) outcome) (hit bool) {
		dsn := pgtest.DSN(t)
		f := newFaults(decide)
		return transient(t, postgresWith(t, dsn, f), cleanPostgres(t, dsn), f)
	}
	t.Run("before", func(t *testing.T) {
		t.Parallel()
		untilThrough(t, func(t *testing.T, n int) bool { return run(t, failingOn(n, failsBefore, writes)) })
	})
	t.Run("after commit", func(t *testing.T) {
		t.Parallel()
		untilThrough(t, func(t *testing.T, n int) bool { return run(t, failingOn(n, breaksAfter, isCommit)) })
	})
	t.Run("often", func(t *testing.T) {
		t.Parallel()
		for range 3 {
			run(t, failingOften(t, 25, failsBefore, anything))
			run(t, failingOften(t, 3, breaksAfter, isCommit))
		}
	})
}

// workers are how many tests run at the same time, which mostly wait for the disk.
const workers = 4

// untilThrough runs a test for 1, 2, 3 and so on (in short mode for 7, 14 and so on), until that is too high for a fault to happen.
func untilThrough(t *testing.T, run func(t *testing.T, n int) (hit bool)) {
	var next, faults atomic.Int64
	var through atomic.Bool
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for !through.Load() {
				n := int(next.Add(1))
				if testing.Short() {
					n *= 7
				}
				hit := false
				if ok := t.Run(fmt.Sprint(n), func(t *testing.T) { hit = run(t, n) }); !ok || !hit {
					through.Store(true)
				} else {
					faults.Add(1)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("there were faults at %d statements", faults.Load())
}
