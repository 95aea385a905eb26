package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/queue/pgqueue"
	"github.com/reputemail/repute/sender/queue/sqlitequeue"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

// openedQueue is the queue under load.
type openedQueue struct {
	sender.Queue
	kind  string
	found int // open deliveries of an earlier run
	close func() error
}

// openQueue opens the queue that -queue names, and counts what it holds.
func openQueue(ctx context.Context, spec queueSpec, logger *slog.Logger) (*openedQueue, error) {
	q := &openedQueue{kind: spec.kind, close: func() error { return nil }}
	if err := q.open(ctx, spec, logger); err != nil {
		return nil, fmt.Errorf("-queue: %w", err)
	}
	lanes, err := q.Lanes(ctx)
	if err != nil {
		q.close()
		return nil, fmt.Errorf("-queue: %w", err)
	}
	for _, l := range lanes {
		q.found += l.Waiting + l.InFlight
	}
	return q, nil
}

func (q *openedQueue) open(ctx context.Context, spec queueSpec, logger *slog.Logger) (err error) {
	var durable *sqlqueue.Queue
	switch spec.kind {
	case queueMemory:
		q.Queue, err = queue.NewMemory(queue.MemoryConfig{})
		return err
	case queueSQLite:
		durable, err = sqlitequeue.OpenConfig(ctx, spec.at, sqlqueue.Config{Logger: logger})
	case queuePostgres:
		durable, err = pgqueue.Open(ctx, spec.at, sqlqueue.Config{Logger: logger})
	}
	if err != nil {
		return err
	}
	q.Queue, q.close = durable, durable.Close
	return nil
}
