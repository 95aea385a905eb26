package arf

import (
	"errors"
	"net/netip"
	"time"

	"github.com/reputemail/repute/bounce/internal/entity"
)

// MaxList is how many values a list of a Feedback has at most. What is beyond is left out.
const MaxList = 1000

// ErrNotFeedback is the error of Parse for a message that is no feedback report.
var ErrNotFeedback = errors.New("the message is no feedback report")

// Form says in which way a message tells that it is a feedback report.
type Form string

// The forms.
const (
	// FormARF: RFC 5965.
	FormARF Form = "arf"
	// FormXARF: X-ARF, version 0.2.
	FormXARF Form = "x-arf"
	// FormJMRP: Microsoft's Junk Mail Reporting Program, without ARF.
	FormJMRP Form = "jmrp"
	// FormSES: Amazon SES, JSON by mail.
	FormSES Form = "ses"
	// FormUnsubscribe: mail to an address of a List-Unsubscribe field (RFC 2369 section 3.2).
	FormUnsubscribe Form = "unsubscribe"
	// FormText: prose.
	FormText Form = "text"
)

// Forms lists every Form, in the order of the constants.
func Forms() []Form {
	return []Form{FormARF, FormXARF, FormJMRP, FormSES, FormUnsubscribe, FormText}
}

// Feedback is what a report says.
type Feedback struct {
	// Form is in which way it says so.
	Form Form
	// Type is what it says about the message.
	Type Type
	// UserAgent is the program that made the report, and Version the version of the format.
	UserAgent, Version string
	// OriginalEnvelopeID is the envelope ID of the message (RFC 3461 section 4.4), or what the reporter uses for one.
	OriginalEnvelopeID string
	// OriginalMailFrom is the message's return path, without angle brackets.
	OriginalMailFrom string
	// OriginalRecipients are the recipients who complained, or to whom the message went, as far as those are addresses.
	OriginalRecipients []string
	// Redacted are recipients that were made unreadable (RFC 6590): the same one is the same again, from the same reporter.
	Redacted []string
	// ArrivalDate is when the reporter got the message, or zero.
	ArrivalDate time.Time
	// ReportingMTA is the host that reports, as it names itself.
	ReportingMTA string
	// SourceIP and SourcePort (RFC 6692) are whence the reporter got the message; 0 for a port that is not told.
	SourceIP   netip.Addr
	SourcePort int
	// Incidents is how many messages the report stands for, at least 1 and at most 1<<31-1.
	Incidents int
	// ReportedDomains and ReportedURIs are what in the message is complained about.
	ReportedDomains, ReportedURIs []string
	// AuthenticationResults are the values of such fields (RFC 8601), as the reporter found or made them.
	AuthenticationResults []string
	// Auth has what an authentication failure report tells (RFC 6591).
	Auth Auth
	// Original is the message that the report is about, as far as it is quoted.
	Original Original

	fields entity.Header
}

// Auth is the part of a report that tells about a failed authentication (RFC 6591 section 3). All of it may be empty.
type Auth struct {
	// Failure is what failed: "adsp", "bodyhash", "revoked", "signature", "spf" or "dmarc" (RFC 7489 section 7.3.1), in lower case.
	Failure string
	// DeliveryResult is what became of the message: "delivered", "spam", "policy", "reject" or "other", in lower case.
	DeliveryResult string
	// IdentityAlignment is which of "dkim" and "spf" were aligned, or "none" (RFC 7489 section 7.3.1).
	IdentityAlignment string
	// DKIMDomain, DKIMIdentity and DKIMSelector are the tags d, i and s of the signature.
	DKIMDomain, DKIMIdentity, DKIMSelector string
	// DKIMADSPDNS is the ADSP record found, and SPFDNS the SPF records.
	DKIMADSPDNS string
	SPFDNS      []string
}

// Complaint reports whether the report says that a recipient does not want the mail: abuse, fraud and the opt-outs do.
// Not-spam says the opposite; the others say nothing about that.
func (f *Feedback) Complaint() bool {
	switch f.Type {
	case TypeAbuse, TypeFraud, TypeOptOut, TypeOptOutList:
		return true
	}
	return false
}

// Field is the value of the first field of this name in the report's own part, as it was written, or "". Names do not heed case.
func (f *Feedback) Field(name string) string { return f.fields.Raw(name) }

// Fields are the values of all fields of this name in the report's own part, at most MaxList: those of vendors, too.
func (f *Feedback) Fields(name string) []string { return bounded(f.fields.Values(name)) }

// Parse reads a message. Errors are ErrNotFeedback, and those for a message that is empty or has more than 10 MB. The result refers to
// raw, which must not change.
func Parse(raw []byte) (*Feedback, error) {
	m, err := entity.Read(raw)
	if err != nil {
		return nil, err
	}
	if f := Read(m); f != nil {
		return f, nil
	}
	return nil, ErrNotFeedback
}

// Read is Parse for a message that was read already. It is nil when that is no feedback report.
func Read(m *entity.Part) *Feedback {
	for _, read := range []func(*entity.Part) *Feedback{readARF, readXARF, readJMRP, readSES, readUnsubscribe, readText} {
		if f := read(m); f != nil {
			f.Incidents = max(f.Incidents, 1) // RFC 5965 section 3.2
			return f
		}
	}
	return nil
}

func bounded(s []string) []string { return s[:min(len(s), MaxList)] }
