package sendertest_test

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/reputemail/repute/sender/sendertest"
)

// TestDelay: nothing comes earlier than it may, and all of it comes. How much later than that is the machine's business.
func TestDelay(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				conn.Write([]byte("!"))
				io.Copy(conn, conn)
				conn.Close()
			}()
		}
	}()
	const trip = 20 * time.Millisecond
	d, err := sendertest.StartDelay(sendertest.DelayConfig{Target: l.Addr().String(), RoundTrip: trip})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	began := time.Now()
	conn, err := net.Dial("tcp", d.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	first := make([]byte, 1)
	if _, err := io.ReadFull(conn, first); err != nil || time.Since(began) < 2*trip {
		t.Errorf("greeted after %v: %v", time.Since(began), err)
	}
	began = time.Now()
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // more than sockets hold
	go func() {
		conn.Write(sent)
		conn.(*net.TCPConn).CloseWrite()
	}()
	if _, err := io.ReadFull(conn, first); err != nil || time.Since(began) < trip {
		t.Errorf("answered after %v: %v", time.Since(began), err)
	}
	rest, err := io.ReadAll(conn)
	if err != nil || !bytes.Equal(append(first, rest...), sent) {
		t.Errorf("got %d octets of %d: %v", 1+len(rest), len(sent), err)
	}
}

// TestDelayCloses: connections end with the proxy, and with a server that is not there.
func TestDelayCloses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d, err := sendertest.StartDelay(sendertest.DelayConfig{Target: l.Addr().String(), RoundTrip: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	read := func(conn net.Conn, err error) error {
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Read(make([]byte, 1))
		return err
	}
	open, err := net.Dial("tcp", d.Addr())
	if err != nil {
		t.Fatal(err)
	}
	if conn, err := l.Accept(); err != nil {
		t.Fatal(err)
	} else {
		defer conn.Close()
	}
	l.Close()
	if err := read(net.Dial("tcp", d.Addr())); err == nil {
		t.Error("there is a server")
	}
	d.Close()
	if err := read(open, nil); err == nil {
		t.Error("the connection is open")
	}
	for _, target := range []string{"", "192.0.2.1:25"} {
		if _, err := sendertest.StartDelay(sendertest.DelayConfig{Target: target}); err == nil {
			t.Errorf("%q: no error", target)
		}
	}
}
