package dsn

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/internal/entity"
)

// ErrNoBounce is Compose's error for a message of which no notification may be sent: its reverse-path is null (RFC 5321 section 6.1), or it is an
// automatic answer or notification itself (RFC 3834 section 2).
var ErrNoBounce = errors.New("dsn: the message must not be answered")

// ComposeConfig says how to write a notification.
type ComposeConfig struct {
	// ReversePath is where the original came from (its MAIL FROM), and where the notification goes. Required: a null one is ErrNoBounce.
	ReversePath string
	// Hostname is the host that reports, in A-labels. Defaults to the notification's ReportingMTA; one of the two is required.
	Hostname string
	// Message is the original as it came in. Empty returns nothing of it. Defaults to empty.
	Message []byte
	// Full returns the original with its body (RET=FULL, RFC 3461 section 4.3), unless that is above MaxFull or has lines that are too
	// long for SMTP. Defaults to its header (RET=HDRS).
	Full bool
	// MaxFull is the largest original that is returned with its body, in bytes. Defaults to 1 MiB.
	MaxFull int
	// AnswerGenerated writes of messages too that have "Auto-Submitted: auto-generated", as newsletters and password mail may have: RFC 3834
	// would have no automatic answer to them, but their senders want to know. Answers ("auto-replied") stay refused. Defaults to false.
	AnswerGenerated bool
	// From is the notification's author, an address. Defaults to MAILER-DAEMON at Hostname.
	From string
	// Subject is its subject. Defaults to one in English that says what happened.
	Subject string
	// Text is what it says to people, with line ends of either kind. Defaults to a text in English with the recipients and diagnostics.
	Text string
	// MessageID is its Message-ID, with or without angle brackets. Defaults to a random one at Hostname.
	MessageID string
	// Date is when it is written. Defaults to now.
	Date time.Time
}

// Bounds of what is composed.
const (
	defaultMaxFull = 1 << 20
	maxReturnedHdr = 64 << 10 // of the original's header, in bytes
	maxLine        = 998      // RFC 5322 section 2.1.1
	maxEnvelopeID  = 250      // in bytes; RFC 3461 section 4.4 has 100
	maxListed      = 100      // recipients in the text for people
)

// Compose writes a notification as a message with CRLF line ends: multipart/report (RFC 6522) with a text for people, the status part (RFC 3464)
// and what is returned of the original. Original, Form and Dropped of the notification are not used. It is to be sent with the null reverse-path
// ("MAIL FROM:<>", RFC 3464 section 2), to the original's reverse-path alone. Of recipients whose sender said NOTIFY=NEVER (RFC 3461
// section 4.1) there is to be none in it.
//
// Where an address is not ASCII, the parts are those of RFC 6533, and SMTPUTF8 is needed to send it. A body or header with 8-bit text is returned
// as it is, and needs 8BITMIME.
//
// Of a recipient a missing Action is a failure, a missing Status the vague one of its action (RFC 3463), and a missing DiagnosticType "smtp".
//
// Errors are ErrNoBounce, and those of a field that is missing or malformed, which they name: no field can break out of its line. There are at
// most 10,000 recipients.
func Compose(n *Notification, cfg ComposeConfig) ([]byte, error) {
	c := composer{ComposeConfig: cfg, n: n}
	if err := c.mayAnswer(); err != nil {
		return nil, err
	}
	if err := c.setDefaults(); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	return c.write(), nil
}

// composer writes one notification.
type composer struct {
	ComposeConfig
	n        *Notification
	original entity.Header // of Message
	global   bool          // an address is not ASCII
	out      bytes.Buffer
}

// mayAnswer finds out whether the original may be answered, and reads its header.
func (c *composer) mayAnswer() error {
	c.ReversePath = bounce.CleanAddress(c.ReversePath)
	if c.ReversePath == "" {
		return ErrNoBounce
	}
	c.Message = entity.TrimFront(c.Message)
	m, err := entity.Read(headerOf(c.Message))
	if err != nil { // there is none
		return nil
	}
	c.original = m.Header
	if v := m.Header.Raw("Return-Path"); strings.Join(strings.Fields(v), "") == "<>" {
		return ErrNoBounce
	}
	for _, v := range m.Header.Values("Auto-Submitted") { // RFC 3834 section 5
		v, _, _ = strings.Cut(withoutComments(v), ";")
		switch v = strings.ToLower(strings.TrimSpace(v)); {
		case v == "" || v == "no":
		case v == "auto-generated" && c.AnswerGenerated:
		default:
			return ErrNoBounce
		}
	}
	if m.MediaType == "multipart/report" {
		switch strings.ToLower(m.Params["report-type"]) {
		case "", "delivery-status", "global-delivery-status", "disposition-notification":
			return ErrNoBounce
		}
	}
	return nil
}

