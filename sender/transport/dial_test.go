package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender/sendertest"
)

// TestTLSMatrix crosses what hosts do with the policies.
func TestTLSMatrix(t *testing.T) {
	ca := certificate(t, "ca.example.com", nil)
	good := serverTLS(certificate(t, "mx.example.com", &ca))
	self := serverTLS(certificate(t, "mx.example.com", nil))
	other := serverTLS(certificate(t, "other.example.com", &ca))
	old := serverTLS(certificate(t, "mx.example.com", &ca))
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	picky := serverTLS(certificate(t, "mx.example.com", &ca))
	picky.ClientAuth = tls.RequireAnyClientCert
	at := func(stage bounce.Stage, do func(c *fakeConn)) func(*fakeConn, bounce.Stage, string) bool {
		return func(c *fakeConn, s bounce.Stage, _ string) bool {
			if s == stage {
				do(c)
			}
			return s == stage
		}
	}
	refused := at(bounce.StageTLS, func(c *fakeConn) { c.say("454 4.7.0 TLS not available") })
	unknown := at(bounce.StageTLS, func(c *fakeConn) { c.say("502 5.5.1 what") })
	dropped := at(atHandshake, func(c *fakeConn) { c.Close() })
	stalled := at(atHandshake, func(c *fakeConn) { c.hang() })
	injected := at(bounce.StageTLS, func(c *fakeConn) { c.say("220 go\r\n250 injected"); c.hang() })
	mute := at(bounce.StageTLS, func(c *fakeConn) { c.Close() })

	// What comes of it: "tls", "verified", "clear" on the same connection, "new" on a second one, or a status.
	for _, c := range []struct {
		name                                   string
		tls                                    *tls.Config
		on                                     func(*fakeConn, bounce.Stage, string) bool
		opportunistic, required, verified, off string
		text                                   string // is in the error under TLSVerified
	}{
		{"no TLS", nil, nil, "clear", "4.7.4", "4.7.4", "clear", "does not offer STARTTLS"},
		{"good", good, nil, "tls", "tls", "verified", "clear", ""},
		{"self-signed", self, nil, "tls", "tls", "4.7.5", "clear", "unknown authority"},
		{"wrong name", other, nil, "tls", "tls", "4.7.5", "clear", "other.example.com"},
		{"TLS 1.1", old, nil, "new", "4.7.5", "4.7.5", "clear", "protocol version"},
		{"client certificate", picky, nil, "new", "4.7.5", "4.7.5", "clear", "certificate required"},
		{"dropped after 220", good, dropped, "new", "4.7.5", "4.7.5", "clear", "closed the connection"},
		{"stalled after 220", good, stalled, "new", "4.7.5", "4.7.5", "clear", "not done within 31s"},
		{"dropped at STARTTLS", good, mute, "new", "4.4.2", "4.4.2", "clear", "closed the connection"},
		{"refused 454", good, refused, "clear", "4.7.4", "4.7.4", "clear", "454 4.7.0 TLS not available"},
		{"refused 502", good, unknown, "clear", "4.7.4", "4.7.4", "clear", "502 5.5.1 what"},
		{"injection", good, injected, "new", "4.7.5", "4.7.5", "clear", "14 bytes in clear text before the handshake"},
	} {
		for policy, want := range map[TLSPolicy]string{
			"": c.opportunistic, TLSOpportunistic: c.opportunistic, TLSRequired: c.required, TLSVerified: c.verified, TLSNone: c.off,
		} {
			t.Run(fmt.Sprintf("%s/%s", c.name, policy), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := &fakeHost{tls: c.tls, on: c.on}
					h.start(t, nil)
					tr := newTransport(t, h.net, Config{TLSConfig: trust(ca), Timeouts: shortTimeouts})
					to := target()
					to.TLS = policy
					s, err := tr.Dial(context.Background(), to)
					if err != nil {
						r := asError(t, err).Reply
						if r.Status.String() != want || !r.Local || r.Stage != bounce.StageTLS {
							t.Errorf("reply is %+v, want %s", r, want)
						}
						if policy == TLSVerified && !strings.Contains(r.Text(), c.text) {
							t.Errorf("text is %q", r.Text())
						}
						for i := range h.dialled() {
							if got := h.commands(i); strings.Contains(got, "MAIL") || i > 0 {
								t.Errorf("connection %d: %s", i, got)
							}
						}
						return
					}
					mustSend(t, s, envelope())
					info, ok := s.TLS()
					s.Close()
					got := map[bool]string{true: "tls", false: "clear"}[ok]
					if info.Verified {
						got = "verified"
					}
					if h.dialled() == 2 {
						got = "new"
					}
					if got != want {
						t.Errorf("got %s, want %s", got, want)
					}
					if ok && (info.Version != "TLS 1.3" || !strings.HasPrefix(info.Cipher, "TLS_")) {
						t.Errorf("TLS() = %+v", info)
					}
					// One name, however often it is said.
					said := h.commands(0) + "," + h.commands(1)
					if n := strings.Count(said, "EHLO"); n == 0 || n != strings.Count(said, "EHLO mta1.example.org") {
						t.Errorf("commands are %s", said)
					}
					if ok && !strings.HasPrefix(said, "EHLO mta1.example.org,STARTTLS,EHLO mta1.example.org,MAIL") {
						t.Errorf("commands are %s", said)
					}
				})
			})
		}
	}
}

