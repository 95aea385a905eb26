package throttle

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/reputemail/repute/internal/keyed"
)

// Path is what a receiver sees and judges: one route of ours towards one provider, as Table.Provider names it. A relay is
// one receiver whatever it relays to: its Provider is one name of the caller's choice.
type Path struct {
	Route    string `json:"route"`
	Provider string `json:"provider"`
}

// SigningDomain is the path that stands for all mail that is signed by a domain, to a provider: receivers limit and block domains as they do addresses, whatever
// address the mail comes from. Nothing is configured for it; what it is told by ObserveAt stops and slows it. Whoever sends takes a TokenMessage of it beside that
// of the path; the Sender does.
func SigningDomain(domain, provider string) Path {
	return Path{Route: domainPrefix + domain, Provider: provider}
}

// domainPrefix begins Path.Route of a SigningDomain.
const domainPrefix = "domain:"

// String is the path in one word, for logs and errors: "mta1/google".
func (p Path) String() string { return p.Route + "/" + p.Provider }

// Token is what a sender asks for before it acts.
type Token string

// The tokens.
const (
	// TokenConnection is one open connection. It is taken before dialling and released when the connection is closed, also
	// when dialling failed.
	TokenConnection Token = "connection"
	// TokenMessage is one SMTP transaction. It is taken before MAIL, and released only if no MAIL was sent.
	TokenMessage Token = "message"
	// TokenUnopened is a TokenConnection that was taken but not dialled: releasing it also gives back the connect rate's
	// token. It is only for ReleaseAt.
	TokenUnopened Token = "unopened"
)

// Reason says why a token was refused.
type Reason string

// The reasons.
const (
	// ReasonConnections: as many connections are open as the path may have. For a
	// message: more are open than a path that comes back from a stop may have; close idle ones.
	ReasonConnections Reason = "connections"
	// ReasonRouteCap, ReasonProviderCap and ReasonProcessCap: as many are open as a Cap allows. The release of a connection of another path can change the answer.
	ReasonRouteCap    Reason = "route-cap"
	ReasonProviderCap Reason = "provider-cap"
	ReasonProcessCap  Reason = "process-cap"
	// ReasonConnectRate: connections were opened too fast.
	ReasonConnectRate Reason = "connect-rate"
	// ReasonMessageRate: messages were begun too fast.
	ReasonMessageRate Reason = "message-rate"
	// ReasonRouteRate, ReasonProviderRate and ReasonProcessRate: messages were begun too fast for a Cap. Another path under it may have a message before this one, so that
	// paths take turns.
	ReasonRouteRate    Reason = "route-rate"
	ReasonProviderRate Reason = "provider-rate"
	ReasonProcessRate  Reason = "process-rate"
	// ReasonBackoff: the path is stopped after a rate limit or failures of the receiver.
	ReasonBackoff Reason = "backoff"
	// ReasonSuspended: the path is stopped because the receiver blocks us.
	ReasonSuspended Reason = "suspended"
	// ReasonShare: this process's share of connections that several processes have together is used up.
	ReasonShare Reason = "share"
	// ReasonInvalid: there is no such token to take. A mistake of the caller.
	ReasonInvalid Reason = "invalid"
)

// Decision is the answer to a request for a token.
type Decision struct {
	// OK: the token was taken. Otherwise nothing was.
	OK bool
	// Until is when to ask again. The zero time: unknown, wait for a release or a success on this path, or for a release on another one where the reason is a cap. Zero
	// when OK.
	Until time.Time
	// Reason says why the token was refused. Empty when OK.
	Reason Reason
	// Limits hold on the path now: the configured ones, lowered by what the receiver has signalled.
	Limits Limits
	// Surplus is how many connections more are open than may be, since a limit was lowered or the share of this process in one has shrunk, to none at times. A sender closes so many:
	// the idle ones at once, others when their message is done.
	Surplus int
}

