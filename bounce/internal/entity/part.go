package entity

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"strings"

	"github.com/emersion/go-message"
)

// What a message may cost. Beyond MaxBytes it is refused; beyond the others it is read no further.
const (
	// MaxBytes is the largest message, in bytes.
	MaxBytes = 10 << 20
	// MaxDepth is how many levels of parts are read.
	MaxDepth = 20
	// MaxParts is how many parts are read, of all levels together.
	MaxParts = 1000
	// MaxFields is how many fields of one header are read.
	MaxFields = 10_000
	// MaxHeaderBytes is how much of one header is read.
	MaxHeaderBytes = 1 << 20

	maxDecoded     = 3 * MaxBytes / 2 // of transfer encodings that are undone, of all levels together
	maxLookAhead   = 64 << 10         // to find out whether a line is a boundary that nobody names
	maxContentType = 16 << 10         // of a Content-Type
)

// Errors of Read.
var (
	// ErrEmpty: there is nothing in the message.
	ErrEmpty = errors.New("the message is empty")
	// ErrTooLarge: the message has more than MaxBytes.
	ErrTooLarge = fmt.Errorf("the message has more than %d bytes", MaxBytes)
)

// Part is a message, or a part of one.
type Part struct {
	// Header has its fields. Those of a part that has none are empty.
	Header Header
	// MediaType is its type in lower case ("text/plain"), that of RFC 2045 section 5.2 where none is named.
	MediaType string
	// Params are the type's parameters, by names in lower case.
	Params map[string]string
	// Body is its content, with the transfer encoding undone. A multipart's is all that it has, the boundaries too.
	Body []byte
	// Parts are those of a multipart, or the one message of a message/rfc822 part and its like.
	Parts []*Part
}

// reader reads one message, and counts.
type reader struct {
	parts   int
	decoded int // bytes out of which transfer encodings were undone
}

// Read reads a message. Errors are ErrEmpty and ErrTooLarge. The result refers to raw, which must not change.
func Read(raw []byte) (*Part, error) {
	if len(raw) > MaxBytes {
		return nil, ErrTooLarge
	}
	raw = TrimFront(raw)
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil, ErrEmpty
	}
	var r reader
	return r.message(raw, 0, "text/plain"), nil
}

// TrimFront takes off what is before the header of a message: empty lines, a byte order mark, and the line of a mailbox file.
func TrimFront(b []byte) []byte {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	for {
		line, next := cutLine(b)
		if len(b) == 0 || len(bytes.TrimSpace(line)) > 0 && !bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From ")) {
			return b
		}
		b = next
	}
}

// message reads a message or part from its header on. Without a Content-Type it is of the type otherwise.
func (r *reader) message(b []byte, depth int, otherwise string) *Part {
	r.parts++
	p := &Part{}
	p.Header, b = readHeader(b)
	p.MediaType = otherwise
	if v := p.Header.Raw("Content-Type"); v != "" {
		p.MediaType, p.Params = mediaType(v)
	}
	r.body(p, b, depth)
	return p
}

// body reads the body of a part.
func (r *reader) body(p *Part, b []byte, depth int) {
	boundary := boundaryOf(p, b)
	multi := boundary != ""
	if multi { // a transfer encoding of a multipart is an error (RFC 2045 section 6.4), and never meant
		p.Body = b
	} else {
		p.Body = r.decodeTransfer(p.Header.Raw("Content-Transfer-Encoding"), b)
	}
	if depth == MaxDepth {
		return
	}
	switch {
	case multi:
		otherwise := "text/plain"
		if p.MediaType == "multipart/digest" {
			otherwise = "message/rfc822" // RFC 2046 section 5.1.5
		}
		split(b, boundary, func(part []byte) bool {
			if r.parts == MaxParts {
				return false
			}
			p.Parts = append(p.Parts, r.message(part, depth+1, otherwise))
			return true
		})
	case isMessage(p.MediaType) && r.parts < MaxParts && len(bytes.TrimLeft(p.Body, " \t\r\n")) > 0:
		p.Parts = []*Part{r.message(TrimFront(p.Body), depth+1, "text/plain")}
	}
}

// boundaryOf is the boundary of a multipart, or "". Where the type is missing or names another boundary than the body has, as broken programs do it,
// it is the one that the body has: the first line that begins with "--" and has a field of MIME behind it.
func boundaryOf(p *Part, b []byte) string {
	multi := strings.HasPrefix(p.MediaType, "multipart/")
	if named := p.Params["boundary"]; multi && named != "" {
		if _, found := findDelimiter(b, delimiterOf(named)); found {
			return named
		}
	}
	if !multi && p.MediaType != "text/plain" {
		return ""
	}
	rest := b
	for range 60 {
		var line []byte
		line, rest = cutLine(rest)
		if rest == nil {
			return ""
		}
		line = bytes.TrimRight(line, " \t")
		if len(line) > 5 && len(line) < 200 && bytes.HasPrefix(line, []byte("--")) && bytes.IndexByte(line, ' ') < 0 && startsPart(rest, line) {
			return string(line[2:])
		}
		if !multi && len(bytes.TrimSpace(line)) > 0 && !bytes.HasPrefix(line, []byte("This is a ")) { // only at the very beginning of what says that it is plain text
			return ""
		}
	}
	return ""
}

