package transport

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender/sendertest"
)

// TestSendThen goes through the contract of next: when it is called, and what follows from what it returns.
func TestSendThen(t *testing.T) {
	first, second := envelope("b@example.com", "c@example.com"), envelope("d@example.com", "e@example.com")
	bad, large, nobody := envelope("x> y@example.com"), envelope(), &Envelope{From: "a@example.org"}
	large.Data = make([]byte, 2000)
	for _, c := range []struct {
		name string
		ext  []string
		// refuse are the replies to commands that hold a text.
		refuse map[string]string
		next   *Envelope
		// called says whether next is called, begun whether the host sees its commands, one whether one of the first's recipients is accepted.
		called, begun, one bool
	}{
		{"begun", []string{"PIPELINING"}, nil, second, true, true, true},
		{"one refused", []string{"PIPELINING"}, map[string]string{"RCPT TO:<b": "550 no"}, second, true, true, true},
		{"none", []string{"PIPELINING"}, nil, nil, true, false, true},
		{"to nobody", []string{"PIPELINING"}, nil, nobody, true, false, true},
		{"cannot be said", []string{"PIPELINING"}, nil, bad, true, false, true},
		{"too large", []string{"PIPELINING", "SIZE 1000"}, nil, large, true, false, true},
		{"all refused", []string{"PIPELINING"}, map[string]string{"RCPT": "550 no"}, second, false, false, false},
		{"sender refused", []string{"PIPELINING"}, map[string]string{"MAIL": "550 no"}, second, false, false, false},
		{"refused at DATA", []string{"PIPELINING"}, map[string]string{"DATA": "550 no"}, second, false, false, false},
		{"no pipelining", nil, nil, second, false, false, true},
		{"chunking", []string{"PIPELINING", "CHUNKING"}, nil, second, false, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				refuse := c.refuse
				h := &fakeHost{ext: c.ext, on: func(conn *fakeConn, at bounce.Stage, line string) bool {
					for text, reply := range refuse {
						if strings.Contains(line, text) {
							conn.say(reply)
							return true
						}
					}
					return false
				}}
				h.start(t, nil)
				s := dial(t, newTransport(t, h.net, Config{}), target())
				calls := 0
				results, err := s.SendThen(context.Background(), first, func() *Envelope {
					calls++
					if got := len(h.messages()); got != 0 {
						t.Errorf("%d messages at the time of the call", got)
					}
					return c.next
				})
				if err != nil || len(results) != 2 || results[1].Accepted != c.one || !s.Usable() {
					t.Fatalf("%+v %v", results, err)
				}
				if called := calls == 1; called != c.called {
					t.Errorf("called %d times", calls)
				}
				synctest.Wait()
				if begun := strings.Contains(h.commands(0), "<d@"); begun != c.begun {
					t.Errorf("commands are %s", h.commands(0))
				}
				if want := map[bool]int{true: 2, false: 1}[c.begun]; s.Messages() != want {
					t.Errorf("Messages() = %d, want %d", s.Messages(), want)
				}
				refuse = nil
				mustSend(t, s, second)
				mustSend(t, s, first)
				s.Close()
				if got := h.commands(0); !strings.HasSuffix(got, "QUIT") || strings.Count(got, "<d@") != 1 {
					t.Errorf("commands are %s", got)
				}
			})
		})
	}
}

