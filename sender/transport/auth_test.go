package transport

import (
	"context"
	"encoding/base64"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-sasl"

	"github.com/reputemail/repute/bounce"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestAuth(t *testing.T) {
	plain := func() sasl.Client { return sasl.NewPlainClient("", "user", "secret") }
	login := func() sasl.Client { return sasl.NewLoginClient("user", "secret") }
	bearer := func() sasl.Client {
		return sasl.NewOAuthBearerClient(&sasl.OAuthBearerOptions{Username: "user", Token: "token"})
	}
	const ok, bad = "235 2.7.0 in", "535 5.7.8 no such user or password"
	// As long as the tokens of large providers; a line of 510 octets is the longest one.
	longBearer := func() sasl.Client {
		return sasl.NewOAuthBearerClient(&sasl.OAuthBearerOptions{Username: "user", Token: strings.Repeat("token", 280)})
	}
	longResponse := b64("n,a=user,\x01auth=Bearer " + strings.Repeat("token", 280) + "\x01\x01")
	plainOf := func(octets int) (func() sasl.Client, string) {
		password := strings.Repeat("s", octets)
		return func() sasl.Client { return sasl.NewPlainClient("", "u", password) }, b64("\x00u\x00" + password)
	}
	fits, fitsResponse := plainOf(369)       // 372 octets in all: 496 in base64, 507 with "AUTH PLAIN "
	tooLong, tooLongResponse := plainOf(372) // 375: 500 and 511
	plainLine := "AUTH PLAIN " + b64("\x00user\x00secret")
	bearerLine := "AUTH OAUTHBEARER " + b64("n,a=user,\x01auth=Bearer token\x01\x01")
	// Each line of a dialogue is what the client says; the line after it is the host's reply.
	for _, c := range []struct {
		name     string
		offered  string
		auth     func() sasl.Client
		dialogue []string
		reply    string // of the error; a Local one starts with its status
	}{
		{"plain", "AUTH PLAIN LOGIN", plain, []string{plainLine, ok}, ""},
		{"plain refused", "AUTH PLAIN", plain, []string{plainLine, bad}, bad},
		{"plain busy", "AUTH PLAIN", plain, []string{plainLine, "454 4.7.0 later"}, "454 4.7.0 later"},
		{"plain 421", "AUTH PLAIN", plain, []string{plainLine, "421 4.7.0 later"}, "421 4.7.0 later"},
		{"login", "AUTH login", login, []string{"AUTH LOGIN " + b64("user"), "334 " + b64("Password:"), b64("secret"), ok}, ""},
		{"login without initial response", "AUTH=LOGIN", login,
			[]string{"AUTH LOGIN " + b64("user"), "334 " + b64("Username:"), b64("user"), "334 " + b64("password"), b64("secret"), ok}, ""},
		{"login refused", "AUTH LOGIN", login, []string{"AUTH LOGIN " + b64("user"), "334 " + b64("Password:"), b64("secret"), bad}, bad},
		{"login asked strangely", "AUTH LOGIN", login, []string{"AUTH LOGIN " + b64("user"), "334 " + b64("Token:"), "*", "501 5.7.0 ended"},
			"4.7.8 cannot authenticate: sasl: unexpected server challenge"},
		{"login never ends", "AUTH LOGIN", login, append(append([]string{"AUTH LOGIN " + b64("user"), "334 " + b64("Username:")},
			repeat(7, b64("user"), "334 "+b64("Username:"))...), "*", "501 5.7.0 ended"),
			"4.7.8 cannot authenticate: the host does not stop asking"},
		{"challenge is not base64", "AUTH LOGIN", login, []string{"AUTH LOGIN " + b64("user"), "334 ???", "*", "421 4.7.0 bye"}, "421 4.7.0 bye"},
		{"oauthbearer", "AUTH OAUTHBEARER", bearer, []string{bearerLine, ok}, ""},
		{"oauthbearer refused", "AUTH OAUTHBEARER", bearer,
			[]string{bearerLine, "334 " + b64(`{"status":"invalid_token"}`), "AQ==", bad}, bad},
		{"oauthbearer refused at once", "AUTH OAUTHBEARER", bearer, []string{bearerLine, bad}, bad},
		{"oauthbearer, long", "AUTH OAUTHBEARER", longBearer, []string{"AUTH OAUTHBEARER", "334 ", longResponse, ok}, ""},
		{"oauthbearer, long, bare 334", "AUTH OAUTHBEARER", longBearer, []string{"AUTH OAUTHBEARER", "334", longResponse, ok}, ""},
		{"oauthbearer, long, refused", "AUTH OAUTHBEARER", longBearer,
			[]string{"AUTH OAUTHBEARER", "334 ", longResponse, "334 " + b64(`{"status":"invalid_token"}`), "AQ==", bad}, bad},
		{"oauthbearer, long, refused at once", "AUTH OAUTHBEARER", longBearer, []string{"AUTH OAUTHBEARER", bad}, bad},
		{"plain, longest line", "AUTH PLAIN", fits, []string{"AUTH PLAIN " + fitsResponse, ok}, ""},
		{"plain, one octet too long", "AUTH PLAIN", tooLong, []string{"AUTH PLAIN", "334 ", tooLongResponse, ok}, ""},
		{"positive but strange", "AUTH PLAIN", plain, []string{plainLine, "250 2.0.0 hm"}, "4.5.0 unexpected reply: 250 2.0.0 hm"},
		{"not offered", "AUTH LOGIN CRAM-MD5", plain, nil, "4.7.4 the host offers AUTH LOGIN CRAM-MD5, not PLAIN"},
		{"no AUTH", "SIZE", plain, nil, "4.7.4 the host does not offer AUTH"},
		{"no client", "AUTH PLAIN", func() sasl.Client { return nil }, nil, "4.3.5 Target.Auth returned no client"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				left := c.dialogue
				h := &fakeHost{ext: []string{c.offered}, on: func(conn *fakeConn, at bounce.Stage, line string) bool {
					if at != bounce.StageAuth {
						return false
					}
					if len(left) == 0 || line != left[0] {
						t.Errorf("client says %q, want %.1q", line, left)
						conn.Close()
						return true
					}
					reply := left[1]
					left = left[2:]
					conn.say(reply)
					return true
				}}
				h.start(t, nil)
				to := target()
				to.Auth, to.TLS = c.auth, TLSNone
				s, err := newTransport(t, h.net, Config{}).Dial(context.Background(), to)
				if len(left) != 0 {
					t.Errorf("not said: %q", left)
				}
				if err != nil {
					r := asError(t, err).Reply
					if r.String() != c.reply || r.Stage != bounce.StageAuth || r.Local != (r.Code == 0) {
						t.Errorf("reply is %+v, want %s", r, c.reply)
					}
					if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "token") {
						t.Errorf("error gives away the credentials: %v", err)
					}
					return
				}
				if c.reply != "" {
					t.Errorf("no error, want %s", c.reply)
				}
				mustSend(t, s, envelope())
				s.Close()
			})
		})
	}
}

