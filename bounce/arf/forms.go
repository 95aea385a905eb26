package arf

import (
	"net/netip"
	"strings"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/internal/entity"
)

// hotmailRecipient is the field that Microsoft's reports have ("Hotmail abuse reporting").
const hotmailRecipient = "X-HmXmrOriginalRecipient"

// readJMRP reads what Microsoft sent before it used ARF: the message as it is, or attached to one from staff@hotmail.com.
func readJMRP(m *entity.Part) *Feedback {
	h, ok := m.Header, m.Header.Has(hotmailRecipient)
	if !ok && !fromMailSystem(m) {
		if h, ok = quoted(m); ok {
			ok = h.Has(hotmailRecipient)
		}
	}
	if !ok {
		return nil
	}
	f := &Feedback{Form: FormJMRP, Type: TypeAbuse}
	f.quote(h)
	if words := strings.Fields(m.Header.Raw("Subject")); len(words) > 0 { // "complaint about message from 192.0.2.1"
		f.SourceIP, _ = parseSource(words[len(words)-1])
	}
	for _, name := range []string{"X-Originating-IP", "X-Sender-IP"} {
		if !f.SourceIP.IsValid() {
			f.SourceIP, _ = parseSource(h.Raw(name))
		}
	}
	return f
}

// readXARF reads X-ARF 0.2: a field in the header says so, and a text/plain part has fields.
func readXARF(m *entity.Part) *Feedback {
	if !m.Header.Has("X-ARF") && !m.Header.Has("X-XARF") {
		return nil
	}
	for _, p := range leaves(m) {
		if !isText(p) {
			continue
		}
		groups := entity.Groups(p.Body[:min(len(p.Body), maxTextBytes)], maxGroups)
		h := merge(groups, nil)
		if !h.Has("Reported-From") || !h.Has("Category") {
			continue
		}
		f := &Feedback{Form: FormXARF}
		f.fill(h)
		f.Type = xarfType(strings.ToLower(h.Raw("Category")), strings.ToLower(h.Raw("Report-Type")))
		f.SourceIP, _ = parseSource(h.Raw("Source"))
		f.OriginalEnvelopeID, f.ArrivalDate = h.Raw("Report-ID"), parseDate(h.Raw("Date"))
		q, _ := quoted(m)
		f.quote(q)
		return f
	}
	return nil
}

// xarfType is the Type for a category and report type of X-ARF. Most reports are about something else than mail.
func xarfType(category, report string) Type {
	switch {
	case category == "fraud", strings.Contains(report, "phish"):
		return TypeFraud
	case strings.Contains(report, "malware"), strings.Contains(report, "virus"):
		return TypeVirus
	case category == "abuse" && (strings.Contains(report, "spam") || report == "" || strings.Contains(report, "mail")):
		return TypeAbuse
	}
	return TypeOther
}

// readUnsubscribe reads what comes to an address of a List-Unsubscribe field, from a program or from somebody who wrote nothing else.
func readUnsubscribe(m *entity.Part) *Feedback {
	subject := strings.ToLower(strings.TrimSpace(m.Header.Get("Subject")))
	word, rest, _ := strings.Cut(subject, " ")
	if strings.Trim(word, ".:!<>\"'") != "unsubscribe" || fromMailSystem(m) {
		return nil
	}
	if rest = strings.TrimSpace(rest); rest != "" && (strings.Contains(rest, " ") || !strings.ContainsAny(rest, "0123456789@=")) {
		return nil // more than the token or address that the sender had put there
	}
	text := lowerText(m)
	auto, _, _ := strings.Cut(m.Header.Raw("Auto-Submitted"), ";")
	program := m.Header.Has("X-Apple-Unsubscribe") || auto != "" && !strings.EqualFold(strings.TrimSpace(auto), "no") ||
		strings.Contains(text, "automatically generated") || strings.Contains(text, "sent this email to unsubscribe")
	if !program && strings.Trim(text, ".:!") != "" && strings.Trim(text, ".:! ") != "unsubscribe" {
		return nil
	}
	f := &Feedback{Form: FormUnsubscribe, Type: TypeOptOut}
	f.addRecipient(mailbox(m.Header.Raw("From")))
	return f
}

// mailbox is the address in a From field.
func mailbox(v string) string {
	if open := strings.LastIndexByte(v, '<'); open >= 0 {
		v, _, _ = strings.Cut(v[open+1:], ">")
	}
	return bounce.CleanAddress(v)
}

// addressIn is the first IPv4 address within a text, or none.
func addressIn(text string) netip.Addr {
	for w := range strings.FieldsFuncSeq(text[:min(len(text), maxTextBytes)], func(r rune) bool {
		return (r < '0' || r > '9') && r != '.'
	}) {
		if a, err := netip.ParseAddr(strings.Trim(w, ".")); err == nil {
			return a
		}
	}
	return netip.Addr{}
}
