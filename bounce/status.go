package bounce

import "fmt"

// ParseStatus reads an enhanced status code (RFC 3463 section 2) from the start of s: a class 2, 4 or 5, then subject and
// detail of one to three digits. What follows it must not go on with a digit, a dot or a letter, so "5.0.0 (permanent
// failure)", a form that DSNs have, is read as 5.0.0, and "5.1.1.1" and "5.x.0" are refused.
func ParseStatus(s string) (Status, bool) {
	st, n := scanStatus(s)
	return st, n > 0
}

// scanStatus is ParseStatus, and the number of bytes that the status takes, 0 for none.
func scanStatus(s string) (Status, int) {
	if len(s) < 5 || s[1] != '.' || s[0] != '2' && s[0] != '4' && s[0] != '5' {
		return Status{}, 0
	}
	subject, n := scanNumber(s[2:])
	i := 2 + n
	if n == 0 || i >= len(s) || s[i] != '.' {
		return Status{}, 0
	}
	detail, n := scanNumber(s[i+1:])
	i += 1 + n
	if n == 0 || i < len(s) && (isWordByte(s[i]) || s[i] == '.' && i+1 < len(s) && isDigit(s[i+1])) {
		return Status{}, 0
	}
	return Status{Class: int(s[0] - '0'), Subject: subject, Detail: detail}, i
}

// scanNumber reads one to three digits.
func scanNumber(s string) (v, n int) {
	for n < len(s) && n < 3 && isDigit(s[n]) {
		v = v*10 + int(s[n]-'0')
		n++
	}
	return v, n
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isWordByte reports whether c is an ASCII letter or digit.
func isWordByte(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// MarshalText is String, so that JSON has "5.1.1".
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *Status) UnmarshalText(text []byte) error {
	*s = Status{}
	if len(text) == 0 {
		return nil
	}
	parsed, ok := ParseStatus(string(text))
	if !ok {
		return fmt.Errorf("bounce: %q is no enhanced status code (RFC 3463 section 2)", text)
	}
	*s = parsed
	return nil
}
