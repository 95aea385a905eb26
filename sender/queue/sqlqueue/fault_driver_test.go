package sqlqueue_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
)

// outcome is what becomes of a statement.
type outcome int

const (
	goesOn      outcome = iota
	failsBefore         // it is not executed and fails, this once
	breaksAfter         // it is executed, and the connection breaks before its caller hears of it
	diesBefore          // the process dies before it is executed
	diesAfter           // the process dies after it was executed, before its caller hears of it
)

// faults puts itself between a database's driver and its users.
type faults struct {
	decide func(n int, text string) outcome // of the n-th statement that passes, from 1 on
	busy   bool                             // failsBefore is SQLITE_BUSY, and not the loss of the connection

	mu    sync.Mutex
	armed bool
	n     int
	hit   []string // the statements that did not go on

	running sync.RWMutex // held for reading by each statement that is executed
	dead    atomic.Bool
	died    chan struct{}
}

func newFaults(decide func(n int, text string) outcome) *faults {
	return &faults{decide: decide, died: make(chan struct{})}
}

// arm lets the faults begin.
func (f *faults) arm() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = true
}

// disarm ends them, unless the process is dead.
func (f *faults) disarm() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = false
}

// struck returns the statements that did not go on.
func (f *faults) struck() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.hit...)
}

func (f *faults) next(text string) outcome {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.armed {
		return goesOn
	}
	f.n++
	what := f.decide(f.n, text)
	if what != goesOn {
		f.hit = append(f.hit, text)
	}
	return what
}

// die ends the process, as far as the database is concerned: nothing more is executed.
func (f *faults) die() {
	if f.dead.Swap(true) {
		return
	}
	f.running.Lock() // what others are at comes to its end first
	defer f.running.Unlock()
	close(f.died)
}

// killedError is what calls of a dead process get, if anybody listened: nothing that trying again would help.
type killedError struct{}

func (killedError) Error() string    { return "the process is dead" }
func (killedError) Code() int        { return 1 }
func (killedError) SQLState() string { return "XX000" }

// busyError is SQLITE_BUSY.
type busyError struct{}

func (busyError) Error() string { return "somebody else writes (test)" }
func (busyError) Code() int     { return 5 }

// errBroken has no SQLSTATE, as all errors that do not come from a server.
var errBroken = errors.New("connection reset by peer (test)")

// writes reports whether a statement may change the database.
func writes(text string) bool {
	word, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(text)), " ")
	switch word {
	case "SELECT", "SHOW", "SET":
		return false
	case "PRAGMA":
		return strings.Contains(text, "journal_mode")
	}
	return true
}

// faultConnector opens connections that faults watches over.
type faultConnector struct {
	open func(ctx context.Context) (driver.Conn, error)
	of   driver.Driver
	f    *faults
}

func (c faultConnector) Driver() driver.Driver { return c.of }

func (c faultConnector) Connect(ctx context.Context) (driver.Conn, error) {
	if c.f.dead.Load() {
		return nil, killedError{}
	}
	conn, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	return &faultConn{Conn: conn, f: c.f}, nil
}

// faultConn is a connection that faults watches over.
type faultConn struct {
	driver.Conn
	f      *faults
	broken atomic.Bool
	once   sync.Once
}

func (c *faultConn) usable() error {
	switch {
	case c.f.dead.Load():
		return killedError{}
	case c.broken.Load():
		return driver.ErrBadConn
	}
	return nil
}

// breakOff loses the connection.
func (c *faultConn) breakOff() error {
	c.broken.Store(true)
	c.Close()
	return errBroken
}

// around executes a statement by do, or not. undo is what ends a statement whose outcome nobody hears of.
func (c *faultConn) around(text string, do func() error, undo func()) error {
	if err := c.usable(); err != nil {
		return err
	}
	what := c.f.next(text)
	switch what {
	case failsBefore:
		if c.f.busy {
			return busyError{}
		}
		return c.breakOff()
	case diesBefore:
		c.f.die()
		return killedError{}
	}
	c.f.running.RLock()
	if err := c.usable(); err != nil {
		c.f.running.RUnlock()
		return err
	}
	err := do()
	if what != goesOn && err == nil {
		undo()
	}
	c.f.running.RUnlock()
	switch what {
	case breaksAfter:
		return c.breakOff()
	case diesAfter:
		c.f.die()
		return killedError{}
	}
	return err
}

func (c *faultConn) Close() (err error) {
	c.once.Do(func() { err = c.Conn.Close() })
	return err
}

func (c *faultConn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	if err := c.usable(); err != nil {
		return nil, err
	}
	s, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	return &faultStmt{s, c, text}, nil
}

func (c *faultConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (r driver.Result, err error) {
	err = c.around(text, func() error {
		r, err = c.Conn.(driver.ExecerContext).ExecContext(ctx, text, args)
		return err
	}, func() {})
	return r, err
}

func (c *faultConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (r driver.Rows, err error) {
	err = c.around(text, func() error {
		r, err = c.Conn.(driver.QueryerContext).QueryContext(ctx, text, args)
		return err
	}, func() { r.Close() })
	return r, err
}

func (c *faultConn) BeginTx(ctx context.Context, opts driver.TxOptions) (tx driver.Tx, err error) {
	err = c.around("BEGIN", func() error {
		tx, err = c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
		return err
	}, func() {})
	return &faultTx{tx, c}, err
}

func (c *faultConn) ResetSession(ctx context.Context) error {
	if c.usable() != nil {
		return driver.ErrBadConn
	}
	if r, ok := c.Conn.(driver.SessionResetter); ok {
		return r.ResetSession(ctx)
	}
	return nil
}

func (c *faultConn) IsValid() bool {
	if c.usable() != nil {
		return false
	}
	v, ok := c.Conn.(driver.Validator)
	return !ok || v.IsValid()
}

func (c *faultConn) CheckNamedValue(v *driver.NamedValue) error {
	if n, ok := c.Conn.(driver.NamedValueChecker); ok {
		return n.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

type faultStmt struct {
	driver.Stmt
	c    *faultConn
	text string
}

func (s *faultStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (r driver.Result, err error) {
	err = s.c.around(s.text, func() error {
		r, err = s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
		return err
	}, func() {})
	return r, err
}

func (s *faultStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (r driver.Rows, err error) {
	err = s.c.around(s.text, func() error {
		r, err = s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
		return err
	}, func() { r.Close() })
	return r, err
}

// Close does not fail: the statement of a lost connection is gone with it.
func (s *faultStmt) Close() error {
	if !s.c.broken.Load() {
		s.Stmt.Close()
	}
	return nil
}

// faultTx is a transaction of the host's.
type faultTx struct {
	driver.Tx
	c *faultConn
}

func (t *faultTx) Commit() error {
	err := t.c.around("COMMIT", t.Tx.Commit, func() {})
	if errors.As(err, new(busyError)) {
		t.Tx.Rollback() // as the driver does
	}
	return err
}

func (t *faultTx) Rollback() error {
	if err := t.c.usable(); err != nil {
		return err
	}
	return t.Tx.Rollback()
}
