package route

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/reputemail/repute/internal/dnsx"
	"github.com/reputemail/repute/internal/keyed"
)

// The bounds of a look-up, whatever the answers are.
const (
	// maxBatches bounds how many hosts without addresses are looked at in the search for MaxHosts good ones.
	maxBatches = 4
	// maxNames is how many names of mail exchangers a Destination has.
	maxNames = 32
	// lookupTime is how long it all takes: a chain of aliases whose every link comes late, twenty hosts whose name servers
	// are silent. Where servers may take longer for two questions, those are waited for.
	lookupTime = time.Minute
)

// Resolver finds the mail exchangers of domains and the addresses of hosts. It is safe for concurrent use. It has nothing to close.
type Resolver struct {
	cfg    Config
	dns    *dnsx.Client
	family dnsx.Family

	dests   *keyed.Map[string, answer[Destination]]
	hosts   *keyed.Map[string, answer[[]netip.Addr]]
	within  time.Duration // lookupTime
	domains flights[answer[Destination]]
	names   flights[answer[[]netip.Addr]]
}

// answer is a result or an error, and until when it holds.
type answer[V any] struct {
	value   V
	err     *Error
	expires time.Time
}

// New makes a Resolver. The error names the field of Config that is wrong.
func New(cfg Config) (*Resolver, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	client, err := dnsx.New(dnsx.Config{
		Servers: cfg.Servers, Timeout: cfg.Timeout, Attempts: cfg.Attempts, Dial: dnsx.DialFunc(cfg.Dial),
	})
	if err != nil {
		return nil, fmt.Errorf("route: %w", err)
	}
	r := &Resolver{
		cfg: cfg,
		dns: client, within: max(lookupTime, 2*client.Longest()),
		dests: keyed.New(keyed.Config[string, answer[Destination]]{Max: cfg.CacheSize}),
		hosts: keyed.New(keyed.Config[string, answer[[]netip.Addr]]{Max: cfg.CacheSize}),
	}
	switch cfg.Family {
	case FamilyIPv4Only:
		r.family = dnsx.IPv4
	case FamilyIPv6Only:
		r.family = dnsx.IPv6
	}
	return r, nil
}

// Resolve finds where the mail of domain goes. domain is the part after the "@": a name with U-labels or A-labels in either case, or an
// address literal in brackets. The error is an *Error, or the context's own error, which comes at once when ctx ends.
//
// The Destination is the caller's own; hosts of equal preference are in a new random order each time.
func (r *Resolver) Resolve(ctx context.Context, domain string) (Destination, error) {
	if strings.HasPrefix(domain, "[") {
		return r.literal(domain)
	}
	name, ok := Domain(domain)
	if !ok {
		return Destination{}, malformed(domain)
	}
	now := time.Now()
	a, ok := r.dests.Get(now, name)
	if !ok || !now.Before(a.expires) {
		var err error
		a, err = r.domains.do(ctx, name, func(ctx context.Context) answer[Destination] {
			within, cancel := context.WithTimeout(ctx, r.within)
			defer cancel()
			dest, ttl, failed := r.lookup(within, name)
			a := answer[Destination]{value: dest, err: failed, expires: r.expires(ttl, failed)}
			a.value.Expires = a.expires
			if ctx.Err() == nil {
				r.dests.Put(time.Now(), name, a)
			}
			return a
		})
		if err != nil {
			return Destination{}, err
		}
	}
	if a.err != nil {
		return Destination{}, a.err
	}
	return r.deal(a.value), nil
}

