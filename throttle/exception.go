package throttle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Exception is what one recipient domain accepts less than its provider does. Its mail keeps within the provider's limits, which it
// shares with the provider's other domains, and within its own. (A domain whose limits have nothing to do with those of who
// runs its MX hosts is a Provider with Domains instead.)
//
// A Limiter keeps the domain's own limits in a path beside the provider's, as DomainPath names it. For each transaction to an
// excepted domain a sender takes both tokens of the provider's path, as for any other, then a TokenConnection and a TokenMessage of
// the domain's; when these are refused it gives back the former. It releases the domain's TokenConnection when the transaction ends.
type Exception struct {
	// Domain is the recipient domain: lower case, A-labels, no dot at either end.
	Domain string `json:"domain"`
	// Limits is what it accepts, each beside the provider's; 0 has no limit of its own. Connections are the provider's connections
	// that carry its mail at once. As it has none of its own, MessagesPerConnection, ConnectRate and IdleTimeout must be 0. In JSON
	// a limit that is left out is 0.
	Limits Limits `json:"limits"`
	// Source and Date are as those of Provider.
	Source string `json:"source"`
	Date   string `json:"date,omitempty"`
}

// ParseExceptions reads exceptions from JSON: an array of objects with the fields of Exception. It refuses unknown fields. The
// exceptions are checked by NewTable.
func ParseExceptions(data []byte) ([]Exception, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(data, &items); err != nil {
		return nil, fmt.Errorf("throttle: exceptions: %w", err)
	}
	exceptions := make([]Exception, len(items))
	for i, item := range items {
		d := json.NewDecoder(bytes.NewReader(item))
		d.DisallowUnknownFields()
		if err := d.Decode(&exceptions[i]); err != nil {
			return nil, fmt.Errorf("throttle: exception %d %q: %w", i, exceptions[i].Domain, err)
		}
	}
	return exceptions, nil
}

// validate names the first field that cannot be, or could never have an effect.
func (e Exception) validate() error {
	if err := validateHost(e.Domain); err != nil {
		return invalid("Domain", "%q can never match: %v", e.Domain, err)
	}
	if err := e.Limits.validate(); err != nil {
		return within("Limits", err)
	}
	switch l := e.Limits; {
	case l == Limits{}:
		return invalid("Limits", "has no limit")
	case l.MessagesPerConnection != 0:
		return invalid("Limits.MessagesPerConnection", "connections are the provider's: it would have no effect")
	case l.ConnectRate != Rate{}:
		return invalid("Limits.ConnectRate", "connections are the provider's: it would have no effect")
	case l.IdleTimeout != 0:
		return invalid("Limits.IdleTimeout", "connections are the provider's: it would have no effect")
	}
	return nil
}

// domainMark begins the provider's name of a domain's own path. No provider's name and no domain has it.
const domainMark = "@"

// DomainPath is the path of a recipient domain's own beside the path of its provider over the same route: for an Exception, and
// for what a Reaction of ScopeDomain slows down. Its limits are those of the exception, and none when there is no exception.
func DomainPath(route, domain string) Path {
	return Path{Route: route, Provider: domainMark + normalise(domain)}
}

// Exception is the exception for a recipient domain. It is zero and false when there is none, as for most.
func (t *Table) Exception(domain string) (Exception, bool) {
	if len(t.exceptions) == 0 {
		return Exception{}, false
	}
	e, ok := t.exceptions[normalise(domain)]
	return e, ok
}

// DomainLimits are the limits of a transaction to a recipient domain of a provider: the provider's as Limits has them, with what
// the domain's exception makes stricter. TLS is as the exception wants it, if it wants any.
func (t *Table) DomainLimits(provider, domain string) Limits {
	l := t.Limits(provider)
	e, ok := t.Exception(domain)
	if !ok {
		return l
	}
	tls := e.Limits.TLS
	if tls == "" {
		tls = l.TLS
	}
	l = strictest(l, e.Limits)
	l.TLS = tls
	return l
}

// exceptionLimits are the limits of a domain's own path, if name is that of one.
func (t *Table) exceptionLimits(name string) (Limits, bool) {
	domain, ok := strings.CutPrefix(name, domainMark)
	if !ok {
		return Limits{}, false
	}
	return t.exceptions[domain].Limits, true
}

// except takes the exceptions into the table.
func (t *Table) except(exceptions []Exception) error {
	for i, e := range exceptions {
		name := fmt.Sprintf("TableConfig.Exceptions[%d]", i)
		if err := e.validate(); err != nil {
			return within(name, err)
		}
		if _, ok := t.exceptions[e.Domain]; ok {
			return invalid(name+".Domain", "%q is there twice", e.Domain)
		}
		t.exceptions[e.Domain] = e
	}
	return nil
}
