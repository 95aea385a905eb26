package transport

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
)

func TestSequence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHost{ext: []string{"8BITMIME", "SIZE 1000000"}}
		h.start(t, nil)
		var refuse string // a stage, or RCPT of everybody
		h.on = func(c *fakeConn, stage bounce.Stage, line string) bool {
			if string(stage) == refuse {
				c.say("550 5.7.1 no")
				return true
			}
			return false
		}
		s := dial(t, newTransport(t, h.net, Config{}), target())
		mustSend(t, s, envelope())
		mustSend(t, s, envelope("b@example.com", "c@example.com"))
		for _, stage := range []bounce.Stage{bounce.StageMail, bounce.StageRcpt, bounce.StageData, bounce.StageDot} {
			refuse = string(stage)
			results, err := s.Send(context.Background(), envelope())
			if err != nil || results[0].Accepted || results[0].Reply.Code != 550 || results[0].Reply.Stage != stage {
				t.Fatalf("%s: %v %v", stage, results, err)
			}
		}
		refuse = ""
		mustSend(t, s, envelope())
		if s.Messages() != 7 || !s.Usable() || s.Host() != "mx.example.com" {
			t.Errorf("Messages() = %d, Usable() = %v, Host() = %q", s.Messages(), s.Usable(), s.Host())
		}
		if err := s.Close(); err != nil || s.Usable() {
			t.Errorf("Close: %v, Usable() = %v", err, s.Usable())
		}
		const mail = "MAIL FROM:<a@example.org> BODY=8BITMIME SIZE=71"
		const rcpt = "RCPT TO:<b@example.com>"
		want := strings.Join([]string{
			"EHLO mta1.example.org",
			mail, rcpt, "DATA",
			mail, rcpt, "RCPT TO:<c@example.com>", "DATA",
			mail,
			"RSET", mail, rcpt,
			"RSET", mail, rcpt, "DATA",
			"RSET", mail, rcpt, "DATA",
			mail, rcpt, "DATA",
			"QUIT",
		}, ",")
		if got := h.commands(0); got != want {
			t.Errorf("commands\n got %s\nwant %s", got, want)
		}
		synctest.Wait() // the host hangs up
		if n := h.net.OpenConns(); n != 0 {
			t.Errorf("%d connection ends left open", n)
		}
	})
}

func TestContent(t *testing.T) {
	for _, c := range []struct{ name, header, data, want string }{
		{"plain", "A: b\r\n", "C: d\r\n\r\nx\r\n", "A: b\r\nC: d\r\n\r\nx\r\n.\r\n"},
		{"dots", "", ".\r\n..\r\n.a\r\na.\r\n", "..\r\n...\r\n..a\r\na.\r\n.\r\n"},
		{"header with dot", ".h: x\r\n", ".", "..h: x\r\n..\r\n.\r\n"},
		{"no last line end", "", "x", "x\r\n.\r\n"},
		{"bare LF", "", "a\n.\nb\r\n", "a\r\n..\r\nb\r\n.\r\n"},
		{"large", "", strings.Repeat("0123456789abcde\r\n", 20_000), strings.Repeat("0123456789abcde\r\n", 20_000) + ".\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &fakeHost{}
				h.start(t, nil)
				s := dial(t, newTransport(t, h.net, Config{}), target())
				defer s.Close()
				results := mustSend(t, s, &Envelope{To: []string{"b@example.com"}, Header: []byte(c.header), Data: []byte(c.data)})
				if got := h.messages()[0]; got != c.want {
					t.Errorf("got %.100q, want %.100q", got, c.want)
				}
				if got := h.commands(0); !strings.Contains(got, "MAIL FROM:<>,") {
					t.Errorf("no null reverse-path in %s", got)
				}
				reply := results[0].Reply
				if reply.String() != "250 2.0.0 accepted queued as 4F1A" || len(reply.Lines) != 2 || reply.Stage != bounce.StageDot || reply.Host != "mx.example.com" || reply.Local {
					t.Errorf("reply is %+v", reply)
				}
			})
		})
	}
}

