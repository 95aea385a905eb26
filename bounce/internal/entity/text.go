package entity

import (
	"bytes"
	"io"
	"mime"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/japanese"
)

// Text is the body as UTF-8 with LF line ends, from the charset that the part names. The markup of text/html is left out.
func (p *Part) Text() string {
	s := ToUTF8(p.Body, p.Params["charset"])
	if p.MediaType == "text/html" {
		s = fromHTML(s)
	}
	return strings.ReplaceAll(s, "\r\n", "\n")
}

// ToUTF8 decodes b from a charset. One that is not known, or is wrong, gives what b looks like: UTF-8, ISO-2022-JP by its escapes, or
// Latin-1.
func ToUTF8(b []byte, charset string) string {
	plain := isPlain(b)
	if plain && !bytes.Contains(b, []byte("\x1b$")) { // ASCII in nearly any charset, and nearly all mail
		return string(b)
	}
	name := strings.ToLower(strings.TrimSpace(charset))
	if name == "iso-2022-jp" && !plain { // it has 7 bits: another Japanese charset under the wrong name
		name = ""
		for _, e := range []encoding.Encoding{japanese.EUCJP, japanese.ShiftJIS} {
			if s, err := e.NewDecoder().Bytes(b); err == nil && !utf8.Valid(b) && !bytes.Contains(s, []byte("\ufffd")) {
				return string(s)
			}
		}
	}
	if plain && (bytes.Contains(b, []byte("\x1b$B")) || bytes.Contains(b, []byte("\x1b$@"))) {
		name = "iso-2022-jp" // whatever it says
	}
	if e, err := htmlindex.Get(name); err == nil && (plain || !utf8.Valid(b)) {
		if s, err := e.NewDecoder().Bytes(b); err == nil {
			return string(s)
		}
	}
	var e encoding.Encoding = charmap.Windows1252
	switch {
	case bytes.Contains(b, []byte("\x1b$")):
		e = japanese.ISO2022JP
	case utf8.Valid(b):
		return string(b)
	}
	s, err := e.NewDecoder().Bytes(b)
	if err != nil {
		return strings.ToValidUTF8(string(b), "\ufffd")
	}
	return string(s)
}

// isPlain reports whether b is all ASCII.
func isPlain(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// Decode is the value of a field as UTF-8: encoded words are decoded, and what is not ASCII is taken for what it looks like.
func Decode(value string) string {
	if strings.Contains(value, "=?") {
		d := mime.WordDecoder{CharsetReader: func(charset string, r io.Reader) (io.Reader, error) {
			b, err := io.ReadAll(r)
			return strings.NewReader(ToUTF8(b, charset)), err
		}}
		if s, err := d.DecodeHeader(value); err == nil {
			value = s
		}
	}
	return ToUTF8([]byte(value), "")
}

// fromHTML takes the markup off, with a line for each block.
func fromHTML(s string) string {
	var out strings.Builder
	z := html.NewTokenizer(strings.NewReader(s))
	z.SetMaxBuf(1 << 20)
	skip := 0 // within script and style
	for {
		switch z.Next() {
		case html.ErrorToken:
			return out.String()
		case html.TextToken:
			if skip == 0 {
				out.Write(z.Text())
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			switch name, _ := z.TagName(); string(name) {
			case "script", "style", "title":
				skip++
			case "br", "p", "div", "tr", "table", "li", "h1", "h2", "h3", "h4", "pre", "hr":
				out.WriteByte('\n')
			case "td", "th":
				out.WriteByte(' ')
			}
		case html.EndTagToken:
			switch name, _ := z.TagName(); string(name) {
			case "script", "style", "title":
				skip = max(0, skip-1)
			case "p", "div", "tr", "table", "li", "h1", "h2", "h3", "h4", "pre":
				out.WriteByte('\n')
			}
		}
	}
}
