package auth

import (
	"golang.org/x/net/publicsuffix"

	"github.com/reputemail/repute/internal/domain"
)

// Aligned reports whether the domain d of a passing signature (the d= tag) or of a passing SPF check is aligned with the domain of the From
// field in DMARC's relaxed mode: both have the same organisational domain (RFC 7489 section 3.1). This is the default mode, and what Gmail,
// Yahoo and Microsoft ask of bulk senders.
//
// Both are domain names, U-labels or A-labels, in either case; not addresses. What is no domain name is aligned with nothing.
func Aligned(from, d string) bool {
	from, d = canonical(from), canonical(d)
	return from != "" && d != "" && (from == d || organizational(from) == organizational(d))
}

// AlignedStrict is Aligned for DMARC's strict mode (adkim=s, aspf=s): the domains must be the same.
func AlignedStrict(from, d string) bool {
	from = canonical(from)
	return from != "" && from == canonical(d)
}

// OrganizationalDomain is the domain that was registered below a public suffix: "example.co.uk" for "mail.example.co.uk" (RFC 7489
// section 3.2). A public suffix itself, and a name under no known one, such as "localhost", is its own. Empty for what is no domain name.
//
// It is decided by the Public Suffix List, as compiled into golang.org/x/net/publicsuffix. The newer DMARC (RFC 9989) walks the DNS tree instead;
// the two differ only for domains that publish psd= or a policy between the name and its registered domain.
func OrganizationalDomain(domain string) string { return organizational(canonical(domain)) }

// organizational is OrganizationalDomain of a canonical name.
func organizational(domain string) string {
	if org, err := publicsuffix.EffectiveTLDPlusOne(domain); err == nil {
		return org
	}
	return domain
}

// canonical is the one form of a domain name, or empty if it is none.
func canonical(name string) string {
	name, err := domain.Canonical(name)
	if err != nil {
		return ""
	}
	return name
}
