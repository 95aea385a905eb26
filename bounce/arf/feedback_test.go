package arf

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/reputemail/repute/bounce/internal/entity"
)

var update = flag.Bool("update", false, "write what is read to the golden files")

// TestGolden reads the reports in testdata. With -update it writes the golden files, which have to be read by a person then.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.eml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			f, err := Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.MarshalIndent(f, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(file, ".eml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, append(got, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if string(got)+"\n" != string(want) {
				t.Errorf("got %s", got)
			}
			crlf, err := Parse([]byte(strings.ReplaceAll(string(raw), "\n", "\r\n")))
			if err != nil || fmt.Sprint(crlf.OriginalRecipients, crlf.Type, crlf.Original.MessageID) != fmt.Sprint(f.OriginalRecipients, f.Type, f.Original.MessageID) {
				t.Errorf("with CRLF: %+v, %v", crlf, err)
			}
		})
	}
}

func TestParseNone(t *testing.T) {
	abuse, err := os.ReadFile("testdata/abuse.eml")
	if err != nil {
		t.Fatal(err)
	}
	const quoted = "\n\n> Return-Path: <a@example.com>\n> From: news@example.com\n> Subject: x\n> Message-ID: <1@example.com>\n"
	for name, raw := range map[string]string{
		"person":                         "From: anna@example.net\nSubject: Hello\n\nHow are you?\n",
		"person about spam":              "From: anna@example.net\nSubject: spam report for the board\n\nHere are the numbers of complaints.\n",
		"person in a thread":             "From: anna@example.net\nSubject: Re: abuse report\n\nThanks, I will look." + quoted,
		"person quotes fields":           "From: anna@example.net\nSubject: what is this?\n\nI got this:\nFeedback-Type: abuse\nUser-Agent: x\nVersion: 1\n",
		"aggregate report":               "From: dmarc@example.net\nSubject: Report domain: example.com\nContent-Type: application/gzip\n\nx\n",
		"tls report":                     "From: tls@example.net\nContent-Type: multipart/report; report-type=tlsrpt; boundary=b\n\n--b\n\nReport\n--b\nContent-Type: application/tlsrpt+gzip\n\nx\n--b--\n",
		"bounce of a filter":             "From: MAILER-DAEMON@example.net\nSubject: Undelivered\n\nYour mail was reported as spam by our users." + quoted,
		"rejection without a daemon":     "From: filter@example.net\nSubject: spam report\n\nYour message was rejected." + quoted,
		"returned report":                "From: Mail Delivery System <MAILER-DAEMON@example.net>\nSubject: Undelivered\nContent-Type: multipart/mixed; boundary=q\n\n--q\n\nIt could not be delivered.\n--q\nContent-Type: message/rfc822\n\n" + string(abuse) + "\n--q--\n",
		"returned report, as a report":   "From: postmaster@example.net\nContent-Type: multipart/report; report-type=delivery-status; boundary=q\n\n--q\n\nfailed\n--q\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; a\n\nAction: failed\n--q\nContent-Type: message/rfc822\n\n" + string(abuse) + "\n--q--\n",
		"unsubscribed":                   "From: list@example.net\nSubject: Unsubscribe successful\nAuto-Submitted: auto-replied\n\nDone.\n",
		"person about unsubscribing":     "From: anna@example.net\nSubject: unsubscribe\n\nHow can my customers unsubscribe with your library?\n",
		"ses bounce":                     "From: a@example.org\n\n{\"notificationType\":\"Bounce\",\"bounce\":{}}\n",
		"json":                           "From: a@example.org\n\n{\"Complaint\"\n",
		"x-arf about something else":     "From: a@example.org\nX-ARF: YES\n\nhello\n",
		"complaint without the message":  "From: abuse@example.org\nSubject: spam complaint\n\nWe got a complaint about your mail.\n",
		"feedback type without a report": "From: a@example.org\nSubject: x\n\nfeedback-type is a field\n",
	} {
		if f, err := Parse([]byte(raw)); !errors.Is(err, ErrNotFeedback) {
			t.Errorf("%s: got %+v, %v", name, f, err)
		}
	}
}

