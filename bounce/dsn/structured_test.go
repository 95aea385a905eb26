package dsn

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/reputemail/repute/bounce"
)

// report is a notification with a text for people and the status part in it.
func report(text, status string) string {
	return "From: MAILER-DAEMON@mx.example.net\nTo: news@example.com\nSubject: Undelivered\nMIME-Version: 1.0\n" +
		"Content-Type: multipart/report; report-type=delivery-status; boundary=q\n\n--q\n\n" + text +
		"\n--q\nContent-Type: message/delivery-status\n\n" + status +
		"\n--q\nContent-Type: message/rfc822\n\nReturn-Path: <news+k7@example.com>\nFrom: News <news@example.com>\nTo: anna@example.net\n" +
		"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nMessage-ID: <june.4711@example.com>\nX-Token: a\nX-Token: b\n\nHello\n--q--\n"
}

// show is a recipient in one line.
func show(r Recipient) string {
	s := r.Final
	if r.Original != "" {
		s += " of " + r.Original
	}
	s += " " + string(r.Action) + " " + r.Status.String() + " "
	if r.DiagnosticType != "" {
		s += r.DiagnosticType + "; "
	}
	return strings.TrimSpace(s + r.Diagnostic)
}

func showAll(n *Notification) string {
	var out []string
	for _, r := range n.Recipients {
		out = append(out, show(r))
	}
	return strings.Join(out, "\n")
}

