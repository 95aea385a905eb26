package sendertest_test

import (
	"bytes"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/reputemail/repute/sender/sendertest"
)

// body is a message of about size octets.
func body(size int) []byte {
	var b bytes.Buffer
	b.WriteString("From: <news@example.com>\r\nTo: <user@example.org>\r\nSubject: Test\r\nDate: Mon, 03 Jan 2000 10:00:00 +0000\r\n" +
		"Message-ID: <1@example.com>\r\n\r\n")
	for b.Len() < size {
		b.WriteString(strings.Repeat("x", 70) + "\r\n")
	}
	return b.Bytes()
}

// dialSMTP connects go-smtp's client to a server.
func dialSMTP(t testing.TB, n *sendertest.Network, addr netip.AddrPort) *smtp.Client {
	t.Helper()
	conn, err := n.Dial(t.Context(), netip.Addr{}, addr)
	if err != nil {
		t.Fatal(err)
	}
	c := smtp.NewClient(conn)
	if err := c.Hello("mta.example.com"); err != nil {
		t.Fatal(err)
	}
	return c
}

// transact sends one message with go-smtp's client.
func transact(c *smtp.Client, from, to string, data []byte) error {
	if err := c.Mail(from, nil); err != nil {
		return err
	}
	if err := c.Rcpt(to, nil); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(data); err != nil {
		return err
	}
	return w.Close()
}

func benchmarkServer(b *testing.B, n *sendertest.Network, size int) {
	defer n.Close()
	inbox, err := sendertest.NewInbox(sendertest.InboxConfig{Keep: sendertest.KeepCount})
	if err != nil {
		b.Fatal(err)
	}
	s, err := sendertest.StartServer(n, sendertest.ServerConfig{Inbox: inbox})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	data := body(size)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		c := dialSMTP(b, n, s.Addr())
		defer c.Close()
		for pb.Next() {
			if err := transact(c, "news@example.com", "user@example.org", data); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	if inbox.Len() != b.N {
		b.Fatalf("%d messages arrived, want %d", inbox.Len(), b.N)
	}
}

func BenchmarkServerMemory(b *testing.B)    { benchmarkServer(b, sendertest.NewNetwork(), 500) }
func BenchmarkServerMemory10K(b *testing.B) { benchmarkServer(b, sendertest.NewNetwork(), 10<<10) }
func BenchmarkServerTCP(b *testing.B)       { benchmarkServer(b, sendertest.NewTCPNetwork(), 500) }
func BenchmarkServerTCP10K(b *testing.B)    { benchmarkServer(b, sendertest.NewTCPNetwork(), 10<<10) }

// BenchmarkConn measures one octet to the far end and back.
func BenchmarkConn(b *testing.B) {
	n := sendertest.NewNetwork()
	defer n.Close()
	l, err := n.Listen(netip.MustParseAddrPort("192.0.2.1:7"))
	if err != nil {
		b.Fatal(err)
	}
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		echo(c)
	}()
	c, err := n.Dial(b.Context(), netip.Addr{}, netip.MustParseAddrPort("192.0.2.1:7"))
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(buf); err != nil {
			b.Fatal(err)
		}
		if _, err := c.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
}

func echo(c net.Conn) {
	defer c.Close()
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}
