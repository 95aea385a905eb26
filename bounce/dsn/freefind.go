package dsn

import (
	"regexp"
	"strings"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/internal/entity"
)

// addressForm is what may be an address in a text.
var addressForm = regexp.MustCompile(`[A-Za-z0-9!#$%&'*+/=?^_{|}~.-]{1,128}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?`)

// labels stand before the address of a recipient at the beginning of a line, and others before one that is none.
var (
	recipientLabels = []string{"rcpt to", "recipient", "recipients", "final-recipient", "original-recipient", "failed recipient", "recipient address", "address", "email", "e-mail", "unknown user", "user", "addressee",
		"failed", "could not be delivered to", "delivery to", "envelope-to", "emailaddress", "destination", "user mailbox exceeds allowed size", "mailbox", "failed addresses", "intended recipient"}
	otherLabels = []string{"from", "mail from", "sender", "reply-to", "return-path", "message-id", "envelope-from", "contact", "postmaster", "cc", "by", "id", "x-sender", "references", "in-reply-to"}
)

// findRecipients finds for whom the message failed: by a field that says it, else by the addresses at the beginning of lines, else by those in
// the text, else by whom the message that is returned was to.
func (f *free) findRecipients(o *Original) []string {
	if a := failedRecipients(f.m); len(a) > 0 {
		return a
	}
	if a := f.notified(); len(a) > 0 {
		return a
	}
	for _, name := range []string{"Final-Recipient", "Original-Recipient"} {
		if a := recipientAddress(f.m.Header.Raw(name)); strings.Contains(a, "@") {
			return []string{a}
		}
	}
	var strong, labelled, weak, own finder
	inOriginal := strings.ToLower(o.To)
	for _, line := range strings.Split(f.text, "\n") {
		for n, at := range addressForm.FindAllStringIndex(line, 8) {
			address := bounce.CleanAddress(line[at[0]:at[1]])
			lead := strings.ToLower(strings.Trim(line[:at[0]], " \t\r<>*\"'-([=|•·"))
			label := strings.TrimRight(strings.TrimSpace(strings.TrimRight(lead, ":;<> \t'\"=")), ".")
			if i := strings.LastIndexAny(label, ".;,"); i >= 0 && strings.HasSuffix(lead, ":") {
				label = strings.TrimSpace(label[i+1:])
			}
			switch {
			case !f.mayBeRecipient(address):
				if lead == "" && n == 0 {
					own.add(address)
				}
			case hasWord(otherLabels, label) || strings.HasSuffix(lead, "mail from:") || strings.HasSuffix(label, "message-id"):
			case label == "to" || label == "for":
				labelled.add(address)
			case lead == "" && n == 0, hasWord(recipientLabels, label), strings.HasSuffix(lead, "rcpt to:"), strings.HasPrefix(lead, "final-recipient"), strings.HasPrefix(lead, "original-recipient"), strings.HasSuffix(lead, "recipients returned permanent errors:"):
				strong.add(address)
			default:
				weak.add(address)
			}
		}
	}
	if len(strong.list) > 0 {
		if known := strong.among(inOriginal); len(known) > 0 && len(known) < len(strong.list) && len(strong.list) > 3 {
			return known
		}
		return strong.list
	}
	if len(labelled.list) > 0 {
		return labelled.list
	}
	if len(weak.list) > 0 {
		if known := weak.among(inOriginal); len(known) > 0 {
			return known
		}
		return weak.list[:1]
	}
	if len(own.list) > 0 && strings.TrimSpace(f.returned) == "" && o.To == "" {
		return own.list[:1] // somebody who wrote to himself
	}
	if a := f.bareName(); a != "" {
		return []string{a}
	}
	for _, v := range []string{o.To, strings.Join(o.Field("X-Original-To"), " "), strings.Join(o.Field("Delivered-To"), " "), strings.Join(o.Field("Cc"), " ")} {
		var list finder
		for _, a := range addressForm.FindAllString(v, maxRecipients) {
			list.add(bounce.CleanAddress(a))
		}
		if len(list.list) > 0 {
			return list.list
		}
	}
	for _, v := range o.Field("Received") {
		if _, rest, ok := strings.Cut(v, " for "); ok {
			if a := addressForm.FindString(rest); a != "" {
				return []string{bounce.CleanAddress(a)}
			}
		}
	}
	return nil
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

// among are the addresses that stand in a text in lower case.
func (l *finder) among(text string) []string {
	var out []string
	for _, a := range l.list {
		if text != "" && strings.Contains(text, strings.ToLower(a)) {
			out = append(out, a)
		}
	}
	return out
}

// mayBeRecipient reports whether an address in the text is not that of the reporter, of its help desk or of ourselves.
func (f *free) mayBeRecipient(address string) bool {
	a := strings.ToLower(address)
	local, domain, _ := strings.Cut(a, "@")
	if a == f.from || !strings.Contains(domain, ".") && !strings.Contains(domain, "localhost") || len(local) > 100 {
		return false
	}
	to := strings.ToLower(f.m.Header.Get("To"))
	if strings.Contains(to, a) && !strings.Contains(strings.ToLower(f.returned), "\nto: "+a) && !strings.Contains(strings.ToLower(f.returned), "\nto: <"+a) { // the bounce's own recipient, unless we wrote to ourselves
		return false
	}
	switch local {
	case "mailer-daemon", "postmaster", "abuse", "support", "helpdesk", "help", "noreply", "no-reply", "hostmaster", "webmaster":
		return strings.Contains(strings.ToLower(f.returned), "to: <"+a) || strings.Contains(strings.ToLower(f.returned), "to: "+a)
	}
	return true
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

// field is the value of a pseudo field in the text, behind an address if that stands before it.
func (f *free) field(name, address string) string {
	text := f.text
	if i := strings.Index(f.lower, strings.ToLower(address)); i >= 0 && strings.Contains(text[min(i, len(text)):], "\n"+name+":") {
		text = text[min(i, len(text)):]
	}
	for _, line := range strings.Split(text, "\n") {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(strings.TrimSpace(k), name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// hasReturned reports whether a part is a message or the header of one.
func hasReturned(m *entity.Part) bool {
	return len(m.Find("message/rfc822", "text/rfc822-headers", "message/rfc822-headers", "message/global", "message/global-headers")) > 0
}
