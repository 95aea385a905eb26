package dsn

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/internal/entity"
)

func TestParseErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		raw  string
		want error
	}{
		"nothing":     {"", entity.ErrEmpty},
		"white space": {" \r\n\r\n\t\n", entity.ErrEmpty},
		"too large":   {strings.Repeat("x", entity.MaxBytes+1), entity.ErrTooLarge},
		"no header":   {"\n\nhello\n", ErrNotBounce},
		"a person":    {"From: anna@example.net\n\nhello\n", ErrNotBounce},
		"zeros":       {"\x00\x00\x00", ErrNotBounce},
	} {
		if n, err := Parse([]byte(tt.raw)); n != nil || !errors.Is(err, tt.want) {
			t.Errorf("%s: %+v, %v", name, n, err)
		}
	}
}

func TestAdd(t *testing.T) {
	day := func(d int) time.Time { return time.Date(2026, 6, d, 0, 0, 0, 0, time.UTC) }
	status := func(s string) bounce.Status {
		st, _ := bounce.ParseStatus(s)
		return st
	}
	failed := func(final, original, s, d string) Recipient {
		return Recipient{Final: final, Original: original, Action: bounce.ActionFailed, Status: status(s), Diagnostic: d}
	}
	for _, tt := range []struct {
		name string
		in   []Recipient
		want []Recipient
	}{
		{"others", []Recipient{failed("a@x", "", "5.1.1", ""), failed("b@x", "", "5.1.1", "")}, []Recipient{failed("a@x", "", "5.1.1", ""), failed("b@x", "", "5.1.1", "")}},
		{"same", []Recipient{failed("a@x", "", "5.0.0", ""), failed("A@x", "", "5.1.1", "no")}, []Recipient{failed("a@x", "", "5.1.1", "no")}},
		{"original told later", []Recipient{failed("a@x", "", "5.1.1", ""), failed("a@x", "o@y", "5.0.0", "no")}, []Recipient{failed("a@x", "o@y", "5.1.1", "no")}},
		{"original told first", []Recipient{failed("a@x", "o@y", "5.1.1", ""), failed("a@x", "", "5.0.0", "no")}, []Recipient{failed("a@x", "o@y", "5.1.1", "no")}},
		{"two that lead to one", []Recipient{failed("a@x", "o@y", "5.1.1", ""), failed("a@x", "p@y", "5.1.1", "")}, []Recipient{failed("a@x", "o@y", "5.1.1", ""), failed("a@x", "p@y", "5.1.1", "")}},
		{"and again", []Recipient{failed("a@x", "", "5.1.1", ""), failed("a@x", "o@y", "", ""), failed("a@x", "p@y", "5.1.1", ""), failed("a@x", "O@y", "", "no")}, []Recipient{failed("a@x", "o@y", "5.1.1", "no"), failed("a@x", "p@y", "5.1.1", "")}},
		{"vague one of another class", []Recipient{failed("a@x", "", "5.0.0", ""), failed("a@x", "", "4.2.2", "")}, []Recipient{failed("a@x", "", "5.0.0", "")}},
		{"a failure wins", []Recipient{
			{Final: "a@x", Action: bounce.ActionDelayed, Status: status("4.4.1"), Diagnostic: "later", LastAttempt: day(1), WillRetryUntil: day(5)},
			{Final: "a@x", Action: bounce.ActionFailed, Status: status("5.4.7"), RemoteMTA: "mx", LastAttempt: day(5)},
		}, []Recipient{{Final: "a@x", Action: bounce.ActionFailed, Status: status("5.4.7"), Diagnostic: "later", RemoteMTA: "mx", LastAttempt: day(5)}}},
		{"times", []Recipient{
			{Final: "a@x", Action: bounce.ActionDelayed, LastAttempt: day(1)},
			{Final: "a@x", Action: bounce.ActionDelayed, LastAttempt: day(2), WillRetryUntil: day(5), RemoteMTA: "mx"},
		}, []Recipient{{Final: "a@x", Action: bounce.ActionDelayed, LastAttempt: day(2), WillRetryUntil: day(5), RemoteMTA: "mx"}}},
		{"no address", []Recipient{failed("", "", "5.1.1", ""), failed("a\x1b@x", "", "5.1.1", ""), failed("\xff@x", "", "5.1.1", "")}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, index := &Notification{}, map[string]int{}
			for _, r := range tt.in {
				n.add(r, index)
			}
			if len(n.Recipients) != len(tt.want) {
				t.Fatalf("%+v", n.Recipients)
			}
			for i, want := range tt.want {
				if n.Recipients[i] != want {
					t.Errorf("got  %+v\nwant %+v", n.Recipients[i], want)
				}
			}
		})
	}
}

