package sendertest_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"
	"pgregory.net/rapid"

	"github.com/reputemail/repute/sender/sendertest"
)

var echoAddr = netip.MustParseAddrPort("192.0.2.7:7")

// connect returns both ends of a connection over n.
func connect(t testing.TB, n *sendertest.Network) (client, server net.Conn) {
	t.Helper()
	l, err := n.Listen(echoAddr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	client, err = n.Dial(t.Context(), netip.MustParseAddr("198.51.100.9"), echoAddr)
	if err != nil {
		t.Fatal(err)
	}
	return client, <-accepted
}

func TestConn(t *testing.T) {
	for name, open := range map[string]func() *sendertest.Network{
		"memory": sendertest.NewNetwork,
		"memory with delay": func() *sendertest.Network {
			n := sendertest.NewNetwork()
			n.SetDelay(100 * time.Microsecond)
			return n
		},
		"tcp": sendertest.NewTCPNetwork,
		"tcp with delay": func() *sendertest.Network {
			n := sendertest.NewTCPNetwork()
			n.SetDelay(100 * time.Microsecond)
			return n
		},
	} {
		t.Run(name, func(t *testing.T) {
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				n := open()
				c1, c2 = connect(t, n)
				return c1, c2, func() { n.Close() }, nil
			})
		})
	}
}

// TestConnTable is what the two ends see of each other, in a bubble.
func TestConnTable(t *testing.T) {
	tests := map[string]func(t *testing.T, a, b net.Conn){
		"a write needs no reader": func(t *testing.T, a, b net.Conn) {
			if n, err := a.Write(make([]byte, 200<<10)); n != 200<<10 || err != nil {
				t.Fatal(n, err)
			}
		},
		"a full buffer blocks until the deadline": func(t *testing.T, a, b net.Conn) {
			start := time.Now()
			a.SetWriteDeadline(start.Add(time.Minute))
			n, err := a.Write(make([]byte, 300<<10))
			if n != 256<<10 || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Minute {
				t.Fatal(n, err, time.Since(start))
			}
		},
		"a read waits until its deadline, which may be moved": func(t *testing.T, a, b net.Conn) {
			start := time.Now()
			a.SetReadDeadline(start.Add(time.Hour))
			time.AfterFunc(time.Minute, func() { a.SetReadDeadline(start.Add(2 * time.Minute)) })
			_, err := a.Read(make([]byte, 1))
			if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 2*time.Minute {
				t.Fatal(err, time.Since(start))
			}
			a.SetReadDeadline(start.Add(time.Hour))
			if _, err = a.Read(make([]byte, 1)); time.Since(start) != time.Hour {
				t.Fatal(err, time.Since(start))
			}
			var timeout net.Error
			if !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Fatal(err)
			}
		},
		"a deadline that was cleared does not end a read": func(t *testing.T, a, b net.Conn) {
			a.SetReadDeadline(time.Now().Add(time.Minute))
			time.AfterFunc(time.Second, func() { a.SetReadDeadline(time.Time{}) })
			time.AfterFunc(time.Hour, func() { b.Write([]byte("x")) })
			if n, err := a.Read(make([]byte, 1)); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		},
		"what was written before a close is read": func(t *testing.T, a, b net.Conn) {
			a.Write([]byte("bye"))
			a.Close()
			if got, err := io.ReadAll(b); string(got) != "bye" || err != nil {
				t.Fatal(got, err)
			}
			if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Fatal(err)
			}
			if _, err := a.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
				t.Fatal(err)
			}
		},
		"the second write to a closed peer fails": func(t *testing.T, a, b net.Conn) {
			b.Close()
			if _, err := a.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			if _, err := a.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
				t.Fatal(err)
			}
		},
		"half closed": func(t *testing.T, a, b net.Conn) {
			a.(interface{ CloseWrite() error }).CloseWrite()
			if _, err := b.Read(make([]byte, 1)); err != io.EOF {
				t.Fatal(err)
			}
			b.Write([]byte("still here"))
			b.Close()
			if got, err := io.ReadAll(a); string(got) != "still here" || err != nil {
				t.Fatal(got, err)
			}
		},
		"a reset leaves what had arrived": func(t *testing.T, a, b net.Conn) {
			a.Write([]byte("here"))
			b.Write([]byte("lost"))
			sendertest.Reset(a)
			got := make([]byte, 9)
			if n, err := b.Read(got); string(got[:n]) != "here" || err != nil {
				t.Fatal(n, err)
			}
			if n, err := b.Read(make([]byte, 9)); n != 0 || !errors.Is(err, syscall.ECONNRESET) {
				t.Fatal(n, err)
			}
			if _, err := b.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
				t.Fatal(err)
			}
			if _, err := a.Read(make([]byte, 9)); !errors.Is(err, net.ErrClosed) {
				t.Fatal(err)
			}
		},
		"a close wakes the own and the other side": func(t *testing.T, a, b net.Conn) {
			time.AfterFunc(time.Second, func() { a.Close() })
			done := make(chan error)
			go func() {
				_, err := b.Read(make([]byte, 1))
				done <- err
			}()
			if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Fatal(err)
			}
			if err := <-done; err != io.EOF {
				t.Fatal(err)
			}
		},
		"addresses": func(t *testing.T, a, b net.Conn) {
			if a.RemoteAddr().String() != "192.0.2.7:7" || b.LocalAddr().String() != a.RemoteAddr().String() ||
				b.RemoteAddr().String() != a.LocalAddr().String() {
				t.Fatal(a.LocalAddr(), a.RemoteAddr(), b.LocalAddr(), b.RemoteAddr())
			}
		},
	}
	for name, run := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := sendertest.NewNetwork()
				a, b := connect(t, n)
				run(t, a, b)
				n.Close()
				if open := n.OpenConns(); open != 0 {
					t.Errorf("%d connections open", open)
				}
			})
		})
	}
}

func TestConnDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := sendertest.NewNetwork()
		defer n.Close()
		n.SetDelay(25 * time.Millisecond)
		start := time.Now()
		since := func(want time.Duration) {
			t.Helper()
			if got := time.Since(start); got != want {
				t.Fatalf("after %v, want %v", got, want)
			}
		}
		a, b := connect(t, n)
		since(50 * time.Millisecond)
		a.Write([]byte("one"))
		time.Sleep(10 * time.Millisecond)
		a.Write([]byte("two"))
		a.Close()
		buf := make([]byte, 9)
		if k, err := b.Read(buf); string(buf[:k]) != "one" || err != nil {
			t.Fatal(k, err)
		}
		since(75 * time.Millisecond)
		if k, err := b.Read(buf); string(buf[:k]) != "two" || err != nil {
			t.Fatal(k, err)
		}
		since(85 * time.Millisecond)
		if k, err := b.Read(buf); k != 0 || err != io.EOF {
			t.Fatal(k, err)
		}
		since(85 * time.Millisecond)
	})
}

// TestConnOrder writes pieces of all sizes and reads in pieces of all sizes: the octets stay the same.
func TestConnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := sendertest.NewNetwork()
		defer n.Close()
		if rapid.Bool().Draw(t, "delayed") {
			n.SetDelay(time.Microsecond)
		}
		l, err := n.Listen(echoAddr)
		if err != nil {
			t.Fatal(err)
		}
		a, err := n.Dial(t.Context(), netip.Addr{}, echoAddr)
		if err != nil {
			t.Fatal(err)
		}
		b, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		var want []byte
		pieces := rapid.SliceOf(rapid.IntRange(0, 100_000)).Draw(t, "pieces")
		for i, size := range pieces {
			want = append(want, bytes.Repeat([]byte{byte(i), byte(i + 1), byte(i >> 2)}, size/3)...)
		}
		go func() {
			rest := want
			for _, size := range pieces {
				k, _ := a.Write(rest[:size/3*3])
				rest = rest[k:]
			}
			a.Close()
		}()
		buf := make([]byte, rapid.IntRange(1, 50_000).Draw(t, "read size"))
		var got []byte
		for {
			k, err := b.Read(buf)
			got = append(got, buf[:k]...)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("read %d octets, wrote %d, or others", len(got), len(want))
		}
	})
}

// TestConnTLS does a handshake and an orderly end in a bubble: both sides send close_notify, and neither waits for the other
// to read it.
func TestConnTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, err := sendertest.NewCA()
		if err != nil {
			t.Fatal(err)
		}
		cert, err := ca.Certificate("mx.example.com")
		if err != nil {
			t.Fatal(err)
		}
		n := sendertest.NewNetwork()
		defer n.Close()
		a, b := connect(t, n)
		server := tls.Server(b, &tls.Config{Certificates: []tls.Certificate{cert}})
		client := tls.Client(a, &tls.Config{RootCAs: ca.Pool(), ServerName: "mx.example.com"})
		go func() {
			io.Copy(server, server)
			server.Close()
		}()
		if _, err := client.Write([]byte("QUIT")); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4)
		if _, err := io.ReadFull(client, buf); err != nil {
			t.Fatal(err)
		}
		if err := client.Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if open := n.OpenConns(); open != 0 {
			t.Errorf("%d connections open", open)
		}
	})
}
