package arf

import (
	"strings"

	"github.com/reputemail/repute/bounce"
)

// addRecipient takes down a recipient, once.
func (f *Feedback) addRecipient(v string) {
	a := bounce.CleanAddress(v)
	list := &f.OriginalRecipients
	switch {
	case a == "":
		return
	case isRedacted(a):
		list = &f.Redacted
	}
	if len(*list) == MaxList {
		return
	}
	for _, have := range *list {
		if have == a {
			return
		}
	}
	*list = append(*list, a)
}

// isRedacted reports whether an address was made unreadable: it has no local part or domain, a word instead of one, or what is left is a hash (RFC 6590
// section 4 makes it with a key, in base64).
func isRedacted(a string) bool {
	at := strings.LastIndexByte(a, '@')
	if at <= 0 || at == len(a)-1 {
		return true
	}
	local, domain := a[:at], a[at+1:]
	if strings.ContainsAny(domain, "*[ ") && !strings.HasPrefix(domain, "[") || strings.ContainsAny(local, "*<> \t") {
		return true
	}
	switch strings.ToLower(strings.Trim(local, `"-_[]().`)) {
	case "redacted", "hashed", "hidden", "removed", "anonymous", "anonymized", "anonymised", "suppressed", "withheld", "undisclosed", "masked", "":
		return true
	}
	if strings.Trim(strings.ToLower(local), "x") == "" && len(local) > 2 {
		return true
	}
	return isHash(local)
}

// isHash reports whether s looks like the output of MD5, SHA-1, SHA-256 or SHA-512, in hexadecimal or base64 with its padding.
func isHash(s string) bool {
	switch len(s) {
	case 32, 40, 64, 128:
		if strings.Trim(strings.ToLower(s), "0123456789abcdef") == "" {
			return true
		}
	}
	switch len(s) {
	case 24, 28, 44, 88: // 16, 20, 32 and 64 bytes, padded
		body := strings.TrimRight(s, "=")
		for _, c := range []byte(body) {
			if !isAlnum(c) && strings.IndexByte("+/-_", c) < 0 {
				return false
			}
		}
		return len(body) < len(s)
	}
	return false
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
