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
// separator may be "=", "+" or "-".
func unSRS(local string) string {
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
	if !ok {
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
		a, b, ok := strings.Cut(rest, "=")
		if !ok {
			a, b, ok = strings.Cut(rest, "/")
		}
		switch {
		case ok && isBATVTag(a) && b != "":
			return b
		case ok:
			if i := strings.LastIndexAny(rest, "=/"); isBATVTag(rest[i+1:]) && i > 0 { // the older order
				return rest[:i]
			}
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
	if err != nil || name == "" || !strings.Contains(host, ".") || strings.ContainsAny(name, " <>\"\t\r\n@") {
		return "", false
	}
	return name + "@" + host, true
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
