package dsn

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reputemail/repute/bounce"
)

const sent = "Return-Path: <news+k7@example.com>\r\n" +
	"From: News <news@example.com>\r\n" +
	"To: anna@example.net\r\n" +
	"Subject: June\r\n" +
	"Message-ID: <june.4711@example.com>\r\n" +
	"\r\n" +
	"Hello\r\n--=_0\r\n.\r\nBye\r\n"

var composeDay = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// failedOne is a notification about one recipient.
func failedOne() *Notification {
	return &Notification{
		ReportingMTA: "relay.example.org", EnvelopeID: "k7+june", ArrivalDate: composeDay.Add(-time.Hour),
		Recipients: []Recipient{{
			Final: "anna@example.net", Original: "info@example.net", Action: bounce.ActionFailed, Status: bounce.Status{Class: 5, Subject: 1, Detail: 1},
			Diagnostic: "550 5.1.1 <anna@example.net>: no such user", DiagnosticType: "smtp", RemoteMTA: "mx.example.net", LastAttempt: composeDay,
		}},
	}
}

func config() ComposeConfig {
	return ComposeConfig{ReversePath: "news+k7@example.com", Message: []byte(sent), MessageID: "<1@relay.example.org>", Date: composeDay}
}

// section is a part of a composed notification as the standard library reads it.
type section struct {
	mediaType string
	encoding  string
	body      string
}

// take reads a composed notification with the standard library alone, and checks what holds for all of them.
func take(t testing.TB, raw []byte) (mail.Header, []section) {
	t.Helper()
	for line := range bytes.SplitSeq(raw, []byte("\r\n")) {
		if len(line) > maxLine || bytes.ContainsAny(line, "\r\n\x00") {
			t.Fatalf("line %q cannot be sent", line[:min(len(line), 100)])
		}
	}
	if !bytes.HasSuffix(raw, []byte("--\r\n")) {
		t.Fatal("no line end at the end")
	}
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	mt, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || mt != "multipart/report" || params["report-type"] != "delivery-status" {
		t.Fatal(mt, params, err)
	}
	if got := m.Header.Get("Auto-Submitted"); got != "auto-replied" {
		t.Fatalf("Auto-Submitted: %q", got)
	}
	var out []section
	r := multipart.NewReader(m.Body, params["boundary"])
	for {
		p, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return m.Header, out
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, section{p.Header.Get("Content-Type"), p.Header.Get("Content-Transfer-Encoding"), string(b)})
	}
}

