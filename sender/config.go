package sender

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/emersion/go-sasl"

	"github.com/reputemail/repute/sender/transport"
	"github.com/reputemail/repute/throttle"
	"github.com/reputemail/repute/warmup"
)

// Config configures a Sender. Routes is the only field that must be set.
type Config struct {
	// Routes are the ways out. At least one; names are unique.
	Routes []Route
	// Pools group routes. Defaults to one pool "default" of all routes in order, none of them for overflow.
	Pools []Pool
	// Streams are the classes of mail. Defaults to one stream "default" over the first pool.
	Streams []Stream

	// Queue keeps accepted mail. Defaults to a queue in memory, which loses everything at exit.
	Queue Queue
	// Resolver finds mail exchangers. Defaults to a route.Resolver that asks DNS.
	Resolver Resolver
	// DNS are the name servers for the default Resolver, as HOST:PORT. Defaults to those of the system.
	DNS []string
	// AllowLoopback lets the default Resolver give loopback addresses for MX hosts, for tests on one machine. Defaults to
	// false: a stranger's domain cannot make us talk to ourselves.
	AllowLoopback bool
	// AllowPrivate lets the default Resolver give addresses of private networks for MX hosts: for mail inside one's own.
	// Defaults to false, for the same reason.
	AllowPrivate bool
	// Transport speaks SMTP. Defaults to a transport.Transport with Dial and TLS.
	Transport Transport
	// Dial opens connections for the default Transport. Defaults to the net package.
	Dial transport.DialFunc
	// DialDNS opens connections for the default Resolver; network is "udp" or "tcp". Defaults to the net package.
	DialDNS func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS is the base of the default Transport's TLS configuration (roots, client certificates). Defaults to an empty one.
	TLS *tls.Config
	// Port is where MX hosts listen. Defaults to 25.
	Port int
	// Pacer decides what cold paths may carry. Defaults to a warmup.Ledger with the plans of Routes over WarmupStore.
	Pacer Pacer
	// WarmupStore keeps the default Pacer's counts. It must outlive the process wherever a Route has a Warmup.
	// Defaults to memory, which forgets at exit what was sent today.
	WarmupStore warmup.Store
	// Migrations move mail from one route or pool to another. A stream is part of one migration at a time, or of several for different providers. Defaults
	// to none.
	Migrations []Migration
	// MigrationStore keeps where they stand. It must outlive the process. Defaults to the Queue where that is in a database, else to memory: then each start
	// begins them anew.
	MigrationStore warmup.Store
	// WarmupGate says what rates hold a path's warm-up and put it back. Defaults as its fields say.
	WarmupGate warmup.Gate
	// WarmupDomains are plans by signing domain (Stream.SigningDomain): a new domain is warmed up at each provider, whatever routes its mail takes.
	// Defaults to none.
	WarmupDomains map[string]warmup.Plan
	// Throttle decides how fast paths may go. Defaults to a throttle.Limiter with the profiles of Providers.
	Throttle Throttle
	// ThrottleStore keeps what the default Throttle has learnt of receivers, over restarts. Defaults to the Queue where that is in a database, else to nothing.
	ThrottleStore throttle.Store
	// ThrottleOwner names this process among those on ThrottleStore, so that they share their limits: all of them together send no more than one may (throttle.Config.Owner).
	// Defaults to the Queue's name of this process where ThrottleStore is the Queue in PostgreSQL, else to none: the limits are this process's own.
	ThrottleOwner string
	// ThrottleTTL is how long a process that is gone without a word keeps its share of the limits: throttle.Config.TTL. Defaults to 15 seconds.
	ThrottleTTL time.Duration
	// Limits replaces the default Throttle's profile of a provider, by its name ("google"). Defaults to none.
	Limits map[string]throttle.Limits
	// Reactions are rules of the default Throttle for replies that ask for more than others. Defaults to throttle's own ones; throttle.NewReactions adds yours to these.
	Reactions *throttle.Reactions
	// ProviderCaps are hard caps of the default Throttle over all routes to a provider. Route.Cap is that of a route. Defaults to none.
	ProviderCaps map[string]throttle.Cap
	// MaxMessageRate caps the messages of all paths together. Defaults to none.
	MaxMessageRate throttle.Rate
	// Backoff tunes and bounds how the default Throttle reacts to receivers that want less. Defaults as its fields say.
	Backoff throttle.Backoff
	// Providers groups destinations. Defaults to throttle's table.
	Providers Providers
	// Classifier understands replies. Defaults to bounce's rules.
	Classifier Classifier
	// Suppressions are the addresses that are not written to. It learns of dead addresses by itself. Defaults to a suppress.List, kept by
	// the Queue where that is in a database, else in memory. NoSuppressions is none.
	Suppressions Suppressions
	// Gate is asked for every recipient of every stream, after Suppressions. Defaults to none.
	Gate Gate
	// Ranker says which mail goes first where warm-up leaves little room. Defaults to none: by Message.Priority, and streams by their weights.
	Ranker Ranker
	// Observer is told of every event. Defaults to none.
	Observer Observer
	// Logger gets what an operator should know. Defaults to discarding it.
	Logger *slog.Logger

	// Retry is the schedule of retries. Defaults as its fields say.
	Retry RetryPolicy
	// MaxMessageSize is the largest message accepted, in bytes. Defaults to 25 MiB.
	MaxMessageSize int
	// MaxRecipients is how many recipients one Enqueue may have. Defaults to 1000, and may not be above it.
	MaxRecipients int
	// MaxConnections bounds the open connections of all paths together. Defaults to 500.
	MaxConnections int
	// PlainAddresses puts recipients' addresses into events and logs. Defaults to false: keyed hashes.
	PlainAddresses bool
	// HashKey is the key of those hashes; the same key gives the same hashes. Defaults to a random one for each Sender.
	HashKey []byte
}

