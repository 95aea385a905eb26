// Package sqlitequeue opens a durable queue in a SQLite file by one call. It brings a SQLite driver in pure Go (modernc.org/sqlite); a host that
// has a driver already gives its database to package sqlqueue instead.
package sqlitequeue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

// Open opens the queue in a file, which is made if it is not there, for its owner alone to read. Its folder must exist. Beside the file SQLite keeps path-wal and path-shm, and the
// queue path.lock. Errors are those of sqlqueue.Open.
func Open(path string) (*sqlqueue.Queue, error) {
	return OpenConfig(context.Background(), path, sqlqueue.Config{})
}

// OpenConfig is Open with a configuration. Close of the Queue closes its database too, which is there as Queue.DB for the host's own tables.
func OpenConfig(ctx context.Context, path string, cfg sqlqueue.Config) (*sqlqueue.Queue, error) {
	db, err := OpenDB(path)
	if err != nil {
		return nil, err
	}
	cfg.CloseDB = true
	q, err := sqlqueue.Open(ctx, db, cfg)
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("sqlitequeue: %s: %w", path, err)
	}
	return q, nil
}

// OpenDB opens the database of a file for a queue and the host's own tables. Its transactions take the write lock when they begin (BEGIN IMMEDIATE),
// so that two of them wait for each other instead of failing, for up to ten seconds; commits are durable (synchronous=FULL).
func OpenDB(path string) (*sql.DB, error) {
	if path == "" {
		return nil, fmt.Errorf("sqlitequeue: path: empty")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("sqlitequeue: path: %w", err)
	}
	// A new file is the owner's alone: there will be mail in it. One that is there is not touched, since closing it would end SQLite's locks.
	f, err := os.OpenFile(abs, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case err == nil:
		err = f.Close()
	case errors.Is(err, fs.ErrExist):
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("sqlitequeue: %w", err)
	}
	slashes := filepath.ToSlash(abs)
	if !strings.HasPrefix(slashes, "/") { // C:/
		slashes = "/" + slashes
	}
	options := url.Values{
		"_txlock": {"immediate"},
		"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"},
	}
	u := url.URL{Scheme: "file", Path: slashes, RawQuery: options.Encode()}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, fmt.Errorf("sqlitequeue: %w", err)
	}
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(8)
	return db, nil
}