func TestCompose(t *testing.T) {
	raw, err := Compose(failedOne(), config())
	if err != nil {
		t.Fatal(err)
	}
	h, parts := take(t, raw)
	for name, want := range map[string]string{
		"From": "Mail Delivery System <MAILER-DAEMON@relay.example.org>", "To": "<news+k7@example.com>", "Subject": "Mail could not be delivered",
		"Date": "Mon, 01 Jun 2026 12:00:00 +0000", "Message-Id": "<1@relay.example.org>", "In-Reply-To": "<june.4711@example.com>",
		"References": "<june.4711@example.com>", "Mime-Version": "1.0", "Content-Transfer-Encoding": "",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	want := []section{
		{"text/plain; charset=utf-8", "quoted-printable", "This is the mail system at relay.example.org.\r\n\r\nYour message could not be delivered to:\r\n\r\n" +
			"<anna@example.net>\r\n    (sent to <info@example.net>)\r\n    550 5.1.1 <anna@example.net>: no such user\r\n"},
		{"message/delivery-status", "", "Reporting-MTA: dns; relay.example.org\r\nOriginal-Envelope-Id: k7+2Bjune\r\nArrival-Date: Mon, 01 Jun 2026 11:00:00 +0000\r\n\r\n" +
			"Original-Recipient: rfc822; info@example.net\r\nFinal-Recipient: rfc822; anna@example.net\r\nAction: failed\r\nStatus: 5.1.1\r\n" +
			"Remote-MTA: dns; mx.example.net\r\nDiagnostic-Code: smtp; 550 5.1.1 <anna@example.net>: no such user\r\nLast-Attempt-Date: Mon, 01 Jun 2026 12:00:00 +0000\r\n"},
		{"text/rfc822-headers", "", sent[:strings.Index(sent, "\r\n\r\n")+2]},
	}
	if !slices.Equal(parts, want) {
		t.Errorf("got  %q\nwant %q", parts, want)
	}
	again, err := Compose(failedOne(), config())
	if err != nil || !bytes.Equal(raw, again) {
		t.Error("not the same for the same", err)
	}
}

func TestComposeReturns(t *testing.T) {
	long := strings.Repeat("x", 999)
	for _, tt := range []struct {
		name      string
		set       func(*ComposeConfig)
		mediaType string
		encoding  string
		body      string
	}{
		{"full", func(c *ComposeConfig) { c.Full = true }, "message/rfc822", "", sent},
		{"too large", func(c *ComposeConfig) { c.Full, c.MaxFull = true, len(sent)-1 }, "text/rfc822-headers", "", sent[:strings.Index(sent, "\r\n\r\n")+2]},
		{"long lines", func(c *ComposeConfig) { c.Full, c.Message = true, []byte("From: a@example.com\n\n"+long+"\n") }, "text/rfc822-headers", "", "From: a@example.com\r\n"},
		{"long field", func(c *ComposeConfig) {
			c.Message = []byte("From: a@example.com\nX: " + long + "\n y\nTo: b@example.net\n\n")
		}, "text/rfc822-headers", "", "From: a@example.com\r\nTo: b@example.net\r\n"},
		{"lone line ends", func(c *ComposeConfig) {
			c.Full, c.Message = true, []byte("From: a@example.com\n\na\r.\r\nb\n.\rc\x00d\n\n\n\n")
		}, "message/rfc822", "", "From: a@example.com\r\n\r\na\r\n.\r\nb\r\n.\r\ncd\r\n\r\n\r\n\r\n"},
		{"8 bit", func(c *ComposeConfig) { c.Full, c.Message = true, []byte("From: a@example.com\n\nGr\xfc\xdfe\n") }, "message/rfc822", "8bit", "From: a@example.com\r\n\r\nGr\xfc\xdfe\r\n"},
		{"8 bit header", func(c *ComposeConfig) { c.Message = []byte("Subject: Grüße\n\nx\n") }, "text/rfc822-headers", "8bit", "Subject: Grüße\r\n"},
		{"no end", func(c *ComposeConfig) { c.Full, c.Message = true, []byte("Subject: a\n\nx") }, "message/rfc822", "", "Subject: a\r\n\r\nx\r\n"},
		{"no body", func(c *ComposeConfig) { c.Message = []byte("Subject: a") }, "text/rfc822-headers", "", "Subject: a\r\n"},
		{"huge header", func(c *ComposeConfig) { c.Message = []byte(strings.Repeat("A: b\r\n", 1<<18)) }, "text/rfc822-headers", "", strings.Repeat("A: b\r\n", maxReturnedHdr/6)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := config()
			tt.set(&c)
			raw, err := Compose(failedOne(), c)
			if err != nil {
				t.Fatal(err)
			}
			h, parts := take(t, raw)
			if len(parts) != 3 || parts[2] != (section{tt.mediaType, tt.encoding, tt.body}) {
				t.Errorf("got %q", parts[2])
			}
			if got := h.Get("Content-Transfer-Encoding"); got != tt.encoding {
				t.Errorf("encoding of the whole: %q", got)
			}
		})
	}
	c := config()
	c.Message = nil
	raw, err := Compose(failedOne(), c)
	if err != nil {
		t.Fatal(err)
	}
	if h, parts := take(t, raw); len(parts) != 2 || h.Get("References") != "" {
		t.Errorf("without an original: %q", parts)
	}
}

