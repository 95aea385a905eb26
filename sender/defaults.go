package sender

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/reputemail/repute/sender/transport"
	"github.com/reputemail/repute/throttle"
	"github.com/reputemail/repute/warmup"
)

// The bounds and defaults of Config.
const (
	defaultPort           = 25
	defaultMaxMessageSize = 25 << 20
	maxRecipients         = 1000
	defaultMaxConnections = 500
	defaultExpireAfter    = 72 * time.Hour
	minExpireAfter        = time.Minute
	maxWeight             = 1000
	maxOverflowAfter      = 24 * time.Hour
)

// withDefaults returns a copy with every default filled in, or the first error.
func (c Config) withDefaults() (Config, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	ints := []struct {
		field    string
		v        *int
		def, max int
	}{
		{"Port", &c.Port, defaultPort, 65535},
		{"MaxMessageSize", &c.MaxMessageSize, defaultMaxMessageSize, 1 << 30},
		{"MaxRecipients", &c.MaxRecipients, maxRecipients, maxRecipients},
		{"MaxConnections", &c.MaxConnections, defaultMaxConnections, 1 << 20},
	}
	for _, i := range ints {
		if *i.v == 0 {
			*i.v = i.def
		}
		if *i.v < 0 || *i.v > i.max {
			return c, badConfig(i.field, "%d is not in 1 to %d", *i.v, i.max)
		}
	}
	if err := c.Retry.withDefaults(); err != nil {
		return c, err
	}
	if err := c.checkUnused(); err != nil {
		return c, err
	}
	if err := c.checkNil(); err != nil {
		return c, err
	}
	if len(c.Routes) == 0 {
		return c, badConfig("Routes", "at least one route is needed")
	}
	routes := map[string]bool{}
	c.Routes = append([]Route(nil), c.Routes...)
	for i := range c.Routes {
		field := "Routes[" + strconv.Itoa(i) + "]"
		if err := c.Routes[i].withDefaults(field); err != nil {
			return c, err
		}
		if routes[c.Routes[i].Name] {
			return c, badConfig(field+".Name", "%q stands twice", c.Routes[i].Name)
		}
		routes[c.Routes[i].Name] = true
	}
	for i, server := range c.DNS {
		if _, _, err := net.SplitHostPort(server); err != nil {
			return c, badConfig("DNS["+strconv.Itoa(i)+"]", "%q is not HOST:PORT", server)
		}
	}
	if err := c.poolDefaults(routes); err != nil {
		return c, err
	}
	if err := c.streamDefaults(); err != nil {
		return c, err
	}
	return c, c.checkWarmup()
}

// checkNil refuses interfaces that hold a nil pointer: they look set, and fail when they are used.
func (c *Config) checkNil() error {
	parts := map[string]any{
		"Queue": c.Queue, "Resolver": c.Resolver, "Transport": c.Transport, "Pacer": c.Pacer, "WarmupStore": c.WarmupStore, "MigrationStore": c.MigrationStore, "ThrottleStore": c.ThrottleStore, "Throttle": c.Throttle,
		"Providers": c.Providers, "Classifier": c.Classifier, "Suppressions": c.Suppressions, "Gate": c.Gate, "Ranker": c.Ranker, "Observer": c.Observer,
	}
	for i, s := range c.Streams {
		field := "Streams[" + strconv.Itoa(i) + "]"
		parts[field+".Signer"], parts[field+".Gate"] = s.Signer, s.Gate
		if s.ReturnPath != nil {
			parts[field+".ReturnPath.Tokens"] = s.ReturnPath.Tokens
		}
	}
	for field, part := range parts {
		if v := reflect.ValueOf(part); part != nil && (v.Kind() == reflect.Pointer || v.Kind() == reflect.Func) && v.IsNil() {
			return badConfig(field, "holds a nil %T", part)
		}
	}
	return nil
}

// checkUnused refuses what would have no effect beside a part that the host brings itself.
func (c *Config) checkUnused() error {
	for _, f := range []struct {
		field, part string
		set         bool
	}{
		{"Limits", "Throttle", c.Throttle != nil && c.Limits != nil},
		{"Backoff", "Throttle", c.Throttle != nil && c.Backoff != throttle.Backoff{}},
		{"ThrottleStore", "Throttle", c.Throttle != nil && c.ThrottleStore != nil},
		{"ThrottleTTL", "Throttle", c.Throttle != nil && c.ThrottleTTL != 0},
		{"ThrottleOwner", "Throttle", c.Throttle != nil && c.ThrottleOwner != ""},
		{"Reactions", "Throttle", c.Throttle != nil && c.Reactions != nil},
		{"ProviderCaps", "Throttle", c.Throttle != nil && c.ProviderCaps != nil},
		{"MaxMessageRate", "Throttle", c.Throttle != nil && c.MaxMessageRate != throttle.Rate{}},
		{"WarmupStore", "Pacer", c.Pacer != nil && c.WarmupStore != nil},
		{"WarmupGate", "Pacer", c.Pacer != nil && !reflect.DeepEqual(c.WarmupGate, warmup.Gate{})},
		{"DNS", "Resolver", c.Resolver != nil && len(c.DNS) > 0},
		{"DialDNS", "Resolver", c.Resolver != nil && c.DialDNS != nil},
		{"AllowLoopback", "Resolver", c.Resolver != nil && c.AllowLoopback},
		{"AllowPrivate", "Resolver", c.Resolver != nil && c.AllowPrivate},
		{"Dial", "Transport", c.Transport != nil && c.Dial != nil},
		{"TLS", "Transport", c.Transport != nil && c.TLS != nil},
	} {
		if f.set {
			return badConfig(f.field, "has no effect beside a %s of your own", f.part)
		}
	}
	return nil
}

