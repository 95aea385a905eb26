package transport

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender/sendertest"
)

// misbehaviour is what a host does at a stage.
type misbehaviour struct {
	name string
	do   func(c *fakeConn)
	// code is that of the reply, or 0 for a Local reply with status.
	code   int
	status bounce.Status
	// alive says that the session goes on when it happens from MAIL on.
	alive bool
}

var misbehaviours = []misbehaviour{
	{name: "reject 4xx", do: func(c *fakeConn) { c.say("451-4.3.0 try\r\n451 4.3.0 later") }, code: 451, alive: true},
	{name: "reject 5xx", do: func(c *fakeConn) { c.say("554 5.7.1 never") }, code: 554, alive: true},
	{name: "bare code", do: func(c *fakeConn) { c.say("550") }, code: 550, alive: true},
	{name: "mixed codes", do: func(c *fakeConn) { c.say("250-ok\r\nno code\r\n550 but no") }, code: 550, alive: true},
	{name: "421", do: func(c *fakeConn) { c.say("421 4.3.2 closing"); c.Close() }, code: 421},
	{name: "421 and open", do: func(c *fakeConn) { c.say("421 4.3.2 closing") }, code: 421},
	{name: "drop", do: func(c *fakeConn) { c.Close() }, status: statusLost},
	{name: "reset", do: func(c *fakeConn) { sendertest.Reset(c.Conn) }, status: statusLost},
	{name: "drop amid the reply", do: func(c *fakeConn) { c.say("250-a"); c.Close() }, status: statusLost},
	{name: "tarpit", do: func(c *fakeConn) { c.hang() }, status: statusLost},
	{name: "drip", do: func(c *fakeConn) {
		for {
			for _, b := range []byte("250-slowly\r\n") {
				time.Sleep(time.Second)
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
			}
		}
	}, status: statusLost},
	{name: "endless reply", do: func(c *fakeConn) {
		for {
			if _, err := c.Write([]byte("250-more\r\n")); err != nil {
				return
			}
		}
	}, status: statusProtocol},
	{name: "endless line", do: func(c *fakeConn) {
		c.Write([]byte("250 "))
		for {
			if _, err := c.Write(make([]byte, 1000)); err != nil {
				return
			}
		}
	}, status: statusProtocol},
	{name: "garbage", do: func(c *fakeConn) { c.say("\x00\xff\x1b[2J HTTP/1.1 400 Bad Request") }, status: statusProtocol},
	{name: "empty line", do: func(c *fakeConn) { c.say("") }, status: statusProtocol},
	{name: "code 1xx", do: func(c *fakeConn) { c.say("150 soon") }, status: statusProtocol},
}

var stages = []bounce.Stage{
	bounce.StageConnect, bounce.StageEHLO, bounce.StageTLS, bounce.StageMail, bounce.StageRcpt, bounce.StageData, bounce.StageDot,
}

// shortTimeouts make every step of a conversation end within 40 seconds.
var shortTimeouts = Timeouts{
	Connect: 30 * time.Second, Handshake: 31 * time.Second, Greeting: 32 * time.Second, Hello: 33 * time.Second, Auth: 34 * time.Second,
	Mail: 35 * time.Second, Rcpt: 36 * time.Second, Data: 37 * time.Second, Block: 38 * time.Second, Dot: 39 * time.Second,
}

func TestMisbehaviour(t *testing.T) {
	ca := certificate(t, "ca.example.com", nil)
	cert := serverTLS(certificate(t, "mx.example.com", &ca))
	for _, stage := range stages {
		for _, m := range misbehaviours {
			for _, mode := range modes {
				t.Run(fmt.Sprintf("%s/%s/%s", stage, m.name, mode.name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { testMisbehaviour(t, &fakeHost{tls: cert, ext: mode.ext}, stage, m) })
				})
			}
		}
	}
}

