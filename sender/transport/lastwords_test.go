package transport

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
)

// deafConn fails to write after some octets, as to a host that reads no more. What the host says still comes.
type deafConn struct {
	net.Conn
	left int
}

func (c *deafConn) Readable() bool { return c.Conn.(interface{ Readable() bool }).Readable() }

func (c *deafConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p[:min(len(p), c.left)])
	if c.left -= n; err == nil && n < len(p) {
		err = &net.OpError{Op: "write", Err: os.NewSyscallError("write", syscall.EPIPE)}
	}
	return n, err
}

// dialDeaf is a session with a host that reads no more after some octets.
func dialDeaf(t *testing.T, h *fakeHost, octets int) *Session {
	t.Helper()
	h.start(t, nil)
	tr, err := New(Config{Dial: func(ctx context.Context, local netip.Addr, addr netip.AddrPort) (net.Conn, error) {
		conn, err := h.net.Dial(ctx, local, addr)
		return &deafConn{conn, octets}, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	return dial(t, tr, target())
}

// TestLastWords: a host says something amid the content and reads no more. A refusal is one; a yes cannot mean what was not sent.
func TestLastWords(t *testing.T) {
	for _, mode := range modes {
		for _, c := range []struct{ says, want string }{
			{"552 5.3.4 too much", "552 5.3.4 too much"},
			{"421 4.3.2 closing", "421 4.3.2 closing"},
			{"250 2.0.0 accepted", "4.4.2 lost the connection while sending the content: broken pipe"},
		} {
			t.Run(mode.name+"/"+c.says[:3], func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := &fakeHost{ext: mode.ext, on: func(conn *fakeConn, at bounce.Stage, line string) bool {
						if at == atContent {
							conn.br.Discard(100)
							conn.say(c.says)
							conn.hang()
						}
						return at == atContent
					}}
					s := dialDeaf(t, h, 400)
					env := envelope()
					env.Data = make([]byte, 10_000)
					results, err := s.Send(context.Background(), env)
					if r := asError(t, err).Reply; r.Stage != bounce.StageDot || r.String() != c.want {
						t.Errorf("error is %v", err)
					}
					if r := results[0]; r.Accepted || r.Reply.String() != c.want {
						t.Errorf("result is %+v", r)
					}
				})
			})
		}
	}
}

// TestLastWordsEnd: however slowly they come, they are listened to for a while only.
func TestLastWordsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHost{ext: []string{"PIPELINING", "CHUNKING"}, on: func(c *fakeConn, at bounce.Stage, line string) bool {
			if at == bounce.StageRcpt {
				time.Sleep(lastWordsWait * 3 / 4)
			}
			return false
		}}
		s := dialDeaf(t, h, 600)
		env := envelope(victims...)
		env.Data = make([]byte, 10_000)
		began := time.Now()
		_, err := s.Send(context.Background(), env)
		if took := time.Since(began); err == nil || took != lastWordsWait {
			t.Errorf("%v after %v", err, took)
		}
		time.Sleep(time.Minute) // until the host has seen it
	})
}

// TestLastWordsAstray: what makes no sense behind a break takes nothing back that was said before it.
func TestLastWordsAstray(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHost{ext: []string{"PIPELINING"}, on: func(c *fakeConn, at bounce.Stage, line string) bool {
			switch {
			case strings.Contains(line, "<fine@"):
				c.say("550 5.1.1 no such user")
			case strings.Contains(line, "<b@"):
				c.say("354 go")
			default:
				return false
			}
			return true
		}}
		s := dialDeaf(t, h, len("EHLO mta1.example.org\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<fine@example.com>\r\nRCPT TO:<b@example.com>\r\n"))
		results, err := s.Send(context.Background(), envelope(victims...))
		if r := asError(t, err).Reply; r.Status != statusProtocol {
			t.Errorf("error is %v", err)
		}
		if results[0].Reply.String() != "550 5.1.1 no such user" || results[1].Reply.Status != statusProtocol {
			t.Errorf("results are %+v", results)
		}
	})
}
