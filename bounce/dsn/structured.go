package dsn

import (
	"net/mail"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/internal/entity"
)

// maxGroups bounds the groups of fields of one status part: one for the message, and one for each recipient.
const maxGroups = maxRecipients + 1

// maxStatusParts bounds the status parts of a message that are read.
const maxStatusParts = 20

// structured reads the status parts of a message, wherever they are; nil when there is none that names a recipient.
func structured(m *entity.Part) *Notification {
	parts := statusParts(m)
	if len(parts) == 0 {
		return nil
	}
	n := &Notification{Form: FormRFC3464}
	index := make(map[string]int)
	for i, p := range parts {
		if i == maxStatusParts {
			break
		}
		n.status(p.Body, index)
	}
	if len(n.Recipients) == 0 {
		return nil
	}
	n.Original = returned(m)
	return n
}

// statusParts finds the parts that tell of deliveries. A message that is itself returned by a bounce may be one, so of a tree only the status
// parts nearest to the top count: those of a bounce that was forwarded, if there are no others.
func statusParts(m *entity.Part) []*entity.Part {
	var found []*entity.Part
	level := []*entity.Part{m}
	for len(level) > 0 && len(found) == 0 {
		var messages []*entity.Part // whose insides are the next level
		for _, top := range level {
			top.Walk(func(p *entity.Part) bool {
				switch {
				case isStatusType(p.MediaType) || p.MediaType == "text/plain" && p != m && looksLikeStatus(p.Body):
					found = append(found, p)
				case p != top && len(p.Parts) == 1 && strings.HasPrefix(p.MediaType, "message/"):
					messages = append(messages, p.Parts[0])
					return true
				}
				return false
			})
		}
		level = messages
	}
	return found
}

func isStatusType(mediaType string) bool {
	return mediaType == "message/delivery-status" || mediaType == "message/global-delivery-status"
}

// looksLikeStatus reports whether a part that has another type is a status part all the same: it begins with the fields of one.
func looksLikeStatus(b []byte) bool {
	if len(b) > 64<<10 {
		return false
	}
	groups := entity.Groups(b, 2)
	switch len(groups) {
	case 0:
		return false
	case 1:
		return groups[0].Has("Final-Recipient") && (groups[0].Has("Status") || groups[0].Has("Action"))
	}
	return groups[0].Has("Reporting-MTA") && groups[1].Has("Final-Recipient") || groups[0].Has("Final-Recipient") && groups[0].Has("Status")
}

// status reads one status part.
func (n *Notification) status(body []byte, index map[string]int) {
	for _, g := range entity.Groups(body, maxGroups) {
		// A group about the message may have run into the first one about a recipient, for want of an empty line.
		if v := g.Raw("Reporting-MTA"); v != "" && n.ReportingMTA == "" {
			n.ReportingMTA = hostName(v)
		}
		if v := g.Raw("Original-Envelope-Id"); v != "" && n.EnvelopeID == "" {
			n.EnvelopeID = decodeXtext(v)
		}
		if v := g.Raw("Arrival-Date"); v != "" && n.ArrivalDate.IsZero() {
			n.ArrivalDate = date(v)
		}
		for _, one := range byRecipient(g) {
			if r, ok := readRecipient(one); ok {
				n.add(r, index)
			}
		}
	}
}

// fields are the fields of one recipient by name in lower case; of several the first.
type fields map[string]string

// byRecipient takes a group apart where a recipient begins within it, since an empty line is missing.
func byRecipient(g entity.Header) []fields {
	var out []fields
	var pending fields // what stands before the first field that names a recipient
	for f := range g.All() {
		name := strings.ToLower(f.Name)
		switch name {
		case "final-recipient", "original-recipient", "x-actual-recipient":
			if n := len(out); n == 0 || out[n-1][name] != "" {
				next := make(fields)
				if n == 0 {
					for k, v := range pending {
						next[k] = v
					}
				}
				out = append(out, next)
			}
		}
		if len(out) == 0 {
			if pending == nil {
				pending = make(fields)
			}
			if pending[name] == "" {
				pending[name] = f.Value
			}
			continue
		}
		if last := out[len(out)-1]; last[name] == "" {
			last[name] = f.Value
		} else if name == "diagnostic-code" && len(last[name]) < 4096 {
			last[name] += " " + f.Value
		}
	}
	return out
}