func testMisbehaviour(t *testing.T, h *fakeHost, stage bounce.Stage, m misbehaviour) {
	joined := slices.Contains(h.ext, "PIPELINING") && slices.Contains(h.ext, "CHUNKING")
	if stage == bounce.StageData && slices.Contains(h.ext, "CHUNKING") {
		t.Skip("there is no DATA")
	}
	times := 1 // once
	h.on = func(c *fakeConn, at bounce.Stage, line string) bool {
		if at != stage || times == 0 || strings.Contains(line, "<fine") {
			return false
		}
		times--
		m.do(c)
		return true
	}
	h.start(t, nil)
	tr := newTransport(t, h.net, Config{Timeouts: shortTimeouts, TLSConfig: nil})
	began := time.Now()
	check := func(r bounce.Reply, err error) {
		t.Helper()
		stage := stage
		if joined && m.code == 0 && (stage == bounce.StageMail || stage == bounce.StageRcpt) {
			stage = bounce.StageDot // the host had the content already
		}
		if r.Code != m.code || r.Local != (m.code == 0) || r.Local && r.Status != m.status || r.Stage != stage || r.Host != "mx.example.com" {
			t.Errorf("reply is %+v", r)
		}
		if err != nil && asError(t, err).Reply.String() != r.String() {
			t.Errorf("error is %v", err)
		}
		if len(r.Text()) > 4200 || strings.ContainsAny(r.Text(), "\x00\x1b\r\n") {
			t.Errorf("text is %.100q", r.Text())
		}
	}
	s, err := tr.Dial(context.Background(), target())
	switch stage {
	case bounce.StageConnect, bounce.StageEHLO:
		if err == nil {
			t.Fatal("Dial: no error")
		}
		check(asError(t, err).Reply, err)
	case bounce.StageTLS:
		// Opportunistic: goes on in clear text, on the same connection or a new one, unless the host said that it closes.
		if m.code == 421 {
			check(asError(t, err).Reply, err)
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := s.TLS(); ok {
			t.Error("there is TLS")
		}
		if want := map[bool]int{true: 1, false: 2}[m.alive]; h.dialled() != want {
			t.Errorf("%d connections, want %d", h.dialled(), want)
		}
		mustSend(t, s, envelope())
	default:
		if err != nil {
			t.Fatal(err)
		}
		results, err := s.Send(context.Background(), envelope("fine@example.com", "b@example.com", "fine2@example.com"))
		if m.alive != (err == nil) || s.Usable() != m.alive {
			t.Errorf("Send: %v, Usable() = %v", err, s.Usable())
		}
		check(results[1].Reply, err)
		for i, r := range results {
			if accepted := stage == bounce.StageRcpt && m.alive && i != 1; r.Accepted != accepted {
				t.Errorf("result %d is %+v", i, r)
			} else if !accepted {
				check(r.Reply, nil)
			}
		}
		unknown := strings.Contains(results[0].Reply.Text(), "unknown")
		if unknown != (m.code == 0 && results[0].Reply.Stage == bounce.StageDot) {
			t.Errorf("text is %q", results[0].Reply.Text())
		}
		if m.alive {
			mustSend(t, s, envelope())
		} else if again, err := s.Send(context.Background(), envelope()); err == nil || again[0].Reply.Status != statusLost {
			t.Errorf("Send after the end: %v %v", again, err)
		}
	}
	if s != nil {
		s.Close()
	}
	if took := time.Since(began); took > 41*time.Second {
		t.Errorf("took %v", took)
	}
	time.Sleep(time.Minute) // until the host has seen it, too
	if n := h.net.OpenConns(); n != 0 {
		t.Errorf("%d connection ends left open", n)
	}
}

// TestSlowContent: a host that takes the content drop by drop has a bounded time for it as a whole.
func TestSlowContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 4 << 20
		h := &fakeHost{on: func(c *fakeConn, at bounce.Stage, line string) bool {
			if at == atContent {
				// Fast enough for the time-out of each block, too slow for the whole.
				buf := make([]byte, blockSize)
				for {
					time.Sleep(time.Minute)
					if _, err := c.Conn.Read(buf); err != nil {
						return true
					}
				}
			}
			return false
		}}
		h.start(t, nil)
		s := dial(t, newTransport(t, h.net, Config{}), target())
		env := envelope()
		env.Data = make([]byte, size)
		began := time.Now()
		_, err := s.Send(context.Background(), env)
		if r := asError(t, err).Reply; r.Stage != bounce.StageDot || r.Status != statusLost || !strings.Contains(r.Text(), "while sending") {
			t.Errorf("reply is %+v", r)
		}
		if took := time.Since(began); took > 3*time.Minute+size/contentRate*time.Second {
			t.Errorf("took %v", took)
		}
		time.Sleep(time.Hour)
	})
}

// TestLastWords: a host refuses amid the content and closes.
func TestLastWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHost{on: func(c *fakeConn, at bounce.Stage, line string) bool {
			if at == atContent {
				c.br.Discard(1000)
				c.say("552 5.3.4 too much")
				c.Close()
			}
			return at == atContent
		}}
		h.start(t, nil)
		s := dial(t, newTransport(t, h.net, Config{}), target())
		env := envelope()
		env.Data = make([]byte, 1<<20)
		results, err := s.Send(context.Background(), env)
		if r := asError(t, err).Reply; r.Stage != bounce.StageDot || r.Code != 552 || results[0].Reply.Code != 552 {
			t.Errorf("error is %v, result %+v", err, results[0])
		}
	})
}

// TestIdle: the host says 421 and closes while nothing is going on.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHost{}
		h.on = func(c *fakeConn, at bounce.Stage, line string) bool {
			if at == bounce.StageDot {
				c.say("250 2.0.0 ok")
				c.say("421 4.4.2 idle")
				c.Close()
				return true
			}
			return false
		}
		h.start(t, nil)
		s := dial(t, newTransport(t, h.net, Config{}), target())
		defer s.Close()
		mustSend(t, s, envelope())
		time.Sleep(time.Hour)
		_, err := s.Send(context.Background(), envelope())
		if r := asError(t, err).Reply; r.Code != 421 || r.Stage != bounce.StageMail || s.Usable() {
			t.Errorf("error is %v", err)
		}
	})
}
