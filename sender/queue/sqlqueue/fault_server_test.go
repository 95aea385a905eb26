package sqlqueue_test

import (
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reputemail/repute/internal/pgtest"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue/pgqueue"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

// load is a Sender at work on PostgreSQL.
type load struct {
	t    *testing.T
	q    *sqlqueue.Queue
	s    *sender.Sender
	to   *sink
	stop chan struct{}
	wg   sync.WaitGroup

	mu           sync.Mutex
	acknowledged map[string]bool
	events       map[sender.EventType]map[string]int // by delivery
}

// Observe implements sender.Observer.
func (l *load) Observe(e sender.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.events[e.Type] == nil {
		l.events[e.Type] = map[string]int{}
	}
	l.events[e.Type][e.DeliveryID]++
}

// startLoad begins to enqueue and to deliver.
func startLoad(t *testing.T, dsn string) *load {
	t.Helper()
	q, err := pgqueue.Open(ctx, dsn, sqlqueue.Config{RetryFor: time.Minute}) // a server takes its time when the machine is busy
	if err != nil {
		t.Fatal(err)
	}
	execute(t, q.DB(), ordersTable)
	l := &load{t: t, q: q, to: newSink(t), stop: make(chan struct{}), acknowledged: map[string]bool{}, events: map[sender.EventType]map[string]int{}}
	cfg := senderConfig(l.to.addr, q)
	cfg.Observer = l
	if l.s, err = sender.New(cfg); err != nil {
		t.Fatal(err)
	}
	if err := l.s.Start(ctx); err != nil {
		t.Fatal(err)
	}
	for g := range 4 {
		l.wg.Go(func() { l.enqueue(g) })
	}
	return l
}

// enqueue enqueues until the load stops. No Enqueue fails; a transaction of the host's may, and is repeated.
func (l *load) enqueue(g int) {
	for i := 0; ; i++ {
		select {
		case <-l.stop:
			return
		case <-time.After(3 * time.Millisecond):
		}
		id, recipients := fmt.Sprintf("plain-%d-%d", g, i), 1+i%2
		if i%4 == 3 {
			id = fmt.Sprintf("order-%d-%d", g, i)
			for until := time.Now().Add(2 * patience); l.order(id, recipients) != nil; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(until) {
					l.t.Errorf("%s: %v", id, l.order(id, recipients))
					return
				}
			}
		} else if _, err := l.s.Enqueue(ctx, letter(id, recipients)); err != nil {
			l.t.Errorf("%s: %v", id, err)
			return
		}
		l.mu.Lock()
		for n := range recipients {
			l.acknowledged[id+" "+recipient(n)] = true
		}
		l.mu.Unlock()
	}
}

// order is a transaction of the host's.
func (l *load) order(id string, recipients int) error {
	tx, err := l.q.DB().BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	r, err := l.s.EnqueueTx(ctx, tx, letter(id, recipients))
	if err != nil || r.Duplicate { // the commit before was made
		return err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO orders (id) VALUES ('"+id+"')"); err != nil {
		return err
	}
	return tx.Commit()
}

// moves waits until some more has arrived.
func (l *load) moves() {
	l.t.Helper()
	before := len(l.to.arrived())
	for until := time.Now().Add(2 * patience); len(l.to.arrived()) < before+50; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			l.t.Fatalf("sending does not go on: %d arrived", len(l.to.arrived()))
		}
	}
}

// finish ends the load, waits for all mail, and checks that each message was accepted, delivered and settled once.
func (l *load) finish() {
	t := l.t
	t.Helper()
	close(l.stop)
	l.wg.Wait()
	for until := time.Now().Add(2 * patience); ; time.Sleep(20 * time.Millisecond) {
		lanes, err := l.s.Lanes(ctx)
		if err == nil && len(lanes) == 0 {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("the queue does not become empty: %+v, %v", lanes, err)
		}
	}
	if err := l.s.Stop(ctx); err != nil {
		t.Error(err)
	}
	arrived := l.to.arrived()
	for d := range l.acknowledged {
		if arrived[d] != 1 {
			t.Errorf("%s arrived %d times", d, arrived[d])
		}
	}
	w := observe(t, l.q.DB())
	for id, fates := range w.mail {
		if strings.HasPrefix(id, "order-") && !w.orders[id] {
			t.Errorf("there is no order %s", id)
		}
		for n, f := range fates {
			if f.state != "delivered" || f.attempts != 1 || f.records != 1 {
				t.Errorf("%s/%d: %+v", id, n+1, f)
			}
			if !l.acknowledged[id+" "+recipient(n)] {
				t.Errorf("%s/%d was not acknowledged", id, n+1)
			}
			for _, e := range []sender.EventType{sender.EventAccepted, sender.EventDelivered} {
				if got := l.events[e][fmt.Sprintf("%s/%d", id, n+1)]; got != 1 {
					t.Errorf("%s/%d: %d events %q", id, n+1, got, e)
				}
			}
		}
	}
	t.Logf("%d deliveries", len(l.acknowledged))
	if err := l.q.Close(); err != nil {
		t.Error(err)
	}
}

// PostgreSQL is restarted while mail is sent, in peace and by a crash: sending goes on by itself, nothing is lost, and nothing is
// done twice.
func TestPostgresRestarted(t *testing.T) {
	c := pgtest.Start(t)
	for _, r := range []struct {
		name string
		end  func(testing.TB)
	}{{"stopped", c.Stop}, {"crashed", c.Kill}} {
		t.Run(r.name, func(t *testing.T) {
			execute(t, cleanPostgres(t, c.DSN()), "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
			l := startLoad(t, c.DSN())
			for _, away := range []time.Duration{0, 500 * time.Millisecond} {
				l.moves()
				r.end(t)
				time.Sleep(away)
				c.Start(t)
			}
			l.moves()
			l.finish()
		})
	}
}

// The queue's connections are ended from aside while mail is sent, in whatever they are at.
func TestConnectionsTerminated(t *testing.T) {
	dsn := pgtest.DSN(t)
	aside := cleanPostgres(t, dsn)
	name := fmt.Sprintf("repute_test_%d", time.Now().UnixNano())
	l := startLoad(t, dsn+"&application_name="+name)
	ended := 0
	for range 15 {
		l.moves()
		each(t, aside, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '"+name+"'", func(scan func(...any)) {
			var ok bool
			if scan(&ok); ok {
				ended++
			}
		})
	}
	l.moves()
	l.finish()
	if ended < 30 {
		t.Errorf("only %d connections were ended", ended)
	}
}

// A Put whose context ends while PostgreSQL is away, or another session has the table locked, returns, and leaves nothing.
func TestPutWhilePostgresIsAway(t *testing.T) {
	c := pgtest.Start(t)
	q, err := pgqueue.Open(ctx, c.DSN(), sqlqueue.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	if _, err := q.Put(ctx, newPut("before", 1, 0)); err != nil {
		t.Fatal(err)
	}
	c.Stop(t)
	putInVain(t, q)
	c.Start(t)
	nothingLeft(t, q)
}

func TestPutWhilePostgresIsLocked(t *testing.T) {
	dsn := pgtest.DSN(t)
	q, err := pgqueue.Open(ctx, dsn, sqlqueue.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	var tx *sql.Tx
	if tx, err = q.DB().Begin(); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("LOCK TABLE repute_message IN EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	putInVain(t, q)
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, q)
}