// readRecipient reads the fields of one recipient; false when they name none.
func readRecipient(f fields) (Recipient, bool) {
	r := Recipient{Final: recipientAddress(f["final-recipient"]), Original: recipientAddress(f["original-recipient"])}
	if r.Original == "" {
		r.Original = recipientAddress(f["x-actual-recipient"])
	}
	if r.Final == "" || !strings.Contains(r.Final, "@") && strings.Contains(r.Original, "@") { // the name of a local mailbox
		r.Final = r.Original
	}
	if r.Final == "" {
		return r, false
	}
	if r.Original == "" || strings.EqualFold(r.Original, r.Final) {
		r.Original = ""
	}
	r.Status = readStatus(f["status"])
	r.DiagnosticType, r.Diagnostic = diagnostic(f["diagnostic-code"])
	if r.Status.IsZero() {
		r.Status = readStatus(f["diagnostic-code"])
	}
	r.RemoteMTA = hostName(f["remote-mta"])
	r.LastAttempt, r.WillRetryUntil = date(f["last-attempt-date"]), date(f["will-retry-until"])
	r.Action = readAction(f["action"], r)
	return r, true
}

// readAction reads an Action field (RFC 3464 section 2.3.3). Where it is missing or wrong, the status says it.
func readAction(v string, r Recipient) bounce.Action {
	word := strings.ToLower(strings.TrimSpace(withoutComments(v)))
	if i := strings.IndexFunc(word, func(c rune) bool { return c < 'a' || c > 'z' }); i > 0 {
		word = word[:i]
	}
	switch word {
	case "failed", "failure", "undeliverable":
		return bounce.ActionFailed
	case "delayed", "delay":
		return bounce.ActionDelayed
	case "delivered":
		return bounce.ActionDelivered
	case "relayed":
		return bounce.ActionRelayed
	case "expanded":
		return bounce.ActionExpanded
	}
	switch {
	case r.Status.Class == 2:
		return bounce.ActionDelivered
	case r.Status.Class == 4 && !r.WillRetryUntil.IsZero():
		return bounce.ActionDelayed
	}
	return bounce.ActionFailed
}