// Addrs finds the addresses of a host that the operator named, such as a relay, in the order in which to try them. host is a name or an IP
// address, with or without brackets; "localhost" is this machine (RFC 6761 section 6.3). Config.AllowLoopback and Config.AllowPrivate do not
// matter here: a relay is in the operator's own network as often as not, and no stranger named it.
//
// The error is an *Error that is always temporary, or the context's own: that our relay has no address is not the recipient's fault, and no
// mail must bounce for it before its time.
func (r *Resolver) Addrs(ctx context.Context, host string) ([]netip.Addr, error) {
	bare := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if addr, err := netip.ParseAddr(bare); err == nil {
		return []netip.Addr{addr.Unmap()}, nil
	}
	name, ok := Domain(host)
	if !ok {
		return nil, relayError(host, "not a host name")
	}
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return r.order([]netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, true), nil
	}
	now := time.Now()
	a, ok := r.hosts.Get(now, name)
	if !ok || !now.Before(a.expires) {
		var err error
		a, err = r.names.do(ctx, name, func(ctx context.Context) answer[[]netip.Addr] {
			within, cancel := context.WithTimeout(ctx, r.within)
			defer cancel()
			list, ttl, err := r.dns.Addrs(within, name, r.family)
			a := answer[[]netip.Addr]{value: r.order(list, true)}
			switch {
			case dnsx.KindOf(err) == dnsx.Temporary:
				a.err = temporary(name, err)
			case err != nil:
				a.err = relayError(name, r.noAddress(err))
				a.err.Err = err
			case len(a.value) == 0:
				a.err = relayError(name, "no usable address")
			}
			a.expires = r.expires(ttl, a.err)
			if ctx.Err() == nil {
				r.hosts.Put(time.Now(), name, a)
			}
			return a
		})
		if err != nil {
			return nil, err
		}
	}
	if a.err != nil {
		return nil, a.err
	}
	return slices.Clone(a.value), nil
}

// literal is the destination of an address literal.
func (r *Resolver) literal(domain string) (Destination, error) {
	addr, ok := literal(domain)
	if !ok {
		return Destination{}, malformed(domain)
	}
	text := "[" + addr.String() + "]"
	if addr.Is6() {
		text = "[IPv6:" + addr.String() + "]"
	}
	list := r.order([]netip.Addr{addr}, false)
	switch {
	case len(list) > 0:
	case r.usable(addr):
		return Destination{}, outOfReach(text, text+": "+r.onlyOther())
	case scopeOf(addr) == scopePrivate:
		return Destination{}, permanent(text, unusable("a private address"))
	default:
		return Destination{}, permanent(text, unusable("the address can not be used"))
	}
	return Destination{
		Domain:  text,
		Hosts:   []Host{{Name: text, Addrs: list}},
		Expires: time.Now().Add(r.cfg.MaxTTL),
	}, nil
}

// lookup asks the DNS for a domain's mail exchangers and their addresses, and says for how long the answer holds.
func (r *Resolver) lookup(ctx context.Context, domain string) (Destination, time.Duration, *Error) {
	dest := Destination{Domain: domain}
	mxs, ttl, err := r.dns.MX(ctx, domain)
	switch dnsx.KindOf(err) {
	case "":
	case dnsx.NXDomain:
		return dest, negativeTTL(err), notFound(domain, err)
	case dnsx.NoData:
		return r.implicit(ctx, dest)
	case dnsx.Invalid:
		return dest, r.cfg.NegativeTTL, malformed(domain)
	default:
		return dest, 0, temporary(domain, err)
	}

	// RFC 7505 section 3: the null MX stands alone; beside others it means nothing.
	mxs = slices.DeleteFunc(mxs, func(mx dnsx.MX) bool { return mx.Host == "" })
	if len(mxs) == 0 {
		return dest, ttl, permanent(domain, nullMX())
	}
	for _, mx := range mxs {
		if _, ok := Domain(mx.Host); ok && len(dest.MX) < maxNames {
			dest.MX = append(dest.MX, mx.Host)
		}
	}
	slices.Sort(dest.MX)
	dest.MX = slices.Compact(dest.MX)

	// RFC 5321 section 5.1: the lowest preference first, equal ones in random order.
	r.cfg.Shuffle(len(mxs), func(i, j int) { mxs[i], mxs[j] = mxs[j], mxs[i] })
	slices.SortStableFunc(mxs, func(a, b dnsx.MX) int { return cmp.Compare(a.Preference, b.Preference) })
	var failed *Error
	var why, other []string
	for range maxBatches {
		n := min(r.cfg.MaxHosts-len(dest.Hosts), len(mxs))
		if n == 0 {
			break
		}
		for _, h := range r.hostAddrs(ctx, mxs[:n]) {
			switch {
			case h.temporary:
				failed = cmp.Or(failed, temporary(domain, h.err))
			case len(h.host.Addrs) > 0:
				dest.Hosts = append(dest.Hosts, h.host)
				ttl = min(ttl, h.ttl)
			case h.other:
				other = append(other, brief(h.host.Name)+": "+r.onlyOther())
			default:
				why = append(why, brief(h.host.Name)+": "+h.why)
			}
		}
		mxs = mxs[n:]
	}
	switch {
	case len(dest.Hosts) > 0 && failed != nil:
		return dest, min(ttl, r.cfg.NegativeTTL), nil // soon look again for those that are missing
	case len(dest.Hosts) > 0:
		return dest, ttl, nil
	case failed != nil:
		return dest, 0, failed
	case len(other) > 0:
		return dest, 0, outOfReach(domain, other[0])
	}
	const shown = 3
	text := strings.Join(why[:min(shown, len(why))], "; ")
	if more := len(why) - shown + len(mxs); len(why) >= shown && more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return dest, min(ttl, r.cfg.NegativeTTL), permanent(domain, unusable(text))
}