func TestStatusPart(t *testing.T) {
	const mta = "Reporting-MTA: dns; mx.example.net\n\n"
	const why = "Diagnostic-Code: smtp; 550 no such user\n"
	for _, tt := range []struct{ name, status, want string }{
		{"plain", mta + "Final-Recipient: rfc822; anna@example.net\nAction: failed\nStatus: 5.1.1\n" + why, "anna@example.net failed 5.1.1 smtp; 550 no such user"},
		{"two", mta + "Final-Recipient: rfc822; anna@example.net\nAction: failed\nStatus: 5.1.1\n" + why + "\nFinal-Recipient: rfc822; bert@example.net\nAction: failed\nStatus: 5.2.2\nDiagnostic-Code: smtp; 552 mailbox full\n",
			"anna@example.net failed 5.1.1 smtp; 550 no such user\nbert@example.net failed 5.2.2 smtp; 552 mailbox full"},
		{"no empty line behind the message's group", "Reporting-MTA: dns; mx.example.net\nFinal-Recipient: rfc822; anna@example.net\nAction: failed\nStatus: 5.1.1\n" + why, "anna@example.net failed 5.1.1 smtp; 550 no such user"},
		{"no empty line between recipients", mta + "Final-Recipient: rfc822; anna@example.net\nAction: failed\nStatus: 5.1.1\n" + why + "Final-Recipient: rfc822; bert@example.net\nAction: delayed\nStatus: 4.2.2\nDiagnostic-Code: smtp; 452 mailbox full\n",
			"anna@example.net failed 5.1.1 smtp; 550 no such user\nbert@example.net delayed 4.2.2 smtp; 452 mailbox full"},
		{"no empty line, originals first", mta + "Original-Recipient: rfc822; info@example.com\nFinal-Recipient: rfc822; anna@example.net\nAction: failed\nStatus: 5.1.1\n" + why + "Original-Recipient: rfc822; b@example.com\nFinal-Recipient: rfc822; bert@example.net\nAction: failed\nStatus: 5.1.1\n" + why,
			"anna@example.net of info@example.com failed 5.1.1 smtp; 550 no such user\nbert@example.net of b@example.com failed 5.1.1 smtp; 550 no such user"},
		{"empty lines at the front and white space in them", " \n\t\n" + mta + " \nFinal-Recipient: rfc822; anna@example.net\nAction: failed\nStatus: 5.1.1\n" + why, "anna@example.net failed 5.1.1 smtp; 550 no such user"},
		{"status before the recipient", mta + "Action: failed\nStatus: 5.1.1\n" + why + "Final-Recipient: rfc822; anna@example.net\n", "anna@example.net failed 5.1.1 smtp; 550 no such user"},
		{"only original", mta + "Original-Recipient: rfc822; anna@example.net\nAction: failed\nStatus: 5.1.1\n" + why, "anna@example.net failed 5.1.1 smtp; 550 no such user"},
		{"actual", mta + "Final-Recipient: rfc822; anna@example.net\nX-Actual-Recipient: rfc822; info@example.net\nAction: failed\nStatus: 5.1.1\n" + why, "anna@example.net of info@example.net failed 5.1.1 smtp; 550 no such user"},
		{"original is the same", mta + "Original-Recipient: rfc822; Anna@Example.NET\nFinal-Recipient: rfc822; anna@example.net\nAction: failed\nStatus: 5.1.1\n" + why, "anna@example.net failed 5.1.1 smtp; 550 no such user"},
		{"mailbox's name", mta + "Original-Recipient: rfc822; anna@example.net\nFinal-Recipient: x-local; anna\nAction: failed\nStatus: 5.1.1\n" + why, "anna@example.net failed 5.1.1 smtp; 550 no such user"},
		{"domain in capitals", mta + "Final-Recipient: RFC822; Anna@Example.NET.\nAction: Failed\nStatus: 5.1.1\n" + why, "Anna@example.net failed 5.1.1 smtp; 550 no such user"},
		{"no type", mta + "Final-Recipient: anna@example.net\nAction: failed\nStatus: 5.1.1\n" + why, "anna@example.net failed 5.1.1 smtp; 550 no such user"},
		{"type twice", mta + "Final-Recipient: rfc822;rfc822; anna@example.net\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; smtp; 550 no such user\n", "anna@example.net failed 5.1.1 smtp; 550 no such user"},
		{"brackets", mta + "Final-Recipient: rfc822; <anna@example.net>\nAction: failed\nStatus: 5.1.1\n" + why, "anna@example.net failed 5.1.1 smtp; 550 no such user"},
		{"display name", mta + "Final-Recipient: rfc822; \"Anna A.\" <anna@example.net>\nAction: failed\nStatus: 5.1.1\n" + why, "anna@example.net failed 5.1.1 smtp; 550 no such user"},
		{"comment", mta + "Final-Recipient: rfc822; anna@example.net (Anna; A.)\nAction: failed (for good)\nStatus: 5.1.1 (bad mailbox)\n" + why, "anna@example.net failed 5.1.1 smtp; 550 no such user"},
		{"source route", mta + "Final-Recipient: rfc822; <@a.example.org,@b.example.org:anna@example.net>\nAction: failed\nStatus: 5.1.1\n" + why, "anna@example.net failed 5.1.1 smtp; 550 no such user"},
		{"quoted", mta + "Final-Recipient: rfc822; \"anna a\"@example.net\nAction: failed\nStatus: 5.1.1\n" + why, "\"anna a\"@example.net failed 5.1.1 smtp; 550 no such user"},
		{"xtext", mta + "Original-Recipient: rfc822; info+2Btag@example.com\nFinal-Recipient: rfc822; anna+40example.net\nAction: failed\nStatus: 5.1.1\n" + why, "anna@example.net of info+tag@example.com failed 5.1.1 smtp; 550 no such user"},
		{"sub-address that looks like xtext", mta + "Original-Recipient: rfc822; anna+2box@example.com\nFinal-Recipient: rfc822; anna+40@example.net\nAction: failed\nStatus: 5.1.1\n" + why, "anna+40@example.net of anna+2box@example.com failed 5.1.1 smtp; 550 no such user"},
		{"sub-address", mta + "Final-Recipient: rfc822; anna+news=x@example.net\nAction: failed\nStatus: 5.1.1\n" + why, "anna+news=x@example.net failed 5.1.1 smtp; 550 no such user"},
		{"utf-8", mta + "Final-Recipient: utf-8; 用户@例え.example\nAction: failed\nStatus: 5.1.1\n" + why, "用户@例え.example failed 5.1.1 smtp; 550 no such user"},
		{"utf-8 in ASCII", mta + "Final-Recipient: UTF-8; \\x{7528}\\x{6237}@\\x{E9}t\\x{e9}.example\nAction: failed\nStatus: 5.1.1\n" + why, "用户@été.example failed 5.1.1 smtp; 550 no such user"},
		{"utf-8 badly", mta + "Final-Recipient: utf-8; a\\x{D800}\\x{zz\\x{}b@example.net\nAction: failed\nStatus: 5.1.1\n" + why, "a\\x{D800}\\x{zz\\x{}b@example.net failed 5.1.1 smtp; 550 no such user"},
		{"latin-1", mta + "Final-Recipient: rfc822; \xe9t\xe9@example.net\nAction: failed\nStatus: 5.1.1\n" + why, "été@example.net failed 5.1.1 smtp; 550 no such user"},
		{"no action", mta + "Final-Recipient: rfc822; anna@example.net\nStatus: 5.1.1\n" + why, "anna@example.net failed 5.1.1 smtp; 550 no such user"},
		{"no action, delivered", mta + "Final-Recipient: rfc822; anna@example.net\nStatus: 2.1.5\nDiagnostic-Code: smtp; 250 taken\n", "anna@example.net delivered 2.1.5 smtp; 250 taken"},
		{"no action, expired", mta + "Final-Recipient: rfc822; anna@example.net\nStatus: 4.4.7\nDiagnostic-Code: smtp; 451 no answer\n", "anna@example.net failed 4.4.7 smtp; 451 no answer"},
		{"no action, given up", mta + "Final-Recipient: rfc822; anna@example.net\nStatus: 4.4.1\nDiagnostic-Code: smtp; 451 no answer, giving up\n", "anna@example.net failed 4.4.1 smtp; 451 no answer, giving up"},
		{"no action, temporary", mta + "Final-Recipient: rfc822; anna@example.net\nStatus: 4.4.1\nDiagnostic-Code: smtp; 451 no answer\n", "anna@example.net delayed 4.4.1 smtp; 451 no answer"},
		{"odd action, temporary", mta + "Final-Recipient: rfc822; anna@example.net\nAction: waiting\nStatus: 4.2.2\nDiagnostic-Code: smtp; 452 full\n", "anna@example.net delayed 4.2.2 smtp; 452 full"},
		{"no action, will be tried", mta + "Final-Recipient: rfc822; anna@example.net\nStatus: 4.4.1\nWill-Retry-Until: Mon, 1 Jun 2026 12:00:00 +0000\nDiagnostic-Code: smtp; 451 no answer\n", "anna@example.net delayed 4.4.1 smtp; 451 no answer"},
		{"odd action", mta + "Final-Recipient: rfc822; anna@example.net\nAction: rejected, sorry\nStatus: 5.1.1\n" + why, "anna@example.net failed 5.1.1 smtp; 550 no such user"},
		{"other words for failed", mta + "Final-Recipient: rfc822; anna@example.net\nAction: failure\nStatus: 5.1.1\n" + why, "anna@example.net failed 5.1.1 smtp; 550 no such user"},
		{"delayed", mta + "Final-Recipient: rfc822; anna@example.net\nAction: delayed\nStatus: 4.4.1\nDiagnostic-Code: smtp; 451 no answer\n", "anna@example.net delayed 4.4.1 smtp; 451 no answer"},
		{"delivered", mta + "Final-Recipient: rfc822; anna@example.net\nAction: DELIVERED (to the mailbox)\nStatus: 2.1.5\nDiagnostic-Code: smtp; 250 taken\n", "anna@example.net delivered 2.1.5 smtp; 250 taken"},
		{"relayed", mta + "Final-Recipient: rfc822; anna@example.net\nAction: relayed; x\nStatus: 2.1.9\nDiagnostic-Code: smtp; 250 taken\n", "anna@example.net relayed 2.1.9 smtp; 250 taken"},
		{"expanded", mta + "Final-Recipient: rfc822; list@example.net\nAction: expanded\nStatus: 2.1.5\nDiagnostic-Code: smtp; 250 taken\n", "list@example.net expanded 2.1.5 smtp; 250 taken"},
		{"odd status", mta + "Final-Recipient: rfc822; anna@example.net\nAction: failed\nStatus: #5.2.2 mailbox full\n" + why, "anna@example.net failed 5.2.2 smtp; 550 no such user"},
		{"status in the diagnostic", mta + "Final-Recipient: rfc822; anna@example.net\nAction: failed\nDiagnostic-Code: smtp; 550 5.1.1 no such user\n", "anna@example.net failed 5.1.1 smtp; 550 5.1.1 no such user"},
		{"status is none", mta + "Final-Recipient: rfc822; anna@example.net\nAction: failed\nStatus: 192.0.2.5\n" + why, "anna@example.net failed  smtp; 550 no such user"},
		{"diagnostic in two lines", mta + "Final-Recipient: rfc822; anna@example.net\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550-no such\n user here\n\tat all\n", "anna@example.net failed 5.1.1 smtp; 550-no such user here at all"},
		{"diagnostic twice", mta + "Final-Recipient: rfc822; anna@example.net\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 no such user\nDiagnostic-Code: sorry about that\n", "anna@example.net failed 5.1.1 smtp; 550 no such user sorry about that"},
		{"diagnostic with a semicolon", mta + "Final-Recipient: rfc822; anna@example.net\nAction: failed\nStatus: 5.7.1\nDiagnostic-Code: smtp; rejected; see the list\n", "anna@example.net failed 5.7.1 smtp; rejected; see the list"},
		{"diagnostic with two types", mta + "Final-Recipient: rfc822; anna@example.net\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: X-Local; smtp; 550 no such user\n", "anna@example.net failed 5.1.1 smtp; 550 no such user"},
		{"diagnostic encoded", mta + "Final-Recipient: rfc822; anna@example.net\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; =?utf-8?q?550_Empf=C3=A4nger_unbekannt?=\n", "anna@example.net failed 5.1.1 smtp; 550 Empfänger unbekannt"},
		{"diagnostic with control characters", mta + "Final-Recipient: rfc822; anna@example.net\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 no \x1b[31msuch\x00 user\n", "anna@example.net failed 5.1.1 smtp; 550 no [31msuch user"},
		{"lines that are no fields", mta + "these are the recipients\n\nFinal-Recipient: rfc822; anna@example.net\nAction: failed\nStatus: 5.1.1\n" + why, "anna@example.net failed 5.1.1 smtp; 550 no such user"},
		{"no address", mta + "Final-Recipient: rfc822; \nAction: failed\nStatus: 5.1.1\n\nFinal-Recipient: rfc822; bert@example.net\nAction: failed\nStatus: 5.1.1\n" + why, "bert@example.net failed 5.1.1 smtp; 550 no such user"},
		{"control characters in an address", mta + "Final-Recipient: rfc822; an\x00na@example.net\nAction: failed\nStatus: 5.1.1\n\nFinal-Recipient: rfc822; bert@example.net\nAction: failed\nStatus: 5.1.1\n" + why, "bert@example.net failed 5.1.1 smtp; 550 no such user"},
		{"long address", mta + "Final-Recipient: rfc822; " + strings.Repeat("a", 2000) + "@example.net\nAction: failed\nStatus: 5.1.1\n\nFinal-Recipient: rfc822; bert@example.net\nAction: failed\nStatus: 5.1.1\n" + why, "bert@example.net failed 5.1.1 smtp; 550 no such user"},
		{"duplicates", mta + "Final-Recipient: rfc822; anna@example.net\nAction: failed\nStatus: 5.0.0\n\nFinal-Recipient: rfc822; Anna@example.net\nAction: failed\nStatus: 5.1.1\n" + why, "anna@example.net failed 5.1.1 smtp; 550 no such user"},
		{"delayed, then failed", mta + "Final-Recipient: rfc822; anna@example.net\nAction: delayed\nStatus: 4.4.1\nDiagnostic-Code: smtp; 451 no answer\n\nFinal-Recipient: rfc822; anna@example.net\nAction: failed\nStatus: 5.4.7\nDiagnostic-Code: smtp; 550 given up\n", "anna@example.net failed 5.4.7 smtp; 550 given up"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, crlf := range []bool{false, true} {
				raw := report("It failed.", tt.status)
				if crlf {
					raw = strings.ReplaceAll(raw, "\n", "\r\n")
				}
				n, err := Parse([]byte(raw))
				if err != nil {
					t.Fatal(err)
				}
				if got := showAll(n); got != tt.want {
					t.Errorf("got  %q\nwant %q", got, tt.want)
				}
				if n.Form != FormRFC3464 || n.ReportingMTA != "mx.example.net" {
					t.Errorf("%s %q", n.Form, n.ReportingMTA)
				}
			}
		})
	}
}

