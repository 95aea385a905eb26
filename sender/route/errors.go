package route

import (
	"context"
	"errors"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/internal/dnsx"
)

// negativeTTL is for how long a negative answer holds by the zone's own word.
func negativeTTL(err error) time.Duration {
	if e, ok := err.(*dnsx.Error); ok {
		return e.TTL
	}
	return 0
}

// reason is why a lookup found nothing, in a few words.
func reason(err error) string {
	if e, ok := err.(*dnsx.Error); ok {
		return e.Reason()
	}
	return err.Error()
}

// brief is a name of a stranger's choice in a text that is kept with each delivery: it may have a thousand octets, each of its own written
// as \DDD.
func brief(name string) string {
	const most = 100
	if len(name) > most {
		return name[:most-3] + "..."
	}
	return name
}

// reply is a synthetic reply.
func reply(code int, status bounce.Status, text string) bounce.Reply {
	return bounce.Reply{Code: code, Status: status, Lines: []string{text}, Stage: bounce.StageResolve, Local: true}
}

// permanent is an error that says that the domain takes no mail.
func permanent(domain string, r bounce.Reply) *Error { return &Error{Domain: domain, Reply: r} }

// notFound is the error for a name that does not exist.
func notFound(domain string, err error) *Error {
	// RFC 3463 section 3.2: X.1.2, the part to the right of the "@" is invalid for mail.
	return &Error{Domain: domain, Reply: reply(550, bounce.Status{Class: 5, Subject: 1, Detail: 2}, "Domain not found (NXDOMAIN)"), Err: err}
}

// malformed is the error for what can not be a domain.
func malformed(domain string) *Error {
	return permanent(domain, reply(550, bounce.Status{Class: 5, Subject: 1, Detail: 2}, "Domain not found (not a domain name or address literal)"))
}

// nullMX is the reply of RFC 7505 section 4.2.
func nullMX() bounce.Reply {
	return reply(556, bounce.Status{Class: 5, Subject: 1, Detail: 10}, "Domain takes no mail (null MX)")
}

// unusable is the reply for a domain that exists but has no host for mail (RFC 3463 section 3.5, X.4.4: unable to route).
func unusable(why string) bounce.Reply {
	return reply(550, bounce.Status{Class: 5, Subject: 4, Detail: 4}, "No usable mail host: "+why)
}

// temporary is the error for a lookup that failed (RFC 3463 section 3.5, X.4.3: directory server failure).
func temporary(domain string, err error) *Error {
	text := err.Error()
	if e, ok := err.(*dnsx.Error); ok {
		text = e.Type + " " + brief(e.Name) + ": " + e.Reason()
	} else if errors.Is(err, context.DeadlineExceeded) {
		text = "it took too long"
	}
	return &Error{
		Domain: domain, Temporary: true, Err: err,
		Reply: reply(451, bounce.Status{Class: 4, Subject: 4, Detail: 3}, "DNS lookup failed temporarily: "+text),
	}
}

// outOfReach is the error for a domain whose hosts have only addresses of the family that Config.Family leaves out: temporary, because what
// is missing is ours (RFC 3463 section 3.5, X.4.4: unable to route).
func outOfReach(domain, why string) *Error {
	return &Error{
		Domain: domain, Temporary: true,
		Reply: reply(451, bounce.Status{Class: 4, Subject: 4, Detail: 4}, "No mail host within reach: "+why),
	}
}

// relayError is the error for a relay that has no address: temporary, because it is ours to mend.
func relayError(host, why string) *Error {
	return &Error{
		Domain: host, Temporary: true,
		Reply: reply(451, bounce.Status{Class: 4, Subject: 4, Detail: 4}, "No usable relay host: "+host+": "+why),
	}
}
