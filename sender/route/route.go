package route

import (
	"net/netip"
	"time"

	"github.com/reputemail/repute/bounce"
)

// Host is one mail exchanger of a destination.
type Host struct {
	// Name is the MX host's name: lower case, no trailing dot, A-labels.
	Name string
	// Preference is the MX preference; 0 for an implicit MX.
	Preference uint16
	// Addrs are its addresses in the order in which to try them.
	Addrs []netip.Addr
}

// Destination is where the mail of one domain goes.
type Destination struct {
	// Domain is the recipient domain asked for: lower case, A-labels.
	Domain string
	// Hosts are the mail exchangers in the order in which to try them (RFC 5321 section 5.1).
	// Never empty when Resolve returned no error.
	Hosts []Host
	// MX are the names of all mail exchangers in the DNS, sorted by name, also of those that are not in Hosts because there are too many or
	// they have no address: whose domain this is can be told from all of them only. At most 32, those of the lowest preference. The domain
	// itself for an implicit MX; empty for an address literal.
	MX []string
	// Implicit says that there was no MX record and the domain's own address is used (RFC 5321 section 5.1).
	Implicit bool
	// Expires is when the answer is to be asked for anew.
	Expires time.Time
}

// Names are the MX host names, in order.
func (d Destination) Names() []string {
	names := make([]string, len(d.Hosts))
	for i, h := range d.Hosts {
		names[i] = h.Name
	}
	return names
}

// Error says why a destination has no hosts. It carries a synthetic reply, so that every failure is classified by the same rules.
type Error struct {
	// Domain is the domain asked for.
	Domain string
	// Temporary: a later try may succeed (SERVFAIL, REFUSED, time-out). Otherwise the domain takes no mail (NXDOMAIN, null MX).
	Temporary bool
	// Reply is the synthetic reply: Local, at StageResolve, with the code that RFC 7505 and RFC 3463 give for the case.
	Reply bounce.Reply
	// Err is the cause, or nil.
	Err error
}

// Error is the reply's text with the domain before it.
func (e *Error) Error() string { return "route: " + e.Domain + ": " + e.Reply.String() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