// Config says what a Limiter allows. The zero Config has the built-in table and no caps beyond it.
type Config struct {
	// Table knows the limits of providers. Defaults to the built-in providers.
	Table *Table
	// Names are providers that the caller has by other means than Table, so that Limits and ProviderConnections may name
	// them. Defaults to none.
	Names []string
	// Limits replaces the table's limits for a provider. A name that is neither one of Names nor one that Table.Provider can
	// return is refused. Defaults to none.
	Limits map[string]Limits
	// Paths replaces the limits of one path, before Limits. Defaults to none.
	Paths map[Path]Limits
	// Routes caps what goes over a route to all providers. Defaults to no caps.
	Routes map[string]Cap
	// Providers caps what goes to a provider over all routes. Its names are checked as those of Limits. Defaults to no caps.
	Providers map[string]Cap
	// Process caps everything. Defaults to no cap.
	Process Cap
	// Reactions are rules for replies that ask for more than their signal does. Defaults to the built-in ones for Table; &Reactions{} has none.
	Reactions *Reactions
	// Backoff tunes the reactions to signals. Defaults as its fields say.
	Backoff Backoff
	// MaxPaths is the most paths remembered. Those with open connections, a running stop or a rate that is used up may exceed
	// it, as may, until they were not used for Idle, those that come back from a stop or have learnt lower limits: forgotten,
	// they would go on at full speed. Defaults to 100,000.
	MaxPaths int
	// Idle is how long an unused path is remembered, with what it has learnt. Only open connections, a running stop and a
	// rate that is used up are remembered longer. Defaults to 24 hours.
	Idle time.Duration
	// Store remembers what is learnt of paths over restarts, and with Owner it shares limits between processes. Whoever sends calls LoadAt once, then SyncAt again and again, and
	// CloseAt at the end; the Sender does. Defaults to none: a restart begins anew, and each process has all limits for itself.
	Store Store
	// Owner names this process among those that use Store, so that they have all limits together, but that of the process: each uses its share, and stops for what a
	// receiver has told another one. Different for each process at a time. 1 to 255 bytes of UTF-8 without control characters. Defaults to none: limits are not shared.
	Owner string
	// TTL is after which time without a sign of a process its share goes to the others, as after a crash. One that is cut off from Store for longer, and goes on sending with
	// the share that it has, may make the sum exceed a limit by that. At least 2 seconds. Defaults to 15 seconds.
	TTL time.Duration
	// OnChange is told of every Change, by the call of ObserveAt that made it, before that returns and without any lock held: it must not block, and may be
	// called concurrently. Defaults to none.
	OnChange func(Change)
	// Logger is told of the same. Defaults to none.
	Logger *slog.Logger
}

// Limiter holds the limits of all paths. It is safe for concurrent use; make one with New. It has no goroutine, and no
// call waits for more than other calls' bookkeeping.
//
// Every call takes the time. Paths take it to run forward: a now up to a minute before the latest one counts as that one.
// A clock that went back further shifts what the path remembers with it and empties its rates, so that it neither holds
// mail longer nor lets more through.
type Limiter struct {
	config  Config
	logger  *slog.Logger
	process *capacity
	// routes and providers have only what is configured, so they are bounded.
	routes, providers map[string]*capacity

	mu      sync.Mutex             // Guards everything in the paths and the caps, and every call of paths.
	domains *keyed.Map[Path, Path] // the DomainPath of each recipient domain that a reaction was to, by route and plain domain
	sharing sharing
	longest time.Duration // the longest stop that there can be
	paths   *keyed.Map[Path, *path]
}

// clockSlack is how far behind the latest time a caller may be for its clock to count as the same.
const clockSlack = time.Minute

// minTTL is the least Config.TTL: two exchanges.
const minTTL = 2 * time.Second

// defaultIdle is how long an unused path is remembered.
const defaultIdle = 24 * time.Hour

// New makes a Limiter, or names the field of config that cannot be.
func New(config Config) (*Limiter, error) {
	if config.Table == nil {
		t, err := NewTable(TableConfig{})
		if err != nil {
			return nil, err
		}
		config.Table = t
	}
	if err := config.validate(); err != nil {
		return nil, fmt.Errorf("throttle: %w", within("Config", err))
	}
	if config.Reactions == nil {
		r, err := NewReactions(ReactionsConfig{Table: config.Table, Names: config.Names})
		if err != nil {
			return nil, err
		}
		config.Reactions = r
	}
	if config.Idle == 0 {
		config.Idle = defaultIdle
	}
	config.Limits, config.Paths = maps.Clone(config.Limits), maps.Clone(config.Paths)
	l := &Limiter{
		config:    config,
		logger:    config.Logger,
		process:   newCapacity(config.Process),
		routes:    caps(config.Routes),
		providers: caps(config.Providers),
	}
	if config.Store != nil {
		l.sharing = sharing{
			on: config.Owner != "", limits: map[string]*shared{}, dirty: map[Path]struct{}{}, active: map[Path]time.Time{}, written: map[Path]time.Time{}, wake: make(chan struct{}, 1),
		}
	}
	l.longest = config.Backoff.Max
	for _, r := range config.Reactions.list {
		l.longest = max(l.longest, r.For)
	}
	if l.logger == nil {
		l.logger = slog.New(slog.DiscardHandler)
	}
	l.paths = keyed.New(keyed.Config[Path, *path]{
		Max:  config.MaxPaths,
		Idle: config.Idle,
		Live: func(now time.Time, _ Path, p *path) bool { return p.live(now, config.Idle) },
	})
	l.domains = keyed.New(keyed.Config[Path, Path]{
		Max:  config.MaxPaths,
		Idle: config.Idle,
		Live: func(now time.Time, _, key Path) bool { return l.sharing.loaded[key] != nil || l.isLive(now, key) },
	})
	return l, nil
}

