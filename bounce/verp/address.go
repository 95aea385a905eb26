package verp

import (
	"strings"
	"time"

	"github.com/reputemail/repute/internal/domain"
)

// maxAddress bounds what is looked at as an address: SRS makes them longer than RFC 5321 section 4.5.3.1.3 allows.
const maxAddress = 512

// ParseAddressAt reads the token in an address that AddressAt made, whatever its domain, and whatever hosts on the way have made of it: angle brackets, quotes, other
// letters, an extension behind "+", BATV and SRS. It returns the payload. Errors are those of DecodeAt.
func (c *Codec) ParseAddressAt(now time.Time, address string) (payload string, err error) {
	local, _, ok := cut(address)
	if !ok {
		return "", ErrNoToken
	}
	local = unwrap(local)
	if len(local) < len(c.prefix) || !strings.EqualFold(local[:len(c.prefix)], c.prefix) {
		return "", ErrNoToken
	}
	token, _, _ := strings.Cut(local[len(c.prefix):], "+")
	return c.DecodeAt(now, token)
}

// cut splits an address, without brackets and quotes. There may be no domain.
func cut(address string) (local, domain string, ok bool) {
	address = strings.TrimSpace(address)
	if len(address) > maxAddress {
		return "", "", false
	}
	address = strings.TrimSuffix(strings.TrimPrefix(address, "<"), ">")
	local = address
	if at := strings.LastIndexByte(address, '@'); at >= 0 {
		local, domain = address[:at], address[at+1:]
	}
	if len(local) > 1 && local[0] == '"' && local[len(local)-1] == '"' {
		local = local[1 : len(local)-1]
	}
	return local, domain, local != ""
}

// unwrap takes off what forwarders and signers of return paths put around a local-part.
func unwrap(local string) string {
	for range 4 { // one within the other, but not without end
		inner := unBATV(unSRS(local))
		if inner == local {
			break
		}
		local = inner
	}
	return local
}

// unSRS is the local-part that a forwarder has rewritten: "SRS0=HASH=TT=DOMAIN=LOCAL", or "SRS1=HASH=HOST==HASH=TT=DOMAIN=LOCAL" behind two of them. Its first
// separator may be "=", "+" or "-". Microsoft 365 puts its user before it: "user+SRS=HASH=TT=DOMAIN=LOCAL".
func unSRS(local string) string {
	if _, rest, ok := cutMiddle(local, "+srs="); ok {
		local = "srs0=" + rest
	}
	if len(local) < 6 || !strings.EqualFold(local[:3], "SRS") || strings.IndexByte("=+-", local[4]) < 0 {
		return local
	}
	rest := local[5:]
	switch local[3] {
	case '0':
	case '1':
		i := strings.Index(rest, "==")
		if j := strings.Index(rest, "=+"); i < 0 || j >= 0 && j < i {
			i = j
		}
		if j := strings.Index(rest, "=-"); i < 0 || j >= 0 && j < i {
			i = j
		}
		if i < 0 {
			return local
		}
		rest = rest[i+2:]
	default:
		return local
	}
	f := strings.SplitN(rest, "=", 4) // hash, time, domain, local-part
	if len(f) < 4 || f[3] == "" {
		return local
	}
	return f[3]
}

// StripBATV is an address without a BATV signature ("prvs=KDDDSSSSSS=local@domain", also with the signature last, and "btv1==…==local@domain"). An address without one comes
// back as it is. The signature is not checked: it is for who made it.
func StripBATV(address string) string {
	local, domain, ok := cut(address)
	if !ok || !isPlain(local) {
		return address
	}
	if inner := unBATV(local); inner != local {
		if domain == "" {
			return inner
		}
		return inner + "@" + domain
	}
	return address
}

// unBATV takes a BATV tag off a local-part.
func unBATV(local string) string {
	if rest, ok := cutFold(local, "prvs="); ok {
		if i := strings.IndexAny(rest, "=/"); i > 0 && isBATVTag(rest[:i]) && i+1 < len(rest) {
			return rest[i+1:]
		}
		if i := strings.LastIndexAny(rest, "=/"); i > 0 && isBATVTag(rest[i+1:]) { // the older order
			return rest[:i]
		}
	}
	if rest, ok := cutFold(local, "btv1=="); ok {
		if _, b, ok := strings.Cut(rest, "=="); ok && b != "" {
			return b
		}
	}
	return local
}

// isBATVTag reports whether s is a key's number, three digits of a day and six of a hash.
func isBATVTag(s string) bool {
	if len(s) != 10 {
		return false
	}
	for i := range len(s) {
		if !('0' <= s[i] && s[i] <= '9' || i > 3 && ('a' <= s[i] && s[i] <= 'f' || 'A' <= s[i] && s[i] <= 'F')) {
			return false
		}
	}
	return true
}

// cutMiddle splits s at the first sep, which is in lower case, whatever the case of s.
func cutMiddle(s, sep string) (before, after string, ok bool) {
	if i := strings.Index(strings.ToLower(s), sep); i >= 0 && len(strings.ToLower(s)) == len(s) {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func cutFold(s, prefix string) (rest string, ok bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// ParseClassic reads the recipient out of a return path of the classic kind: "bounce+user=example.com@d", "list-owner-user=example.com@d", "list-return-12-user=example.com@d".
// It is a hint: anybody can write one, and where the recipient's name begins is a guess if it has "-" in it.
func ParseClassic(address string) (recipient string, ok bool) {
	local, _, ok := cut(address)
	if !ok {
		return "", false
	}
	local = unwrap(local)
	eq := strings.LastIndexByte(local, '=')
	if eq < 1 {
		return "", false
	}
	name, host := local[:eq], local[eq+1:]
	if plus := strings.IndexByte(name, '+'); plus >= 0 {
		name = name[plus+1:]
	} else if after, ok := afterReturn(name); ok {
		name = after
	} else if dash := strings.LastIndexByte(name, '-'); dash >= 0 {
		name = name[dash+1:]
	} else {
		return "", false
	}
	host, err := domain.Canonical(host)
	if err != nil || name == "" || len(name) > maxLocal || !strings.Contains(host, ".") || !isPlain(name) {
		return "", false
	}
	return name + "@" + host, true
}

// isPlain reports whether a local-part needs no quotes: it is of printable ASCII without the specials of RFC 5322 section 3.2.3.
func isPlain(local string) bool {
	for i := range len(local) {
		if c := local[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),:;<>@[\]`, c) >= 0 {
			return false
		}
	}
	return true
}

// afterReturn is what stands behind "-return-NUMBER-".
func afterReturn(name string) (string, bool) {
	const mark = "-return-"
	i := strings.Index(name, mark)
	if i < 0 {
		return "", false
	}
	number, rest, ok := strings.Cut(name[i+len(mark):], "-")
	if !ok || number == "" || strings.Trim(number, "0123456789") != "" {
		return "", false
	}
	return rest, rest != ""
}
