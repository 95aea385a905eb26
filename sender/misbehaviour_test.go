package sender_test

import (
	"bytes"
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/sender/transport"
)

// misbehaviour is a receiver that misbehaves, and what must become of one message to it.
type misbehaviour struct {
	name   string
	server sendertest.ServerConfig
	tls    transport.TLSPolicy
	change func(*sender.Message)
	// first is the category of the first failed attempt; empty: there is none.
	first bounce.Category
	stage bounce.Stage
	// final is what becomes of the message in the end.
	final queue.State
	// arrives is how often the receiver takes it: twice where it takes it without saying so.
	arrives int
}

func script(s sendertest.Script) sendertest.ServerConfig { return sendertest.ServerConfig{Script: s} }

func misbehaviours(t *testing.T) []misbehaviour {
	ca, err := sendertest.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	expired, err := ca.Expired("mx.example.com")
	if err != nil {
		t.Fatal(err)
	}
	withTLS := func(s sendertest.Script) sendertest.ServerConfig { return sendertest.ServerConfig{CA: ca, Script: s} }
	once := func(s sendertest.Script) sendertest.ServerConfig { return script(sendertest.Times(1, s)) }
	eightBit := func(m *sender.Message) {
		m.Data = []byte("From: a@example.org\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\nMIME-Version: 1.0\r\n\r\nGrüße\r\n")
	}
	utf8 := func(m *sender.Message) { m.To = []string{"jörg@example.com"} }
	large := func(m *sender.Message) { m.Data = append(m.Data, make([]byte, 0)...); m.Data = padded(m.Data, 20_000) }
	list := []misbehaviour{
		{name: "greylist", server: script(sendertest.Greylist(5 * time.Minute)), first: bounce.Greylisted, stage: bounce.StageRcpt, final: queue.Delivered, arrives: 1},
		{name: "rate limit with 421", server: once(sendertest.RejectAt(bounce.StageMail, "421 4.7.28 Our system has detected an unusual rate of mail from your IP address")), first: bounce.RateLimited, stage: bounce.StageMail, final: queue.Delivered, arrives: 1},
		{name: "tarpit", server: script(sendertest.Tarpit(20 * time.Second)), final: queue.Delivered, arrives: 1},
		{name: "slow drip", server: script(sendertest.SlowDrip(time.Second)), final: queue.Delivered, arrives: 1},
		{name: "slow drip past every time-out", server: script(sendertest.SlowDrip(time.Minute)), first: bounce.Network, stage: bounce.StageConnect, final: queue.Expired},
		{name: "unknown user", server: script(sendertest.UnknownUsers(func(string) bool { return true })), first: bounce.BadMailbox, stage: bounce.StageRcpt, final: queue.Bounced},
		{name: "garbage greeting", server: script(sendertest.GarbageGreeting()), first: bounce.ProtocolError, stage: bounce.StageConnect, final: queue.Expired},
		{name: "drop before the final dot", server: once(sendertest.DropBeforeDot()), first: bounce.Network, stage: bounce.StageDot, final: queue.Delivered, arrives: 1},
		{name: "drop after the final dot", server: once(sendertest.DropAfterDot()), first: bounce.Network, stage: bounce.StageDot, final: queue.Delivered, arrives: 2},
		{name: "bad TLS, opportunistic", server: withTLS(sendertest.BadTLS()), final: queue.Delivered, arrives: 1},
		{name: "bad TLS, required", server: withTLS(sendertest.BadTLS()), tls: transport.TLSRequired, first: bounce.TLSRequired, stage: bounce.StageTLS, final: queue.Expired},
		{name: "old TLS, opportunistic", server: withTLS(sendertest.OldTLS()), final: queue.Delivered, arrives: 1},
		{name: "old TLS, required", server: withTLS(sendertest.OldTLS()), tls: transport.TLSRequired, first: bounce.TLSRequired, stage: bounce.StageTLS, final: queue.Expired},
		{name: "bad certificate, opportunistic", server: withTLS(sendertest.BadCertificate(expired)), final: queue.Delivered, arrives: 1},
		{name: "bad certificate, verified", server: withTLS(sendertest.BadCertificate(expired)), tls: transport.TLSVerified, first: bounce.TLSRequired, stage: bounce.StageTLS, final: queue.Expired},
		{name: "no TLS, required", tls: transport.TLSRequired, first: bounce.TLSRequired, stage: bounce.StageTLS, final: queue.Expired},
		{name: "no 8BITMIME", server: sendertest.ServerConfig{Extensions: sendertest.Extensions{No8BitMIME: true}}, change: eightBit, first: bounce.ProtocolError, stage: bounce.StageMail, final: queue.Bounced},
		{name: "no SMTPUTF8", server: sendertest.ServerConfig{Extensions: sendertest.Extensions{NoSMTPUTF8: true}}, change: utf8, first: bounce.ProtocolError, stage: bounce.StageMail, final: queue.Bounced},
		{name: "SIZE too small", server: sendertest.ServerConfig{MaxSize: 10_000}, change: large, first: bounce.MessageTooLarge, stage: bounce.StageMail, final: queue.Bounced},
		{name: "rate limit", server: script(sendertest.RateLimit(0, time.Hour)), first: bounce.RateLimited, stage: bounce.StageMail, final: queue.Expired},
		{name: "no connection free", server: script(sendertest.MaxConnections(0)), first: bounce.RateLimited, stage: bounce.StageConnect, final: queue.Expired},
		{name: "STARTTLS refused", server: withTLS(sendertest.RejectAt(bounce.StageTLS, "454 4.7.0 TLS not available")), final: queue.Delivered, arrives: 1},
		{name: "STARTTLS refused, required", server: withTLS(sendertest.RejectAt(bounce.StageTLS, "454 4.7.0 TLS not available")), tls: transport.TLSRequired, first: bounce.TLSRequired, stage: bounce.StageTLS, final: queue.Expired},
		{name: "drop at STARTTLS", server: withTLS(sendertest.DropAt(bounce.StageTLS)), final: queue.Delivered, arrives: 1},
		{name: "hang at STARTTLS", server: withTLS(sendertest.Times(1, sendertest.HangAt(bounce.StageTLS))), final: queue.Delivered, arrives: 1},
		{name: "endless reply to STARTTLS", server: withTLS(sendertest.EndlessReply(bounce.StageTLS)), final: queue.Delivered, arrives: 1},
		{name: "HELO only", server: sendertest.ServerConfig{Extensions: sendertest.Extensions{NoEHLO: true}}, final: queue.Delivered, arrives: 1},
		{name: "closes after each message", server: script(sendertest.CloseAfter(1)), final: queue.Delivered, arrives: 1},
	}
	for _, stage := range []bounce.Stage{bounce.StageConnect, bounce.StageEHLO, bounce.StageMail, bounce.StageRcpt, bounce.StageData, bounce.StageDot} {
		list = append(list,
			misbehaviour{name: "drop at " + string(stage), server: once(sendertest.DropAt(stage)), first: bounce.Network, stage: stage, final: queue.Delivered, arrives: 1},
			misbehaviour{name: "hang at " + string(stage), server: once(sendertest.HangAt(stage)), first: bounce.Network, stage: stage, final: queue.Delivered, arrives: 1},
			misbehaviour{name: "endless reply at " + string(stage), server: once(sendertest.EndlessReply(stage)), first: bounce.ProtocolError, stage: stage, final: queue.Delivered, arrives: 1},
			misbehaviour{name: "busy at " + string(stage), server: once(sendertest.RejectAt(stage, "451 4.3.2 System not accepting network messages")), first: bounce.ServerBusy, stage: stage, final: queue.Delivered, arrives: 1},
			misbehaviour{name: "closing at " + string(stage), server: once(sendertest.RejectAt(stage, "421 4.3.2 Service shutting down")), first: bounce.ServerBusy, stage: stage, final: queue.Delivered, arrives: 1},
			misbehaviour{name: "blocklisted at " + string(stage), server: script(sendertest.RejectAt(stage, "554 5.7.1 Service unavailable; Client host [198.51.100.1] blocked using zen.spamhaus.org")), first: bounce.Blocklisted, stage: stage, final: queue.Bounced},
		)
	}
	return list
}

