package transport

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
)

// TestCancel cancels at every stage, and again right after a deadline was set.
func TestCancel(t *testing.T) {
	ca := certificate(t, "ca.example.com", nil)
	cert := serverTLS(certificate(t, "mx.example.com", &ca))
	for _, stage := range append([]bounce.Stage{atHandshake, atReset, atContent}, stages...) {
		for _, mode := range modes {
			if stage == bounce.StageData && slices.Contains(mode.ext, "CHUNKING") {
				continue
			}
			t.Run(string(stage)+"/"+mode.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := &fakeHost{tls: cert, ext: mode.ext, on: func(c *fakeConn, at bounce.Stage, line string) bool {
						switch {
						case at == stage && at == atContent:
							time.Sleep(time.Hour) // takes nothing at all
						case at == stage:
							c.hang()
						case at == bounce.StageMail && strings.Contains(line, "<first"):
							c.say("450 4.0.0 so that a RSET comes")
						default:
							return false
						}
						return true
					}}
					h.start(t, nil)
					tr := newTransport(t, h.net, Config{})
					ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
					defer cancel()
					began := time.Now()
					s, err := tr.Dial(ctx, target())
					if err == nil {
						first := envelope()
						first.From = "first@example.org"
						if stage == atReset {
							if _, err := s.Send(ctx, first); err != nil {
								t.Fatal(err)
							}
						}
						env := envelope()
						env.Data = make([]byte, 1<<20)
						var results []Result
						results, err = s.Send(ctx, env)
						if results[0].Accepted || results[0].Reply.Status != statusLost || !results[0].Reply.Local {
							t.Errorf("result is %+v", results[0])
						}
						if s.Usable() {
							t.Error("the session is still usable")
						}
					}
					if err != context.DeadlineExceeded {
						t.Errorf("error is %v", err)
					}
					if took := time.Since(began); took != 10*time.Second {
						t.Errorf("took %v", took)
					}
					time.Sleep(2 * time.Hour)
					if n := h.net.OpenConns(); n != 0 {
						t.Errorf("%d connection ends left open", n)
					}
				})
			})
		}
	}
}

func TestCancelledBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHost{}
		h.start(t, nil)
		tr := newTransport(t, h.net, Config{})
		ctx, cancel := context.WithCancel(context.Background())
		s, err := tr.Dial(ctx, target())
		if err != nil {
			t.Fatal(err)
		}
		cancel() // bounds the dialling only
		mustSend(t, s, envelope())
		results, err := s.Send(ctx, envelope())
		if err != context.Canceled || len(results) != 1 || results[0].Accepted || results[0].Reply.Status != statusLost {
			t.Errorf("Send: %v %v", results, err)
		}
		if !s.Usable() || s.Messages() != 1 {
			t.Error("nothing was sent, yet the session is used up")
		}
		if _, err := tr.Dial(ctx, target()); err != context.Canceled {
			t.Errorf("Dial: %v", err)
		}
		s.Close()
	})
}

func TestAbort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHost{on: func(c *fakeConn, at bounce.Stage, line string) bool {
			if at == bounce.StageRcpt {
				c.hang()
			}
			return at == bounce.StageRcpt
		}}
		h.start(t, nil)
		s := dial(t, newTransport(t, h.net, Config{}), target())
		go func() {
			time.Sleep(time.Second)
			s.Abort()
			s.Abort()
		}()
		_, err := s.Send(context.Background(), envelope())
		if r := asError(t, err).Reply; r.Stage != bounce.StageRcpt || r.Text() != "the connection was aborted" {
			t.Errorf("reply is %+v", r)
		}
		s.Close()
		s.Close()
		if got := h.commands(0); strings.Contains(got, "QUIT") {
			t.Errorf("commands are %s", got)
		}
	})
}
