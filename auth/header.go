package auth

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// maxHeader bounds the header section of a message that is signed, in octets.
const maxHeader = 1 << 20

// ErrMessage is in the chain of every error of Sign that says that the message, not the key, is at fault. Trying again is pointless.
var ErrMessage = errors.New("auth: message cannot be signed")

// badMessage is such an error.
func badMessage(format string, args ...any) error {
	return fmt.Errorf("auth: %w: %s", ErrMessage, fmt.Sprintf(format, args...))
}

// fieldCounts reads the header section of a message and counts how often each of the named fields is there. names are lower case. It keeps
// nothing of message.
func fieldCounts(message []byte, names map[string]int) ([]int, error) {
	counts := make([]int, len(names))
	if err := lineEnds(message); err != nil {
		return nil, err
	}
	var key [64]byte // longer names are never looked for
	rest := message
	for first := true; ; first = false {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			return nil, badMessage("the header has no empty line after it (RFC 5322 section 2.1)")
		}
		line := rest[:end-1] // lineEnds saw the CR
		rest = rest[end+1:]
		if len(line) == 0 {
			break
		}
		if len(message)-len(rest) > maxHeader {
			return nil, badMessage("the header is longer than %d octets", maxHeader)
		}
		if line[0] == ' ' || line[0] == '\t' {
			if first {
				return nil, badMessage("the header begins with a folded line (RFC 5322 section 2.2.3)")
			}
			continue
		}
		colon := bytes.IndexByte(line, ':')
		name := bytes.TrimRight(line[:max(colon, 0)], " \t")
		if !fieldName(name) {
			return nil, badMessage("the header has a line without a field name (RFC 5322 section 2.2)")
		}
		if len(name) > len(key) {
			continue
		}
		for i, c := range name {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			key[i] = c
		}
		if i, ok := names[string(key[:len(name)])]; ok {
			counts[i]++
		}
	}
	return counts, nil
}

// lineEnds refuses bare CR and LF, which some hosts change and some take for line ends (RFC 5321 section 2.3.8).
func lineEnds(message []byte) error {
	for rest := message; ; {
		lf := bytes.IndexByte(rest, '\n')
		line := rest
		if lf >= 0 {
			if lf == 0 || rest[lf-1] != '\r' {
				return badMessage("bare LF at octet %d (RFC 5321 section 2.3.8)", len(message)-len(rest)+lf)
			}
			line = rest[:lf-1]
		}
		if cr := bytes.IndexByte(line, '\r'); cr >= 0 {
			return badMessage("bare CR at octet %d (RFC 5321 section 2.3.8)", len(message)-len(rest)+cr)
		}
		if lf < 0 {
			return nil
		}
		rest = rest[lf+1:]
	}
}

// fieldName reports whether name can be a header field's name (RFC 5322 section 2.2): printable US-ASCII without colon and space.
func fieldName(name []byte) bool {
	for _, c := range name {
		if c <= ' ' || c >= 0x7f || c == ':' {
			return false
		}
	}
	return len(name) > 0
}

// validFields brings field names from a Config into lower case.
func validFields(field string, names []string, seen map[string]bool) ([]string, error) {
	out := make([]string, 0, len(names))
	for i, name := range names {
		lower := strings.ToLower(name)
		switch {
		case !fieldName([]byte(name)) || strings.ContainsAny(name, ";=") || len(name) > 64:
			return nil, fmt.Errorf("auth: Config.%s[%d]: %q is not a header field name", field, i, name)
		case seen[lower]:
			return nil, fmt.Errorf("auth: Config.%s[%d]: %q is listed twice", field, i, name)
		case lower == "return-path", lower == "received", lower == "comments", lower == "keywords", lower == "dkim-signature":
			return nil, fmt.Errorf("auth: Config.%s[%d]: %q must not be signed (RFC 6376 sections 5.4.1 and 3.5)", field, i, name)
		}
		seen[lower] = true
		out = append(out, lower)
	}
	return out, nil
}
