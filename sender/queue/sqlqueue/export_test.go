package sqlqueue

import (
	"context"
	"database/sql"
	"time"
)

// Silence makes a queue stop telling that it is alive, as if its process had died; its calls still work.
func Silence(q *Queue) {
	q.rest()
	q.wg.Wait()
}

// Crash ends a queue as the end of its process does: nothing is given back.
func Crash(q *Queue) {
	Silence(q)
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.writer.close(nil)
	q.closeStatements()
	q.db.Close()
	q.unlockFile()
}

// Transactions is how many transactions the queue has committed.
func Transactions(q *Queue) int64 { return q.writer.commits.Load() }

// Statement is one that a queue has run: as it is written in the source, and as the engine gets it.
type Statement struct {
	Source, Text string
	Pool         bool // it runs on any connection of the pool
}

// Statements are those that the queue has run, in no order.
func Statements(q *Queue) []Statement {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []Statement
	q.d.compiled.Range(func(source, s any) bool {
		text := s.(*statement).text
		_, pool := q.stmts[text]
		out = append(out, Statement{source.(string), text, pool})
		return true
	})
	return out
}

// WritingConn is a connection like those on which the queue writes. done closes it.
func WritingConn(q *Queue) (c *sql.Conn, done func(), err error) {
	w, err := q.openConn(context.Background())
	if err != nil {
		return nil, nil, err
	}
	return w.c, w.discard, nil
}

// Doubt runs calls, each as if the connection had broken in the commit of an earlier try. With away, nobody waits for them any
// more, and what they wrote is taken back. The queue must be silent.
func Doubt(q *Queue, away bool, calls func()) {
	q.writer.close(nil)
	w := newWriter(q)
	q.writer = w
	go func() {
		calls()
		w.push(&op{done: make(chan struct{}), do: func(context.Context, *conn, *op) error {
			w.mu.Lock()
			w.closed = true
			w.mu.Unlock()
			return nil
		}})
	}()
	var c *conn
	for batch := w.take(); batch != nil; batch = w.take() {
		for _, o := range batch {
			o.unsure = true
			if o.mu.Lock(); away {
				o.state = opAbandoned
			}
			o.mu.Unlock()
		}
		c = w.settle(c, batch)
	}
	c.discard()
	q.writer = newWriter(q)
	q.writer.start()
}

// Lapse looks for leases that ran out, as the queue does every now and then.
func Lapse(q *Queue) error { return q.lapse(context.Background()) }

// Resign gives back what a queue has leased, as Close does. The queue can be used on.
func Resign(q *Queue) error {
	err := q.resign()
	q.writer = newWriter(q)
	q.writer.start()
	return err
}

// Beat tells that a queue is alive, as it does every now and then.
func Beat(q *Queue) error { return q.beat(context.Background()) }

// SetClock does to a queue what setting the clock ahead by that much would.
func SetClock(q *Queue, by time.Duration) { q.clock.lead.Add(-int64(by)) }
