package arf

import "strings"

// Type is what a report says about a message (RFC 5965 section 7.3, and the IANA registry of feedback report types).
type Type string

// The types.
const (
	// TypeAbuse: the recipient does not want it: spam, or another abuse of mail.
	TypeAbuse Type = "abuse"
	// TypeFraud: it tries to deceive, as phishing does.
	TypeFraud Type = "fraud"
	// TypeVirus: it carries a virus.
	TypeVirus Type = "virus"
	// TypeNotSpam: it was taken for spam and is none (RFC 6430).
	TypeNotSpam Type = "not-spam"
	// TypeAuthFailure: DKIM, SPF or DMARC failed (RFC 6591).
	TypeAuthFailure Type = "auth-failure"
	// TypeOptOut: the recipient wants no more mail from this sender. It is of the drafts before RFC 5965, and still used.
	TypeOptOut Type = "opt-out"
	// TypeOptOutList: the recipient wants no more mail of this list; likewise.
	TypeOptOutList Type = "opt-out-list"
	// TypeOther: none of these, or a type that is not known here. Feedback.Field("Feedback-Type") has that.
	TypeOther Type = "other"
)

// Types lists every Type, in the order of the constants.
func Types() []Type {
	return []Type{TypeAbuse, TypeFraud, TypeVirus, TypeNotSpam, TypeAuthFailure, TypeOptOut, TypeOptOutList, TypeOther}
}

// parseType reads the value of a Feedback-Type, and words that reporters use instead of the registered ones.
func parseType(v string) Type {
	v = strings.ToLower(strings.TrimSpace(v))
	if i := strings.IndexAny(v, "; \t(,"); i > 0 {
		v = v[:i]
	}
	v = strings.ReplaceAll(strings.Trim(v, `"'.`), "_", "-")
	switch v {
	case "spam", "complaint", "junk":
		return TypeAbuse
	case "phishing", "phish":
		return TypeFraud
	case "malware":
		return TypeVirus
	case "notspam", "ham", "false-positive":
		return TypeNotSpam
	case "authfailure", "dmarc", "dkim", "spf":
		return TypeAuthFailure
	case "optout", "unsubscribe":
		return TypeOptOut
	}
	for _, t := range Types() {
		if v == string(t) {
			return t
		}
	}
	return TypeOther
}
