package transport

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
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

// hostile is a row of the table: a host, and what may come of it.
type hostile struct {
	name   string
	host   *fakeHost
	policy TLSPolicy
	// wrap stands between the client and its connection.
	wrap func(net.Conn) net.Conn
	// check judges what came of it, beside what holds for all.
	check func(t *testing.T, o *outcome)
}

// outcome is what came of a session with a hostile host: of dialling, and of two messages.
type outcome struct {
	host           *fakeHost
	session        *Session
	dialled        error
	results, again []Result
	err, errAgain  error
}

// reply is the one that decided when there is only one: of the error, or of the second recipient.
func (o *outcome) reply(t *testing.T) bounce.Reply {
	t.Helper()
	switch {
	case o.dialled != nil:
		return asError(t, o.dialled).Reply
	case o.err != nil:
		return asError(t, o.err).Reply
	}
	return o.results[1].Reply
}

// The recipients of the first message, the second of whom the hosts of some rows refuse. The second message has the last one.
var victims = []string{"fine@example.com", "b@example.com", "fine2@example.com"}

// TestHostile is the table of all that a host can do to hurt: it takes a bounded time and memory, comes to the right category, leaves
// nothing open, and does not slow others.
func TestHostile(t *testing.T) {
	ca := certificate(t, "ca.example.com", nil)
	classifier, err := bounce.NewClassifier(bounce.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range slices.Concat(misbehaving(t, &ca), unasked(), hostileTLS(t, &ca), flooding(), cut()) {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { meet(t, row, trust(ca), classifier) })
		})
	}
}

