package dsn

import (
	"strings"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/internal/entity"
)

// freeForm reads a bounce that has no status part that can be used; nil when the message is none. In this order:
//
//  1. What is written for people is told from the message that is returned (cutReturned).
//  2. Whether it is a bounce at all is judged by who sent it, its subject, and what it says (isBounce).
//  3. The recipients are found (findRecipients).
//  4. For each, the reply or reason that stands nearest to it (reasonOf).
func freeForm(m *entity.Part) *Notification {
	f := newFree(m)
	if !f.isBounce() {
		return nil
	}
	n := &Notification{Form: formOf(f), Original: f.original(m)}
	n.ReportingMTA = hostName(f.domain)
	delayed := f.isDelay()
	index := make(map[string]int)
	found := f.findRecipients(&n.Original)
	for i, address := range found {
		r := Recipient{Final: address, Action: bounce.ActionFailed}
		if i < maxEnriched {
			r.Diagnostic = f.reasonOf(address, len(found) == 1)
		}
		r.Status = readStatus(f.field("Status", address))
		if delayed {
			r.Action = bounce.ActionDelayed
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
	text     string // what is written for people
	lower    string // the same in lower case
	returned string // the text behind it: the header and body of the message that is returned
}

func newFree(m *entity.Part) *free {
	f := &free{m: m, subject: strings.ToLower(m.Header.Get("Subject"))}
	f.from = strings.ToLower(addressIn(m.Header.Get("From")))
	f.local, f.domain, _ = strings.Cut(f.from, "@")
	f.text, f.returned = cutReturned(humanText(m))
	f.lower = strings.ToLower(f.text)
	return f
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
	at := 0
	for rest := text; rest != ""; {
		line, next, _ := strings.Cut(rest, "\n")
		bare := strings.ToLower(strings.Trim(line, "-=_*#+~>:. \t\r|"))
		if len(bare) > 3 && len(line) < 160 && strings.TrimSpace(text[:at]) != "" {
			for _, mark := range returnMarks() {
				if strings.HasPrefix(bare, mark) && !strings.Contains(bare, "@") && !strings.Contains(bare, "was received") {
					return text[:at], next
				}
			}
		}
		for _, name := range []string{"Received:", "Return-Path:", "Return-path:", "Message-ID:", "Message-Id:", "DKIM-Signature:", "X-Mailer:", "MIME-Version:"} {
			if strings.HasPrefix(line, name) && at > 0 {
				return text[:at], rest
			}
		}
		at += len(rest) - len(next)
		rest = next
	}
	return text, ""
}

// original is the header of the message that is returned: a part, or text.
func (f *free) original(m *entity.Part) Original {
	if o := returned(m); o.header.Len() > 0 {
		return o
	}
	if g := entity.Groups([]byte(f.returned), 1); len(g) == 1 {
		return newOriginal(g[0])
	}
	return Original{}
}

// formOf names the system that writes such bounces, where that is told by words of its own.
func formOf(f *free) Form {
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
		if strings.Contains(f.lower, s.mark) {
			return s.form
		}
	}
	if f.m.Header.Has("X-Failed-Recipients") {
		return "exim"
	}
	return FormOther
}
