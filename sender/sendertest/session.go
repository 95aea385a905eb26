package sendertest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/reputemail/repute/bounce"
)

// maxCommand is the longest command line, with its line end: more than the 512 octets of RFC 5321 section 4.5.3.1.4, since
// AUTH needs up to 12288 (RFC 4954 section 4).
const maxCommand = 16 << 10

// maxLine is the longest line of content, with its line end (RFC 5321 section 4.5.3.1.6).
const maxLine = 1000

// TLSHook may replace the TLS configuration of a session.
type TLSHook func(s *Session, config *tls.Config) *tls.Config

func (a TLSHook) then(b TLSHook) TLSHook {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	return func(s *Session, config *tls.Config) *tls.Config { return b(s, a(s, config)) }
}

// Session is one connection to a Server, as hooks see it. Its methods are for the hooks of that session only.
type Session struct {
	server  *Server
	script  *Script
	raw     net.Conn // the connection of the network
	conn    net.Conn // raw, or TLS over it
	id      uint64
	source  netip.Addr
	reader  *bufio.Reader
	writer  *bufio.Writer
	out     []byte // scratch for replies
	crowded bool   // over MaxConns

	hostname string
	extended bool // said EHLO, not HELO
	tls      *tls.ConnectionState
	user     string
	named    int // recipients of all transactions, for a judge
	messages int
	errors   int // violations since the last accepted message

	begun  bool // MAIL was accepted
	denied bool // MAIL was refused, and commands of the same pipeline may follow
	from   string
	to     []string
	params map[string]string
	data   []byte
	chunks bool    // the content comes by BDAT, and some of it has come
	spoilt *Answer // why the chunks are refused

	lastSize int64 // of the last content: how much room the next one gets
}

// errQuit ends a session that went well; errGone one whose peer is gone.
var (
	errQuit = errors.New("sendertest: session over")
	errGone = errors.New("sendertest: connection lost")
)

func newSession(server *Server, conn net.Conn, id uint64) *Session {
	return &Session{
		server: server, script: &server.config.Script, raw: conn, conn: conn, id: id,
		source: addrPort(conn.RemoteAddr()).Addr(),
		reader: bufio.NewReaderSize(conn, maxCommand),
		writer: bufio.NewWriter(conn),
	}
}

// ID is the number of the session, unique within its server, in the order of arrival from 1.
func (s *Session) ID() uint64 { return s.id }

// Server is the server of the session.
func (s *Session) Server() *Server { return s.server }

// Source is the client's address.
func (s *Session) Source() netip.Addr { return s.source }

// Hostname is what the client called itself in EHLO or HELO, or empty before that.
func (s *Session) Hostname() string { return s.hostname }

// TLS is the state of the connection's TLS, or nil for clear text.
func (s *Session) TLS() *tls.ConnectionState { return s.tls }

// User is who authenticated, or empty.
func (s *Session) User() string { return s.user }

// Messages is how many messages were accepted in this session.
func (s *Session) Messages() int { return s.messages }

// From is the reverse-path of the transaction. In OnMail it is not set yet.
func (s *Session) From() string { return s.from }

// To are the recipients accepted so far in the transaction. The slice must not be changed or kept.
func (s *Session) To() []string { return s.to }

// Data is the content, in OnDot. It must not be changed.
func (s *Session) Data() []byte { return s.data }

// Received is the message of the transaction as it would go to the Inbox.
func (s *Session) Received() Received {
	return Received{
		Session: s.id, Server: s.server.config.Hostname, Source: s.source, Hostname: s.hostname, User: s.user, TLS: s.tls,
		From: s.from, To: s.to, Params: s.params, Data: s.data, Time: time.Now(),
	}
}

// Sleep waits for d. It returns false at once when the server is being closed.
func (s *Session) Sleep(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.server.done:
		return false
	}
}

// Write sends octets as they are, after what was said before. It fails once the peer or the server has closed.
func (s *Session) Write(p []byte) (int, error) {
	s.raw.SetWriteDeadline(time.Now().Add(s.server.config.Timeout))
	n, err := s.writer.Write(p)
	if err == nil {
		err = s.writer.Flush()
	}
	return n, err
}