// TestSendThenIndependent: what becomes of one message is nothing to the other.
func TestSendThenIndependent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := map[string]string{"dot one@": "451 4.3.0 later", "RCPT two@": "550 5.1.1 no", "MAIL three@": "550 5.7.1 no", "DATA four@": "452 4.3.1 full", "dot five@": "550 5.7.1 spam"}
		var from string
		h := &fakeHost{ext: []string{"PIPELINING"}, on: func(c *fakeConn, at bounce.Stage, line string) bool {
			if _, path, ok := strings.Cut(line, "FROM:<"); ok {
				from, _, _ = strings.Cut(path, "@")
			}
			verb, _, _ := strings.Cut(line, " ")
			if at == bounce.StageDot {
				verb = "dot"
			}
			reply := answers[verb+" "+from+"@"]
			if reply != "" {
				c.say(reply)
			}
			return reply != ""
		}}
		h.start(t, nil)
		s := dial(t, newTransport(t, h.net, Config{}), target())
		var envs []*Envelope
		for _, from := range []string{"one", "two", "three", "four", "five", "six", "seven"} {
			env := envelope("b@example.com", "c@example.com")
			env.From = from + "@example.org"
			envs = append(envs, env)
		}
		want := []string{
			"dot 451 4.3.0 later", "rcpt 550 5.1.1 no", "mail 550 5.7.1 no", "data 452 4.3.1 full", "dot 550 5.7.1 spam",
			"dot 250 2.0.0 accepted queued as 4F1A", "dot 250 2.0.0 accepted queued as 4F1A",
		}
		for i, env := range envs {
			results, err := s.SendThen(context.Background(), env, func() *Envelope {
				if i+1 < len(envs) {
					return envs[i+1]
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				if got := string(r.Reply.Stage) + " " + r.Reply.String(); got != want[i] || r.Accepted != (i > 4) {
					t.Errorf("%s: %s, want %s", env.From, got, want[i])
				}
			}
		}
		s.Close()
	})
}

// TestSendThenIsBinding: a transaction that was begun is gone on with, or the session ends.
func TestSendThenIsBinding(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(t *testing.T, s *Session, next *Envelope)
		code string // commands behind it
	}{
		{"the next", func(t *testing.T, s *Session, next *Envelope) { mustSend(t, s, next); s.Close() }, "QUIT"},
		{"another one", func(t *testing.T, s *Session, _ *Envelope) {
			results, err := s.Send(context.Background(), envelope())
			if r := asError(t, err).Reply; r.Status != statusLost || r.Stage != bounce.StageMail || results[0].Reply.String() != r.String() || s.Usable() {
				t.Errorf("%+v %v", results, err)
			}
			s.Close()
		}, ""},
		{"nobody", func(t *testing.T, s *Session, next *Envelope) {
			if results, err := s.Send(context.Background(), &Envelope{}); results != nil || err != nil {
				t.Errorf("%+v %v", results, err)
			}
			mustSend(t, s, next)
			s.Close()
		}, "QUIT"},
		{"none", func(t *testing.T, s *Session, _ *Envelope) { s.Close() }, ""},
		{"cancelled, and then the next", func(t *testing.T, s *Session, next *Envelope) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			if results, err := s.Send(ctx, next); err != context.Canceled || len(results) != 1 {
				t.Errorf("%+v %v", results, err)
			}
			mustSend(t, s, next)
			s.Close()
		}, "QUIT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &fakeHost{ext: []string{"PIPELINING"}}
				h.start(t, nil)
				s := dial(t, newTransport(t, h.net, Config{}), target())
				next := envelope()
				if _, err := s.SendThen(context.Background(), envelope(), func() *Envelope { return next }); err != nil {
					t.Fatal(err)
				}
				c.do(t, s, next)
				time.Sleep(time.Minute)
				if got := h.commands(0); strings.Contains(got, "QUIT") != (c.code != "") {
					t.Errorf("commands are %s", got)
				}
				if n := h.net.OpenConns(); n != 0 {
					t.Errorf("%d connection ends left open", n)
				}
			})
		})
	}
}

