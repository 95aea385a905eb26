package pgtest

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/reputemail/repute/internal/interop"
)

// connect opens a connection that is closed with the test.
func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(t.Context()) })
	return conn
}

// run executes a statement.
func run(t *testing.T, conn *pgx.Conn, statement string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// ask reads the one value that a query answers with.
func ask[T any](t *testing.T, conn *pgx.Conn, query string) T {
	t.Helper()
	var answer T
	if err := conn.QueryRow(t.Context(), query).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return answer
}

const tables = `SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace`

func TestDSN(t *testing.T) {
	var dsns, schemas []string
	for i := range 2 {
		dsn := DSN(t)
		conn := connect(t, dsn)
		if n := ask[int](t, conn, tables); n != 0 {
			t.Errorf("a new schema has %d tables", n)
		}
		run(t, conn, `CREATE TABLE messages (id int)`)
		run(t, conn, fmt.Sprintf(`INSERT INTO messages VALUES (%d)`, i))
		dsns, schemas = append(dsns, dsn), append(schemas, ask[string](t, conn, `SHOW search_path`))
	}
	if schemas[0] == schemas[1] {
		t.Errorf("both have the schema %s", schemas[0])
	}
	for i, dsn := range dsns {
		if id := ask[int](t, connect(t, dsn), `SELECT id FROM messages`); id != i {
			t.Errorf("the table of schema %d has the row of %d", i, id)
		}
	}
}

// TestDSNDrops: a schema goes with its test, though connections are still open.
func TestDSNDrops(t *testing.T) {
	var schema string
	conn := connect(t, DSN(t))
	t.Run("", func(t *testing.T) {
		own := connect(t, DSN(t))
		run(t, own, `CREATE TABLE messages (id int)`)
		schema = ask[string](t, own, `SELECT current_schema()`)
		if !ask[bool](t, conn, `SELECT to_regnamespace('`+schema+`') IS NOT NULL`) {
			t.Errorf("there is no %s", schema)
		}
	})
	if schema == "" {
		t.Fatal("the test had no schema")
	}
	if ask[bool](t, conn, `SELECT to_regnamespace('`+schema+`') IS NOT NULL`) {
		t.Errorf("%s outlived its test", schema)
	}
}

// TestDSNServer: REPUTE_POSTGRES names the server.
func TestDSNServer(t *testing.T) {
	c := Start(t)
	run(t, connect(t, c.DSN()), `ALTER SYSTEM SET cluster_name = 'the other'`)
	c.Restart(t)
	t.Setenv(Variable, c.DSN())
	if name := ask[string](t, connect(t, DSN(t)), `SHOW cluster_name`); name != "the other" {
		t.Errorf("the server is %q", name)
	}
}

// recorder is a test that notes how it was ended.
type recorder struct {
	testing.TB
	did string
}

func (r *recorder) Helper() {}

func (r *recorder) Fatalf(f string, args ...any) { r.end("fail", fmt.Sprintf(f, args...)) }

func (r *recorder) Fatal(args ...any) { r.end("fail", fmt.Sprint(args...)) }

func (r *recorder) Skipf(f string, args ...any) { r.end("skip", fmt.Sprintf(f, args...)) }

func (r *recorder) end(how, why string) {
	r.did = how + ": " + why
	runtime.Goexit()
}

// ended is how a test that runs f ends.
func ended(t *testing.T, f func(testing.TB)) string {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r.did
}

// TestMissing: on a machine without PostgreSQL tests are skipped, or fail where that is asked for, and say what is to be installed.
func TestMissing(t *testing.T) {
	t.Setenv(Variable, None)
	for name, f := range map[string]func(testing.TB){
		"DSN":   func(t testing.TB) { DSN(t) },
		"Start": func(t testing.TB) { Start(t) },
	} {
		for env, want := range map[string]string{"": "skip: ", interop.Require: "fail: "} {
			t.Setenv(interop.Variable, env)
			if did := ended(t, f); !strings.HasPrefix(did, want) || !strings.Contains(did, "Debian package postgresql") {
				t.Errorf("%s with %s=%q: %q", name, interop.Variable, env, did)
			}
		}
	}
}

func TestInSchema(t *testing.T) {
	for _, test := range []struct{ server, want string }{
		{"postgres://me:pw@db.example:5433/mail?sslmode=require", "postgres://me:pw@db.example:5433/mail?search_path=s&sslmode=require"},
		{"postgresql:///mail?host=%2Frun%2Fpg&search_path=other", "postgresql:///mail?host=%2Frun%2Fpg&search_path=s"},
	} {
		if got, err := inSchema(test.server, "s"); got != test.want || err != nil {
			t.Errorf("%s: %s, %v", test.server, got, err)
		}
	}
	for _, server := range []string{"host=db.example password=secret", "db.example:5432", "mysql://me:secret@db.example/", "postgres://me:secret@db.example:port/"} {
		if got, err := inSchema(server, "s"); err == nil {
			t.Errorf("%s: %s", server, got)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells the password: %v", server, err)
		}
	}
}

// TestDSNRefuses: a wrong variable fails the test under its name. It is never as if it were missing.
func TestDSNRefuses(t *testing.T) {
	t.Setenv(interop.Variable, "")
	t.Setenv(Variable, "db.example:5432")
	if did := ended(t, func(t testing.TB) { DSN(t) }); !strings.HasPrefix(did, "fail: "+Variable) {
		t.Error(did)
	}
	t.Setenv(Variable, "postgres://me@/mail?host="+t.TempDir())
	if did := ended(t, func(t testing.TB) { DSN(t) }); !strings.HasPrefix(did, "fail: ") {
		t.Error(did)
	}
}
