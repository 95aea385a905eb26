// Package domain has the one form of a domain name, in which the library asks for names, compares and remembers them: lower
// case, A-labels, no final dot.
//
// Canonical brings a name into it:
//
//  1. One final dot is dropped.
//  2. A name with other characters than US-ASCII is turned into A-labels (RFC 5890) by UTS 46, as the IDNA Lookup profile
//     says (RFC 5891 section 5). A name that is US-ASCII already is taken as it is, also with A-labels that today's tables
//     would not make: whether they exist is for the DNS to say.
//  3. The result must have the form of a name in the DNS: labels of 1 to 63 octets, 253 in all (RFC 1035 section 2.3.4), of
//     letters, digits and hyphens (section 2.3.1). Underscores are allowed too, which SMTP's grammar is without and the DNS
//     is full of.
//  4. Letters become lower case (RFC 1035 section 2.3.3).
//
// A name of digits only passes, and so does an IPv4 address. An address literal in brackets is no name.
package domain

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// The lengths of RFC 1035 section 2.3.4, without the octets of the wire form.
const (
	maxName  = 253
	maxLabel = 63
)

// Error says why a text is no domain name.
type Error struct {
	// Reason is what is wrong, as the rest of a sentence that begins with the name: "has an empty label".
	Reason string
	// Clause is the rule that it breaks: "RFC 1035 section 2.3.1".
	Clause string
}

// Error is the reason and the clause.
func (e *Error) Error() string { return e.Reason + " (" + e.Clause + ")" }

// Canonical is the one form of a domain name, or an *Error. It is the same for its own result, and allocates nothing for a
// name that is in the one form already.
func Canonical(name string) (string, error) {
	name, dotted := strings.CutSuffix(name, ".")
	if !ascii(name) {
		a, err := idna.Lookup.ToASCII(name)
		if err == nil && !utf8.ValidString(name) {
			err = errors.New("not UTF-8")
		}
		if err != nil {
			return "", &Error{Reason: "is no internationalised name: " + err.Error(), Clause: "RFC 5891 section 5"}
		}
		if name = a; !dotted {
			name = strings.TrimSuffix(a, ".") // there are other final dots than U+002E
		}
	}
	switch {
	case name == "":
		return "", &Error{Reason: "is empty", Clause: "RFC 1035 section 2.3.1"}
	case len(name) > maxName:
		return "", &Error{Reason: fmt.Sprintf("is longer than %d octets", maxName), Clause: "RFC 1035 section 2.3.4"}
	}
	label := 0
	for i := range len(name) {
		switch c := name[i]; {
		case c == '.':
			if label == 0 {
				return "", errEmptyLabel()
			}
			label = 0
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
			if label++; label > maxLabel {
				return "", &Error{Reason: fmt.Sprintf("has a label longer than %d octets", maxLabel), Clause: "RFC 1035 section 2.3.4"}
			}
		default:
			return "", &Error{Reason: fmt.Sprintf("has the character %q", rune(c)), Clause: "RFC 1035 section 2.3.1"}
		}
	}
	if label == 0 {
		return "", errEmptyLabel()
	}
	return strings.ToLower(name), nil
}

func errEmptyLabel() error {
	return &Error{Reason: "has an empty label", Clause: "RFC 1035 section 2.3.1"}
}

// ascii reports whether s has no octet over 127.
func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
