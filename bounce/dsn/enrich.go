package dsn

import (
	"strings"
	"unicode"

	"github.com/reputemail/repute/bounce/internal/entity"
)

// maxText bounds how much of what is written for people is read, in bytes.
const maxText = 256 << 10

// enrich gives recipients of whom the status part says only that it failed the reason that the text for people has.
func enrich(m *entity.Part, n *Notification) {
	var text *prose
	for i := range n.Recipients {
		r := &n.Recipients[i]
		addressed := strings.Contains(r.Final, "@")
		if hasWords(r.Diagnostic) && addressed || i >= maxEnriched {
			continue
		}
		if text == nil {
			text = newProse(humanText(m))
		}
		if !hasWords(r.Diagnostic) {
			reason, near := text.reasonFor(r.Final)
			if reason != "" && (near || isVague(r.Status)) { // a status that says why needs no guess
				r.Diagnostic = strings.TrimSpace(r.Diagnostic + " " + reason)
			}
		}
		if !addressed { // a file or a program to which it was to be delivered (Exim), or the local part of a mailbox
			if a := failedRecipients(m); len(a) == 1 && len(n.Recipients) == 1 {
				r.Original, r.Final = r.Final, a[0]
			}
		}
	}
}

// maxEnriched bounds for how many recipients the text is searched.
const maxEnriched = 100

// failedRecipients are the addresses of Exim's field, which others have taken over.
func failedRecipients(m *entity.Part) []string {
	var out []string
	for _, v := range m.Header.Values("X-Failed-Recipients") {
		for _, a := range strings.FieldsFunc(v, func(c rune) bool { return c == ',' || unicode.IsSpace(c) }) {
			if a = recipientAddress(a); strings.Contains(a, "@") && len(out) < maxRecipients {
				out = append(out, a)
			}
		}
	}
	return out
}

// hasWords reports whether a diagnostic says anything besides codes.
func hasWords(s string) bool {
	letters := 0
	for _, c := range s {
		if unicode.IsLetter(c) {
			if letters++; letters > 3 {
				return true
			}
		}
	}
	return false
}

// humanText is what a bounce says to people: its text before any status part and not that of the message it returns. Of parts with the same
// text in two forms (multipart/alternative) the first counts that says anything.
func humanText(m *entity.Part) string {
	var b strings.Builder
	done := false
	var visit func(p *entity.Part)
	visit = func(p *entity.Part) {
		if done || b.Len() > maxText {
			return
		}
		switch {
		case isStatusType(p.MediaType) || p != m && strings.HasPrefix(p.MediaType, "message/"):
			done = true
		case p.MediaType == "multipart/alternative" && len(p.Parts) > 0:
			for _, c := range p.Parts {
				before := b.Len()
				if visit(c); strings.TrimSpace(b.String()[before:]) != "" {
					break
				}
			}
		case len(p.Parts) > 0:
			for _, c := range p.Parts {
				visit(c)
			}
		case strings.HasPrefix(p.MediaType, "text/") && !strings.HasPrefix(p.MediaType, "text/rfc822"):
			head := *p
			head.Body = cutText(p.Body)
			for line := range strings.Lines(head.Text()) {
				if rule := strings.TrimSpace(line); len(rule) > 9 && strings.Trim(rule, "=-_*#~") == "" {
					continue // drawn to be looked at
				}
				b.WriteString(line)
			}
			b.WriteString("\n\n")
		}
	}
	visit(m)
	return b.String()
}

// maxReason bounds a reason that was taken from a text.
const maxReason = 1200

// prose is a text for people, taken apart once for all recipients.
type prose struct{ paragraphs, lower []string }

func newProse(text string) *prose {
	p := &prose{paragraphs: strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n\n")}
	p.lower = strings.Split(lowerASCII(strings.Join(p.paragraphs, "\n\n")), "\n\n")
	return p
}

// reasonFor is what a text says about one address: see prose.reasonFor.
func reasonFor(text, address string) (reason string, near bool) {
	return newProse(text).reasonFor(address)
}

// reasonFor is what a text says about an address: the paragraph in which it stands, with the next one where that is the address alone. If the address is not in
// it, or nothing else is, it is all of the text, and not near.
func (t *prose) reasonFor(address string) (reason string, near bool) {
	paragraphs := t.paragraphs
	name := lowerASCII(address)
	last := len(paragraphs) - 1
	for last >= 0 && !strings.Contains(t.lower[last], name) {
		last--
	}
	for i, p := range paragraphs {
		at := strings.Index(t.lower[i], name)
		if at < 0 || name == "" || i < last && namesOnly(p, at) {
			continue
		}
		lines := strings.Split(p, "\n")
		// Of a list of recipients it is from the line with this one to the line with the next.
		from, to, seen := 0, len(lines), false
		for k, line := range lines {
			has := strings.Contains(lowerASCII(line), name)
			switch {
			case has && from == 0:
				from = k
			case !has && seen && to == len(lines) && startsWithAddress(line):
				to = k
			}
			seen = seen || has
		}
		reason = oneLine(strings.Join(lines[from:to], " "), address)
		next := i + 1
		if next < len(paragraphs) {
			switch {
			case !hasWords(reason):
				reason = oneLine(paragraphs[next], address)
				next++
			case strings.TrimRight(p[at+len(name):], "> .:;)]'\"\n\t*") == "": // "… could not be delivered to <address>."
				reason = oneLine(reason+" "+paragraphs[next], address)
				next++
			}
		}
		if next < len(paragraphs) && to == len(lines) && (next == i+1 || len(reason) < 60) && strings.HasSuffix(reason, ":") { // "because:"
			reason = oneLine(reason+" "+paragraphs[next], address)
		}
		if hasWords(reason) {
			return reason, true
		}
	}
	return oneLine(t.start(), address), false
}

// start is as much of the text as a reason may need.
func (t *prose) start() string {
	n, size := 0, 0
	for n < len(t.paragraphs) && size < 4*maxReason {
		size += len(strings.TrimSpace(t.paragraphs[n]))
		n++
	}
	return strings.Join(t.paragraphs[:n], "\n\n")
}

// lowerASCII is s with ASCII letters in lower case, of the same length, which strings.ToLower does not promise.
func lowerASCII(s string) string {
	i := 0
	for i < len(s) && (s[i] < 'A' || s[i] > 'Z') {
		i++
	}
	if i == len(s) {
		return s
	}
	b := []byte(s)
	for ; i < len(b); i++ {
		if 'A' <= b[i] && b[i] <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}

// namesOnly reports whether the address in a paragraph stands in a line of the kind "To: address", which says no reason.
func namesOnly(p string, at int) bool {
	line := p[strings.LastIndexByte(p[:at], '\n')+1 : at]
	line = line[strings.LastIndexByte(line, ',')+1:]
	label, _, ok := strings.Cut(strings.ToLower(strings.TrimSpace(line)), ":")
	return ok && (label == "to" || label == "cc" || label == "from" || label == "subject")
}

// startsWithAddress reports whether a line begins with another recipient, as in a list.
func startsWithAddress(line string) bool {
	f := strings.Fields(line)
	return len(f) > 0 && strings.Contains(f[0], "@") && line[0] != ' ' && line[0] != '\t'
}

// oneLine makes a reason of a text, without the address at its beginning.
func oneLine(text, address string) string {
	s := strings.Join(strings.Fields(text), " ")
	s = strings.TrimLeft(s, "<>*- ")
	if len(s) >= len(address) && strings.EqualFold(s[:len(address)], address) {
		s = strings.TrimLeft(s[len(address):], ">:,;. )-")
	}
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "")
	}
	return s
}