// setDefaults fills in what is not given.
func (c *composer) setDefaults() error {
	if c.Hostname == "" {
		c.Hostname = c.n.ReportingMTA
	}
	if c.Hostname == "" {
		return errors.New("dsn: Hostname is missing")
	}
	if c.From == "" {
		c.From = "MAILER-DAEMON@" + c.Hostname
	}
	if c.Subject == "" {
		c.Subject = subjectOf(c.n)
	}
	if c.MaxFull <= 0 {
		c.MaxFull = defaultMaxFull
	}
	if c.Date.IsZero() {
		c.Date = time.Now()
	}
	if c.MessageID = strings.TrimSuffix(strings.TrimPrefix(c.MessageID, "<"), ">"); c.MessageID == "" {
		c.MessageID = strings.ToLower(rand.Text()) + "@" + c.Hostname
	}
	return nil
}

// check refuses what cannot be written.
func (c *composer) check() error {
	n := c.n
	switch {
	case len(n.Recipients) == 0:
		return errors.New("dsn: Recipients: there are none")
	case len(n.Recipients) > maxRecipients:
		return fmt.Errorf("dsn: Recipients: more than %d", maxRecipients)
	case strings.ContainsRune(c.Text, 0) || !utf8.ValidString(c.Text):
		return errors.New("dsn: Text has a NUL or is not UTF-8")
	}
	if n.ReportingMTA != "" && !isHost(n.ReportingMTA) {
		return errors.New("dsn: ReportingMTA is no host name")
	}
	if !isHost(c.Hostname) {
		return errors.New("dsn: Hostname is no host name")
	}
	for name, v := range map[string]string{"ReversePath": c.ReversePath, "From": c.From} {
		if !c.isAddress(v) {
			return fmt.Errorf("dsn: %s is no address", name)
		}
	}
	if !isMessageID("<" + c.MessageID + ">") {
		return errors.New("dsn: MessageID is malformed")
	}
	if len(n.EnvelopeID) > maxEnvelopeID {
		return fmt.Errorf("dsn: EnvelopeID has more than %d bytes", maxEnvelopeID)
	}
	for name, v := range map[string]string{"Subject": c.Subject, "EnvelopeID": n.EnvelopeID} {
		if !isOneLine(v) {
			return fmt.Errorf("dsn: %s has control characters, is not UTF-8 or too long", name)
		}
	}
	for i := range n.Recipients {
		if reason := c.malformed(&n.Recipients[i]); reason != "" {
			return fmt.Errorf("dsn: Recipients[%d].%s", i, reason)
		}
	}
	return nil
}

// malformed says which field of a recipient cannot be written, and why; empty for none.
func (c *composer) malformed(r *Recipient) string {
	switch {
	case !c.isAddress(r.Final):
		return "Final is no address"
	case r.Original != "" && !c.isAddress(r.Original):
		return "Original is no address"
	case r.RemoteMTA != "" && !isHost(r.RemoteMTA):
		return "RemoteMTA is no host name"
	case !isOneLine(r.Diagnostic):
		return "Diagnostic has control characters, is not UTF-8 or too long"
	case !isAtom(r.DiagnosticType):
		return "DiagnosticType is no atom"
	}
	switch r.Action {
	case "", bounce.ActionFailed, bounce.ActionDelayed, bounce.ActionDelivered, bounce.ActionRelayed, bounce.ActionExpanded:
	default:
		return "Action is unknown"
	}
	if s := r.Status; !s.IsZero() {
		if _, ok := bounce.ParseStatus(s.String()); !ok {
			return "Status is none (RFC 3463 section 2)"
		}
	}
	return ""
}

// isAddress reports whether v can be written as an address, and notes whether it is ASCII.
func (c *composer) isAddress(v string) bool {
	at := strings.LastIndexByte(v, '@')
	if at < 1 || at == len(v)-1 || len(v) > 1000 || !isOneLine(v) {
		return false
	}
	quoted := v[0] == '"' && at > 1 && v[at-1] == '"'
	if strings.ContainsAny(v[at:], " \t\"<>,;()\\") || !quoted && strings.ContainsAny(v[:at], " \t\"<>,;:()\\@") {
		return false
	}
	if !isASCII(v) {
		c.global = true
	}
	return true
}

