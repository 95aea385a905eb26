package intake

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/reputemail/repute/bounce/internal/entity"
)

// What checking signatures may cost: signatures of one message, and time for their keys.
const (
	maxSignatures = 5
	lookupTime    = 10 * time.Second
)

// authentic reports whether a message has a valid DKIM signature of a trusted domain. With two From fields it is not: a signature may be of
// only one of them (RFC 6376 section 8.15).
func (in *Intake) authentic(ctx context.Context, msg *entity.Part, raw []byte) bool {
	if len(in.cfg.Trusted) == 0 || len(msg.Header.Values("From")) != 1 {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	lookup := in.cfg.LookupTXT
	if lookup == nil {
		lookup = net.DefaultResolver.LookupTXT
	}
	checks, err := dkim.VerifyWithOptions(bytes.NewReader(crlf(raw)), &dkim.VerifyOptions{
		LookupTXT: func(name string) ([]string, error) {
			if !in.isTrusted(name) { // nobody else makes us ask
				return nil, errUntrusted
			}
			return lookup(ctx, name)
		},
		MaxVerifications: maxSignatures,
	})
	if err != nil && len(checks) == 0 {
		in.log.Debug("signatures of a report cannot be checked", "err", err)
		return false
	}
	for _, c := range checks {
		if c.Err == nil && slices.Contains(in.cfg.Trusted, lower(c.Domain)) && covers(c.HeaderKeys, msg) {
			return true
		}
	}
	return false
}

// covers reports whether a signature is of what the report is read by: its Content-Type, which there is once.
func covers(signed []string, msg *entity.Part) bool {
	return len(msg.Header.Values("Content-Type")) == 1 && slices.ContainsFunc(signed, func(name string) bool {
		return strings.EqualFold(strings.TrimSpace(name), "Content-Type")
	})
}

// crlf is a message with the line ends that it was signed with.
func crlf(b []byte) []byte {
	if !bytes.Contains(b, []byte{'\n'}) || bytes.Contains(b, []byte("\r\n")) {
		return b
	}
	return bytes.ReplaceAll(b, []byte{'\n'}, []byte("\r\n"))
}

var errUntrusted = errors.New("the domain is not trusted")

// isTrusted reports whether a key's name (RFC 6376 section 3.6.2.1) is of a trusted domain.
func (in *Intake) isTrusted(name string) bool {
	_, domain, ok := strings.Cut(lower(name), "._domainkey.")
	return ok && slices.Contains(in.cfg.Trusted, domain)
}
