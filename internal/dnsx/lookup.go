package dnsx

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// MX is one mail exchanger (RFC 1035 section 3.3.9).
type MX struct {
	// Host is its name: lower case, no final dot. Empty for the root name, which stands for "no mail here" (RFC 7505).
	Host string
	// Preference: the lowest is tried first.
	Preference uint16
}

// Family says which addresses to ask for.
type Family string

// The families.
const (
	// Both: A and AAAA records. The default.
	Both Family = ""
	// IPv4: A records only.
	IPv4 Family = "ipv4"
	// IPv6: AAAA records only.
	IPv6 Family = "ipv6"
)

// MX looks up the mail exchangers of name, sorted by preference and without repetition, and for how long the answer holds.
func (c *Client) MX(ctx context.Context, name string) ([]MX, time.Duration, error) {
	rrs, ttl, err := c.lookup(ctx, name, dns.TypeMX)
	if err != nil {
		return nil, 0, err
	}
	list := make([]MX, 0, len(rrs))
	for _, rr := range rrs {
		mx := rr.(*dns.MX)
		list = append(list, MX{Host: display(mx.Mx), Preference: mx.Preference})
	}
	slices.SortStableFunc(list, func(a, b MX) int {
		return cmp.Or(cmp.Compare(a.Preference, b.Preference), strings.Compare(a.Host, b.Host))
	})
	return bounded(slices.Compact(list)), ttl, nil
}

// Addrs looks up the addresses of name, A and AAAA at the same time, and for how long the answer holds. IPv4 addresses come first; within
// a family the order is the server's. When one of the two lookups fails and the other finds addresses, those are the result; when one
// fails and the other finds none, the failure is the error.
func (c *Client) Addrs(ctx context.Context, name string, family Family) ([]netip.Addr, time.Duration, error) {
	switch family {
	case IPv4:
		return c.addrs(ctx, name, dns.TypeA)
	case IPv6:
		return c.addrs(ctx, name, dns.TypeAAAA)
	}
	type result struct {
		addrs []netip.Addr
		ttl   time.Duration
		err   error
	}
	six := make(chan result, 1)
	go func() {
		var r result
		r.addrs, r.ttl, r.err = c.addrs(ctx, name, dns.TypeAAAA)
		six <- r
	}()
	var a result
	a.addrs, a.ttl, a.err = c.addrs(ctx, name, dns.TypeA)
	b := <-six

	switch {
	case a.err == nil && b.err == nil:
		return append(a.addrs, b.addrs...), min(a.ttl, b.ttl), nil
	case ctx.Err() != nil:
		return nil, 0, ctx.Err()
	case a.err == nil:
		return a.addrs, a.ttl, nil
	case b.err == nil:
		return b.addrs, b.ttl, nil
	case KindOf(a.err) == Temporary:
		return nil, 0, a.err
	case KindOf(b.err) == Temporary:
		return nil, 0, b.err
	}
	// Neither has records. Only when both say so does the name not exist.
	ea, eb := a.err.(*Error), b.err.(*Error)
	e := &Error{Kind: ea.Kind, Name: ea.Name, Type: "A/AAAA", TTL: min(ea.TTL, eb.TTL)}
	if ea.Kind != eb.Kind {
		e.Kind = NoData
	}
	return nil, 0, e
}

// addrs looks up the addresses of one type.
func (c *Client) addrs(ctx context.Context, name string, qtype uint16) ([]netip.Addr, time.Duration, error) {
	rrs, ttl, err := c.lookup(ctx, name, qtype)
	if err != nil {
		return nil, 0, err
	}
	list := make([]netip.Addr, 0, min(len(rrs), MaxRecords))
	for _, rr := range bounded(rrs) {
		var ip []byte
		switch rr := rr.(type) {
		case *dns.A:
			ip = rr.A.To4()
		case *dns.AAAA:
			ip = rr.AAAA.To16()
		}
		if a, ok := netip.AddrFromSlice(ip); ok && !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	if len(list) == 0 {
		return nil, 0, &Error{Kind: Temporary, Name: display(name), Type: dns.TypeToString[qtype], Err: errShort}
	}
	return list, ttl, nil
}

// TXT looks up the text records of name, the strings of each put together (RFC 7208 section 3.3, RFC 6376 section 3.6.2.2), and for how
// long the answer holds.
func (c *Client) TXT(ctx context.Context, name string) ([]string, time.Duration, error) {
	rrs, ttl, err := c.lookup(ctx, name, dns.TypeTXT)
	if err != nil {
		return nil, 0, err
	}
	list := make([]string, 0, min(len(rrs), MaxRecords))
	for _, rr := range bounded(rrs) {
		list = append(list, unescape(strings.Join(rr.(*dns.TXT).Txt, "")))
	}
	return list, ttl, nil
}

// PTR looks up the names of an address (RFC 1035 section 3.5, RFC 3596 section 2.5), lower case and without final dot, and for how long the
// answer holds.
func (c *Client) PTR(ctx context.Context, addr netip.Addr) ([]string, time.Duration, error) {
	if !addr.IsValid() {
		return nil, 0, &Error{Kind: Invalid, Type: "PTR"}
	}
	name, err := dns.ReverseAddr(addr.Unmap().WithZone("").String())
	if err != nil {
		return nil, 0, &Error{Kind: Invalid, Name: addr.String(), Type: "PTR", Err: err}
	}
	rrs, ttl, err := c.lookup(ctx, name, dns.TypePTR)
	if err != nil {
		return nil, 0, err
	}
	list := make([]string, 0, min(len(rrs), MaxRecords))
	for _, rr := range bounded(rrs) {
		list = append(list, display(rr.(*dns.PTR).Ptr))
	}
	return list, ttl, nil
}

// bounded is s, cut to MaxRecords, without keeping the rest in memory.
func bounded[T any](s []T) []T {
	if len(s) <= MaxRecords {
		return s
	}
	return slices.Clone(s[:MaxRecords])
}

// unescape turns the presentation form of a TXT string (RFC 1035 section 5.1: \" and \DDD) into its octets.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		if i+3 < len(s) && digit(s[i+1]) && digit(s[i+2]) && digit(s[i+3]) {
			b.WriteByte((s[i+1]-'0')*100 + (s[i+2]-'0')*10 + s[i+3] - '0')
			i += 3
			continue
		}
		i++
		b.WriteByte(s[i])
	}
	return b.String()
}

func digit(c byte) bool { return '0' <= c && c <= '9' }