func TestStatusPartMessage(t *testing.T) {
	n, err := Parse([]byte(report("It failed.", "Reporting-MTA: dns; MX.example.net. (192.0.2.1)\nOriginal-Envelope-Id: k7+2Bjune\nArrival-Date: Mon, 1 Jun 2026 12:00:00 +0200 (CEST)\n\n"+
		"Final-Recipient: rfc822; anna@example.net\nAction: delayed\nStatus: 4.4.1\nRemote-MTA: dns; [192.0.2.9] (mx2)\nDiagnostic-Code: smtp; 451 no answer\n"+
		"Last-Attempt-Date: Mon, 1 Jun 2026 13:00:00 +0000\nWill-Retry-Until: Sat, 6 Jun 2026 12:00:00 +0000\n")))
	if err != nil {
		t.Fatal(err)
	}
	r := n.Recipients[0]
	day := func(d, h int) time.Time { return time.Date(2026, 6, d, h, 0, 0, 0, time.UTC) }
	if n.ReportingMTA != "mx.example.net" || n.EnvelopeID != "k7+june" || !n.ArrivalDate.Equal(day(1, 10)) || r.RemoteMTA != "192.0.2.9" ||
		!r.LastAttempt.Equal(day(1, 13)) || !r.WillRetryUntil.Equal(day(6, 12)) {
		t.Errorf("%+v", n)
	}
	o := n.Original
	if o.MessageID != "june.4711@example.com" || o.From != "News <news@example.com>" || o.To != "anna@example.net" || o.Subject != "Grüße" || o.ReturnPath != "news+k7@example.com" {
		t.Errorf("%+v", o)
	}
	if got := o.Field("x-token"); fmt.Sprint(got) != "[a b]" {
		t.Error(got)
	}
}