// padded makes a message at least n octets long.
func padded(data []byte, n int) []byte {
	for len(data) < n {
		data = append(data, "0123456789012345678901234567890123456789012345678901234567890\r\n"...)
	}
	return data
}

// TestMisbehaviours sends one message to each kind of bad receiver. That nothing leaks shows at the end of the bubble,
// which fails while a goroutine is left, and in the connections of the network.
func TestMisbehaviours(t *testing.T) {
	for i, m := range misbehaviours(t) {
		t.Run(m.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { misbehaviours(t)[i].check(t) }) // certificates need the bubble's time
		})
	}
}

func (m misbehaviour) check(t *testing.T) {
	w := newWorld(t)
	mx := w.mx("example.com", m.server)
	cfg := w.config()
	cfg.Routes[0].TLS = m.tls
	cfg.Streams = []sender.Stream{{Name: "default", ExpireAfter: 6 * time.Hour}}
	s := w.start(cfg)
	msg := note("anna@example.com")
	if m.change != nil {
		m.change(&msg)
	}
	out := w.send(s, msg)
	if out.State != m.final {
		t.Errorf("became %s (%s), want %s", out.State, out.Reply, m.final)
	}
	w.must(s.Stop(context.Background()))
	failed := w.of(sender.EventDeferred, sender.EventBounced)
	switch {
	case m.first == "" && len(failed) > 0:
		t.Errorf("attempt failed: %s: %s", failed[0].Verdict.Category, failed[0].Reply)
	case m.first != "" && len(failed) == 0:
		t.Errorf("no attempt failed, want %s", m.first)
	case m.first != "" && strings.HasPrefix(m.name, "drop at") && failed[0].Reply.Stage == bounce.StageMail: // what a reset takes with it of the replies to a group, nobody hears
	case m.first != "" && (failed[0].Verdict.Category != m.first || failed[0].Reply.Stage != m.stage):
		t.Errorf("first failure %s at %s (%s: %s), want %s at %s", failed[0].Verdict.Category, failed[0].Reply.Stage,
			failed[0].Verdict.Rule, failed[0].Reply, m.first, m.stage)
	}
	if n := mx.Inbox().Len(); n != m.arrives {
		t.Errorf("arrived %d times, want %d", n, m.arrives)
	}
	if out.Verdict.Suppress && m.first != bounce.BadMailbox {
		t.Errorf("suppresses the address for %s", out.Verdict.Category)
	}
	if v := mx.Stats().Violations; v > 0 {
		t.Errorf("%d violations of the protocol by us", v)
	}
	mx.Close()
	synctest.Wait() // the other sides see it
	if n := w.net.OpenConns(); n != 0 {
		t.Errorf("%d connections are open", n)
	}
}

