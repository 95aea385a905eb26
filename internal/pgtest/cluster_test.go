//go:build unix

package pgtest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestCluster: what was committed survives everything, what was not nothing, and the DSN stays.
func TestCluster(t *testing.T) {
	c := Start(t)
	dsn := c.DSN()
	run(t, connect(t, dsn), `CREATE TABLE messages (id int)`)
	want := 0
	for _, step := range []struct {
		name string
		do   func()
		runs bool
	}{
		{"start a running one", func() { c.Start(t) }, true},
		{"kill", func() { c.Kill(t) }, false},
		{"kill a killed one", func() { c.Kill(t) }, false},
		{"start after a kill", func() { c.Start(t) }, true},
		{"stop", func() { c.Stop(t) }, false},
		{"stop a stopped one", func() { c.Stop(t) }, false},
		{"start after a stop", func() { c.Start(t) }, true},
		{"restart", func() { c.Restart(t) }, true},
	} {
		var open pgx.Tx
		if c.runs() {
			want++
			conn := connect(t, dsn)
			run(t, conn, fmt.Sprintf(`INSERT INTO messages VALUES (%d)`, want))
			var err error
			if open, err = conn.Begin(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := open.Exec(t.Context(), `INSERT INTO messages VALUES (-1)`); err != nil {
				t.Fatal(err)
			}
		}
		before := c.server
		step.do()
		if open != nil && c.server == before && c.runs() {
			open.Rollback(t.Context())
		} else if open != nil && open.Commit(t.Context()) == nil {
			t.Errorf("%s: a transaction survived it", step.name)
		}
		if c.DSN() != dsn {
			t.Fatalf("%s: the DSN is %s, and was %s", step.name, c.DSN(), dsn)
		}
		conn, err := pgx.Connect(t.Context(), dsn)
		if (err == nil) != step.runs {
			t.Fatalf("%s: connecting: %v", step.name, err)
		}
		if err != nil {
			continue
		}
		if got := ask[int](t, conn, `SELECT count(*) FROM messages WHERE id > 0`); got != want {
			t.Errorf("%s: %d rows, want %d", step.name, got, want)
		}
		if got := ask[int](t, conn, `SELECT count(*) FROM messages WHERE id < 0`); got != 0 {
			t.Errorf("%s: %d rows of transactions that were never committed", step.name, got)
		}
		conn.Close(t.Context())
	}
}

// TestClusterSettings: it is durable, speaks UTF-8, and listens on no network.
func TestClusterSettings(t *testing.T) {
	conn := connect(t, Start(t).DSN())
	for setting, want := range map[string]string{
		"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "server_encoding": "UTF8", "listen_addresses": "",
	} {
		if got := ask[string](t, conn, "SHOW "+setting); got != want {
			t.Errorf("%s = %q, want %q", setting, got, want)
		}
	}
	if collate := ask[string](t, conn, `SELECT datcollate FROM pg_database WHERE datname = current_database()`); collate != "C" {
		t.Errorf("collation %q", collate)
	}
}

// TestClusterRemoved: nothing of a cluster is left after its test, whether it runs or not.
func TestClusterRemoved(t *testing.T) {
	for name, last := range map[string]func(*Cluster, testing.TB){"runs": (*Cluster).Start, "stopped": (*Cluster).Stop, "killed": (*Cluster).Kill} {
		var c *Cluster
		t.Run(name, func(t *testing.T) {
			c = Start(t)
			last(c, t)
		})
		if c == nil {
			t.SkipNow() // so was the test above
		}
		if _, err := os.Lstat(c.dir); !os.IsNotExist(err) {
			t.Errorf("%s: %s: %v", name, c.dir, err)
		}
		if c.runs() || c.keeper.cmd.ProcessState == nil {
			t.Errorf("%s: server or keeper were left behind", name)
		}
	}
}

// childVariable tells the test's own program, when it is started as a child, how to end.
const childVariable = "PGTEST_CHILD"

// TestProcessEnds: a cluster does not outlive its test process, however that ends.
func TestProcessEnds(t *testing.T) {
	_, err := programs()
	need(t, err)
	_, err = serverAccount()
	need(t, err)
	for _, how := range []string{"exit", "panic", "killed"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run=^TestChild$")
			cmd.Env = append(os.Environ(), childVariable+"="+how, Variable+"=")
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer cmd.Wait()
			defer in.Close() // lets it end if this test fails
			dir, dsn := "", ""
			for lines := bufio.NewScanner(out); dsn == "" && lines.Scan(); {
				if rest, ok := strings.CutPrefix(lines.Text(), "cluster "); ok {
					dir, dsn, _ = strings.Cut(rest, " ")
				}
			}
			if dsn == "" {
				t.Fatal("the child did not start a cluster")
			}
			conn := connect(t, dsn)
			if _, err := os.Stat(filepath.Join(dir, "data")); err != nil {
				t.Fatal(err)
			}
			if how == "killed" {
				cmd.Process.Kill()
			} else {
				fmt.Fprintln(in)
			}
			// The last thing that the keeper does is to remove the folder, after the server's end.
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			for err = error(nil); !os.IsNotExist(err); _, err = os.Lstat(dir) {
				select {
				case <-ctx.Done():
					t.Fatalf("%s is still there", dir)
				case <-time.After(10 * time.Millisecond):
				}
			}
			if conn.Ping(ctx) == nil {
				t.Error("the server runs on without its data")
			}
		})
	}
}

// TestChild is not a test but the child of TestProcessEnds.
func TestChild(t *testing.T) {
	how := os.Getenv(childVariable)
	if how == "" {
		t.Skip("for the child of TestProcessEnds")
	}
	c, err := shared() // which nobody stops
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("\ncluster %s %s\n", c.dir, c.DSN())
	bufio.NewReader(os.Stdin).ReadString('\n') // forever, if it is to be killed
	if how == "panic" {
		panic("as a test may")
	}
}
