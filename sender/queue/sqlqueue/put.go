package sqlqueue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/reputemail/repute/sender/queue"
)

// put is one call of Put. Its nonce names it in the database, and is the lease of its deliveries as well.
type put struct {
	queue.Put
	owner string
	nonce int64
	seq   int64 // the message's, once it is stored
	dup   bool
}

// newNonce is a random number above 0: one that nothing else has.
func newNonce() int64 { return rand.Int64N(1<<63-1) + 1 }

// shift is how far a message's number is shifted in those of its deliveries.
const shift = 20

// Flags of a message.
const (
	flagEightBit = 1
	flagUTF8     = 2
)

// The states in the database. Those from stateFinal on are final.
const (
	stateReady    = 0
	stateWaiting  = 1
	stateInFlight = 2
	stateFinal    = 3
)

// states are the names of the states, by their numbers.
var states = [...]queue.State{
	queue.Waiting, queue.Waiting, queue.InFlight, queue.Delivered, queue.Bounced, queue.Expired, queue.Suppressed, queue.Cancelled,
}

// stateNumber is the number of a final state, or 0.
func stateNumber(s queue.State) int {
	for i := stateFinal; i < len(states); i++ {
		if states[i] == s {
			return i
		}
	}
	return 0
}

// Put implements sender.Queue. Calls at the same time share a transaction. When ctx ends before the commit, nothing is stored. When it ends during the
// commit Put waits some seconds for it, and then returns queue.ErrUnknown, as it does when the database was lost in a commit and did not come back.
func (q *Queue) Put(ctx context.Context, p queue.Put) (leases []int64, err error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	one := &put{Put: p, owner: q.owner, nonce: newNonce()}
	o := &op{kind: opPut, name: "put", rows: 2 + len(p.Deliveries), bytes: len(p.Message.Data), put: one}
	if p.LeaseFor > 0 {
		o.lease = one.nonce
	}
	if err := q.writer.write(ctx, o); err != nil {
		return nil, err
	}
	if one.dup {
		return nil, queue.ErrDuplicate
	}
	leases = make([]int64, len(p.Deliveries))
	if p.LeaseFor > 0 {
		for i := range leases {
			leases[i] = one.nonce
		}
	}
	msg := *p.Message
	msg.Created, msg.Recipients = time.Now(), len(p.Deliveries)
	q.cache.put(&msg, one.seq, p.LeaseFor > 0)
	return leases, nil
}

// applyPuts stores messages with their bodies and deliveries.
func (q *Queue) applyPuts(ctx context.Context, w querier, ops []*op) error {
	puts := make([]*put, len(ops))
	for i, o := range ops {
		puts[i] = o.put
		o.put.seq, o.put.dup = 0, false
	}
	if err := q.insertMessages(ctx, w, puts); err != nil {
		return err
	}
	fresh := puts[:0]
	for i, p := range puts {
		if p.seq > 0 {
			fresh = append(fresh, p)
			continue
		}
		p.dup = true
		if !ops[i].unsure {
			continue
		}
		// An earlier commit of this very call may have succeeded.
		err := q.one(ctx, w, "SELECT seq FROM repute_message WHERE id = ? AND nonce = ?", []any{p.Message.ID, p.nonce}, &p.seq)
		if err != nil && err != sql.ErrNoRows {
			return err
		}
		p.dup = err != nil
	}
	return q.insertRest(ctx, w, fresh)
}

// insertMessages stores the messages whose ID is new, and notes their numbers.
func (q *Queue) insertMessages(ctx context.Context, w querier, puts []*put) error {
	byNonce := make(map[int64]*put, len(puts))
	return q.d.each(len(puts), func(from, size int) error {
		args := make([]any, 0, 7*size)
		for _, p := range puts[from : from+size] {
			flags := 0
			if p.Message.EightBit {
				flags |= flagEightBit
			}
			if p.Message.UTF8 {
				flags |= flagUTF8
			}
			byNonce[p.nonce] = p
			args = append(args, p.Message.ID, p.Message.Stream, p.Message.From, flags, len(p.Deliveries), len(p.Deliveries), p.nonce)
		}
		rows, err := w.query(ctx, q.text("message", size, func() string {
			return "WITH v (id, stream, sender, flags, recipients, open, nonce) AS (VALUES " +
				values(size, "TEXT", "TEXT", "TEXT", "INTEGER", "INTEGER", "INTEGER", "BIGINT") + `)
				INSERT INTO repute_message (id, stream, sender, flags, recipients, open, nonce, created)
				SELECT id, stream, sender, flags, recipients, open, nonce, {now} FROM v WHERE true
				ON CONFLICT (id) DO NOTHING RETURNING seq, nonce`
		}), args...)
		return scan(rows, err, func(r *sql.Rows) error {
			var seq, nonce int64
			if err := r.Scan(&seq, &nonce); err != nil {
				return err
			}
			byNonce[nonce].seq = seq
			return nil
		})
	})
}

