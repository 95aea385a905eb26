package sender

import (
	"time"

	"github.com/reputemail/repute/bounce"
)

// RetryPolicy is when a delivery is tried again that a receiver deferred. A wait that the reply itself asks for is kept
// where it is longer, up to a day. Shortening the waits below these defaults is for tests and demonstrations: receivers
// see it as hammering (RFC 5321 section 4.5.4.1 asks for 30 minutes unless the reason for the failure is known).
type RetryPolicy struct {
	// Greylisted is the wait after greylisting, up to two thirds longer by chance, for the first four times: greylisting
	// receivers want some 5 minutes and the same source address (postgrey 300 s, rspamd 5 minutes). Defaults to 6 minutes.
	Greylisted time.Duration
	// ShortCause is the first wait where the cause is known to be short (rate limit, busy server, network, TLS); each
	// further one is twice as long. Defaults to 5 minutes.
	ShortCause time.Duration
	// OtherCause is the first wait for all else; each further one is twice as long. Defaults to 30 minutes.
	OtherCause time.Duration
	// Longest bounds the doubling. Defaults to 4 hours.
	Longest time.Duration
}

// greylistTries is how many times greylisting is believed.
const greylistTries = 4

func (p *RetryPolicy) withDefaults() error {
	for _, f := range []struct {
		name string
		v    *time.Duration
		def  time.Duration
	}{
		{"Greylisted", &p.Greylisted, 6 * time.Minute},
		{"ShortCause", &p.ShortCause, 5 * time.Minute},
		{"OtherCause", &p.OtherCause, 30 * time.Minute},
		{"Longest", &p.Longest, 4 * time.Hour},
	} {
		if *f.v == 0 {
			*f.v = f.def
		}
		if *f.v < time.Millisecond {
			return badConfig("Retry."+f.name, "%v is under a millisecond", *f.v)
		}
	}
	if p.Longest < p.ShortCause || p.Longest < p.OtherCause {
		return badConfig("Retry.Longest", "%v is shorter than the first wait", p.Longest)
	}
	return nil
}

// after is the wait after the attempts-th attempt failed for now. u in [0, 1) spreads the retries: by a quarter around
// the schedule, and only upwards for greylisting.
func (p *RetryPolicy) after(attempts int, v bounce.Verdict, u float64) time.Duration {
	asked := min(v.RetryAfter, 24*time.Hour)
	base := p.OtherCause
	switch v.Category {
	case bounce.Greylisted:
		if attempts <= greylistTries {
			return max(asked, p.Greylisted) + time.Duration(u*2/3*float64(p.Greylisted))
		}
	case bounce.RateLimited, bounce.ServerBusy, bounce.Network, bounce.TLSRequired:
		base = p.ShortCause
	}
	after := p.Longest
	if n := max(attempts-1, 0); n < 30 && base<<n < p.Longest {
		after = base << n
	}
	after += time.Duration((u - 0.5) / 4 * float64(after))
	return max(after, asked)
}
