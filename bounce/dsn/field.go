package dsn

import (
	"net/mail"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/internal/entity"
)

// hostName is the name in a field like "dns; mx.example.com (192.0.2.1)". Of an address in brackets it is the address.
func hostName(v string) string {
	v = v[:min(len(v), maxField)]
	v = clean(v)
	if t, rest, ok := strings.Cut(v, ";"); ok && !strings.ContainsAny(t, ". ") {
		v = rest
	}
	if name := strings.Fields(withoutComments(v)); len(name) > 0 {
		return strings.ToLower(strings.TrimRight(strings.Trim(name[0], "[]<>"), ".;,"))
	}
	if f := strings.Fields(strings.Trim(v, " ()")); len(f) > 0 { // all of it in brackets
		return strings.ToLower(strings.Trim(f[0], "[]"))
	}
	return ""
}

// withoutComments takes out what stands in parentheses (RFC 5322 section 3.2.2).
func withoutComments(v string) string {
	if !strings.ContainsRune(v, '(') {
		return v
	}
	var b strings.Builder
	depth := 0
	for i := range len(v) {
		switch {
		case v[i] == '(':
			depth++
		case v[i] == ')' && depth > 0:
			depth--
		case depth == 0:
			b.WriteByte(v[i])
		}
	}
	return b.String()
}

// recipientAddress is the address in a field like "rfc822; user@example.com" (RFC 3464 section 2.1.2) or "utf-8; …" (RFC 6533 section 3). Source routes, brackets, comments and
// display names are taken off.
func recipientAddress(v string) string {
	if len(v) > maxField {
		return ""
	}
	v = strings.TrimSpace(toUTF8(v))
	typ := ""
	for range 3 { // some write it twice
		t, rest, ok := strings.Cut(v, ";")
		if t = strings.ToLower(strings.TrimSpace(t)); !ok || strings.ContainsAny(t, "@<\" ") {
			break
		}
		typ, v = t, strings.TrimSpace(rest)
	}
	if typ == "utf-8" {
		v = decodeUTF8Address(v)
	} else if isXtext(v) {
		if d := decodeXtext(v); strings.Count(d, "@") == 1 { // xtext was not undone (RFC 3461 section 4)
			v = d
		}
	}
	if i := strings.IndexByte(v, '<'); i >= 0 {
		if j := strings.IndexByte(v[i:], '>'); j > 0 {
			v = v[i : i+j+1]
		}
	}
	if !strings.HasPrefix(v, "\"") {
		if f := strings.Fields(v); len(f) > 0 {
			v = f[0]
		}
	}
	v = bounce.CleanAddress(v)
	if len(v) > 1000 || v == "@" || !isClean(v) {
		return ""
	}
	return v
}

// isXtext reports whether s is in xtext and has an "@" or "+" that is encoded: each "+" begins two hexadecimal digits. A sub-address that has the
// same look ("user+2b@example.com") has lower case or other digits, mostly.
func isXtext(s string) bool {
	found := false
	for i := range len(s) {
		if s[i] != '+' {
			continue
		}
		if i+2 >= len(s) || !isUpperHex(s[i+1]) || !isUpperHex(s[i+2]) {
			return false
		}
		found = found || s[i+1:i+3] == "40" || s[i+1:i+3] == "2B"
	}
	return found
}

func isUpperHex(c byte) bool { return isDigit(c) || 'A' <= c && c <= 'F' }

// decodeXtext undoes xtext (RFC 3461 section 4): "+" and two hexadecimal digits are a character.
func decodeXtext(s string) string {
	if !strings.Contains(s, "+") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '+' && i+2 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil && c >= ' ' {
				b = append(b, byte(c))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

// decodeUTF8Address undoes utf-8-addr-xtext and utf-8-addr-unitext (RFC 6533 section 3): "\x{" and hexadecimal digits and "}" are a character.
func decodeUTF8Address(s string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(s, `\x{`)
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		digits, _, ok := strings.Cut(rest[:min(len(rest), 7)], "}") // six digits at most
		c, err := strconv.ParseUint(digits, 16, 32)
		if !ok || err != nil || c < ' ' || !utf8.ValidRune(rune(c)) {
			b.WriteString(`\x{`)
			s = rest
			continue
		}
		b.WriteRune(rune(c))
		s = rest[len(digits)+1:]
	}
}

// isClean reports whether v is UTF-8 without control characters.
func isClean(v string) bool {
	return utf8.ValidString(v) && !strings.ContainsFunc(v, unicode.IsControl)
}

// printable leaves control characters out, for strings.Map.
func printable(c rune) rune {
	if unicode.IsControl(c) {
		return -1
	}
	return c
}

// toUTF8 makes a value fit to be shown.
func toUTF8(v string) string { return entity.Decode(v) }

// date reads a date of RFC 5322; zero for what is none.
func date(v string) time.Time {
	if v == "" || len(v) > 100 {
		return time.Time{}
	}
	t, err := mail.ParseDate(strings.TrimSpace(v))
	if err != nil {
		return time.Time{}
	}
	return t
}
