package route

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"time"
)

// Family says which of a host's addresses are used, and in which order.
type Family string

// The families.
const (
	// FamilyIPv4First takes IPv4 and IPv6 addresses in turn, beginning with IPv4. The default: receivers judge IPv6 senders more
	// strictly, and when one protocol is broken here or there, the second try already takes the other.
	FamilyIPv4First Family = "ipv4-first"
	// FamilyIPv6First takes IPv6 and IPv4 addresses in turn, beginning with IPv6.
	FamilyIPv6First Family = "ipv6-first"
	// FamilyIPv4Only never uses IPv6. Mail to hosts that have no IPv4 address waits; see the package comment.
	FamilyIPv4Only Family = "ipv4-only"
	// FamilyIPv6Only never uses IPv4. Mail to hosts that have no IPv6 address waits; see the package comment.
	FamilyIPv6Only Family = "ipv6-only"
)

// DialFunc opens a connection to a name server: network is "udp" or "tcp", address a host and port. It must heed ctx. A connection for
// "udp" that is no net.PacketConn is used as a stream, with the framing of DNS over TCP; an in-memory network may give such ones.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Config configures a Resolver.
type Config struct {
	// Servers are the recursive name servers, as "host:port", in the order in which to ask them.
	// Defaults to those of /etc/resolv.conf, read once by New.
	Servers []string
	// Dial opens connections to them. Defaults to net.Dialer's DialContext.
	Dial DialFunc
	// Timeout bounds one try at one server. Defaults to 5 seconds.
	Timeout time.Duration
	// Attempts is how often each server is tried for one question, at most 10. Defaults to 2.
	Attempts int
	// MaxHosts is how many mail exchangers a Destination has at most, 1 to 100. Defaults to 5.
	MaxHosts int
	// Family says which addresses are used, and in which order. Defaults to FamilyIPv4First.
	Family Family
	// AllowLoopback lets mail exchangers have loopback addresses. Without it they have none: a stranger's domain whose MX is 127.0.0.1
	// would make us talk to our own machine as if we were trusted there. For tests against servers on this machine. Defaults to false.
	AllowLoopback bool
	// AllowPrivate lets mail exchangers have addresses of private networks: those of RFC 1918, RFC 4193 and RFC 6598, reserved ones
	// (240.0.0.0/4), and IPv6 addresses that stand for such IPv4 addresses (64:ff9b::/96, 2002::/16). Without it they have none: a stranger's
	// domain whose MX is 10.0.0.1 would make us talk to the operator's own hosts, which may trust us. For networks with mail hosts of
	// their own. Defaults to false.
	AllowPrivate bool
	// CacheSize is how many answers are remembered at most, the least recently used forgotten first. Defaults to 10,000.
	CacheSize int
	// MinTTL is for how long an answer is remembered at least, however short its time-to-live. Defaults to 1 minute.
	MinTTL time.Duration
	// MaxTTL is for how long an answer is remembered at most. Defaults to 1 hour.
	MaxTTL time.Duration
	// NegativeTTL is for how long a permanent error is remembered at most. Defaults to 5 minutes (RFC 2308 section 5 allows hours, but
	// a domain that has just been repaired should not wait).
	NegativeTTL time.Duration
	// FailureTTL is for how long a temporary error is remembered, at most 5 minutes (RFC 2308 section 7). While it lasts nobody waits for
	// dead name servers again. Defaults to 30 seconds.
	FailureTTL time.Duration
	// Shuffle puts n things into a random order by calling swap, as rand.Shuffle does. It must be safe for concurrent use.
	// Defaults to math/rand/v2's Shuffle.
	Shuffle func(n int, swap func(i, j int))
}

// Defaults and bounds of Config.
const (
	defaultMaxHosts    = 5
	maxMaxHosts        = 100
	defaultCacheSize   = 10_000
	defaultMinTTL      = time.Minute
	defaultMaxTTL      = time.Hour
	defaultNegativeTTL = 5 * time.Minute
	defaultFailureTTL  = 30 * time.Second
	maxFailureTTL      = 5 * time.Minute
)

// validate fills in defaults and names what is wrong. Servers, Dial, Timeout and Attempts are left to dnsx, which says the same.
func (c *Config) validate() error {
	switch c.Family {
	case "":
		c.Family = FamilyIPv4First
	case FamilyIPv4First, FamilyIPv6First, FamilyIPv4Only, FamilyIPv6Only:
	default:
		return fmt.Errorf("route: Config.Family: %q is not one of the constants", c.Family)
	}
	if c.MaxHosts < 0 || c.MaxHosts > maxMaxHosts {
		return fmt.Errorf("route: Config.MaxHosts: %d is not between 1 and %d", c.MaxHosts, maxMaxHosts)
	}
	if c.MaxHosts == 0 {
		c.MaxHosts = defaultMaxHosts
	}
	if c.CacheSize < 0 {
		return fmt.Errorf("route: Config.CacheSize: %d is negative", c.CacheSize)
	}
	if c.CacheSize == 0 {
		c.CacheSize = defaultCacheSize
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		def   time.Duration
	}{
		{"MinTTL", &c.MinTTL, defaultMinTTL},
		{"MaxTTL", &c.MaxTTL, defaultMaxTTL},
		{"NegativeTTL", &c.NegativeTTL, defaultNegativeTTL},
		{"FailureTTL", &c.FailureTTL, defaultFailureTTL},
	} {
		if *d.value < 0 {
			return fmt.Errorf("route: Config.%s: %v is negative", d.name, *d.value)
		}
		if *d.value == 0 {
			*d.value = d.def
		}
	}
	if c.MinTTL > c.MaxTTL {
		return fmt.Errorf("route: Config.MinTTL: %v is more than MaxTTL, %v", c.MinTTL, c.MaxTTL)
	}
	if c.FailureTTL > maxFailureTTL {
		return fmt.Errorf("route: Config.FailureTTL: %v is more than %v (RFC 2308 section 7)", c.FailureTTL, maxFailureTTL)
	}
	if c.Shuffle == nil {
		c.Shuffle = rand.Shuffle
	}
	return nil
}
