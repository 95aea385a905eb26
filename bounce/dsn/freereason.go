package dsn

import (
	"strings"

	"github.com/reputemail/repute/bounce"
)

// reason is why it failed for one recipient.
type reason struct {
	text   string
	status bounce.Status
}

// reasons are the replies or reasons that the text gives for the recipients, of the first maxEnriched.
func (f *free) reasons(found []string) []reason {
	found = found[:min(len(found), maxEnriched)]
	if len(found) == 1 {
		return []reason{f.reasonIn(f.text, found[0], true)}
	}
	var rest *reason
	sections := f.sections(found)
	out := make([]reason, len(found))
	for i, address := range found {
		for _, s := range sections[i] {
			r := f.reasonIn(s, address, false)
			if nextCode(r.text, 0).start >= 0 {
				out[i] = r
				break
			}
			if out[i].text == "" && hasWords(r.text) {
				out[i] = r
			}
		}
		if out[i].text == "" { // none of its own: that of all
			if rest == nil {
				r := f.reasonIn(f.text[:min(len(f.text), maxShared)], "", true)
				rest = &r
			}
			out[i] = *rest
		}
	}
	return out
}

const (
	// maxSection bounds what is read of a text behind one recipient of several, and maxSections how often one is looked at.
	maxSection  = 4 << 10
	maxSections = 4
	// maxShared bounds what is read for a reason that several recipients have in common.
	maxShared = 16 << 10
)

// sections are, for each recipient of several, the pieces of the text that begin with a line that names it and end before one that names another.
func (f *free) sections(found []string) [][]string {
	index := make(map[string]int, len(found))
	for i, a := range found {
		index[strings.ToLower(a)] = i
	}
	out := make([][]string, len(found))
	who, begin, at := -1, 0, 0
	end := func() {
		if who >= 0 && len(out[who]) < maxSections {
			out[who] = append(out[who], f.text[begin:min(at, begin+maxSection)])
		}
	}
	for line := range strings.Lines(f.text) {
		if start, stop := nextAddress(line, 0); start >= 0 {
			if i, ok := index[strings.ToLower(bounce.CleanAddress(line[start:stop]))]; ok && i != who {
				end()
				who, begin = i, at
			}
		}
		at += len(line)
	}
	end()
	return out
}

// reasonIn is the reply or the reason that a text gives for an address: what stands near it, if there is a reply in it; if it is the only one, the first reply
// in the text; else what stands near it all the same.
func (f *free) reasonIn(text, address string, only bool) reason {
	r := reason{status: readStatus(pseudoField(text, "Status"))}
	if v := pseudoField(text, "Diagnostic-Code"); v != "" {
		_, r.text = diagnostic(v)
		return r
	}
	near, isNear := reasonFor(text, address)
	near = withoutPromise(near)
	switch {
	case isNear && nextCode(near, 0).start >= 0:
		r.text = fromCode(near)
	case only:
		if reply := replyText(text); hasWords(bounce.ParseReply(reply).Text()) {
			r.text = reply
		} else if r.text = near; reply != "" { // a code alone
			r.text = fromCode(reply) + " " + behind(text, address, near)
		}
	default:
		r.text = near
	}
	return r
}

// behind is what a text says from an address on, or near where it is not there.
func behind(text, address, near string) string {
	for from := 0; address != ""; {
		start, end := nextAddress(text, from)
		if start < 0 {
			break
		}
		if from = end; strings.EqualFold(bounce.CleanAddress(text[start:end]), address) {
			s := text[start:]
			if c := nextCode(s, 0); c.start >= 0 {
				s = s[:c.start]
			}
			return oneLine(s[:min(len(s), maxBehind)], address)
		}
	}
	return near
}

// maxBehind bounds what is read behind an address where the reply is a code alone, in bytes.
const maxBehind = 400

// withoutPromise takes off what a reporter says of further attempts, which is no reason.
func withoutPromise(s string) string {
	for _, words := range []string{" Warning: message still undelivered", " Will keep trying"} {
		if i := strings.Index(s, words); i > 0 {
			s = s[:i]
		}
	}
	return s
}

// fromCode is a reason from its reply on, where words before that would hide it.
func fromCode(s string) string {
	if bounce.ParseReply(s).Code != 0 {
		return s
	}
	for n, from := 0, 0; n < 4; n++ {
		c := nextCode(s, from)
		if c.start < 0 {
			break
		}
		if from = c.end; c.enhanced {
			continue
		}
		if bounce.ParseReply(s[c.start:]).Code != 0 {
			return s[c.start:]
		}
		if strings.HasPrefix(s[c.end:], ":") { // "550: text"
			return s[c.start:c.end] + s[c.end+1:]
		}
	}
	return s
}

// replyText is the first reply of SMTP in a text with the lines that belong to it.
func replyText(text string) string {
	c := nextCode(text, 0)
	if c.start < 0 {
		return ""
	}
	// From the beginning of the line, which may have words that quote it, to the end of the paragraph.
	start := strings.LastIndexByte(text[:c.start], '\n') + 1
	text, _, _ = strings.Cut(text[start:], "\n\n")
	return oneLine(text, "")
}
