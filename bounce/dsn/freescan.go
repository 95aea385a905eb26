package dsn

import (
	"strings"
	"unicode/utf8"

	"github.com/reputemail/repute/bounce"
)

// What follows goes through a text by hand: a text is read for each bounce, and regular expressions are slow where most of it does not match.

// maxLocalPart and maxDomainPart bound an address in a text, in bytes.
const (
	maxLocalPart  = 128
	maxDomainPart = 253
)

// nextAddress finds the first address in s that begins at from or behind; start is -1 where there is none. It looks at each byte a bounded number of times.
func nextAddress(s string, from int) (start, end int) {
	for at := from; ; {
		i := strings.IndexByte(s[at:], '@')
		if i < 0 {
			return -1, -1
		}
		i += at
		at = i + 1
		start = i
		for start > from && i-start <= maxLocalPart && isLocalByte(s[start-1]) {
			start--
		}
		if start == i && i > from && s[i-1] == '"' { // a quoted local-part
			if q := strings.LastIndexByte(s[max(from, i-maxLocalPart):i-1], '"'); q >= 0 {
				start = max(from, i-maxLocalPart) + q
			}
		}
		for start < i && strings.IndexByte("'`*/=|~{}.&?^", s[start]) >= 0 {
			start++
		}
		end = at
		for end < len(s) && end-at < maxDomainPart && isDomainByte(s[end]) {
			end++
		}
		tooLong := i-start > maxLocalPart || end < len(s) && isDomainByte(s[end])
		from = end // the next does not begin in this one
		for end > at && !isAlphanumeric(s[end-1]) {
			end--
		}
		if start < i && end > at && !tooLong && isAlphanumeric(s[at]) {
			return start, end
		}
		at = from
	}
}

// addressesIn are the addresses in a text, each once, up to maxRecipients.
func addressesIn(s string) []string {
	var list finder
	for from := 0; ; {
		start, end := nextAddress(s, from)
		if start < 0 {
			return list.list
		}
		list.add(bounce.CleanAddress(s[start:end]))
		from = end
	}
}

func isAlphanumeric(c byte) bool {
	return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'z'
}

func isDomainByte(c byte) bool { return isAlphanumeric(c) || c == '.' || c == '-' }

func isLocalByte(c byte) bool {
	return isAlphanumeric(c) || c < 0x80 && strings.IndexByte("!#$%&'*+/=?^_{|}~.-", c) >= 0
}

func isWordByte(c byte) bool { return isAlphanumeric(c) || c == '_' }

// code is a code of a reply in a text.
type code struct {
	start, end int
	enhanced   bool // "5.1.1" (RFC 3463), not "550" (RFC 5321 section 4.2)
}

// nextCode finds the first code of a failure at from or behind; start is -1 where there is none.
func nextCode(s string, from int) code {
	for i := from; i < len(s); i++ {
		if s[i] != '4' && s[i] != '5' || i > 0 && isWordByte(s[i-1]) {
			continue
		}
		if end := enhancedEnd(s, i); end > 0 {
			return code{i, end, true}
		}
		if isBasic(s, i) && (i == 0 || strings.IndexByte(" \t\r\n:>\"'([", s[i-1]) >= 0) && (i+3 == len(s) || strings.IndexByte(" :-\n", s[i+3]) >= 0) {
			return code{i, i + 3, false}
		}
	}
	return code{start: -1}
}

// isBasic reports whether a basic code of a failure stands at i.
func isBasic(s string, i int) bool {
	return i+3 <= len(s) && (s[i] == '4' || s[i] == '5') && '0' <= s[i+1] && s[i+1] <= '7' && isDigit(s[i+2]) && (i+3 == len(s) || !isWordByte(s[i+3]))
}

// enhancedEnd is where an enhanced code of a failure that begins at i ends, or 0.
func enhancedEnd(s string, i int) int {
	if i >= len(s) || s[i] != '4' && s[i] != '5' {
		return 0
	}
	i++
	for range 2 {
		if i >= len(s) || s[i] != '.' {
			return 0
		}
		i++
		digits := 0
		for i < len(s) && isDigit(s[i]) && digits < 3 {
			i++
			digits++
		}
		if digits == 0 {
			return 0
		}
	}
	if i < len(s) && isWordByte(s[i]) {
		return 0
	}
	return i
}

// hasReply reports whether a text quotes a reply of SMTP: a code with an enhanced one behind it, a code behind words that quote it or at the beginning of a line, or
// an enhanced one in parentheses.
func hasReply(s string) bool {
	line := 0 // where it begins
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\n':
			line = i + 1
		case c != '4' && c != '5' || i > 0 && isWordByte(s[i-1]):
		case isBasic(s, i):
			rest := s[i+3:]
			if rest != "" && (rest[0] == ' ' || rest[0] == '-') {
				if enhancedEnd(rest, 1+len(rest[1:])-len(strings.TrimPrefix(rest[1:], "#"))) > 0 {
					return true
				}
				if len(rest) > 1 && rest[1] > ' ' && i-line <= 6 && strings.IndexFunc(s[line:i], func(r rune) bool { return r > 0x7f || isWordByte(byte(r)) }) < 0 {
					return true
				}
			}
			if containsAny(strings.ToLower(s[max(line, i-48):i]), quoteWords[:]) {
				return true
			}
		case enhancedEnd(s, i) > 0:
			end := enhancedEnd(s, i)
			before := strings.TrimSuffix(s[max(0, i-2):i], "#")
			if strings.HasSuffix(before, "(") && end < len(s) && s[end] == ')' {
				return true
			}
			i = end - 1
		}
	}
	return false
}

// quoteWords stand before a code that is quoted.
var quoteWords = [...]string{"said", "reply", "error", "response", "reason", "code", "replied", "server", "failed", "answered"}

// cutText is what is read of a body: at most maxText bytes, up to a line end or at least the end of a character.
func cutText(b []byte) []byte {
	if len(b) <= maxText {
		return b
	}
	b = b[:maxText]
	for i := len(b) - 1; i > len(b)-1024; i-- {
		if b[i] == '\n' {
			return b[:i+1]
		}
	}
	for range utf8.UTFMax - 1 {
		if r, size := utf8.DecodeLastRune(b); r != utf8.RuneError || size != 1 {
			break
		}
		b = b[:len(b)-1]
	}
	return b
}
