package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/queue/pgqueue"
	"github.com/reputemail/repute/sender/queue/sqlitequeue"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

// openStore opens the one database, for the queue and for the shop's own table.
func openStore(ctx context.Context, o options, logger *slog.Logger) (q *sqlqueue.Queue, err error) {
	cfg := sqlqueue.Config{
		Logger: logger,
		// Among processes on one PostgreSQL, a dead one is noticed after this. A minute, the default, is better outside of demonstrations.
		OwnerTimeout: time.Second,
	}
	if o.postgres != "" {
		q, err = pgqueue.Open(ctx, o.postgres, cfg)
	} else {
		q, err = sqlitequeue.OpenConfig(ctx, o.db, cfg)
	}
	if err != nil {
		return nil, err
	}
	if _, err := q.DB().ExecContext(ctx, shopTable); err != nil {
		return nil, errors.Join(fmt.Errorf("the shop's table: %w", err), q.Close())
	}
	return q, nil
}

// forgotten is the state of mail that was settled so long ago that the queue has forgotten it (sqlqueue.Config.Retention).
const forgotten queue.State = "forgotten"

// audit reads all orders, with the state of their mail.
func audit(ctx context.Context, q *sqlqueue.Queue) (map[int64]queue.State, error) {
	rows, err := q.DB().QueryContext(ctx, "SELECT id FROM shop_order")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := map[int64]queue.State{}
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		found[id] = forgotten
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for id := range found {
		ds, err := q.Get(ctx, messageID(id))
		if errors.Is(err, queue.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found[id] = ds[0].State // a confirmation has one recipient
	}
	return found, nil
}

// known stands before the ID of a message whose delivery the queue has, on a line of its own.
const known = "outbox: delivered "

// tally notes what this process has delivered. It is the Sender's Observer.
type tally struct {
	fuse *fuse
	out  io.Writer // is told each message, too; nil: is not

	mu   sync.Mutex
	sent map[string]bool
}

func newTally(f *fuse) *tally { return &tally{fuse: f, sent: map[string]bool{}} }

// Observe implements sender.Observer: by now the queue has it that the mail was delivered.
func (t *tally) Observe(e sender.Event) {
	if e.Type != sender.EventDelivered {
		return
	}
	if t.out != nil {
		fmt.Fprintln(t.out, known+e.MessageID)
	}
	t.fuse.pass(atSettled)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sent[e.MessageID] = true
}

func (t *tally) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.sent)
}

// delivered reports whether this process delivered an order's mail.
func (t *tally) delivered(id int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sent[messageID(id)]
}
