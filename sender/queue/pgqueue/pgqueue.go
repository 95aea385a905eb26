// Package pgqueue opens a durable queue in PostgreSQL by one call. It brings a driver (github.com/jackc/pgx), which can listen, so that mail that was put in
// a transaction is noticed at once; a host that has a driver already gives its database to package sqlqueue instead.
package pgqueue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

// Open opens the queue in the database that dsn names, a URL or keywords as pgx understands them. Its tables are in the schema that comes first in the
// search_path, which must exist. Close of the Queue closes its database too, which is there as Queue.DB for the host's own tables.
// A server that does not answer within ten seconds is an error. Errors are those of sqlqueue.Open, or say what is wrong with dsn. cfg.Listen is set here.
//
// The queue's connections must be its own for as long as they last: with PgBouncer, pool sessions, not transactions.
func Open(ctx context.Context, dsn string, cfg sqlqueue.Config) (*sqlqueue.Queue, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("pgqueue: dsn: %w", err)
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "repute"
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTime
	}
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(8)
	ping, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	if err := db.PingContext(ping); err != nil {
		db.Close()
		return nil, fmt.Errorf("pgqueue: connect: %w", err)
	}
	cfg.CloseDB = true
	cfg.Listen = Listen(db)
	q, err := sqlqueue.Open(ctx, db, cfg)
	if err != nil {
		db.Close()
		return nil, err
	}
	return q, nil
}

// connectTime is how long connecting may take, unless dsn says otherwise (connect_timeout), and how long Open waits for it.
const connectTime = 10 * time.Second

// Listen is for Config.Listen of a database opened with pgx's database/sql driver. It takes a connection of its own.
func Listen(db *sql.DB) func(ctx context.Context, channel string, heard func()) error {
	return func(ctx context.Context, channel string, heard func()) error {
		c, err := db.Conn(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		return c.Raw(func(dc any) error {
			std, ok := dc.(*stdlib.Conn)
			if !ok {
				return errors.New("pgqueue: the database is not opened with pgx")
			}
			// The connection is closed, since nobody else should be listening on it later.
			pg := std.Conn()
			defer pg.Close(context.WithoutCancel(ctx))
			if _, err := pg.Exec(ctx, "LISTEN "+pgx.Identifier{channel}.Sanitize()); err != nil {
				return err
			}
			heard() // what was committed before
			for {
				if _, err := pg.WaitForNotification(ctx); err != nil {
					return err
				}
				heard()
			}
		})
	}
}