// TestComposeGlobal: RFC 6533.
func TestComposeGlobal(t *testing.T) {
	n := failedOne()
	n.Recipients[0].Final = "用户@例え.example"
	c := config()
	raw, err := Compose(n, c)
	if err != nil {
		t.Fatal(err)
	}
	h, parts := take(t, raw)
	if h.Get("Content-Transfer-Encoding") != "8bit" || parts[1].mediaType != "message/global-delivery-status" || parts[1].encoding != "8bit" ||
		!strings.Contains(parts[1].body, "Final-Recipient: utf-8; 用户@例え.example\r\n") ||
		!strings.Contains(parts[1].body, "Original-Recipient: rfc822; info@example.net\r\n") || parts[2].mediaType != "message/global-headers" {
		t.Errorf("%v %q", h, parts)
	}
	c.Full = true
	raw, err = Compose(n, c)
	if err != nil {
		t.Fatal(err)
	}
	if _, parts := take(t, raw); parts[2].mediaType != "message/global" {
		t.Errorf("%q", parts[2])
	}
	got, err := Parse(raw)
	if err != nil || got.Recipients[0].Final != "用户@例え.example" || got.Original.MessageID != "june.4711@example.com" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestComposeNot(t *testing.T) {
	for name, set := range map[string]func(*ComposeConfig){
		"null":           func(c *ComposeConfig) { c.ReversePath = "<>" },
		"none":           func(c *ComposeConfig) { c.ReversePath = "" },
		"null in header": func(c *ComposeConfig) { c.Message = []byte("Return-Path: < >\n\n") },
		"auto-replied":   func(c *ComposeConfig) { c.Message = []byte("Auto-Submitted: auto-replied (vacation)\n\n") },
		"second field": func(c *ComposeConfig) {
			c.Message = []byte("Auto-Submitted: no\nauto-submitted: Auto-Replied; x=y\n\n")
		},
		"always": func(c *ComposeConfig) {
			c.AnswerGenerated, c.Message = true, []byte("Auto-Submitted: auto-replied\n\n")
		},
		"auto-generated": func(c *ComposeConfig) { c.Message = []byte("Auto-Submitted: auto-generated\n\n") },
		"auto-notified": func(c *ComposeConfig) {
			c.Message = []byte("Auto-Submitted: auto-notified; owner-email=\"a@example.net\"\n\n")
		},
		"bounce": func(c *ComposeConfig) {
			c.Message = []byte("Content-Type: multipart/report; report-type=\"Delivery-Status\"; boundary=b\n\n")
		},
		"read receipt": func(c *ComposeConfig) {
			c.Message = []byte("Content-Type: Multipart/Report; report-type=disposition-notification; boundary=b\n\n")
		},
		"report of no type": func(c *ComposeConfig) { c.Message = []byte("Content-Type: multipart/report; boundary=b\n\n") },
		"before its header": func(c *ComposeConfig) { c.Message = []byte("\r\n\nFrom x Mon\nAuto-Submitted: auto-replied\n\n") },
		"header without end": func(c *ComposeConfig) {
			c.Message = []byte("Auto-Submitted: auto-replied\n" + strings.Repeat("A: b\n", 3<<20))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := config()
			set(&c)
			if b, err := Compose(failedOne(), c); !errors.Is(err, ErrNoBounce) {
				t.Errorf("%s, %v", b, err)
			}
		})
	}
	c := config()
	c.AnswerGenerated, c.Message = true, []byte("Auto-Submitted: auto-generated\n\n")
	if _, err := Compose(failedOne(), c); err != nil {
		t.Error(err)
	}
	c.Message = []byte("Auto-Submitted: NO\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\n\n")
	if _, err := Compose(failedOne(), c); err != nil {
		t.Error(err)
	}
	// What Compose wrote it does not answer.
	own, err := Compose(failedOne(), config())
	if err != nil {
		t.Fatal(err)
	}
	c.Message = own
	if _, err := Compose(failedOne(), c); !errors.Is(err, ErrNoBounce) {
		t.Error(err)
	}
}

