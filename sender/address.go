package sender

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/reputemail/repute/internal/domain"
)

// mailbox is a checked envelope address.
type mailbox struct {
	local  string // as given; still quoted when it was
	domain string // lower case, A-labels, or an address literal
	utf8   bool   // the local-part needs SMTPUTF8
}

// String is the address.
func (m mailbox) String() string { return m.local + "@" + m.domain }

// The limits of RFC 5321 section 4.5.3.1.
const (
	maxLocal = 64
	maxPath  = 254 // 256 with the angle brackets
)

// parseMailbox checks an address as RFC 5321 section 4.1.2 (and RFC 6531 section 3.3) wants it, without angle brackets.
// The error says what is wrong and by which clause.
func parseMailbox(s string) (mailbox, error) {
	if s == "" {
		return mailbox{}, clause("RFC 5321 section 4.1.2", "is no address")
	}
	for _, r := range s {
		if unicode.IsControl(r) || r == utf8.RuneError || r == '\u2028' || r == '\u2029' {
			return mailbox{}, clause("RFC 5321 section 4.1.2", "has a control or malformed character")
		}
	}
	if strings.ContainsAny(s, "<>") && !strings.Contains(s, `"`) {
		return mailbox{}, clause("RFC 5321 section 4.1.2", "must be a bare address, without name and angle brackets")
	}
	at := strings.LastIndexByte(s, '@')
	if at <= 0 || at == len(s)-1 {
		return mailbox{}, clause("RFC 5321 section 4.1.2", "is not LOCAL@DOMAIN")
	}
	m := mailbox{local: s[:at], domain: s[at+1:]}
	if len(m.local) > maxLocal {
		return mailbox{}, clause("RFC 5321 section 4.5.3.1.1", "local-part is longer than %d octets", maxLocal)
	}
	if err := m.checkLocal(); err != nil {
		return mailbox{}, err
	}
	domain, err := normalDomain(m.domain)
	if err != nil {
		return mailbox{}, err
	}
	m.domain = domain
	if len(m.local)+1+len(m.domain) > maxPath {
		return mailbox{}, clause("RFC 5321 section 4.5.3.1.3", "is longer than %d octets", maxPath)
	}
	return m, nil
}

// checkLocal checks a dot-string or quoted-string.
func (m *mailbox) checkLocal() error {
	local := m.local
	for _, r := range local {
		m.utf8 = m.utf8 || r > 127
	}
	if strings.HasPrefix(local, `"`) {
		if len(local) < 2 || !strings.HasSuffix(local, `"`) {
			return clause("RFC 5321 section 4.1.2", "quoted local-part does not end")
		}
		inner := local[1 : len(local)-1]
		for i := 0; i < len(inner); i++ {
			switch inner[i] {
			case '\\':
				if i++; i == len(inner) {
					return clause("RFC 5321 section 4.1.2", "quoted local-part ends in a backslash")
				}
			case '"':
				return clause("RFC 5321 section 4.1.2", "quoted local-part has a bare quote")
			}
		}
		return nil
	}
	if strings.HasPrefix(local, ".") || strings.HasSuffix(local, ".") || strings.Contains(local, "..") {
		return clause("RFC 5321 section 4.1.2", "local-part has a misplaced dot; such an address must be quoted")
	}
	for _, r := range local {
		if r <= ' ' || strings.ContainsRune(`"(),:;<>@[\]`, r) {
			return clause("RFC 5321 section 4.1.2", "local-part has the character %q", r)
		}
	}
	return nil
}

// normalDomain checks a domain or address literal; the result is in lower-case A-labels.
func normalDomain(s string) (string, error) {
	if strings.HasPrefix(s, "[") {
		inner := strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
		if len(inner)+2 != len(s) {
			return "", clause("RFC 5321 section 4.1.3", "address literal does not end")
		}
		v6 := len(inner) > 5 && strings.EqualFold(inner[:5], "IPv6:")
		if v6 {
			inner = inner[5:]
		}
		a, err := netip.ParseAddr(inner)
		if err != nil || a.Is6() != v6 || a.Zone() != "" {
			return "", clause("RFC 5321 section 4.1.3", "%q is not an address literal", s)
		}
		return addressLiteral(a), nil
	}
	if s != "" && !strings.ContainsAny(s, ".\u3002\uff0e\uff61") {
		return "", clause("RFC 5321 section 2.3.5", "domain %q is not fully qualified", s)
	}
	if strings.HasSuffix(s, ".") {
		return "", clause("RFC 5321 section 4.1.2", "domain %q ends in a dot", s)
	}
	a, err := domain.Canonical(s)
	if e := (*domain.Error)(nil); errors.As(err, &e) {
		return "", clause(e.Clause, "domain %q %s", s, e.Reason)
	}
	if err != nil {
		return "", clause("RFC 5321 section 4.1.2", "domain %q: %v", s, err)
	}
	if last := a[strings.LastIndexByte(a, '.')+1:]; strings.Trim(last, "0123456789") == "" {
		return "", clause("RFC 1123 section 2.1", "domain %q is a bare address; an address literal has brackets", s)
	}
	return a, nil
}

// reason is what is wrong with a value, and by which clause.
type reason struct{ clause, text string }

// Error is the reason with its clause.
func (r *reason) Error() string { return r.text + " (" + r.clause + ")" }

func clause(name, format string, args ...any) error {
	return &reason{clause: name, text: fmt.Sprintf(format, args...)}
}