func TestParseErrors(t *testing.T) {
	if _, err := Parse([]byte(" \r\n")); !errors.Is(err, entity.ErrEmpty) {
		t.Errorf("empty: %v", err)
	}
	if _, err := Parse(make([]byte, entity.MaxBytes+1)); !errors.Is(err, entity.ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
}

// report is a report with these fields in its own part.
func report(fields string) []byte {
	return []byte("From: fbl@example.net\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\n\n--b\nContent-Type: message/feedback-report\n\n" + fields + "\n--b--\n")
}

func TestFeedbackFields(t *testing.T) {
	f, err := Parse(report("Feedback-Type: abuse\nX-Stream: a\nx-stream: b\n"))
	if err != nil {
		t.Fatal(err)
	}
	if f.Field("X-Stream") != "a" || fmt.Sprint(f.Fields("X-STREAM")) != "[a b]" || f.Field("X-Other") != "" {
		t.Errorf("got %q, %q", f.Field("X-Stream"), f.Fields("X-STREAM"))
	}
	if f.Incidents != 1 || f.SourceIP.IsValid() || !f.ArrivalDate.IsZero() {
		t.Errorf("got %+v", f)
	}
}

func TestFeedbackBounds(t *testing.T) {
	var b strings.Builder
	b.WriteString("Feedback-Type: abuse\nIncidents: 99999999999999\n")
	for i := range MaxList + 10 {
		fmt.Fprintf(&b, "Original-Rcpt-To: a%d@example.net\nOriginal-Rcpt-To: redacted-%d\nReported-Domain: d%d.example\nReported-URI: https://example.com/%d\nX-More: %d\n", i, i, i, i, i)
	}
	f, err := Parse(report(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	for name, n := range map[string]int{
		"recipients": len(f.OriginalRecipients), "redacted": len(f.Redacted), "domains": len(f.ReportedDomains), "URIs": len(f.ReportedURIs), "fields": len(f.Fields("X-More")),
	} {
		if n != MaxList {
			t.Errorf("%d %s, want %d", n, name, MaxList)
		}
	}
	if f.Incidents != 1<<31-1 {
		t.Errorf("%d incidents", f.Incidents)
	}
}

func TestForms(t *testing.T) {
	seen := make(map[Form]bool)
	files, _ := filepath.Glob("testdata/*.eml")
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if f, err := Parse(raw); err == nil {
			seen[f.Form] = true
		}
	}
	for _, form := range Forms() {
		if !seen[form] {
			t.Errorf("no report in testdata has the form %s", form)
		}
	}
	if len(seen) != len(Forms()) {
		t.Errorf("the forms seen are %v", seen)
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.eml")
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := Parse(raw)
		if (r == nil) == (err == nil) {
			t.Fatalf("%+v and %v", r, err)
		}
		if r == nil {
			return
		}
		if !slices.Contains(Forms(), r.Form) || !slices.Contains(Types(), r.Type) || r.Incidents < 1 || r.SourcePort < 0 || r.SourcePort > 65535 {
			t.Fatalf("%+v", r)
		}
		for _, a := range r.OriginalRecipients {
			if !strings.Contains(a, "@") {
				t.Fatalf("%q is no address", a)
			}
		}
	})
}

func BenchmarkRead(b *testing.B) {
	abuse, err := os.ReadFile("testdata/abuse.eml")
	if err != nil {
		b.Fatal(err)
	}
	text := strings.Repeat("The figures of the quarter are in the table below, and the minutes follow.\r\n", 120)
	for name, raw := range map[string][]byte{
		"report": abuse,
		"person": []byte("From: anna@example.net\nSubject: figures\n\n" + text),
		"prose":  []byte("From: abuse@example.net\nSubject: spam report\n\n" + text + "\n> From: a@example.com\n> To: b@example.com\n> Date: x\n"),
	} {
		m, err := entity.Read(raw)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Read(m)
			}
		})
	}
}

// TestParseHostile: what is made to cost is bounded, and comes to an end.
func TestParseHostile(t *testing.T) {
	const head = "Subject: spam complaint\nContent-Type: multipart/mixed; boundary=b\n\n"
	nested := "x"
	for range 200 {
		nested = "Content-Type: message/rfc822\n\n" + nested
	}
	for name, raw := range map[string]string{
		"headers begin everywhere": "Subject: spam complaint\n\n" + strings.Repeat("From: a\n\n", 100_000),
		"quoted headers":           "Subject: spam complaint\n\n" + strings.Repeat("> From: a\n", 100_000),
		"many texts":               head + strings.Repeat("--b\n\n"+strings.Repeat("From: a\n\n", 20)+"\n", 5000),
		"many reports":             head + strings.Repeat("--b\n\nfeedback-type\n", 5000),
		"boundaries":               strings.Repeat("--b\nContent-Type: message/feedback-report\n\n", 20_000),
		"nested":                   nested,
		"nested json":              "\n\n" + strings.Repeat(`{"complaint":`, 50_000),
		"broken json":              "\n\n{" + strings.Repeat("!\n ", 100_000),
	} {
		if f, err := Parse([]byte(raw)); err == nil && f.Form != FormText {
			t.Errorf("%s: got %+v", name, f)
		}
	}
}
