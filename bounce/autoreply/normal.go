package autoreply

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// normal is a text in the form that phrases are written in: lower case, Latin letters without marks, no apostrophes, no hyphens within
// words, and one space for all else that is no letter and no digit, also at the beginning and the end.
func normal(s string) string {
	ascii := isASCII(s)
	if !ascii {
		s = norm.NFKD.String(s)
	}
	out := append(make([]byte, 0, len(s)+2), ' ')
	var last rune // written, if it is a letter: a mark or hyphen may follow
	hyphen := false
	for _, x := range s {
		switch {
		case 'A' <= x && x <= 'Z':
			x += 'a' - 'A'
		case x < utf8.RuneSelf:
		case 0x300 <= x && x < 0x370: // combining marks
			if last < 0x250 {
				continue
			}
		default:
			x = unicode.ToLower(x)
		}
		switch {
		case isLetter(x):
			if hyphen {
				out = out[:len(out)-1]
			}
			out = appendLetter(out, x)
			last, hyphen = x, false
			continue
		case x == '\'' || x == '’' || x == '`' || x == '´' || x == '\u00ad' || x == '\u200b' || x == '\u200c' || x == '\ufeff':
			continue
		case '0' <= x && x <= '9':
			out = append(out, byte(x))
			last, hyphen = 0, false
			continue
		}
		hyphen = (x == '-' || x == '\u2010' || x == '\u2011') && last != 0
		if last = 0; out[len(out)-1] != ' ' {
			out = append(out, ' ')
		}
	}
	if out[len(out)-1] != ' ' {
		out = append(out, ' ')
	}
	if ascii {
		return string(out)
	}
	return norm.NFC.String(string(out)) // the syllables of Hangul again
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func isLetter(x rune) bool {
	if x < utf8.RuneSelf {
		return 'a' <= x && x <= 'z'
	}
	return unicode.IsLetter(x) || unicode.IsMark(x)
}

// appendLetter writes Latin letters that do not decompose in the way that people do without them.
func appendLetter(out []byte, x rune) []byte {
	switch x {
	case 'ß':
		return append(out, "ss"...)
	case 'æ':
		return append(out, "ae"...)
	case 'œ':
		return append(out, "oe"...)
	case 'ø':
		x = 'o'
	case 'ł':
		x = 'l'
	case 'đ':
		x = 'd'
	case 'ı':
		x = 'i'
	}
	return utf8.AppendRune(out, x)
}

// find is where a phrase begins a word in a text, or -1. It may end within one. Scripts that have no spaces have no words here.
func find(text, phrase string) int {
	spaceless := phrase >= "\u0e00" // Thai, and all CJK
	for from := 0; ; {
		i := strings.Index(text[from:], phrase)
		if i < 0 {
			return -1
		}
		if i += from; spaceless || i == 0 || text[i-1] == ' ' {
			return i
		}
		from = i + len(phrase)
	}
}

// which is the first of the phrases that a text has, or "".
func which(text string, phrases []string) string {
	for _, p := range phrases {
		if find(text, p) >= 0 {
			return p
		}
	}
	return ""
}

func contains(text string, phrases []string) bool { return which(text, phrases) != "" }

// first is where the first of the phrases begins, or -1.
func first(text string, phrases []string) int {
	at := -1
	for _, p := range phrases {
		if i := find(text, p); i >= 0 && (at < 0 || i < at) {
			at = i
		}
	}
	return at
}
