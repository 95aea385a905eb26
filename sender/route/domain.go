package route

import (
	"net/netip"
	"strings"

	"github.com/reputemail/repute/internal/domain"
)

// Domain is the one form of a domain name, in which it is asked for, compared and remembered: lower case, A-labels, no final dot. It takes
// U-labels and A-labels and reports false for what can be no domain name (RFC 1035 section 2.3.4, RFC 5891 section 5).
//
// A-labels are taken as they are, also those that today's tables would not make: whether they exist is for the DNS to say. The same holds
// for underscores, which SMTP's grammar does not allow.
func Domain(name string) (string, bool) {
	name, err := domain.Canonical(name)
	return name, err == nil
}

// literal reads an address literal (RFC 5321 section 4.1.3): "[192.0.2.1]" or "[IPv6:2001:db8::1]".
func literal(s string) (netip.Addr, bool) {
	inner, ok := strings.CutPrefix(s, "[")
	if !ok {
		return netip.Addr{}, false
	}
	if inner, ok = strings.CutSuffix(inner, "]"); !ok {
		return netip.Addr{}, false
	}
	const tag = "ipv6:"
	six := len(inner) > len(tag) && strings.EqualFold(inner[:len(tag)], tag)
	if six {
		inner = inner[len(tag):]
	}
	addr, err := netip.ParseAddr(inner)
	if err != nil || addr.Zone() != "" || six != addr.Is6() {
		return netip.Addr{}, false
	}
	return addr.Unmap(), true
}
