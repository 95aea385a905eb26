package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reputemail/repute/internal/interop"
)

// Variable is the environment variable that names the server for [DSN], as a URL with the right to create schemas. None, as its
// value, does without any server.
const (
	Variable = "REPUTE_POSTGRES"
	None     = "none"
)

// oldest is the oldest version that the tests are for, as the server itself counts them.
const oldest = 13_00_00

// lockWait bounds how long the removal of a schema waits for transactions that use it.
const lockWait = 10 * time.Second

// DSN returns the URL of a new, empty schema, for pgx: connections made with it have the schema, and nothing but it, as their
// search_path. The schema is dropped when the test ends, after the cleanups that the test registers later; that fails the test when a
// transaction still holds something there after 10 seconds. What is not part of a schema is shared with the other tests: the
// channels of LISTEN, advisory locks, the number of connections.
//
// A test that is killed leaves its schema (repute_test_…) behind on a server that REPUTE_POSTGRES names.
func DSN(t testing.TB) string {
	t.Helper()
	server := os.Getenv(Variable)
	switch server {
	case "":
		c, err := shared()
		need(t, err)
		server = c.DSN()
	case None:
		need(t, missingError{postgres})
	}
	schema := "repute_test_" + strings.ToLower(rand.Text()[:12])
	dsn, err := inSchema(server, schema)
	if err != nil {
		t.Fatalf("%s: %v", Variable, err)
	}
	if err := execute(server, `CREATE SCHEMA "`+schema+`"`); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		drop := fmt.Sprintf(`SET lock_timeout = %d; SET client_min_messages = warning; DROP SCHEMA "%s" CASCADE`, lockWait.Milliseconds(), schema)
		if err := execute(server, drop); err != nil {
			t.Errorf("dropping the test's schema: %v", err)
		}
	})
	return dsn
}

// shared starts the cluster of this test process, once. Nobody stops it: it goes with the process.
var shared = sync.OnceValues(open)

// need ends the test when err is not nil: skipped when something is missing on this machine, and failed otherwise.
func need(t testing.TB, err error) {
	t.Helper()
	var missing missingError
	interop.Need(t, missing.what, !errors.As(err, &missing))
	if err != nil {
		t.Fatal(err)
	}
}

// inSchema is a server's URL with a schema as search_path.
func inSchema(server, schema string) (string, error) {
	u, err := url.Parse(server)
	if err != nil {
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err // without the URL, which may hold a password
		}
		return "", fmt.Errorf("not a URL: %w", err)
	}
	if u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return "", errors.New("not a URL that begins with postgres://")
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// execute runs statements on a connection of their own.
func execute(server, statements string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var number string
	if err := conn.QueryRow(ctx, "SHOW server_version_num").Scan(&number); err != nil {
		return err
	}
	if version, err := strconv.Atoi(number); err != nil || version < oldest {
		return fmt.Errorf("the server is PostgreSQL %s, and %d or later is needed", number, oldest)
	}
	_, err = conn.PgConn().Exec(ctx, statements).ReadAll()
	return err
}