// Route is one way out: direct to MX hosts from a source address, or through a relay.
type Route struct {
	// Name names it in pools, events and state. Required; letters, digits, '-', '_' and '.', at most 64.
	Name string
	// LocalAddr is the source address of its connections, without a port. Defaults to the system's choice.
	LocalAddr string
	// Proxy is what its connections go through, to leave from an address of another host. For proxy-v2 that is LocalAddr, which is required then; for socks5
	// LocalAddr, if set, is what receivers see, and says only whether they are connected to by IPv4 or IPv6. Defaults to none.
	Proxy *Proxy
	// Hostname is the name it greets with: the EHLO name, which should resolve to LocalAddr and back. A fully qualified
	// domain name or an address literal. Required for direct routes; for relays it defaults to an address literal of LocalAddr or "[127.0.0.1]".
	Hostname string
	// Relay sends through a smarthost instead of to MX hosts. Defaults to direct.
	Relay *Relay
	// Warmup is the plan by which a cold route is warmed up, for each provider. Direct routes only. Defaults to none: warm.
	Warmup warmup.Plan
	// WarmupTotal is a plan for all that goes over the route, to whatever provider, beside Warmup. With Plan.Keep it is a limit that stays. Direct routes
	// only. Defaults to none.
	WarmupTotal warmup.Plan
	// Cap is a hard cap over all that goes over the route, to whatever provider. Defaults to none.
	Cap throttle.Cap
	// TLS is the least TLS that the route accepts. A provider's profile may ask for more. Defaults to opportunistic for
	// direct routes; Relay.TLS rules for relays.
	TLS transport.TLSPolicy
}

// Relay is a smarthost.
type Relay struct {
	// Addr is its HOST:PORT. Required.
	Addr string
	// Auth authenticates to it: PLAIN, LOGIN or OAUTHBEARER of go-sasl. One value serves all connections, so it must keep
	// no state between them, as those of go-sasl do not. Defaults to none.
	Auth sasl.Client
	// AuthFunc gives a fresh client for each connection, for tokens that expire. It replaces Auth. Defaults to none.
	AuthFunc func() sasl.Client
	// TLS is the policy. Defaults to implicit on port 465, verified where Auth is set, and opportunistic otherwise.
	TLS transport.TLSPolicy
	// Limits are the relay's own, in the place of a provider's. Defaults to 10 connections of 100 messages of 100
	// recipients, at any rate.
	Limits *throttle.Limits
}

// Pool is the routes that a stream may use.
type Pool struct {
	// Name names it. Required.
	Name string
	// Routes are tried in order for each new delivery: the first that is open and, when it is being warmed up, has allowance left. With Weights the order changes
	// from delivery to delivery. What is tried again stays on its route, since greylisting remembers the address; unless the path is
	// stopped for 15 minutes and more: then it takes another one.
	Routes []string
	// Weights share new mail among Routes, for each provider, in proportion to the numbers, 1 to 1000; a route that is not named has 1. The part of one that is closed or busy
	// goes to the others; where a cap of the provider or of the process holds mail up, what it lets through is shared by weights. Defaults to none: the first route takes all that it can.
	Weights map[string]int
	// Overflow are tried in order when no route of Routes is open or has allowance. With none, mail waits: it never goes
	// over a cold route above its plan. Saturation (a connection or rate limit) never overflows; it waits.
	Overflow []string
}

// Stream is a class of mail with its own pool, signing identity, deadline and weight.
type Stream struct {
	// Name names it. Required.
	Name string
	// Pool is its pool. Defaults to the first one.
	Pool string
	// Signer signs its messages. Defaults to none: unsigned.
	Signer Signer
	// SigningDomain is the domain that Signer signs for: for WarmupDomains, and so that a provider which limits or blocks the domain stops its mail
	// over all routes, and no other mail. Defaults to none.
	SigningDomain string
	// ExpireAfter is how long its deliveries live, at least a minute. Defaults to 72 hours.
	ExpireAfter time.Duration
	// OverflowAfter is how long its mail may wait for the warm-up allowance of its routes before it overflows. Of a campaign that comes all at once, as much as
	// the routes may carry within that time waits for them, the best of it, and the rest overflows at once. Without it, hardly anything would go
	// over a route whose allowance is spread over the day. At most 24 hours, and below ExpireAfter; at most 10,000
	// deliveries wait for a path like this. Defaults to 0: what cannot go at once overflows, as befits mail that somebody waits for.
	OverflowAfter time.Duration
	// Weight is its share of a path that it contends for with other streams, 1 to 1000. Defaults to 1.
	Weight int
	// Gate is asked for each of its recipients, after Config.Gate. Defaults to none.
	Gate Gate
	// ReturnPath gives each delivery a return path of its own, so that bounces which come back as mail can be told apart.
	// Defaults to none: bounces go to Message.From.
	ReturnPath *ReturnPath
}

// ConfigError says which field of a Config is wrong, and why.
type ConfigError struct {
	// Field is the path of the field: "Routes[1].LocalAddr".
	Field string
	// Reason is in words.
	Reason string
}

// Error names the field and the reason.
func (e *ConfigError) Error() string { return "sender: Config." + e.Field + ": " + e.Reason }

func badConfig(field, format string, args ...any) error {
	return &ConfigError{Field: field, Reason: fmt.Sprintf(format, args...)}
}