// insertRest stores bodies and deliveries of messages that are stored.
func (q *Queue) insertRest(ctx context.Context, w querier, puts []*put) error {
	err := q.d.each(len(puts), func(from, size int) error {
		args := make([]any, 0, 2*size)
		for _, p := range puts[from : from+size] {
			data := p.Message.Data
			if data == nil {
				data = []byte{}
			}
			args = append(args, p.seq, data)
		}
		_, err := w.exec(ctx, q.text("body", size, func() string {
			return "INSERT INTO repute_body (message, data) VALUES " + values(size, "", "")
		}), args...)
		return err
	})
	if err != nil {
		return err
	}
	type row struct {
		p *put
		n int
	}
	var rows []row
	for _, p := range puts {
		for n := range p.Deliveries {
			rows = append(rows, row{p, n})
		}
	}
	return q.d.each(len(rows), func(from, size int) error {
		args := make([]any, 0, 11*size)
		for _, r := range rows[from : from+size] {
			d := &r.p.Deliveries[r.n]
			state, lease, owner := stateReady, int64(0), ""
			if r.p.LeaseFor > 0 {
				state, lease, owner = stateInFlight, r.p.nonce, r.p.owner
			}
			args = append(args, r.p.seq<<shift|int64(r.n+1), d.Lane.Stream, d.Lane.Domain, d.Lane.Route, d.Recipient, -int64(d.Priority),
				state, lease, owner, r.p.LeaseFor.Microseconds(), r.p.ExpireAfter.Microseconds())
		}
		_, err := w.exec(ctx, q.text("delivery", size, func() string {
			return "WITH v (seq, stream, domain, route, recipient, rank, state, lease, owner, term, life) AS (VALUES " +
				values(size, "BIGINT", "TEXT", "TEXT", "TEXT", "TEXT", "BIGINT", "INTEGER", "BIGINT", "TEXT", "BIGINT", "BIGINT") + `)
				INSERT INTO repute_delivery (seq, stream, domain, route, recipient, rank, state, lease, owner, due, created, expires,
					attempts, losses, records, history)
				SELECT seq, stream, domain, route, recipient, rank, state, lease, owner, {now} + term, {now}, {now} + life, 0, 0, 0, '' FROM v`
		}), args...)
		return err
	})
}

// forget deletes messages with all that belongs to them.
func (q *Queue) forget(ctx context.Context, w querier, seqs []int64) error {
	return q.d.each(len(seqs), func(from, size int) error {
		args := make([]any, 0, size)
		for _, s := range seqs[from : from+size] {
			args = append(args, s)
			if _, err := w.exec(ctx, "DELETE FROM repute_delivery WHERE seq BETWEEN ? AND ?", s<<shift, (s+1)<<shift-1); err != nil {
				return err
			}
		}
		for _, table := range []string{"repute_body WHERE message", "repute_news WHERE message", "repute_message WHERE seq"} {
			if _, err := w.exec(ctx, "DELETE FROM "+table+" IN ("+holders(size)+")", args...); err != nil {
				return err
			}
		}
		return nil
	})
}

// PutTx stores a message in a transaction of the host's: it is in the queue once the host commits, and never was there if the host rolls
// back. A message ID that is known gives queue.ErrDuplicate and leaves the transaction usable. With any other error nothing of the message is in the transaction; whether
// that can go on then depends on the database. The transaction is one of the same
// database. Who watches the queue (Watch) hears of the message soon after the commit. p.LeaseFor is not used.
func (q *Queue) PutTx(ctx context.Context, tx *sql.Tx, p queue.Put) error {
	if err := p.Validate(); err != nil {
		return err
	}
	p.LeaseFor = 0
	if q.isClosed() {
		return queue.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if !q.d.postgres { // SQLite ends a transaction in whose midst a statement is broken off, and what the host writes then would be outside of it
		ctx = context.WithoutCancel(ctx)
	}
	h := hostTx{q, tx}
	if _, err := h.exec(ctx, "SAVEPOINT repute_put"); err != nil {
		return fmt.Errorf("sqlqueue: put in a transaction: %w", err)
	}
	err := q.putIn(ctx, h, p)
	if err == nil || errors.Is(err, queue.ErrDuplicate) {
		if _, failed := h.exec(ctx, "RELEASE SAVEPOINT repute_put"); failed != nil {
			err = failed
		}
	}
	if err == nil {
		q.news.expect()
		return nil
	}
	if errors.Is(err, queue.ErrDuplicate) {
		return err
	}
	back, cancel := context.WithTimeout(context.WithoutCancel(ctx), statementTime)
	defer cancel()
	if _, failed := h.exec(back, "ROLLBACK TO SAVEPOINT repute_put"); failed != nil {
		err = fmt.Errorf("%w; what was written of it cannot be taken back: %w", err, failed)
	}
	return fmt.Errorf("sqlqueue: put in a transaction: %w", err)
}

// putIn writes a message within a savepoint of the host's transaction.
func (q *Queue) putIn(ctx context.Context, h hostTx, p queue.Put) error {
	one := &put{Put: p, nonce: newNonce()}
	if err := q.insertMessages(ctx, h, []*put{one}); err != nil {
		return err
	}
	if one.seq == 0 {
		return queue.ErrDuplicate
	}
	if err := q.insertRest(ctx, h, []*put{one}); err != nil {
		return err
	}
	if _, err := h.exec(ctx, "INSERT INTO repute_news (message) VALUES (?)", one.seq); err != nil {
		return err
	}
	if q.d.postgres {
		if _, err := h.exec(ctx, "SELECT pg_notify('"+channel+"', '')"); err != nil {
			return err
		}
	}
	return nil
}
