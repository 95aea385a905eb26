package sendertest_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/sender/sendertest"
)

func TestNetworkDialErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := sendertest.NewNetwork()
		addr := netip.MustParseAddrPort("192.0.2.1:25")
		start := time.Now()
		if _, err := n.Dial(t.Context(), netip.Addr{}, addr); !errors.Is(err, syscall.ECONNREFUSED) || time.Since(start) != 0 {
			t.Errorf("nobody listens: %v after %v", err, time.Since(start))
		}

		if _, err := n.Listen(addr); err != nil {
			t.Fatal(err)
		}
		if _, err := n.Listen(addr); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("listening twice: %v", err)
		}
		if _, err := n.Dial(t.Context(), netip.MustParseAddr("2001:db8::1"), addr); !errors.Is(err, syscall.EAFNOSUPPORT) {
			t.Errorf("from IPv6 to IPv4: %v", err)
		}

		n.Blackhole(addr.Addr())
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		_, err := n.Dial(ctx, netip.Addr{}, addr)
		var timeout net.Error
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() ||
			time.Since(start) != 30*time.Second {
			t.Errorf("black hole: %v after %v", err, time.Since(start))
		}
		if _, err := n.Dial(t.Context(), netip.Addr{}, addr); !errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("black hole without a deadline: %v", err)
		}
		n.Heal(addr.Addr())
		c, err := n.Dial(t.Context(), netip.Addr{}, addr)
		if err != nil {
			t.Errorf("healed: %v", err)
		}
		if n.OpenConns() != 1 {
			t.Errorf("%d open connections, want 1", n.OpenConns())
		}

		n.Close()
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("a connection outlived its network")
		}
		if _, err := n.Dial(t.Context(), netip.Addr{}, addr); !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
		if n.OpenConns() != 0 {
			t.Errorf("%d open connections, want 0", n.OpenConns())
		}
	})
}

// TestTCPNetworkSources dials many connections at once from different virtual addresses: each listener learns the right one.
func TestTCPNetworkSources(t *testing.T) {
	n := sendertest.NewTCPNetwork()
	defer n.Close()
	addr := netip.MustParseAddrPort("192.0.2.10:25")
	l, err := n.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprintf(c, "%-40s", c.RemoteAddr())
			c.Close()
		}
	}()
	var group sync.WaitGroup
	for i := range 50 {
		group.Go(func() {
			local := netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})
			c, err := n.Dial(t.Context(), local, addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			buf := make([]byte, 40)
			if _, err := c.Read(buf); err != nil {
				t.Error(err)
			}
			var told netip.AddrPort
			if text, _, ok := bytesCut(buf); ok {
				told, _ = netip.ParseAddrPort(text)
			}
			if told.Addr() != local || told.String() != c.LocalAddr().String() {
				t.Errorf("listener saw %q, want %v", buf, c.LocalAddr())
			}
		})
	}
	group.Wait()
}

func bytesCut(b []byte) (before, after string, ok bool) {
	for i, c := range b {
		if c == ' ' {
			return string(b[:i]), string(b[i:]), true
		}
	}
	return "", "", false
}

// TestTCPNetworkLoopback reaches servers of other programs by their real address, and refuses everything else.
func TestTCPNetworkLoopback(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	n := sendertest.NewTCPNetwork()
	defer n.Close()
	c, err := n.Dial(t.Context(), netip.Addr{}, netip.MustParseAddrPort(l.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if _, err := n.Dial(t.Context(), netip.Addr{}, netip.MustParseAddrPort("192.0.2.99:25")); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
}