// TestComposeInjection: no field takes a line end or another control character, and the error names it.
func TestComposeInjection(t *testing.T) {
	fields := map[string]func(*Notification, *ComposeConfig, string){
		"ReversePath": func(_ *Notification, c *ComposeConfig, v string) { c.ReversePath = "a" + v + "@example.com" },
		"Hostname": func(_ *Notification, c *ComposeConfig, v string) {
			c.Hostname, c.From, c.MessageID = "a"+v, "a@example.com", ""
		},
		"From":         func(_ *Notification, c *ComposeConfig, v string) { c.From = "a@example.com" + v + "b" },
		"Subject":      func(_ *Notification, c *ComposeConfig, v string) { c.Subject = "a" + v },
		"MessageID":    func(_ *Notification, c *ComposeConfig, v string) { c.MessageID = "<a" + v + "@example.com>" },
		"ReportingMTA": func(n *Notification, _ *ComposeConfig, v string) { n.ReportingMTA = "a" + v },
		"EnvelopeID":   func(n *Notification, _ *ComposeConfig, v string) { n.EnvelopeID = "a" + v },
		"Recipients[0].Final": func(n *Notification, _ *ComposeConfig, v string) {
			n.Recipients[0].Final = "\"a" + v + "\"@example.com"
		},
		"Recipients[0].Original": func(n *Notification, _ *ComposeConfig, v string) {
			n.Recipients[0].Original = "a@example.com" + v + "x"
		},
		"Recipients[0].Diagnostic":     func(n *Notification, _ *ComposeConfig, v string) { n.Recipients[0].Diagnostic = "550" + v + "x" },
		"Recipients[0].DiagnosticType": func(n *Notification, _ *ComposeConfig, v string) { n.Recipients[0].DiagnosticType = "smtp" + v },
		"Recipients[0].RemoteMTA":      func(n *Notification, _ *ComposeConfig, v string) { n.Recipients[0].RemoteMTA = v + "a" },
		"Recipients[0].Action": func(n *Notification, _ *ComposeConfig, v string) {
			n.Recipients[0].Action = bounce.Action("failed" + v)
		},
	}
	for name, set := range fields {
		for _, v := range []string{"\r\nBcc: x@example.org", "\n", "\r", "\x00", "\x1b", "\x7f", "\u0085", "\u2028", "\xff"} {
			n, c := failedOne(), config()
			set(n, &c, v)
			c.Hostname = cmpOr(c.Hostname, "relay.example.org")
			b, err := Compose(n, c)
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s with %q: %v %q", name, v, err, b)
			}
		}
	}
	n, c := failedOne(), config()
	c.Text = "a\x00"
	if _, err := Compose(n, c); err == nil || !strings.Contains(err.Error(), "Text") {
		t.Error(err)
	}
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// TestComposeHostileOriginal: what the original has in its fields goes into no field of the notification that it could break.
func TestComposeHostileOriginal(t *testing.T) {
	for _, id := range []string{"<a@example.com>\rBcc: x@example.org", "<a b@example.com>", "<a@example.com> <b@example.com>", "<" + strings.Repeat("a", 300) + "@example.com>", "a@example.com", "<ä@example.com>", "<>", "<a>"} {
		c := config()
		c.Message = []byte("Message-ID: " + id + "\nSubject: x\n\nbody\n")
		raw, err := Compose(failedOne(), c)
		if err != nil {
			t.Fatal(err)
		}
		if h, _ := take(t, raw); h.Get("References") != "" || h.Get("In-Reply-To") != "" || h.Get("Bcc") != "" {
			t.Errorf("%q: %v", id, h)
		}
	}
}

