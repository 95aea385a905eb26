package entity

import (
	"bytes"
	"iter"
	"strings"
)

// Field is one header field.
type Field struct {
	// Name is the name as it was written.
	Name string
	// Value is unfolded and trimmed, and otherwise as it was written: encoded words are still encoded.
	Value string
}

// Header is the fields of a message or part in order, or of one group of a report. The zero Header has none.
type Header struct{ fields []Field }

// Len is how many fields there are.
func (h Header) Len() int { return len(h.fields) }

// All goes through all fields in order.
func (h Header) All() iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for _, f := range h.fields {
			if !yield(f) {
				return
			}
		}
	}
}

// Has reports whether there is a field of this name.
func (h Header) Has(name string) bool {
	_, ok := h.first(name)
	return ok
}

// Raw is the value of the first field of this name as it was written, or "".
func (h Header) Raw(name string) string {
	v, _ := h.first(name)
	return v
}

// Get is the value of the first field of this name as UTF-8, with encoded words (RFC 2047) decoded, or "".
func (h Header) Get(name string) string { return Decode(h.Raw(name)) }

// Values are the values of all fields of this name as they were written.
func (h Header) Values(name string) []string {
	var out []string
	for _, f := range h.fields {
		if strings.EqualFold(f.Name, name) {
			out = append(out, f.Value)
		}
	}
	return out
}

func (h Header) first(name string) (string, bool) {
	for _, f := range h.fields {
		if len(f.Name) == len(name) && strings.EqualFold(f.Name, name) {
			return f.Value, true
		}
	}
	return "", false
}

// readHeader reads fields up to an empty line, and returns what is behind that.
func readHeader(b []byte) (h Header, rest []byte) {
	var value []byte // of the last field, which is not done yet
	strays := 0
	done := func() {
		if n := len(h.fields); n > 0 {
			h.fields[n-1].Value = string(bytes.TrimSpace(value))
		}
		value = value[:0]
	}
	all := b
	for len(b) > 0 {
		line, next := cutLine(b)
		if len(bytes.TrimRight(line, " \t")) == 0 {
			done()
			return h, next
		}
		name, v, ok := cutField(line)
		folded := line[0] == ' ' || line[0] == '\t'
		switch {
		case ok && !folded:
			done()
			strays = 0
			if len(h.fields) == MaxFields || len(all)-len(next) > MaxHeaderBytes {
				return h, skipHeader(next)
			}
			h.fields = append(h.fields, Field{Name: name})
			value = append(value, v...)
		case folded && len(h.fields) > 0:
			strays = 0
			value = appendFolded(value, line)
		case len(h.fields) == 0:
			return h, b // there is no header
		default:
			if strays++; strays == 2 || looksLikeBoundary(line) {
				done()
				return h, b
			}
			value = appendFolded(value, line)
		}
		b = next
	}
	done()
	return h, nil
}

// appendFolded unfolds a line into a value, up to the bound of a header.
func appendFolded(value, line []byte) []byte {
	if len(value) > MaxHeaderBytes {
		return value
	}
	return append(append(value, ' '), bytes.TrimSpace(line)...)
}

// skipHeader returns what is behind the next empty line.
func skipHeader(b []byte) []byte {
	for len(b) > 0 {
		line, next := cutLine(b)
		if b = next; len(line) == 0 {
			break
		}
	}
	return b
}

// cutLine splits after the first line end, CRLF, LF or the end, which the line does not have.
func cutLine(b []byte) (line, rest []byte) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return bytes.TrimSuffix(b, []byte{'\r'}), nil
	}
	return bytes.TrimSuffix(b[:i], []byte{'\r'}), b[i+1:]
}

// cutField splits a line of a header at its colon. A name is printable ASCII (RFC 5322 section 3.6.8), and may have white space before the colon
// (section 4.5).
func cutField(line []byte) (name string, value []byte, ok bool) {
	i := bytes.IndexByte(line, ':')
	if i <= 0 || i > maxName {
		return "", nil, false
	}
	n := bytes.TrimRight(line[:i], " \t")
	if len(n) == 0 {
		return "", nil, false
	}
	for _, c := range n {
		if c <= ' ' || c > '~' {
			return "", nil, false
		}
	}
	return string(n), line[i+1:], true
}

// maxName bounds the name of a field: a line of prose has its colon later.
const maxName = 100

func looksLikeBoundary(line []byte) bool { return bytes.HasPrefix(line, []byte("--")) }

// Groups reads what is in a message/delivery-status (RFC 3464 section 2.1) or message/feedback-report part: fields in groups, with empty lines between. Lines
// that are no fields end no group. There are at most limit groups.
func Groups(b []byte, limit int) []Header {
	var out []Header
	for len(out) < limit {
		for { // empty lines before a group
			line, next := cutLine(b)
			if len(b) == 0 || len(bytes.TrimSpace(line)) > 0 {
				break
			}
			b = next
		}
		if len(b) == 0 {
			return out
		}
		h, rest := readHeader(b)
		if h.Len() == 0 { // a line that is no field
			_, rest = cutLine(b)
		} else {
			out = append(out, h)
		}
		b = rest
	}
	return out
}
