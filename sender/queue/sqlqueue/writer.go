package sqlqueue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reputemail/repute/sender/queue"
)

// writer gathers what is to be written at the same time into one transaction: many calls share a commit, and thus an fsync.
// While one transaction commits the next one gathers, so that a call waits for two commits at most, and on a queue that is
// idle for one. Nothing waits for company.
//
// What fails is tried again where that helps: alone, when something else in its transaction may have been the cause; on a new
// connection, when the old one broke. A commit whose connection broke may have been made or not. Its calls are tried again,
// marked unsure, and then find out.
type writer struct {
	q *Queue

	mu     sync.Mutex
	ready  *sync.Cond
	ops    []*op
	closed bool
	wg     sync.WaitGroup

	commits atomic.Int64
}

// op is one call that writes.
type op struct {
	kind   opKind
	name   string // for errors
	rows   int    // roughly how much it writes
	bytes  int
	do     func(ctx context.Context, w *conn, o *op) error // opOther: runs alone in the transaction
	put    *put                                            // opPut
	settle *settle                                         // opSettle
	lease  int64                                           // what it leases, to be given back should its caller be told an error
	then   func()                                          // what follows from the commit

	ctx    context.Context // the caller's
	until  time.Time       // when trying again ends
	unsure bool            // an earlier commit may have been made
	tries  int
	held   bool // somebody else's transaction was in its way: it goes alone
	err    error
	done   chan struct{}

	mu    sync.Mutex
	state opState
}

type opKind int

const (
	opOther opKind = iota
	opPut
	opSettle
)

type opState int

const (
	opQueued opState = iota
	opTaken
	opCommitting
	opDone
	opAbandoned // its caller has gone away
)

// The bounds of one transaction.
const (
	maxTxRows  = 1024
	maxTxBytes = 16 << 20
)

// abandonTime is how long a caller whose context has ended waits for a transaction that its call is part of already.
const abandonTime = 2 * time.Second

func newWriter(q *Queue) *writer {
	w := &writer{q: q}
	w.ready = sync.NewCond(&w.mu)
	return w
}

// start starts a goroutine for each connection that writes.
func (w *writer) start() {
	for range w.q.d.writers {
		w.wg.Go(w.run)
	}
}

// close ends the writer once everything that was handed over is written, and last after that, unless it is nil.
func (w *writer) close(last *op) {
	w.mu.Lock()
	if last != nil && !w.closed {
		last.done, last.ctx, last.until = make(chan struct{}), context.Background(), time.Now().Add(w.q.cfg.RetryFor)
		w.ops = append(w.ops, last)
	}
	w.closed = true
	w.mu.Unlock()
	w.ready.Broadcast()
	w.wg.Wait()
}

// write hands an op over and waits until it is durable, has failed, or ctx ends. When ctx ends before the op is part of a
// transaction, it is withdrawn.
func (w *writer) write(ctx context.Context, o *op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o.done, o.ctx = make(chan struct{}), ctx
	o.until = time.Now().Add(w.q.cfg.RetryFor)
	if !w.push(o) {
		return queue.ErrClosed
	}
	select {
	case <-o.done:
		return o.err
	case <-ctx.Done():
	}
	o.mu.Lock()
	taken := o.state != opQueued
	o.mu.Unlock()
	if taken {
		grace := time.NewTimer(abandonTime)
		defer grace.Stop()
		select {
		case <-o.done:
		case <-grace.C:
		}
	}
	return w.leave(o, ctx.Err())
}

// leave is for a caller whose context has ended: it returns the result, if there is one, or else takes the op out of what is written from now on.
func (w *writer) leave(o *op, ctxErr error) error {
	o.mu.Lock()
	if o.state == opDone {
		o.mu.Unlock()
		return o.err
	}
	queued, unsure := o.state == opQueued, o.unsure || o.state == opCommitting
	o.state = opAbandoned
	o.mu.Unlock()
	if !unsure {
		return ctxErr
	}
	if queued { // an earlier commit may have been made, and there is no later one that would find out
		w.giveBack(o)
	}
	return fmt.Errorf("sqlqueue: %s: %w: %w", o.name, queue.ErrUnknown, ctxErr)
}

