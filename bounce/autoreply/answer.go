package autoreply

import (
	"bytes"
	"errors"
	"strings"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/internal/entity"
)

// ErrNotAnswer is the error of Parse for a message that is no answer of a program.
var ErrNotAnswer = errors.New("the message is no automatic answer")

// What an answer is, in Answer.Form.
const (
	// FormAway: its user is away, has left or reads elsewhere.
	FormAway string = "away"
	// FormAcknowledgement: the message arrived, and somebody will see to it.
	FormAcknowledgement string = "acknowledgement"
	// FormReceipt: the message was displayed, deleted or otherwise disposed of (RFC 8098).
	FormReceipt string = "receipt"
	// FormList: a mailing list manager wants a confirmation, or holds the message.
	FormList string = "list"
	// FormChallenge: a filter holds the message until its sender does something.
	FormChallenge string = "challenge"
	// FormReply: some other automatic answer.
	FormReply string = "reply"
)

// Forms lists every form, in the order of the constants.
func Forms() []string {
	return []string{FormAway, FormAcknowledgement, FormReceipt, FormList, FormChallenge, FormReply}
}

// Answer is an answer of a program.
type Answer struct {
	// Kind is bounce.KindAutoReply, or bounce.KindChallenge for FormChallenge.
	Kind bounce.Kind
	// Form is one of the constants.
	Form string
	// Reason is by which evidence it is one, for people: "Auto-Submitted: auto-replied".
	Reason string
}

// Parse reads a message. Errors are ErrNotAnswer, and those for a message that is empty or has more than 10 MB.
func Parse(raw []byte) (*Answer, error) {
	m, err := entity.Read(raw)
	if err != nil {
		return nil, err
	}
	if a := Read(m); a != nil {
		return a, nil
	}
	return nil, ErrNotAnswer
}

// Read is Parse for a message that was read already. It is nil when that is no answer of a program.
func Read(m *entity.Part) *Answer {
	r := newReading(m)
	if reason := r.challenge(); reason != "" {
		return &Answer{Kind: bounce.KindChallenge, Form: FormChallenge, Reason: reason}
	}
	if r.receipt {
		return &Answer{Kind: bounce.KindAutoReply, Form: FormReceipt, Reason: "message/disposition-notification"}
	}
	form, reason := FormList, r.list()
	for _, evidence := range []func() string{r.decisiveField, r.decisiveSubject, r.decisiveText, r.hintAndWords} {
		if reason == "" {
			form, reason = "", evidence()
		}
	}
	if reason == "" || r.returned() {
		return nil
	}
	if form == "" {
		form = r.form()
	}
	return &Answer{Kind: bounce.KindAutoReply, Form: form, Reason: reason}
}

// reading is a message that is being read, with its words in normal form.
type reading struct {
	m       *entity.Part
	subject subject
	text    *words // the beginning of the first text that is not empty
	own     *words // text without the lines that quote another, made when it is wanted
	raw     string // text before it was brought in normal form
	status  string // what is in message/delivery-status parts, "" when there is none
	receipt bool
	trace   bool // the text quotes the header of a message, as it was on the way
}

// The bounds of what is read for words.
const (
	maxText = 4 << 10
	maxHTML = 64 << 10
)

func newReading(m *entity.Part) *reading {
	r := &reading{m: m, subject: splitSubject(m.Header.Get("Subject"))}
	text := ""
	m.Walk(func(p *entity.Part) bool {
		switch {
		case p.MediaType == "message/delivery-status" || p.MediaType == "message/global-delivery-status":
			if len(r.status) < maxText {
				r.status += " " + normal(string(p.Body[:min(len(p.Body), maxText)]))
			}
		case p.MediaType == "message/disposition-notification":
			r.receipt = true
		case len(p.Parts) > 0:
			return strings.HasPrefix(p.MediaType, "message/") || strings.Contains(p.MediaType, "rfc822") // what is quoted is not its own
		case text == "" && strings.HasPrefix(p.MediaType, "text/") && !strings.Contains(p.MediaType, "rfc822"):
			r.raw = textOf(p)
			text = strings.TrimSpace(normal(r.raw))
			r.trace = quotesTrace(p.Body)
		}
		return false
	})
	r.text = newWords(" " + text + " ")
	return r
}

// textOf is the beginning of a text.
func textOf(p *entity.Part) string {
	limit := maxText
	if p.MediaType == "text/html" {
		limit = maxHTML
	}
	short := *p
	short.Body = beginning(p.Body, limit)
	text := short.Text()
	return text[:min(len(text), maxText)]
}

// ownText is the text without the lines that quote another: people quote programs when they answer.
func (r *reading) ownText() *words {
	if r.own == nil {
		var b strings.Builder
		for line := range strings.Lines(r.raw) {
			if !strings.HasPrefix(strings.TrimLeft(line, " \t"), ">") {
				b.WriteString(line)
			}
		}
		r.own = newWords(normal(b.String()))
	}
	return r.own
}

// form says which of the forms an answer has, by its words.
func (r *reading) form() string {
	switch {
	case r.subject.has(awaySubjects) || r.text.has(awayTexts) || r.m.Header.Raw("X-Apple-Action") == "VACATION":
		return FormAway
	case r.subject.has(ackSubjects) || r.text.has(ackTexts):
		return FormAcknowledgement
	}
	return FormReply
}

// beginning is the first bytes of a text, at most limit. It ends with a line where it can, so that no character is cut in two.
func beginning(b []byte, limit int) []byte {
	if len(b) <= limit {
		return b
	}
	if i := bytes.LastIndexByte(b[:limit], '\n'); i > limit/2 {
		limit = i + 1
	}
	return b[:limit]
}
