package bounce

import (
	"strings"
	"time"
)

// Kind says what a message that came in is, for those who sent mail before.
type Kind string

// The kinds.
const (
	// KindBounce: it tells what became of mail of ours: a delivery status notification (RFC 3464), or one in a form of its own.
	KindBounce Kind = "bounce"
	// KindFeedback: somebody complained about mail of ours, or a receiver judged it (RFC 5965).
	KindFeedback Kind = "feedback"
	// KindAutoReply: a program answered for its user, who is away or reads elsewhere (RFC 3834). The mail had arrived.
	KindAutoReply Kind = "auto-reply"
	// KindChallenge: a filter wants us to prove that we are people before it lets our mail through.
	KindChallenge Kind = "challenge"
	// KindNone: anything else, mail that people write first of all.
	KindNone Kind = "none"
	// KindNotUnderstood: it could not be read. Report.Reason says why.
	KindNotUnderstood Kind = "not-understood"
)

// Kinds lists every Kind, in the order of the constants.
func Kinds() []Kind {
	return []Kind{KindBounce, KindFeedback, KindAutoReply, KindChallenge, KindNone, KindNotUnderstood}
}

// Action is what a receiver did with a message for one recipient (RFC 3464 section 2.3.3).
type Action string

// The actions. Only ActionFailed is a failure.
const (
	// ActionFailed: it was not delivered, and will not be.
	ActionFailed Action = "failed"
	// ActionDelayed: it is not delivered yet, and will be tried again.
	ActionDelayed Action = "delayed"
	// ActionDelivered: it was delivered.
	ActionDelivered Action = "delivered"
	// ActionRelayed: it went on to a system that does not tell about it.
	ActionRelayed Action = "relayed"
	// ActionExpanded: it was delivered and went on to several recipients.
	ActionExpanded Action = "expanded"
)

// Actions lists every Action, in the order of the constants.
func Actions() []Action {
	return []Action{ActionFailed, ActionDelayed, ActionDelivered, ActionRelayed, ActionExpanded}
}

// Record is what a message that came in says about one recipient.
type Record struct {
	// Recipient is the address that the reporter names last (Final-Recipient). It may be another one than we wrote to, where mail was forwarded.
	Recipient string `json:"recipient,omitempty"`
	// Original is the address that we wrote to, where the reporter says so (Original-Recipient), or empty.
	Original string `json:"original,omitempty"`
	// Action is what happened.
	Action Action `json:"action,omitempty"`
	// Reply is what the receiver said, and Verdict what that means.
	Reply   Reply   `json:"reply,omitzero"`
	Verdict Verdict `json:"verdict,omitzero"`
}

// Address is the address that we wrote to, as far as the record tells: Original, else Recipient.
func (r *Record) Address() string {
	if r.Original != "" {
		return r.Original
	}
	return r.Recipient
}

// Report is what a message that came in says about mail of ours. Package intake makes it. All of it is a stranger's word, but for Delivery.
type Report struct {
	// ID names the report: the same message gives the same ID, whoever reads it and when.
	ID string `json:"id"`
	// Kind is what the message is.
	Kind Kind `json:"kind"`
	// Form is in which way it says so: "rfc3464", "qmail", "arf"; for people.
	Form string `json:"form,omitempty"`
	// Reason says in words why a message was not understood.
	Reason string `json:"reason,omitempty"`
	// Delivery is the ID of the delivery that it is about, by a token of our own with a valid signature, or empty. Without it the report may be
	// invented.
	Delivery string `json:"delivery,omitempty"`
	// Authentic says that somebody whom the host trusts has signed the report: see intake.Config.
	Authentic bool `json:"authentic,omitempty"`
	// Feedback is the type of a feedback report ("abuse"), in lower case, and Complaint says that by such a report a recipient does not want our mail.
	Feedback  string `json:"feedback,omitempty"`
	Complaint bool   `json:"complaint,omitempty"`
	// Records are what it says, by recipient.
	Records []Record `json:"records,omitempty"`
	// Reporter is the host that reports, as it names itself.
	Reporter string `json:"reporter,omitempty"`
	// MessageID is the Message-ID of the message that it is about, without angle brackets, if it quotes that.
	MessageID string `json:"message_id,omitempty"`
	// Received is when it came in.
	Received time.Time `json:"received,omitzero"`
}

// Failures reports whether any record tells of a failure.
func (r *Report) Failures() bool {
	for i := range r.Records {
		if r.Records[i].Action == ActionFailed {
			return true
		}
	}
	return false
}

// CleanAddress is an address as it stands in a report, made fit to be compared: white space, angle brackets and quotes around it, an address type ("rfc822;"),
// "mailto:" and a source route ("@a,@b:") are taken off, and the domain is in lower case. It may still be no address.
func CleanAddress(s string) string {
	s = strings.TrimSpace(s)
	if t, rest, ok := strings.Cut(s, ";"); ok && !strings.ContainsAny(t, "@<\" ") {
		s = strings.TrimSpace(rest)
	}
	s = strings.TrimRight(strings.TrimLeft(s, "< "), "<>.,;: ")
	if len(s) > 7 && strings.EqualFold(s[:7], "mailto:") {
		s = s[7:]
	}
	if strings.HasPrefix(s, "@") { // RFC 5321 appendix F.2
		if i := strings.IndexByte(s, ':'); i > 0 {
			s = s[i+1:]
		}
	}
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		s = s[:at] + strings.ToLower(s[at:])
	}
	return s
}