// isOneLine reports whether v can stand in a field: text without control characters.
func isOneLine(v string) bool {
	for _, r := range v {
		if r < ' ' || r == 0x7f || 0x80 <= r && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return false
		}
	}
	return utf8.ValidString(v) && len(v) <= 64<<10
}

// isHost reports whether v can stand as a host name in ASCII (A-labels), or an address in brackets.
func isHost(v string) bool {
	return v != "" && len(v) <= 255 && isOneLine(v) && isASCII(v) && !strings.ContainsAny(v, " ;()<>@,\"\\")
}

// isAtom reports whether v is nothing, or a type as RFC 3464 section 2.1.2 has them.
func isAtom(v string) bool {
	for i := range len(v) {
		if c := v[i]; c != '-' && c != '_' && !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return len(v) <= 20
}

// isMessageID reports whether v can be quoted: RFC 5322 section 3.6.4, short of its details.
func isMessageID(v string) bool {
	if len(v) < 5 || len(v) > 250 || v[0] != '<' || v[len(v)-1] != '>' || !strings.Contains(v, "@") {
		return false
	}
	return !strings.ContainsFunc(v[1:len(v)-1], func(r rune) bool { return r <= ' ' || r > '~' || r == '<' || r == '>' })
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// write writes all of it.
func (c *composer) write() []byte {
	returned := c.returned()
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s", c.MessageID, c.Text, returned.body)) // nobody can make a message that has its own
	boundary := "=_" + hex.EncodeToString(sum[:16])
	c.line("From: Mail Delivery System <" + c.From + ">")
	c.line("To: <" + c.ReversePath + ">")
	c.folded("Subject", mime.QEncoding.Encode("utf-8", c.Subject))
	c.line("Date: " + c.Date.Format(time.RFC1123Z))
	c.line("Message-ID: <" + c.MessageID + ">")
	if id := c.original.Raw("Message-ID"); isMessageID(id) {
		c.line("In-Reply-To: " + id)
		c.line("References: " + id)
	}
	c.line("Auto-Submitted: auto-replied") // RFC 3834 section 5
	c.line("MIME-Version: 1.0")
	c.line("Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"" + boundary + "\"")
	if c.global || returned.eight {
		c.line("Content-Transfer-Encoding: 8bit") // RFC 2045 section 6.4
	}
	c.line("")
	c.line("--" + boundary)
	c.line("Content-Type: text/plain; charset=utf-8")
	c.line("Content-Transfer-Encoding: quoted-printable")
	c.line("")
	text := c.Text
	if text == "" {
		text = c.words()
	}
	qp := quotedprintable.NewWriter(&c.out)
	_, _ = qp.Write([]byte(text)) // to memory
	_ = qp.Close()
	c.line("")
	c.line("--" + boundary)
	c.status()
	if returned.body != nil {
		c.line("--" + boundary)
		c.line("Content-Type: " + returned.mediaType)
		if returned.eight {
			c.line("Content-Transfer-Encoding: 8bit")
		}
		c.line("")
		c.out.Write(returned.body)
		c.line("")
	}
	c.line("--" + boundary + "--")
	return c.out.Bytes()
}

func (c *composer) line(s string) {
	c.out.WriteString(s)
	c.out.WriteString("\r\n")
}

// folded writes a field of any length, broken at its spaces (RFC 5322 section 2.2.3), and within a word that is too long for a line.
func (c *composer) folded(name, value string) {
	width := len(name) + 1
	c.out.WriteString(name + ":")
	for word := range strings.FieldsSeq(value) {
		for first := true; word != ""; first = false {
			piece := word
			if len(piece) > maxLine-100 {
				end := maxLine - 100
				for end > 0 && !utf8.RuneStart(piece[end]) {
					end--
				}
				piece = piece[:end]
			}
			word = word[len(piece):]
			if !first || width > len(name)+1 && width+1+len(piece) > 78 {
				c.out.WriteString("\r\n")
				width = 0
			}
			c.out.WriteString(" " + piece)
			width += 1 + len(piece)
		}
	}
	c.out.WriteString("\r\n")
}
