package sendertest

import (
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/reputemail/repute/bounce"
)

func status(class, subject, detail int) bounce.Status {
	return bounce.Status{Class: class, Subject: subject, Detail: detail}
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// parsePath takes "FROM:<address> parameters" apart. Blanks after the colon are allowed, as nearly all servers do.
// A source route before the address is dropped (RFC 5321 appendix F.2).
func parsePath(arg, prefix string) (addr, params string, ok bool) {
	if len(arg) < len(prefix) || !strings.EqualFold(arg[:len(prefix)], prefix) {
		return "", "", false
	}
	rest := strings.TrimLeft(arg[len(prefix):], " ")
	if rest == "" || rest[0] != '<' {
		return "", "", false
	}
	end := closingBracket(rest)
	if end < 0 {
		return "", "", false
	}
	addr, params = rest[1:end], rest[end+1:]
	if params != "" && params[0] != ' ' {
		return "", "", false
	}
	if strings.HasPrefix(addr, "@") {
		_, after, found := strings.Cut(addr, ":")
		if !found {
			return "", "", false
		}
		addr = after
	}
	return addr, params, true
}

// closingBracket returns the index of the ">" that is not within a quoted string, or -1.
func closingBracket(s string) int {
	quoted := false
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == '>' && !quoted:
			return i
		}
	}
	return -1
}

// splitAddress returns the local part and the domain of an address; the last "@" separates them.
func splitAddress(addr string) (local, domain string, ok bool) {
	at := strings.LastIndexByte(addr, '@')
	if at <= 0 || at == len(addr)-1 {
		return "", "", false
	}
	return addr[:at], addr[at+1:], true
}

// validAddress reports whether addr is a Mailbox of RFC 5321 section 4.1.2, with the UTF-8 of RFC 6531 section 3.3.
func validAddress(addr string) bool {
	local, domain, ok := splitAddress(addr)
	if !ok || len(local) > 64 || len(domain) > 255 || !utf8.ValidString(addr) {
		return false
	}
	if local[0] == '"' {
		return validQuoted(local) && validDomain(domain)
	}
	for atom := range strings.SplitSeq(local, ".") {
		if atom == "" || strings.IndexFunc(atom, notAtext) >= 0 {
			return false
		}
	}
	return validDomain(domain)
}

func notAtext(r rune) bool {
	return r < utf8.RuneSelf && !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' ||
		strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r))
}

// validQuoted reports whether s is a quoted string.
func validQuoted(s string) bool {
	if len(s) < 2 || s[len(s)-1] != '"' {
		return false
	}
	s = s[1 : len(s)-1]
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"', c < ' ', c == 127:
			return false
		case c == '\\':
			if i++; i == len(s) || s[i] < ' ' || s[i] > '~' {
				return false
			}
		}
	}
	return true
}

// validDomain reports whether s is a domain or an address literal.
func validDomain(s string) bool {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		inner = strings.TrimPrefix(inner, "IPv6:")
		_, err := netip.ParseAddr(inner)
		return ok && err == nil
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, r := range label {
			if r < utf8.RuneSelf && !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_') {
				return false
			}
		}
	}
	return true
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func isASCIIBytes(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