func (w *writer) push(o *op) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.ops = append(w.ops, o)
	w.ready.Signal()
	return true
}

// take waits for ops and takes as many as one transaction may carry; none when the writer is closed.
func (w *writer) take() []*op {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for len(w.ops) == 0 && !w.closed {
			w.ready.Wait()
		}
		if len(w.ops) == 0 {
			return nil
		}
		rows, bytes, n := 0, 0, 0
		var batch []*op
		for _, o := range w.ops {
			if n > 0 && (rows+o.rows > maxTxRows || bytes+o.bytes > maxTxBytes || o.held || w.ops[0].held) {
				break
			}
			n++
			o.mu.Lock()
			if o.state == opQueued {
				o.state = opTaken
				rows, bytes = rows+o.rows, bytes+o.bytes
				batch = append(batch, o)
			}
			o.mu.Unlock()
		}
		rest := copy(w.ops, w.ops[n:])
		clear(w.ops[rest:])
		w.ops = w.ops[:rest]
		if len(w.ops) > 0 {
			w.ready.Signal()
		}
		if len(batch) > 0 {
			return batch
		}
	}
}

// run writes batches until the writer is closed.
func (w *writer) run() {
	var c *conn
	defer func() {
		if c != nil {
			c.discard()
		}
	}()
	for {
		batch := w.take()
		if batch == nil {
			return
		}
		c = w.settle(c, batch)
	}
}

// settle writes a batch and tells its callers. It returns the connection to use next, or nil.
func (w *writer) settle(c *conn, batch []*op) *conn {
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		var err error
		var committing bool
		if c == nil {
			c, err = w.q.openConn(context.Background())
		}
		if err == nil {
			committing, err = w.transact(c, batch)
		}
		if err == nil {
			for _, o := range batch {
				w.finish(o, nil)
			}
			return c
		}
		f := w.q.d.fault(err)
		if c != nil && (f == faultLost || c.broken || f == faultHard && w.q.d.suspect(err)) {
			c.discard()
			c = nil
		}
		for _, o := range batch {
			o.mu.Lock()
			o.tries++
			o.unsure = o.unsure || committing && f == faultLost
			o.mu.Unlock()
		}
		switch {
		case f != faultHard && f != faultHeld:
		case len(batch) > 1:
			for i := range batch { // each alone: only what is at fault fails, or waits
				c = w.settle(c, batch[i:i+1])
			}
			return c
		case f == faultHard:
			w.finish(batch[0], w.explain(batch[0], err))
			return c
		}
		now := time.Now()
		rest := batch[:0:0]
		for _, o := range batch {
			if ctxErr := o.ctx.Err(); ctxErr != nil && !o.unsure {
				w.finish(o, ctxErr)
				continue
			}
			if now.After(o.until) && o.tries > 1 {
				w.finish(o, w.explain(o, err))
				continue
			}
			if f == faultHeld { // the others need not wait for it
				w.later(o, err)
				continue
			}
			rest = append(rest, o)
		}
		if batch = rest; len(batch) == 0 {
			return c
		}
		if errors.Is(err, errAbandoned) {
			continue
		}
		w.q.log.Warn("transaction is tried again", "calls", len(batch), "after", pause, "err", err)
		time.Sleep(pause)
	}
}

// later has an op tried again after a while.
func (w *writer) later(o *op, err error) {
	o.mu.Lock()
	if o.state == opAbandoned { // nobody waits for it
		o.mu.Unlock()
		w.finish(o, w.explain(o, err))
		return
	}
	o.state, o.held = opQueued, true
	pause := min(heldPause<<min(o.tries, 5), 2*time.Second)
	o.mu.Unlock()
	time.AfterFunc(pause, func() {
		if !w.push(o) {
			w.finish(o, w.explain(o, err))
		}
	})
}

