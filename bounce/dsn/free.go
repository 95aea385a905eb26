package dsn

import (
	"strings"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/internal/entity"
)

// freeForm reads a bounce that has no status part that can be used; nil when the message is none. In this order:
//
//  1. A notification of Amazon SES is read as such (readNotice).
//  2. From the header alone most mail can be told to be no bounce (mayBeBounce).
//  3. What is written for people is told from the message that is returned (cutReturned).
//  4. Whether it is a bounce at all is judged by who sent it, its subject, and what it says (isBounce).
//  5. The recipients are found (findRecipients).
//  6. For each, the reply or reason that stands nearest to it (reasons).
func freeForm(m *entity.Part) *Notification {
	if isReceipt(m.MediaType, m.Params["report-type"]) {
		return nil
	}
	f := newFree(m)
	if beginsJSON(m) {
		if n := readNotice(humanText(m)); n != nil {
			return n
		}
	}
	if !f.mayBeBounce() {
		return nil
	}
	text := f.read()
	n := f.notification()
	if n == nil && f.evidence.daemon && f.returned != "" { // it may not have been the message that is returned
		f.set(text, "")
		n = f.notification()
	}
	return n
}

// notification is what the text says; nil when that is nothing.
func (f *free) notification() *Notification {
	if !f.isBounce() {
		return nil
	}
	n := &Notification{Form: formOf(f), Original: f.original}
	n.ReportingMTA = hostName(f.domain)
	found, sure := f.findRecipients(&f.original)
	if (f.stranger() || f.unnamed() && f.evidence.auto) && !sure {
		return nil
	}
	action := bounce.ActionFailed
	if f.isDelay() {
		action = bounce.ActionDelayed
	}
	index := make(map[string]int)
	reasons := f.reasons(found)
	for i, address := range found {
		r := Recipient{Final: address, Action: action}
		if i < len(reasons) {
			r.Diagnostic, r.Status = reasons[i].text, reasons[i].status
		}
		n.add(r, index)
	}
	if len(n.Recipients) == 0 {
		return nil
	}
	return n
}

// free is a message that may be a bounce.
type free struct {
	m        *entity.Part
	from     string // the address of From, in lower case
	local    string // its local-part
	domain   string // its domain
	subject  string // in lower case
	evidence evidence

	text      string          // what is written for people
	lower     string          // the same in lower case
	returned  string          // the text behind it: the header and body of the message that is returned
	original  Original        // the same, read
	reader    map[string]bool // whom the bounce is to, and the message that is returned is not; in lower case
	writtenTo map[string]bool // whom the message that is returned is to
}

func newFree(m *entity.Part) *free {
	f := &free{m: m, subject: strings.ToLower(m.Header.Get("Subject"))}
	f.from = strings.ToLower(addressIn(m.Header.Get("From")))
	f.local, f.domain, _ = strings.Cut(f.from, "@")
	f.evidence = f.judgeHeader()
	return f
}

// read reads the text, and returns all of it.
func (f *free) read() string {
	text := humanText(f.m)
	if f.stranger() { // what people quote they do not say
		text = withoutQuotes(text)
	}
	f.set(cutReturned(text))
	return text
}

// set takes a text for people and the text of the message that is returned.
func (f *free) set(text, returned string) {
	f.text, f.returned = text, returned
	f.lower = strings.ToLower(f.text)
	f.reader, f.writtenTo = make(map[string]bool), make(map[string]bool)
	f.original = f.readOriginal()
	for _, a := range addressesIn(f.original.To) {
		f.writtenTo[strings.ToLower(a)] = true
	}
	for line := range strings.Lines(f.returned) { // which may be no header in good form
		if len(line) > 3 && strings.EqualFold(line[:3], "to:") {
			for _, a := range addressesIn(line) {
				f.writtenTo[strings.ToLower(a)] = true
			}
		}
	}
	for _, a := range addressesIn(f.m.Header.Get("To")) {
		if a = strings.ToLower(a); !f.writtenTo[a] {
			f.reader[a] = true
		}
	}
}

