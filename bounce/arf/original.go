package arf

import (
	"bytes"
	"strings"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/internal/entity"
)

// Original is the message that a report is about, as far as the report quotes it. All of it is what the reporter wrote.
type Original struct {
	// MessageID is its Message-ID, without angle brackets.
	MessageID string
	// From, To and Subject are those fields, decoded.
	From, To, Subject string
	// ReturnPath is the address to which its receiver would have returned it, without angle brackets.
	ReturnPath string

	header entity.Header
}

// Header is the value of the message's first field of this name, decoded, or "". Names do not heed case.
func (o *Original) Header(name string) string { return o.header.Get(name) }

// Values are the values of all the message's fields of this name, as they were written, at most MaxList.
func (o *Original) Values(name string) []string { return bounded(o.header.Values(name)) }

// original takes what is wanted of a header.
func original(h entity.Header) Original {
	return Original{
		MessageID:  messageID(h.Raw("Message-ID")),
		From:       h.Get("From"),
		To:         h.Get("To"),
		Subject:    h.Get("Subject"),
		ReturnPath: bounce.CleanAddress(h.Raw("Return-Path")),
		header:     h,
	}
}

func messageID(v string) string { return strings.Trim(strings.TrimSpace(v), "<>") }

// quoted finds the header of the message that m is about: in a part of m that is a message, else written out in a text part. What has no
// field is none.
func quoted(m *entity.Part) (h entity.Header, ok bool) {
	m.Walk(func(p *entity.Part) bool {
		if ok {
			return true
		}
		if isQuote(p) && len(p.Parts) == 1 {
			h, ok = p.Parts[0].Header, p.Parts[0].Header.Len() > 0
			return true
		}
		return false
	})
	if ok {
		return h, true
	}
	texts := 0
	for _, p := range leaves(m) {
		if isText(p) && !ok && texts < maxQuoteTexts {
			texts++
			h, ok = quotedIn(p.Body)
		}
	}
	return h, ok
}

// The bounds of looking for a header within a text.
const (
	maxQuoteTexts = 5
	maxQuoteBytes = 64 << 10
	maxQuoteTries = 20
)

// quotedIn finds a header that is written out in a text: at least three fields that every message has.
func quotedIn(b []byte) (entity.Header, bool) {
	b = b[:min(len(b), maxQuoteBytes)]
	tries := 0
	for rest := b; len(rest) > 0 && tries < maxQuoteTries; {
		line, next, _ := bytes.Cut(rest, []byte{'\n'})
		prefix := line[:len(line)-len(bytes.TrimLeft(line, "> \t"))]
		if bytes.IndexByte(prefix, '>') < 0 {
			prefix = nil
		}
		if startsHeader(line[len(prefix):]) {
			tries++
			block := rest
			if len(prefix) > 0 {
				block = unquote(rest, prefix)
			}
			if m, err := entity.Read(block); err == nil && knownFields(m.Header) >= 3 {
				return m.Header, true
			}
		}
		rest = next
	}
	return entity.Header{}, false
}

// unquote takes the prefix off all lines up to one that does not have it.
func unquote(b, prefix []byte) []byte {
	short := bytes.TrimRight(prefix, " \t")
	var out []byte
	for len(b) > 0 {
		line, next, _ := bytes.Cut(b, []byte{'\n'})
		after, ok := bytes.CutPrefix(line, prefix)
		if !ok {
			if after, ok = bytes.CutPrefix(line, short); !ok {
				break
			}
		}
		out = append(append(out, after...), '\n')
		b = next
	}
	return out
}

// commonFields are those by which a header is known.
var commonFields = [...]string{"Return-Path", "Received", "Message-ID", "Date", "From", "To", "Subject", "MIME-Version"}

func startsHeader(line []byte) bool {
	for _, f := range commonFields {
		if len(line) > len(f) && line[len(f)] == ':' && bytes.EqualFold(line[:len(f)], []byte(f)) {
			return true
		}
	}
	return false
}

func knownFields(h entity.Header) int {
	n := 0
	for _, f := range commonFields {
		if h.Has(f) {
			n++
		}
	}
	return n
}
