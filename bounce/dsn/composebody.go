package dsn

import (
	"bytes"
	"fmt"
	"mime"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/internal/entity"
)

// status writes the status part (RFC 3464 section 2.1, RFC 6533 section 5).
func (c *composer) status() {
	n := c.n
	if c.global {
		c.line("Content-Type: message/global-delivery-status")
		c.line("Content-Transfer-Encoding: 8bit")
	} else {
		c.line("Content-Type: message/delivery-status")
	}
	c.line("")
	reporter := n.ReportingMTA
	if reporter == "" {
		reporter = c.Hostname
	}
	c.line("Reporting-MTA: dns; " + reporter)
	if n.EnvelopeID != "" {
		c.folded("Original-Envelope-Id", encodeXtext(n.EnvelopeID))
	}
	if !n.ArrivalDate.IsZero() {
		c.line("Arrival-Date: " + n.ArrivalDate.Format(time.RFC1123Z))
	}
	for i := range n.Recipients {
		r := &n.Recipients[i]
		c.line("")
		if r.Original != "" {
			c.line("Original-Recipient: " + c.typed(r.Original))
		}
		c.line("Final-Recipient: " + c.typed(r.Final))
		c.line("Action: " + string(actionOf(r)))
		c.line("Status: " + statusOf(r).String())
		if r.RemoteMTA != "" {
			c.line("Remote-MTA: dns; " + r.RemoteMTA)
		}
		if text := strings.Join(strings.Fields(r.Diagnostic), " "); text != "" {
			typ := strings.ToLower(r.DiagnosticType)
			if typ == "" {
				typ = "smtp"
			}
			if len(text) > maxDiagnostic {
				text = strings.ToValidUTF8(text[:maxDiagnostic], "")
			}
			c.folded("Diagnostic-Code", typ+"; "+mime.QEncoding.Encode("utf-8", text))
		}
		if !r.LastAttempt.IsZero() {
			c.line("Last-Attempt-Date: " + r.LastAttempt.Format(time.RFC1123Z))
		}
		if !r.WillRetryUntil.IsZero() {
			c.line("Will-Retry-Until: " + r.WillRetryUntil.Format(time.RFC1123Z))
		}
	}
	c.line("")
}

// typed is an address with its type (RFC 3464 section 2.1.2, RFC 6533 section 3).
func (c *composer) typed(address string) string {
	if isASCII(address) {
		return "rfc822; " + address
	}
	return "utf-8; " + address
}

// actionOf is what happened to a recipient, a failure where nothing is said.
func actionOf(r *Recipient) bounce.Action {
	if r.Action == "" {
		return bounce.ActionFailed
	}
	return r.Action
}

// statusOf is a recipient's status, or the vague one of its action.
func statusOf(r *Recipient) bounce.Status {
	if !r.Status.IsZero() {
		return r.Status
	}
	switch actionOf(r) {
	case bounce.ActionFailed:
		return bounce.Status{Class: 5}
	case bounce.ActionDelayed:
		return bounce.Status{Class: 4}
	}
	return bounce.Status{Class: 2}
}