// TestSendThenLost: when the session ends before the content of the next one was sent, nothing of it was taken.
func TestSendThenLost(t *testing.T) {
	for _, c := range []struct {
		name string
		// at and nth are when the host does it: the nth time that it comes to a stage.
		at  bounce.Stage
		nth int
		do  func(c *fakeConn)
		// first says whether the first message is accepted; then are the replies to the second's recipients.
		first       bool
		then, then2 string
	}{
		{"dropped in place of the dot's reply", bounce.StageDot, 1, func(c *fakeConn) { c.Close() }, false,
			"mail 4.4.2 the session has ended", "mail 4.4.2 the session has ended"},
		{"421 for the dot", bounce.StageDot, 1, func(c *fakeConn) { c.say("421 4.3.0 bye"); c.Close() }, false,
			"mail 4.4.2 the session has ended", "mail 4.4.2 the session has ended"},
		{"dropped behind the dot's reply", bounce.StageDot, 1, func(c *fakeConn) { c.say("250 ok"); c.Close() }, true,
			"mail 4.4.2 the host closed the connection", "mail 4.4.2 the host closed the connection"},
		{"reset behind the dot's reply", bounce.StageDot, 1, func(c *fakeConn) { c.say("250 ok"); sendertest.Reset(c.Conn) }, true,
			"mail 4.4.2 the host reset the connection", "mail 4.4.2 the host reset the connection"},
		{"421 behind the dot's reply", bounce.StageDot, 1, func(c *fakeConn) { c.say("250 ok\r\n421 4.7.0 enough"); c.Close() }, true,
			"mail 421 4.7.0 enough", "mail 421 4.7.0 enough"},
		{"a reply too many behind the dot's", bounce.StageDot, 1, func(c *fakeConn) { c.say("250 ok\r\n250 what") }, true,
			"mail 4.5.0 unexpected reply: 250 2.1.5 ok", "mail 4.5.0 unexpected reply: 250 2.1.5 ok"},
		{"a refusal too many behind the dot's reply", bounce.StageDot, 1, func(c *fakeConn) { c.say("250 ok\r\n550 5.7.1 what") }, true,
			"mail 4.5.0 unexpected reply: 250 2.1.5 ok", "mail 4.5.0 unexpected reply: 250 2.1.5 ok"},
		{"dropped at the second MAIL", bounce.StageMail, 2, func(c *fakeConn) { c.Close() }, true,
			"mail 4.4.2 the host closed the connection", "mail 4.4.2 the host closed the connection"},
		{"dropped at the second DATA", bounce.StageData, 2, func(c *fakeConn) { c.Close() }, true,
			"rcpt 550 5.1.1 no", "mail 4.4.2 the host closed the connection"},
		{"421 at the second DATA", bounce.StageData, 2, func(c *fakeConn) { c.say("421 4.3.0 bye") }, true,
			"rcpt 550 5.1.1 no", "data 421 4.3.0 bye"},
		{"silent at the second DATA", bounce.StageData, 2, func(c *fakeConn) { c.hang() }, true,
			"rcpt 550 5.1.1 no", "data 4.4.2 no reply within 37s"},
		{"out of step at the second DATA", bounce.StageData, 2, func(c *fakeConn) { c.say("250 ok") }, true,
			"mail 4.5.0 unexpected reply: 250 ok", "mail 4.5.0 unexpected reply: 250 ok"},
		{"dropped in place of the second dot's reply", bounce.StageDot, 2, func(c *fakeConn) { c.Close() }, true,
			"rcpt 550 5.1.1 no", "dot 4.4.2 " + unknownOutcome + "the host closed the connection"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				seen := map[bounce.Stage]int{}
				h := &fakeHost{ext: []string{"PIPELINING"}, on: func(conn *fakeConn, at bounce.Stage, line string) bool {
					if seen[at]++; at == c.at && seen[at] == c.nth {
						c.do(conn)
						return true
					}
					if strings.Contains(line, "<no@") {
						conn.say("550 5.1.1 no")
						return true
					}
					return false
				}}
				h.start(t, nil)
				s := dial(t, newTransport(t, h.net, Config{Timeouts: shortTimeouts}), target())
				next := envelope("no@example.com", "yes@example.com")
				results, err := s.SendThen(context.Background(), envelope(), func() *Envelope { return next })
				if results[0].Accepted != c.first || (err == nil) != c.first {
					t.Errorf("first: %+v %v", results, err)
				}
				results, err = s.Send(context.Background(), next)
				if err == nil || s.Usable() {
					t.Errorf("next: no error")
				}
				for i, want := range []string{c.then, c.then2} {
					if got := string(results[i].Reply.Stage) + " " + results[i].Reply.String(); got != want || results[i].Accepted {
						t.Errorf("next, %d: %s, want %s", i, got, want)
					}
				}
				s.Close()
				time.Sleep(time.Minute)
				if n := h.net.OpenConns(); n != 0 {
					t.Errorf("%d connection ends left open", n)
				}
			})
		})
	}
}
