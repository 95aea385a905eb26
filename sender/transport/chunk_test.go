package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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

// TestChunksBroken: after a break amid the chunks, or behind one that was refused, the host has not got the message, and that is said.
func TestChunksBroken(t *testing.T) {
	one, two := []string{"CHUNKING"}, []string{"PIPELINING", "CHUNKING"} // chunks on their way at a time
	const sending, unknown = "4.4.2 lost the connection while sending the content: the host closed the connection", "4.4.2 " + unknownOutcome + "the host closed the connection"
	for _, c := range []struct {
		name    string
		ext     []string
		replies []string // to the chunks, of which there are three; then the host closes
		result  string
		err     string
	}{
		{"at the first", one, nil, sending, sending},
		{"at the second", one, []string{"250 ok"}, sending, sending},
		{"at the last", one, []string{"250 ok", "250 ok"}, unknown, unknown},
		{"at the second, when the last is sent", two, []string{"250 ok"}, unknown, unknown},
		{"behind a refusal", two, []string{"552 5.3.4 too much"}, "552 5.3.4 too much", sending},
		{"behind a refusal of the second", two, []string{"250 ok", "552 5.3.4 too much"}, "552 5.3.4 too much", sending},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				chunk := 0
				h := &fakeHost{ext: c.ext, on: func(conn *fakeConn, at bounce.Stage, line string) bool {
					if at != atChunk && at != bounce.StageDot {
						return false
					}
					if chunk++; chunk <= len(c.replies) {
						conn.say(c.replies[chunk-1])
						return true
					}
					conn.Close()
					return true
				}}
				h.start(t, nil)
				s := dial(t, newTransport(t, h.net, Config{}), target())
				env := envelope()
				env.Data = bytes.Repeat([]byte("0123456789abcd\r\n"), chunkSize/16*2+100)
				results, err := s.Send(context.Background(), env)
				if got := asError(t, err).Reply.String(); got != c.err || results[0].Accepted || results[0].Reply.String() != c.result {
					t.Errorf("error is %v, result %+v", err, results[0])
				}
			})
		})
	}
}

// TestChunksSlowReplies: the time that a host takes to answer a chunk is not that of the writing.
func TestChunksSlowReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHost{ext: []string{"CHUNKING"}, on: func(c *fakeConn, at bounce.Stage, line string) bool {
			if at == atChunk {
				time.Sleep(9 * time.Minute)
			}
			return false
		}}
		h.start(t, nil)
		s := dial(t, newTransport(t, h.net, Config{}), target())
		env := envelope()
		env.Data = bytes.Repeat([]byte("0123456789abcd\r\n"), chunkSize/16*4)
		mustSend(t, s, env)
		s.Close()
	})
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
