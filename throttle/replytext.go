package throttle

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxReplyText bounds the text of a reply in normal form, in bytes. What is behind is not looked at.
const maxReplyText = 4 << 10

// appendReplyText appends s in the normal form that phrases are held against: lower case, runs of white space and control
// characters as one space and none at either end, and every kind of apostrophe as "'". Bytes that are no UTF-8 are U+FFFD.
func appendReplyText(dst []byte, s string) []byte {
	begin := len(dst)
	gap := false
	for i := 0; i < len(s) && len(dst)-begin < maxReplyText; {
		c := s[i]
		if c < utf8.RuneSelf {
			i++
			if c <= ' ' || c == 0x7f {
				gap = true
				continue
			}
			if gap && len(dst) > begin {
				dst = append(dst, ' ')
			}
			gap = false
			switch {
			case 'A' <= c && c <= 'Z':
				c += 'a' - 'A'
			case c == '`':
				c = '\''
			}
			dst = append(dst, c)
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		if unicode.IsSpace(r) || unicode.IsControl(r) {
			gap = true
			continue
		}
		if gap && len(dst) > begin {
			dst = append(dst, ' ')
		}
		gap = false
		switch r {
		case '\u2018', '\u2019', '\u201b', '\u02bc', '\u00b4': // quotation marks, the modifier letter, the acute accent
			r = '\''
		}
		dst = utf8.AppendRune(dst, unicode.ToLower(r))
	}
	return dst
}

// phrase is a phrase of a Reaction, ready to be searched for.
type phrase struct {
	text []byte
	// begin and end: the text must not go on with a letter or digit before or behind.
	begin, end bool
}

// parsePhrase makes a phrase, or says why no text in normal form can have it.
func parsePhrase(s string) (phrase, error) {
	body, open := strings.CutSuffix(s, "*")
	body, free := strings.CutPrefix(body, "*")
	if body == "" {
		return phrase{}, errors.New("it is empty")
	}
	if normal := string(appendReplyText(nil, body)); normal != body {
		return phrase{}, fmt.Errorf("a text in normal form never has %q, but %q", body, normal)
	}
	if strings.Contains(body, "*") {
		return phrase{}, errors.New("an asterisk stands at an end only")
	}
	first, _ := utf8.DecodeRuneInString(body)
	last, _ := utf8.DecodeLastRuneInString(body)
	return phrase{text: []byte(body), begin: !free && inWord(first), end: !open && inWord(last)}, nil
}

// in reports whether text, in normal form, has the phrase.
func (p *phrase) in(text []byte) bool {
	for at := 0; ; {
		i := bytes.Index(text[at:], p.text)
		if i < 0 {
			return false
		}
		i += at
		before, _ := utf8.DecodeLastRune(text[:i])
		behind, _ := utf8.DecodeRune(text[i+len(p.text):])
		if !(p.begin && inWord(before)) && !(p.end && inWord(behind)) {
			return true
		}
		_, n := utf8.DecodeRune(text[i:])
		at = i + n
	}
}

// inWord reports whether r is part of a word.
func inWord(r rune) bool {
	if r < utf8.RuneSelf {
		return 'a' <= r && r <= 'z' || '0' <= r && r <= '9'
	}
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r))
}
