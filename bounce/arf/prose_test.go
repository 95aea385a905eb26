package arf

import "testing"

func TestSaysComplaint(t *testing.T) {
	for _, tt := range []struct {
		subject, text string
		want          bool
	}{
		{"complaint about message from 192.0.2.1", "", true},
		{"email feedback report for ip 192.0.2.1", "", true},
		{"[spamcop (192.0.2.1) id:1]news", "", true},
		{"signalement de spam", "", true},
		{"hello", "this is an email abuse report for a message", true},
		{"hello", "a user reported this message as spam.", true},
		{"hello", "your mail was marked as junk by a subscriber", true},
		{"hello", "a message was flagged some time ago by a member of ours as unsolicited", true},
		{"hello", "your mail was marked as spam", false}, // by a filter, for all that one knows
		{"hello", "a user marked it as important", false},
		{"hello", "one user reported a fault", false},
		{"complaint about the food", "it was cold", false},
		{"", "", false},
	} {
		if got := saysComplaint(tt.subject, tt.text); got != tt.want {
			t.Errorf("saysComplaint(%q, %q) = %v", tt.subject, tt.text, got)
		}
	}
}

func TestTypeOf(t *testing.T) {
	for text, want := range map[string]Type{
		"this is an opt-out report for a message":          TypeOptOut,
		"this is a spf/dkim authentication-failure report": TypeAuthFailure,
		"a member says that this is not spam":              TypeNotSpam,
		"a phishing site is in this mail":                  TypeFraud,
		"malware report":                                   TypeVirus,
		"email abuse report":                               TypeAbuse,
		"one of our users complained about it":             TypeAbuse,
		"something was in your mail":                       TypeOther,
	} {
		if got := typeOf(text); got != want {
			t.Errorf("typeOf(%q) = %s, want %s", text, got, want)
		}
	}
}