func TestImplicitTLS(t *testing.T) {
	ca := certificate(t, "ca.example.com", nil)
	for _, c := range []struct {
		name, status string
		h            *fakeHost
	}{
		{"good", "", &fakeHost{implicit: true, tls: serverTLS(certificate(t, "mx.example.com", &ca))}},
		{"self-signed", "4.7.5", &fakeHost{implicit: true, tls: serverTLS(certificate(t, "mx.example.com", nil))}},
		{"in clear text", "4.7.5", &fakeHost{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.h.start(t, nil)
				tr := newTransport(t, c.h.net, Config{TLSConfig: trust(ca), Timeouts: shortTimeouts})
				to := target()
				to.TLS = TLSImplicit
				s, err := tr.Dial(context.Background(), to)
				if err != nil {
					if r := asError(t, err).Reply; r.Status.String() != c.status || r.Stage != bounce.StageTLS {
						t.Errorf("reply is %+v", r)
					}
					if c.h.dialled() != 1 {
						t.Errorf("%d connections", c.h.dialled())
					}
					return
				}
				mustSend(t, s, envelope())
				if info, ok := s.TLS(); !ok || !info.Verified || c.status != "" {
					t.Errorf("TLS() = %+v %v", info, ok)
				}
				s.Close()
				if got := c.h.commands(0); !strings.HasPrefix(got, "EHLO mta1.example.org,MAIL") {
					t.Errorf("commands are %s", got)
				}
			})
		})
	}
}

// TestTLSIgnoresUnsafeBase: the base configuration cannot switch off what the policy asks for.
func TestTLSIgnoresUnsafeBase(t *testing.T) {
	self := serverTLS(certificate(t, "mx.example.com", nil))
	old := serverTLS(certificate(t, "mx.example.com", nil))
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHost{tls: self}
		h.start(t, nil)
		base := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, ServerName: "wrong.example.com"}
		tr := newTransport(t, h.net, Config{TLSConfig: base})
		to := target()
		to.TLS = TLSVerified
		_, err := tr.Dial(context.Background(), to)
		var unknown x509.UnknownAuthorityError
		if !errors.As(err, &unknown) {
			t.Errorf("error is %v", err)
		}
		h.tls = old
		to.TLS = TLSRequired
		if _, err := tr.Dial(context.Background(), to); asError(t, err).Reply.Status != statusTLS {
			t.Errorf("error is %v", err)
		}
		if base.ServerName != "wrong.example.com" || base.MinVersion != tls.VersionTLS10 || !base.InsecureSkipVerify {
			t.Error("the base was changed")
		}
	})
}

