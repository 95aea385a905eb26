package arf

import "testing"

func TestParseType(t *testing.T) {
	for v, want := range map[string]Type{
		"abuse": TypeAbuse, " Abuse ": TypeAbuse, "abuse; x=y": TypeAbuse, "abuse (spam)": TypeAbuse, `"abuse"`: TypeAbuse, "spam": TypeAbuse, "complaint": TypeAbuse,
		"fraud": TypeFraud, "phishing": TypeFraud, "virus": TypeVirus, "not-spam": TypeNotSpam, "not_spam": TypeNotSpam, "NotSpam": TypeNotSpam,
		"auth-failure": TypeAuthFailure, "dmarc": TypeAuthFailure, "opt-out": TypeOptOut, "opt-out-list": TypeOptOutList, "other": TypeOther, "": TypeOther, "miscategorized": TypeOther, "abusex": TypeOther,
	} {
		if got := parseType(v); got != want {
			t.Errorf("parseType(%q) = %s, want %s", v, got, want)
		}
	}
	for _, typ := range Types() {
		if got := parseType(string(typ)); got != typ {
			t.Errorf("parseType(%q) = %s", typ, got)
		}
	}
}

func TestComplaint(t *testing.T) {
	want := map[Type]bool{TypeAbuse: true, TypeFraud: true, TypeOptOut: true, TypeOptOutList: true}
	for _, typ := range Types() {
		f := Feedback{Type: typ}
		if f.Complaint() != want[typ] {
			t.Errorf("%s is a complaint: %v", typ, f.Complaint())
		}
	}
}
