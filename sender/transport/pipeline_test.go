package transport

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender/sendertest"
)

// TestRoundTrips counts how long messages take over a way of 25 milliseconds, by what the host offers.
func TestRoundTrips(t *testing.T) {
	const trip = 50 * time.Millisecond
	large := bytes.Repeat([]byte("0123456789abcde\r\n"), joinedContent/17+1)
	for _, c := range []struct {
		name string
		ext  []string
		data []byte
		to   int
		off  Config
		// send and then are the halves of a round trip that a message takes by Send, and all but the first in a row by SendThen.
		// The large one is more than the network holds at a time.
		send, then int
	}{
		{"plain", nil, nil, 2, Config{}, 10, 10},
		{"pipelined", []string{"PIPELINING"}, nil, 2, Config{}, 4, 2},
		{"pipelined, many recipients", []string{"PIPELINING"}, nil, 100, Config{}, 4, 2},
		{"pipelined, large", []string{"PIPELINING"}, large, 2, Config{}, 5, 3},
		{"joined", []string{"PIPELINING", "CHUNKING"}, nil, 2, Config{}, 2, 2},
		{"joined, large", []string{"PIPELINING", "CHUNKING"}, large, 2, Config{}, 5, 5},
		{"chunked", []string{"CHUNKING"}, nil, 2, Config{}, 8, 8},
		{"pipelining disabled", []string{"PIPELINING"}, nil, 2, Config{DisablePipelining: true}, 10, 10},
		{"chunking disabled", []string{"PIPELINING", "CHUNKING"}, nil, 2, Config{DisableChunking: true}, 4, 2},
		{"both disabled", []string{"PIPELINING", "CHUNKING"}, nil, 2, Config{DisablePipelining: true, DisableChunking: true}, 10, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := sendertest.NewNetwork()
				n.SetDelay(trip / 2)
				h := &fakeHost{ext: c.ext}
				h.start(t, n)
				s := dial(t, newTransport(t, n, c.off), target())
				var envs []*Envelope
				for i := range 5 {
					env := envelope()
					for len(env.To) < c.to {
						env.To = append(env.To, fmt.Sprintf("r%d@example.com", len(env.To)))
					}
					if env.From = fmt.Sprintf("m%d@example.org", i); c.data != nil {
						env.Data = c.data
					}
					envs = append(envs, env)
				}
				began := time.Now()
				mustSend(t, s, envs[0])
				if got := time.Since(began); got != time.Duration(c.send)*trip/2 {
					t.Errorf("Send took %v, want %d ways", got, c.send)
				}
				for i, env := range envs[1:] {
					began := time.Now()
					results, err := s.SendThen(context.Background(), env, func() *Envelope {
						if i+2 < len(envs) {
							return envs[i+2]
						}
						return nil
					})
					if err != nil || !results[0].Accepted || !results[c.to-1].Accepted {
						t.Fatalf("SendThen: %v %v", results[0], err)
					}
					want := c.then
					if i == 0 {
						want = c.send
					}
					if got := time.Since(began); got != time.Duration(want)*trip/2 {
						t.Errorf("SendThen %d took %v, want %d ways", i, got, want)
					}
				}
				s.Close()
				if got := h.messages(); len(got) != len(envs) || s.Messages() != len(envs) {
					t.Errorf("%d messages arrived of %d", len(got), s.Messages())
				}
				if got := h.commands(0); strings.Count(got, "MAIL FROM:<m") != 5 || !strings.HasSuffix(got, ",QUIT") {
					t.Errorf("commands are %.1000s", got)
				}
			})
		})
	}
}

// TestPipeliningAfterTLS: what counts is what is offered after the handshake.
func TestPipeliningAfterTLS(t *testing.T) {
	cert := serverTLS(certificate(t, "mx.example.com", nil))
	for _, after := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := &fakeHost{tls: cert, on: func(c *fakeConn, at bounce.Stage, line string) bool {
				if at != bounce.StageEHLO {
					return false
				}
				offer := "250-mx.example.com\r\n250-STARTTLS\r\n"
				if c.secure == after {
					offer += "250-PIPELINING\r\n250-CHUNKING\r\n"
				}
				c.say(offer + "250 HELP")
				return true
			}}
			h.start(t, nil)
			s := dial(t, newTransport(t, h.net, Config{}), target())
			mustSend(t, s, envelope())
			if s.Close(); s.chunking != after || s.window > 1 != after {
				t.Errorf("window %d, chunking %v", s.window, s.chunking)
			}
		})
	}
}

