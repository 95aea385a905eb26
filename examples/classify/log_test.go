package main

import (
	"strings"
	"testing"
)

func TestReadLine(t *testing.T) {
	for name, tt := range map[string]struct {
		line string
		want entry
		none bool
	}{
		"Postfix, bounced": {
			line: "Mar 10 12:00:00 out postfix/smtp[123]: 4ABC: to=<anna@Example.com>, relay=mx.example.com[192.0.2.1]:25, delay=1, delays=0/0/1/0, dsn=5.1.1, status=bounced (host mx.example.com[192.0.2.1] said: 550 5.1.1 user unknown (in reply to RCPT TO command))",
			want: entry{domain: "example.com", host: "mx.example.com", reply: "host mx.example.com[192.0.2.1] said: 550 5.1.1 user unknown (in reply to RCPT TO command)"},
		},
		"Postfix, sent": {
			line: "2026-03-10T12:00:00.1+00:00 out postfix/smtp[123]: 4ABC: to=<anna@example.com>, relay=mx.example.com[192.0.2.1]:25, dsn=2.0.0, status=sent (250 2.0.0 Ok)",
			want: entry{domain: "example.com", host: "mx.example.com", reply: "250 2.0.0 Ok", delivered: true},
		},
		"Postfix, its own words": {
			line: "Mar 10 12:00:00 out postfix/smtp[123]: 4ABC: to=<anna@example.com>, relay=none, dsn=4.4.1, status=deferred (connect to mx.example.com[192.0.2.1]:25: Connection timed out)",
			want: entry{domain: "example.com", reply: "4.4.1 connect to mx.example.com[192.0.2.1]:25: Connection timed out"},
		},
		"Exim, failed": {
			line: "2026-03-10 12:00:00 1abcDE-000001-XY ** anna@example.com R=dnslookup T=remote_smtp H=mx.example.com [192.0.2.1]: SMTP error from remote mail server after RCPT TO:<anna@example.com>: 550 5.1.1 user unknown",
			want: entry{domain: "example.com", host: "mx.example.com", reply: "SMTP error from remote mail server after RCPT TO:<anna@example.com>: 550 5.1.1 user unknown"},
		},
		"Exim, an arrow in the reply": {
			line: "2026-03-10 12:00:00 1abcDE-000001-XY ** anna@example.com R=dnslookup T=remote_smtp H=mx.example.com [192.0.2.1]: 550 5.1.1 lookup a => not found",
			want: entry{domain: "example.com", host: "mx.example.com", reply: "550 5.1.1 lookup a => not found"},
		},
		"Exim, delivered": {
			line: "2026-03-10 12:00:00 1abcDE-000001-XY => anna@example.com R=dnslookup T=remote_smtp H=mx.example.com [192.0.2.1] C=\"250 OK\"",
			want: entry{domain: "example.com", host: "mx.example.com", reply: "R=dnslookup T=remote_smtp H=mx.example.com [192.0.2.1] C=\"250 OK\"", delivered: true},
		},
		"sendmail": {
			line: "Mar 10 12:00:00 out sendmail[123]: q2A: to=<anna@example.com>, delay=00:00:01, mailer=esmtp, relay=mx.example.com. [192.0.2.1], dsn=5.1.1, stat=User unknown",
			want: entry{domain: "example.com", host: "mx.example.com", reply: "5.1.1 User unknown"},
		},
		"sendmail, sent": {
			line: "Mar 10 12:00:00 out sendmail[123]: q2A: to=<anna@example.com>, relay=mx.example.com. [192.0.2.1], dsn=2.0.0, stat=Sent (ok)",
			want: entry{domain: "example.com", host: "mx.example.com", reply: "2.0.0 Sent (ok)", delivered: true},
		},
		"a reply":              {line: " 550 5.1.1 user unknown ", want: entry{reply: "550 5.1.1 user unknown"}},
		"another line of log":  {line: "Mar 10 12:00:00 out postfix/qmgr[12]: 4ABC: removed", none: true},
		"with a priority":      {line: "<22>Mar 10 12:00:00 out postfix/qmgr[12]: 4ABC: removed", none: true},
		"Exim, another line":   {line: "2026-03-10 12:00:00 1abcDE-000001-XY Completed", none: true},
		"nothing":              {line: "  ", none: true},
		"no domain in address": {line: "Mar 10 12:00:00 out sendmail[1]: q2A: to=root, dsn=2.0.0, stat=Sent", want: entry{domain: "root", reply: "2.0.0 Sent", delivered: true}},
	} {
		got, ok := readLine(tt.line)
		if ok == tt.none || got != tt.want {
			t.Errorf("%s:\n%+v, %v, want\n%+v", name, got, ok, tt.want)
		}
	}
}

func TestSummary(t *testing.T) {
	const bounced = "Mar 10 12:00:00 out postfix/smtp[1]: A: to=<a@gmail.com>, relay=gmail-smtp-in.l.google.com[192.0.2.1]:25, dsn=5.1.1, status=bounced (host gmail-smtp-in.l.google.com[192.0.2.1] said: 550-5.1.1 The email account that you tried to reach does not exist)\n"
	const sent = "Mar 10 12:00:00 out postfix/smtp[1]: A: to=<a@example.com>, relay=mx.example.com[192.0.2.1]:25, dsn=2.0.0, status=sent (250 ok)\n"
	log := strings.Repeat(bounced, 3) + strings.Repeat(sent, 5) + "Mar 10 12:00:00 out postfix/qmgr[1]: A: removed\n"
	status, out, stderr := classify(log)
	if status != 0 || stderr != "" {
		t.Fatalf("status %d: %s", status, stderr)
	}
	for _, want := range []string{"(others)  delivered        5  62.5 %", "google    bad-mailbox      3  37.5 %  suppress the address", "1 of 9 lines tell of no delivery"} {
		if !strings.Contains(out, want) {
			t.Errorf("there is no %q in\n%s", want, out)
		}
	}
}

func FuzzReadLine(f *testing.F) {
	f.Add("2026-03-10 12:00:00 1abcDE-000001-XY ** anna@example.com R=dnslookup H=mx [192.0.2.1]: 550 x")
	f.Add("<22>Mar 10 12:00:00 out sendmail[123]: to=<a>, relay=b, dsn=5.1.1, stat=x")
	f.Add("Mar 10 12:00:00 postfix: to=<a@b>, status=bounced (")
	f.Fuzz(func(_ *testing.T, line string) { readLine(line) })
}