func TestReply(t *testing.T) {
	for _, tt := range []struct {
		in     Recipient
		code   int
		status string
		host   string
	}{
		{Recipient{Diagnostic: "550 no such user", Status: bounce.Status{Class: 5, Subject: 1, Detail: 1}, RemoteMTA: "mx.example.net"}, 550, "5.1.1", "mx.example.net"},
		{Recipient{Diagnostic: "550 5.2.1 disabled", Status: bounce.Status{Class: 5}}, 550, "5.2.1", ""},
		{Recipient{Diagnostic: "host mx2.example.net[192.0.2.1] said: 452 4.2.2 full (in reply to RCPT TO command)", RemoteMTA: "mx.example.net"}, 452, "4.2.2", "mx2.example.net"},
		{Recipient{Status: bounce.Status{Class: 5, Subject: 4, Detail: 4}}, 0, "5.4.4", ""},
	} {
		r := tt.in.Reply()
		if r.Code != tt.code || r.Status.String() != tt.status || r.Host != tt.host {
			t.Errorf("%+v: %+v", tt.in, r)
		}
	}
}

// TestOriginalClean: what the original hides in its fields breaks no line.
func TestOriginalClean(t *testing.T) {
	raw := strings.Replace(report("It failed.", "Final-Recipient: rfc822; anna@example.net\nAction: failed\nStatus: 5.1.1\n"),
		"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nMessage-ID: <june", "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe=0D=0ABcc:_x=00?=\nMessage-ID: <\x1bju\xffne", 1)
	n, err := Parse([]byte(raw))
	if err != nil || n.Original.Subject != "GrüßeBcc: x" || n.Original.MessageID != "juÿne.4711@example.com" {
		t.Errorf("%+v, %v", n, err)
	}
}

// tenKB is a notification of that size.
func tenKB() []byte {
	var body strings.Builder
	for body.Len() < 8500 {
		body.WriteString("Dear reader, this is a line of our letter, of the length that lines have.\n")
	}
	raw := report("This is the mail system at mx.example.net.\n\n<anna@example.net>: host mx2.example.net said: 550 5.1.1 no such user\n",
		"Reporting-MTA: dns; mx.example.net\nArrival-Date: Mon, 1 Jun 2026 12:00:00 +0000\n\nFinal-Recipient: rfc822; anna@example.net\n"+
			"Original-Recipient: rfc822; info@example.net\nAction: failed\nStatus: 5.1.1\nRemote-MTA: dns; mx2.example.net\nDiagnostic-Code: smtp; 550 5.1.1 no such user\n")
	return []byte(strings.Replace(raw, "Hello\n", body.String(), 1))
}

func BenchmarkParse(b *testing.B) {
	raw := tenKB()
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(raw); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHostile parses what is made to cost a lot, of 10 MB each.
func BenchmarkHostile(b *testing.B) {
	for name, raw := range hostile(10 << 20) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, _ = Parse([]byte(raw))
			}
		})
	}
}