// wrap is a message with parts.
func wrap(header string, parts ...string) string {
	var b strings.Builder
	b.WriteString("From: MAILER-DAEMON@mx.example.net\nSubject: Undelivered mail\nMIME-Version: 1.0\n" + header + "\n")
	for _, p := range parts {
		b.WriteString("--q\n" + p + "\n")
	}
	b.WriteString("--q--\n")
	return b.String()
}

// inner gives a message another boundary, so that it can be part of another one.
func inner(raw string) string {
	return strings.NewReplacer("--q", "--z", "boundary=q", "boundary=z").Replace(raw)
}

func TestStructured(t *testing.T) {
	const anna = "Reporting-MTA: dns; mx.example.net\n\nFinal-Recipient: rfc822; anna@example.net\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 no such user\n"
	const bert = "Reporting-MTA: dns; mx2.example.net\n\nFinal-Recipient: rfc822; bert@example.net\nAction: failed\nStatus: 5.2.2\nDiagnostic-Code: smtp; 552 full\n"
	const annaIs, bertIs = "anna@example.net failed 5.1.1 smtp; 550 no such user", "bert@example.net failed 5.2.2 smtp; 552 full"
	const mixed = "Content-Type: multipart/mixed; boundary=q\n"
	const status = "Content-Type: message/delivery-status\n\n"
	const original = "Content-Type: text/rfc822-headers\n\nMessage-ID: <june.4711@example.com>\nSubject: June\n"
	for _, tt := range []struct{ name, raw, want, id string }{
		{"several status parts", wrap(mixed, "\nfailed\n", status+anna, status+bert, original), annaIs + "\n" + bertIs, "june.4711@example.com"},
		{"status part first", wrap(mixed, status+anna, original), annaIs, "june.4711@example.com"},
		{"not multipart", "From: MAILER-DAEMON@mx.example.net\nContent-Type: message/delivery-status\n\n" + anna, annaIs, ""},
		{"plain text", wrap(mixed, "\nfailed\n", "Content-Type: text/plain\n\n"+anna, original), annaIs, "june.4711@example.com"},
		{"no type", wrap(mixed, "\nfailed\n", "\n"+anna, original), annaIs, "june.4711@example.com"},
		{"plain text, recipient only", wrap(mixed, "\nfailed\n", "Content-Type: text/plain\n\nFinal-Recipient: rfc822; anna@example.net\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 no such user\n", original), annaIs, "june.4711@example.com"},
		{"base64", wrap(mixed, "Content-Type: message/delivery-status\nContent-Transfer-Encoding: base64\n\nUmVwb3J0aW5nLU1UQTogZG5zOyBteC5leGFtcGxlLm5ldAoKRmluYWwtUmVjaXBpZW50OiByZmM4\nMjI7IGFubmFAZXhhbXBsZS5uZXQKQWN0aW9uOiBmYWlsZWQKU3RhdHVzOiA1LjEuMQpEaWFnbm9z\ndGljLUNvZGU6IHNtdHA7IDU1MCBubyBzdWNoIHVzZXIK\n", original), annaIs, "june.4711@example.com"},
		{"quoted-printable", wrap(mixed, "Content-Type: message/delivery-status\nContent-Transfer-Encoding: quoted-printable\n\n"+strings.ReplaceAll(anna, "anna@", "anna=40"), original), annaIs, "june.4711@example.com"},
		{"global", wrap(mixed, "Content-Type: message/global-delivery-status\n\n"+anna, "Content-Type: message/global-headers\n\nMessage-ID: <june.4711@example.com>\n"), annaIs, "june.4711@example.com"},
		{"no last boundary", strings.TrimSuffix(wrap(mixed, "\nfailed\n", status+anna), "--q--\n"), annaIs, ""},
		{"forwarded", wrap(mixed, "\nFYI\n", "Content-Type: message/rfc822\n\n"+inner(report("It failed.", anna))), annaIs, "june.4711@example.com"},
		{"forwarded twice", wrap(mixed, "Content-Type: message/rfc822\n\n"+strings.NewReplacer("--q", "--y", "boundary=q", "boundary=y").Replace(wrap(mixed, "Content-Type: message/rfc822\n\n"+inner(report("It failed.", anna))))), annaIs, "june.4711@example.com"},
		{"a bounce was returned", wrap(mixed, "\nfailed\n", status+bert, "Content-Type: message/rfc822\n\n"+inner(report("It failed.", anna))), bertIs, ""},
		{"nested multipart", wrap(mixed, "Content-Type: multipart/report; boundary=z\n\n--z\n\nfailed\n--z\n"+status+anna+"\n--z--\n", original), annaIs, "june.4711@example.com"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, err := Parse([]byte(tt.raw))
			if err != nil {
				t.Fatal(err)
			}
			if got := showAll(n); got != tt.want || n.Original.MessageID != tt.id || n.Form != FormRFC3464 {
				t.Errorf("%s got\n%s, %q; want\n%s, %q", n.Form, got, n.Original.MessageID, tt.want, tt.id)
			}
		})
	}
}

