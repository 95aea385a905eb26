package dsn

import (
	"strings"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/internal/entity"
)

// maxGroups bounds the groups of fields of one status part that are read: one for the message, and one for each recipient, with those that are only counted.
const maxGroups = 2 * maxRecipients

// maxField bounds the fields that have an address, a name or an identifier, in bytes.
const maxField = 4096

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
		if v := g.Raw("Original-Envelope-Id"); v != "" && len(v) <= maxField && n.EnvelopeID == "" {
			n.EnvelopeID = strings.Map(printable, strings.ToValidUTF8(decodeXtext(v), ""))
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
	case r.Status.Class == 4 && (!r.WillRetryUntil.IsZero() || !saysGivenUp(r)):
		return bounce.ActionDelayed
	}
	return bounce.ActionFailed
}

// saysGivenUp reports whether what is temporary by its status failed for good, since it took too long (RFC 3463 section 3.5: X.4.7).
func saysGivenUp(r Recipient) bool {
	if r.Status.Subject == 4 && r.Status.Detail == 7 {
		return true
	}
	text := strings.ToLower(r.Diagnostic)
	for _, words := range []string{"expired", "too long", "too old", "giving up", "given up", "gave up", "timed out in queue", "retry timeout exceeded", "returned to sender"} {
		if strings.Contains(text, words) {
			return true
		}
	}
	return false
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
	if !isClean(text) {
		text = strings.Map(printable, text)
	}
	for range 3 {
		t, rest, ok := strings.Cut(text, ";")
		if t = strings.ToLower(strings.TrimSpace(withoutComments(t))); !ok || t == "" || len(t) > 20 || strings.ContainsAny(t, " .:@<>") {
			break
		}
		if typ != "" && t != typ && t != "smtp" && !strings.HasPrefix(t, "x-") { // a word of the text: "smtp; rejected; see …"
			break
		}
		typ, text = t, strings.TrimSpace(rest)
	}
	if len(text) > maxDiagnostic {
		text = strings.ToValidUTF8(text[:maxDiagnostic], "")
	}
	return typ, text
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