func TestBrokenTLSIsRemembered(t *testing.T) {
	ca := certificate(t, "ca.example.com", nil)
	cert := serverTLS(certificate(t, "mx.example.com", &ca))
	synctest.Test(t, func(t *testing.T) {
		broken := true
		h := &fakeHost{tls: cert, on: func(c *fakeConn, at bounce.Stage, _ string) bool {
			if at == atHandshake && broken {
				c.Close()
				return true
			}
			return false
		}}
		h.start(t, nil)
		var log bytes.Buffer
		base := trust(ca)
		base.SessionTicketsDisabled = true // TestResumptionFails has those
		tr := newTransport(t, h.net, Config{TLSConfig: base, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		// try says how many connections one Dial takes, and whether it has TLS.
		try := func(policy TLSPolicy) (int, bool) {
			t.Helper()
			before := h.dialled()
			to := target()
			to.TLS = policy
			s, err := tr.Dial(context.Background(), to)
			if err != nil {
				t.Fatal(err)
			}
			_, ok := s.TLS()
			s.Close()
			return h.dialled() - before, ok
		}
		check := func(policy TLSPolicy, conns int, secure bool) {
			t.Helper()
			if n, ok := try(policy); n != conns || ok != secure {
				t.Errorf("%s: %d connections, TLS %v; want %d, %v", policy, n, ok, conns, secure)
			}
		}
		// One failure may be a chance or an attack: it counts for an hour, whatever fails in that time.
		check(TLSOpportunistic, 2, false)
		check(TLSOpportunistic, 1, false)
		if got := log.String(); strings.Count(got, "tls given up") != 1 || !strings.Contains(got, "host=mx.example.com") || !strings.Contains(got, "for=1h0m0s") {
			t.Errorf("log is %s", got)
		}
		time.Sleep(time.Hour - time.Second)
		check(TLSOpportunistic, 1, false)
		time.Sleep(time.Minute)
		// The second in a row counts for BrokenTLSFor.
		check(TLSOpportunistic, 2, false)
		if got := log.String(); strings.Count(got, "tls given up") != 2 || !strings.Contains(got, "for=72h0m0s") {
			t.Errorf("log is %s", got)
		}
		broken = false
		time.Sleep(72*time.Hour - time.Second)
		check(TLSOpportunistic, 1, false)
		time.Sleep(time.Minute)
		check(TLSOpportunistic, 1, true)
		// It worked, so that the next failure is a first one again.
		broken = true
		check(TLSOpportunistic, 2, false)
		time.Sleep(time.Hour + time.Second)
		broken = false
		check(TLSOpportunistic, 1, true)
		// Never in clear text under another policy, whatever is remembered; and success there is success.
		broken = true
		check(TLSOpportunistic, 2, false)
		broken = false
		check(TLSRequired, 1, true)
		check(TLSOpportunistic, 1, true)
		// A failure long after the last one is a first one, too.
		broken = true
		check(TLSOpportunistic, 2, false)
		time.Sleep(74 * time.Hour)
		check(TLSOpportunistic, 2, false)
		time.Sleep(time.Hour + time.Second)
		broken = false
		check(TLSOpportunistic, 1, true)
	})
}

// TestBrokenTLSAtOnce: handshakes that fail at the same time are one failure, however many they are.
func TestBrokenTLSAtOnce(t *testing.T) {
	cert := serverTLS(certificate(t, "mx.example.com", nil))
	synctest.Test(t, func(t *testing.T) {
		broken := true
		h := &fakeHost{tls: cert, on: func(c *fakeConn, at bounce.Stage, _ string) bool {
			if at == atHandshake && broken {
				time.Sleep(time.Second) // until all are there
				c.Close()
				return true
			}
			return false
		}}
		h.start(t, nil)
		tr := newTransport(t, h.net, Config{})
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { dial(t, tr, target()).Close() })
		}
		wg.Wait()
		if h.dialled() != 20 {
			t.Errorf("%d connections", h.dialled())
		}
		broken = false
		time.Sleep(time.Hour + time.Second)
		s := dial(t, tr, target())
		if _, ok := s.TLS(); !ok {
			t.Error("no TLS")
		}
		s.Close()
	})
}

// TestBrokenTLSNeedsProof: when clear text fails as well, it was not TLS that failed.
func TestBrokenTLSNeedsProof(t *testing.T) {
	ca := certificate(t, "ca.example.com", nil)
	cert := serverTLS(certificate(t, "mx.example.com", &ca))
	synctest.Test(t, func(t *testing.T) {
		bad := true
		h := &fakeHost{tls: cert, on: func(c *fakeConn, at bounce.Stage, _ string) bool {
			if bad && (at == atHandshake || c.number == 1) {
				c.Close()
				return true
			}
			return false
		}}
		h.start(t, nil)
		tr := newTransport(t, h.net, Config{TLSConfig: trust(ca)})
		_, err := tr.Dial(context.Background(), target())
		if r := asError(t, err).Reply; r.Status != statusLost || h.dialled() != 2 {
			t.Errorf("error is %v after %d connections", err, h.dialled())
		}
		bad = false
		s := dial(t, tr, target())
		if _, ok := s.TLS(); !ok {
			t.Error("no TLS")
		}
		s.Close()
	})
}

