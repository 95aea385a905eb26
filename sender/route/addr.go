package route

import "net/netip"

// scope says where an address leads, seen from here.
type scope string

// The scopes.
const (
	// scopePublic: to a host on the internet.
	scopePublic scope = "public"
	// scopeLoopback: back to this machine.
	scopeLoopback scope = "loopback"
	// scopePrivate: to a host in the operator's own network, if to any.
	scopePrivate scope = "private"
	// scopeNone: to no single host that mail could be sent to.
	scopeNone scope = "none"
)

// privatePrefixes are not reachable over the internet, but may be from here (RFC 6890 and the IANA registries of special-purpose
// addresses).
var privatePrefixes = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"),     // RFC 1918
	netip.MustParsePrefix("172.16.0.0/12"),  // RFC 1918
	netip.MustParsePrefix("192.168.0.0/16"), // RFC 1918
	netip.MustParsePrefix("100.64.0.0/10"),  // RFC 6598, between carriers and their customers
	netip.MustParsePrefix("240.0.0.0/4"),    // RFC 1112 section 4, reserved, and used inside some networks
	netip.MustParsePrefix("fc00::/7"),       // RFC 4193, unique local
	netip.MustParsePrefix("fec0::/10"),      // RFC 3879, once site-local
	netip.MustParsePrefix("64:ff9b:1::/48"), // RFC 8215, a network's own translators
}

// The prefixes of IPv6 addresses that lead to an IPv4 address that they have in them.
var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052 section 2.1
	sixToFour  = netip.MustParsePrefix("2002::/16")    // RFC 3056 section 2
	compatible = netip.MustParsePrefix("::/96")        // RFC 4291 section 2.5.5.1
)

// scopeOf is the scope of an address; an IPv6 address that stands for an IPv4 address has the scope of that one.
func scopeOf(a netip.Addr) scope {
	a = a.Unmap()
	switch {
	case a.IsLoopback():
		return scopeLoopback
	case a.IsUnspecified(), a.IsMulticast(), a.IsLinkLocalUnicast():
		return scopeNone
	case a.Is4() && (a.As4()[0] == 0 || a.As4()[0] == 255):
		return scopeNone
	}
	for _, p := range privatePrefixes {
		if p.Contains(a) {
			return scopePrivate
		}
	}
	if a.Is6() {
		b := a.As16()
		switch {
		case nat64.Contains(a), compatible.Contains(a):
			return scopeOf(netip.AddrFrom4([4]byte(b[12:16])))
		case sixToFour.Contains(a):
			return scopeOf(netip.AddrFrom4([4]byte(b[2:6])))
		}
	}
	return scopePublic
}
