package sendertest_test

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"net/textproto"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender/sendertest"
)

// bubble runs a test with a network in memory, and holds it to leave no connection open.
func bubble(t *testing.T, f func(t *testing.T, n *sendertest.Network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := sendertest.NewNetwork()
		f(t, n)
		synctest.Wait()
		if open := n.OpenConns(); open != 0 {
			t.Errorf("%d connections left open", open)
		}
		n.Close()
	})
}

func startServer(t testing.TB, n *sendertest.Network, config sendertest.ServerConfig) *sendertest.Server {
	t.Helper()
	s, err := sendertest.StartServer(n, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func newCA(t testing.TB) *sendertest.CA {
	t.Helper()
	ca, err := sendertest.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func TestServerAccepts(t *testing.T) {
	bubble(t, func(t *testing.T, n *sendertest.Network) {
		s := startServer(t, n, sendertest.ServerConfig{})
		conn, err := n.Dial(t.Context(), netip.MustParseAddr("198.51.100.7"), s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		c := smtp.NewClient(conn)
		c.Hello("mta.example.com")
		if err := c.Mail("news@example.com", &smtp.MailOptions{Body: smtp.Body8BitMIME, Size: 20, UTF8: true}); err != nil {
			t.Fatal(err)
		}
		for _, to := range []string{"one@example.org", `"odd>one"@example.org`, "ümlaut@example.org"} {
			if err := c.Rcpt(to, nil); err != nil {
				t.Fatal(err)
			}
		}
		w, _ := c.Data()
		fmt.Fprint(w, "Subject: a\r\n b\r\n\r\n.dot\r\n..\r\n\r\nend\r\n")
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := c.Quit(); err != nil {
			t.Fatal(err)
		}
		got := s.Inbox().Messages()
		if len(got) != 1 || s.Inbox().Len() != 1 {
			t.Fatalf("%d messages, want 1", len(got))
		}
		m := got[0]
		if string(m.Data) != "Subject: a\r\n b\r\n\r\n.dot\r\n..\r\n\r\nend\r\n" {
			t.Errorf("data %q", m.Data)
		}
		if h := m.Header("subject"); len(h) != 1 || h[0] != "a b" {
			t.Errorf("subject %q", h)
		}
		m.Data = nil
		if got, want := fmt.Sprintln(m.From, m.To, m.Params, m.Hostname, m.Source, m.TLS == nil, m.Session, m.Server),
			fmt.Sprintln("news@example.com", []string{"one@example.org", `"odd>one"@example.org`, "ümlaut@example.org"},
				map[string]string{"BODY": "8BITMIME", "SIZE": "20", "SMTPUTF8": ""}, "mta.example.com", "198.51.100.7", true, 1,
				"mx.example.com"); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if !m.Time.Equal(time.Now()) {
			t.Errorf("time %v", m.Time)
		}
		if len(s.Inbox().WithRecipient("ONE@example.org")) != 1 || len(s.Inbox().WithRecipient("two@example.org")) != 0 {
			t.Error("WithRecipient")
		}
		synctest.Wait()
		want := sendertest.ServerStats{Connections: 1, MaxOpen: 1, Messages: 1}
		if got := s.Stats(); got != want {
			t.Errorf("stats %+v, want %+v", got, want)
		}
	})
}

// TestServerTLS does STARTTLS, implicit TLS and QUIT over TLS.
func TestServerTLS(t *testing.T) {
	for _, implicit := range []bool{false, true} {
		t.Run(fmt.Sprint("implicit ", implicit), func(t *testing.T) {
			bubble(t, func(t *testing.T, n *sendertest.Network) {
				ca := newCA(t)
				s := startServer(t, n, sendertest.ServerConfig{CA: ca, ImplicitTLS: implicit, RequireTLS: true})
				config := &tls.Config{RootCAs: ca.Pool(), ServerName: s.Hostname()}
				conn, err := n.Dial(t.Context(), netip.Addr{}, s.Addr())
				if err != nil {
					t.Fatal(err)
				}
				var c *smtp.Client
				if implicit {
					c = smtp.NewClient(tls.Client(conn, config))
				} else if c, err = smtp.NewClientStartTLS(conn, config); err != nil {
					t.Fatal(err)
				}
				if err := transact(c, "news@example.com", "user@example.org", body(300)); err != nil {
					t.Fatal(err)
				}
				if err := c.Quit(); err != nil {
					t.Fatal(err)
				}
				if m := s.Inbox().Messages()[0]; m.TLS == nil || m.TLS.Version != tls.VersionTLS13 {
					t.Errorf("TLS state %+v", m.TLS)
				}
			})
		})
	}
}

func TestServerAuth(t *testing.T) {
	bearer := func(token string) sasl.Client {
		return sasl.NewOAuthBearerClient(&sasl.OAuthBearerOptions{Username: "user", Token: token, Host: "mx.example.com", Port: 25})
	}
	tests := []struct {
		name   string
		client sasl.Client
		ok     bool
	}{
		{"plain", sasl.NewPlainClient("", "user", "secret"), true},
		{"plain, wrong password", sasl.NewPlainClient("", "user", "guess"), false},
		{"plain, unknown user", sasl.NewPlainClient("", "nobody", ""), false},
		{"login", sasl.NewLoginClient("user", "secret"), true},
		{"login, wrong password", sasl.NewLoginClient("user", "guess"), false},
		{"bearer", bearer("secret"), true},
		{"bearer, wrong token", bearer("guess"), false},
		{"unknown mechanism", sasl.NewAnonymousClient("x"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *sendertest.Network) {
				s := startServer(t, n, sendertest.ServerConfig{Auth: map[string]string{"user": "secret"}, RequireAuth: true})
				c := dialSMTP(t, n, s.Addr())
				defer c.Quit()
				if code := codeOf(transact(c, "news@example.com", "user@example.org", body(1))); code != 530 {
					t.Errorf("without AUTH: code %d, want 530", code)
				}
				err := c.Auth(tt.client)
				if (err == nil) != tt.ok {
					t.Fatalf("AUTH: %v, want ok %v", err, tt.ok)
				}
				if !tt.ok {
					return
				}
				if err := transact(c, "news@example.com", "user@example.org", body(1)); err != nil {
					t.Fatal(err)
				}
				if user := s.Inbox().Messages()[0].User; user != "user" {
					t.Errorf("user %q", user)
				}
			})
		})
	}
}

// TestServerAuthLine: a response may be longer than a command, but not in the command (RFC 4954 section 4).
func TestServerAuthLine(t *testing.T) {
	bubble(t, func(t *testing.T, n *sendertest.Network) {
		secret := strings.Repeat("s", 2000)
		s := startServer(t, n, sendertest.ServerConfig{Auth: map[string]string{"user": secret}})
		response := base64.StdEncoding.EncodeToString([]byte("\x00user\x00" + secret))
		for input, want := range map[string]string{
			"EHLO a\r\nAUTH PLAIN " + response + "\r\nQUIT\r\n":    "250 500 221",
			"EHLO a\r\nAUTH PLAIN\r\n" + response + "\r\nQUIT\r\n": "250 334 235 221",
		} {
			if got := strings.Join(talk(t, n, s.Addr(), input), " "); got != want {
				t.Errorf("replies %s, want %s", got, want)
			}
		}
	})
}

// codeOf is the reply code in an error of go-smtp's client; 0 for none.
func codeOf(err error) int {
	var reply *smtp.SMTPError
	if errors.As(err, &reply) {
		return reply.Code
	}
	var proto *textproto.Error
	if errors.As(err, &proto) {
		return proto.Code
	}
	return 0
}

// talk sends raw octets over a new connection and returns all replies, without the greeting. The server closes at QUIT.
func talk(t *testing.T, n *sendertest.Network, addr netip.AddrPort, input string) []string {
	t.Helper()
	conn, err := n.Dial(t.Context(), netip.Addr{}, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(input)); err != nil {
		t.Fatal(err)
	}
	r := textproto.NewConn(conn)
	var lines []string
	for {
		line, err := r.ReadLine()
		if err != nil {
			break
		}
		if len(line) > 3 && line[3] == ' ' {
			lines = append(lines, line[:3])
		}
	}
	return lines[1:]
}

// TestServerDialogue speaks raw SMTP: sequence, syntax, pipelining, smuggling.
func TestServerDialogue(t *testing.T) {
	const begin = "EHLO a\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"
	const began = "250 250 250 354 "
	const chunk = "EHLO a\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\n"
	none, chunking := sendertest.Extensions{}, sendertest.Extensions{Chunking: true}
	tests := []struct {
		name, input, want string
		messages          []string
		ext               sendertest.Extensions
	}{
		{"pipelined", begin + "x\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<Postmaster>\r\nDATA\r\n.\r\nQUIT\r\n",
			began + "250 250 250 354 250 221", []string{"x\r\n", ""}, none},
		{"sequence", "MAIL FROM:<a@example.com>\r\nEHLO a\r\nRCPT TO:<a@example.com>\r\nDATA\r\nMAIL FROM:<>\r\nMAIL FROM:<>\r\nQUIT\r\n",
			"503 250 503 503 250 503 221", nil, none},
		{"syntax", "EHLO\r\nHELO a\r\nMAIL a@example.com\r\nMAIL FROM:<a b@example.com>\r\nMAIL FROM:<a@example.com> X=1\r\n" +
			"MAIL FROM:<a@example.com>X\r\nFOO\r\nNOOP\r\nRSET\r\nVRFY a\r\nHELP\r\nquit\r\n",
			"501 250 501 553 555 501 500 250 250 252 214 221", nil, none},
		{"addresses", "EHLO a\r\nMAIL FROM:<@r.example:a@example.com>\r\nRCPT TO:<\"a b\\\"\"@example.org>\r\nRCPT TO:<a@[192.0.2.1]>\r\n" +
			"RCPT TO:<a..b@example.org>\r\nRCPT TO:<a@b@example.org>\r\nRCPT TO:<a@-x.example>\r\nRCPT TO:<a@>\r\nRCPT TO:<>\r\nQUIT\r\n",
			"250 250 250 250 553 553 553 553 553 221", nil, none},
		{"UTF-8 unannounced", "EHLO a\r\nMAIL FROM:<ü@example.com>\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<ü@example.org>\r\nQUIT\r\n",
			"250 553 250 553 221", nil, none},
		{"dots", begin + ".\r.\r\n..\r\n...\r\n.a\r\n.\r\nQUIT\r\n", began + "550 221", nil, none},
		{"unstuffed", begin + "..\r\n...\r\n.a\r\n.\r\nQUIT\r\n", began + "250 221", []string{".\r\n..\r\na\r\n"}, none},
		{"smuggling LF.LF", begin + "x\n.\nMAIL FROM:<evil@example.com>\r\n.\r\nQUIT\r\n", began + "550 221", nil, none},
		{"smuggling LF.CRLF", begin + "x\n.\r\nMAIL FROM:<evil@example.com>\r\n.\r\nQUIT\r\n", began + "550 221", nil, none},
		{"smuggling CRLF.LF", begin + "x\r\n.\nMAIL FROM:<evil@example.com>\r\n.\r\nQUIT\r\n", began + "550 221", nil, none},
		{"smuggling CR.CR", begin + "x\r.\rMAIL FROM:<evil@example.com>\r\n.\r\nQUIT\r\n", began + "550 221", nil, none},
		{"smuggling CR.CRLF", begin + "x\r\n.\r\r\nMAIL FROM:<evil@example.com>\r\n.\r\nQUIT\r\n", began + "550 221", nil, none},
		{"NUL", begin + "x\x00\r\n.\r\nQUIT\r\n", began + "550 221", nil, none},
		{"line of 1000 octets", begin + strings.Repeat("x", 998) + "\r\n.\r\nQUIT\r\n", began + "250 221",
			[]string{strings.Repeat("x", 998) + "\r\n"}, none},
		{"longest stuffed line", begin + "." + strings.Repeat(".", 998) + "\r\n.\r\nQUIT\r\n", began + "250 221",
			[]string{strings.Repeat(".", 998) + "\r\n"}, none},
		{"line too long", begin + strings.Repeat("x", 1001) + "\r\n.\r\nQUIT\r\n", began + "550 221", nil, none},
		{"line longer than the buffer", begin + strings.Repeat("x", 16<<10-1) + "\r\n.\r\nQUIT\r\n", began + "550 221", nil, none},
		{"line that ends at the buffer", begin + strings.Repeat("x", 32<<10) + "\r\n.\r\nQUIT\r\n", began + "550 221", nil, none},
		{"command with bare LF", "EHLO a\nNOOP\r\nNO\rOP\r\nQUIT\r\n", "500 250 500 221", nil, none},
		{"command too long", "NOOP " + strings.Repeat("x", 50_000) + "\r\nQUIT\r\n", "500 221", nil, none},
		{"too many errors", strings.Repeat("X\r\n", 30), strings.Repeat("500 ", 19) + "421", nil, none},
		{"no recipients", "EHLO a\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@@example.org>\r\nDATA\r\nQUIT\r\n", "250 250 553 554 221", nil, none},
		{"sender refused amid a pipeline", "EHLO a\r\nMAIL FROM:<a@@example.com>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nMAIL FROM:<a@example.com>\r\nDATA\r\nQUIT\r\n",
			"250 553 503 503 250 554 221", nil, none},
		{"chunk", chunk + "BDAT 3 LAST\r\nx\r\nMAIL FROM:<a@example.com>\r\nQUIT\r\n", "250 250 250 250 250 221", []string{"x\r\n"}, chunking},
		{"chunks", chunk + "BDAT 2\r\n.\rBDAT 0\r\nBDAT 5\r\n\n..\r\nbdat 0 last\r\nQUIT\r\n", "250 250 250 250 250 250 250 221", []string{".\r\n..\r\n"}, chunking},
		{"empty chunk", chunk + "BDAT 0 LAST\r\nQUIT\r\n", "250 250 250 250 221", []string{""}, chunking},
		{"chunks for nobody", "EHLO a\r\nBDAT 6\r\nQUIT\r\nMAIL FROM:<a@example.com>\r\nBDAT 6 LAST\r\nQUIT\r\nQUIT\r\n", "250 503 250 554 221", nil, chunking},
		{"chunks, then DATA", chunk + "BDAT 3\r\nx\r\nDATA\r\nRSET\r\nQUIT\r\n", "250 250 250 250 503 250 221", nil, chunking},
		{"chunks with bare LF", chunk + "BDAT 4\r\nx\ny\nBDAT 0 LAST\r\nBDAT 1 LAST\r\n\nRSET\r\nQUIT\r\n", "250 250 250 250 550 550 250 221", nil, chunking},
		{"chunks with bare CR", chunk + "BDAT 4 LAST\r\nx\r\r\nQUIT\r\n", "250 250 250 550 221", nil, chunking},
		{"chunks with NUL", chunk + "BDAT 4 LAST\r\nx\x00\r\nQUIT\r\n", "250 250 250 550 221", nil, chunking},
		{"chunks without an end", chunk + "BDAT 1 LAST\r\nxQUIT\r\n", "250 250 250 550 221", nil, chunking},
		{"chunks with a long line", chunk + "BDAT 1001 LAST\r\n" + strings.Repeat("x", 999) + "\r\nQUIT\r\n", "250 250 250 550 221", nil, chunking},
		{"chunks too large", chunk + "BDAT 40001\r\n" + strings.Repeat("x", 40_001) + "BDAT 1 LAST\r\nxQUIT\r\n", "250 250 250 250 552 221", nil, chunking},
		{"chunks with 8 bits not offered", chunk + "BDAT 4 LAST\r\nü\r\nQUIT\r\n", "250 250 250 550 221", nil, sendertest.Extensions{Chunking: true, No8BitMIME: true}},
		{"chunks malformed", chunk + "BDAT x\r\nQUIT\r\n", "250 250 250 501", nil, chunking},
		{"chunks not offered", chunk + "BDAT 3 LAST\r\nQUIT\r\n", "250 250 250 500 221", nil, none},
		{"pipelining not offered", "EHLO a\r\nNOOP\r\n", "503", nil, sendertest.Extensions{NoPipelining: true}},
		{"HELO only", "EHLO a\r\nHELO a\r\nMAIL FROM:<a@example.com> SIZE=1\r\nMAIL FROM:<a@example.com>\r\nQUIT\r\n", "502 250 555 250 221", nil,
			sendertest.Extensions{NoEHLO: true}},
		{"8 bits not offered", begin + "ü\r\n.\r\nQUIT\r\n", began + "550 221", nil, sendertest.Extensions{No8BitMIME: true}},
		{"parameters not offered", "EHLO a\r\nMAIL FROM:<> BODY=8BITMIME\r\nMAIL FROM:<> SIZE=1\r\nMAIL FROM:<> SMTPUTF8\r\nMAIL FROM:<> RET=HDRS\r\nQUIT\r\n",
			"250 555 555 555 555 221", nil, sendertest.Extensions{No8BitMIME: true, NoSize: true, NoSMTPUTF8: true}},
		{"DSN", "EHLO a\r\nMAIL FROM:<a@example.com> RET=HDRS ENVID=1\r\nRCPT TO:<a@example.com> NOTIFY=NEVER\r\nQUIT\r\n", "250 250 250 221", nil,
			sendertest.Extensions{DSN: true}},
		{"STARTTLS not offered", "EHLO a\r\nSTARTTLS\r\nAUTH PLAIN AAA=\r\nQUIT\r\n", "250 502 502 221", nil, none},
		{"declared too large", "EHLO a\r\nMAIL FROM:<> SIZE=40001\r\nMAIL FROM:<> SIZE=-1\r\nQUIT\r\n", "250 552 555 221", nil, none},
		{"too large", begin + strings.Repeat(strings.Repeat("x", 98)+"\r\n", 401) + ".\r\nQUIT\r\n", began + "552 221", nil, none},
		{"large enough", begin + strings.Repeat(strings.Repeat("x", 98)+"\r\n", 400) + ".\r\nQUIT\r\n", began + "250 221",
			[]string{strings.Repeat(strings.Repeat("x", 98)+"\r\n", 400)}, none},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *sendertest.Network) {
				s := startServer(t, n, sendertest.ServerConfig{Extensions: tt.ext, MaxSize: 40_000})
				if got := strings.Join(talk(t, n, s.Addr(), tt.input), " "); got != tt.want {
					t.Errorf("replies %s\n   want %s", got, tt.want)
				}
				var messages []string
				for _, m := range s.Inbox().Messages() {
					messages = append(messages, string(m.Data))
				}
				if fmt.Sprintf("%q", messages) != fmt.Sprintf("%q", tt.messages) {
					t.Errorf("messages %.200q, want %.200q", messages, tt.messages)
				}
			})
		})
	}
}

