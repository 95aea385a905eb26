package sendertest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender/sendertest"
)

// attempt connects, says EHLO, sends one message and quits, with a time-out of a minute for each step. It returns the stage
// that failed with its error, or "" when the message was accepted.
func attempt(t testing.TB, n *sendertest.Network, addr netip.AddrPort, source string) (bounce.Stage, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := n.Dial(ctx, netip.MustParseAddr(source), addr)
	if err != nil {
		return bounce.StageConnect, err
	}
	c := smtp.NewClient(&capped{Conn: conn, left: 1 << 20})
	c.CommandTimeout, c.SubmissionTimeout = time.Minute, time.Minute
	defer c.Close()
	if err := c.Hello("mta.example.com"); err != nil {
		// go-smtp's client reads the greeting here. A greeting that was refused is told from EHLO by asking again.
		return bounce.StageEHLO, err
	}
	if err := c.Mail("news@example.com", nil); err != nil {
		return bounce.StageMail, err
	}
	if err := c.Rcpt("user@example.org", nil); err != nil {
		return bounce.StageRcpt, err
	}
	w, err := c.Data()
	if err != nil {
		return bounce.StageData, err
	}
	if _, err := w.Write(body(500)); err != nil {
		return bounce.StageDot, err
	}
	if err := w.Close(); err != nil {
		return bounce.StageDot, err
	}
	c.Quit()
	return "", nil
}

// errTooMuch is what a careful client does with an endless reply.
var errTooMuch = errors.New("too much said")

// capped fails once the peer has sent left octets.
type capped struct {
	net.Conn
	left int
}

func (c *capped) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errTooMuch
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// TestBehaviours sends one message to a server with each ready-made behaviour: it fails at the right stage and in the right
// way, and nothing is left open.
func TestBehaviours(t *testing.T) {
	const source = "198.51.100.1"
	type want struct {
		stage bounce.Stage
		code  int   // of the reply
		err   error // or the error
		took  time.Duration
		inbox int
	}
	tests := []struct {
		name   string
		script sendertest.Script
		want   want
	}{
		{"nothing", sendertest.Script{}, want{inbox: 1}},
		{"Greylist", sendertest.Greylist(5 * time.Minute), want{stage: bounce.StageRcpt, code: 450}},
		{"RateLimit", sendertest.RateLimit(0, time.Hour), want{stage: bounce.StageMail, code: 421}},
		{"MaxConnections", sendertest.MaxConnections(0), want{stage: bounce.StageEHLO, code: 421}},
		{"CloseAfter", sendertest.CloseAfter(1), want{inbox: 1}},
		{"UnknownUsers", sendertest.UnknownUsers(sendertest.AnyOf("USER@example.org")), want{stage: bounce.StageRcpt, code: 550}},
		{"Tarpit", sendertest.Tarpit(10 * time.Second), want{took: 70 * time.Second, inbox: 1}},
		{"Tarpit, too slow", sendertest.Tarpit(2 * time.Minute), want{stage: bounce.StageEHLO, err: os.ErrDeadlineExceeded, took: time.Minute}},
		{"SlowDrip", sendertest.SlowDrip(time.Millisecond), want{took: anyTime, inbox: 1}},
		{"SlowDrip, too slow", sendertest.SlowDrip(time.Minute), want{stage: bounce.StageEHLO, err: errAny, took: anyTime}},
		{"GarbageGreeting", sendertest.GarbageGreeting(), want{stage: bounce.StageEHLO, err: errAny}},
		{"DropBeforeDot", sendertest.DropBeforeDot(), want{stage: bounce.StageDot, err: syscall.ECONNRESET}},
		{"DropAfterDot", sendertest.DropAfterDot(), want{stage: bounce.StageDot, err: syscall.ECONNRESET, inbox: 1}},
		{"Times", sendertest.Times(0, sendertest.DropAt(bounce.StageMail)), want{inbox: 1}},
		{"When", sendertest.When(func(s *sendertest.Session) bool { return s.Source().String() != source }, sendertest.DropAt(bounce.StageMail)),
			want{inbox: 1}},
		{"Compose", sendertest.Compose(sendertest.Tarpit(time.Second), sendertest.RejectAt(bounce.StageRcpt, "451 4.3.0 Busy"),
			sendertest.RejectAt(bounce.StageRcpt, "550 5.1.1 No")), want{stage: bounce.StageRcpt, code: 451, took: 4 * time.Second}},
		{"RejectAt without a hook", sendertest.RejectAt(bounce.StageResolve, "550 No"), want{inbox: 1}},
	}
	for _, stage := range []bounce.Stage{bounce.StageConnect, bounce.StageEHLO, bounce.StageMail, bounce.StageRcpt, bounce.StageData, bounce.StageDot} {
		seen := stage
		if stage == bounce.StageConnect {
			seen = bounce.StageEHLO
		}
		tests = append(tests, []struct {
			name   string
			script sendertest.Script
			want   want
		}{
			{"RejectAt " + string(stage), sendertest.RejectAt(stage, "554 5.7.1 No"), want{stage: seen, code: 554}},
			{"RejectAt 421 " + string(stage), sendertest.RejectAt(stage, "421 4.3.2 Away"), want{stage: seen, code: 421}},
			{"DropAt " + string(stage), sendertest.DropAt(stage), want{stage: seen, err: syscall.ECONNRESET}},
			{"HangAt " + string(stage), sendertest.HangAt(stage), want{stage: seen, err: os.ErrDeadlineExceeded, took: time.Minute}},
			{"EndlessReply " + string(stage), sendertest.EndlessReply(stage), want{stage: seen, err: errTooMuch}},
		}...)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *sendertest.Network) {
				s := startServer(t, n, sendertest.ServerConfig{Script: tt.script})
				start := time.Now()
				stage, err := attempt(t, n, s.Addr(), source)
				took := time.Since(start)
				// The server may sit in a delay that it began before the client left.
				time.Sleep(time.Hour)
				if stage != tt.want.stage || tt.want.code != codeOf(err) || !is(err, tt.want.err) {
					t.Errorf("stage %q, error %v; want %+v", stage, err, tt.want)
				}
				if tt.want.took != anyTime && took != tt.want.took {
					t.Errorf("took %v, want %v", took, tt.want.took)
				}
				if s.Inbox().Len() != tt.want.inbox {
					t.Errorf("%d messages, want %d", s.Inbox().Len(), tt.want.inbox)
				}
			})
		})
	}
}

