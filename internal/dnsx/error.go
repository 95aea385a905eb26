package dnsx

import (
	"errors"
	"time"
)

// Kind says what sort of failure an Error is.
type Kind string

// The kinds.
const (
	// NXDomain: the name does not exist (RFC 1035 section 4.1.1, RCODE 3), and so has no record of any type (RFC 8020).
	NXDomain Kind = "nxdomain"
	// NoData: the name exists but has no record of the type asked for (RFC 2308 section 2.2).
	NoData Kind = "nodata"
	// Temporary: no server gave a usable answer (time-out, SERVFAIL, REFUSED, malformed, mismatch). A later try may succeed.
	Temporary Kind = "temporary"
	// Invalid: the name can not be asked for: empty, over 255 octets or with a label over 63 (RFC 1035 section 2.3.4).
	Invalid Kind = "invalid"
)

// Error is the error of every lookup, but for the context's own error, which is returned as it is.
type Error struct {
	// Kind says what happened.
	Kind Kind
	// Name is the name asked for.
	Name string
	// Type is the record type asked for: "MX", "A". For a pair of A and AAAA questions it is "A/AAAA".
	Type string
	// Server is the server that answered last, or empty.
	Server string
	// TTL is for how long an NXDomain or NoData answer may be remembered, from the SOA record that came with it
	// (RFC 2308 section 5); 0 when none came.
	TTL time.Duration
	// Err is the cause of a Temporary error, or nil.
	Err error
}

// Error is the type, the name, the kind and the cause.
func (e *Error) Error() string {
	s := "dns: " + e.Type + " " + e.Name + ": " + e.Reason()
	if e.Server != "" {
		s += " (server " + e.Server + ")"
	}
	return s
}

// Reason is what happened without the name and the server: "no such name", "SERVFAIL", "time-out".
func (e *Error) Reason() string {
	switch e.Kind {
	case NXDomain:
		return "no such name"
	case NoData:
		return "no record of this type"
	case Invalid:
		return "not a domain name"
	}
	if e.Err != nil {
		return e.Err.Error()
	}
	return "temporary failure"
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf is the kind of err: that of the *Error in its chain, empty for nil, and Temporary for every other error.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Temporary
}

// errText is an error for a fixed text.
type errText string

// Error is the text itself.
func (e errText) Error() string { return string(e) }

// Causes of a Temporary error.
const (
	errTimeout   errText = "time-out"
	errMismatch  errText = "the answer is not for our question"
	errLame      errText = "the server neither knows the answer nor looks it up"
	errChain     errText = "the chain of aliases is too long or a loop"
	errShort     errText = "malformed answer"
	errTruncated errText = "truncated over TCP too"
)
