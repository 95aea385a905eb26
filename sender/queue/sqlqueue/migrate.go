package sqlqueue

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"slices"
)

// migrations are the steps from one version of the schema to the next, by dialect. The n-th file leads to version n. What was released is
// never changed.
//
//go:embed migrations/*/*.sql
var migrations embed.FS

// migrationLock is the advisory lock under which PostgreSQL's schema is changed.
const migrationLock = 0x7265707574650001

// steps returns the steps of a dialect, in order.
func (d *dialect) steps() ([]string, error) {
	names, err := fs.Glob(migrations, "migrations/"+d.name+"/*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var out []string
	for _, n := range names {
		text, err := migrations.ReadFile(n)
		if err != nil {
			return nil, err
		}
		out = append(out, string(text))
	}
	return out, nil
}

// migrate brings the schema up to date, in one transaction, one process at a time.
func (q *Queue) migrate(ctx context.Context) error {
	steps, err := q.d.steps()
	if err != nil {
		return err
	}
	c, err := q.openConn(ctx)
	if err != nil {
		return fmt.Errorf("sqlqueue: open: %w", err)
	}
	defer c.release()
	patience := "PRAGMA busy_timeout = 10000"
	if q.d.postgres {
		patience = "SET lock_timeout = 0"
	}
	if _, err := c.c.ExecContext(ctx, patience); err != nil { // nothing is tried again here
		return fmt.Errorf("sqlqueue: open: %w", err)
	}
	if !q.d.postgres {
		var mode string
		err := q.one(ctx, c, "PRAGMA journal_mode = WAL", nil, &mode)
		if err != nil {
			return fmt.Errorf("sqlqueue: open: journal_mode: %w", err)
		}
		if mode != "wal" && mode != "memory" {
			return fmt.Errorf("sqlqueue: open: journal_mode is %s: this file system does not allow for a write-ahead log", mode)
		}
	}
	if err := c.begin(ctx); err != nil {
		return fmt.Errorf("sqlqueue: open: %w", err)
	}
	version, err := q.upgrade(ctx, c, steps)
	if err == nil {
		err = c.commit(ctx)
	}
	if err != nil {
		c.rollback(ctx)
		return fmt.Errorf("sqlqueue: open: schema: %w", err)
	}
	if version > len(steps) {
		return fmt.Errorf("%w: version %d, this program knows versions up to %d", ErrNewer, version, len(steps))
	}
	return nil
}

// upgrade takes the steps that are missing, and returns the version that was found.
func (q *Queue) upgrade(ctx context.Context, c *conn, steps []string) (version int, err error) {
	if q.d.postgres {
		if _, err := c.exec(ctx, fmt.Sprintf("SELECT pg_advisory_xact_lock(%d)", int64(migrationLock))); err != nil {
			return 0, err
		}
	}
	// Asked first, since who may not create tables may well use them.
	exists := "SELECT count(*) FROM sqlite_master WHERE name = 'repute_schema'"
	if q.d.postgres {
		exists = "SELECT count(to_regclass('repute_schema'))"
	}
	var tables int
	if err := q.one(ctx, c, exists, nil, &tables); err != nil {
		return 0, err
	}
	if tables == 0 {
		_, err = c.c.ExecContext(ctx, "CREATE TABLE repute_schema (version INTEGER PRIMARY KEY, applied BIGINT NOT NULL)")
		if err != nil {
			return 0, err
		}
	}
	var found sql.NullInt64
	if err := q.one(ctx, c, "SELECT max(version) FROM repute_schema", nil, &found); err != nil {
		return 0, err
	}
	version = int(found.Int64)
	for i := version; i < len(steps); i++ {
		if _, err := c.c.ExecContext(ctx, steps[i]); err != nil {
			return version, fmt.Errorf("step %d: %w", i+1, err)
		}
		if _, err := c.exec(ctx, "INSERT INTO repute_schema (version, applied) VALUES (?, {now})", i+1); err != nil {
			return version, err
		}
	}
	return version, nil
}
