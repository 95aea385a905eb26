package transport

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender/sendertest"
)

// The verbs that have no stage of their own.
const (
	atReset bounce.Stage = "rset"
	atQuit  bounce.Stage = "quit"
	// atContent comes after the 354, before the content is read.
	atContent bounce.Stage = "content"
	// atChunk is the reply to a chunk that is not the last.
	atChunk bounce.Stage = "chunk"
	// atHandshake comes after the 220 of STARTTLS, before the handshake.
	atHandshake bounce.Stage = "handshake"
)

// fakeHost is an SMTP host that a test controls to the octet, which sendertest.Server on purpose is not.
type fakeHost struct {
	// ext are the EHLO lines; STARTTLS is added where tls is set and not used yet.
	ext []string
	tls *tls.Config
	// implicit starts with the handshake.
	implicit bool
	// addr is where it listens; hostAddr when zero.
	addr netip.AddrPort
	// on may handle a stage itself: it returns true when it did.
	on func(c *fakeConn, stage bounce.Stage, line string) bool

	net *sendertest.Network
	l   net.Listener

	mu    sync.Mutex
	conns [][]string // the commands of each connection
	inbox []string   // the content of each accepted message
}

// fakeConn is one connection of a fakeHost.
type fakeConn struct {
	net.Conn
	br     *bufio.Reader
	host   *fakeHost
	number int
	secure bool
	code   string // of the last reply
	before string // is said with the next reply, before it
	mail   bool   // MAIL was accepted
	rcpts  int    // how many recipients were
	data   bytes.Buffer
}

var hostAddr = netip.MustParseAddrPort("192.0.2.1:25")

// start lets a host listen at hostAddr of a network in memory, or of n.
func (h *fakeHost) start(t testing.TB, n *sendertest.Network) {
	t.Helper()
	if n == nil {
		n = sendertest.NewNetwork()
	}
	h.net = n
	if !h.addr.IsValid() {
		h.addr = hostAddr
	}
	var err error
	if h.l, err = n.Listen(h.addr); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := h.l.Accept()
			if err != nil {
				return
			}
			h.mu.Lock()
			h.conns = append(h.conns, nil)
			c := &fakeConn{Conn: conn, br: bufio.NewReader(conn), host: h, number: len(h.conns) - 1}
			h.mu.Unlock()
			go c.serve()
		}
	}()
	t.Cleanup(func() { n.Close() })
}

// commands are those of a connection, joined by commas.
func (h *fakeHost) commands(number int) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if number >= len(h.conns) {
		return ""
	}
	return strings.Join(h.conns[number], ",")
}

// dialled is how many connections there were.
func (h *fakeHost) dialled() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.conns)
}

// messages are the accepted contents.
func (h *fakeHost) messages() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.inbox...)
}

func (c *fakeConn) say(lines string) {
	last := lines[strings.LastIndexByte(lines, '\n')+1:]
	c.code = last[:min(len(last), 3)]
	c.Write([]byte(c.before + lines + "\r\n"))
	c.before = ""
}

func (c *fakeConn) positive() bool { return strings.HasPrefix(c.code, "2") }

func (c *fakeConn) reset() {
	c.mail, c.rcpts = false, 0
	c.data.Reset()
}

// hang reads until the other side goes away.
func (c *fakeConn) hang() {
	for {
		if _, err := c.br.ReadByte(); err != nil {
			return
		}
	}
}

func (c *fakeConn) handled(stage bounce.Stage, line string) bool {
	return c.host.on != nil && c.host.on(c, stage, line)
}

func (c *fakeConn) handshake() bool {
	conn := tls.Server(c.Conn, c.host.tls)
	if conn.Handshake() != nil {
		return false
	}
	c.Conn, c.br, c.secure = conn, bufio.NewReader(conn), true
	return true
}

