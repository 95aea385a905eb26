package main

import (
	"bytes"
	"errors"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/reputemail/repute/sender"
)

func TestToCRLF(t *testing.T) {
	for _, test := range []struct{ disk, want string }{
		{"", ""},
		{"a", "a"},
		{"a\nb\n", "a\r\nb\r\n"},
		{"a\r\nb\r\n", "a\r\nb\r\n"},
		{"a\r\nb\n\n", "a\r\nb\r\n\r\n"},
		{"\na", "\r\na"},
		{"a\rb\n", "a\rb\r\n"}, // a bare CR is not ours to mend
		{"a\r\r\n", "a\r\r\n"},
	} {
		if got := string(toCRLF([]byte(test.disk))); got != test.want {
			t.Errorf("%q became %q, want %q", test.disk, got, test.want)
		}
	}
}

func TestDropBcc(t *testing.T) {
	for _, test := range []struct{ name, message, want string }{
		{"none", "From: a\r\n\r\nBcc: x\r\n", "From: a\r\n\r\nBcc: x\r\n"},
		{"one", "From: a\r\nBcc: x\r\nTo: b\r\n\r\nbody", "From: a\r\nTo: b\r\n\r\nbody"},
		{"folded", "bCC: x,\r\n y,\r\n\tz\r\nTo: b,\r\n c\r\n\r\nbody", "To: b,\r\n c\r\n\r\nbody"},
		{"two, the last without a body", "Bcc: x\r\nTo: b\r\nBcc : y\r\n", "To: b\r\n"},
		{"alike", "Bcc-Count: 2\r\nX-Bcc: x\r\n\r\n", "Bcc-Count: 2\r\nX-Bcc: x\r\n\r\n"},
		{"empty", "", ""},
	} {
		if got := string(dropBcc([]byte(test.message))); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestAddresses(t *testing.T) {
	for _, test := range []struct {
		value string
		want  []string // nil: refused
	}{
		{"a@example.com", []string{"a@example.com"}},
		{"A <a@example.com>, b@example.org", []string{"a@example.com", "b@example.org"}},
		{`"A, the first" <a@example.com>`, []string{"a@example.com"}},
		{"=?iso-2022-jp?B?GyRCJCobKEI=?= <a@example.com>", []string{"a@example.com"}},
		{"=?x-unknown?Q?a?= <a@example.com>", []string{"a@example.com"}},
		{`"a b"@example.com`, []string{`"a b"@example.com`}},
		{"team: a@example.com, b@example.com;", []string{"a@example.com", "b@example.com"}},
		{"undisclosed-recipients:;", []string{}},
		{" ", []string{}},
		{"nobody", nil},
		{"a@example.com b@example.com", nil},
	} {
		got, err := addresses(mail.Header{"To": {test.value}}, "To")
		var wrong *sender.FieldError
		if test.want == nil {
			if !errors.As(err, &wrong) || wrong.Field != "Data header To" || wrong.Clause != "RFC 5322 section 3.4" {
				t.Errorf("%q: error %v, want one that names the field and the clause", test.value, err)
			}
		} else if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%q: %q, %v, want %q", test.value, got, err, test.want)
		}
	}
}

// write makes a file with this content and returns its name.
func write(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "letter.eml")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestMessageEnvelope(t *testing.T) {
	const letter = "From: A <a@example.com>\nTo: b@example.org\nCc: c@example.org, d@example.net\nBcc: e@example.net\n\nHello\n"
	for _, test := range []struct {
		name, letter string
		o            options
		from         string
		to           string
	}{
		{"from the header", letter, options{}, "a@example.com", "b@example.org c@example.org d@example.net e@example.net"},
		{"-to", letter, options{to: []string{"x@example.org"}}, "a@example.com", "x@example.org"},
		{"-from", letter, options{from: "bounces@example.com", fromSet: true}, "bounces@example.com", "b@example.org c@example.org d@example.net e@example.net"},
		{"null reverse-path", letter, options{fromSet: true}, "", "b@example.org c@example.org d@example.net e@example.net"},
		{"both, and no header to read them from", "nonsense", options{from: "a@example.com", fromSet: true, to: []string{"b@example.org"}}, "a@example.com", "b@example.org"},
		{"several authors", "From: a@example.com, b@example.com\nSender: s@example.com\nTo: x@example.org\n\n", options{}, "s@example.com", "x@example.org"},
		{"several authors, no Sender", "From: a@example.com, b@example.com\nTo: x@example.org\n\n", options{}, "a@example.com", "x@example.org"},
	} {
		m, err := test.o.message(write(t, test.letter))
		if err != nil || m.From != test.from || strings.Join(m.To, " ") != test.to {
			t.Errorf("%s: from %q to %q, %v", test.name, m.From, m.To, err)
		}
		if bytes.Contains(m.Data, []byte("Bcc")) {
			t.Errorf("%s: Bcc is still there", test.name)
		}
	}
}

func TestMessageRefused(t *testing.T) {
	for _, test := range []struct{ name, letter, field, clause string }{
		{"no header", "Hello, world\n\nthis is only a body\n", "Data", "RFC 5322 section 2.2"},
		{"empty", "", "Data", "RFC 5322 section 3.6"},
		{"binary", strings.Repeat("\x00\xff", 9999), "Data", "RFC 5322 section 2.2"},
		{"From", "From: <a@example.com\nTo: b@example.org\n\n", "Data header From", "RFC 5322 section 3.4"},
		{"Sender", "From: a@example.com, b@example.com\nSender: me\nTo: b@example.org\n\n", "Data header Sender", "RFC 5322 section 3.4"},
		{"Cc", "From: a@example.com\nTo: b@example.org\nCc: everybody\n\n", "Data header Cc", "RFC 5322 section 3.4"},
	} {
		_, err := new(options).message(write(t, test.letter))
		var wrong *sender.FieldError
		if !errors.As(err, &wrong) || wrong.Field != test.field || wrong.Clause != test.clause {
			t.Errorf("%s: %v", test.name, err)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("%s: an error of %d bytes", test.name, len(err.Error()))
		}
	}
	for name, file := range map[string]string{"missing": "testdata/missing.eml", "folder": "testdata"} {
		if _, err := new(options).message(file); err == nil || strings.Contains(err.Error(), "testdata") {
			t.Errorf("%s: %v, want an error without the name", name, err)
		}
	}
}

// The two files of this example are what they are meant to be.
func TestTestdata(t *testing.T) {
	for file, want := range map[string]struct {
		from, to string
		eightBit bool
	}{
		"testdata/japanese.eml":   {"shop@example.com", "customer@example.org", true},
		"testdata/attachment.eml": {"reports@example.com", "operators@example.org duty+night@example.org archive@example.org", false},
	} {
		m, err := new(options).message(file)
		if err != nil || m.From != want.from || strings.Join(m.To, " ") != want.to {
			t.Errorf("%s: from %q to %q, %v", file, m.From, m.To, err)
		}
		if eightBit := bytes.ContainsFunc(m.Data, func(r rune) bool { return r > 127 }); eightBit != want.eightBit {
			t.Errorf("%s: 8-bit is %v", file, eightBit)
		}
		if bytes.Count(m.Data, []byte("\n")) != bytes.Count(m.Data, []byte("\r\n")) {
			t.Errorf("%s: has bare LF", file)
		}
	}
}
