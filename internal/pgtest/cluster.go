package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// patience is how long anything may take that the server does: far more than it needs, also on a busy machine.
const patience = time.Minute

// port names the socket in the cluster's folder. There is no network, so no other server can have it.
const port = "5432"

// Cluster is a throw-away server with its data. Its methods are for one goroutine at a time, that of the test; the DSN never changes.
type Cluster struct {
	bin    string // folder of the programs
	dir    string // folder of everything that the cluster has
	user   account
	dsn    string
	keeper *keeper
	server *server // the last one started
}

// server is one run of the server.
type server struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended
}

// Start starts a cluster that only this test uses. It is removed when the test ends; if the test failed, the end of its log is
// logged. Databases and roles are as initdb makes them.
func Start(t testing.TB) *Cluster {
	t.Helper()
	c, err := open()
	need(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of PostgreSQL's log:\n%s", c.logEnd())
		}
		if err := c.remove(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// DSN is the URL of the database postgres, for its superuser. It stays the same whether the server runs or not.
func (c *Cluster) DSN() string { return c.dsn }

// Stop stops the server as an administrator does who restarts it (pg_ctl's mode "fast"): sessions are ended, their transactions are rolled
// back. Nothing happens if it does not run.
func (c *Cluster) Stop(t testing.TB) {
	t.Helper()
	fast, _ := signals()
	if err := c.end(fast); err != nil {
		t.Fatal(err)
	}
}

// Kill ends the server as a crash does (pg_ctl's mode "immediate"): no session is told more than that, and the next start recovers from the write-ahead
// log. Nothing happens if it does not run.
func (c *Cluster) Kill(t testing.TB) {
	t.Helper()
	_, immediate := signals()
	if err := c.end(immediate); err != nil {
		t.Fatal(err)
	}
}

// Start starts the server again, with the data that it had and under the same DSN, and returns when it takes connections. Nothing
// happens if it runs.
func (c *Cluster) Start(t testing.TB) {
	t.Helper()
	if err := c.start(); err != nil {
		t.Fatal(err)
	}
}

// Restart is Stop and Start.
func (c *Cluster) Restart(t testing.TB) {
	t.Helper()
	c.Stop(t)
	c.Start(t)
}

// open makes and starts a cluster. The error is a missingError if this machine lacks what it takes.
func open() (*Cluster, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	user, err := serverAccount()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "repute-pg-")
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil { // TMPDIR may be relative
		return nil, err
	}
	c := &Cluster{bin: bin, dir: dir, user: user}
	settings := url.Values{"host": {dir}, "port": {port}, "sslmode": {"disable"}}
	c.dsn = (&url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/postgres", RawQuery: settings.Encode()}).String()
	if err := c.make(); err != nil {
		return nil, errors.Join(err, c.remove())
	}
	return c, nil
}

// make fills the folder and starts the server.
func (c *Cluster) make() error {
	// The bound of macOS, which is the lower one: 104 bytes with a zero at the end.
	if socket := filepath.Join(c.dir, ".s.PGSQL."+port); len(socket) > 103 {
		return fmt.Errorf("%s is too long for the name of a socket: set TMPDIR to a shorter one", socket)
	}
	if err := c.user.own(c.dir); err != nil {
		return err
	}
	var err error
	if c.keeper, err = c.keep(); err != nil {
		return err
	}
	initdb := c.command("initdb", "-D", filepath.Join(c.dir, "data"), "-U", "postgres", "-E", "UTF8", "--locale=C", "--auth=trust", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return c.start()
}

// command is a server program in the surroundings that the server has.
func (c *Cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.bin, name), args...)
	cmd.Dir = c.dir
	// Settings for other servers (PGDATA, PGPORT, …) are not for this one.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PG") })
	c.user.run(cmd)
	return cmd
}

func (c *Cluster) start() error {
	if c.runs() {
		return nil
	}
	log, err := os.OpenFile(c.logFile(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	s := &server{ended: make(chan struct{})}
	s.cmd = c.command("postgres", "-D", filepath.Join(c.dir, "data"), "-p", port,
		"-c", "listen_addresses=", "-c", "unix_socket_directories="+c.dir, "-c", "max_connections=200")
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	go func() {
		s.cmd.Wait()
		close(s.ended)
	}()
	c.server = s
	return c.ready()
}

// ready waits until the server takes connections.
func (c *Cluster) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, c.dsn)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-c.server.ended:
			return fmt.Errorf("PostgreSQL ended at its start (%v):\n%s", c.server.cmd.ProcessState, c.logEnd())
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL takes no connections: %w\n%s", err, c.logEnd())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// runs reports whether the server was started and has not ended.
func (c *Cluster) runs() bool {
	if c.server == nil {
		return false
	}
	select {
	case <-c.server.ended:
		return false
	default:
		return true
	}
}

// end sends the server a signal and waits until it has ended.
func (c *Cluster) end(signal os.Signal) error {
	if !c.runs() {
		return nil
	}
	if err := c.server.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-c.server.ended:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("PostgreSQL did not end within %v after %q:\n%s", patience, signal, c.logEnd())
	}
}

// remove ends the server and removes all that the cluster has.
func (c *Cluster) remove() error {
	_, immediate := signals()
	err := c.end(immediate) // what it has not written yet is not missed
	if err != nil {
		c.server.cmd.Process.Kill()
		<-c.server.ended
	}
	err = errors.Join(err, os.RemoveAll(c.dir))
	if c.keeper != nil {
		err = errors.Join(err, c.keeper.dismiss())
	}
	return err
}

func (c *Cluster) logFile() string { return filepath.Join(c.dir, "log") }

// logEnd is what a reader wants to see of the log.
func (c *Cluster) logEnd() string {
	f, err := os.Open(c.logFile())
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	const most = 8 << 10
	if info, err := f.Stat(); err == nil && info.Size() > most {
		f.Seek(-most, io.SeekEnd)
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
