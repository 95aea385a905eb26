package dsn

import (
	"errors"
	"strings"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/internal/entity"
)

// Errors of Parse, besides those of a message that cannot be read.
var (
	// ErrNotBounce: the message tells of no delivery.
	ErrNotBounce = errors.New("dsn: the message is no bounce")
)

// Form names the way in which a notification is written.
type Form string

// FormRFC3464 is the standard's: a message/delivery-status part (RFC 3464), or message/global-delivery-status (RFC 6533). The names of all other forms
// are those of the systems that write them, or FormOther.
const (
	FormRFC3464 Form = "rfc3464"
	// FormOther: it has no form that is known, but says in words what happened to whom.
	FormOther Form = "other"
)

// maxRecipients is how many recipients of one notification are kept.
const maxRecipients = 10_000

// Notification is what a bounce says.
type Notification struct {
	// Form is how it says it.
	Form Form
	// ReportingMTA is the host that reports, as it names itself, or empty.
	ReportingMTA string
	// EnvelopeID is the ENVID that the message was sent with (RFC 3461 section 4.4), or empty.
	EnvelopeID string
	// ArrivalDate is when the reporting host took the message, or zero.
	ArrivalDate time.Time
	// Recipients are those of whom it tells, each once, up to 10,000; Dropped counts those beyond that, as far as they are read.
	Recipients []Recipient
	Dropped    int
	// Original is what it returns of the message.
	Original Original
}

// Original is the header of the message that a notification is about, as far as it is returned.
type Original struct {
	// MessageID is without angle brackets. Empty, like the others, when the field is not there.
	MessageID string
	// From, To and Subject are the fields, decoded and without control characters. ReturnPath is an address.
	From, To, Subject, ReturnPath string

	header entity.Header
}

// Field returns the values of all fields of a name, as they were written.
func (o Original) Field(name string) []string { return o.header.Values(name) }

// newOriginal reads a header.
func newOriginal(h entity.Header) Original {
	return Original{
		MessageID: clean(strings.Trim(strings.TrimSpace(h.Raw("Message-ID")), "<>")), From: clean(h.Get("From")), To: clean(h.Get("To")), Subject: clean(h.Get("Subject")),
		ReturnPath: clean(bounce.CleanAddress(h.Raw("Return-Path"))), header: h,
	}
}

// clean is v without control characters, which encoded words can hide, and as UTF-8.
func clean(v string) string {
	if isClean(v) {
		return v
	}
	return strings.Map(printable, toUTF8(v))
}

// Recipient is what a notification says about one recipient.
type Recipient struct {
	// Final is the address that the reporting host tried last (RFC 3464 section 2.3.2): where the message was forwarded to, if it was.
	Final string
	// Original is the address that the sender gave (section 2.3.1), or empty.
	Original string
	// Action is what was done.
	Action bounce.Action
	// Status is the enhanced code, or zero.
	Status bounce.Status
	// Diagnostic is what the remote host said, or the reporting host's own words, on one line. DiagnosticType is its type in lower case: "smtp", "x-unix", or empty.
	Diagnostic     string
	DiagnosticType string
	// RemoteMTA is the host that said it, or empty.
	RemoteMTA string
	// LastAttempt is when it was tried last, WillRetryUntil until when it will be; zero when that is not told.
	LastAttempt    time.Time
	WillRetryUntil time.Time
}

// Reply is the diagnostic as the reply that it quotes, with the status where the reply has none.
func (r Recipient) Reply() bounce.Reply {
	reply := bounce.ParseReply(r.Diagnostic)
	if reply.Status.IsZero() {
		reply.Status = r.Status
	}
	if reply.Host == "" {
		reply.Host = r.RemoteMTA
	}
	return reply
}

// Parse reads a raw message. Errors are ErrNotBounce, and those of a message that cannot be read (empty, or above 10 MB).
func Parse(raw []byte) (*Notification, error) {
	m, err := entity.Read(raw)
	if err != nil {
		return nil, err
	}
	if n := Read(m); n != nil {
		return n, nil
	}
	return nil, ErrNotBounce
}

// Read is Parse for a message that is parsed already; nil when it is no bounce.
func Read(m *entity.Part) *Notification {
	if n := structured(m); n != nil {
		enrich(m, n)
		return n
	}
	return freeForm(m)
}

// add puts a recipient in, or adds what it says to what was said about the same one before. It is the same by both addresses, or by the final one
// where only one of two records tells the original.
func (n *Notification) add(r Recipient, index map[string]int) {
	if r.Final == "" || !isClean(r.Final) {
		return
	}
	final := strings.ToLower(r.Final)
	both := final + "\n" + strings.ToLower(r.Original)
	i, ok := index[both]
	if first, has := index[final]; !ok && has && (r.Original == "" || n.Recipients[first].Original == "") {
		i, ok = first, true
		index[both] = first
	}
	if ok {
		n.Recipients[i].merge(r)
		return
	}
	if len(n.Recipients) == maxRecipients {
		n.Dropped++
		return
	}
	index[both] = len(n.Recipients)
	if _, has := index[final]; !has {
		index[final] = len(n.Recipients)
	}
	n.Recipients = append(n.Recipients, r)
}

// merge adds what another record says about the same recipient: a failure wins, and what is more exact.
func (r *Recipient) merge(o Recipient) {
	if o.Action == bounce.ActionFailed && r.Action != bounce.ActionFailed {
		*r, o = o, *r
	}
	if r.Original == "" {
		r.Original = o.Original
	}
	if r.Status.IsZero() || isVague(r.Status) && !isVague(o.Status) && o.Status.Class == r.Status.Class {
		r.Status = o.Status
	}
	if r.Diagnostic == "" {
		r.Diagnostic, r.DiagnosticType = o.Diagnostic, o.DiagnosticType
	}
	if r.RemoteMTA == "" {
		r.RemoteMTA = o.RemoteMTA
	}
	if o.LastAttempt.After(r.LastAttempt) {
		r.LastAttempt = o.LastAttempt
	}
	if r.WillRetryUntil.IsZero() && r.Action == bounce.ActionDelayed {
		r.WillRetryUntil = o.WillRetryUntil
	}
}

// isVague reports whether a status says no more than whether it failed (RFC 3463 section 3.1).
func isVague(s bounce.Status) bool { return s.Subject == 0 && s.Detail == 0 }