// TestSequencePipelined: what is said after refusals, and that RSET is in the group.
func TestSequencePipelined(t *testing.T) {
	const mail, rcpt = "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.com>"
	for _, c := range []struct {
		ext       []string
		data, end string
		want      []string
	}{
		{[]string{"PIPELINING"}, "DATA", "DATA", []string{
			mail, rcpt, "DATA", // refused at MAIL
			"RSET", mail, rcpt, "DATA", // at RCPT
			"RSET", mail, rcpt, "DATA", // at DATA
			"RSET", mail, rcpt, "DATA", // at the dot
			mail, rcpt, "DATA", "QUIT",
		}},
		{[]string{"PIPELINING", "CHUNKING"}, "", "BDAT 71 LAST", []string{
			mail, rcpt, "BDAT 71 LAST",
			"RSET", mail, rcpt, "BDAT 71 LAST",
			"RSET", mail, rcpt, "BDAT 71 LAST",
			"RSET", mail, rcpt, "BDAT 71 LAST", "QUIT",
		}},
		{[]string{"CHUNKING"}, "", "BDAT 71 LAST", []string{
			mail,
			"RSET", mail, rcpt,
			"RSET", mail, rcpt, "BDAT 71 LAST",
			"RSET", mail, rcpt, "BDAT 71 LAST", "QUIT",
		}},
	} {
		t.Run(strings.Join(c.ext, "+"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var refuse bounce.Stage
				h := &fakeHost{ext: c.ext, on: func(c *fakeConn, stage bounce.Stage, line string) bool {
					if stage != refuse {
						return false
					}
					c.say("550 5.7.1 no")
					return true
				}}
				h.start(t, nil)
				s := dial(t, newTransport(t, h.net, Config{}), target())
				for _, stage := range []bounce.Stage{bounce.StageMail, bounce.StageRcpt, bounce.StageData, bounce.StageDot} {
					if stage == bounce.StageData && c.data == "" {
						continue
					}
					refuse = stage
					results, err := s.Send(context.Background(), envelope())
					if err != nil || results[0].Accepted || results[0].Reply.Code != 550 || results[0].Reply.Stage != stage {
						t.Fatalf("%s: %v %v", stage, results, err)
					}
				}
				refuse = ""
				mustSend(t, s, envelope())
				s.Close()
				want := "EHLO mta1.example.org," + strings.Join(c.want, ",")
				if got := h.commands(0); got != want {
					t.Errorf("commands\n got %s\nwant %s", got, want)
				}
			})
		})
	}
}

// TestNothingToSend: DATA is answered with 354 although nobody was accepted (RFC 2920 section 3.1), or worse.
func TestNothingToSend(t *testing.T) {
	for _, c := range []struct {
		name string
		// mail, rcpt and dot are the host's replies; DATA is answered with 354.
		mail, rcpt, dot string
		want            string // the reply to the recipient
		alive           bool
		content         bool // whether the host reads a dot
	}{
		{"all recipients refused", "250 ok", "550 5.1.1 no", "554 5.5.1 nobody", "550 5.1.1 no", true, true},
		{"and an empty message taken", "250 ok", "550 5.1.1 no", "250 2.0.0 fine", "550 5.1.1 no", true, true},
		{"and the end", "250 ok", "550 5.1.1 no", "421 4.3.0 bye", "550 5.1.1 no", false, true},
		{"sender refused", "550 5.7.1 no", "503 5.5.1 what", "554 5.5.1 nobody", "550 5.7.1 no", true, true},
		{"sender refused, recipient taken", "550 5.7.1 no", "250 ok", "250 2.0.0 fine", "550 5.7.1 no", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dots := 0
				h := &scripted{offer: "250-mx\r\n250 PIPELINING\r\n", on: func(line string) string {
					switch verb, _, _ := strings.Cut(line, " "); verb {
					case "MAIL":
						return c.mail
					case "RCPT":
						return c.rcpt
					case "DATA":
						return "354 go"
					case ".":
						dots++
						return c.dot
					}
					return "250 ok"
				}}
				n := h.start(t)
				s := dial(t, newTransport(t, n, Config{}), target())
				results, err := s.Send(context.Background(), envelope())
				if got := results[0].Reply.String(); got != c.want || results[0].Accepted || (err == nil) != c.alive || s.Usable() != c.alive {
					t.Errorf("reply is %s, error %v", got, err)
				}
				if (dots > 0) != c.content {
					t.Errorf("%d dots", dots)
				}
				s.Close()
			})
		})
	}
}