// withoutQuotes takes out the lines of a text that quote another one.
func withoutQuotes(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(strings.TrimLeft(line, " \t"), ">") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// beginsJSON reports whether the first text of a message begins like an object of JSON.
func beginsJSON(m *entity.Part) bool {
	for len(m.Parts) > 0 {
		m = m.Parts[0]
	}
	return strings.HasPrefix(strings.TrimSpace(string(m.Body[:min(len(m.Body), 64)])), "{")
}

// addressIn is the first address in a field, without a domain where there is none; else the first word.
func addressIn(v string) string {
	if i := strings.IndexByte(v, '<'); i >= 0 {
		if j := strings.IndexByte(v[i:], '>'); j > 1 {
			return bounce.CleanAddress(v[i+1 : i+j])
		}
	}
	for _, w := range strings.Fields(v) {
		if strings.Contains(w, "@") {
			return bounce.CleanAddress(strings.Trim(w, `"'(),;<>`))
		}
	}
	if w := strings.Fields(v); len(w) > 0 {
		return strings.Trim(w[0], `"'(),;<>`)
	}
	return ""
}

// returnMarks begin the line behind which the message stands that is returned, once dashes and the like are taken off.
func returnMarks() []string {
	return []string{
		"below this line is", "this is a copy of", "here is a copy", "original message", "the original message follows", "original mail", "original e-mail",
		"included is a copy", "enclosed is a copy", "attached is a copy", "a copy of the original message", "a copy of your message", "copy of the message", "a copy of the message",
		"returned message", "unsent message", "undelivered message", "message header", "headers of the message", "header of the original", "headers of the original",
		"the header of", "begin message", "begin original", "your message follows", "your original message", "text of message", "start of returned message",
		"returned mail follows", "returned headers", "mail header", "rfc822 header", "--- header",
		"courriel original", "message d'origine", "urspr", "originalnachricht", "messaggio originale", "mensaje original", "mensagem original",
	}
}

// cutReturned splits a text at the message that it returns: at a line that says so, or at the first one that is a header field of a message that is
// under way.
func cutReturned(text string) (human, returned string) {
	marks := returnMarks()
	said := false // something stands before
	at := 0
	for rest := text; rest != ""; {
		line, next, _ := strings.Cut(rest, "\n")
		if said && len(line) > 3 && len(line) < 160 {
			bare := strings.ToLower(strings.Trim(line, "-=_*#+~>:. \t\r|"))
			for _, mark := range marks {
				if strings.HasPrefix(bare, mark) && isHeading(bare[len(mark):]) {
					return text[:at], next
				}
			}
		}
		if at > 0 && hasPrefixOf(line, transitFields[:]) && (strings.HasPrefix(line, "Received:") || beforeField(next)) {
			return text[:at], rest
		}
		said = said || strings.TrimSpace(line) != ""
		at += len(rest) - len(next)
		rest = next
	}
	return text, ""
}

// transitFields are fields that only the header of a message has that is under way.
var transitFields = [...]string{"Received:", "Return-Path:", "Return-path:", "Message-ID:", "Message-Id:", "DKIM-Signature:", "X-Mailer:", "MIME-Version:"}

// isHeading reports whether what stands behind a mark in its line leaves it a heading: no value and no sentence about what happened.
func isHeading(rest string) bool {
	return !containsAny(rest, []string{"@", ": ", "was received", " not ", "n't ", "could", "cannot", "fail", "undeliver", "reject", "refus", "blocked", "exceed", "delay"})
}

// beforeField reports whether the next line of a text that is not folded is a field of a message.
func beforeField(text string) bool {
	for line := range strings.Lines(text) {
		if line[0] != ' ' && line[0] != '\t' {
			return hasPrefixOf(strings.ToLower(line[:min(len(line), 32)]), messageFields[:])
		}
	}
	return false
}

// messageFields are fields that the header of nearly any message has, and no list of results.
var messageFields = [...]string{
	"received:", "return-path:", "message-id:", "date:", "from:", "to:", "cc:", "subject:", "sender:", "reply-to:", "references:", "in-reply-to:", "mime-version:", "content-", "user-agent:", "precedence:", "list-", "x-", "dkim-", "arc-", "authentication-results:", "delivered-to:", "domainkey-", "thread-", "importance:", "auto-submitted:", "feedback-id:", "errors-to:",
}

func hasPrefixOf(s string, list []string) bool {
	for _, l := range list {
		if strings.HasPrefix(s, l) {
			return true
		}
	}
	return false
}

// readOriginal is the header of the message that is returned: a part, or text.
func (f *free) readOriginal() Original {
	if o := returned(f.m); o.header.Len() > 0 {
		return o
	}
	if g := entity.Groups([]byte(f.returned), 1); len(g) == 1 {
		return newOriginal(g[0])
	}
	return Original{}
}

// formOf names the system that writes such bounces, where that is told by words of its own.
func formOf(f *free) Form {
	head := f.head()
	for _, s := range []struct {
		form Form
		mark string
	}{
		{"qmail", "this is the qmail-send program"}, {"qmail", "hi. this is the"}, {"dma", "dragonfly mail agent"}, {"opensmtpd", "this is the mailer-daemon, please do not reply"},
		{"postfix", "this is the mail system at host"}, {"postfix", "this is the postfix program"}, {"mimecast", "the problem appears to be :"},
		{"exim", "this message was created automatically by mail delivery software"}, {"sendmail", "addresses had permanent fatal errors"}, {"sendmail", "transcript of session follows"},
		{"exchange", "did not reach the following recipient"}, {"exchange", "diagnostic information for administrators"}, {"domino", "domino directory"}, {"domino", "failure reasons"},
		{"gmail", "delivery to the following recipient failed permanently"}, {"gmail", "address not found"}, {"groupwise", "the message that you sent was undeliverable to the following"},
	} {
		if strings.Contains(head, s.mark) {
			return s.form
		}
	}
	if f.m.Header.Has("X-Failed-Recipients") {
		return "exim"
	}
	return FormOther
}