// implicit is the destination of a domain without MX records: its own address (RFC 5321 section 5.1).
func (r *Resolver) implicit(ctx context.Context, dest Destination) (Destination, time.Duration, *Error) {
	h := r.hostAddrs(ctx, []dnsx.MX{{Host: dest.Domain}})[0]
	switch {
	case h.temporary:
		return dest, 0, temporary(dest.Domain, h.err)
	case len(h.host.Addrs) > 0:
		dest.Implicit = true
		dest.Hosts = []Host{h.host}
		dest.MX = []string{dest.Domain}
		return dest, h.ttl, nil
	case h.other:
		return dest, 0, outOfReach(dest.Domain, dest.Domain+": "+r.onlyOther())
	}
	ttl := r.cfg.NegativeTTL
	if h.err != nil {
		ttl = negativeTTL(h.err)
	}
	if dnsx.KindOf(h.err) == dnsx.NXDomain {
		return dest, ttl, notFound(dest.Domain, h.err)
	}
	e := permanent(dest.Domain, unusable("no MX record, and of the domain itself: "+h.why))
	e.Err = h.err
	return dest, ttl, e
}

// found is what the lookup of one host gave: addresses, or why there are none. other says that there are some of the family that is never used.
type found struct {
	host      Host
	ttl       time.Duration
	temporary bool
	other     bool
	why       string
	err       error
}

// hostAddrs looks up hosts at the same time. The results are in the order of the hosts.
func (r *Resolver) hostAddrs(ctx context.Context, mxs []dnsx.MX) []found {
	list := make([]found, len(mxs))
	var wg sync.WaitGroup
	for i, mx := range mxs {
		wg.Go(func() { list[i] = r.hostAddr(ctx, mx) })
	}
	wg.Wait()
	return list
}

// hostAddr looks up one host.
func (r *Resolver) hostAddr(ctx context.Context, mx dnsx.MX) found {
	f := found{host: Host{Name: mx.Host, Preference: mx.Preference}}
	if _, err := netip.ParseAddr(mx.Host); err == nil {
		f.why = "an address where a name must be" // RFC 5321 section 5.1
		return f
	}
	if _, ok := Domain(mx.Host); !ok {
		f.why = "not a host name"
		return f
	}
	list, ttl, err := r.dns.Addrs(ctx, mx.Host, r.family)
	f.ttl = ttl
	switch {
	case err != nil:
		f.err, f.temporary, f.why = err, dnsx.KindOf(err) == dnsx.Temporary, r.noAddress(err)
	case slices.ContainsFunc(list, func(a netip.Addr) bool { return scopeOf(a) == scopePrivate }):
		f.why = "only private addresses"
	default:
		f.why = "only addresses that can not be used"
	}
	if f.host.Addrs = r.order(list, false); len(f.host.Addrs) == 0 && (err == nil || dnsx.KindOf(err) == dnsx.NoData) {
		r.lookOther(ctx, &f)
	}
	return f
}

