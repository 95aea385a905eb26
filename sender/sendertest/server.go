package sendertest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Extensions are the service extensions that a Server offers. The zero value offers PIPELINING (RFC 2920), 8BITMIME
// (RFC 6152), SIZE (RFC 1870), SMTPUTF8 (RFC 6531) and ENHANCEDSTATUSCODES (RFC 2034). STARTTLS and AUTH follow from the
// other fields of ServerConfig.
type Extensions struct {
	// NoPipelining does not offer PIPELINING, and refuses commands sent before the reply to the last one.
	NoPipelining bool
	// No8BitMIME does not offer 8BITMIME, and refuses content with octets above 127.
	No8BitMIME bool
	// NoSize does not offer SIZE. ServerConfig.MaxSize stays in force.
	NoSize bool
	// NoSMTPUTF8 does not offer SMTPUTF8.
	NoSMTPUTF8 bool
	// NoEnhancedStatus does not offer ENHANCEDSTATUSCODES and leaves the codes out of all replies.
	NoEnhancedStatus bool
	// DSN offers DSN (RFC 3461) and takes its parameters.
	DSN bool
	// Chunking offers CHUNKING (RFC 3030) and takes BDAT. A message that comes by BDAT has no DATA, so Script.OnData is not
	// asked for it; OnContent is asked before the first chunk, OnDot after the last.
	Chunking bool
	// NoEHLO knows only HELO and so none of the extensions.
	NoEHLO bool
}

// ServerConfig configures a Server. The zero value is a server without TLS that accepts every message.
type ServerConfig struct {
	// Hostname is the server's name in the greeting. Defaults to "mx.example.com".
	Hostname string
	// Addr is the virtual address to listen on. Port 0 means 25, or 465 with ImplicitTLS. Defaults to 192.0.2.25:25.
	Addr netip.AddrPort
	// CA issues a certificate for Hostname, and STARTTLS is offered. Defaults to nil.
	CA *CA
	// TLS is used instead of a certificate from CA. Defaults to nil.
	TLS *tls.Config
	// ImplicitTLS starts every connection with the handshake (RFC 8314 section 3). Needs TLS or CA. Defaults to false.
	ImplicitTLS bool
	// RequireTLS refuses MAIL in clear text with "530 5.7.0" (RFC 3207 section 4). Needs TLS or CA. Defaults to false.
	RequireTLS bool
	// Auth are passwords, for OAUTHBEARER tokens, by user. With an entry AUTH PLAIN, LOGIN and OAUTHBEARER are offered, on a
	// server with TLS only once it is on. Defaults to none.
	Auth map[string]string
	// RequireAuth refuses MAIL without AUTH with "530 5.7.0" (RFC 4954 section 6). Defaults to false.
	RequireAuth bool
	// Extensions are the service extensions. Defaults to those of its zero value.
	Extensions Extensions
	// MaxSize is the largest content in octets. Defaults to 50 MiB.
	MaxSize int64
	// MaxRecipients is the most recipients of a message; further ones get "452 4.5.3". Defaults to 0, no limit.
	MaxRecipients int
	// MaxMessages is the most messages on a connection; MAIL for a further one gets "421 4.7.0" and the connection ends.
	// Defaults to 0, no limit.
	MaxMessages int
	// MaxConns is the most connections at a time; a further one is greeted with "421 4.7.0". Defaults to 0, no limit.
	MaxConns int
	// Timeout is how long the server waits for the client to send or to take something. Defaults to 5 minutes (RFC 5321
	// section 4.5.3.2.7).
	Timeout time.Duration
	// Script is where the server differs from a well-behaved one. Defaults to nowhere.
	Script Script
	// Inbox takes the accepted messages. Defaults to a new one that keeps all.
	Inbox *Inbox
	// Logger gets each command and reply at level Debug. Defaults to nil, which discards.
	Logger *slog.Logger
}

