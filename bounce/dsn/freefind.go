package dsn

import (
	"slices"
	"strings"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/internal/entity"
)

// labels stand before the address of a recipient at the beginning of a line, and others before one that is none.
var (
	recipientLabels = []string{"rcpt to", "recipient", "recipients", "final-recipient", "original-recipient", "failed recipient", "recipient address", "address", "email", "e-mail", "unknown user", "user", "addressee",
		"failed", "could not be delivered to", "delivery to", "envelope-to", "emailaddress", "destination", "user mailbox exceeds allowed size", "mailbox", "failed addresses", "intended recipient"}
	otherLabels = []string{"from", "mail from", "sender", "reply-to", "return-path", "message-id", "envelope-from", "contact", "postmaster", "cc", "by", "id", "x-sender", "references", "in-reply-to"}
)

// findRecipients finds for whom the message failed: by a field that says it, else by the addresses at the beginning of lines, else by those in
// the text, else by whom the message that is returned was to. It is not sure of an address that only stands somewhere in the text.
func (f *free) findRecipients(o *Original) (found []string, sure bool) {
	if a := failedRecipients(f.m); len(a) > 0 {
		return a, true
	}
	for _, name := range []string{"Final-Recipient", "Original-Recipient"} {
		if a := recipientAddress(f.m.Header.Raw(name)); strings.Contains(a, "@") {
			return []string{a}, true
		}
	}
	if f.unnamed() {
		if a := f.retired(); a != "" {
			return []string{a}, true
		}
	}
	to := addressesIn(o.To)
	var strong, labelled, weak, alike, own finder
	weakLead := ""
	for line := range strings.Lines(f.text) {
		for n, from := 0, 0; n < 8; n++ {
			start, end := nextAddress(line, from)
			if start < 0 {
				break
			}
			from = end
			address := bounce.CleanAddress(line[start:end])
			lead := leadOf(line[:start])
			label := labelOf(lead)
			switch {
			case !f.mayBeRecipient(address):
				if lead == "" && n == 0 {
					own.add(address)
				}
			case hasWord(otherLabels, label) || strings.HasSuffix(lead, "mail from:") || strings.HasSuffix(label, "message-id"):
			case label == "to" || label == "for":
				labelled.add(address)
			case lead == "" && n == 0, hasWord(recipientLabels, label), isRecipientLead(lead), n == 0 && isNumber(lead):
				strong.add(address)
			default:
				weak.add(address)
				if len(weak.list) == 1 {
					weakLead = lead
				}
				if lead == weakLead { // a list, each line of which begins with the same words
					alike.add(address)
				}
			}
		}
	}
	if len(strong.list) > 0 {
		if known := strong.among(to); len(known) > 0 && len(known) < len(strong.list) && len(strong.list) > 3 {
			return known, true
		}
		return strong.list, true
	}
	if len(labelled.list) > 0 {
		return labelled.list, true
	}
	if len(weak.list) > 0 {
		if known := weak.among(to); len(known) > 0 {
			return known, true
		}
		return alike.list, false
	}
	if len(own.list) > 0 && strings.TrimSpace(f.returned) == "" && o.To == "" {
		return own.list[:1], false // somebody who wrote to himself
	}
	if a := f.bareName(); a != "" {
		return []string{a}, false
	}
	for _, v := range []string{o.To, strings.Join(o.Field("X-Original-To"), " "), strings.Join(o.Field("Delivered-To"), " "), strings.Join(o.Field("Cc"), " ")} {
		if list := addressesIn(v); len(list) > 0 {
			return list, true
		}
	}
	for _, v := range o.Field("Received") {
		if _, rest, ok := strings.Cut(v, " for "); ok {
			if start, end := nextAddress(rest, 0); start >= 0 {
				return []string{bounce.CleanAddress(rest[start:end])}, true
			}
		}
	}
	return nil, false
}