// encodeXtext is xtext (RFC 3461 section 4).
func encodeXtext(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '+' || c == '=' {
			fmt.Fprintf(&b, "+%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// returnedPart is what goes back of the original.
type returnedPart struct {
	mediaType string
	body      []byte // with CRLF line ends; nil for nothing
	eight     bool   // it has 8-bit text
}

// returned is the original, or its header, fit to be sent. NUL bytes, which no message may have, are left out.
func (c *composer) returned() returnedPart {
	if len(bytes.TrimSpace(c.Message)) == 0 {
		return returnedPart{}
	}
	if c.Full && len(c.Message) <= c.MaxFull {
		if body, ok := sendable(c.Message, 2*len(c.Message)+2); ok {
			p := returnedPart{mediaType: "message/rfc822", body: body, eight: !isASCII(string(body))}
			if c.global {
				p.mediaType = "message/global" // RFC 6533 section 6
			}
			return p
		}
	}
	header, _ := sendable(headerOf(c.Message), maxReturnedHdr)
	p := returnedPart{mediaType: "text/rfc822-headers", body: header, eight: !isASCII(string(header))}
	if c.global {
		p.mediaType = "message/global-headers"
	}
	return p
}

// headerOf is a message up to its first empty line.
func headerOf(b []byte) []byte {
	end := min(len(b), entity.MaxHeaderBytes)
	if i := bytes.Index(b[:end], []byte("\n\n")); i >= 0 {
		end = i + 1
	}
	if i := bytes.Index(b[:end], []byte("\n\r\n")); i >= 0 {
		end = i + 1
	}
	return b[:end]
}

// sendable is text with CRLF line ends, and nothing that SMTP has no place for: NUL bytes are left out, lone CR and LF are line ends. Lines above
// 998 bytes are left out with what is folded below them, and then it is not ok; so is what is beyond limit.
func sendable(b []byte, limit int) (out []byte, ok bool) {
	b = bytes.ReplaceAll(b, []byte{0}, nil)
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	b = bytes.ReplaceAll(b, []byte("\r"), []byte("\n"))
	out = make([]byte, 0, min(len(b)+len(b)/20, limit))
	ok = true
	long := false
	for len(b) > 0 {
		line, rest, _ := bytes.Cut(b, []byte("\n"))
		b = rest
		if long = len(line) > maxLine || long && len(line) > 0 && (line[0] == ' ' || line[0] == '\t'); long {
			ok = false
			continue
		}
		if len(out)+len(line)+2 > limit {
			return out, false
		}
		out = append(append(out, line...), '\r', '\n')
	}
	return out, ok
}

// subjectOf says what happened.
func subjectOf(n *Notification) string {
	count := make(map[bounce.Action]int)
	for i := range n.Recipients {
		count[actionOf(&n.Recipients[i])]++
	}
	switch {
	case count[bounce.ActionFailed] > 0:
		return "Mail could not be delivered"
	case count[bounce.ActionDelayed] > 0:
		return "Mail is delayed"
	}
	return "Mail was delivered"
}

// words is the text for people.
func (c *composer) words() string {
	var b strings.Builder
	fmt.Fprintf(&b, "This is the mail system at %s.\n", c.Hostname)
	for _, a := range bounce.Actions() {
		count := 0
		for i := range c.n.Recipients {
			r := &c.n.Recipients[i]
			if actionOf(r) != a {
				continue
			}
			if count++; count == 1 {
				fmt.Fprintf(&b, "\n%s\n", actionWords[a])
			}
			if count > maxListed {
				continue
			}
			fmt.Fprintf(&b, "\n<%s>\n", r.Final)
			if r.Original != "" {
				fmt.Fprintf(&b, "    (sent to <%s>)\n", r.Original)
			}
			if text := strings.Join(strings.Fields(r.Diagnostic), " "); text != "" {
				fmt.Fprintf(&b, "    %s\n", text[:cutAt(text, maxDiagnostic)])
			} else if s := statusOf(r); s.Text() != "" {
				fmt.Fprintf(&b, "    %s: %s\n", s, s.Text())
			}
			if a == bounce.ActionDelayed && !r.WillRetryUntil.IsZero() {
				fmt.Fprintf(&b, "    It will be tried until %s.\n", r.WillRetryUntil.Format(time.RFC1123Z))
			}
		}
		if count > maxListed {
			fmt.Fprintf(&b, "\nand %d more.\n", count-maxListed)
		}
	}
	return b.String()
}

// actionWords introduces the recipients of an action.
var actionWords = map[bounce.Action]string{
	bounce.ActionFailed:    "Your message could not be delivered to:",
	bounce.ActionDelayed:   "Your message is delayed, and need not be sent again. Not delivered yet to:",
	bounce.ActionDelivered: "Your message was delivered to:",
	bounce.ActionRelayed:   "Your message went on to a system that will not report about it:",
	bounce.ActionExpanded:  "Your message was delivered to these lists, and sent on to their members:",
}

// cutAt is where to cut s so that it has at most n bytes, at the beginning of a character.
func cutAt(s string, n int) int {
	if len(s) <= n {
		return len(s)
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return n
}