func TestMixedRecipients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHost{on: func(c *fakeConn, stage bounce.Stage, line string) bool {
			switch {
			case strings.Contains(line, "<no"):
				c.say("550-5.1.1 no such user\r\n550-5.1.1 here\r\n550 5.1.1 see https://example.com/")
			case strings.Contains(line, "<later"):
				c.say("451 4.7.1 greylisted")
			case strings.Contains(line, "<odd"):
				c.say("251 2.1.5 will forward")
			default:
				return false
			}
			return true
		}}
		h.start(t, nil)
		s := dial(t, newTransport(t, h.net, Config{}), target())
		defer s.Close()
		to := []string{"no@example.com", "yes@example.com", "x> SIZE=1@example.com", "later@example.com", "odd@example.com", "ü@example.com"}
		results, err := s.Send(context.Background(), envelope(to...))
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			"550 5.1.1 no such user here see https://example.com/",
			"250 2.0.0 accepted queued as 4F1A",
			`5.1.3 the address "x> SIZE=1@example.com" cannot be sent`,
			"451 4.7.1 greylisted",
			"250 2.0.0 accepted queued as 4F1A",
			"5.6.7 the address is not ASCII and the host does not offer SMTPUTF8",
		}
		for i, r := range results {
			if got := r.Reply.String(); got != want[i] || r.Accepted != (r.Reply.Code == 250) || r.Reply.Local != (r.Reply.Code == 0) {
				t.Errorf("%s: %+v, want %s", to[i], r, want[i])
			}
		}
		if results, err := s.Send(context.Background(), &Envelope{From: "a@example.org"}); results != nil || err != nil {
			t.Errorf("no recipients: %v %v", results, err)
		}
	})
}

func TestExtensions(t *testing.T) {
	big := envelope()
	big.Data = make([]byte, 1001)
	eight, utf8, from := envelope(), envelope(), envelope()
	eight.EightBit, utf8.UTF8, from.From = true, true, "ä@example.org"
	bad := envelope()
	bad.From = "a@example.org>\r\nRCPT TO:<x@example.com"
	umlaut := envelope("ö@example.com")
	for _, c := range []struct {
		name string
		ext  []string
		env  *Envelope
		// status is that of the Local reply; when zero, mail is the MAIL command.
		status bounce.Status
		mail   string
	}{
		{"none", nil, envelope(), bounce.Status{}, "MAIL FROM:<a@example.org>"},
		{"size fits", []string{"SIZE 2000"}, envelope(), bounce.Status{}, "MAIL FROM:<a@example.org> SIZE=71"},
		{"size too large", []string{"SIZE 1000"}, big, bounce.Status{Class: 5, Subject: 3, Detail: 4}, ""},
		{"size zero is no limit", []string{"SIZE 0"}, big, bounce.Status{}, "MAIL FROM:<a@example.org> SIZE=1022"},
		{"size without limit", []string{"size"}, big, bounce.Status{}, "MAIL FROM:<a@example.org> SIZE=1022"},
		{"size garbage", []string{"SIZE lots"}, big, bounce.Status{}, "MAIL FROM:<a@example.org> SIZE=1022"},
		{"size beyond int64", []string{"SIZE 99999999999999999999"}, big, bounce.Status{}, "MAIL FROM:<a@example.org> SIZE=1022"},
		{"8bit missing", nil, eight, bounce.Status{Class: 5, Subject: 6, Detail: 3}, ""},
		{"8bit in lower case", []string{"8bitmime"}, eight, bounce.Status{}, "MAIL FROM:<a@example.org> BODY=8BITMIME"},
		{"utf8 missing", []string{"8BITMIME"}, utf8, bounce.Status{Class: 5, Subject: 6, Detail: 7}, ""},
		{"utf8", []string{"SMTPUTF8"}, utf8, bounce.Status{}, "MAIL FROM:<a@example.org> SMTPUTF8"},
		{"utf8 not needed", []string{"SMTPUTF8"}, envelope(), bounce.Status{}, "MAIL FROM:<a@example.org>"},
		{"sender not ascii", nil, from, bounce.Status{Class: 5, Subject: 6, Detail: 7}, ""},
		{"recipient not ascii", nil, umlaut, bounce.Status{Class: 5, Subject: 6, Detail: 7}, ""},
		{"recipient utf8", []string{"SMTPUTF8"}, umlaut, bounce.Status{}, "MAIL FROM:<a@example.org> SMTPUTF8"},
		{"injection", nil, bad, bounce.Status{Class: 5, Subject: 1, Detail: 7}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &fakeHost{ext: c.ext}
				h.start(t, nil)
				s := dial(t, newTransport(t, h.net, Config{}), target())
				results, err := s.Send(context.Background(), c.env)
				if err != nil || !s.Usable() {
					t.Fatalf("Send: %v, Usable() = %v", err, s.Usable())
				}
				s.Close()
				r := results[0]
				want := "EHLO mta1.example.org,QUIT"
				if c.status.IsZero() {
					want = "EHLO mta1.example.org," + c.mail + ",RCPT TO:<" + c.env.To[0] + ">,DATA,QUIT"
				}
				if r.Accepted != c.status.IsZero() || !r.Accepted && (r.Reply.Status != c.status || !r.Reply.Local) {
					t.Errorf("result is %+v", r)
				}
				if got := h.commands(0); got != want {
					t.Errorf("commands are %s, want %s", got, want)
				}
			})
		})
	}
}