// retired is the address of which a program says that it is out of use, right behind it; "" where there is none, and for a sender that says it of itself.
func (f *free) retired() string {
	for n, from := 0, 0; n < 8; n++ {
		start, end := nextAddress(f.text, from)
		if start < 0 {
			break
		}
		from = end
		rest := strings.ToLower(oneLine(f.text[end:min(len(f.text), end+80)], ""))
		rest = strings.TrimLeft(rest, "\"'>)]*., ")
		for _, noun := range []string{"mailbox ", "account ", "address "} {
			rest = strings.TrimPrefix(rest, noun)
		}
		address := bounce.CleanAddress(f.text[start:end])
		if hasPrefixOf(rest, []string{"is no longer", "does not exist", "no longer exists", "is not in use", "has been closed", "has been disabled", "has been deactivated", "has been deleted", "is closed", "is disabled"}) && f.mayBeRecipient(address) {
			return address
		}
	}
	return ""
}

// leadOf is what stands in a line before an address, in lower case; labelOf is the label that this ends with.
func leadOf(before string) string {
	before = before[max(0, len(before)-maxLead):]
	return strings.ToLower(strings.Trim(before, " \t\r<>*\"'`-([=|•·"))
}

func labelOf(lead string) string {
	label := strings.TrimRight(strings.TrimSpace(strings.TrimRight(lead, ":;<> \t'\"=")), ".")
	if i := strings.LastIndexAny(label, ".;,"); i >= 0 && strings.HasSuffix(lead, ":") {
		label = strings.TrimSpace(label[i+1:])
	}
	return label
}

// maxLead is how much of a line before an address is looked at, in bytes.
const maxLead = 200

// isRecipientLead reports whether the words before an address say that it is a recipient.
func isRecipientLead(lead string) bool {
	return strings.HasSuffix(lead, "rcpt to:") || strings.HasPrefix(lead, "final-recipient") || strings.HasPrefix(lead, "original-recipient") || strings.HasSuffix(lead, "recipients returned permanent errors:")
}

// isNumber reports whether a line begins as that of a numbered list.
func isNumber(lead string) bool {
	return len(lead) > 1 && len(lead) < 6 && strings.Trim(lead[:len(lead)-1], "0123456789") == "" && strings.ContainsAny(lead[len(lead)-1:], ".):")
}

func hasWord(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// finder gathers addresses, each once.
type finder struct {
	list []string
	seen map[string]bool
}

func (l *finder) add(a string) {
	key := strings.ToLower(a)
	if l.seen[key] || len(l.list) == maxRecipients {
		return
	}
	if l.seen == nil {
		l.seen = map[string]bool{}
	}
	l.seen[key] = true
	l.list = append(l.list, a)
}

// among are the addresses that are in a list as well.
func (l *finder) among(list []string) []string {
	var other finder
	for _, a := range list {
		other.add(a)
	}
	var out []string
	for _, a := range l.list {
		if other.seen[strings.ToLower(a)] {
			out = append(out, a)
		}
	}
	return out
}

// mayBeRecipient reports whether an address in the text is not that of the reporter, of its help desk or of ourselves.
func (f *free) mayBeRecipient(address string) bool {
	a := strings.ToLower(address)
	local, domain, _ := strings.Cut(a, "@")
	if a == f.from || !strings.Contains(domain, ".") && !strings.Contains(domain, "localhost") || len(local) > 100 || f.reader[a] {
		return false
	}
	return f.writtenTo[a] || !slices.Contains([]string{"mailer-daemon", "postmaster", "abuse", "support", "helpdesk", "help", "noreply", "no-reply", "hostmaster", "webmaster"}, local)
}

// bareName is the recipient where the reporter names its own users without their domain, alone on a line.
func (f *free) bareName() string {
	if !strings.Contains(f.domain, ".") {
		return ""
	}
	for _, line := range strings.Split(f.text, "\n") {
		word := strings.Trim(line, " \t\r<>'\"*-:;,.")
		if word != "" && !strings.ContainsAny(word, " \t@/:") && (line[0] == ' ' || line[0] == '\t') && len(word) < 65 {
			return strings.ToLower(word) + "@" + f.domain
		}
	}
	return ""
}

// pseudoField is the value of the first line in a text that is written like a field.
func pseudoField(text, name string) string {
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(line, ":"); ok && len(k) < 40 && strings.EqualFold(strings.TrimSpace(k), name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// hasReturned reports whether a part is a message or the header of one.
func hasReturned(m *entity.Part) bool {
	return len(m.Find("message/rfc822", "text/rfc822-headers", "message/rfc822-headers", "message/global", "message/global-headers")) > 0
}
