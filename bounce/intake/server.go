package intake

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
	"golang.org/x/time/rate"

	"github.com/reputemail/repute/bounce/internal/entity"
	"github.com/reputemail/repute/internal/keyed"
)

// ServerConfig configures a Server.
type ServerConfig struct {
	// Intake reads the mail. Required. Without Tokens it takes mail for Addresses only.
	Intake *Intake
	// Hostname is the name it greets with. Required.
	Hostname string
	// Addresses are taken besides those with a valid token of ours: one for feedback loops, say, which know no tokens. In any case. Defaults to none.
	Addresses []string
	// MaxBytes is the largest message. Defaults to 10 MB, what can be read, and may not be above it.
	MaxBytes int
	// MaxConnections bounds the connections at a time; others wait to be taken. Defaults to 100.
	MaxConnections int
	// MaxPerAddress bounds those of one address (of IPv6: one /64); further ones are closed at once. Defaults to 10.
	MaxPerAddress int
	// PerMinute is how many messages one address (of IPv6: one /64) may send in a minute, with as many at once. Defaults to 60.
	PerMinute int
	// Timeout bounds each wait for the client; a connection lasts three times that at most. Defaults to 5 minutes (RFC 5321 section 4.5.3.2.7).
	Timeout time.Duration
	// TLS offers STARTTLS. Defaults to none.
	TLS *tls.Config
	// Logger gets what an operator should know. Defaults to discarding it.
	Logger *slog.Logger
}

// Server is an SMTP listener for what comes back: the host of the MX record of the domain of the return paths. It takes no other mail. It is
// safe for concurrent use.
type Server struct {
	cfg     ServerConfig
	smtp    *smtp.Server
	known   map[string]bool
	senders *keyed.Map[netip.Prefix, *rate.Limiter]
	slots   chan struct{} // of MaxConnections

	life context.Context // of what the Sink does
	end  context.CancelFunc
	work sync.WaitGroup // messages that are being handed over

	mu        sync.Mutex
	closed    bool
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	perSource map[netip.Prefix]int
	idle      chan struct{} // closed when the last connection ends after closed was set
}

// NewServer checks the configuration and makes a Server; Serve makes it listen. An error names the field.
func NewServer(cfg ServerConfig) (*Server, error) {
	if cfg.Intake == nil {
		return nil, errors.New("intake: ServerConfig.Intake: is missing")
	}
	if cfg.Hostname == "" || strings.ContainsAny(cfg.Hostname, " \t\r\n") {
		return nil, fmt.Errorf("intake: ServerConfig.Hostname: %q is no host name", cfg.Hostname)
	}
	for _, n := range []struct {
		field    string
		v        *int
		def, max int
	}{
		{"MaxBytes", &cfg.MaxBytes, entity.MaxBytes, entity.MaxBytes},
		{"MaxConnections", &cfg.MaxConnections, 100, 1 << 20},
		{"MaxPerAddress", &cfg.MaxPerAddress, 10, 1 << 20},
		{"PerMinute", &cfg.PerMinute, 60, 1 << 20},
	} {
		if *n.v == 0 {
			*n.v = n.def
		}
		if *n.v < 0 || *n.v > n.max {
			return nil, fmt.Errorf("intake: ServerConfig.%s: %d is not in 1 to %d", n.field, *n.v, n.max)
		}
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Minute
	}
	if cfg.Timeout < 0 {
		return nil, fmt.Errorf("intake: ServerConfig.Timeout: %v is negative", cfg.Timeout)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		cfg: cfg, known: make(map[string]bool, len(cfg.Addresses)), idle: make(chan struct{}),
		listeners: map[net.Listener]struct{}{}, conns: map[*conn]struct{}{}, perSource: map[netip.Prefix]int{},
		senders: keyed.New(keyed.Config[netip.Prefix, *rate.Limiter]{Max: maxSenders, Idle: time.Hour}),
	}
	for i, a := range cfg.Addresses {
		if !strings.Contains(a, "@") {
			return nil, fmt.Errorf("intake: ServerConfig.Addresses[%d]: %q is no address", i, a)
		}
		s.known[strings.ToLower(a)] = true
	}
	s.slots = make(chan struct{}, cfg.MaxConnections)
	s.life, s.end = context.WithCancel(context.Background())
	s.smtp = smtp.NewServer(smtp.BackendFunc(s.session))
	s.smtp.Domain, s.smtp.TLSConfig = cfg.Hostname, cfg.TLS
	s.smtp.MaxRecipients, s.smtp.MaxMessageBytes, s.smtp.MaxLineLength = maxRcpts, int64(cfg.MaxBytes), maxLine
	s.smtp.ReadTimeout, s.smtp.WriteTimeout = cfg.Timeout, cfg.Timeout
	s.smtp.EnableSMTPUTF8 = true
	s.smtp.ErrorLog = slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug)
	return s, nil
}

// The bounds that are no setting.
const (
	maxRcpts   = 100     // of a message (RFC 5321 section 4.5.3.1.8)
	maxLine    = 4000    // octets of a command, and of what go-smtp takes for a line of content
	maxSenders = 100_000 // whose rate is remembered
)

// session begins a conversation.
func (s *Server) session(c *smtp.Conn) (smtp.Session, error) {
	return &session{s: s, from: addressOf(c.Conn().RemoteAddr())}, nil
}

// addressOf is whose rate counts: an IPv4 address, or a /64 of IPv6, which one host may have for itself.
func addressOf(a net.Addr) netip.Prefix {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Prefix{}
	}
	ip, bits := ap.Addr().Unmap(), 32
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.WithZone("").Prefix(bits)
	return p
}

// allow takes a message off what an address may send.
func (s *Server) allow(from netip.Prefix) bool {
	now := time.Now()
	l := s.senders.GetOrCreate(now, from, func() *rate.Limiter {
		return rate.NewLimiter(rate.Limit(float64(s.cfg.PerMinute)/60), s.cfg.PerMinute)
	})
	return l.AllowN(now, 1)
}

// takes reports whether mail for an address is taken.
func (s *Server) takes(address string) bool {
	if s.known[strings.ToLower(address)] {
		return true
	}
	t := s.cfg.Intake.cfg.Tokens
	if t == nil {
		return false
	}
	_, err := t.ParseAddressAt(time.Now(), address)
	return err == nil
}
