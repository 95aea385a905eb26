package sqlqueue

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"
)

// Config configures a Queue. Its zero value is fine.
type Config struct {
	// Owner names this process among those on the same database, and stays the same over restarts: the warm-up ledger goes on under it at
	// once, and people who look into the database see it. Each process needs a name of its own, of at most 100 bytes. Defaults to the host's
	// name, the process's number and a random word; with SQLite, where there is one process, to "main".
	Owner string
	// OwnerTimeout is how long a process may be silent before the others take over its deliveries (PostgreSQL). A process
	// tells that it is alive four times as often. At least a second. Defaults to one minute.
	OwnerTimeout time.Duration
	// Retention is how long settled deliveries are kept, for Get and against duplicate message IDs. At least a second.
	// Defaults to 7 days.
	Retention time.Duration
	// Poll is how often the queue looks for mail that came in transactions of the host's (PutTx). With Listen, a notification
	// comes first and Poll only makes sure: a connection that is broken and does not know it notifies of nothing. At least a millisecond. Defaults to 250 milliseconds, with Listen to
	// 900.
	Poll time.Duration
	// Listen, if set, calls heard for each notification on a channel of PostgreSQL (LISTEN), until ctx ends or the connection breaks; it
	// is called again then. It calls heard as soon as it listens, too. Package pgqueue has one for pgx. Defaults to polling.
	Listen func(ctx context.Context, channel string, heard func()) error
	// RetryFor is how long a call is tried again while the database is busy, or away. Not negative. Defaults to 10 seconds.
	RetryFor time.Duration
	// CacheBytes bounds the bodies that are kept in memory from Put until their delivery, so that new mail is not read back.
	// Negative: none. Defaults to 64 MiB.
	CacheBytes int64
	// CloseDB makes Close close the database as well. Defaults to leaving that to the host.
	CloseDB bool
	// Logger hears of faults that the queue gets over by itself. Defaults to none.
	Logger *slog.Logger
}

// ErrConfig: a field of Config is out of bounds. The error names it.
var ErrConfig = errors.New("sqlqueue: config")

func (c Config) withDefaults(postgres bool) (Config, error) {
	for _, f := range []struct {
		name string
		at   *time.Duration
		def  time.Duration
		min  time.Duration
	}{
		{"OwnerTimeout", &c.OwnerTimeout, time.Minute, time.Second},
		{"Retention", &c.Retention, 7 * 24 * time.Hour, time.Second},
		{"Poll", &c.Poll, 250 * time.Millisecond, time.Millisecond},
		{"RetryFor", &c.RetryFor, 10 * time.Second, 0},
	} {
		if *f.at == 0 {
			if *f.at = f.def; f.name == "Poll" && c.Listen != nil {
				*f.at = 900 * time.Millisecond
			}
		}
		if *f.at < f.min {
			return c, fmt.Errorf("%w: %s: %v is below %v", ErrConfig, f.name, *f.at, f.min)
		}
	}
	if len(c.Owner) > 100 {
		return c, fmt.Errorf("%w: Owner: more than 100 bytes", ErrConfig)
	}
	if c.Listen != nil && !postgres {
		return c, fmt.Errorf("%w: Listen: only PostgreSQL notifies", ErrConfig)
	}
	switch {
	case c.Owner != "":
	case !postgres:
		c.Owner = "main"
	default:
		host, _ := os.Hostname()
		c.Owner = fmt.Sprintf("%s-%d-%s", host, os.Getpid(), rand.Text()[:8])
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = 64 << 20
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}
