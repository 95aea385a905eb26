package sqlqueue_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/reputemail/repute/internal/pgtest"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

// failingOn makes the n-th statement fail for which match is true, once; with every, each n-th.
func failingOn(n int, every bool, what outcome, match func(text string) bool) func(int, string) outcome {
	seen := 0
	return func(_ int, text string) outcome {
		if !match(text) {
			return goesOn
		}
		if seen++; seen == n || every && seen%n == 0 {
			return what
		}
		return goesOn
	}
}

func anything(text string) bool { return true }

// bounds are where SQLite meets the locks of others.
func bounds(text string) bool { return strings.HasPrefix(text, "BEGIN") || text == "COMMIT" }

func isCommit(text string) bool { return text == "COMMIT" }

// notRollback: SQLite's rollback does not meet locks.
func notRollback(text string) bool { return text != "ROLLBACK" }

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
	run := func(t *testing.T, n int, every bool, match func(string) bool) (hit bool) {
		path := filepath.Join(t.TempDir(), "queue.db")
		f := newFaults(failingOn(n, every, failsBefore, match))
		f.busy = true
		return transient(t, sqliteWith(t, path, f), cleanSQLite(t, path), f)
	}
	untilThrough(t, func(t *testing.T, n int) bool { return run(t, n, false, bounds) })
	for _, n := range []int{7, 11, 23} {
		t.Run(fmt.Sprint("every ", n), func(t *testing.T) { run(t, n, true, notRollback) })
	}
}

// untilThrough runs a test for 1, 2, 3 and so on, until that is too high for a fault to happen.
func untilThrough(t *testing.T, run func(t *testing.T, n int) (hit bool)) {
	for n := 1; ; n++ {
		hit := false
		if ok := t.Run(fmt.Sprint(n), func(t *testing.T) { hit = run(t, n) }); !ok {
			return
		}
		if !hit {
			t.Logf("there were faults at %d statements", n-1)
			return
		}
	}
}

// The connection to PostgreSQL breaks at each statement that writes once, after each commit, and often.
func TestBrokenConnectionsPostgres(t *testing.T) {
	pgtest.DSN(t)
	run := func(t *testing.T, n int, every bool, what outcome, match func(string) bool) (hit bool) {
		dsn := pgtest.DSN(t)
		f := newFaults(failingOn(n, every, what, match))
		return transient(t, postgresWith(t, dsn, f), cleanPostgres(t, dsn), f)
	}
	t.Run("before", func(t *testing.T) {
		t.Parallel()
		untilThrough(t, func(t *testing.T, n int) bool { return run(t, n, false, failsBefore, writes) })
	})
	t.Run("after commit", func(t *testing.T) {
		t.Parallel()
		untilThrough(t, func(t *testing.T, n int) bool { return run(t, n, false, breaksAfter, isCommit) })
		for _, n := range []int{2, 3} {
			t.Run(fmt.Sprint("every ", n), func(t *testing.T) { run(t, n, true, breaksAfter, isCommit) })
		}
	})
	t.Run("often", func(t *testing.T) {
		t.Parallel()
		for _, n := range []int{17, 23, 31} {
			t.Run(fmt.Sprint("every ", n), func(t *testing.T) { run(t, n, true, failsBefore, anything) })
		}
	})
}