// Drain throws away what the peer sends until it closes the connection or is silent for the server's Timeout.
func (s *Session) Drain() {
	s.writer.Flush()
	for {
		s.raw.SetReadDeadline(time.Now().Add(s.server.config.Timeout))
		if _, err := s.reader.ReadByte(); err != nil {
			return
		}
		s.reader.Discard(s.reader.Buffered())
	}
}

// serve is the life of the session.
func (s *Session) serve() {
	defer func() {
		s.server.release(s) // before the client can see it
		s.raw.Close()
	}()
	if s.script.OnClose != nil {
		defer s.script.OnClose(s)
	}
	if s.server.config.ImplicitTLS && s.startTLS() != nil {
		return
	}
	if s.greet() != nil {
		return
	}
	for {
		line, err := s.readCommand()
		if err == nil {
			err = s.handle(line)
		}
		if err != nil {
			break
		}
	}
	if s.conn != s.raw {
		// close_notify, and no waiting for the peer's.
		s.raw.SetWriteDeadline(time.Now().Add(time.Second))
		s.conn.Close()
	}
}

// greet sends the greeting (RFC 5321 section 3.1).
func (s *Session) greet() error {
	standard := reply(220, bounce.Status{}, s.server.config.Hostname+" ESMTP")
	if s.crowded {
		standard = reply(421, status(4, 7, 0), "Too many connections from you, try again later")
	}
	a := s.decide(s.script.OnConnect, s.source.String(), standard)
	if !a.Reply.OK() && a.Reply.Code != 0 {
		a.Close = true
	}
	if err := s.say(a); err != nil {
		return err
	}
	return s.writer.Flush()
}

// readCommand reads one command line, without its line end. Lines that no command may be are answered here.
func (s *Session) readCommand() (string, error) {
	for {
		if s.reader.Buffered() == 0 {
			if err := s.writer.Flush(); err != nil {
				return "", err
			}
		}
		line, err := s.readLine()
		switch {
		case err == nil && bytes.IndexByte(line, 0) < 0 && bytes.IndexByte(line, '\r') < 0:
			return string(line), nil
		case err == nil:
			err = s.violation(500, status(5, 5, 2), "Control character in command")
		case errors.Is(err, errBareLF):
			// RFC 5321 section 2.3.8: lines end with CRLF and with nothing else.
			err = s.violation(500, status(5, 5, 2), "Command must end with <CR><LF>")
		case errors.Is(err, bufio.ErrBufferFull):
			if err = s.skipLine(); err == nil {
				err = s.violation(500, status(5, 5, 6), "Line too long")
			}
		case isTimeout(err):
			s.say(reply(421, status(4, 4, 2), s.server.config.Hostname+" Timeout, closing connection"))
			s.writer.Flush()
		}
		if err != nil {
			return "", err
		}
	}
}

var errBareLF = errors.New("sendertest: bare LF")

// readLine reads up to CRLF and returns what is before it, valid until the next read.
func (s *Session) readLine() ([]byte, error) {
	s.raw.SetReadDeadline(time.Now().Add(s.server.config.Timeout))
	line, err := s.reader.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	if len(line) < 2 || line[len(line)-2] != '\r' {
		return nil, errBareLF
	}
	return line[:len(line)-2], nil
}