// readStatus finds an enhanced code at the beginning of a field, behind "#" and comments too.
func readStatus(v string) bounce.Status {
	for i := 0; i < len(v) && i < 200; i++ {
		if v[i] < '2' || v[i] > '5' || i > 0 && (isDigit(v[i-1]) || v[i-1] == '.') {
			continue
		}
		end := i
		for end < len(v) && (isDigit(v[end]) || v[end] == '.') {
			end++
		}
		if s, ok := bounce.ParseStatus(strings.TrimRight(v[i:end], ".")); ok {
			return s
		}
		i = end
	}
	return bounce.Status{}
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// maxDiagnostic bounds what is kept of a diagnostic.
const maxDiagnostic = 4096

// diagnostic splits a Diagnostic-Code (RFC 3464 section 2.3.6) into its type and text. Types that stand twice are taken off.
func diagnostic(v string) (typ, text string) {
	text = strings.Join(strings.Fields(toUTF8(v)), " ")
	for range 3 {
		t, rest, ok := strings.Cut(text, ";")
		if t = strings.ToLower(strings.TrimSpace(withoutComments(t))); !ok || t == "" || len(t) > 20 || strings.ContainsAny(t, " .:@<>") {
			break
		}
		typ, text = t, strings.TrimSpace(rest)
	}
	if len(text) > maxDiagnostic {
		text = strings.ToValidUTF8(text[:maxDiagnostic], "")
	}
	return typ, text
}

// hostName is the name in a field like "dns; mx.example.com (192.0.2.1)". Of an address in brackets it is the address.
func hostName(v string) string {
	if t, rest, ok := strings.Cut(v, ";"); ok && !strings.ContainsAny(t, ". ") {
		v = rest
	}
	if name := strings.Fields(withoutComments(v)); len(name) > 0 {
		return strings.ToLower(strings.TrimRight(strings.Trim(name[0], "[]<>"), ".;,"))
	}
	if f := strings.Fields(strings.Trim(v, " ()")); len(f) > 0 { // all of it in brackets
		return strings.ToLower(strings.Trim(f[0], "[]"))
	}
	return ""
}

// withoutComments takes out what stands in parentheses (RFC 5322 section 3.2.2).
func withoutComments(v string) string {
	if !strings.ContainsRune(v, '(') {
		return v
	}
	var b strings.Builder
	depth := 0
	for i := range len(v) {
		switch {
		case v[i] == '(':
			depth++
		case v[i] == ')' && depth > 0:
			depth--
		case depth == 0:
			b.WriteByte(v[i])
		}
	}
	return b.String()
}

// recipientAddress is the address in a field like "rfc822; user@example.com" (RFC 3464 section 2.1.2) or "utf-8; …" (RFC 6533 section 3). Source routes, brackets, comments and
// display names are taken off.
func recipientAddress(v string) string {
	v = strings.TrimSpace(toUTF8(v))
	typ, rest, ok := strings.Cut(v, ";")
	typ = strings.ToLower(strings.TrimSpace(typ))
	if ok && !strings.ContainsAny(typ, "@<\" ") {
		v = strings.TrimSpace(rest)
	} else {
		typ = ""
	}
	if typ == "utf-8" {
		v = decodeUTF8Address(v)
	} else if strings.Contains(v, "+40") || strings.Contains(v, "+2B") {
		if d := decodeXtext(v); strings.Contains(d, "@") { // xtext was not undone (RFC 3461 section 4)
			v = d
		}
	}
	if i := strings.IndexByte(v, '<'); i >= 0 {
		if j := strings.IndexByte(v[i:], '>'); j > 0 {
			v = v[i : i+j+1]
		}
	}
	if !strings.HasPrefix(v, "\"") {
		if f := strings.Fields(v); len(f) > 0 {
			v = f[0]
		}
	}
	v = bounce.CleanAddress(v)
	if len(v) > 1000 || !utf8.ValidString(v) || v == "@" || strings.ContainsAny(v, "\x00\r\n") {
		return ""
	}
	return v
}

// decodeXtext undoes xtext (RFC 3461 section 4): "+" and two hexadecimal digits are a character.
func decodeXtext(s string) string {
	if !strings.Contains(s, "+") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '+' && i+2 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil && c > ' ' {
				b = append(b, byte(c))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

// decodeUTF8Address undoes utf-8-addr-xtext and utf-8-addr-unitext (RFC 6533 section 3): "\x{" and hexadecimal digits and "}" are a character.
func decodeUTF8Address(s string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(s, `\x{`)
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		digits, after, ok := strings.Cut(rest, "}")
		c, err := strconv.ParseUint(digits, 16, 32)
		if !ok || err != nil || c < ' ' || !utf8.ValidRune(rune(c)) {
			b.WriteString(`\x{`)
			s = rest
			continue
		}
		b.WriteRune(rune(c))
		s = after
	}
}

// toUTF8 makes a value fit to be shown.
func toUTF8(v string) string { return entity.Decode(v) }

// date reads a date of RFC 5322; zero for what is none.
func date(v string) time.Time {
	if v == "" || len(v) > 100 {
		return time.Time{}
	}
	t, err := mail.ParseDate(strings.TrimSpace(v))
	if err != nil {
		return time.Time{}
	}
	return t
}

// returned is the header of the message that a notification returns: the message or header that stands beside or behind its status part.
func returned(m *entity.Part) Original {
	var found *entity.Part
	behind := false
	m.Walk(func(p *entity.Part) bool {
		if isStatusType(p.MediaType) {
			behind = true
		}
		if found != nil || p == m || len(p.Parts) != 1 {
			return found != nil
		}
		switch p.MediaType {
		case "message/rfc822", "message/global", "text/rfc822-headers", "text/rfc822-header", "message/rfc822-headers", "message/global-headers":
			if behind || !hasStatus(p) {
				found = p.Parts[0]
			}
		}
		return found != nil
	})
	if found == nil {
		return Original{}
	}
	return newOriginal(found.Header)
}

// hasStatus reports whether a status part is inside.
func hasStatus(p *entity.Part) bool {
	return len(p.Find("message/delivery-status", "message/global-delivery-status")) > 0
}