func repeat(n int, s ...string) []string {
	var all []string
	for range n {
		all = append(all, s...)
	}
	return all
}

// TestAuthInClear: credentials go over a network only with TLS, unless TLSNone says otherwise.
func TestAuthInClear(t *testing.T) {
	ca := certificate(t, "ca.example.com", nil)
	cert := serverTLS(certificate(t, "mx.example.com", &ca))
	const loopback, network = "127.0.0.1:25", "192.0.2.1:25"
	for _, c := range []struct {
		name   string
		addr   string
		policy TLSPolicy
		tls    bool
		broken bool
		status string
	}{
		{"opportunistic", network, "", true, false, ""},
		{"opportunistic without TLS", network, "", false, false, "4.7.4"},
		{"opportunistic with broken TLS", network, "", true, true, "4.7.5"},
		{"required without TLS", network, TLSRequired, false, false, "4.7.4"},
		{"none", network, TLSNone, true, false, ""},
		{"loopback", loopback, "", false, false, ""},
		{"loopback with broken TLS", loopback, "", true, true, ""},
		{"loopback, required", loopback, TLSRequired, false, false, "4.7.4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &fakeHost{addr: netip.MustParseAddrPort(c.addr), ext: []string{"AUTH PLAIN"}, on: func(conn *fakeConn, at bounce.Stage, line string) bool {
					switch {
					case at == atHandshake && c.broken:
						conn.Close()
						return true
					case at == bounce.StageAuth:
						conn.say("235 2.7.0 in")
						return true
					}
					return false
				}}
				if c.tls {
					h.tls = cert
				}
				h.start(t, nil)
				to := target()
				to.Addr, to.LocalAddr, to.TLS = h.addr, netip.Addr{}, c.policy
				to.Auth = func() sasl.Client { return sasl.NewPlainClient("", "user", "secret") }
				s, err := newTransport(t, h.net, Config{TLSConfig: trust(ca)}).Dial(context.Background(), to)
				if err != nil {
					if r := asError(t, err).Reply; r.Status.String() != c.status || r.Stage != bounce.StageTLS {
						t.Errorf("reply is %+v", r)
					}
					for i := range h.dialled() {
						if got := h.commands(i); strings.Contains(got, "AUTH") || i > 0 {
							t.Errorf("connection %d: %s", i, got)
						}
					}
					return
				}
				if c.status != "" {
					t.Error("no error")
				}
				s.Close()
			})
		})
	}
}

// TestAuthMisbehaviour: a hostile relay wastes no more than the time-outs.
func TestAuthMisbehaviour(t *testing.T) {
	for _, m := range misbehaviours {
		t.Run(m.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &fakeHost{ext: []string{"AUTH PLAIN"}, on: func(c *fakeConn, at bounce.Stage, _ string) bool {
					if at == bounce.StageAuth {
						m.do(c)
					}
					return at == bounce.StageAuth
				}}
				h.start(t, nil)
				to := target()
				to.TLS, to.Auth = TLSNone, func() sasl.Client { return sasl.NewPlainClient("", "user", "secret") }
				_, err := newTransport(t, h.net, Config{Timeouts: shortTimeouts}).Dial(context.Background(), to)
				r := asError(t, err).Reply
				if r.Code != m.code || r.Local && r.Status != m.status || r.Stage != bounce.StageAuth {
					t.Errorf("reply is %+v", r)
				}
				time.Sleep(time.Minute) // until the host has seen it, too
			})
		})
	}
}