func (c *fakeConn) serve() {
	defer func() { c.Conn.Close() }()
	if c.host.implicit && !c.handshake() {
		return
	}
	if !c.handled(bounce.StageConnect, "") {
		c.say("220 mx.example.com ESMTP")
	}
	for {
		line, err := c.br.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		c.host.mu.Lock()
		c.host.conns[c.number] = append(c.host.conns[c.number], line)
		c.host.mu.Unlock()
		verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
		switch verb {
		case "EHLO", "HELO":
			if c.handled(bounce.StageEHLO, line) {
				continue
			}
			reply := "250-mx.example.com at your service"
			for _, e := range c.host.ext {
				reply += "\r\n250-" + e
			}
			if c.host.tls != nil && !c.secure {
				reply += "\r\n250-STARTTLS"
			}
			c.say(reply + "\r\n250 HELP")
		case "STARTTLS":
			if c.handled(bounce.StageTLS, line) {
				continue
			}
			c.say("220 2.0.0 ready")
			if c.handled(atHandshake, line) {
				continue
			}
			if !c.handshake() {
				return
			}
		case "MAIL":
			c.answer(bounce.StageMail, line, "250 2.1.0 ok")
			c.mail = c.positive()
		case "RCPT":
			if !c.mail {
				c.say("503 5.5.1 MAIL first")
				continue
			}
			if c.answer(bounce.StageRcpt, line, "250 2.1.5 ok"); c.positive() {
				c.rcpts++
			}
		case "RSET":
			if c.answer(atReset, line, "250 2.0.0 ok"); c.positive() {
				c.reset()
			}
		case "QUIT":
			c.answer(atQuit, line, "221 2.0.0 bye")
			return
		case "DATA":
			if c.rcpts == 0 {
				c.say("503 5.5.1 no valid recipients")
				continue
			}
			if c.handled(bounce.StageData, line) {
				continue
			}
			c.say("354 go on")
			if c.handled(atContent, line) {
				continue
			}
			for !bytes.HasSuffix(c.data.Bytes(), []byte("\r\n.\r\n")) && !(c.data.Len() == 3 && c.data.String() == ".\r\n") {
				b, err := c.br.ReadBytes('\n')
				if err != nil {
					return
				}
				c.data.Write(b)
			}
			c.take(line)
		case "BDAT":
			if c.handled(atContent, line) {
				continue
			}
			size, last := 0, ""
			fmt.Sscan(line[len("BDAT "):], &size, &last)
			if _, err := io.CopyN(&c.data, c.br, int64(size)); err != nil {
				return
			}
			switch {
			case c.rcpts == 0:
				c.say("503 5.5.1 no valid recipients")
			case last == "":
				c.answer(atChunk, line, "250 2.0.0 more")
			default:
				c.take(line)
			}
		default:
			// AUTH and what it asks for.
			c.answer(bounce.StageAuth, line, "500 5.5.1 unknown")
		}
	}
}

// take is the end of the content.
func (c *fakeConn) take(line string) {
	defer c.reset()
	if c.handled(bounce.StageDot, line) {
		return
	}
	c.host.mu.Lock()
	c.host.inbox = append(c.host.inbox, c.data.String())
	c.host.mu.Unlock()
	c.say("250-2.0.0 accepted\r\n250 2.0.0 queued as 4F1A")
}

func (c *fakeConn) answer(stage bounce.Stage, line, reply string) {
	if !c.handled(stage, line) {
		c.say(reply)
	}
}

// newTransport is a Transport over a network.
func newTransport(t testing.TB, n *sendertest.Network, config Config) *Transport {
	t.Helper()
	config.Dial = n.Dial
	tr, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// modes are the ways to send a message, by what the host offers.
var modes = []struct {
	name string
	ext  []string
}{
	{"plain", nil},
	{"pipelined", []string{"PIPELINING"}},
	{"chunked", []string{"CHUNKING"}},
	{"joined", []string{"PIPELINING", "CHUNKING"}},
}

func target() Target {
	return Target{
		Host: "mx.example.com", Addr: hostAddr, LocalAddr: netip.MustParseAddr("198.51.100.7"), Hostname: "mta1.example.org",
	}
}

func envelope(to ...string) *Envelope {
	if len(to) == 0 {
		to = []string{"b@example.com"}
	}
	return &Envelope{
		From: "a@example.org", To: to,
		Header: []byte("DKIM-Signature: v=1\r\n"),
		Data:   []byte("From: a@example.org\r\nSubject: hello\r\n\r\n.dot\r\nbye\r\n"),
	}
}

// dial fails the test when there is no session.
func dial(t testing.TB, tr *Transport, to Target) *Session {
	t.Helper()
	s, err := tr.Dial(context.Background(), to)
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	return s
}

// mustSend fails the test when not all are accepted.
func mustSend(t testing.TB, s *Session, env *Envelope) []Result {
	t.Helper()
	results, err := s.Send(context.Background(), env)
	if err != nil {
		t.Fatalf("Send: %v", err)
	}
	for i, r := range results {
		if !r.Accepted {
			t.Fatalf("Send: %s: %v", env.To[i], r.Reply)
		}
	}
	return results
}

// asError is err as an *Error.
func asError(t testing.TB, err error) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %T (%v), not *Error", err, err)
	}
	return e
}

// certificate makes a certificate for a name, signed by itself or by ca. It is valid in the time of a synctest bubble, too.
func certificate(t testing.TB, name string, ca *tls.Certificate) tls.Certificate {
	t.Helper()
	return certificateUntil(t, name, ca, time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC))
}

func certificateUntil(t testing.TB, name string, ca *tls.Certificate, until time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: until,
		IsCA: ca == nil, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	parent, signer := cert, any(key)
	if ca != nil {
		parent, signer = ca.Leaf, ca.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// trust is a client's configuration that trusts ca.
func trust(ca tls.Certificate) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(ca.Leaf)
	return &tls.Config{RootCAs: roots}
}

func serverTLS(cert tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
}
