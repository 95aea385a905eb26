package transport

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/reputemail/repute/internal/keyed"
)

// Config configures a Transport. The zero value is ready for sending to MX hosts.
type Config struct {
	// Dial opens connections. Defaults to a net.Dialer that binds the local address.
	Dial DialFunc
	// TLSConfig is the base for every handshake: RootCAs, client certificates, cipher suites. ServerName and
	// InsecureSkipVerify are set by Target and its policy; MinVersion is raised to TLS 1.2 (RFC 8996); ClientSessionCache is
	// the Transport's own. With SessionTicketsDisabled or VerifyPeerCertificate no session is resumed. It is not changed.
	// Defaults to the system's roots.
	TLSConfig *tls.Config
	// Timeouts bound each step. Defaults to what each of its fields says.
	Timeouts Timeouts
	// BrokenTLSFor is how long a host whose handshakes fail is used in clear text without trying again, under
	// TLSOpportunistic only. The first failure counts for an hour at most, since anybody on the way can cause it; only when
	// TLS fails again the next time that it is tried, not later than BrokenTLSFor after that hour, it counts for
	// BrokenTLSFor. A handshake that works, under whatever policy, ends both. Negative: never remembered. Defaults to 72
	// hours.
	BrokenTLSFor time.Duration
	// MaxBrokenTLS is how many such hosts are remembered; the one unused longest is forgotten first. Defaults to 10,000.
	MaxBrokenTLS int
	// MaxTLSSessions is how many TLS sessions are kept to be resumed, one for each host, policy, source address and name;
	// the one unused longest is forgotten first. Each takes some kilobytes. Defaults to 1,000.
	MaxTLSSessions int
	// DisablePipelining sends one command at a time, also to hosts that offer PIPELINING (RFC 2920). Defaults to false.
	DisablePipelining bool
	// DisableChunking sends content by DATA, also to hosts that offer CHUNKING (RFC 3030). Defaults to false.
	DisableChunking bool
	// MaxReplyBytes and MaxReplyLines bound one reply, with all its lines. A longer one ends the session.
	// At least 512 bytes (RFC 5321 section 4.5.3.1.5) and 1 line. Defaults to 65,536 bytes and 256 lines.
	MaxReplyBytes, MaxReplyLines int
	// Logger gets debug messages about sessions and a warning when TLS is given up. Defaults to none.
	Logger *slog.Logger
}

// Timeouts bound the steps of a conversation. Each is for the whole step, however slowly the host drips its bytes.
type Timeouts struct {
	// Connect is for opening the connection. Defaults to 1 minute.
	Connect time.Duration
	// Handshake is for the TLS handshake. Defaults to 1 minute.
	Handshake time.Duration
	// Greeting is for the first reply. Defaults to 5 minutes (RFC 5321 section 4.5.3.2.1).
	Greeting time.Duration
	// Hello is for each of EHLO, HELO and STARTTLS. Defaults to 5 minutes.
	Hello time.Duration
	// Auth is for each step of AUTH. Defaults to 3 minutes.
	Auth time.Duration
	// Mail is for MAIL and RSET. Defaults to 5 minutes (section 4.5.3.2.2).
	Mail time.Duration
	// Rcpt is for each RCPT. Defaults to 5 minutes (section 4.5.3.2.3).
	Rcpt time.Duration
	// Data is for the reply to DATA. Defaults to 2 minutes (section 4.5.3.2.4).
	Data time.Duration
	// Block is for sending each block of the content, of up to 32 KiB. The content as a whole has as much, and
	// 1 second more for each 4 KiB. Defaults to 3 minutes (section 4.5.3.2.5).
	Block time.Duration
	// Dot is for the reply to the final dot. Shorter ones cause duplicates. Defaults to 10 minutes (section 4.5.3.2.6).
	Dot time.Duration
	// Quit is for QUIT, which nothing depends on. Defaults to 10 seconds.
	Quit time.Duration
}