func TestStructuredNone(t *testing.T) {
	const receipt = "Reporting-UA: mail.example.net; Reader\nFinal-Recipient: rfc822; anna@example.net\nOriginal-Message-ID: <june.4711@example.com>\nDisposition: manual-action/MDN-sent-manually; displayed\n"
	for name, raw := range map[string]string{
		"read receipt":         "From: anna@example.net\nSubject: Read: June\nContent-Type: multipart/report; report-type=disposition-notification; boundary=q\n\n--q\n\nIt was displayed.\n--q\nContent-Type: message/disposition-notification\n\n" + receipt + "\n--q--\n",
		"read receipt as text": "From: anna@example.net\nSubject: Read: June\n" + wrap("Content-Type: multipart/mixed; boundary=q\n", "Content-Type: text/plain\n\n"+receipt),
		"deleted unread":       "From: anna@example.net\nSubject: Not read: June\nContent-Type: multipart/report; report-type=disposition-notification; boundary=q\n\n--q\n\nIt was deleted without being read.\n--q\nContent-Type: message/disposition-notification\n\n" + strings.ReplaceAll(receipt, "displayed", "deleted") + "\n--q--\n",
		"person":               "From: anna@example.net\nSubject: Re: June\n\nThanks!\n",
		"person quotes fields": "From: anna@example.net\nSubject: what is this?\n\nI got this, why?\n\nReporting-MTA: dns; mx.example.net\n\nFinal-Recipient: rfc822; bert@example.net\nAction: failed\nStatus: 5.1.1\n",
		"feedback report":      "From: fbl@example.net\nSubject: complaint\nContent-Type: multipart/report; report-type=feedback-report; boundary=q\n\n--q\n\nspam\n--q\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\nUser-Agent: x\nVersion: 1\nOriginal-Rcpt-To: anna@example.net\nReporting-MTA: dns; mx.example.net\n\n--q--\n",
	} {
		t.Run(name, func(t *testing.T) {
			if n, err := Parse([]byte(raw)); !errors.Is(err, ErrNotBounce) {
				t.Errorf("%+v, %v", n, err)
			}
		})
	}
}

