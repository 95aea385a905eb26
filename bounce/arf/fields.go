package arf

import (
	"net/mail"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/internal/entity"
)

// fill takes what RFC 5965 section 3, RFC 6591 section 3 and RFC 6692 define from the fields of a report.
func (f *Feedback) fill(h entity.Header) {
	f.fields = h
	f.Type = parseType(h.Raw("Feedback-Type"))
	f.UserAgent, f.Version = h.Get("User-Agent"), h.Raw("Version")
	f.OriginalEnvelopeID = h.Raw("Original-Envelope-Id")
	f.OriginalMailFrom = bounce.CleanAddress(h.Raw("Original-Mail-From"))
	f.ReportingMTA = typed(h.Raw("Reporting-MTA"))
	f.SourceIP, f.SourcePort = parseSource(h.Raw("Source-IP"))
	if n, err := strconv.Atoi(h.Raw("Source-Port")); err == nil && 0 < n && n < 1<<16 {
		f.SourcePort = n
	}
	if n, err := strconv.ParseInt(h.Raw("Incidents"), 10, 64); err == nil {
		f.Incidents = int(min(max(n, 1), 1<<31-1))
	}
	for _, name := range []string{"Arrival-Date", "Received-Date"} {
		if f.ArrivalDate.IsZero() {
			f.ArrivalDate = parseDate(h.Raw(name))
		}
	}
	for _, name := range []string{"Original-Rcpt-To", "Removal-Recipient"} {
		for _, v := range h.Values(name) {
			f.addRecipient(v)
		}
	}
	f.ReportedDomains = values(h, "Reported-Domain")
	f.ReportedURIs = values(h, "Reported-URI")
	f.AuthenticationResults = values(h, "Authentication-Results")
	f.Auth = Auth{
		Failure:           strings.ToLower(h.Raw("Auth-Failure")),
		DeliveryResult:    strings.ToLower(h.Raw("Delivery-Result")),
		IdentityAlignment: strings.ToLower(h.Raw("Identity-Alignment")),
		DKIMDomain:        h.Raw("DKIM-Domain"),
		DKIMIdentity:      h.Raw("DKIM-Identity"),
		DKIMSelector:      h.Raw("DKIM-Selector"),
		DKIMADSPDNS:       h.Raw("DKIM-ADSP-DNS"),
		SPFDNS:            values(h, "SPF-DNS"),
	}
}

// quote fills in the message that the report is about, and from it what the report's own part leaves out.
func (f *Feedback) quote(h entity.Header) {
	f.Original = original(h)
	if f.Original.MessageID == "" {
		for _, name := range []string{"Original-Message-ID", "Message-ID"} { // not standard, and used
			if f.Original.MessageID == "" {
				f.Original.MessageID = messageID(f.fields.Raw(name))
			}
		}
	}
	if len(f.OriginalRecipients) == 0 {
		// Both are added by the receiver, and have no redaction.
		f.addRecipient(h.Raw(hotmailRecipient))
		recipient, _, _ := strings.Cut(h.Raw("X-Apparently-To"), " ")
		f.addRecipient(strings.TrimRight(recipient, ";"))
	}
}

// values are all values of a field that are not empty, each once.
func values(h entity.Header, name string) []string {
	var out []string
	seen := make(map[string]bool)
	for _, v := range h.Values(name) {
		if v != "" && !seen[v] && len(out) < MaxList {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}

// typed takes the type off a value such as "dns; mx.example.com".
func typed(v string) string {
	if t, rest, ok := strings.Cut(v, ";"); ok && !strings.Contains(strings.TrimSpace(t), " ") {
		v = rest
	}
	return strings.TrimSpace(v)
}

// parseSource reads an address as reporters write it: bare, in brackets, with a tag or with a port.
func parseSource(v string) (netip.Addr, int) {
	v = strings.TrimSpace(typed(v))
	if ap, err := netip.ParseAddrPort(v); err == nil {
		return ap.Addr().Unmap(), int(ap.Port())
	}
	v = strings.Trim(v, "[]()<> ")
	if len(v) > 5 && strings.EqualFold(v[:5], "IPv6:") { // RFC 5321 section 4.1.3
		v = v[5:]
	}
	if i := strings.IndexAny(v, " \t,("); i > 0 {
		v = v[:i]
	}
	a, err := netip.ParseAddr(v)
	if err != nil {
		return netip.Addr{}, 0
	}
	return a.Unmap(), 0
}

// parseDate reads a date, or gives the zero time.
func parseDate(v string) time.Time {
	t, err := mail.ParseDate(v)
	if err != nil {
		if t, err = time.Parse(time.RFC3339, v); err != nil {
			return time.Time{}
		}
	}
	if name, offset := t.Zone(); offset == 0 {
		t = t.Add(-obsoleteZone(name))
	}
	return t.UTC()
}

// obsoleteZone is the offset of a zone that has a name (RFC 5322 section 4.3), which net/mail takes for 0.
func obsoleteZone(name string) time.Duration {
	switch name {
	case "EDT":
		return -4 * time.Hour
	case "EST", "CDT":
		return -5 * time.Hour
	case "CST", "MDT":
		return -6 * time.Hour
	case "MST", "PDT":
		return -7 * time.Hour
	case "PST":
		return -8 * time.Hour
	case "CET":
		return time.Hour
	case "CEST":
		return 2 * time.Hour
	case "JST":
		return 9 * time.Hour
	}
	return 0
}