// TestServerStartTLSInjection: what follows STARTTLS in clear text is not executed.
// TestServerMisbehavesAmidPipeline: a script's answer comes in its place among those to commands that were sent together, and what
// was answered before it arrives, too.
func TestServerMisbehavesAmidPipeline(t *testing.T) {
	const group = "EHLO a\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nRCPT TO:<c@example.org>\r\nDATA\r\n"
	second := func(s sendertest.Script) sendertest.Script {
		return sendertest.When(func(s *sendertest.Session) bool { return len(s.To()) > 0 || s.Messages() > 0 }, s)
	}
	for name, tt := range map[string]struct {
		script sendertest.Script
		input  string
		want   string
	}{
		"rejected":  {second(sendertest.RejectAt(bounce.StageRcpt, "450 4.2.0 later")), ".\r\nQUIT\r\n", "250 250 250 450 354 250 221"},
		"421":       {second(sendertest.RejectAt(bounce.StageRcpt, "421 4.3.0 bye")), "", "250 250 250 421"},
		"dropped":   {second(sendertest.DropAt(bounce.StageRcpt)), "", "250 250 250"},
		"hanging":   {second(sendertest.HangAt(bounce.StageRcpt)), "", "250 250 250"},
		"late":      {sendertest.Tarpit(time.Minute), ".\r\nQUIT\r\n", "250 250 250 250 354 250 221"},
		"dripping":  {sendertest.SlowDrip(time.Second), ".\r\nQUIT\r\n", "250 250 250 250 354 250 221"},
		"after all": {sendertest.CloseAfter(1), ".\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\n", "250 250 250 250 354 250"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *sendertest.Network) {
				s := startServer(t, n, sendertest.ServerConfig{Script: tt.script})
				if got := strings.Join(talk(t, n, s.Addr(), group+tt.input), " "); got != tt.want {
					t.Errorf("replies %s\n   want %s", got, tt.want)
				}
			})
		})
	}
}