// skipLine reads to the end of a line that is too long.
func (s *Session) skipLine() error {
	for {
		_, err := s.reader.ReadSlice('\n')
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

// handle executes one command.
func (s *Session) handle(line string) error {
	verb, arg, _ := strings.Cut(line, " ")
	verb = strings.ToUpper(verb)
	if log := s.server.config.Logger; log.Enabled(context.Background(), slog.LevelDebug) {
		log.Debug("command", "session", s.id, "line", redactAuth(verb, line))
	}
	if s.server.config.Extensions.NoPipelining && s.reader.Buffered() > 0 && verb != "BDAT" {
		s.violation(503, status(5, 5, 0), "Pipelining was not offered")
		s.writer.Flush()
		return errQuit
	}
	switch verb {
	case "EHLO", "HELO":
		return s.hello(verb, arg)
	case "STARTTLS":
		return s.handleStartTLS(arg)
	case "AUTH":
		return s.handleAuth(arg)
	case "MAIL":
		return s.mail(arg)
	case "RCPT":
		return s.rcpt(arg)
	case "DATA":
		return s.handleData(arg)
	case "BDAT":
		return s.handleChunk(arg)
	case "RSET":
		s.reset()
		return s.plain(250, status(2, 0, 0), "Reset")
	case "NOOP":
		return s.plain(250, status(2, 0, 0), "Nothing done")
	case "VRFY":
		return s.plain(252, status(2, 5, 0), "Not verified, but mail is taken")
	case "HELP":
		return s.plain(214, status(2, 0, 0), "RFC 5321")
	case "QUIT":
		if err := s.plain(221, status(2, 0, 0), s.server.config.Hostname+" Bye"); err != nil {
			return err
		}
		s.writer.Flush()
		return errQuit
	}
	return s.violation(500, status(5, 5, 1), "Unknown command")
}

// hello answers EHLO and HELO (RFC 5321 section 4.1.1.1).
func (s *Session) hello(verb, name string) error {
	ext := s.server.config.Extensions
	if verb == "EHLO" && ext.NoEHLO {
		return s.plain(502, status(5, 5, 1), "EHLO not implemented")
	}
	if name = strings.TrimSpace(name); name == "" || strings.Contains(name, " ") {
		return s.violation(501, status(5, 5, 4), "Name expected")
	}
	a := &Answer{Reply: bounce.Reply{Code: 250, Lines: []string{s.server.config.Hostname + " greets " + name}}}
	if verb == "EHLO" {
		a.Reply.Lines = append(a.Reply.Lines, s.extensions()...)
	}
	a = s.decide(s.script.OnEHLO, name, a)
	if a.Reply.OK() {
		s.hostname, s.extended = name, verb == "EHLO"
		s.reset()
	}
	return s.say(a)
}

// extensions are the lines of the reply to EHLO after the first.
func (s *Session) extensions() []string {
	c := &s.server.config
	var lines []string
	add := func(on bool, line string) {
		if on {
			lines = append(lines, line)
		}
	}
	add(!c.Extensions.NoPipelining, "PIPELINING")
	add(!c.Extensions.No8BitMIME, "8BITMIME")
	add(!c.Extensions.NoSize, "SIZE "+itoa(c.MaxSize))
	add(!c.Extensions.NoSMTPUTF8, "SMTPUTF8")
	add(!c.Extensions.NoEnhancedStatus, "ENHANCEDSTATUSCODES")
	add(c.Extensions.DSN, "DSN")
	add(c.Extensions.Chunking, "CHUNKING")
	add(c.TLS != nil && s.tls == nil, "STARTTLS")
	add(s.mayAuth(), "AUTH PLAIN LOGIN OAUTHBEARER")
	return lines
}

// handleStartTLS answers STARTTLS and does the handshake (RFC 3207).
func (s *Session) handleStartTLS(arg string) error {
	switch {
	case s.server.config.TLS == nil:
		return s.violation(502, status(5, 5, 1), "STARTTLS not offered")
	case s.tls != nil:
		return s.violation(503, status(5, 5, 1), "TLS is on already")
	case arg != "":
		return s.violation(501, status(5, 5, 4), "STARTTLS takes no parameter")
	case s.reader.Buffered() > 0:
		// Commands before the handshake would be executed after it: refuse the injection.
		s.violation(503, status(5, 5, 1), "Nothing may follow STARTTLS")
		s.writer.Flush()
		return errQuit
	}
	a := s.decide(s.script.OnStartTLS, "", reply(220, status(2, 0, 0), "Ready for TLS"))
	if err := s.say(a); err != nil || a.Reply.Code != 220 {
		return err
	}
	if err := s.writer.Flush(); err != nil {
		return err
	}
	return s.startTLS()
}

// startTLS does the handshake. Everything learnt before it is forgotten (RFC 3207 section 4.2).
func (s *Session) startTLS() error {
	config := s.server.config.TLS
	if s.script.OnTLS != nil {
		config = s.script.OnTLS(s, config)
	}
	s.raw.SetDeadline(time.Now().Add(s.server.config.Timeout))
	conn := tls.Server(s.raw, config)
	if err := conn.Handshake(); err != nil {
		s.server.config.Logger.Debug("handshake failed", "session", s.id, "error", err)
		return err
	}
	s.raw.SetDeadline(time.Time{})
	state := conn.ConnectionState()
	s.conn, s.tls = conn, &state
	s.reader.Reset(conn)
	s.writer.Reset(conn)
	s.hostname, s.extended, s.user = "", false, ""
	s.reset()
	return nil
}

// decide asks a hook and falls back to the standard answer; then OnReply has its say. The result is the caller's own.
func (s *Session) decide(hook Hook, arg string, standard *Answer) *Answer {
	a := *standard
	if hook != nil {
		if own := hook(s, arg); own != nil {
			a, a.accepts = *own, standard.accepts
		}
	}
	if s.script.OnReply != nil {
		s.script.OnReply(s, &a)
	}
	return &a
}

// say sends an answer. An error means that the session is over.
func (s *Session) say(a *Answer) error {
	if a.Delay > 0 {
		s.writer.Flush()
		if !s.Sleep(a.Delay) {
			return errGone
		}
	}
	if a.Reply.Code != 0 && !a.Silent {
		if err := s.send(a); err != nil {
			return err
		}
	}
	switch {
	case a.Reset:
		s.writer.Flush()
		Reset(s.raw)
		return errQuit
	case a.Close:
		s.writer.Flush()
		return errQuit
	}
	return nil
}

// send writes the reply. It stays buffered while more pipelined commands are waiting (RFC 2920 section 3.2).
func (s *Session) send(a *Answer) error {
	r := a.Reply
	if s.server.config.Extensions.NoEnhancedStatus {
		r.Status = bounce.Status{}
	}
	if log := s.server.config.Logger; log.Enabled(context.Background(), slog.LevelDebug) {
		log.Debug("reply", "session", s.id, "reply", r.String())
	}
	s.out = appendReply(s.out[:0], r)
	s.raw.SetWriteDeadline(time.Now().Add(s.server.config.Timeout))
	if a.Drip == 0 {
		_, err := s.writer.Write(s.out)
		return err
	}
	for i := range s.out {
		if _, err := s.Write(s.out[i : i+1]); err != nil {
			return err
		}
		if !s.Sleep(a.Drip) {
			return errGone
		}
	}
	return nil
}

// plain answers a command that has no hook.
func (s *Session) plain(code int, st bounce.Status, text string) error {
	return s.say(s.decide(nil, "", reply(code, st, text)))
}

// violation answers a command that broke the protocol. The twentieth in a row ends the session.
func (s *Session) violation(code int, st bounce.Status, text string) error {
	s.server.count(func(c *ServerStats) { c.Violations++ })
	if s.errors++; s.errors >= 20 {
		code, st, text = 421, status(4, 7, 0), "Too many errors"
	}
	return s.plain(code, st, text)
}

// early answers a command that needs MAIL before it. With PIPELINING it is no violation behind a MAIL that was refused: the
// client could not know yet (RFC 2920 section 3.1).
func (s *Session) early() error {
	if s.denied && !s.server.config.Extensions.NoPipelining {
		return s.plain(503, status(5, 5, 1), "MAIL first")
	}
	return s.violation(503, status(5, 5, 1), "MAIL first")
}

// reset forgets the transaction.
func (s *Session) reset() {
	s.begun, s.denied, s.from, s.to, s.params, s.data = false, false, "", nil, nil, nil
	s.chunks, s.spoilt = false, nil
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}
