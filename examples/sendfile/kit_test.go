package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/reputemail/repute/sender/sendertest"
)

// buildDir holds the built program while the tests run.
var buildDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "sendfile")
	if err != nil {
		panic(err)
	}
	buildDir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// build builds the program once, with the race detector where the tests have it.
var build = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(buildDir, "sendfile.exe")
	args := []string{"build", "-o", binary}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "-race" && s.Value == "true" {
				args = append(args, "-race")
			}
		}
	}
	if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		return "", errors.Join(err, errors.New(string(out)))
	}
	return binary, nil
})

// patience bounds what a test waits for: far longer than it takes, and it is never asserted.
const patience = 2 * time.Minute

// process is a run of the built program.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr screen
}

// start starts the program with these variables in its environment. It ends with the test at the latest.
func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	p := &process{cmd: exec.CommandContext(ctx, binary, args...)}
	p.cmd.Env = append(os.Environ(), "GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=50") // not a second for each run
	p.cmd.Env = append(p.cmd.Env, env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// exit waits for the end and returns the exit status.
func (p *process) exit(t *testing.T) int {
	t.Helper()
	err := p.cmd.Wait()
	var status *exec.ExitError
	if err != nil && !errors.As(err, &status) || p.cmd.ProcessState.ExitCode() < 0 {
		t.Fatalf("%v\n%s", err, p.stderr.String())
	}
	return p.cmd.ProcessState.ExitCode()
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// newZone serves DNS on the loopback interface: the domains have their mail at mx.example.org, which is this machine.
func newZone(t *testing.T, domains ...string) *sendertest.DNS {
	t.Helper()
	network := sendertest.NewTCPNetwork()
	t.Cleanup(func() { network.Close() })
	dns, err := sendertest.StartDNS(network, netip.AddrPort{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dns.Close() })
	for _, domain := range domains {
		if err := dns.AddMX(domain, 10, "mx.example.org"); err != nil {
			t.Fatal(err)
		}
	}
	if err := dns.AddA("mx.example.org", netip.MustParseAddr("127.0.0.1")); err != nil {
		t.Fatal(err)
	}
	return dns
}

// newServer starts a server on the loopback interface. It returns its port, too.
func newServer(t *testing.T, config sendertest.ServerConfig) (*sendertest.Server, string) {
	t.Helper()
	network := sendertest.NewTCPNetwork()
	t.Cleanup(func() { network.Close() })
	config.Hostname = "mx.example.org"
	server, err := sendertest.StartServer(network, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server, portOf(t, server.RealAddr())
}

func portOf(t *testing.T, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// freePort is a port of 127.0.0.1 that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// crlf reads a file as it is to arrive.
func crlf(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.ReplaceAll(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
}
