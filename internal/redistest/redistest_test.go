package redistest

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/reputemail/repute/internal/interop"
)

// command sends a command and returns the first line of the answer.
func command(t *testing.T, url, text string) string {
	t.Helper()
	conn, err := net.Dial("unix", strings.TrimPrefix(url, "unix://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s\r\n", text)
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(answer)
}

func TestURL(t *testing.T) {
	t.Setenv(Variable, "")
	a, b := URL(t), URL(t)
	if a != b {
		t.Errorf("two shared servers: %s and %s", a, b)
	}
	if got := command(t, a, "PING"); got != "+PONG" {
		t.Errorf("PING: %s", got)
	}
	t.Setenv(Variable, "redis://redis.example/3")
	if got := URL(t); got != "redis://redis.example/3" {
		t.Errorf("with the variable: %s", got)
	}
	if a, b := Prefix(), Prefix(); a == b {
		t.Errorf("two times %s", a)
	}
}

// TestStart: a server can be stopped and started, forgets, and is gone with its test.
func TestStart(t *testing.T) {
	t.Setenv(Variable, "")
	var dir string
	t.Run("", func(t *testing.T) {
		s := Start(t)
		dir = s.dir
		command(t, s.URL(), "SET a 1")
		s.Start(t)
		if got := command(t, s.URL(), "EXISTS a"); got != ":1" {
			t.Errorf("EXISTS: %s", got)
		}
		s.Stop(t)
		s.Stop(t)
		if _, err := net.Dial("unix", s.socket()); err == nil {
			t.Error("a stopped server takes connections")
		}
		s.Start(t)
		if got := command(t, s.URL(), "EXISTS a"); got != ":0" {
			t.Errorf("EXISTS after a restart: %s", got)
		}
	})
	if dir == "" {
		t.Fatal("the test had no server")
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s outlived its test: %v", dir, err)
	}
}

// TestDiesWithTheProcess: when the test process is killed, server and folder go.
func TestDiesWithTheProcess(t *testing.T) {
	const child = "REPUTE_REDISTEST_CHILD"
	if os.Getenv(child) != "" {
		fmt.Println(Start(t).dir)
		select {}
	}
	t.Setenv(Variable, "")
	URL(t) // or skip
	cmd := exec.Command(os.Args[0], "-test.run=^TestDiesWithTheProcess$")
	cmd.Env = append(os.Environ(), child+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	cmd.Process.Kill()
	cmd.Wait()
	dir := strings.TrimSpace(line)
	if err != nil || dir == "" {
		t.Fatalf("the process said %q, %v", line, err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(dir); os.IsNotExist(err) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s is still there", dir)
		}
	}
}

// recorder is a test that notes how it was ended.
type recorder struct {
	testing.TB
	did string
}

func (r *recorder) Helper() {}

func (r *recorder) Fatalf(f string, args ...any) { r.end("fail", fmt.Sprintf(f, args...)) }

func (r *recorder) Skipf(f string, args ...any) { r.end("skip", fmt.Sprintf(f, args...)) }

func (r *recorder) end(how, why string) {
	r.did = how + ": " + why
	runtime.Goexit()
}

// TestMissing: on a machine without Redis tests are skipped, or fail where that is asked for, and say what is to be installed.
func TestMissing(t *testing.T) {
	t.Setenv(Variable, None)
	for name, f := range map[string]func(testing.TB){
		"URL":   func(t testing.TB) { URL(t) },
		"Start": func(t testing.TB) { Start(t) },
	} {
		for env, want := range map[string]string{"": "skip: ", interop.Require: "fail: "} {
			t.Setenv(interop.Variable, env)
			r := &recorder{TB: t}
			done := make(chan struct{})
			go func() {
				defer close(done)
				f(r)
			}()
			<-done
			if !strings.HasPrefix(r.did, want) || !strings.Contains(r.did, "Debian package redis-server") {
				t.Errorf("%s with %s=%q: %q", name, interop.Variable, env, r.did)
			}
		}
	}
}
