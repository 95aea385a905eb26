package redistest

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reputemail/repute/internal/interop"
)

// Variable is the environment variable that names the server for [URL]. None, as its value, does without any server.
const (
	Variable = "REPUTE_REDIS"
	None     = "none"
)

// patience is how long anything may take that the server does: far more than it needs, also on a busy machine.
const patience = time.Minute

// missingError is what a machine lacks for a server.
type missingError struct{ what string }

// Error names what is missing.
func (e missingError) Error() string { return e.what + " is missing" }

const redis = "Redis (Debian package redis-server)"

// URL returns the URL of the shared server. What other tests have there is not to be touched: see [Prefix].
func URL(t testing.TB) string {
	t.Helper()
	switch server := os.Getenv(Variable); server {
	case "":
		s, err := shared()
		need(t, err)
		return s.URL()
	case None:
		need(t, missingError{redis})
		return ""
	default:
		return server
	}
}

// Prefix returns a beginning of keys that nobody else has.
func Prefix() string { return "repute_test_" + strings.ToLower(rand.Text()[:12]) + ":" }

// shared starts the server of this test process, once. Nobody stops it: it goes with the process.
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

// Server is a throw-away server. Its methods are for one goroutine at a time, that of the test; the URL never changes.
type Server struct {
	program string
	dir     string
	keeper  *exec.Cmd      // the shell; nil when the server does not run
	pipe    io.WriteCloser // its input
}

// Start starts a server that only this test uses. It is removed when the test ends; if the test failed, its log is logged.
func Start(t testing.TB) *Server {
	t.Helper()
	s, err := open()
	need(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("Redis's log:\n%s", s.log())
		}
		if err := errors.Join(s.stop(), os.RemoveAll(s.dir)); err != nil {
			t.Error(err)
		}
	})
	return s
}

// URL stays the same whether the server runs or not.
func (s *Server) URL() string { return "unix://" + s.socket() }

// Stop kills the server. All that it had is lost. Nothing happens if it does not run.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
}

// Start starts the server again, and returns when it takes commands. Nothing happens if it runs.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) socket() string { return filepath.Join(s.dir, "redis.sock") }

// log is what the server has written.
func (s *Server) log() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// open makes and starts a server. The error is a missingError if this machine lacks what it takes.
func open() (*Server, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil || os.Getenv(Variable) == None || ownSession() == nil {
		return nil, missingError{redis}
	}
	dir, err := os.MkdirTemp("", "repute-redis-")
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil { // TMPDIR may be relative
		return nil, err
	}
	s := &Server{program: program, dir: dir}
	if err := s.start(); err != nil {
		return nil, errors.Join(err, s.stop(), os.RemoveAll(dir))
	}
	return s, nil
}

// script starts the server and waits for the end of its input. A line before that says that the folder is still needed.
const script = `
"$1" --port 0 --unixsocket "$2/redis.sock" --dir "$2" --logfile "$2/log" --save "" --appendonly no --daemonize no </dev/null &
read -r line
kept=$?
kill -9 $!
wait
[ "$kept" = 0 ] || rm -rf "$2"
`

func (s *Server) start() error {
	if s.keeper != nil {
		return nil
	}
	// The bound of macOS, which is the lower one: 104 bytes with a zero at the end.
	if len(s.socket()) > 103 {
		return fmt.Errorf("%s is too long for the name of a socket: set TMPDIR to a shorter one", s.socket())
	}
	os.Remove(s.socket()) // of an earlier run
	cmd := exec.Command("/bin/sh", "-c", script, "sh", s.program, s.dir)
	cmd.Dir, cmd.SysProcAttr = "/", ownSession()
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.keeper, s.pipe = cmd, pipe
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		err := s.ping()
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("the server takes no commands: %w\n%s", err, s.log())
		}
	}
}

// ping asks the server for a sign of life.
func (s *Server) ping() error {
	conn, err := net.Dial("unix", s.socket())
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if answer != "+PONG\r\n" {
		return fmt.Errorf("it answers %q", answer)
	}
	return nil
}

// stop kills the server and leaves the folder.
func (s *Server) stop() error {
	if s.keeper == nil {
		return nil
	}
	_, err := io.WriteString(s.pipe, "stop\n")
	err = errors.Join(err, s.keeper.Wait())
	s.keeper, s.pipe = nil, nil
	return err
}
