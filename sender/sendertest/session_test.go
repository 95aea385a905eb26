package sendertest_test

import (
	"bytes"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/reputemail/repute/sender/sendertest"
)

// FuzzSession sends raw octets: the server answers with well-formed replies only, takes only content that cannot be read in
// two ways, and ends when the client does.
func FuzzSession(f *testing.F) {
	const begin = "EHLO a\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"
	for _, s := range []string{
		begin + "x\r\n.\r\nQUIT\r\n", begin + "x\n.\r\n.\r\n", begin + "x\r\n.\r\r\n.\r\n", begin + ".\r\n",
		begin + strings.Repeat("x", 16<<10) + "\r\n.\r\n", "MAIL FROM:<\"a>\\\"\"@[IPv6:2001:db8::1]> SIZE=1 BODY=8BITMIME\r\n",
		"AUTH PLAIN AHVzZXIAc2VjcmV0\r\nAUTH LOGIN\r\ndXNlcg==\r\nc2VjcmV0\r\n", "AUTH OAUTHBEARER bixhPXVzZXIsAWF1dGg9QmVhcmVyIHgBAQ==\r\n",
	} {
		f.Add([]byte(s))
	}
	n := sendertest.NewNetwork()
	inbox, err := sendertest.NewInbox(sendertest.InboxConfig{Keep: sendertest.KeepCount, OnMessage: func(r sendertest.Received) {
		rest := bytes.ReplaceAll(r.Data, []byte("\r\n"), nil)
		if bytes.ContainsAny(rest, "\r\n\x00") || len(r.To) == 0 || len(r.Data) > 0 && !bytes.HasSuffix(r.Data, []byte("\r\n")) {
			f.Errorf("accepted %+v", r)
		}
	}})
	must(f, err)
	s := startServer(f, n, sendertest.ServerConfig{Inbox: inbox, Auth: map[string]string{"user": "secret"}})
	f.Fuzz(func(t *testing.T, input []byte) {
		conn, err := n.Dial(t.Context(), netip.Addr{}, s.Addr())
		must(t, err)
		defer conn.Close()
		go func() {
			conn.Write(input)
			conn.(interface{ CloseWrite() error }).CloseWrite()
		}()
		out, err := io.ReadAll(conn)
		must(t, err)
		for line := range strings.SplitSeq(strings.TrimSuffix(string(out), "\r\n"), "\r\n") {
			if len(line) < 4 || line[0] < '2' || line[0] > '5' || line[3] != ' ' && line[3] != '-' || strings.ContainsAny(line, "\r\n") {
				t.Fatalf("malformed reply %q", line)
			}
		}
	})
}
