package bounce_test

import (
	"testing"

	"github.com/reputemail/repute/bounce"
)

func TestCleanAddress(t *testing.T) {
	for in, want := range map[string]string{
		"anna@example.com":                      "anna@example.com",
		" <Anna@Example.COM> ":                  "Anna@example.com",
		"rfc822; anna@example.com":              "anna@example.com",
		"RFC822;<anna@example.com>":             "anna@example.com",
		"mailto:anna@example.com":               "anna@example.com",
		"@relay.example,@b.example:anna@x.test": "anna@x.test",
		"anna@example.com.":                     "anna@example.com",
		"anna@example.com>:":                    "anna@example.com",
		`"a;b"@example.com`:                     `"a;b"@example.com`,
		"":                                      "",
		"anna":                                  "anna",
	} {
		if got := bounce.CleanAddress(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestReportFailures(t *testing.T) {
	for _, action := range bounce.Actions() {
		r := bounce.Report{Records: []bounce.Record{{Action: bounce.ActionDelivered}, {Action: action}}}
		if got := r.Failures(); got != (action == bounce.ActionFailed) {
			t.Errorf("%s: %v", action, got)
		}
	}
}

func TestRecordAddress(t *testing.T) {
	if a := (&bounce.Record{Recipient: "b@example.com", Original: "a@example.com"}).Address(); a != "a@example.com" {
		t.Errorf("got %s", a)
	}
	if a := (&bounce.Record{Recipient: "b@example.com"}).Address(); a != "b@example.com" {
		t.Errorf("got %s", a)
	}
}
