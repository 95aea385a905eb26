// Package address has the one form of a mail address under which the packages below bounce remember it.
package address

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/reputemail/repute/internal/domain"
)

// maxLocal is the longest local-part in octets. RFC 5321 section 4.5.3.1.1 says 64; there are longer ones that get mail.
const maxLocal = 256

// ErrMalformed says that a text is no mail address. The error does not show it.
var ErrMalformed = errors.New("not a mail address")

// Normalize is the form of an address in which it is compared: without white space and angle brackets around it, the local-part in lower
// case, which RFC 5321 section 2.4 forbids to assume and every mailbox provider does, and the domain in lower case and A-labels without a final dot. It is the
// same for its own result. The error is ErrMalformed: no at sign, an empty, overlong or malformed part, a control character, or white space
// outside of quotes. Address literals have no name and are none either.
func Normalize(s string) (string, error) {
	s = strings.TrimSpace(s)
	if len(s) > 2 && s[0] == '<' && s[len(s)-1] == '>' {
		s = s[1 : len(s)-1]
	}
	at := strings.LastIndexByte(s, '@')
	if at < 1 || at > maxLocal || !utf8.ValidString(s) {
		return "", ErrMalformed
	}
	local := s[:at]
	quoted := len(local) > 2 && local[0] == '"' && local[len(local)-1] == '"'
	for _, r := range local {
		if unicode.IsControl(r) || !quoted && (unicode.IsSpace(r) || strings.ContainsRune(`@"<>(),;:\[]`, r)) {
			return "", ErrMalformed
		}
	}
	local = strings.ToLower(local)
	name, err := domain.Canonical(s[at+1:])
	if err != nil || len(local) > maxLocal { // some letters grow
		return "", ErrMalformed
	}
	return local + "@" + name, nil
}

// Place is what an error or log may show of an address: the domain.
func Place(s string) string {
	return "an address at " + s[strings.LastIndexByte(s, '@')+1:]
}