func (c *Config) poolDefaults(routes map[string]bool) error {
	if len(c.Pools) == 0 {
		p := Pool{Name: "default"}
		for _, r := range c.Routes {
			p.Routes = append(p.Routes, r.Name)
		}
		c.Pools = []Pool{p}
	}
	seen := map[string]bool{}
	for i, p := range c.Pools {
		field := "Pools[" + strconv.Itoa(i) + "]"
		if err := checkName(field, p.Name, seen); err != nil {
			return err
		}
		if len(p.Routes) == 0 {
			return badConfig(field+".Routes", "pool %q has no route", p.Name)
		}
		used := map[string]bool{}
		for tier, names := range [][]string{p.Routes, p.Overflow} {
			sub := field + [...]string{".Routes", ".Overflow"}[tier]
			for j, name := range names {
				at := sub + "[" + strconv.Itoa(j) + "]"
				if !routes[name] {
					return badConfig(at, "there is no route %q", name)
				}
				if used[name] {
					return badConfig(at, "route %q stands twice in pool %q", name, p.Name)
				}
				used[name] = true
			}
		}
		for name, weight := range p.Weights {
			at := field + ".Weights[" + strconv.Quote(name) + "]"
			if !slices.Contains(p.Routes, name) {
				return badConfig(at, "%q is none of the pool's Routes", name)
			}
			if weight < 1 || weight > maxWeight {
				return badConfig(at, "%d is not in 1 to %d", weight, maxWeight)
			}
		}
	}
	return nil
}