// scripted is a host that takes each line for itself.
type scripted struct {
	offer string
	on    func(line string) string
}

func (h *scripted) start(t testing.TB) *sendertest.Network {
	n := sendertest.NewNetwork()
	l, err := n.Listen(hostAddr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				br := bufio.NewReader(conn)
				fmt.Fprint(conn, "220 mx\r\n")
				for {
					line, err := br.ReadString('\n')
					if err != nil {
						return
					}
					if line = strings.TrimRight(line, "\r\n"); strings.HasPrefix(line, "EHLO") {
						fmt.Fprint(conn, h.offer)
					} else if reply := h.on(line); reply != "" {
						fmt.Fprint(conn, reply+"\r\n")
					}
				}
			}()
		}
	}()
	return n
}

// TestSmallBuffers: neither side waits for the other one for ever, however small the buffers of both, however many recipients and
// however long the replies (RFC 2920 section 3.1).
func TestSmallBuffers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		conn.(*net.TCPConn).SetReadBuffer(8 << 10)
		conn.(*net.TCPConn).SetWriteBuffer(8 << 10)
		br := bufio.NewReaderSize(conn, 512)
		fmt.Fprint(conn, "220 mx\r\n")
		for inContent := false; ; {
			line, err := br.ReadString('\n')
			if err != nil {
				return
			}
			reply := "250 2.1.5 " + strings.Repeat("very good ", 10)
			switch {
			case inContent && line != ".\r\n":
				continue
			case inContent:
				inContent = false
			case strings.HasPrefix(line, "EHLO"):
				reply = "250-mx\r\n250 PIPELINING"
			case strings.HasPrefix(line, "DATA"):
				reply, inContent = "354 go", true
			}
			if _, err := conn.Write([]byte(reply + "\r\n")); err != nil {
				return
			}
		}
	}()
	tr, err := New(Config{
		Timeouts: Timeouts{Mail: 10 * time.Second, Rcpt: 10 * time.Second, Data: 10 * time.Second, Block: 10 * time.Second},
		Dial: func(ctx context.Context, local netip.Addr, addr netip.AddrPort) (net.Conn, error) {
			conn, err := dialNet(ctx, local, addr)
			if err == nil {
				conn.(*net.TCPConn).SetReadBuffer(8 << 10)
				conn.(*net.TCPConn).SetWriteBuffer(8 << 10)
			}
			return conn, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	to := target()
	to.Addr, to.LocalAddr = netip.MustParseAddrPort(l.Addr().String()), netip.Addr{}
	s := dial(t, tr, to)
	defer s.Abort()
	var envs [2]*Envelope
	for i := range envs {
		envs[i] = envelope()
		for n := range 2000 {
			envs[i].To = append(envs[i].To, fmt.Sprintf("recipient-with-a-long-name-%d@example.com", n))
		}
		envs[i].Data = bytes.Repeat([]byte("0123456789abcde\r\n"), 200)
	}
	for i := range envs {
		results, err := s.SendThen(context.Background(), envs[i], func() *Envelope { return envs[1] })
		if err != nil || !results[0].Accepted || !results[2000].Accepted {
			t.Fatalf("%v %v", results[2000], err)
		}
		if i == 1 {
			break
		}
	}
}

// countingConn counts the octets that are written.
type countingConn struct {
	net.Conn
	written *atomic.Int64
}

func (c *countingConn) Readable() bool { return c.Conn.(interface{ Readable() bool }).Readable() }

func (c *countingConn) Write(p []byte) (int, error) {
	c.written.Add(int64(len(p)))
	return c.Conn.Write(p)
}

// TestGroupBytes: no more commands are on their way than fit into small buffers, however long the addresses.
func TestGroupBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var written atomic.Int64
		answered, most := 0, 0
		h := &fakeHost{ext: []string{"PIPELINING"}, on: func(c *fakeConn, at bounce.Stage, line string) bool {
			if at == bounce.StageRcpt {
				time.Sleep(time.Millisecond) // the client has sent what it will
				most = max(most, int(written.Load())-answered)
			}
			answered += len(line) + len("\r\n")
			return false
		}}
		h.start(t, nil)
		tr, err := New(Config{Dial: func(ctx context.Context, local netip.Addr, addr netip.AddrPort) (net.Conn, error) {
			conn, err := h.net.Dial(ctx, local, addr)
			return &countingConn{conn, &written}, err
		}})
		if err != nil {
			t.Fatal(err)
		}
		s := dial(t, tr, target())
		env := envelope()
		for i := range 200 {
			env.To = append(env.To, fmt.Sprintf("%s%d@example.com", strings.Repeat("x", 250), i))
		}
		mustSend(t, s, env)
		s.Close()
		if most > groupBytes || most < groupBytes/2 {
			t.Errorf("up to %d octets were on their way", most)
		}
	})
}

