package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender/sendertest"
)

// TestKitInboxPipelined: what arrives is what was sent, with all that the kit's server is strict about.
func TestKitInboxPipelined(t *testing.T) {
	for _, ext := range []sendertest.Extensions{{}, {NoPipelining: true}, {Chunking: true}, {Chunking: true, NoPipelining: true}} {
		t.Run(fmt.Sprintf("%+v", ext), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := sendertest.NewNetwork()
				defer n.Close()
				ca, err := sendertest.NewCA()
				if err != nil {
					t.Fatal(err)
				}
				server, err := sendertest.StartServer(n, sendertest.ServerConfig{
					CA: ca, Extensions: ext, Script: sendertest.UnknownUsers(sendertest.AnyOf("nobody@example.com")),
				})
				if err != nil {
					t.Fatal(err)
				}
				defer server.Close()
				to := target()
				to.Host, to.Addr, to.TLS = server.Hostname(), server.Addr(), TLSVerified
				s := dial(t, newTransport(t, n, Config{TLSConfig: &tls.Config{RootCAs: ca.Pool()}}), to)
				want := 0
				for i, body := range []string{"", "short\r\n", ".\r\n..\r\n", "bare\nline\nends", strings.Repeat(".0123456789\r\n", 10_000), strings.Repeat("0123456789\r\n", 200_000)} {
					for _, to := range [][]string{{"nobody@example.com"}, {"b@example.com", "nobody@example.com", "c@example.com"}} {
						env := envelope(to...)
						env.EightBit, env.Data = true, []byte("From: a@example.org\r\n\r\nGrüße\r\n"+body)
						results, err := s.Send(context.Background(), env)
						if err != nil || results[0].Accepted == (len(to) == 1) || results[len(to)-1].Accepted != results[0].Accepted {
							t.Fatalf("%d: %+v %v", i, results, err)
						}
						if len(to) == 1 {
							continue
						}
						want++
						all := server.Inbox().Messages()
						if len(all) != want {
							t.Fatalf("%d messages, want %d", len(all), want)
						}
						normal := strings.TrimSuffix(stuffedWithout(string(env.Header)+string(env.Data)), ".\r\n")
						if got := all[want-1]; string(got.Data) != normal || len(got.To) != 2 {
							t.Errorf("%d: got %d bytes, want %d", i, len(got.Data), len(normal))
						}
					}
				}
				s.Close()
				if st := server.Stats(); st.Violations != 0 || st.Connections != 1 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// stuffedWithout is the content with proper line ends, and no dots doubled.
func stuffedWithout(content string) string {
	return strings.ReplaceAll("\n"+stuffed(content), "\n..", "\n.")[1:]
}

// TestChunksRefused: a chunk amid the content is refused.
func TestChunksRefused(t *testing.T) {
	for _, ext := range [][]string{{"CHUNKING"}, {"PIPELINING", "CHUNKING"}} {
		for _, nth := range []int{1, 2, 4} {
			for _, only := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					chunk := 0
					h := &fakeHost{ext: ext}
					h.on = func(c *fakeConn, at bounce.Stage, line string) bool {
						if at != atChunk && at != bounce.StageDot {
							return false
						}
						if chunk++; chunk < nth || chunk > 4 {
							return false
						}
						if only && chunk > nth {
							c.say("250 2.0.0 thrown away")
							return true
						}
						c.say("552 5.3.4 too much")
						return true
					}
					h.start(t, nil)
					s := dial(t, newTransport(t, h.net, Config{}), target())
					env := envelope()
					env.Data = bytes.Repeat([]byte("0123456789abcde\n"), chunkSize/16*3+chunkSize/32) // grows by the CRs
					results, err := s.Send(context.Background(), env)
					if err != nil || results[0].Accepted || results[0].Reply.Code != 552 || results[0].Reply.Stage != bounce.StageDot {
						t.Fatalf("%v, %d: %+v %v", ext, nth, results, err)
					}
					chunk = 10
					mustSend(t, s, env)
					s.Close()
					if got := h.messages(); len(got) != 1 || got[0] != string(env.Header)+strings.ReplaceAll(string(env.Data), "\n", "\r\n") {
						t.Errorf("%d messages", len(got))
					}
					if got := h.commands(0); strings.Count(got, "RSET") != 1 || strings.Count(got, " LAST") < 1 {
						t.Errorf("commands are %s", got)
					}
				})
			}
		}
	}
}

// TestOctets: what BDAT sends is what DATA sends but for the stuffing, and as long as it says.
func TestOctets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.StringMatching(`([.ax]|\r\n|\n|\r|\r\n\.\r\n|\n\.\n){0,20}`)
		env := &Envelope{Header: []byte(part.Draw(t, "header")), Data: []byte(part.Draw(t, "data"))}
		head, body := octets(env)
		got, want := string(head)+string(body), strings.TrimSuffix(stuffedWithout(string(env.Header)+string(env.Data)), ".\r\n")
		if got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}