func TestServerStartTLSInjection(t *testing.T) {
	bubble(t, func(t *testing.T, n *sendertest.Network) {
		s := startServer(t, n, sendertest.ServerConfig{CA: newCA(t)})
		if got := fmt.Sprint(talk(t, n, s.Addr(), "EHLO a\r\nSTARTTLS\r\nMAIL FROM:<evil@example.com>\r\n")); got != "[250 503]" {
			t.Error(got)
		}
	})
}

func TestServerLimits(t *testing.T) {
	bubble(t, func(t *testing.T, n *sendertest.Network) {
		s := startServer(t, n, sendertest.ServerConfig{MaxMessages: 2, MaxConns: 1, MaxRecipients: 1})
		c := dialSMTP(t, n, s.Addr())
		conn, err := n.Dial(t.Context(), netip.Addr{}, s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if code := codeOf(smtp.NewClient(conn).Hello("mta.example.com")); code != 421 {
			t.Errorf("second connection: code %d, want 421", code)
		}
		conn.Close()
		for range 2 {
			if err := transact(c, "a@example.com", "b@example.org", body(1)); err != nil {
				t.Fatal(err)
			}
		}
		if code := codeOf(c.Mail("a@example.com", nil)); code != 421 {
			t.Errorf("third message: code %d, want 421", code)
		}
		c.Close()
		synctest.Wait()
		c = dialSMTP(t, n, s.Addr())
		c.Mail("a@example.com", nil)
		c.Rcpt("b@example.org", nil)
		if code := codeOf(c.Rcpt("c@example.org", nil)); code != 452 {
			t.Errorf("second recipient: code %d, want 452", code)
		}
		// An idle client is sent away.
		time.Sleep(6 * time.Minute)
		if code := codeOf(c.Noop()); code != 421 {
			t.Errorf("after idling: code %d, want 421", code)
		}
		c.Close()
		synctest.Wait()
		if got := s.Stats(); got.MaxOpen != 2 || got.Open != 0 || got.Connections != 3 {
			t.Errorf("stats %+v", got)
		}
	})
}

func TestServerConfigValidate(t *testing.T) {
	n := sendertest.NewNetwork()
	defer n.Close()
	tests := map[string]sendertest.ServerConfig{
		"ServerConfig.TLS":     {ImplicitTLS: true},
		"ServerConfig.MaxSize": {MaxSize: -1},
		"ServerConfig.Timeout": {Timeout: -1},
		"ServerConfig.CA":      {CA: newCA(t), Hostname: "müll.example"},
	}
	for field, config := range tests {
		if _, err := sendertest.StartServer(n, config); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: error %v", field, err)
		}
	}
	startServer(t, n, sendertest.ServerConfig{})
	if _, err := sendertest.StartServer(n, sendertest.ServerConfig{}); err == nil || !strings.Contains(err.Error(), "ServerConfig.Addr") {
		t.Errorf("same address twice: error %v", err)
	}
}

