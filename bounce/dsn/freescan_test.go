package dsn

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestAddressesIn(t *testing.T) {
	for text, want := range map[string][]string{
		"":                                  nil,
		"nobody":                            nil,
		"@":                                 nil,
		"@example.com":                      nil,
		"anna@":                             nil,
		"anna@-example.com":                 nil,
		"anna@example.com":                  {"anna@example.com"},
		"to <Anna@Example.COM>.":            {"Anna@example.com"},
		"'anna@example.com'":                {"anna@example.com"},
		"an address: anna@example.com:":     {"anna@example.com"},
		"anna+news=x@example.com, b@c.d":    {"anna+news=x@example.com", "b@c.d"},
		"anna@example.com anna@EXAMPLE.com": {"anna@example.com"},
		`"anna b"@example.com`:              {`"anna b"@example.com`},
		"宛先：anna@example.com様":              {"anna@example.com"},
		"a@b@example.com":                   {"a@b"},
		strings.Repeat("x", 129) + "@example.com":   nil,
		strings.Repeat("x", 128) + "@example.com":   {strings.Repeat("x", 128) + "@example.com"},
		"anna@" + strings.Repeat("x.", 200) + "com": nil,
		"SRS0=ab=cd=example.net=anna@example.com":   {"SRS0=ab=cd=example.net=anna@example.com"},
		"anna..b@example.com":                       {"anna..b@example.com"},
	} {
		if got := addressesIn(text); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestNextAddressGoesOn: the addresses that are found follow each other, and each stands in the text as it is.
func TestNextAddressGoesOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringOfN(rapid.RuneFrom([]rune("aB1.@-\"'<> \né=")), 0, 60, -1).Draw(t, "text")
		for from := 0; ; {
			start, end := nextAddress(s, from)
			if start < 0 {
				return
			}
			if start < from || end <= start || end > len(s) || strings.IndexByte(s[start:end], '@') < 1 {
				t.Fatalf("from %d: %d to %d", from, start, end)
			}
			from = end
		}
	})
}

// TestNextCode holds the scan against an expression that says the same.
func TestNextCode(t *testing.T) {
	form := regexp.MustCompile(`(?m)(?:^|[ \t\r\n:>"'(\[])([45][0-7]\d)(?:[ :-]|$)|\b([45]\.\d{1,3}\.\d{1,3})\b`)
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringOfN(rapid.RuneFrom([]rune("4519. -:\na(")), 0, 24, -1).Draw(t, "text")
		want := code{start: -1}
		if at := form.FindStringSubmatchIndex(s); at != nil && at[2] >= 0 {
			want = code{at[2], at[3], false}
		} else if at != nil {
			want = code{at[4], at[5], true}
		}
		if got := nextCode(s, 0); got != want && !(got.start < 0 && want.start < 0) {
			t.Fatalf("%q: %+v, want %+v", s, got, want)
		}
	})
}

func TestHasReply(t *testing.T) {
	for text, want := range map[string]bool{
		"550 5.1.1 no":              true,
		"x 550-5.1.1 no":            true,
		"x 550 #5.1.1 no":           true,
		"550 no such user":          true,
		"  <550 no":                 true,
		"the host said 550":         true,
		"the host said\n 1550":      false,
		"failed with 554.":          true,
		"(#5.1.1)":                  true,
		"(5.1.1)":                   true,
		"[5.1.1]":                   false,
		"call 550 123":              false,
		"call 555-123":              false,
		"Room 550 is free":          false,
		"550":                       false,
		"590 5.1.1":                 false,
		"order 4550 5.1.1":          false,
		"é 550 ":                    false,
		"error\nis 550 in room 550": false,
	} {
		if got := hasReply(text); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
}

func TestCutText(t *testing.T) {
	short := []byte("short")
	if got := cutText(short); string(got) != "short" {
		t.Errorf("%q", got)
	}
	lines := []byte(strings.Repeat("a line\n", maxText))
	if got := cutText(lines); len(got) > maxText || len(got) < maxText-7 || got[len(got)-1] != '\n' {
		t.Errorf("%d bytes", len(got))
	}
	signs := []byte("x" + strings.Repeat("é", maxText))
	if got := cutText(signs); len(got) > maxText || got[len(got)-1] >= 0x80 && string(got) != strings.ToValidUTF8(string(got), "") {
		t.Errorf("%d bytes, cut within a character", len(got))
	}
}