// anyTime is a time that is not looked at.
const anyTime = -1

var errAny = errors.New("any error")

// is is errors.Is, but that nil is found in replies, which are errors of go-smtp's.
func is(err, target error) bool {
	switch target {
	case nil:
		return err == nil || codeOf(err) != 0
	case errAny:
		return err != nil
	}
	return errors.Is(err, target)
}

// TestBehavioursOverTime is about the behaviours that remember.
func TestBehavioursOverTime(t *testing.T) {
	type step struct {
		after  time.Duration
		source string
		want   string // stage and code, or "accepted"
	}
	const a, b = "198.51.100.1", "198.51.100.2"
	tests := []struct {
		name   string
		script sendertest.Script
		steps  []step
	}{
		{"Greylist", sendertest.Greylist(5 * time.Minute), []step{
			{0, a, "rcpt 450"}, {4 * time.Minute, a, "rcpt 450"}, {0, b, "rcpt 450"}, {time.Minute, a, "accepted"},
			{3 * time.Minute, b, "rcpt 450"}, {time.Minute, b, "accepted"},
		}},
		{"RateLimit", sendertest.RateLimit(2, time.Hour), []step{
			{0, a, "accepted"}, {30 * time.Minute, a, "accepted"}, {0, a, "mail 421"}, {0, b, "accepted"},
			{30 * time.Minute, a, "accepted"}, {0, a, "mail 421"}, {30 * time.Minute, a, "accepted"},
		}},
		{"Times", sendertest.Times(2, sendertest.RejectAt(bounce.StageMail, "451 4.3.0 Later")), []step{
			{0, a, "mail 451"}, {0, b, "mail 451"}, {0, a, "accepted"},
		}},
		{"When", sendertest.When(func(s *sendertest.Session) bool { return s.Source().String() == a },
			sendertest.RejectAt(bounce.StageMail, "550 5.7.1 Not you")), []step{
			{0, a, "mail 550"}, {0, b, "accepted"},
		}},
		{"MaxConnections", sendertest.MaxConnections(1), []step{
			{0, a, "accepted"}, {0, a, "accepted"}, {0, b, "accepted"},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *sendertest.Network) {
				s := startServer(t, n, sendertest.ServerConfig{Script: tt.script})
				for i, step := range tt.steps {
					time.Sleep(step.after)
					synctest.Wait()
					got := "accepted"
					if stage, err := attempt(t, n, s.Addr(), step.source); err != nil {
						got = fmt.Sprint(stage, " ", codeOf(err))
					}
					if got != step.want {
						t.Errorf("step %d: %s, want %s", i, got, step.want)
					}
				}
			})
		})
	}
}