// TestServerVolume is the volume that bubbles are made for: 20,000 messages in batches a day apart.
func TestServerVolume(t *testing.T) {
	if testing.Short() {
		t.Skip("a second of work")
	}
	bubble(t, func(t *testing.T, n *sendertest.Network) {
		inbox, err := sendertest.NewInbox(sendertest.InboxConfig{Keep: sendertest.KeepHeader, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		s := startServer(t, n, sendertest.ServerConfig{Inbox: inbox})
		data := body(500)
		for range 10 {
			c := dialSMTP(t, n, s.Addr())
			for range 2000 {
				if err := transact(c, "a@example.com", "b@example.org", data); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Quit(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(24 * time.Hour)
		}
		if inbox.Len() != 20_000 || len(inbox.Messages()) != 10 {
			t.Errorf("%d messages, %d kept", inbox.Len(), len(inbox.Messages()))
		}
	})
}

// TestServerClose ends sessions that hang in every way.
func TestServerClose(t *testing.T) {
	bubble(t, func(t *testing.T, n *sendertest.Network) {
		s := startServer(t, n, sendertest.ServerConfig{Script: sendertest.Tarpit(24 * time.Hour)})
		conn, err := n.Dial(t.Context(), netip.Addr{}, s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		start := time.Now()
		s.Close()
		s.Close()
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("a session outlived its server")
		}
		if time.Since(start) != 0 {
			t.Errorf("Close took %v", time.Since(start))
		}
		conn.Close()
	})
}