// validate names the first field that cannot be, and fills in the defaults of Backoff.
func (c *Config) validate() error {
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"MaxPaths", int64(c.MaxPaths)},
		{"Idle", int64(c.Idle)},
	} {
		if f.value < 0 {
			return invalid(f.name, "is negative")
		}
	}
	for provider, limits := range c.Limits {
		name := fmt.Sprintf("Limits[%q]", provider)
		if err := c.checkProvider(name, provider); err != nil {
			return err
		}
		if err := limits.validate(); err != nil {
			return within(name, err)
		}
	}
	for p, limits := range c.Paths {
		if err := limits.validate(); err != nil {
			return within(fmt.Sprintf("Paths[%s]", p), err)
		}
	}
	for route, most := range c.Routes {
		name := fmt.Sprintf("Routes[%q]", route)
		if err := most.validate(); err != nil {
			return within(name, err)
		}
		if most == (Cap{}) {
			return invalid(name, "caps nothing; leave it out")
		}
	}
	for provider, most := range c.Providers {
		name := fmt.Sprintf("Providers[%q]", provider)
		if err := c.checkProvider(name, provider); err != nil {
			return err
		}
		if err := most.validate(); err != nil {
			return within(name, err)
		}
		if most == (Cap{}) {
			return invalid(name, "caps nothing; leave it out")
		}
	}
	if err := c.Process.validate(); err != nil {
		return within("Process", err)
	}
	if err := c.Backoff.validate(); err != nil {
		return within("Backoff", err)
	}
	if c.Owner != "" {
		if c.Store == nil {
			return invalid("Owner", "is set, but no Store")
		}
		if err := checkOwner(c.Owner); err != nil {
			return invalid("Owner", "%v", err)
		}
	}
	if c.TTL != 0 && c.TTL < minTTL {
		return invalid("TTL", "%v is less than %v", c.TTL, minTTL)
	}
	return nil
}

// checkProvider refuses a provider that no destination can have.
func (c *Config) checkProvider(field, provider string) error {
	if !c.Table.possible(provider) && !slices.Contains(c.Names, provider) {
		return invalid(field, "can never match: it is neither a provider of the table nor a domain")
	}
	return nil
}

func caps(config map[string]Cap) map[string]*capacity {
	m := make(map[string]*capacity, len(config))
	for name, most := range config {
		m[name] = newCapacity(most)
	}
	return m
}

// AcquireAt takes a token of a path, if it may be taken now.
//
// A sender that needs both a message and a connection takes the connection first, then the message; when the message is
// refused it gives back TokenUnopened. It does not keep an idle connection open to a path that is stopped.
func (l *Limiter) AcquireAt(now time.Time, key Path, t Token) Decision {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.path(now, key)
	now = p.clock(now)
	if l.sharing.on {
		l.sharesClock(now)
		l.sharing.active[key] = now
		l.useShares(now, key, p)
	}
	d := Decision{Limits: p.effective(now)}
	switch {
	case t != TokenConnection && t != TokenMessage:
		d.Reason = ReasonInvalid
	case now.Before(p.until):
		d.Reason, d.Until = p.cause.reason(), p.until
	case t == TokenConnection:
		if why, until := p.shareFull(); why != "" {
			d.Reason, d.Until = why, laterOf(until, now.Add(time.Millisecond))
			break
		}
		if d.Reason = p.full(&d.Limits, l.processOf(key)); d.Reason != "" {
			break
		}
		if until, ok := p.takeConnect(now); !ok {
			d.Reason, d.Until = ReasonConnectRate, until
		} else {
			d.OK = true
			l.count(key, p, 1)
		}
	case p.cause != "" && p.open > d.Limits.Connections:
		d.Reason = ReasonConnections
	default:
		d.Until, d.Reason = p.takeMessage(now, l.processOf(key))
		d.OK = d.Reason == ""
	}
	d.Surplus = p.surplus(&d.Limits)
	return d
}

