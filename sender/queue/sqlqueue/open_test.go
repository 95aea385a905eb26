package sqlqueue_test

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reputemail/repute/internal/pgtest"
	"github.com/reputemail/repute/sender/queue/pgqueue"
	"github.com/reputemail/repute/sender/queue/sqlitequeue"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

func TestConfigNamesTheField(t *testing.T) {
	db, err := sqlitequeue.OpenDB(filepath.Join(t.TempDir(), "queue.db"))
	must(t, err)
	defer db.Close()
	for field, cfg := range map[string]sqlqueue.Config{
		"OwnerTimeout": {OwnerTimeout: time.Millisecond},
		"Retention":    {Retention: -1},
		"Poll":         {Poll: -1},
		"RetryFor":     {RetryFor: -1},
		"Owner":        {Owner: strings.Repeat("x", 101)},
		"Listen":       {Listen: func(context.Context, string, func()) error { return nil }},
	} {
		if _, err := sqlqueue.Open(bg, db, cfg); !errors.Is(err, sqlqueue.ErrConfig) || !strings.Contains(err.Error(), field+":") {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := sqlqueue.Open(bg, nil, sqlqueue.Config{}); !errors.Is(err, sqlqueue.ErrConfig) {
		t.Errorf("no database: %v", err)
	}
	db.SetMaxOpenConns(1) // the queue would wait for itself
	if _, err := sqlqueue.Open(bg, db, sqlqueue.Config{}); !errors.Is(err, sqlqueue.ErrConfig) || !strings.Contains(err.Error(), "MaxOpenConns") {
		t.Errorf("one connection: %v", err)
	}
	if _, err := sqlitequeue.Open(""); err == nil {
		t.Error("no path is taken")
	}
	if _, err := sqlitequeue.Open(filepath.Join(t.TempDir(), "none", "queue.db")); err == nil {
		t.Error("a folder that is not there is taken")
	}
	if _, err := pgqueue.Open(bg, "postgres://%zz", sqlqueue.Config{}); err == nil || !strings.Contains(err.Error(), "dsn") {
		t.Errorf("bad DSN: %v", err)
	}
}

// TestANewerSchemaIsRefused: and stays as it is.
func TestANewerSchemaIsRefused(t *testing.T) {
	both(t, func(t *testing.T, db database) {
		q, err := db.open(sqlqueue.Config{})
		must(t, err)
		_, err = q.DB().Exec("INSERT INTO repute_schema (version, applied) VALUES (99, 0)")
		must(t, err)
		must(t, q.Close())
		for range 2 {
			if _, err := db.open(sqlqueue.Config{}); !errors.Is(err, sqlqueue.ErrNewer) || !strings.Contains(err.Error(), "99") {
				t.Errorf("opened: %v", err)
			}
		}
	})
}

// TestOpenAtTheSameTime: processes that start together make one schema.
func TestOpenAtTheSameTime(t *testing.T) {
	dsn := pgtest.DSN(t)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			q, err := pgqueue.Open(bg, dsn, sqlqueue.Config{})
			if err != nil {
				t.Error(err)
				return
			}
			if err := q.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// TestWhatIsNoDatabase: the error says so, and the file is left alone.
func TestWhatIsNoDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	text := strings.Repeat("this is no database at all. ", 400)
	must(t, os.WriteFile(path, []byte(text), 0o600))
	if _, err := sqlitequeue.Open(path); err == nil || !strings.Contains(err.Error(), "not a database") {
		t.Errorf("opened: %v", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != text {
		t.Error("the file was changed")
	}
}

// TestInMemory: a SQLite database without a file needs no lock.
func TestInMemory(t *testing.T) {
	db, err := sql.Open("sqlite", "file:memory?mode=memory&cache=shared")
	must(t, err)
	defer db.Close()
	q, err := sqlqueue.Open(bg, db, sqlqueue.Config{})
	must(t, err)
	put(t, q, message("m", 1))
	if got := claim(t, q, 1); len(got) != 1 {
		t.Error("nothing to claim")
	}
	must(t, q.Close())
	must(t, db.Ping()) // it stays the host's
}

// TestCommitsAreDurable: what makes a commit survive the end of the machine is set where the queue writes.
func TestCommitsAreDurable(t *testing.T) {
	both(t, func(t *testing.T, db database) {
		c, done, err := sqlqueue.WritingConn(db.queue(t, sqlqueue.Config{}))
		must(t, err)
		defer done()
		settings := map[string]string{"PRAGMA journal_mode": "wal", "PRAGMA synchronous": "2"} // FULL
		if db.engine == "postgres" {
			settings = map[string]string{"SHOW synchronous_commit": "on"}
		}
		for query, want := range settings {
			var got string
			must(t, c.QueryRowContext(bg, query).Scan(&got))
			if got != want {
				t.Errorf("%s: %s, want %s", query, got, want)
			}
		}
	})
}

// TestARoleThatMayNotCreate: the schema can be made by somebody else.
func TestARoleThatMayNotCreate(t *testing.T) {
	dsn := pgtest.DSN(t)
	q, err := pgqueue.Open(bg, dsn, sqlqueue.Config{})
	must(t, err)
	defer q.Close()
	var schema string
	must(t, q.DB().QueryRow("SELECT current_schema()").Scan(&schema))
	role := "role_" + schema
	for _, text := range []string{
		"CREATE ROLE " + role + " LOGIN", "GRANT USAGE ON SCHEMA " + schema + " TO " + role,
		"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA " + schema + " TO " + role,
	} {
		_, err := q.DB().Exec(text)
		must(t, err)
	}
	defer func() {
		for _, text := range []string{"DROP OWNED BY " + role, "DROP ROLE " + role} {
			_, err := q.DB().Exec(text)
			must(t, err)
		}
	}()
	u, err := url.Parse(dsn)
	must(t, err)
	u.User = url.User(role)
	other, err := pgqueue.Open(bg, u.String(), sqlqueue.Config{})
	must(t, err)
	put(t, other, message("m", 1))
	must(t, other.Close())
}

// TestTheFileIsTheOwnersAlone: there is mail in it. The name of what cannot be opened is in the error.
func TestTheFileIsTheOwnersAlone(t *testing.T) {
	dir := t.TempDir()
	q, err := sqlitequeue.Open(filepath.Join(dir, "queue.db"))
	must(t, err)
	put(t, q, message("m", 1))
	files, err := os.ReadDir(dir)
	must(t, err)
	for _, f := range files {
		info, err := f.Info()
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v", f.Name(), info.Mode())
		}
	}
	must(t, q.Close())
	for _, path := range []string{dir, filepath.Join(dir, "none", "queue.db")} {
		if _, err := sqlitequeue.Open(path); err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "PostgreSQL") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
