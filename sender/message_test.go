package sender_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/sendertest"
)

// TestEnqueueRefusesMalformed: nothing of it may be queued, and the error names the field and the clause.
func TestEnqueueRefusesMalformed(t *testing.T) {
	const head = "From: a@example.org\r\n"
	data := func(s string) func(*sender.Message) { return func(m *sender.Message) { m.Data = []byte(s) } }
	to := func(list ...string) func(*sender.Message) { return func(m *sender.Message) { m.To = list } }
	from := func(s string) func(*sender.Message) { return func(m *sender.Message) { m.From = s } }
	for _, c := range []struct {
		name, field, clause string
		change              func(*sender.Message)
	}{
		{"bare LF", "Data", "RFC 5321 section 2.3.8", data(head + "\r\na\nb\r\n")},
		{"bare CR", "Data", "RFC 5321 section 2.3.8", data(head + "\r\na\rb\r\n")},
		{"bare CR at the end", "Data", "RFC 5321 section 2.3.8", data(head + "\r\na\r")},
		{"smuggled end", "Data", "RFC 5321 section 2.3.8", data(head + "\r\na\n.\r\nMAIL FROM:<x@example.org>\r\n")},
		{"NUL in the body", "Data", "RFC 5322 section 4", data(head + "\r\na\x00b\r\n")},
		{"NUL in the header", "Data", "RFC 5322 section 4", data("From: a@example.org\x00\r\n\r\na\r\n")},
		{"line of 999 octets", "Data", "RFC 5322 section 2.1.1", data(head + "\r\n" + strings.Repeat("x", 999) + "\r\n")},
		{"long last line", "Data", "RFC 5322 section 2.1.1", data(head + "\r\n" + strings.Repeat("x", 2000))},
		{"empty", "Data", "RFC 5322 section 3.6", data("")},
		{"no header", "Data", "RFC 5322 section 3.6", data("\r\nHello\r\n")},
		{"no From", "Data header From", "RFC 5322 section 3.6.2", data("Subject: x\r\n\r\na\r\n")},
		{"two From", "Data header From", "RFC 5322 section 3.6.2", data(head + head + "\r\na\r\n")},
		{"From without address", "Data header From", "RFC 5322 section 3.4", data("From: nobody\r\n\r\na\r\n")},
		{"two authors without Sender", "Data header From", "RFC 5322 section 3.6.2", data("From: a@example.org, b@example.org\r\n\r\na\r\n")},
		{"two Subjects", "Data header Subject", "RFC 5322 section 3.6.5", data(head + "Subject: a\r\nSubject: b\r\n\r\na\r\n")},
		{"two Dates", "Data header Date", "RFC 5322 section 3.6.1", data(head + "Date: Mon, 02 Jan 2006 15:04:05 +0000\r\nDate: Mon, 02 Jan 2006 15:04:05 +0000\r\n\r\na\r\n")},
		{"bad Date", "Data header Date", "RFC 5322 section 3.3", data(head + "Date: yesterday\r\n\r\na\r\n")},
		{"space in a field name", "Data", "RFC 5322 section 2.2", data(head + "X Y: z\r\n\r\na\r\n")},
		{"line without a colon", "Data", "RFC 5322 section 2.2", data(head + "hello\r\n\r\na\r\n")},
		{"folded first line", "Data", "RFC 5322 section 2.2.3", data(" x: y\r\n" + head + "\r\na\r\n")},
		{"folded white space", "Data header subject", "RFC 5322 section 3.2.2", data(head + "Subject: a\r\n \t\r\n\r\na\r\n")},
		{"latin-1 header", "Data", "RFC 6532 section 3.2", data(head + "Subject: gr\xfc\xdfe\r\n\r\na\r\n")},
		{"too large", "Data", "RFC 5321 section 4.5.3.1.7", data(head + "\r\n" + strings.Repeat("0123456789\r\n", 1<<10))},
		{"header too large", "Data", "", data(head + strings.Repeat("X: "+strings.Repeat("y", 900)+"\r\n", 300) + "\r\na\r\n")},
		{"no recipient", "To", "RFC 5321 section 3.3", to()},
		{"too many recipients", "To", "RFC 5321 section 4.5.3.1.8", to(users(1001, "example.com")...)},
		{"recipient with CRLF", "To[0]", "RFC 5321 section 4.1.2", to("a@example.com>\r\nRCPT TO:<b@example.com")},
		{"recipient with LF", "To[1]", "RFC 5321 section 4.1.2", to("a@example.com", "b\n@example.com")},
		{"recipient with a name", "To[0]", "RFC 5321 section 4.1.2", to("Anna <anna@example.com>")},
		{"recipient without domain", "To[0]", "RFC 5321 section 4.1.2", to("anna")},
		{"recipient with two dots", "To[0]", "RFC 5321 section 4.1.2", to("a..b@example.com")},
		{"recipient with a space", "To[0]", "RFC 5321 section 4.1.2", to("a b@example.com")},
		{"recipient with an empty local-part", "To[0]", "RFC 5321 section 4.1.2", to("@example.com")},
		{"recipient with an open quote", "To[0]", "RFC 5321 section 4.1.2", to(`"a@example.com`)},
		{"recipient with parameters", "To[0]", "RFC 5321 section 4.1.2", to("a@example.com> NOTIFY=NEVER")},
		{"long local-part", "To[0]", "RFC 5321 section 4.5.3.1.1", to(strings.Repeat("a", 65) + "@example.com")},
		{"long label", "To[0]", "RFC 1035 section 2.3.4", to("a@" + strings.Repeat("b", 64) + ".com")},
		{"domain with a space", "To[0]", "RFC 1035 section 2.3.1", to("a@exa mple.com")},
		{"single label", "To[0]", "RFC 5321 section 2.3.5", to("a@localhost")},
		{"empty label", "To[0]", "RFC 1035 section 2.3.1", to("a@example..com")},
		{"bad literal", "To[0]", "RFC 5321 section 4.1.3", to("a@[192.0.2]")},
		{"sender with CRLF", "From", "RFC 5321 section 4.1.2", from("a@example.org\r\nDATA")},
		{"sender without domain", "From", "RFC 5321 section 4.1.2", from("a")},
		{"unknown stream", "Stream", "", func(m *sender.Message) { m.Stream = "none" }},
		{"ID with a slash", "ID", "", func(m *sender.Message) { m.ID = "a/b" }},
		{"ID too long", "ID", "", func(m *sender.Message) { m.ID = strings.Repeat("x", 129) }},
		{"priority", "Priority", "", func(m *sender.Message) { m.Priority = 101 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := offline()
			if c.name == "too large" {
				cfg.MaxMessageSize = 10 << 10
			}
			s, err := sender.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			m := note("anna@example.com")
			c.change(&m)
			_, err = s.Enqueue(context.Background(), m)
			var fe *sender.FieldError
			if !errors.As(err, &fe) {
				t.Fatalf("error is %v", err)
			}
			if fe.Field != c.field || !strings.HasPrefix(fe.Clause, c.clause) || (c.clause == "") != (fe.Clause == "") {
				t.Errorf("error is %v: field %q, clause %q, want %q, %q", err, fe.Field, fe.Clause, c.field, c.clause)
			}
			if lanes, err := s.Lanes(context.Background()); err != nil || len(lanes) != 0 {
				t.Errorf("queued: %+v, %v", lanes, err)
			}
		})
	}
}

