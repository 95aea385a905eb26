package outlet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/reputemail/repute/sender/transport"
)

// Protocol is how a proxy is talked to.
type Protocol string

// The protocols.
const (
	// ProxyV2 is version 2 of the PROXY protocol, the binary one.
	ProxyV2 Protocol = "proxy-v2"
	// SOCKS5 is RFC 1928.
	SOCKS5 Protocol = "socks5"
)

// Config configures an Outlet. Protocol and Addr must be set.
type Config struct {
	// Protocol is what the proxy speaks. Required.
	Protocol Protocol
	// Addr is its HOST:PORT. Required.
	Addr string
	// User and Password authenticate to it, for SOCKS5 only (RFC 1929): 1 to 255 bytes each, neither or both. They are sent in clear text.
	// Default to none.
	User, Password string
	// Timeout is for all that the proxy does itself: being looked up and connected to, and agreeing to serve. Defaults to 30 seconds.
	Timeout time.Duration
	// ReplyTimeout is for the proxy to connect to the destination, for SOCKS5 only. Defaults to 1 minute.
	ReplyTimeout time.Duration
	// Dial opens the connection to the proxy, from any address. Defaults to the net package.
	Dial transport.DialFunc
	// Lookup finds the addresses of a proxy that has a name. Defaults to the net package.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
}

// Error is a failure of the proxy itself.
type Error struct {
	// Proxy is its HOST:PORT.
	Proxy string
	// Reason is what it failed in, in words.
	Reason string
	// Err is the cause, or nil.
	Err error
}

// Error names the proxy and the reason. It never has the password.
func (e *Error) Error() string { return "outlet: proxy " + e.Proxy + ": " + e.Reason }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Outlet opens connections through one proxy. It is safe for concurrent use.
type Outlet struct {
	config Config
	host   string
	port   uint16
}

// The bounds and defaults of Config.
const (
	defaultTimeout      = 30 * time.Second
	defaultReplyTimeout = time.Minute
	maxCredential       = 255 // RFC 1929 section 2
	maxAddrs            = 4
)

// New makes an Outlet. The error names the field of config that is wrong.
func New(config Config) (*Outlet, error) {
	invalid := func(field, format string, args ...any) error {
		return fmt.Errorf("outlet: Config.%s: "+format, append([]any{field}, args...)...)
	}
	o := &Outlet{config: config}
	var port string
	var err error
	if o.host, port, err = net.SplitHostPort(config.Addr); err != nil || o.host == "" {
		return nil, invalid("Addr", "%q is not HOST:PORT", config.Addr)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return nil, invalid("Addr", "%q has no port number", config.Addr)
	}
	o.port = uint16(n)
	switch config.Protocol {
	case ProxyV2:
		if config.User != "" || config.Password != "" {
			return nil, invalid("User", "%s has no authentication", ProxyV2)
		}
	case SOCKS5:
		if (config.User == "") != (config.Password == "") {
			return nil, invalid("Password", "User and Password go together (RFC 1929)")
		}
		if len(config.User) > maxCredential {
			return nil, invalid("User", "is longer than %d bytes (RFC 1929)", maxCredential)
		}
		if len(config.Password) > maxCredential {
			return nil, invalid("Password", "is longer than %d bytes (RFC 1929)", maxCredential)
		}
	default:
		return nil, invalid("Protocol", "%q is neither %q nor %q", config.Protocol, ProxyV2, SOCKS5)
	}
	if config.Timeout < 0 {
		return nil, invalid("Timeout", "%v is negative", config.Timeout)
	}
	if config.ReplyTimeout < 0 {
		return nil, invalid("ReplyTimeout", "%v is negative", config.ReplyTimeout)
	}
	if o.config.Timeout == 0 {
		o.config.Timeout = defaultTimeout
	}
	if o.config.ReplyTimeout == 0 {
		o.config.ReplyTimeout = defaultReplyTimeout
	}
	if o.config.Dial == nil {
		o.config.Dial = func(ctx context.Context, _ netip.Addr, addr netip.AddrPort) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr.String())
		}
	}
	if o.config.Lookup == nil {
		o.config.Lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	return o, nil
}

// Dial opens a connection to addr through the proxy; it is a transport.DialFunc. For ProxyV2 local is the address that it leaves from, one of the
// proxy's host and of addr's family; SOCKS5 takes no notice of it. The error is an [*Error] when the proxy itself failed. When ctx is
// cancelled it is ctx's error; a deadline of ctx is a time-out like the others.
func (o *Outlet) Dial(ctx context.Context, local netip.Addr, addr netip.AddrPort) (net.Conn, error) {
	local, addr = local.Unmap(), netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	if !addr.IsValid() {
		return nil, errors.New("outlet: no address to connect to")
	}
	if o.config.Protocol == SOCKS5 {
		return o.socks(ctx, addr)
	}
	header, err := header(local, addr)
	if err != nil {
		return nil, err
	}
	return o.proxyV2(ctx, header)
}

// proxyV2 opens a connection that begins with a header.
func (o *Outlet) proxyV2(ctx context.Context, header []byte) (net.Conn, error) {
	within, cancel := context.WithTimeout(ctx, o.config.Timeout)
	defer cancel()
	conn, err := o.connect(within)
	if err != nil {
		return nil, o.failed(ctx, err)
	}
	if deadline, ok := within.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	stop := context.AfterFunc(within, func() { conn.SetDeadline(past) })
	_, err = conn.Write(header)
	if !stop() && err == nil {
		err = context.Cause(within)
	}
	if err != nil {
		conn.Close()
		return nil, o.failed(ctx, err)
	}
	conn.SetDeadline(time.Time{})
	return conn, nil
}

// past is a deadline that ends what is under way.
var past = time.Unix(1, 0)

// connect opens a connection to the proxy.
func (o *Outlet) connect(ctx context.Context) (net.Conn, error) {
	var addrs []netip.Addr
	if addr, err := netip.ParseAddr(o.host); err == nil {
		addrs = []netip.Addr{addr}
	} else if addrs, err = o.config.Lookup(ctx, o.host); err != nil {
		return nil, fmt.Errorf("its name cannot be looked up: %w", err)
	}
	err := errors.New("its name has no address")
	for _, addr := range addrs[:min(len(addrs), maxAddrs)] {
		var conn net.Conn
		if conn, err = o.config.Dial(ctx, netip.Addr{}, netip.AddrPortFrom(addr.Unmap(), o.port)); err == nil {
			return conn, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

// failed is an error of the proxy itself, unless it is that the caller has given up.
func (o *Outlet) failed(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return &Error{Proxy: o.config.Addr, Reason: words(err), Err: err}
}
