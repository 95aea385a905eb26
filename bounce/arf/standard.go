package arf

import (
	"bytes"
	"strings"

	"github.com/reputemail/repute/bounce/internal/entity"
)

// The bounds of reading the fields of a report.
const (
	maxMachineBytes = 1 << 20
	maxGroups       = 20
)

// readARF reads RFC 5965.
func readARF(m *entity.Part) *Feedback {
	if len(m.Parts) == 0 {
		m = repair(m)
	}
	h, ok := machine(m)
	switch {
	case ok:
	case saysFeedback(m):
		return readUnmarked(m)
	default:
		if m = attached(m); m == nil {
			return nil
		}
		if h, ok = machine(m); !ok {
			return nil
		}
	}
	f := &Feedback{Form: FormARF}
	f.fill(h)
	q, _ := quoted(m)
	f.quote(q)
	return f
}

// saysFeedback reports whether a message says that it is a feedback report (RFC 5965 section 2).
func saysFeedback(m *entity.Part) bool {
	return m.MediaType == "multipart/report" && strings.EqualFold(m.Params["report-type"], "feedback-report")
}

// machine finds the fields of a report.
func machine(m *entity.Part) (h entity.Header, ok bool) {
	for _, p := range leaves(m) {
		labelled := p.MediaType == "message/feedback-report" || p.MediaType == "text/feedback-report"
		body := p.Body[:min(len(p.Body), maxMachineBytes)]
		if !labelled && !(mayBeMachine(p) && containsFold(body, "feedback-type")) {
			continue
		}
		groups := entity.Groups(body, maxGroups)
		for i, g := range groups {
			if !g.Has("Feedback-Type") {
				continue
			}
			if labelled || saysFeedback(m) && m != p || startsWith(body, g) && (g.Has("User-Agent") || g.Has("Version")) {
				return merge(groups[i:], groups[:i]), true
			}
		}
		if labelled && len(groups) > 0 { // without the field that is required, RFC 5965 section 3.1
			return merge(groups, nil), true
		}
	}
	return entity.Header{}, false
}

// mayBeMachine reports whether a part has one of the labels that the fields of a report were seen under.
func mayBeMachine(p *entity.Part) bool {
	return isText(p) || strings.HasPrefix(p.MediaType, "message/") || p.MediaType == "application/octet-stream"
}

// merge is one header of several: an empty line among the fields ends nothing.
func merge(first, then []entity.Header) entity.Header {
	if len(first) == 1 && len(then) == 0 {
		return first[0]
	}
	var b bytes.Buffer
	for _, g := range append(first[:len(first):len(first)], then...) {
		for f := range g.All() {
			b.WriteString(f.Name + ": " + f.Value + "\n")
		}
	}
	m, err := entity.Read(b.Bytes())
	if err != nil {
		return entity.Header{}
	}
	return m.Header
}

// startsWith reports whether a text begins with the first field of a group.
func startsWith(body []byte, g entity.Header) bool {
	body = bytes.TrimLeft(body, " \t\r\n")
	for f := range g.All() {
		return bytes.HasPrefix(body, []byte(f.Name))
	}
	return false
}

// readUnmarked reads a report that has no part of its own for fields.
func readUnmarked(m *entity.Part) *Feedback {
	h, ok := quoted(m)
	text := lowerText(m)
	if !ok && text == "" {
		return nil
	}
	f := &Feedback{Form: FormARF, Type: typeOf(strings.ToLower(m.Header.Get("Subject")) + "\n" + text)}
	f.quote(h)
	return f
}

// attached is a message that m only carries along, or nil: the report that somebody forwarded. What a mail system returned is no such thing.
func attached(m *entity.Part) *entity.Part {
	if m.MediaType == "multipart/report" || fromMailSystem(m) {
		return nil
	}
	var inner *entity.Part
	m.Walk(func(p *entity.Part) bool {
		if inner == nil && p.MediaType == "message/rfc822" && len(p.Parts) == 1 {
			inner = p.Parts[0]
		}
		return inner != nil
	})
	return inner
}

// repair reads the parts of a message whose header does not tell that it has any, or with which boundary. Without a
// message/feedback-report among its lines, m is returned.
func repair(m *entity.Part) *entity.Part {
	body := m.Body[:min(len(m.Body), maxMachineBytes)]
	at := indexFold(body, "\ncontent-type: message/feedback-report")
	if at < 0 || fromMailSystem(m) {
		return m
	}
	start := bytes.LastIndex(body[:at], []byte("\n--"))
	if start < 0 && bytes.HasPrefix(body, []byte("--")) {
		start = -1
	} else if start < 0 {
		return m
	}
	line, _, _ := bytes.Cut(body[start+1:], []byte{'\n'})
	boundary := strings.TrimRight(string(line[2:]), "\r \t")
	if boundary == "" || strings.ContainsAny(boundary, "\"\\") {
		return m
	}
	raw := append([]byte("Content-Type: multipart/report; report-type=feedback-report; boundary=\""+boundary+"\"\n\n"), m.Body...)
	fixed, err := entity.Read(raw)
	if err != nil || len(fixed.Parts) == 0 {
		return m
	}
	fixed.Header = m.Header
	return fixed
}