// TestStructuredBounds: what attackers send costs no more than the bounds allow.
func TestStructuredBounds(t *testing.T) {
	var status strings.Builder
	status.WriteString("Reporting-MTA: dns; mx.example.net\n")
	for i := range maxRecipients + 500 {
		fmt.Fprintf(&status, "\nFinal-Recipient: rfc822; u%d@example.net\nAction: failed\nStatus: 5.1.1\n", i)
	}
	n, err := Parse([]byte(report("It failed.", status.String())))
	if err != nil || len(n.Recipients) != maxRecipients || n.Dropped != 500 || n.Recipients[maxRecipients-1].Final != "u9999@example.net" {
		t.Fatal(len(n.Recipients), err)
	}
	parts := []string{"Content-Type: message/delivery-status\n\n" + status.String()}
	for i := range 30 {
		parts = append(parts, fmt.Sprintf("Content-Type: message/delivery-status\n\nFinal-Recipient: rfc822; v%d@example.net\nAction: failed\nStatus: 5.1.1\n", i))
	}
	n, err = Parse([]byte(wrap("Content-Type: multipart/mixed; boundary=q\n", parts...)))
	if err != nil || len(n.Recipients) != maxRecipients || n.Dropped != 500+maxStatusParts-1 {
		t.Error(len(n.Recipients), n.Dropped, err)
	}
	// Recipients in one group, for want of empty lines: as many as a group has fields.
	n, err = Parse([]byte(report("It failed.", strings.ReplaceAll(status.String(), "\n\n", "\n"))))
	if err != nil || len(n.Recipients) == 0 || len(n.Recipients) > maxRecipients {
		t.Error(len(n.Recipients), err)
	}
	// One recipient with endless fields.
	n, err = Parse([]byte(report("It failed.", "Final-Recipient: rfc822; anna@example.net\nAction: failed\n"+strings.Repeat("Diagnostic-Code: smtp; 550 no such user\n", 100_000))))
	if err != nil || len(n.Recipients) != 1 || len(n.Recipients[0].Diagnostic) > maxDiagnostic {
		t.Errorf("%v", err)
	}
}

// TestParseVerdict: what a notification says leads to the right verdict.
func TestParseVerdict(t *testing.T) {
	c, err := bounce.NewClassifier(bounce.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		fields   string
		category bounce.Category
		suppress bool
	}{
		{"Status: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 <anna@example.net>: user unknown\n", bounce.BadMailbox, true},
		{"Status: 5.2.2\nDiagnostic-Code: smtp; 552 5.2.2 mailbox full\n", bounce.MailboxFull, false},
		{"Status: 5.0.0\nDiagnostic-Code: smtp; 550 5.1.1 user unknown\n", bounce.BadMailbox, true},
	} {
		n, err := Parse([]byte(report("It failed.", "Reporting-MTA: dns; mx.example.net\n\nFinal-Recipient: rfc822; anna@example.net\nAction: failed\n"+tt.fields)))
		if err != nil {
			t.Fatal(err)
		}
		v := c.Classify("", n.Recipients[0].Reply())
		if v.Category != tt.category || v.Suppress != tt.suppress {
			t.Errorf("%q: %+v", tt.fields, v)
		}
	}
}