// heldPause is how long an op waits first when somebody else's transaction is in its way.
const heldPause = 50 * time.Millisecond

// explain says what could not be done, and why.
func (w *writer) explain(o *op, err error) error {
	if w.q.d.full(err) {
		return fmt.Errorf("sqlqueue: %s: %w: %w", o.name, queue.ErrFull, err)
	}
	if o.unsure {
		return fmt.Errorf("sqlqueue: %s: %w: %w", o.name, queue.ErrUnknown, err)
	}
	return fmt.Errorf("sqlqueue: %s: %w", o.name, err)
}

// errAbandoned: a caller went away before the commit, so that the others begin anew without it.
var errAbandoned = errors.New("sqlqueue: a caller has gone away")

// giveBackFor is how long it is tried to give back leases of which the caller does not know.
const giveBackFor = 5 * time.Minute

// finish ends an op. If its caller is told an error although it was written, or may have been, what it leased is given back. A message stays: its
// caller may have put it again meanwhile, and heard that it is there.
func (w *writer) finish(o *op, err error) {
	o.mu.Lock()
	abandoned := o.state == opAbandoned
	o.state, o.err = opDone, err
	o.mu.Unlock()
	close(o.done)
	if err == nil && o.then != nil {
		o.then()
	}
	if abandoned && err == nil || err != nil && o.unsure {
		w.giveBack(o)
	}
}

// giveBack ends the lease that an op may have taken.
func (w *writer) giveBack(o *op) {
	if o.lease == 0 {
		return
	}
	back := w.q.giveBack(o.lease)
	back.done, back.ctx, back.until = make(chan struct{}), context.Background(), time.Now().Add(giveBackFor)
	w.push(back)
}

// beginCommit reports whether all callers are waiting still, or cannot be sure anyway.
func beginCommit(batch []*op) bool {
	for i, o := range batch {
		o.mu.Lock()
		gone := o.state == opAbandoned && !o.unsure
		if o.state == opTaken && !gone {
			o.state = opCommitting
		}
		o.mu.Unlock()
		if gone {
			endCommit(batch[:i])
			return false
		}
	}
	return true
}

// endCommit is for a commit that was not made.
func endCommit(batch []*op) {
	for _, o := range batch {
		o.mu.Lock()
		if o.state == opCommitting {
			o.state = opTaken
		}
		o.mu.Unlock()
	}
}

// transact runs one transaction. It reports whether an error came from the commit.
func (w *writer) transact(c *conn, batch []*op) (committing bool, err error) {
	ctx := context.Background()
	if w.q.d.postgres {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, statementTime)
		defer cancel()
	}
	if err := c.begin(ctx); err != nil {
		return false, err
	}
	if err := w.apply(ctx, c, batch); err != nil {
		c.rollback(ctx)
		return false, err
	}
	if !beginCommit(batch) {
		c.rollback(ctx)
		return false, errAbandoned
	}
	if err := c.commit(ctx); err != nil {
		c.rollback(ctx) // SQLite may still be inside of it
		endCommit(batch)
		return true, err
	}
	w.commits.Add(1)
	return false, nil
}

// apply writes all ops of a batch: puts and settlements together, the others one by one.
func (w *writer) apply(ctx context.Context, c *conn, batch []*op) error {
	var puts, settles []*op
	for _, o := range batch {
		switch o.kind {
		case opPut:
			puts = append(puts, o)
		case opSettle:
			settles = append(settles, o)
		}
	}
	if len(settles) > 0 {
		if err := w.q.applySettles(ctx, c, settles); err != nil {
			return err
		}
	}
	if len(puts) > 0 {
		if err := w.q.applyPuts(ctx, c, puts); err != nil {
			return err
		}
	}
	for _, o := range batch {
		if o.kind == opOther {
			if err := o.do(ctx, c, o); err != nil {
				return err
			}
		}
	}
	return nil
}