// lookOther looks whether a host without an address that is used has one of the family that Config.Family leaves out.
func (r *Resolver) lookOther(ctx context.Context, f *found) {
	family := dnsx.IPv4
	switch r.family {
	case dnsx.Both:
		return
	case dnsx.IPv4:
		family = dnsx.IPv6
	}
	list, _, err := r.dns.Addrs(ctx, f.host.Name, family)
	if dnsx.KindOf(err) == dnsx.Temporary {
		f.err, f.temporary = err, true
	}
	f.other = slices.ContainsFunc(list, r.usable)
}

// onlyOther says that there are addresses of the other family only.
func (r *Resolver) onlyOther() string {
	name := "IPv6"
	if r.family == dnsx.IPv6 {
		name = "IPv4"
	}
	return "only " + name + " addresses, and Config.Family is " + string(r.cfg.Family)
}

// noAddress is why a host has no address, in a few words.
func (r *Resolver) noAddress(err error) string {
	switch {
	case dnsx.KindOf(err) != dnsx.NoData:
		return reason(err)
	case r.family == dnsx.IPv4:
		return "no IPv4 address"
	case r.family == dnsx.IPv6:
		return "no IPv6 address"
	}
	return "no address"
}

// usable reports whether an address can be that of a mail host that a stranger named.
func (r *Resolver) usable(a netip.Addr) bool {
	switch scopeOf(a) {
	case scopePublic:
		return true
	case scopeLoopback:
		return r.cfg.AllowLoopback
	case scopePrivate:
		return r.cfg.AllowPrivate
	}
	return false
}

// order puts addresses into the order of Config.Family and leaves out those that can not be a mail host's, or for a relay only those that
// lead to no host at all.
func (r *Resolver) order(list []netip.Addr, relay bool) []netip.Addr {
	var four, six []netip.Addr
	for _, a := range list {
		a = a.Unmap()
		switch {
		case !r.usable(a) && !(relay && scopeOf(a) != scopeNone):
		case a.Is4():
			four = append(four, a)
		default:
			six = append(six, a)
		}
	}
	switch r.cfg.Family {
	case FamilyIPv4Only:
		return four
	case FamilyIPv6Only:
		return six
	case FamilyIPv6First:
		four, six = six, four
	}
	out := make([]netip.Addr, 0, len(four)+len(six))
	for i := range max(len(four), len(six)) {
		if i < len(four) {
			out = append(out, four[i])
		}
		if i < len(six) {
			out = append(out, six[i])
		}
	}
	return out
}

// deal copies a remembered destination and puts hosts of equal preference into a new order.
func (r *Resolver) deal(d Destination) Destination {
	n := 0
	for _, h := range d.Hosts {
		n += len(h.Addrs)
	}
	addrs := make([]netip.Addr, 0, n)
	hosts := slices.Clone(d.Hosts)
	for i, h := range hosts {
		start := len(addrs)
		addrs = append(addrs, h.Addrs...)
		hosts[i].Addrs = addrs[start:len(addrs):len(addrs)]
	}
	for start := 0; start < len(hosts); {
		end := start + 1
		for end < len(hosts) && hosts[end].Preference == hosts[start].Preference {
			end++
		}
		if run := hosts[start:end]; len(run) > 1 {
			r.cfg.Shuffle(len(run), func(i, j int) { run[i], run[j] = run[j], run[i] })
		}
		start = end
	}
	d.Hosts, d.MX = hosts, slices.Clone(d.MX)
	return d
}

// expires is until when an answer holds.
func (r *Resolver) expires(ttl time.Duration, failed *Error) time.Time {
	switch {
	case failed == nil:
		ttl = min(max(ttl, r.cfg.MinTTL), r.cfg.MaxTTL)
	case failed.Temporary:
		ttl = r.cfg.FailureTTL
	default:
		ttl = min(max(ttl, r.cfg.MinTTL), r.cfg.NegativeTTL)
	}
	return time.Now().Add(ttl)
}