func TestBrokenTLSOff(t *testing.T) {
	cert := serverTLS(certificate(t, "mx.example.com", nil))
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHost{tls: cert, on: func(c *fakeConn, at bounce.Stage, _ string) bool {
			if at == atHandshake {
				c.Close()
			}
			return at == atHandshake
		}}
		h.start(t, nil)
		tr := newTransport(t, h.net, Config{BrokenTLSFor: -1})
		for range 3 {
			dial(t, tr, target()).Close()
		}
		if h.dialled() != 6 {
			t.Errorf("%d connections", h.dialled())
		}
	})
}

func TestConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := sendertest.NewNetwork()
		defer n.Close()
		tr := newTransport(t, n, Config{})
		_, err := tr.Dial(context.Background(), target())
		e := asError(t, err)
		if got := e.Error(); got != "transport: connect mx.example.com: 4.4.1 cannot connect: connection refused" || !e.Reply.Local {
			t.Error(got)
		}
		n.Blackhole(hostAddr.Addr())
		began := time.Now()
		_, err = tr.Dial(context.Background(), target())
		if got := asError(t, err).Error(); got != "transport: connect mx.example.com: 4.4.1 no connection within 1m0s" || time.Since(began) != time.Minute {
			t.Errorf("after %v: %s", time.Since(began), got)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := tr.Dial(ctx, target()); err != context.DeadlineExceeded {
			t.Errorf("error is %v", err)
		}
	})
}

func TestSourceAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var from net.Addr
		h := &fakeHost{on: func(c *fakeConn, at bounce.Stage, _ string) bool {
			from = c.RemoteAddr()
			return false
		}}
		h.start(t, nil)
		dial(t, newTransport(t, h.net, Config{}), target()).Close()
		if host, _, _ := net.SplitHostPort(from.String()); host != "198.51.100.7" {
			t.Errorf("came from %v", from)
		}
	})
}

// TestDefaultDial goes over a real loopback connection.
func TestDefaultDial(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		host, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
		got <- host
		conn.Write([]byte("554 5.3.2 not today\r\n"))
		conn.Close()
	}()
	tr, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	to := target()
	to.Addr, to.LocalAddr = netip.MustParseAddrPort(l.Addr().String()), netip.MustParseAddr("127.0.0.1")
	_, err = tr.Dial(context.Background(), to)
	if r := asError(t, err).Reply; r.Code != 554 || r.Stage != bounce.StageConnect || r.Local {
		t.Errorf("reply is %+v", r)
	}
	if host := <-got; host != "127.0.0.1" {
		t.Errorf("came from %s", host)
	}
}

func TestTargetIsChecked(t *testing.T) {
	tr, err := New(Config{Dial: func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) {
		t.Error("dialled")
		return nil, net.ErrClosed
	}})
	if err != nil {
		t.Fatal(err)
	}
	for field, change := range map[string]func(*Target){
		"Target.Others: no address and port":         func(to *Target) { to.Others = []netip.AddrPort{{}} },
		"Target.Addr: no address and port":           func(to *Target) { to.Addr = netip.AddrPort{} },
		`Target.Hostname: ""`:                        func(to *Target) { to.Hostname = "" },
		`Target.Hostname: "LocalHost"`:               func(to *Target) { to.Hostname = "LocalHost" },
		`Target.Hostname: "a\r\nMAIL FROM:<>"`:       func(to *Target) { to.Hostname = "a\r\nMAIL FROM:<>" },
		`Target.TLS: unknown policy "always"`:        func(to *Target) { to.TLS = "always" },
		"Target.Host: no name to verify the certifi": func(to *Target) { to.Host, to.TLS = "", TLSVerified },
	} {
		to := target()
		change(&to)
		_, err := tr.Dial(context.Background(), to)
		if r := asError(t, err).Reply; r.Status != statusConfig || !r.Local || !strings.HasPrefix(r.Text(), field) {
			t.Errorf("reply is %+v, want %s", r, field)
		}
	}
}

func TestGoodBye(t *testing.T) {
	for _, c := range []struct{ greeting, commands string }{
		{"554 5.7.1 go away", "QUIT"},
		{"250 odd", "QUIT"},
		{"421 4.3.2 busy", ""},
		{"nonsense", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := &fakeHost{on: func(conn *fakeConn, at bounce.Stage, _ string) bool {
				if at == bounce.StageConnect {
					conn.say(c.greeting)
				}
				return at == bounce.StageConnect
			}}
			h.start(t, nil)
			if _, err := newTransport(t, h.net, Config{}).Dial(context.Background(), target()); err == nil {
				t.Error("no error")
			}
			synctest.Wait()
			if got := h.commands(0); got != c.commands {
				t.Errorf("%s: commands are %q", c.greeting, got)
			}
		})
	}
}