// TestUnreachable covers what fails before any receiver says a word.
func TestUnreachable(t *testing.T) {
	for _, c := range []struct {
		name     string
		prepare  func(w *world) error
		category bounce.Category
		state    queue.State
	}{
		{"no such domain", func(w *world) error { return nil }, bounce.BadDomain, queue.Bounced},
		{"null MX", func(w *world) error { return w.dns.AddNullMX("example.net") }, bounce.BadDomain, queue.Bounced},
		{"no address", func(w *world) error { return w.dns.AddMX("example.net", 10, "mx.example.net") }, bounce.BadDomain, queue.Bounced},
		{"name server fails", func(w *world) error { return w.dns.SetServFail("example.net") }, "", queue.Expired},
		{"name server is silent", func(w *world) error { return w.dns.SetTimeout("example.net") }, "", queue.Expired},
		{"connection refused", func(w *world) error {
			return errors.Join(w.dns.AddMX("example.net", 10, "mx.example.net"), w.dns.AddA("mx.example.net", nobody))
		}, bounce.Network, queue.Expired},
		{"connection times out", func(w *world) error {
			w.net.Blackhole(nobody)
			return errors.Join(w.dns.AddMX("example.net", 10, "mx.example.net"), w.dns.AddA("mx.example.net", nobody))
		}, bounce.Network, queue.Expired},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.must(c.prepare(w))
				cfg := w.config()
				cfg.Streams = []sender.Stream{{Name: "default", ExpireAfter: 6 * time.Hour}}
				s := w.start(cfg)
				began := time.Now()
				out := w.send(s, note("anna@example.net"))
				wantOutcome(t, out, c.state, c.category)
				if took := time.Since(began); c.state == queue.Expired && (took < 6*time.Hour || took > 6*time.Hour+2*time.Minute) {
					t.Errorf("expired after %v", took)
				}
			})
		})
	}
}

// TestMisbehavioursAreAll: each ready-made behaviour of sendertest stands in the table above.
func TestMisbehavioursAreAll(t *testing.T) {
	table, err := os.ReadFile("misbehaviour_test.go")
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), "sendertest/behaviour.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Recv != nil || !f.Name.IsExported() || f.Type.Results == nil {
			continue
		}
		result, ok := f.Type.Results.List[0].Type.(*ast.Ident)
		if !ok || result.Name != "Script" || f.Name.Name == "When" || f.Name.Name == "Times" {
			continue
		}
		n++
		if !bytes.Contains(table, []byte("sendertest."+f.Name.Name+"(")) {
			t.Errorf("%s is not tested", f.Name.Name)
		}
	}
	if n < 15 {
		t.Errorf("found only %d behaviours", n)
	}
}
