package arf

import (
	"fmt"
	"testing"
)

func TestIsRedacted(t *testing.T) {
	for a, want := range map[string]bool{
		"anna@example.net":          false,
		"a@[192.0.2.1]":             false,
		"x@example.net":             false,
		"xavier@example.net":        false,
		"bounce+2b7c9d@example.com": false,
		"deadbeef@example.net":      false,
		"redacted":                  true,
		"redacted@":                 true,
		"@example.net":              true,
		"redacted@example.net":      true,
		"[Redacted]@example.net":    true,
		"hashed@example.net":        true,
		"xxxxx@example.net":         true,
		"a***a@example.net":         true,
		"anna@e******.net":          true,
		"5d41402abc4b2a76b9719d911017c592@example.net":             true,
		"aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d@example.net":     true,
		"qvTGHdzF6KLavt4PO0gs2a6pQ00=@example.net":                 true,
		"LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=@example.net": true,
		"qvTGHdzF6KLavt4PO0gs2a6pQ00x@example.net":                 false, // no padding: as long as a hash, and may be a name
	} {
		if got := isRedacted(a); got != want {
			t.Errorf("isRedacted(%q) = %v", a, got)
		}
	}
}

func TestAddRecipient(t *testing.T) {
	var f Feedback
	for _, v := range []string{"", "<>", "Anna@EXAMPLE.net", "rfc822; Anna@example.net", "<redacted>", "redacted", "<@relay.example:ben@example.net>"} {
		f.addRecipient(v)
	}
	if got := fmt.Sprint(f.OriginalRecipients, f.Redacted); got != "[Anna@example.net ben@example.net] [redacted]" {
		t.Errorf("got %s", got)
	}
}
