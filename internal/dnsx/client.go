package dnsx

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/miekg/dns"
)

// Defaults and bounds.
const (
	// MaxRecords is how many records a lookup returns at most. Of more MX records, as far as they are decoded, those with the
	// lowest preference are kept.
	MaxRecords = 100

	defaultTimeout  = 5 * time.Second
	defaultAttempts = 2
	maxAttempts     = 10
	maxChain        = 8         // CNAME records followed for one question
	udpSize         = 1232      // fits every path without fragmentation; the value agreed on at DNS flag day 2020
	maxStray        = 64        // answers to others' questions that are dropped before a try is given up
	maxTTL          = 1<<31 - 1 // RFC 2181 section 8
	resolvConf      = "/etc/resolv.conf"
)

// DialFunc opens a connection: network is "udp" or "tcp", address a host and port. It must heed ctx. When the connection for "udp" is
// no net.PacketConn it is taken for a stream, and each message gets the two-octet length of RFC 1035 section 4.2.2.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Config configures a Client.
type Config struct {
	// Servers are the recursive name servers, as "host:port", in the order in which to ask them.
	// Defaults to those of /etc/resolv.conf, read once by New.
	Servers []string
	// Timeout bounds one try at one server, dialling included. Defaults to 5 seconds.
	Timeout time.Duration
	// Attempts is how often each server is tried, 1 to 10. Defaults to 2.
	Attempts int
	// Dial opens connections. Defaults to net.Dialer's DialContext.
	Dial DialFunc
}

// validate fills in defaults and names what is wrong.
func (c *Config) validate() error {
	if c.Timeout < 0 {
		return fmt.Errorf("dnsx: Config.Timeout: %v is negative", c.Timeout)
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Attempts < 0 || c.Attempts > maxAttempts {
		return fmt.Errorf("dnsx: Config.Attempts: %d is not between 1 and %d", c.Attempts, maxAttempts)
	}
	if c.Attempts == 0 {
		c.Attempts = defaultAttempts
	}
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	if len(c.Servers) == 0 {
		servers, err := systemServers(resolvConf)
		if err != nil {
			return err
		}
		c.Servers = servers
		return nil
	}
	c.Servers = append([]string(nil), c.Servers...)
	for i, s := range c.Servers {
		host, port, err := net.SplitHostPort(s)
		if err != nil || host == "" {
			return fmt.Errorf("dnsx: Config.Servers[%d]: %q is not host:port", i, s)
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("dnsx: Config.Servers[%d]: %q has no port between 1 and 65535", i, s)
		}
	}
	return nil
}

// systemServers are the name servers of a resolv.conf file.
func systemServers(file string) ([]string, error) {
	conf, err := dns.ClientConfigFromFile(file)
	if err != nil {
		return nil, fmt.Errorf("dnsx: Config.Servers: none given, and the system's can not be read: %w", err)
	}
	if len(conf.Servers) == 0 {
		return nil, fmt.Errorf("dnsx: Config.Servers: none given, and %s names none", file)
	}
	servers := make([]string, len(conf.Servers))
	for i, s := range conf.Servers {
		servers[i] = net.JoinHostPort(s, conf.Port)
	}
	return servers, nil
}

// Client asks name servers. It is safe for concurrent use and holds nothing open between questions.
type Client struct {
	cfg Config
}

// New makes a Client. The error names the field of Config that is wrong.
func New(cfg Config) (*Client, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Client{cfg: cfg}, nil
}

// Longest is how long one question may take: each try at each server until its time-out.
func (c *Client) Longest() time.Duration {
	return time.Duration(c.cfg.Attempts*len(c.cfg.Servers)) * c.cfg.Timeout
}

// Servers are the name servers in use, as "host:port". The slice is the caller's.
func (c *Client) Servers() []string { return append([]string(nil), c.cfg.Servers...) }
