package outlet_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/reputemail/repute/internal/interop"
	"github.com/reputemail/repute/sender/outlet"
)

// haproxyConfig takes source and destination from the header: what claims another source is turned away.
const haproxyConfig = `
defaults
	mode tcp
	timeout connect 5s
	timeout client 10s
	timeout server 10s
frontend in
	bind fd@%d accept-proxy
	tcp-request content reject unless { src 127.0.0.9 }
	default_backend out
backend out
	server any 0.0.0.0
`

// HAProxy reads our header, and connects to where it says.
func TestInteropHAProxy(t *testing.T) {
	path, err := exec.LookPath("haproxy")
	if err != nil {
		path = "/usr/sbin/haproxy"
		_, err = os.Stat(path)
	}
	interop.Need(t, "HAProxy (Debian package haproxy)", err == nil)

	server := listen(t)
	go func() {
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, "220 hello\r\n")
			c.Close()
		}
	}()
	// The socket is ours, so that its port is known and open before the program runs.
	front := listen(t)
	socket, err := front.File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, fmt.Appendf(nil, haproxyConfig[1:], 3), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "-db", "-f", file) // in the foreground: one process, which is killed
	cmd.ExtraFiles = []*os.File{socket}
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()

	o, err := outlet.New(outlet.Config{Protocol: outlet.ProxyV2, Addr: front.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ local, want string }{
		{"127.0.0.9", "220 hello\r\n"},
		{"127.0.0.8", ""},
	} {
		conn, err := o.Dial(ctx, netip.MustParseAddr(c.local), server.Addr().(*net.TCPAddr).AddrPort())
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		got, err := io.ReadAll(conn)
		conn.Close()
		if string(got) != c.want || c.want != "" && err != nil {
			t.Errorf("from %s: %q, %v", c.local, got, err)
		}
	}
}

// listen listens on loopback until the test ends.
func listen(t *testing.T) *net.TCPListener {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}
