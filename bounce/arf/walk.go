package arf

import (
	"bytes"
	"strings"

	"github.com/reputemail/repute/bounce/internal/entity"
)

// maxTextBytes is how much of a text is read for what it says.
const maxTextBytes = 4 << 10

// isQuote reports whether the parts of p, if it has any, are a message that it quotes, and not its own. What says that it is text may have
// parts, too, where the header was lost.
func isQuote(p *entity.Part) bool {
	return strings.HasPrefix(p.MediaType, "message/") || strings.Contains(p.MediaType, "rfc822")
}

func isText(p *entity.Part) bool { return strings.HasPrefix(p.MediaType, "text/") }

// leaves are the parts without parts, in order, that are not within a message that m quotes.
func leaves(m *entity.Part) []*entity.Part {
	var out []*entity.Part
	m.Walk(func(p *entity.Part) bool {
		if len(p.Parts) == 0 {
			out = append(out, p)
		}
		return len(p.Parts) > 0 && isQuote(p)
	})
	return out
}

// lowerText is the beginning of the first text that is not empty, in lower case, with single spaces.
func lowerText(m *entity.Part) string {
	for _, p := range leaves(m) {
		if !isText(p) {
			continue
		}
		short, limit := *p, maxTextBytes
		if p.MediaType == "text/html" {
			limit *= 8
		}
		short.Body = beginning(p.Body, limit)
		text := short.Text()
		if t := oneLine(text[:min(len(text), maxTextBytes)]); t != "" {
			return t
		}
	}
	return ""
}

// oneLine is a text in lower case, with single spaces.
func oneLine(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for w := range strings.FieldsSeq(strings.ToLower(s)) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(w)
	}
	return b.String()
}

// fromMailSystem reports whether m is what a mail system returned.
func fromMailSystem(m *entity.Part) bool {
	from := strings.ToLower(m.Header.Raw("From"))
	if strings.Contains(from, "mailer-daemon") || strings.Contains(from, "mail delivery") || m.Header.Has("X-Failed-Recipients") {
		return true
	}
	status := false
	m.Walk(func(p *entity.Part) bool {
		status = status || p.MediaType == "message/delivery-status" || p.MediaType == "message/global-delivery-status"
		return status || len(p.Parts) > 0 && isQuote(p)
	})
	return status
}

func containsFold(b []byte, lower string) bool { return indexFold(b, lower) >= 0 }

// indexFold is bytes.Index that heeds no case of ASCII letters. lower is in lower case and has a byte that is no letter, for which is searched first.
func indexFold(b []byte, lower string) int {
	anchor := strings.IndexFunc(lower, func(r rune) bool { return r < 'a' || r > 'z' })
	for at := anchor; at < len(b); at++ {
		i := bytes.IndexByte(b[at:], lower[anchor])
		if i < 0 {
			return -1
		}
		at += i
		start := at - anchor
		if start+len(lower) > len(b) {
			return -1
		}
		n := 0
		for n < len(lower) && lowerByte(b[start+n]) == lower[n] {
			n++
		}
		if n == len(lower) {
			return start
		}
	}
	return -1
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
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