func (c *Config) streamDefaults() error {
	if len(c.Streams) == 0 {
		c.Streams = []Stream{{Name: "default"}}
	}
	c.Streams = append([]Stream(nil), c.Streams...)
	seen := map[string]bool{}
	for i := range c.Streams {
		s := &c.Streams[i]
		field := "Streams[" + strconv.Itoa(i) + "]"
		if err := checkName(field, s.Name, seen); err != nil {
			return err
		}
		if s.Pool == "" {
			s.Pool = c.Pools[0].Name
		}
		known := false
		for _, p := range c.Pools {
			known = known || p.Name == s.Pool
		}
		if !known {
			return badConfig(field+".Pool", "there is no pool %q", s.Pool)
		}
		if s.ExpireAfter == 0 {
			s.ExpireAfter = defaultExpireAfter
		}
		if s.ExpireAfter < minExpireAfter {
			return badConfig(field+".ExpireAfter", "%v is under %v", s.ExpireAfter, minExpireAfter)
		}
		if s.OverflowAfter < 0 || s.OverflowAfter > maxOverflowAfter {
			return badConfig(field+".OverflowAfter", "%v is not in 0 to %v", s.OverflowAfter, maxOverflowAfter)
		}
		if s.OverflowAfter >= s.ExpireAfter {
			return badConfig(field+".OverflowAfter", "%v is not below ExpireAfter, which is %v: what waits would expire", s.OverflowAfter, s.ExpireAfter)
		}
		if s.Weight == 0 {
			s.Weight = 1
		}
		if s.Weight < 0 || s.Weight > maxWeight {
			return badConfig(field+".Weight", "%d is not in 1 to %d", s.Weight, maxWeight)
		}
		if s.ReturnPath != nil {
			var err error
			if s.ReturnPath, err = s.ReturnPath.withDefaults(field + ".ReturnPath"); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkWarmup checks the gate, and the plans of signing domains.
func (c *Config) checkWarmup() error {
	if err := c.WarmupGate.Validate(); err != nil {
		return badConfig("WarmupGate", "%v", err)
	}
	for domain, plan := range c.WarmupDomains {
		field := "WarmupDomains[" + strconv.Quote(domain) + "]"
		used := slices.ContainsFunc(c.Streams, func(s Stream) bool { return s.SigningDomain == domain })
		if domain == "" || !used {
			return badConfig(field, "no stream has this SigningDomain")
		}
		if err := plan.Validate(); err != nil {
			return badConfig(field, "%v", err)
		}
	}
	return nil
}

// withDefaults checks a route and fills in its defaults.
func (r *Route) withDefaults(field string) error {
	if err := checkName(field, r.Name, map[string]bool{}); err != nil {
		return err
	}
	if r.LocalAddr != "" {
		if _, err := netip.ParseAddr(r.LocalAddr); err != nil {
			return badConfig(field+".LocalAddr", "%q is not an IP address", r.LocalAddr)
		}
	}
	if err := r.checkProxy(field); err != nil {
		return err
	}
	if r.Relay != nil {
		if err := r.relayDefaults(field); err != nil {
			return err
		}
	}
	if r.Cap.Connections < 0 {
		return badConfig(field+".Cap.Connections", "%d is negative", r.Cap.Connections)
	}
	if r.Hostname == "" {
		return badConfig(field+".Hostname", "a direct route needs the name it greets with (RFC 5321 section 4.1.1.1)")
	}
	if err := checkHostname(r.Hostname); err != nil {
		return badConfig(field+".Hostname", "%v", err)
	}
	switch r.TLS {
	case "":
		r.TLS = transport.TLSOpportunistic
	case transport.TLSOpportunistic, transport.TLSRequired, transport.TLSVerified, transport.TLSNone:
	default:
		return badConfig(field+".TLS", "%q is not a policy for a direct route", r.TLS)
	}
	for name, plan := range map[string]warmup.Plan{".Warmup": r.Warmup, ".WarmupTotal": r.WarmupTotal} {
		if plan.IsZero() {
			continue
		}
		if r.Relay != nil {
			return badConfig(field+name, "a relay cannot be warmed up from here: its addresses are its operator's")
		}
		if err := plan.Validate(); err != nil {
			return badConfig(field+name, "%v", err)
		}
	}
	return nil
}

func (r *Route) relayDefaults(field string) error {
	relay := *r.Relay
	r.Relay = &relay
	host, port, err := net.SplitHostPort(relay.Addr)
	if err != nil || host == "" {
		return badConfig(field+".Relay.Addr", "%q is not HOST:PORT", relay.Addr)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return badConfig(field+".Relay.Addr", "%q has no port number", relay.Addr)
	}
	switch relay.TLS {
	case "":
		switch {
		case port == "465":
			r.Relay.TLS = transport.TLSImplicit // RFC 8314 section 3.3
		case relay.Auth != nil || relay.AuthFunc != nil:
			r.Relay.TLS = transport.TLSVerified
		default:
			r.Relay.TLS = transport.TLSOpportunistic
		}
	case transport.TLSOpportunistic, transport.TLSRequired, transport.TLSVerified, transport.TLSImplicit, transport.TLSNone:
	default:
		return badConfig(field+".Relay.TLS", "%q is not a policy", relay.TLS)
	}
	if r.Hostname == "" {
		r.Hostname = "[127.0.0.1]" // RFC 5321 section 4.1.3: a client without a name gives an address literal
		if addr, err := netip.ParseAddr(r.LocalAddr); err == nil {
			r.Hostname = addressLiteral(addr)
		}
	}
	return nil
}

// addressLiteral is an address as RFC 5321 section 4.1.3 writes it.
func addressLiteral(a netip.Addr) string {
	if a.Is6() && !a.Is4In6() {
		return "[IPv6:" + a.String() + "]"
	}
	return "[" + a.Unmap().String() + "]"
}

// checkName checks the name of a route, pool or stream and that it is new in seen.
func checkName(field, name string, seen map[string]bool) error {
	if name == "" {
		return badConfig(field+".Name", "is empty")
	}
	if len(name) > 64 {
		return badConfig(field+".Name", "%q is longer than 64 characters", name)
	}
	for _, r := range name {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r)) {
			return badConfig(field+".Name", "%q has the character %q; letters, digits, '-', '_' and '.' are allowed", name, r)
		}
	}
	if seen[name] {
		return badConfig(field+".Name", "%q stands twice", name)
	}
	seen[name] = true
	return nil
}

// checkHostname checks an EHLO name: a fully qualified domain name or an address literal (RFC 5321 section 4.1.1.1).
func checkHostname(name string) error {
	if strings.HasPrefix(name, "[") {
		_, err := normalDomain(name)
		return err
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return fmt.Errorf("%q is a bare address; an address literal has brackets", name)
	}
	if !strings.Contains(name, ".") || strings.HasSuffix(name, ".") {
		return fmt.Errorf("%q is not a fully qualified domain name", name)
	}
	a, err := normalDomain(name)
	if err != nil {
		return err
	}
	if a != strings.ToLower(name) {
		return fmt.Errorf("%q must be written in A-labels", name)
	}
	return nil
}