// fill validates the time-outs and sets defaults.
func (t *Timeouts) fill() error {
	for _, f := range []struct {
		name  string
		value *time.Duration
		def   time.Duration
	}{
		{"Connect", &t.Connect, time.Minute},
		{"Handshake", &t.Handshake, time.Minute},
		{"Greeting", &t.Greeting, 5 * time.Minute},
		{"Hello", &t.Hello, 5 * time.Minute},
		{"Auth", &t.Auth, 3 * time.Minute},
		{"Mail", &t.Mail, 5 * time.Minute},
		{"Rcpt", &t.Rcpt, 5 * time.Minute},
		{"Data", &t.Data, 2 * time.Minute},
		{"Block", &t.Block, 3 * time.Minute},
		{"Dot", &t.Dot, 10 * time.Minute},
		{"Quit", &t.Quit, 10 * time.Second},
	} {
		switch {
		case *f.value < 0:
			return invalid("Timeouts."+f.name, fmt.Sprintf("%v is negative", *f.value))
		case *f.value == 0:
			*f.value = f.def
		}
	}
	return nil
}

// invalid is the error for a field of Config.
func invalid(field, reason string) error {
	return fmt.Errorf("transport: Config.%s: %s", field, reason)
}

// validate names the field that is wrong, and sets defaults.
func (c *Config) validate() error {
	if err := c.Timeouts.fill(); err != nil {
		return err
	}
	if c.TLSConfig != nil && c.TLSConfig.MaxVersion != 0 && c.TLSConfig.MaxVersion < tls.VersionTLS12 {
		return invalid("TLSConfig.MaxVersion", "below TLS 1.2 (RFC 8996)")
	}
	if c.MaxReplyBytes != 0 && c.MaxReplyBytes < 512 {
		return invalid("MaxReplyBytes", fmt.Sprintf("%d is less than the 512 of RFC 5321 section 4.5.3.1.5", c.MaxReplyBytes))
	}
	if c.MaxReplyLines < 0 {
		return invalid("MaxReplyLines", fmt.Sprintf("%d is negative", c.MaxReplyLines))
	}
	if c.MaxBrokenTLS < 0 {
		return invalid("MaxBrokenTLS", fmt.Sprintf("%d is negative", c.MaxBrokenTLS))
	}
	if c.MaxTLSSessions < 0 {
		return invalid("MaxTLSSessions", fmt.Sprintf("%d is negative", c.MaxTLSSessions))
	}
	if c.Dial == nil {
		c.Dial = dialNet
	}
	if c.TLSConfig == nil {
		c.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if c.BrokenTLSFor == 0 {
		c.BrokenTLSFor = 72 * time.Hour
	}
	if c.MaxBrokenTLS == 0 {
		c.MaxBrokenTLS = 10_000
	}
	if c.MaxTLSSessions == 0 {
		c.MaxTLSSessions = 1000
	}
	if c.MaxReplyBytes == 0 {
		c.MaxReplyBytes = 64 << 10
	}
	if c.MaxReplyLines == 0 {
		c.MaxReplyLines = 256
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Transport opens sessions. It is safe for concurrent use.
type Transport struct {
	config Config
	// broken holds, by host, until when TLS is not or was not tried.
	broken *keyed.Map[string, time.Time]
	// quirks holds until when an extension of a host is not used.
	quirks *keyed.Map[odd, time.Time]
	// tickets holds the TLS sessions that may be resumed.
	tickets *keyed.Map[string, ticket]
	// blocks are the write buffers of sessions that send content right now: *[]byte of blockSize.
	blocks sync.Pool
}

// New makes a Transport. The error names the field of config that is wrong.
func New(config Config) (*Transport, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	t := &Transport{
		config:  config,
		broken:  keyed.New(keyed.Config[string, time.Time]{Max: config.MaxBrokenTLS}),
		tickets: keyed.New(keyed.Config[string, ticket]{Max: config.MaxTLSSessions, Idle: resumeFor}),
		quirks:  keyed.New(keyed.Config[odd, time.Time]{Max: maxQuirks, Idle: quirkFor}),
	}
	t.blocks.New = func() any {
		b := make([]byte, 0, blockSize)
		return &b
	}
	return t, nil
}

// dialNet is the default DialFunc.
func dialNet(ctx context.Context, local netip.Addr, addr netip.AddrPort) (net.Conn, error) {
	var d net.Dialer
	if local.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0))
	}
	return d.DialContext(ctx, "tcp", addr.String())
}