// hostile are messages of size bytes or somewhat less.
func hostile(size int) map[string]string {
	fill := func(s string) string { return strings.Repeat(s, size/len(s)*9/10) }
	const final = "Final-Recipient: rfc822; anna@example.net\nAction: failed\n"
	var finals strings.Builder
	for i := 0; finals.Len() < size*8/10; i++ {
		finals.WriteString("\nFinal-Recipient: rfc822; u")
		finals.WriteString(strings.Repeat("a", i%30))
		finals.WriteString("@example.net\nAction: failed\nStatus: 5.0.0\n")
	}
	return map[string]string{
		"addresses in text":  report(fill("b@example.org\n"), finals.String()[:size/20]),
		"address in text":    report(fill("anna@example.net\n\n"), final),
		"one line":           report(fill("anna@example.net "), final),
		"paragraphs":         report(fill("x\n\n"), finals.String()[:size/20]),
		"growing letters":    report(fill("ȺȺȺȺ")+"anna@example.net", final),
		"recipients":         report("It failed.", finals.String()),
		"recipients at once": report("It failed.", strings.ReplaceAll(finals.String(), "\n\n", "\n")),
		"parentheses":        report("It failed.", "Final-Recipient: rfc822; anna@example.net"+fill("(")+"\nRemote-MTA: dns; "+fill("(")[:size/20]+"\n"),
		"escapes":            report("It failed.", "Final-Recipient: utf-8; "+fill("\\x{")[:900_000]+"\n\n"+final),
		"xtext":              report("It failed.", "Original-Envelope-Id: "+fill("+41")[:900_000]+"\n\n"+final),
		"encoded words":      report("It failed.", final+"Diagnostic-Code: smtp; "+fill("=?utf-8?q?a?= ")[:900_000]+"\n"),
		"open words":         report("It failed.", final+"Diagnostic-Code: smtp; "+fill("=?")[:900_000]+"\n"),
		"failed recipients":  "X-Failed-Recipients: " + fill("a@example.net,")[:900_000] + "\n" + report("It failed.", "Final-Recipient: x; a\nAction: failed\n"),
		"html":               wrap("Content-Type: multipart/mixed; boundary=q\n", "Content-Type: text/html\n\n"+fill("<p>anna@example.net<!--"), "Content-Type: message/delivery-status\n\n"+final),
	}
}

// TestHostile: nothing of it panics, and the bounds hold.
func TestHostile(t *testing.T) {
	for name, raw := range hostile(1 << 20) {
		n, err := Parse([]byte(raw))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		check(t, n)
	}
}

// check holds for all that is read.
func check(t *testing.T, n *Notification) {
	t.Helper()
	if len(n.Recipients) == 0 || len(n.Recipients) > maxRecipients {
		t.Fatalf("%d recipients", len(n.Recipients))
	}
	for _, r := range n.Recipients {
		if r.Final == "" || !isClean(r.Final) || !isClean(r.Original) || len(r.Diagnostic) > maxDiagnostic+maxReason || r.Action == "" {
			t.Fatalf("%+v", r)
		}
		_ = r.Reply()
	}
	o := n.Original
	for _, v := range []string{n.ReportingMTA, n.EnvelopeID, o.MessageID, o.From, o.To, o.Subject, o.ReturnPath} {
		if !isClean(v) {
			t.Fatalf("%q", v)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(report("<anna@example.net>: no such user", "Reporting-MTA: dns; mx.example.net\n\nFinal-Recipient: rfc822; anna@example.net\nOriginal-Recipient: utf-8; \\x{e9}@example.net\nAction: failed\nStatus: 5.1.1\n")))
	f.Add(tenKB())
	f.Add([]byte(report("ȺȺanna@example.net", "Final-Recipient: x; anna+40example.net (a)\nX-Actual-Recipient: @a:b@c\nDiagnostic-Code: x; smtp; 4.4.7\nWill-Retry-Until: Mon, 1 Jun 2026 12:00:00 +0000\n")))
	f.Add([]byte("X-Failed-Recipients: a@example.net\n" + report("", "Final-Recipient: x-local; |/bin/x\n")))
	f.Add([]byte(wrap("Content-Type: multipart/mixed; boundary=q\n", "Content-Type: message/rfc822\n\n"+inner(report("x", "Final-Recipient: rfc822; anna@example.net\n")))))
	f.Add([]byte("From: MAILER-DAEMON@example.net\nSubject: failure notice\n\n<anna@example.net>:\n550 no such user\n\n--- Below this line\n\nMessage-ID: <a@b>\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		n, err := Parse(raw)
		if err != nil {
			return
		}
		check(t, n)
	})
}
