package sqlqueue

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// querier is what statements run on: a connection of ours, a transaction of the host's, or the pool.
type querier interface {
	query(ctx context.Context, text string, args ...any) (*sql.Rows, error)
	exec(ctx context.Context, text string, args ...any) (int64, error)
}

// conn is a connection that writes. It keeps its statements prepared. It is used by one goroutine at a time.
type conn struct {
	d     *dialect
	c     *sql.Conn
	clock *clock
	stmts map[string]*sql.Stmt
	now   time.Time // SQLite: the time of the transaction

	broken bool // not to be used again
}

// statementTime is how long one transaction may take where a network is between. SQLite's need no limit, and are not given one:
// its driver would watch each statement with a goroutine.
const statementTime = 10 * time.Second

// openConn takes a connection out of the pool and makes it fit for writing.
func (q *Queue) openConn(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTime)
	defer cancel()
	c, err := q.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	w := &conn{d: q.d, c: c, clock: &q.clock, stmts: map[string]*sql.Stmt{}, now: q.clock.now()}
	set := []string{
		"PRAGMA busy_timeout = 200", // milliseconds: the host writes to the same file. It is tried again by us
		"PRAGMA synchronous = FULL",
		"PRAGMA cache_size = -16000", // KiB
		"PRAGMA wal_autocheckpoint = 16000",
	}
	if q.d.postgres {
		// Plans must not depend on how old the statistics are: each statement has its index, and walks it in order (docs/queue.md).
		set = []string{
			"SET enable_seqscan = off", "SET enable_bitmapscan = off", "SET enable_sort = off", "SET plan_cache_mode = force_generic_plan",
			"SET synchronous_commit = on", "SET jit = off",
			// What the host has locked in a transaction of its own must not hold up all others.
			"SET lock_timeout = 200", // milliseconds
			// A process that stands still, or is cut off, holds its locks no longer than its leases.
			"SET idle_in_transaction_session_timeout = " + strconv.FormatInt(q.cfg.OwnerTimeout.Milliseconds(), 10),
		}
	}
	for _, s := range set {
		if _, err := c.ExecContext(ctx, s); err != nil {
			c.Close()
			return nil, fmt.Errorf("%s: %w", s, err)
		}
	}
	return w, nil
}

// discard closes the connection for good: it does not go back into the pool.
func (w *conn) discard() {
	for _, s := range w.stmts {
		s.Close()
	}
	w.c.Raw(func(any) error { return driver.ErrBadConn })
	w.c.Close()
}

// release gives the connection back to the pool. PostgreSQL's is not fit for that, with its settings.
func (w *conn) release() {
	if w.d.postgres {
		w.discard()
		return
	}
	for _, s := range w.stmts {
		s.Close()
	}
	w.c.Close()
}

// prepared returns the statement of a text, prepared on this connection.
func (w *conn) prepared(ctx context.Context, s *statement) (*sql.Stmt, error) {
	if st := w.stmts[s.text]; st != nil {
		return st, nil
	}
	st, err := w.c.PrepareContext(ctx, s.text)
	if err != nil {
		return nil, err
	}
	w.stmts[s.text] = st
	return st, nil
}

func (w *conn) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	s := w.d.compile(text)
	st, err := w.prepared(ctx, s)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(ctx, s.args(w.now, args)...)
}

func (w *conn) exec(ctx context.Context, text string, args ...any) (int64, error) {
	s := w.d.compile(text)
	st, err := w.prepared(ctx, s)
	if err != nil {
		return 0, err
	}
	r, err := st.ExecContext(ctx, s.args(w.now, args)...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// begin starts a transaction. SQLite takes its write lock at once, so that it cannot fail for a lock later on.
func (w *conn) begin(ctx context.Context) error {
	text := "BEGIN IMMEDIATE"
	if w.d.postgres {
		text = "BEGIN"
	}
	_, err := w.c.ExecContext(ctx, text)
	w.now = w.clock.now() // it may have waited
	return err
}

func (w *conn) commit(ctx context.Context) error {
	_, err := w.c.ExecContext(ctx, "COMMIT")
	return err
}

// rollback ends the transaction. If it cannot, nobody knows what state the connection is in.
func (w *conn) rollback(ctx context.Context) {
	_, err := w.c.ExecContext(ctx, "ROLLBACK")
	w.broken = err != nil
}

// hostTx is a transaction of the host's.
type hostTx struct {
	q  *Queue
	tx *sql.Tx
}

func (h hostTx) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	s := h.q.d.compile(text)
	return h.tx.QueryContext(ctx, s.text, s.args(h.q.clock.now(), args)...)
}

func (h hostTx) exec(ctx context.Context, text string, args ...any) (int64, error) {
	s := h.q.d.compile(text)
	r, err := h.tx.ExecContext(ctx, s.text, s.args(h.q.clock.now(), args)...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// pool reads on any connection of the pool, with statements that are prepared once.
type pool struct{ q *Queue }

func (p pool) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	s := p.q.d.compile(text)
	st, err := p.q.statement(ctx, s)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(ctx, s.args(p.q.clock.now(), args)...)
}

func (p pool) exec(context.Context, string, ...any) (int64, error) {
	return 0, errors.New("sqlqueue: the pool only reads")
}

// scan calls f for each row and closes the rows. f scans.
func scan(rows *sql.Rows, err error, f func(*sql.Rows) error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