func TestHELO(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHost{on: func(c *fakeConn, stage bounce.Stage, line string) bool {
			if stage != bounce.StageEHLO {
				return false
			}
			if strings.HasPrefix(line, "EHLO") {
				c.say("502 5.5.1 what")
			} else {
				c.say("250 mx.example.com")
			}
			return true
		}}
		h.start(t, nil)
		s := dial(t, newTransport(t, h.net, Config{}), target())
		mustSend(t, s, envelope())
		s.Close()
		want := "EHLO mta1.example.org,HELO mta1.example.org,MAIL FROM:<a@example.org>,RCPT TO:<b@example.com>,DATA,QUIT"
		if got := h.commands(0); got != want {
			t.Errorf("commands are %s, want %s", got, want)
		}
	})
}

// TestOutOfStep: a reply that is positive, but not for what was asked, ends the session.
func TestOutOfStep(t *testing.T) {
	for stage, reply := range map[bounce.Stage]string{
		bounce.StageMail: "354 go on", bounce.StageRcpt: "334 more", bounce.StageData: "250 2.0.0 ok", bounce.StageDot: "354 go on",
		atReset: "500 5.5.1 what",
	} {
		t.Run(string(stage), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &fakeHost{on: func(c *fakeConn, at bounce.Stage, line string) bool {
					switch {
					case at == stage:
						c.say(reply)
					case at == bounce.StageMail && strings.Contains(line, "<first"):
						c.say("450 4.0.0 so that a RSET comes")
					default:
						return false
					}
					return true
				}}
				h.start(t, nil)
				s := dial(t, newTransport(t, h.net, Config{}), target())
				if stage == atReset {
					first := envelope()
					first.From = "first@example.org"
					if _, err := s.Send(context.Background(), first); err != nil {
						t.Fatal(err)
					}
				}
				results, err := s.Send(context.Background(), envelope())
				r := asError(t, err).Reply
				if r.Status != statusProtocol || !r.Local || !strings.HasSuffix(r.Text(), reply) || results[0].Accepted || results[0].Reply.Text() != r.Text() || s.Usable() {
					t.Errorf("reply is %+v, result %+v", r, results[0])
				}
			})
		})
	}
}

func TestTimeoutText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHost{on: func(c *fakeConn, at bounce.Stage, line string) bool {
			if at == bounce.StageMail {
				c.hang()
			}
			return at == bounce.StageMail
		}}
		h.start(t, nil)
		s := dial(t, newTransport(t, h.net, Config{}), target())
		began := time.Now()
		_, err := s.Send(context.Background(), envelope())
		e := asError(t, err)
		if got := e.Error(); got != "transport: mail mx.example.com: 4.4.2 no reply within 5m0s" || time.Since(began) != 5*time.Minute {
			t.Errorf("after %v: %v", time.Since(began), got)
		}
		if e.Err == nil || !isTimeout(errors.Unwrap(err)) {
			t.Errorf("cause is %v", e.Err)
		}
	})
}
