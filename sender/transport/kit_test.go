package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-sasl"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender/sendertest"
)

// TestKit runs against sendertest's server with its behaviours, at each stage, with TLS underneath.
func TestKit(t *testing.T) {
	behaviours := []struct {
		name string
		make func(bounce.Stage) sendertest.Script
		// code is that of the reply, or 0 for a Local one with status.
		code   int
		status bounce.Status
	}{
		{"reject 4xx", func(s bounce.Stage) sendertest.Script { return sendertest.RejectAt(s, "451 4.3.0 later") }, 451, bounce.Status{}},
		{"reject 5xx", func(s bounce.Stage) sendertest.Script { return sendertest.RejectAt(s, "550 5.7.1 no\nnever") }, 550, bounce.Status{}},
		{"421", func(s bounce.Stage) sendertest.Script { return sendertest.RejectAt(s, "421 4.7.0 slow down") }, 421, bounce.Status{}},
		{"drop", sendertest.DropAt, 0, statusLost},
		{"hang", sendertest.HangAt, 0, statusLost},
		{"endless", sendertest.EndlessReply, 0, statusProtocol},
	}
	for _, b := range behaviours {
		for _, stage := range []bounce.Stage{
			bounce.StageConnect, bounce.StageEHLO, bounce.StageAuth, bounce.StageMail, bounce.StageRcpt, bounce.StageData, bounce.StageDot,
		} {
			for _, mode := range []struct {
				name string
				ext  sendertest.Extensions
			}{
				{"plain", sendertest.Extensions{NoPipelining: true}}, {"pipelined", sendertest.Extensions{}}, {"joined", sendertest.Extensions{Chunking: true}},
			} {
				if mode.ext.Chunking && stage == bounce.StageData {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/%s", stage, b.name, mode.name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						n := sendertest.NewNetwork()
						defer n.Close()
						ca, err := sendertest.NewCA()
						if err != nil {
							t.Fatal(err)
						}
						server, err := sendertest.StartServer(n, sendertest.ServerConfig{
							CA: ca, Script: b.make(stage), Extensions: mode.ext, Auth: map[string]string{"user": "secret"}, Timeout: time.Hour,
						})
						if err != nil {
							t.Fatal(err)
						}
						defer server.Close()
						tr := newTransport(t, n, Config{Timeouts: shortTimeouts, TLSConfig: &tls.Config{RootCAs: ca.Pool()}})
						to := target()
						to.Host, to.Addr, to.TLS = server.Hostname(), server.Addr(), TLSVerified
						to.Auth = func() sasl.Client { return sasl.NewPlainClient("", "user", "secret") }
						s, err := tr.Dial(context.Background(), to)
						var reply bounce.Reply
						if err != nil {
							reply = asError(t, err).Reply
						} else {
							results, _ := s.Send(context.Background(), envelope())
							reply = results[0].Reply
							s.Close()
						}
						stage := stage
						if reply.Code == 0 && mode.ext.Chunking && slices.Contains([]bounce.Stage{bounce.StageMail, bounce.StageRcpt}, stage) {
							stage = bounce.StageDot // the host had the content already
						}
						if reply.Code != b.code || reply.Local != (b.code == 0) || reply.Local && reply.Status != b.status || reply.Stage != stage {
							t.Errorf("reply is %+v", reply)
						}
						if server.Stats().Violations != 0 {
							t.Errorf("%d violations", server.Stats().Violations)
						}
						time.Sleep(time.Minute)
						if open := n.OpenConns(); open != 0 {
							t.Errorf("%d connection ends left open", open)
						}
					})
				})
			}
		}
	}
}

// TestKitInbox: what arrives is what was sent.
func TestKitInbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := sendertest.NewNetwork()
		defer n.Close()
		ca, err := sendertest.NewCA()
		if err != nil {
			t.Fatal(err)
		}
		server, err := sendertest.StartServer(n, sendertest.ServerConfig{CA: ca, RequireTLS: true})
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		to := target()
		to.Host, to.Addr = server.Hostname(), server.Addr()
		s := dial(t, newTransport(t, n, Config{}), to)
		for _, body := range []string{"short\r\n", ".\r\n..\r\n", string(bytes.Repeat([]byte(".0123456789\r\n"), 10_000))} {
			env := envelope("b@example.com", "c@example.com")
			env.EightBit, env.Data = true, []byte("From: a@example.org\r\n\r\nGrüße\r\n"+body)
			mustSend(t, s, env)
			all := server.Inbox().Messages()
			got := all[len(all)-1]
			if want := append(bytes.Clone(env.Header), env.Data...); !bytes.Equal(got.Data, want) {
				t.Errorf("got %d bytes, want %d", len(got.Data), len(want))
			}
			if got.TLS == nil || got.Hostname != "mta1.example.org" || got.Source != to.LocalAddr || got.Params["BODY"] != "8BITMIME" || len(got.To) != 2 {
				t.Errorf("received %+v", got)
			}
		}
		s.Close()
		if st := server.Stats(); st.Violations != 0 || st.Connections != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// TestKitLongToken: a token that does not fit into the command line goes behind the host's 334.
func TestKitLongToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := sendertest.NewNetwork()
		defer n.Close()
		ca, err := sendertest.NewCA()
		if err != nil {
			t.Fatal(err)
		}
		good := strings.Repeat("token", 280)
		server, err := sendertest.StartServer(n, sendertest.ServerConfig{CA: ca, Auth: map[string]string{"user": good}})
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		tr := newTransport(t, n, Config{TLSConfig: &tls.Config{RootCAs: ca.Pool()}})
		to := target()
		to.Host, to.Addr, to.TLS = server.Hostname(), server.Addr(), TLSVerified
		for _, token := range []string{good, strings.Repeat("wrong", 280)} {
			to.Auth = func() sasl.Client {
				return sasl.NewOAuthBearerClient(&sasl.OAuthBearerOptions{Username: "user", Token: token})
			}
			s, err := tr.Dial(context.Background(), to)
			if token == good {
				if err != nil {
					t.Fatal(err)
				}
				mustSend(t, s, envelope())
				s.Close()
			} else if r := asError(t, err).Reply; r.Code != 535 || r.Stage != bounce.StageAuth {
				t.Errorf("reply is %+v", r)
			}
		}
		if st := server.Stats(); st.Violations != 0 {
			t.Errorf("%+v", st)
		}
	})
}