// ReleaseAt gives back a token: a connection that was closed, or a message or connection that was not used. Each token is
// released at most once; a connection more than were taken is ignored.
func (l *Limiter) ReleaseAt(now time.Time, key Path, t Token) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, ok := l.paths.Get(now, key)
	if !ok {
		return
	}
	now = p.clock(now)
	switch t {
	case TokenMessage:
		p.giveMessage(now, l.processOf(key))
	case TokenConnection, TokenUnopened:
		if p.open == 0 {
			return
		}
		l.count(key, p, -1)
		if t == TokenUnopened {
			p.giveConnect(now)
		}
	}
}

// count changes the number of open connections wherever it is counted.
func (l *Limiter) count(key Path, p *path, by int) {
	p.open += by
	p.route.add(by)
	p.provider.add(by)
	l.processOf(key).add(by)
}

// path finds or makes the state of a path. The Limiter is locked.
func (l *Limiter) path(now time.Time, key Path) *path {
	return l.paths.GetOrCreate(now, key, func() *path {
		p := l.newPath(now, key)
		delete(l.sharing.loaded, key)
		return p
	})
}

func (l *Limiter) newPath(now time.Time, key Path) *path {
	limits, own := l.limitsOf(key)
	p := &path{limits: limits, seen: now}
	if !own {
		p.route, p.provider = l.routes[key.Route], l.providers[key.Provider]
	}
	p.messages.start(now, limits.MessageRate, 1)
	p.connects.start(now, limits.ConnectRate, 1)
	p.recall(now, l.sharing.loaded[key], l)
	return p
}

// limitsOf are the configured limits of a path. own says that it counts against no caps: that of a signing or recipient domain, which goes beside the path of
// the provider.
func (l *Limiter) limitsOf(key Path) (limits Limits, own bool) {
	if limits, own = l.config.Table.exceptionLimits(key.Provider); own {
		return limits, true
	}
	limits, ok := l.config.Paths[key]
	switch {
	case strings.HasPrefix(key.Route, domainPrefix):
		return limits, true
	case ok:
		return limits, false
	}
	if limits, ok = l.config.Limits[key.Provider]; !ok {
		limits = l.config.Table.Limits(key.Provider)
	}
	return limits, false
}

// isBeside reports whether a path is that of a signing or recipient domain, which goes beside the path of the provider.
func isBeside(key Path) bool {
	return strings.HasPrefix(key.Route, domainPrefix) || strings.HasPrefix(key.Provider, domainMark)
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// processOf is the cap of the process, which a message counts against once: for the path of its provider.
func (l *Limiter) processOf(key Path) *capacity {
	if isBeside(key) {
		return nil
	}
	return l.process
}

// LimitsDomainAt reports whether a recipient domain has limits of its own over a route now: whether a sender has to ask for tokens of its DomainPath too.
func (l *Limiter) LimitsDomainAt(now time.Time, route, domain string) bool {
	if _, excepted := l.config.Table.Exception(domain); excepted {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	key, ok := l.domains.Get(now, Path{route, normalise(domain)})
	if !ok { // no reaction was to it
		return false
	}
	if l.sharing.loaded[key] != nil {
		l.path(now, key)
	}
	return l.isLive(now, key)
}

// limitsDomain notes that LimitsDomainAt has to look at a path, if that is one of a recipient domain. The Limiter is locked.
func (l *Limiter) limitsDomain(now time.Time, key Path) {
	if domain, ok := strings.CutPrefix(key.Provider, domainMark); ok {
		l.domains.Put(now, Path{key.Route, domain}, key)
	}
}

// isLive reports whether a path is remembered, and must be. The Limiter is locked.
func (l *Limiter) isLive(now time.Time, key Path) bool {
	p, ok := l.paths.Peek(now, key)
	return ok && p.live(p.look(now), l.config.Idle)
}