// startsPart reports whether a line is a boundary: a field of MIME stands behind it, or behind the next line that is the same.
func startsPart(rest, line []byte) bool {
	content := []byte("content-")
	if len(rest) > len(content) && bytes.EqualFold(rest[:len(content)], content) {
		return true
	}
	i := bytes.Index(rest[:min(len(rest), maxLookAhead)], append([]byte{'\n'}, line...))
	if i < 0 {
		return false
	}
	_, rest = cutLine(rest[i+1:])
	return len(rest) > len(content) && bytes.EqualFold(rest[:len(content)], content)
}

// isMessage reports whether a part of this type is a message, or the header of one.
func isMessage(mediaType string) bool {
	switch mediaType {
	case "message/rfc822", "text/rfc822-headers", "text/rfc822-header", "message/rfc822-headers", "message/global", "message/global-headers", "message/news":
		return true
	}
	return false
}

// mediaType reads a Content-Type, the broken ones too.
func mediaType(v string) (string, map[string]string) {
	v = v[:min(len(v), maxContentType)]
	t, params, err := mime.ParseMediaType(v)
	if err == nil && strings.Contains(t, "/") {
		return t, params
	}
	first, rest, _ := strings.Cut(v, ";")
	if t = strings.ToLower(strings.TrimSpace(first)); !strings.Contains(t, "/") {
		t = "text/plain"
	}
	if params == nil {
		params = make(map[string]string)
	}
	for n := 0; rest != "" && n < 20; n++ {
		var p string
		p, rest, _ = strings.Cut(rest, ";")
		if k, v, ok := strings.Cut(p, "="); ok {
			if k = strings.ToLower(strings.TrimSpace(k)); params[k] == "" {
				params[k] = strings.Trim(strings.TrimSpace(v), `"`)
			}
		}
	}
	return t, params
}

// decodeTransfer undoes a transfer encoding as far as that goes. What does not begin to decode stays as it is.
func (r *reader) decodeTransfer(encoding string, b []byte) []byte {
	encoding, _, _ = strings.Cut(encoding, ";")
	encoding = strings.ToLower(strings.Trim(encoding, " \t\""))
	if encoding != "quoted-printable" && encoding != "base64" || r.decoded+len(b) > maxDecoded {
		return b
	}
	r.decoded += len(b)
	var h message.Header
	h.Set("Content-Transfer-Encoding", encoding)
	e, err := message.New(h, bytes.NewReader(b))
	if err != nil {
		return b
	}
	out, err := io.ReadAll(e.Body)
	if err != nil && len(out) < len(b)/4 {
		return b
	}
	return out
}

// delimiter is where a line stands that separates parts.
type delimiter struct {
	start, end int  // of the line, with its line end
	closing    bool // it is the last one
}

// delimiterOf is what such a line begins with.
func delimiterOf(boundary string) []byte { return []byte("--" + strings.TrimRight(boundary, " \t")) }

// findDelimiter finds the first line that is made of mark, or of mark and "--", but for white space behind it (RFC 2046 section 5.1.1).
func findDelimiter(b, mark []byte) (delimiter, bool) {
	for at := 0; ; at++ {
		i := bytes.Index(b[at:], mark)
		if i < 0 {
			return delimiter{}, false
		}
		if at += i; at > 0 && b[at-1] != '\n' {
			continue
		}
		end := len(b)
		if n := bytes.IndexByte(b[at+len(mark):], '\n'); n >= 0 {
			end = at + len(mark) + n + 1
		}
		tail := bytes.TrimRight(b[at+len(mark):end], " \t\r\n")
		if closing := string(tail) == "--"; closing || len(tail) == 0 {
			return delimiter{start: at, end: end, closing: closing}, true
		}
	}
}

// split calls part for each part of a multipart body, without the line end before the next boundary. A last boundary may be missing.
func split(b []byte, boundary string, part func([]byte) bool) {
	mark := delimiterOf(boundary)
	d, found := findDelimiter(b, mark)
	for found && !d.closing {
		b = b[d.end:]
		if d, found = findDelimiter(b, mark); found {
			if !part(trimEnd(b[:d.start])) {
				return
			}
		} else if len(b) > 0 {
			part(b)
		}
	}
}

// trimEnd takes the last line end off, which belongs to the boundary behind it (RFC 2046 section 5.1.1).
func trimEnd(b []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(b, []byte{'\n'}), []byte{'\r'})
}

// Walk calls visit for p and all parts below, in the order of the message, until it returns false. Those below a part for which skip
// is returned are left out.
func (p *Part) Walk(visit func(p *Part) (skip bool)) {
	if visit(p) {
		return
	}
	for _, c := range p.Parts {
		c.Walk(visit)
	}
}

// Find returns all parts of one of these types, in the order of the message. It looks into messages that are part of this one as well.
func (p *Part) Find(mediaTypes ...string) []*Part {
	var out []*Part
	p.Walk(func(p *Part) bool {
		for _, t := range mediaTypes {
			if p.MediaType == t {
				out = append(out, p)
			}
		}
		return false
	})
	return out
}