// TestTLSBehaviours is about those of STARTTLS.
func TestTLSBehaviours(t *testing.T) {
	ca, other := newCA(t), newCA(t)
	issue := func(cert tls.Certificate, err error) tls.Certificate {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	tests := []struct {
		name   string
		script sendertest.Script
		check  func(err error) bool
	}{
		{"good", sendertest.Script{}, func(err error) bool { return err == nil }},
		{"OldTLS", sendertest.OldTLS(), func(err error) bool { return err != nil && strings.Contains(err.Error(), "protocol version") }},
		{"BadTLS", sendertest.BadTLS(), func(err error) bool {
			var record tls.RecordHeaderError
			return errors.As(err, &record)
		}},
		{"expired", sendertest.BadCertificate(issue(ca.Expired("mx.example.com"))), func(err error) bool {
			var invalid x509.CertificateInvalidError
			return errors.As(err, &invalid) && invalid.Reason == x509.Expired
		}},
		{"wrong name", sendertest.BadCertificate(issue(ca.Certificate("mx.example.net"))), func(err error) bool {
			var name x509.HostnameError
			return errors.As(err, &name)
		}},
		{"unknown authority", sendertest.BadCertificate(issue(other.Certificate("mx.example.com"))), func(err error) bool {
			var unknown x509.UnknownAuthorityError
			return errors.As(err, &unknown)
		}},
		{"RejectAt", sendertest.RejectAt(bounce.StageTLS, "454 4.7.0 TLS not available"), func(err error) bool { return codeOf(err) == 454 }},
		{"DropAt", sendertest.DropAt(bounce.StageTLS), func(err error) bool { return errors.Is(err, syscall.ECONNRESET) }},
		{"HangAt", sendertest.HangAt(bounce.StageTLS), func(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }},
		{"EndlessReply", sendertest.EndlessReply(bounce.StageTLS), func(err error) bool { return errors.Is(err, errTooMuch) }},
		{"CloseAfter", sendertest.CloseAfter(1), func(err error) bool { return err == nil }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *sendertest.Network) {
				s := startServer(t, n, sendertest.ServerConfig{CA: ca, Script: tt.script})
				conn, err := n.Dial(t.Context(), netip.Addr{}, s.Addr())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(time.Minute))
				c, err := smtp.NewClientStartTLS(&deadlined{capped{Conn: conn, left: 1 << 20}},
					&tls.Config{RootCAs: ca.Pool(), ServerName: s.Hostname()})
				if err == nil {
					err = transact(c, "news@example.com", "user@example.org", body(1))
				}
				if !tt.check(err) {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}

// deadlined keeps the deadline that its connection has.
type deadlined struct{ capped }

func (*deadlined) SetDeadline(time.Time) error { return nil }

// TestCloseAfter: the connection ends after the second message, without a 421.
func TestCloseAfter(t *testing.T) {
	bubble(t, func(t *testing.T, n *sendertest.Network) {
		s := startServer(t, n, sendertest.ServerConfig{Script: sendertest.CloseAfter(2)})
		c := dialSMTP(t, n, s.Addr())
		defer c.Close()
		for range 2 {
			if err := transact(c, "a@example.com", "b@example.org", body(1)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if err := c.Noop(); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.EPIPE) {
			t.Errorf("after the last message: %v", err)
		}
	})
}
