package dsn

import (
	"regexp"
	"strings"

	"github.com/reputemail/repute/bounce"
)

// codeForm is where the reply of a receiver begins in a text.
var codeForm = regexp.MustCompile(`(?m)(?:^|[\s:>"'(\[])([45][0-7]\d)(?:[ :-]|$)|\b([45]\.\d{1,3}\.\d{1,3})\b`)

// reasonOf is the reply or the reason that a text gives for an address: what stands behind it, up to the next recipient, if there is a reply in it or it is
// the only one; else all of the text.
func (f *free) reasonOf(address string, only bool) string {
	if r := f.notifiedReason(address); r != "" {
		return r
	}
	if v := f.field("Diagnostic-Code", address); v != "" {
		_, text := diagnostic(v)
		return text
	}
	near, isNear := reasonFor(f.text, address)
	if isNear && codeForm.MatchString(near) {
		return fromCode(near)
	}
	if only {
		if reply := f.replyText(); reply != "" {
			return reply
		}
	}
	return near
}

// fromCode is a reason from its reply on, where words before that would hide it.
func fromCode(s string) string {
	if bounce.ParseReply(s).Code != 0 {
		return s
	}
	for _, at := range codeForm.FindAllStringSubmatchIndex(s, 4) {
		if at[2] >= 0 && bounce.ParseReply(s[at[2]:]).Code != 0 {
			return s[at[2]:]
		}
		if at[2] >= 0 && s[at[3]:at[3]+1] == ":" { // "550: text"
			return s[at[2]:at[3]] + s[at[3]+1:]
		}
	}
	return s
}

// replyText is the first reply of SMTP in the text with the lines that belong to it.
func (f *free) replyText() string {
	at := codeForm.FindStringSubmatchIndex(f.text)
	if at == nil {
		return ""
	}
	start := at[2]
	if start < 0 {
		start = at[4]
	}
	// From the beginning of the line, which may have words that quote it, to the end of the paragraph.
	if i := strings.LastIndexByte(f.text[:start], '\n'); i >= 0 {
		start = i + 1
	} else {
		start = 0
	}
	end := len(f.text)
	if i := strings.Index(f.text[start:], "\n\n"); i >= 0 {
		end = start + i
	}
	return oneLine(f.text[start:end], "")
}
