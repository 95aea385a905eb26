package bounce

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxNormal bounds the text in normal form, in bytes. Nothing that decides has been seen so far behind.
const maxNormal = 4 << 10

// The bytes that stand for an address, for an IPv4 address and for an address that was left out before the first colon of a
// text in normal form. No word has them.
const (
	normAddress = '@'
	normIP      = '#'
	normNobody  = ':'
)

// appendNormal appends lines in normal form (see Rule) to dst: a space, then each word and a space behind it.
func appendNormal(dst []byte, lines []string) []byte { return appendWords(dst, lines, false) }

// appendWords is appendNormal. With prose it leaves out what carries no words of the text: URLs and the names of hosts.
func appendWords(dst []byte, lines []string, prose bool) []byte {
	dst = append(dst, ' ')
	if len(lines) > 0 && strings.HasPrefix(lines[0], ": ") {
		dst = appendMark(dst, normNobody)
	}
	for _, s := range lines {
		for i := 0; i < len(s) && len(dst) < maxNormal; {
			c := s[i]
			if prose && hasURL(s[i:]) {
				for i < len(s) && !isURLEnd(s[i]) {
					i++
				}
				continue
			}
			if c == '<' {
				if n := bracketed(s[i:]); n > 0 {
					dst = appendMark(dst, normAddress)
					i += n
					continue
				}
			}
			if isBreak(c) {
				i++
				continue
			}
			j := i + 1
			for j < len(s) && !isBreak(s[j]) && (s[j] != '.' || !strings.HasPrefix(s[j:], "...")) {
				j++
			}
			if !prose || !isHostName(s[i:j]) {
				dst = appendRun(dst, s[i:j])
			}
			i = j
		}
	}
	return dst
}

// isBreak reports whether c always ends a word, a host name and an address.
func isBreak(c byte) bool { return c <= ' ' || c < 0x80 && breaks[c] }

var breaks = [0x80]bool{
	'<': true, '>': true, '(': true, ')': true, '[': true, ']': true, '{': true, '}': true, ',': true, ';': true,
	':': true, '"': true, '=': true, '/': true, '?': true, '&': true, '|': true, '\\': true,
}

// hasURL reports whether a URL begins s.
func hasURL(s string) bool {
	for _, scheme := range [...]string{"http://", "https://", "www."} {
		if len(s) > len(scheme) && strings.EqualFold(s[:len(scheme)], scheme) {
			return true
		}
	}
	return false
}

// isURLEnd reports whether c ends a URL within text.
func isURLEnd(c byte) bool {
	switch c {
	case '<', '>', '"', ')', ']', '}':
		return true
	}
	return c <= ' '
}

// isHostName reports whether a run is the name of a host: labels with dots between them. With one dot only, it might be the
// end of a sentence and the begin of the next, so its letters must all be small.
func isHostName(s string) bool {
	s = strings.TrimRight(s, ".")
	dots, letters, upper := 0, 0, false
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.':
			if i == 0 || s[i-1] == '.' || s[i-1] == '-' {
				return false
			}
			dots++
		case 'A' <= c && c <= 'Z':
			upper = true
			letters++
		case 'a' <= c && c <= 'z':
			letters++
		case !isDigit(c) && c != '-' && c != '_':
			return false
		}
	}
	return letters > 0 && (dots > 1 || dots == 1 && !upper)
}

// maxBracketed bounds what stands in angle brackets: an address has at most 320 bytes.
const maxBracketed = 330

// bracketed returns the length of "<…>" at the start of s when its content is an address or may be the local part of
// one, else 0: a URL, a host or a sentence stays text.
func bracketed(s string) int {
	at, dot := false, false
	for i := 1; i < len(s) && i < maxBracketed; i++ {
		switch s[i] {
		case '>':
			if i == 1 || dot && !at {
				return 0
			}
			return i + 1
		case '@':
			at = true
		case '.':
			dot = true
		case ' ', '/', '[', '<':
			return 0
		}
	}
	return 0
}

// appendMark appends a placeholder as a word of its own, once where it is repeated.
func appendMark(dst []byte, mark byte) []byte {
	if n := len(dst); n >= 3 && dst[n-2] == mark {
		return dst
	}
	return append(dst, mark, ' ')
}

// appendRun appends the words of a run without breaks: an address, an IPv4 address, or words with other punctuation
// between them.
func appendRun(dst []byte, s string) []byte {
	for len(s) > 0 && (s[len(s)-1] == '.' || s[len(s)-1] == '\'') {
		s = s[:len(s)-1]
	}
	if i := strings.LastIndexByte(s, '@'); i > 0 && i < len(s)-1 {
		return appendMark(dst, normAddress)
	}
	if s != "" && isDigit(s[0]) && isIPv4(s) {
		return appendMark(dst, normIP)
	}
	open := false // a word has begun and has no space behind it yet
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			i++
			switch {
			case 'A' <= c && c <= 'Z':
				dst, open = append(dst, c+'a'-'A'), true
			case 'a' <= c && c <= 'z' || isDigit(c):
				dst, open = append(dst, c), true
			case c == '\'' || c == '`':
			case open:
				dst, open = append(dst, ' '), false
			}
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		switch {
		case r == '\u2018' || r == '\u2019':
		case r < '\u0180' && r >= '\u00c0':
			if base := latin[r-'\u00c0']; base != ' ' {
				dst, open = append(dst, base), true
			}
		case r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r)):
			dst, open = utf8.AppendRune(dst, unicode.ToLower(r)), true
		case open:
			dst, open = append(dst, ' '), false
		}
	}
	if open {
		dst = append(dst, ' ')
	}
	return dst
}

// latin is the base letter of U+00C0 to U+017F, a space for what is no letter.
const latin = "aaaaaaaceeeeiiiidnooooo ouuuuytsaaaaaaaceeeeiiiidnooooo ouuuuyty" +
	"aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiiiiijjkkkllllllllllnnnnnnnnnoooooooorrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs"

// isIPv4 reports whether s is four groups of one to three digits, with dots between.
func isIPv4(s string) bool {
	groups, digits := 1, 0
	for i := range len(s) {
		switch {
		case isDigit(s[i]):
			digits++
			if digits > 3 {
				return false
			}
		case s[i] == '.' && digits > 0:
			groups, digits = groups+1, 0
		default:
			return false
		}
	}
	return groups == 4 && digits > 0
}