// validate checks the config and fills in the defaults.
func (c *ServerConfig) validate() error {
	if c.Hostname == "" {
		c.Hostname = "mx.example.com"
	}
	if !c.Addr.Addr().IsValid() {
		c.Addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 25}), c.Addr.Port())
	}
	if c.Addr.Port() == 0 {
		port := uint16(25)
		if c.ImplicitTLS {
			port = 465
		}
		c.Addr = netip.AddrPortFrom(c.Addr.Addr(), port)
	}
	if c.TLS == nil && c.CA != nil {
		cert, err := c.CA.Certificate(c.Hostname)
		if err != nil {
			return fmt.Errorf("sendertest: ServerConfig.CA: %w", err)
		}
		c.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	}
	if c.TLS == nil && (c.ImplicitTLS || c.RequireTLS) {
		return errors.New("sendertest: ServerConfig.TLS: ImplicitTLS and RequireTLS need TLS or CA")
	}
	for name, n := range map[string]int64{"MaxSize": c.MaxSize, "MaxRecipients": int64(c.MaxRecipients),
		"MaxMessages": int64(c.MaxMessages), "MaxConns": int64(c.MaxConns), "Timeout": int64(c.Timeout)} {
		if n < 0 {
			return fmt.Errorf("sendertest: ServerConfig.%s: %d is negative", name, n)
		}
	}
	if c.MaxSize == 0 {
		c.MaxSize = 50 << 20
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Minute
	}
	if c.Inbox == nil {
		c.Inbox, _ = NewInbox(InboxConfig{})
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// ServerStats are counters of a Server since its start.
type ServerStats struct {
	// Connections is how many were accepted from the network, also those greeted with a refusal.
	Connections int
	// Open is how many are open now, and MaxOpen the most there ever were.
	Open, MaxOpen int
	// Messages is how many were accepted.
	Messages int
	// Violations is how many commands broke the protocol (unknown, malformed, out of sequence, not allowed by the offered
	// extensions) and how many contents did (bare CR or LF, NUL, lines over 1000 octets, undeclared 8-bit octets).
	Violations int
}

// Server is a fake mail exchanger or relay. Its methods may be called concurrently.
type Server struct {
	config   ServerConfig
	listener net.Listener
	done     chan struct{}
	once     sync.Once
	running  sync.WaitGroup

	mu     sync.Mutex
	open   map[*Session]struct{}
	nextID uint64
	stats  ServerStats
}

// StartServer starts a server on a network. It runs until Close.
func StartServer(network *Network, config ServerConfig) (*Server, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	l, err := network.Listen(config.Addr)
	if err != nil {
		return nil, fmt.Errorf("sendertest: ServerConfig.Addr: %w", err)
	}
	s := &Server{config: config, listener: l, done: make(chan struct{}), open: map[*Session]struct{}{}}
	s.running.Go(s.accept)
	return s, nil
}

// Addr is the virtual address.
func (s *Server) Addr() netip.AddrPort { return s.config.Addr }

// RealAddr is the host:port at which other processes reach the server on a TCP network; in memory the virtual one.
func (s *Server) RealAddr() string { return realAddr(s.listener) }

// Hostname is the server's name.
func (s *Server) Hostname() string { return s.config.Hostname }

// Inbox is where accepted messages are.
func (s *Server) Inbox() *Inbox { return s.config.Inbox }

// Stats returns the counters.
func (s *Server) Stats() ServerStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Close stops listening, ends all sessions and waits for them. A second Close does nothing.
func (s *Server) Close() error {
	s.once.Do(func() {
		close(s.done)
		s.listener.Close()
		s.mu.Lock()
		for session := range s.open {
			session.raw.Close()
		}
		s.mu.Unlock()
	})
	s.running.Wait()
	return nil
}

// accept serves until the listener is closed.
func (s *Server) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		session, ok := s.admit(conn)
		if !ok {
			conn.Close()
			continue
		}
		s.running.Go(session.serve)
	}
}

// admit counts a connection in; false when the server is closing.
func (s *Server) admit(conn net.Conn) (*Session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.done:
		return nil, false
	default:
	}
	s.nextID++
	session := newSession(s, conn, s.nextID)
	s.open[session] = struct{}{}
	s.stats.Connections++
	s.stats.Open++
	s.stats.MaxOpen = max(s.stats.MaxOpen, s.stats.Open)
	session.crowded = s.config.MaxConns > 0 && s.stats.Open > s.config.MaxConns
	return session, true
}

// release counts a connection out.
func (s *Server) release(session *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, session)
	s.stats.Open--
}

// count changes the counters.
func (s *Server) count(f func(*ServerStats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.stats)
}
