package sqlqueue_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/reputemail/repute/internal/pgtest"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

// How often processes are killed.
const (
	killsSQLite   = 50
	killsPostgres = 20
	killsShort    = 5
)

// A process that enqueues and delivers is killed again and again: everything that it acknowledged arrives, and no more is sent
// twice than was in flight.
func TestKillSQLite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "queue.db")
	db := cleanSQLite(t, path)
	q, err := sqlqueue.Open(ctx, db, sqlqueue.Config{})
	if err != nil {
		t.Fatal(err)
	}
	execute(t, db, ordersTable)
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	db.Close()
	k := &killing{engine: "sqlite", database: path, kills: killsSQLite, view: func(n int, look func(*sql.DB)) {
		// Of a copy: the database is left to the next process as the last one left it.
		left := filepath.Join(dir, fmt.Sprintf("left%d.db", n))
		copyDatabase(t, path, left)
		db := cleanSQLite(t, left)
		defer db.Close()
		look(db)
	}}
	k.run(t)
}

// The same with PostgreSQL, where the deliveries of a process that was killed are taken over by the next one.
func TestKillPostgres(t *testing.T) {
	dsn := pgtest.DSN(t)
	db := cleanPostgres(t, dsn)
	q, err := sqlqueue.Open(ctx, db, sqlqueue.Config{})
	if err != nil {
		t.Fatal(err)
	}
	execute(t, db, ordersTable)
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	k := &killing{engine: "postgres", database: dsn, kills: killsPostgres, view: func(_ int, look func(*sql.DB)) { look(db) }}
	k.run(t)
}

// killing is one kill test.
type killing struct {
	engine, database string
	kills            int
	view             func(n int, look func(*sql.DB)) // after the n-th kill
}

func (k *killing) run(t *testing.T) {
	if testing.Short() {
		k.kills = killsShort
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	to := newSink(t)
	acknowledged := map[string]bool{} // deliveries
	inFlight := map[string]bool{}     // at a kill: deliveries and leases
	for n := range k.kills {
		c := startChild(t, childSends, k.engine, k.database, to.addr, fmt.Sprint("life", n))
		ready := c.ready
		if n%5 == 4 { // now and then it does not come as far as that
			early := make(chan struct{})
			time.AfterFunc(time.Duration(r.Int64N(int64(300*time.Millisecond))), func() { close(early) })
			ready = early
		}
		select {
		case <-ready:
			time.Sleep(50*time.Millisecond + time.Duration(r.Int64N(int64(250*time.Millisecond))))
		case <-c.ended:
		case <-time.After(time.Minute):
			t.Error("the child does not begin")
		}
		select {
		case <-c.ended:
			t.Fatalf("the child ended by itself: %s", &c.stderr)
		default:
		}
		for _, line := range c.kill() {
			var id string
			var recipients int
			if m, _ := fmt.Sscanf(line, "ok %s %d", &id, &recipients); m == 2 {
				for i := range recipients {
					acknowledged[id+" "+recipient(i)] = true
				}
			}
		}
		k.view(n, func(db *sql.DB) {
			each(t, db, "SELECT seq, lease FROM repute_delivery WHERE state = 2", func(scan func(...any)) {
				var seq, lease int64
				scan(&seq, &lease)
				inFlight[fmt.Sprint(seq, lease)] = true
			})
		})
	}
	k.drain(t, to)
	k.view(k.kills, func(db *sql.DB) { k.check(t, db, to, acknowledged, len(inFlight)) })
}

// drain has a last child deliver what is left.
func (k *killing) drain(t *testing.T, to *sink) {
	t.Helper()
	// What was in flight at several kills is held back, for longer than a test should take.
	db := openToWrite(t, k)
	execute(t, db, "UPDATE repute_delivery SET losses = 0 WHERE state = 2")
	execute(t, db, "UPDATE repute_delivery SET losses = 0, due = 0 WHERE state = 1")
	db.Close()
	c := startChild(t, childDrains, k.engine, k.database, to.addr, "last")
	select {
	case <-c.ended:
	case <-time.After(2 * time.Minute):
		t.Fatal("the queue does not become empty")
	}
	if !c.cmd.ProcessState.Success() {
		t.Fatalf("the last child: %v: %s", c.cmd.ProcessState, &c.stderr)
	}
}

func openToWrite(t *testing.T, k *killing) *sql.DB {
	if k.engine == "sqlite" {
		return cleanSQLite(t, k.database)
	}
	return cleanPostgres(t, k.database)
}

// check compares what arrived with what was accepted.
func (k *killing) check(t *testing.T, db *sql.DB, to *sink, acknowledged map[string]bool, inFlight int) {
	t.Helper()
	arrived := to.arrived()
	for d := range acknowledged {
		if arrived[d] == 0 {
			t.Errorf("%s was acknowledged and never arrived", d)
		}
	}
	w := observe(t, db)
	twice, orders := 0, map[string]bool{}
	for d, n := range arrived {
		id, _, _ := strings.Cut(d, " ")
		twice += n - 1
		if w.mail[id] == nil {
			t.Errorf("%s arrived and is not in the queue", d)
		}
		if strings.HasPrefix(id, "order-") {
			orders[id] = true
		}
	}
	for id := range w.orders {
		if !orders[id] {
			t.Errorf("%s was committed and its mail never arrived", id)
		}
	}
	for id := range orders {
		if !w.orders[id] {
			t.Errorf("%s arrived and there is no such order", id)
		}
	}
	for id, fates := range w.mail {
		if strings.HasPrefix(id, "never-") {
			t.Errorf("%s was rolled back and is in the queue", id)
		}
		for n, f := range fates {
			if f.state != "delivered" || f.attempts < 1 {
				t.Errorf("%s/%d: %+v", id, n+1, f)
			}
		}
	}
	if twice > inFlight {
		t.Errorf("%d arrived twice, and only %d were in flight at a kill", twice, inFlight)
	}
	each(t, db, "SELECT (SELECT count(*) FROM repute_body), (SELECT count(*) FROM repute_news)", func(scan func(...any)) {
		var bodies, news int
		if scan(&bodies, &news); bodies+news > 0 {
			t.Errorf("%d bodies and %d news are left", bodies, news)
		}
	})
	if len(acknowledged) < k.kills {
		t.Errorf("only %d deliveries were acknowledged: that proves nothing", len(acknowledged))
	}
	t.Logf("%d kills: %d deliveries acknowledged, %d arrived, %d of them twice, %d in flight at a kill",
		k.kills, len(acknowledged), len(arrived), twice, inFlight)
}