// TestJoinedToNobody: what a host takes without a recipient may be pending there, so RSET comes first.
func TestJoinedToNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refuse := true
		h := &fakeHost{ext: []string{"PIPELINING", "CHUNKING"}, on: func(c *fakeConn, at bounce.Stage, line string) bool {
			switch {
			case !refuse:
				return false
			case at == bounce.StageRcpt:
				c.say("550 5.1.1 no such user")
			case at == atContent:
				c.br.Discard(71)
				c.say("250 2.0.0 taken for nobody")
			default:
				return false
			}
			return true
		}}
		h.start(t, nil)
		s := dial(t, newTransport(t, h.net, Config{}), target())
		results, err := s.Send(context.Background(), envelope())
		if err != nil || results[0].Accepted || results[0].Reply.Code != 550 || results[0].Reply.Stage != bounce.StageRcpt {
			t.Fatalf("%+v %v", results, err)
		}
		refuse = false
		mustSend(t, s, envelope())
		s.Close()
		const message = "MAIL FROM:<a@example.org>,RCPT TO:<b@example.com>,BDAT 71 LAST"
		if got, want := h.commands(0), "EHLO mta1.example.org,"+message+",RSET,"+message+",QUIT"; got != want {
			t.Errorf("commands\n got %s\nwant %s", got, want)
		}
	})
}

// TestJoinedDoubt: a refusal in the place of the content's reply that may be one of a recipient is not believed before the host was silent for a while.
func TestJoinedDoubt(t *testing.T) {
	for _, c := range []struct {
		refusal string
		waits   time.Duration
	}{
		{"550 no such user", doubt},
		{"550 5.1.1 no such user", doubt},
		{"554 5.7.1 no such content", 0},
	} {
		for _, astray := range []bool{true, false} {
			if astray && c.waits == 0 {
				continue
			}
			t.Run(fmt.Sprintf("%s/astray %v", c.refusal, astray), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := &fakeHost{ext: []string{"PIPELINING", "CHUNKING"}, on: func(conn *fakeConn, at bounce.Stage, line string) bool {
						switch {
						case astray && strings.Contains(line, "<fine@"):
							conn.say("250 2.1.5 ok\r\n250 2.1.5 what")
						case astray && strings.Contains(line, "<b@"):
							conn.say(c.refusal)
						case astray && at == bounce.StageDot:
							time.Sleep(doubt / 2)
							return false
						case !astray && at == bounce.StageDot:
							conn.say(c.refusal)
						default:
							return false
						}
						return true
					}}
					h.start(t, nil)
					s := dial(t, newTransport(t, h.net, Config{}), target())
					defer s.Close()
					began := time.Now()
					results, err := s.Send(context.Background(), envelope(victims[:2]...))
					took := time.Since(began)
					switch {
					case astray:
						if r := asError(t, err).Reply; r.Stage != bounce.StageDot || !strings.Contains(r.Text(), "unknown") || results[0].Reply.Code != 0 || results[1].Reply.Code != 0 {
							t.Errorf("error is %v, results %+v", err, results)
						}
					default:
						if err != nil || took != c.waits || results[0].Reply.String() != c.refusal || results[1].Reply.String() != c.refusal {
							t.Errorf("%+v %v after %v", results, err, took)
						}
					}
				})
			})
		}
	}
}