// offline is a Config that never gets to use the network.
func offline() sender.Config {
	return sender.Config{
		Routes:     []sender.Route{{Name: "direct", Hostname: "out.example.org"}},
		DNS:        []string{"192.0.2.53:53"},
		Classifier: classifier(),
	}
}

func TestEnqueueTakesWhatIsUnusualButRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{})
		w.must(w.dns.AddMX("xn--bcher-kva.example", 10, "mx.example.com"))
		s := w.start(w.config())
		for _, c := range []struct {
			to, arrives string
			from        string
			data        string
		}{
			{to: "anna@example.com", from: ""},
			{to: "anna@EXAMPLE.com", arrives: "anna@example.com"},
			{to: `"a..b."@example.com`},
			{to: `"a\"@b"@example.com`},
			{to: "anna+tag/x=y@example.com"},
			{to: "anna@bücher.example", arrives: "anna@xn--bcher-kva.example"},
			{to: "jörg@example.com"},
			{to: "two@example.com", data: "From: a@example.org, b@example.org\r\nSender: a@example.org\r\n\r\nx\r\n"},
			{to: "folded@example.com", data: "From:\r\n a@example.org\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n =?utf-8?q?_x?=\r\n\r\nx\r\n"},
			{to: "charset@example.com", data: "From: =?iso-2022-jp?B?GyRCTDUbKEI=?= <a@example.org>\r\n\r\nx\r\n"},
			{to: "nobody@example.com", data: "From: a@example.org\r\nTo: undisclosed-recipients:;\r\n\r\nx\r\n"},
			{to: "dots@example.com", data: "From: a@example.org\r\n\r\n.\r\n..\r\n.x\r\n"},
			{to: "unended@example.com", data: "From: a@example.org\r\n\r\nno line end"},
			{to: "headeronly@example.com", data: "From: a@example.org\r\n"},
			{to: "line998@example.com", data: "From: a@example.org\r\n\r\n" + strings.Repeat("x", 998) + "\r\n"},
		} {
			m := note(c.to)
			m.From = c.from
			if c.data != "" {
				m.Data = []byte(c.data)
			}
			out := w.send(s, m)
			if out.State != "delivered" {
				t.Errorf("%s: %s: %s", c.to, out.State, out.Reply)
				continue
			}
			got := mx.Inbox().Messages()
			last := got[len(got)-1]
			want := c.arrives
			if want == "" {
				want = c.to
			}
			if last.To[0] != want || last.From != c.from {
				t.Errorf("arrived from <%s> to <%s>, want <%s> to <%s>", last.From, last.To[0], c.from, want)
			}
			if !strings.Contains(string(last.Data), strings.TrimRight(string(m.Data), "\r\n")) {
				t.Errorf("%s: content changed: %q", c.to, last.Data)
			}
			if len(last.Header("Date")) != 1 || len(last.Header("Message-ID")) != 1 {
				t.Errorf("%s: no Date or Message-ID was added: %q", c.to, last.Data)
			}
		}
	})
}

func TestDateAndMessageIDAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{})
		s := w.start(w.config())
		m := note("anna@example.com")
		m.Data = []byte("Date: Thu, 1 Jan 2004 09:00:00 +0900\r\nMessage-ID: <1@example.org>\r\nFrom: a@example.org\r\n\r\nx\r\n")
		w.send(s, m)
		if got := mx.Inbox().Messages()[0].Data; string(got) != string(m.Data) {
			t.Errorf("arrived as %q", got)
		}
	})
}

// FuzzEnqueue: whatever is accepted has to be sound on the wire, so that no content can pass for protocol.
func FuzzEnqueue(f *testing.F) {
	f.Add("a@example.com", "b@example.org", []byte("From: a@example.org\r\n\r\nx\r\n"))
	f.Add("\"a b\"@example.com", "", []byte("From: a@example.org\r\nDate: x\r\n\r\n.\r\n"))
	f.Add("a@example.com\r\nDATA", "x", []byte("From: a@example.org\n\n.\n"))
	f.Add("ü@bücher.example", "", []byte("From: <a@example.org>\r\nSubject: ü\r\n\r\nü"))
	s, err := sender.New(offline())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, to, from string, data []byte) {
		r, err := s.Enqueue(context.Background(), sender.Message{From: from, To: []string{to}, Data: data})
		if errors.Is(err, queue.ErrFull) { // a long run
			if s, err = sender.New(offline()); err != nil {
				t.Fatal(err)
			}
			return
		}
		if err != nil {
			var fe *sender.FieldError
			if !errors.As(err, &fe) || fe.Field == "" || fe.Reason == "" {
				t.Fatalf("error names no field: %v", err)
			}
			return
		}
		ex, err := s.Explain(context.Background(), r.MessageID)
		if err != nil || len(ex) != 1 {
			t.Fatal(ex, err)
		}
		if addr := r.Deliveries[0].Recipient; strings.ContainsAny(addr, "\r\n\x00") || strings.Count(addr, "@") < 1 {
			t.Errorf("recipient %q", addr)
		}
		s2 := string(data)
		for i := range s2 {
			switch {
			case s2[i] == 0, s2[i] == '\n' && (i == 0 || s2[i-1] != '\r'), s2[i] == '\r' && (i+1 == len(s2) || s2[i+1] != '\n'):
				t.Fatalf("octet %d of %q was accepted", i, s2)
			}
		}
	})
}