func TestComposeErrors(t *testing.T) {
	for want, set := range map[string]func(*Notification, *ComposeConfig){
		"Hostname is missing":       func(n *Notification, _ *ComposeConfig) { n.ReportingMTA = "" },
		"Recipients: there are":     func(n *Notification, _ *ComposeConfig) { n.Recipients = nil },
		"Recipients: more than":     func(n *Notification, _ *ComposeConfig) { n.Recipients = make([]Recipient, maxRecipients+1) },
		"Recipients[0].Final":       func(n *Notification, _ *ComposeConfig) { n.Recipients[0].Final = "anna" },
		"Recipients[0].Original":    func(n *Notification, _ *ComposeConfig) { n.Recipients[0].Original = "a b@example.com" },
		"Recipients[0].Status":      func(n *Notification, _ *ComposeConfig) { n.Recipients[0].Status.Class = 3 },
		"Hostname is no host":       func(_ *Notification, c *ComposeConfig) { c.Hostname = "例え.example" },
		"Recipients[0].RemoteMTA":   func(n *Notification, _ *ComposeConfig) { n.Recipients[0].RemoteMTA = "mx (x)" },
		"Recipients[0].Diagnostic ": func(n *Notification, _ *ComposeConfig) { n.Recipients[0].Diagnostic = strings.Repeat("x", 1<<20) },
		"EnvelopeID has more":       func(n *Notification, _ *ComposeConfig) { n.EnvelopeID = strings.Repeat("=", 251) },
		"ReversePath is no address": func(_ *Notification, c *ComposeConfig) { c.ReversePath = "news" },
	} {
		n, c := failedOne(), config()
		set(n, &c)
		if _, err := Compose(n, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestComposeDefaults(t *testing.T) {
	for _, tt := range []struct {
		action  bounce.Action
		status  string
		subject string
		text    string
	}{
		{"", "5.0.0", "Mail could not be delivered", "could not be delivered to:"},
		{bounce.ActionDelayed, "4.0.0", "Mail is delayed", "is delayed"},
		{bounce.ActionDelivered, "2.0.0", "Mail was delivered", "was delivered to:"},
		{bounce.ActionRelayed, "2.0.0", "Mail was delivered", "went on to a system"},
		{bounce.ActionExpanded, "2.0.0", "Mail was delivered", "delivered to these lists"},
	} {
		n := &Notification{Recipients: []Recipient{{Final: "anna@example.net", Action: tt.action}}}
		raw, err := Compose(n, ComposeConfig{ReversePath: "<news@example.com>", Hostname: "relay.example.org"})
		if err != nil {
			t.Fatal(err)
		}
		h, parts := take(t, raw)
		if h.Get("Subject") != tt.subject || !strings.Contains(parts[0].body, tt.text) || !strings.Contains(parts[1].body, "Status: "+tt.status+"\r\n") ||
			!strings.HasSuffix(h.Get("Message-Id"), "@relay.example.org>") || strings.Contains(parts[1].body, "Diagnostic") {
			t.Errorf("%s: %v %q", tt.action, h, parts)
		}
		if d, err := h.Date(); err != nil || d.IsZero() {
			t.Error(d, err)
		}
	}
}

func TestComposeMany(t *testing.T) {
	n := &Notification{ReportingMTA: "relay.example.org"}
	for i := range maxRecipients {
		n.Recipients = append(n.Recipients, Recipient{Final: fmt.Sprintf("u%d@example.net", i), Action: bounce.ActionFailed, Diagnostic: "550 no such user"})
	}
	raw, err := Compose(n, config())
	if err != nil {
		t.Fatal(err)
	}
	if _, parts := take(t, raw); !strings.Contains(parts[0].body, "and 9900 more.") || strings.Contains(parts[0].body, "u100@") {
		t.Errorf("%q", parts[0].body)
	}
	got, err := Parse(raw)
	if err != nil || len(got.Recipients) != maxRecipients || got.Dropped != 0 || got.Recipients[9999].Final != "u9999@example.net" {
		t.Error(len(got.Recipients), got.Dropped, err)
	}
}
