package autoreply

import (
	"slices"
	"strings"
)

// subject is a subject taken to pieces. All are in normal form.
type subject struct {
	all string
	// marks are what stands in brackets at the beginning, or in parentheses at the end: "[Auto]", "(Automatic Response)".
	marks []string
	// head is what stands before the first colon behind the brackets, and is the whole subject when there is none.
	head  string
	colon bool
	// rest is what stands behind the colon.
	rest string
	// nested: rest begins as the answers of people do.
	nested bool
	// reply: it begins as the answers and forwards of people do.
	reply bool
}

func splitSubject(s string) subject {
	const maxSubject = 1000
	s = strings.TrimSpace(s[:min(len(s), maxSubject)])
	out := subject{all: normal(s)}
	s = strings.NewReplacer("：", ":", "【", "[", "】", "]", "（", "(", "）", ")", "<", "[", ">", "]").Replace(s)
	for strings.HasPrefix(s, "[") && len(out.marks) < 5 {
		mark, behind, ok := strings.Cut(s[1:], "]")
		if !ok {
			break
		}
		out.marks = append(out.marks, normal(mark))
		s = strings.TrimSpace(behind)
	}
	if strings.HasSuffix(s, ")") || strings.HasSuffix(s, "]") {
		if open := strings.LastIndexAny(s, "(["); open > 0 {
			out.marks = append(out.marks, normal(s[open:]))
		}
	}
	head, rest, ok := strings.Cut(s, ":")
	out.head, out.rest, out.colon = normal(head), normal(rest), ok
	out.reply = ok && slices.Contains(replyPrefixes, out.head)
	inner, _, ok := strings.Cut(rest, ":")
	out.nested = ok && slices.Contains(replyPrefixes, normal(inner))
	return out
}

// has reports whether any of the phrases stands anywhere in the subject.
func (s *subject) has(phrases []string) bool { return contains(s.all, phrases) }

// begins returns the phrase that the subject begins with as a program would: before a colon, in brackets at the beginning, or alone.
func (s *subject) begins(phrases []string) string {
	if s.reply {
		return ""
	}
	for _, p := range phrases {
		n := len(p) + 1
		head := strings.HasPrefix(s.head, " "+p) && (s.colon || len(s.head) <= n+1)
		for _, m := range s.marks[:min(len(s.marks), 1)] {
			head = head || strings.HasPrefix(m, " "+p) && strings.HasPrefix(s.all, m)
		}
		if head {
			return p
		}
	}
	return ""
}

// replyPrefixes are what programs of people put before a subject, in normal form.
var replyPrefixes = []string{
	" re ", " aw ", " antw ", " sv ", " vs ", " fw ", " fwd ", " wg ", " tr ", " rv ", " res ", " enc ", " odp ", " ynt ", " ha ", " r ", " i ", " 回复 ",
	" 答复 ", " 回覆 ", " 转发 ",
}