// meet talks to a hostile host, and to a good one at the same time, over one Transport.
func meet(t *testing.T, row hostile, base *tls.Config, classifier *bounce.Classifier) {
	n := sendertest.NewNetwork()
	o := &outcome{host: row.host}
	good := &fakeHost{addr: netip.MustParseAddrPort("192.0.2.99:25"), ext: row.host.ext}
	o.host.start(t, n)
	good.start(t, n)
	tr, err := New(Config{Timeouts: shortTimeouts, TLSConfig: base, Dial: func(ctx context.Context, local netip.Addr, addr netip.AddrPort) (net.Conn, error) {
		conn, err := n.Dial(ctx, local, addr)
		if err == nil && addr == hostAddr && row.wrap != nil {
			conn = row.wrap(conn)
		}
		return conn, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	var others sync.WaitGroup
	others.Go(func() {
		to := target()
		to.Addr, to.Host = good.addr, "good.example.com"
		for range 3 {
			s, err := tr.Dial(context.Background(), to)
			if err == nil {
				_, err = s.Send(context.Background(), envelope())
			}
			if took := time.Since(began); err != nil || took > 0 {
				t.Errorf("another host: %v after %v", err, took)
			}
			s.Close()
		}
	})
	to := target()
	to.TLS = row.policy
	if o.session, o.dialled = tr.Dial(context.Background(), to); o.dialled == nil {
		o.results, o.err = o.session.Send(context.Background(), envelope(victims...))
		if len(o.results) != len(victims) || o.session.Usable() != (o.err == nil) {
			t.Errorf("%d results, Usable() = %v", len(o.results), o.session.Usable())
		}
		o.again, o.errAgain = o.session.Send(context.Background(), envelope(victims[2]))
		o.session.Close()
	}
	if took := time.Since(began); took > 82*time.Second {
		t.Errorf("took %v", took)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
		t.Errorf("took %d bytes", grown)
	}
	for i, r := range slices.Concat(o.results, o.again) {
		switch {
		case r.Reply.Stage == "" || r.Reply.Host != "mx.example.com" || r.Accepted && (r.Reply.Code/100 != 2 || r.Reply.Local || r.Reply.Stage != bounce.StageDot):
			t.Errorf("result %d is %+v", i, r)
		case len(r.Reply.Text()) > 4200 || strings.ContainsAny(r.Reply.Text(), "\x00\x1b\r\n"):
			t.Errorf("text is %.100q", r.Reply.Text())
		case !r.Accepted && r.Reply.Local:
			checkCategory(t, classifier, r.Reply)
		}
	}
	if o.dialled != nil && asError(t, o.dialled).Reply.Local {
		checkCategory(t, classifier, asError(t, o.dialled).Reply)
	}
	others.Wait()
	row.check(t, o)
	time.Sleep(time.Minute) // until the host has seen it, too
	if n := n.OpenConns(); n != 0 {
		t.Errorf("%d connection ends left open", n)
	}
}

// checkCategory holds the category of a reply of our own against its status: never the recipient's fault, never for good.
func checkCategory(t *testing.T, c *bounce.Classifier, r bounce.Reply) {
	t.Helper()
	want := map[bounce.Status]bounce.Category{
		statusLost: bounce.Network, statusConnect: bounce.Network, statusProtocol: bounce.ProtocolError,
		statusTLS: bounce.TLSRequired, statusNoTLS: bounce.TLSRequired,
	}[r.Status]
	if v := c.Classify("", r); v.Category != want || v.Permanent || v.Suppress || v.Scope == bounce.ScopeRecipient {
		t.Errorf("%s is %+v, want %s", r, v, want)
	}
}

// misbehaving are the rows of one misbehaviour at one stage of the first message, in each way of sending.
func misbehaving(t *testing.T, ca *tls.Certificate) []hostile {
	cert := serverTLS(certificate(t, "mx.example.com", ca))
	var rows []hostile
	for _, stage := range stages {
		for _, m := range misbehaviours {
			for _, mode := range modes {
				if stage == bounce.StageData && slices.Contains(mode.ext, "CHUNKING") {
					continue // there is no DATA
				}
				row := hostile{name: fmt.Sprintf("%s/%s/%s", stage, m.name, mode.name), host: &fakeHost{tls: cert, ext: mode.ext}}
				times := 1 // once
				row.host.on = func(c *fakeConn, at bounce.Stage, line string) bool {
					if at != stage || times == 0 || strings.Contains(line, "<fine") {
						return false
					}
					times--
					m.do(c)
					return true
				}
				joined := mode.name == "joined"
				row.check = func(t *testing.T, o *outcome) { checkMisbehaviour(t, o, stage, m, joined) }
				rows = append(rows, row)
			}
		}
	}
	return rows
}

func checkMisbehaviour(t *testing.T, o *outcome, stage bounce.Stage, m misbehaviour, joined bool) {
	check := func(r bounce.Reply) {
		t.Helper()
		stage := stage
		if joined && m.code == 0 && (stage == bounce.StageMail || stage == bounce.StageRcpt) {
			stage = bounce.StageDot // the host had the content already
		}
		if r.Code != m.code || r.Local != (m.code == 0) || r.Local && r.Status != m.status || r.Stage != stage || r.Host != "mx.example.com" {
			t.Errorf("reply is %+v", r)
		}
	}
	switch {
	case stage == bounce.StageTLS && m.code != 421:
		// Opportunistic: goes on in clear text, on the same connection or a new one, unless the host said that it closes.
		if o.dialled != nil || o.err != nil || o.errAgain != nil || !o.results[1].Accepted {
			t.Fatal(o.dialled, o.err, o.errAgain)
		}
		if _, ok := o.session.TLS(); ok {
			t.Error("there is TLS")
		}
		if want := map[bool]int{true: 1, false: 2}[m.alive]; o.host.dialled() != want {
			t.Errorf("%d connections, want %d", o.host.dialled(), want)
		}
	case stage == bounce.StageConnect || stage == bounce.StageEHLO || stage == bounce.StageTLS:
		check(o.reply(t))
	default:
		if o.dialled != nil || m.alive != (o.err == nil) {
			t.Fatal(o.dialled, o.err)
		}
		check(o.results[1].Reply)
		if o.err != nil && o.reply(t).String() != o.results[1].Reply.String() {
			t.Errorf("error is %v", o.err)
		}
		for i, r := range o.results {
			if accepted := stage == bounce.StageRcpt && m.alive && i != 1; r.Accepted != accepted {
				t.Errorf("result %d is %+v", i, r)
			} else if !accepted {
				check(r.Reply)
			}
		}
		unknown := strings.Contains(o.results[0].Reply.Text(), "unknown")
		if unknown != (m.code == 0 && o.results[0].Reply.Stage == bounce.StageDot) {
			t.Errorf("text is %q", o.results[0].Reply.Text())
		}
		if o.again[0].Accepted != m.alive || !m.alive && o.again[0].Reply.Status != statusLost {
			t.Errorf("the second message: %+v %v", o.again, o.errAgain)
		}
	}
}

// hostileTLS are the rows of wrong certificates and of injections.
func hostileTLS(t *testing.T, ca *tls.Certificate) []hostile {
	good := certificate(t, "mx.example.com", ca)
	refused := func(t *testing.T, o *outcome) {
		if r := o.reply(t); o.dialled == nil || r.Status != statusTLS || r.Stage != bounce.StageTLS || strings.Contains(o.host.commands(0), "MAIL") {
			t.Errorf("reply is %+v", r)
		}
	}
	inject := func(said string) func(*fakeConn, bounce.Stage, string) bool {
		return func(c *fakeConn, at bounce.Stage, _ string) bool {
			if at == bounce.StageTLS {
				c.say("220 go\r\n" + said)
				if c.handshake() {
					return true
				}
				c.Close()
			}
			return at == bounce.StageTLS
		}
	}
	return []hostile{
		{name: "certificate/expired", policy: TLSVerified, check: refused,
			host: &fakeHost{tls: serverTLS(certificateUntil(t, "mx.example.com", ca, time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC)))}},
		{name: "certificate/another name", policy: TLSVerified, check: refused, host: &fakeHost{tls: serverTLS(certificate(t, "other.example.com", ca))}},
		{name: "certificate/another authority", policy: TLSVerified, check: refused, host: &fakeHost{tls: serverTLS(certificate(t, "mx.example.com", nil))}},
		{name: "injection/a reply", policy: TLSRequired, check: refused, host: &fakeHost{tls: serverTLS(good), on: inject("250 ok")}},
		{name: "injection/extensions", policy: TLSRequired, check: refused, host: &fakeHost{tls: serverTLS(good), on: inject("250-mx\r\n250 PIPELINING")}},
		{name: "injection/half a line", policy: TLSRequired, check: refused, host: &fakeHost{tls: serverTLS(good), on: inject("2")}},
	}
}

// flooding are the rows of hosts that say much.
func flooding() []hostile {
	say := func(stage bounce.Stage, do func(c *fakeConn)) func(*fakeConn, bounce.Stage, string) bool {
		return func(c *fakeConn, at bounce.Stage, _ string) bool {
			if at == stage {
				do(c)
			}
			return at == stage
		}
	}
	much := func(c *fakeConn, piece string, total int) {
		block := []byte(strings.Repeat(piece, 64<<10/len(piece)))
		for sent := 0; sent < total; sent += len(block) {
			if _, err := c.Write(block); err != nil {
				return
			}
		}
	}
	fails := func(stage bounce.Stage) func(t *testing.T, o *outcome) {
		return func(t *testing.T, o *outcome) {
			if r := o.reply(t); o.dialled == nil || r.Status != statusProtocol || r.Stage != stage {
				t.Errorf("reply is %+v", r)
			}
		}
	}
	return []hostile{
		{name: "banner of 4 GB/lines", check: fails(bounce.StageConnect),
			host: &fakeHost{on: say(bounce.StageConnect, func(c *fakeConn) { much(c, "220-mx.example.com\r\n", 4<<30) })}},
		{name: "banner of 4 GB/a line", check: fails(bounce.StageConnect),
			host: &fakeHost{on: say(bounce.StageConnect, func(c *fakeConn) { c.Write([]byte("220 ")); much(c, "x", 4<<30) })}},
		{name: "banner of 4 GB/NULs", check: fails(bounce.StageConnect),
			host: &fakeHost{on: say(bounce.StageConnect, func(c *fakeConn) { much(c, "\x00", 4<<30) })}},
		{name: "10,000 extensions", check: fails(bounce.StageEHLO), host: &fakeHost{on: say(bounce.StageEHLO, func(c *fakeConn) {
			var all strings.Builder
			for i := range 10_000 {
				fmt.Fprintf(&all, "250-X%d\r\n", i)
			}
			c.say(all.String() + "250 PIPELINING")
		})}},
		{name: "extensions that are none", host: &fakeHost{on: say(bounce.StageEHLO, func(c *fakeConn) {
			c.say("250-mx\r\n250-PIPELINING\x00\r\n250-\xff\xfe CHUNKING\r\n250- \r\n250-SIZE -1\r\n250 " + strings.Repeat("AUTH ", 1000))
		})}, check: func(t *testing.T, o *outcome) {
			if o.session.window > 1 || o.session.chunking || !o.results[0].Accepted {
				t.Errorf("window %d, chunking %v, %+v", o.session.window, o.session.chunking, o.results)
			}
		}},
	}
}

// TestSlowContent: a host that takes the content drop by drop has a bounded time for it as a whole.
func TestSlowContent(t *testing.T) {
	for _, mode := range modes {
		synctest.Test(t, func(t *testing.T) {
			const size = 4 << 20
			h := &fakeHost{ext: mode.ext, on: func(c *fakeConn, at bounce.Stage, line string) bool {
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
