package sqlqueue_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/reputemail/repute/internal/pgtest"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/queue/sqlitequeue"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

// sqliteWith opens a SQLite file with faults.
func sqliteWith(t *testing.T, path string, f *faults) *sql.DB {
	t.Helper()
	clean, err := sqlitequeue.OpenDB(path)
	if err != nil {
		t.Fatal(err)
	}
	defer clean.Close()
	d := clean.Driver()
	dsn := "file:" + path + "?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"
	db := sql.OpenDB(faultConnector{func(context.Context) (driver.Conn, error) { return d.Open(dsn) }, d, f})
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	t.Cleanup(func() { db.Close() })
	return db
}

// cleanSQLite opens a SQLite file.
func cleanSQLite(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sqlitequeue.OpenDB(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// postgresWith opens a PostgreSQL database with faults.
func postgresWith(t *testing.T, dsn string, f *faults) *sql.DB {
	t.Helper()
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	c := stdlib.GetConnector(*config)
	db := sql.OpenDB(faultConnector{c.Connect, c.Driver(), f})
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	t.Cleanup(func() { db.Close() })
	return db
}

// cleanPostgres opens a PostgreSQL database.
func cleanPostgres(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	db := stdlib.OpenDB(*config)
	t.Cleanup(func() { db.Close() })
	return db
}

func execute(t testing.TB, db *sql.DB, text string, args ...any) {
	t.Helper()
	if _, err := db.Exec(text, args...); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

const ordersTable = "CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY)"

// copyDatabase copies what a killed process left of a SQLite database.
func copyDatabase(t testing.TB, from, to string) {
	t.Helper()
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(from + suffix)
		if os.IsNotExist(err) {
			continue
		}
		if err == nil {
			err = os.WriteFile(to+suffix, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// quick is a queue that looks often and gives up soon.
var quick = sqlqueue.Config{Poll: 2 * time.Millisecond, RetryFor: 5 * time.Second}

// dyingAt kills before the k-th statement that writes, or after the k-th commit. (After another statement would be the same as before
// the next one: nobody hears of either.)
func dyingAt(k int, how outcome) func(int, string) outcome {
	n := 0
	return func(_ int, text string) outcome {
		if !writes(text) || how == diesAfter && text != "COMMIT" {
			return goesOn
		}
		if n++; n == k {
			return how
		}
		return goesOn
	}
}

// variants are the ways to die.
var variants = []struct {
	name string
	how  outcome
}{{"before", diesBefore}, {"after", diesAfter}}

// A process that dies at any statement that writes has lost nothing that it acknowledged, and done nothing by halves.
func TestKillAtEveryWriteSQLite(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			untilThrough(t, func(t *testing.T, k int) bool { return killSQLite(t, k, v.how) })
		})
	}
}

// killSQLite plays the script up to the k-th statement that writes. It reports whether there is one.
func killSQLite(t *testing.T, k int, how outcome) (killed bool) {
	dir := t.TempDir()
	path := filepath.Join(dir, "queue.db")
	aside := cleanSQLite(t, path)
	execute(t, aside, ordersTable)
	f := newFaults(dyingAt(k, how))
	f.arm()
	db := sqliteWith(t, path, f)
	s := newScript(t, nil, f, aside)
	q, err := sqlqueue.Open(ctx, db, quick)
	if err == nil {
		s.q = q
		s.run()
	} else {
		s.failed = err
	}
	found := path
	if f.dead.Load() {
		<-f.died
		found = filepath.Join(dir, "left.db") // before any connection is closed, which would roll back and tidy up
		copyDatabase(t, path, found)
	}
	if !f.dead.Load() && s.failed != nil {
		t.Fatalf("without a kill: %v", s.failed)
	}
	aside.Close()
	if q != nil {
		q.Close()
	}
	db.Close()
	clean := cleanSQLite(t, found)
	q, err = sqlqueue.Open(ctx, clean, quick)
	if err != nil {
		t.Fatalf("open after a kill at %q: %v", f.struck(), err)
	}
	defer q.Close()
	checkWorld(t, s, observe(t, clean), world.ownerless)
	checkNews(t, s, clean)
	drain(t, q, clean)
	return f.dead.Load()
}

// checkWorld compares what is found with what may be.
func checkWorld(t *testing.T, s *script, found world, as func(world) world) {
	t.Helper()
	var b strings.Builder
	for _, w := range s.possible() {
		if w = as(w); w.String() == found.String() {
			return
		}
		fmt.Fprintf(&b, "or:\n%v", w)
	}
	t.Fatalf("killed at %q (%v): found:\n%vwant:\n%v", s.f.struck(), s.failed, found, b.String()[4:])
}

// checkNews: what was committed in a transaction of the host's is news until it is told.
func checkNews(t *testing.T, s *script, db *sql.DB) {
	t.Helper()
	news := map[string]bool{}
	each(t, db, "SELECT m.id FROM repute_news n JOIN repute_message m ON m.seq = n.message", func(scan func(...any)) {
		var id string
		scan(&id)
		news[id] = true
	})
	for id, order := range map[string]string{"t1": "o1", "t2": "o2"} {
		if s.known.orders[order] && !s.watched && !news[id] {
			t.Errorf("%s is no news, and nobody was told", id)
		}
		if s.told[id] && news[id] {
			t.Errorf("%s is told and is news still", id)
		}
	}
}

// drain claims all that can be claimed, which is all that waits without a time: what was in flight at a kill too. Each of
// them has its body.
func drain(t *testing.T, q *sqlqueue.Queue, db *sql.DB) {
	t.Helper()
	ready := 0
	each(t, db, "SELECT count(*) FROM repute_delivery WHERE state = 0 OR state = 1 AND due = 0", func(scan func(...any)) { scan(&ready) })
	due, err := q.Due(ctx)
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	for _, l := range due {
		if l.Next > 0 {
			continue
		}
		c, err := q.Claim(ctx, queue.Claim{Lane: l.Lane, Limit: 100, LeaseFor: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		var batch []queue.Settlement
		for _, d := range c.Deliveries {
			m, err := q.Message(ctx, d.MessageID)
			if err != nil {
				t.Fatalf("%s: body: %v", d.ID, err)
			}
			if !strings.HasSuffix(string(m.Data), string(bodyOf(d.MessageID))) {
				t.Errorf("%s: body: %q", d.ID, m.Data)
			}
			batch = append(batch, queue.Settlement{ID: d.ID, Lease: d.Lease, State: queue.Delivered, Began: true})
		}
		got += len(batch)
		if lost, err := q.Settle(ctx, batch); err != nil || len(lost) > 0 {
			t.Fatalf("settle: %v, %v", lost, err)
		}
	}
	if got != ready {
		t.Errorf("%d of %d deliveries can be claimed", got, ready)
	}
	for id, fates := range observe(t, db).mail {
		for n, f := range fates {
			if f.state == queue.InFlight {
				t.Errorf("%s/%d is in flight", id, n+1)
			}
		}
	}
}

// The same with PostgreSQL, which ends the transactions of a process that is gone.
func TestKillAtEveryWritePostgres(t *testing.T) {
	pgtest.DSN(t)
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			untilThrough(t, func(t *testing.T, k int) bool { return killPostgres(t, k, v.how) })
		})
	}
}

func killPostgres(t *testing.T, k int, how outcome) (killed bool) {
	dsn := pgtest.DSN(t)
	aside := cleanPostgres(t, dsn)
	execute(t, aside, ordersTable)
	f := newFaults(dyingAt(k, how))
	f.arm()
	db := postgresWith(t, dsn, f)
	s := newScript(t, nil, f, aside)
	q, err := sqlqueue.Open(ctx, db, quick)
	if err == nil {
		s.q = q
		s.run()
		q.Close()
	} else {
		s.failed = err
	}
	db.Close()
	if !f.dead.Load() && s.failed != nil {
		t.Fatalf("without a kill: %v", s.failed)
	}
	other, err := sqlqueue.Open(ctx, aside, quick)
	if err != nil {
		t.Fatalf("open after a kill at %q: %v", f.struck(), err)
	}
	defer other.Close()
	checkWorld(t, s, observe(t, aside), world.clone)
	checkNews(t, s, aside)
	return f.dead.Load()
}
