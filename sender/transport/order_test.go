package transport

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/reputemail/repute/bounce"
)

// script is a connection to a host that says the same whatever it is told, in pieces.
type script struct {
	net.Conn
	said   []byte
	pieces []byte // the length of each piece, over and over
	n      int
}

func (c *script) Read(p []byte) (int, error) {
	if len(c.said) == 0 {
		return 0, io.EOF
	}
	size := 1
	if len(c.pieces) > 0 {
		size += int(c.pieces[c.n%len(c.pieces)])
		c.n++
	}
	n := copy(p, c.said[:min(size, len(c.said))])
	c.said = c.said[n:]
	return n, nil
}

func (c *script) Write(p []byte) (int, error)      { return len(p), nil }
func (c *script) SetDeadline(time.Time) error      { return nil }
func (c *script) SetReadDeadline(time.Time) error  { return nil }
func (c *script) SetWriteDeadline(time.Time) error { return nil }
func (c *script) Close() error                     { return nil }

// Readable says that the host is quiet as long as it is not read from: that makes the most of what it says replies.
func (c *script) Readable() bool { return false }

// session is one with a host behind a connection, as if greeted already.
func session(conn net.Conn, window int, chunking bool) *Session {
	c := &Config{Timeouts: shortTimeouts}
	if err := c.validate(); err != nil {
		panic(err)
	}
	pool := &sync.Pool{New: func() any { b := make([]byte, 0, blockSize); return &b }}
	return &Session{wire: newWire(conn, c), config: c, host: "mx.example.com", window: window, chunking: chunking, blocks: pool, note: func(quirk) {}}
}

// codes are the replies in what a host said, by a reader of the test's own: the last line of each has a code and no hyphen.
func codes(said []byte) []int {
	var all []int
	for line := range strings.Lines(string(said)) {
		line = strings.TrimRight(line, "\r\n")
		if len(line) > 3 && line[3] == ' ' || len(line) == 3 {
			if code, err := strconv.ParseUint(line[:3], 10, 16); err == nil && code >= 200 && code < 600 {
				all = append(all, int(code))
			}
		}
	}
	return all
}

// FuzzReplies: whatever a host says to a group of commands, in whatever pieces, the results are complete, and each one is what the
// host said to that command.
func FuzzReplies(f *testing.F) {
	for _, said := range []string{
		"250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n250 taken\r\n250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n",
		"250 ok\r\n550-5.1.1 a\r\n550 5.1.1 b\r\n450 x\r\n550 x\r\n354 go\r\n250 odd\r\n",
		"250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n250 taken\r\n250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n552 too much\r\n",
		"550 no\r\n503 a\r\n503 b\r\n503 c\r\n503 d\r\n",
		"250 ok\r\n421 bye\r\n",
		"250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 what\r\n\x00\xff",
	} {
		f.Add([]byte(said), []byte{3, 200, 0}, byte(0))
		f.Add([]byte(said), []byte{7}, byte(1))
		f.Add([]byte(said), []byte{255}, byte(2))
	}
	f.Fuzz(func(t *testing.T, said, pieces []byte, way byte) {
		// The ways are those of modes. With PIPELINING alone the second message is begun behind the first.
		window := []int{1, groupCommands}[way%2]
		chunking := way%4 >= 2
		s := session(&script{said: said, pieces: pieces}, window, chunking)
		heard := codes(said)
		code := func(i int) int {
			if i < len(heard) {
				return heard[i]
			}
			return 0
		}
		envs := []*Envelope{envelope("a@example.com", "b@example.com", "c@example.com"), envelope("d@example.com", "e@example.com", "f@example.com")}
		base := 0
		for i, env := range envs {
			begun := false
			results, err := s.SendThen(context.Background(), env, func() *Envelope {
				if begun = i == 0; begun {
					return envs[1]
				}
				return nil
			})
			if len(results) != len(env.To) {
				t.Fatalf("%d results", len(results))
			}
			if s.Usable() != (err == nil) {
				t.Fatalf("Usable() = %v, error %v", s.Usable(), err)
			}
			end := base + 5 // of the content
			if chunking {
				end--
			}
			any := false
			for n, r := range results {
				rcpt := base + 1 + n
				switch {
				case r.Reply.Stage == "" || r.Reply.Host == "" || r.Accepted && (r.Reply.Local || r.Reply.Code/100 != 2):
					t.Fatalf("result %d is %+v", n, r)
				case r.Accepted && (code(base)/100 != 2 || code(rcpt)/100 != 2 || code(end) != r.Reply.Code || !chunking && code(end-1)/100 != 3):
					t.Fatalf("message %d: recipient %d was accepted by %v", i, n, heard)
				case !r.Accepted && !r.Reply.Local && r.Reply.Stage == bounce.StageRcpt && r.Reply.Code != 421 && r.Reply.Code != code(rcpt):
					t.Fatalf("message %d: recipient %d was refused with %d by %v", i, n, r.Reply.Code, heard)
				case !r.Accepted && !r.Reply.Local && r.Reply.Stage == bounce.StageMail && r.Reply.Code != 421 && r.Reply.Code != code(base):
					t.Fatalf("message %d: refused with %d by %v", i, r.Reply.Code, heard)
				}
				any = any || r.Accepted
			}
			if err != nil || !any {
				return // what comes next depends on whether there is a RSET
			}
			base = end + 1
		}
	})
}

// player is a connection to a host that has a reply for each command, which may be silence or the end.
type player struct {
	script
	replies map[string]string
	in      []byte
	content bool
	left    int // octets of a chunk
	dead    bool
}

const (
	silence = "silence"
	theEnd  = "the end"
)

func (c *player) Read(p []byte) (int, error) {
	if len(c.said) == 0 && !c.dead {
		return 0, &net.OpError{Op: "read", Err: errTimeout{}}
	}
	return c.script.Read(p)
}

type errTimeout struct{}

func (errTimeout) Error() string   { return "timed out" }
func (errTimeout) Timeout() bool   { return true }
func (errTimeout) Temporary() bool { return true }

func (c *player) Write(p []byte) (int, error) {
	c.in = append(c.in, p...)
	for {
		if c.left > 0 {
			n := min(c.left, len(c.in))
			c.left -= n
			if c.in = c.in[n:]; c.left > 0 {
				return len(p), nil
			}
			c.answer("DOT")
			continue
		}
		i := bytes.IndexByte(c.in, '\n')
		if i < 0 {
			return len(p), nil
		}
		line := strings.TrimRight(string(c.in[:i]), "\r\n")
		c.in = c.in[i+1:]
		verb, arg, _ := strings.Cut(line, " ")
		switch {
		case c.content:
			if line == "." {
				c.content = false
				c.answer("DOT")
			}
		case verb == "RCPT":
			c.answer(arg)
		case verb == "BDAT":
			fmt.Sscan(arg, &c.left)
		case verb == "DATA":
			c.content = strings.HasPrefix(c.replies["DATA"], "354") && !c.dead
			c.answer("DATA")
		default:
			c.answer(verb)
		}
	}
}

func (c *player) answer(key string) {
	if c.dead {
		return
	}
	switch reply := c.replies[key]; reply {
	case silence:
		c.dead = false
		c.replies = map[string]string{} // says nothing any more
	case theEnd:
		c.dead = true
	case "":
	default:
		c.said = append(c.said, reply+"\r\n"...)
		if strings.HasPrefix(reply, "421") {
			c.dead = true
		}
	}
}

// TestPipeliningChangesNothing: the results are the same in whatever way commands are sent, for any replies. Where a host is out of
// step with what it was told ahead, and only there, a refusal may become a failure of our own.
func TestPipeliningChangesNothing(t *testing.T) {
	reply := rapid.SampledFrom([]string{
		"250 ok", "250 ok", "250 ok", "250 ok", "251 ok", "450 4.2.0 later", "550 5.1.1 no", "550-5.1.1 no\r\n550 5.1.1 such user", "552 5.2.2 full",
		"421 4.3.0 bye", "354 what", "250", "nonsense", "150 soon", silence, theEnd,
	})
	rapid.Check(t, func(t *rapid.T) {
		replies := map[string]string{"RSET": "250 ok", "MAIL": reply.Draw(t, "MAIL"), "DOT": reply.Draw(t, "DOT")}
		env := envelope()
		env.To = nil
		for i := range rapid.IntRange(1, 5).Draw(t, "recipients") {
			to := fmt.Sprintf("r%d@example.com", i)
			env.To = append(env.To, to)
			replies["TO:<"+to+">"] = reply.Draw(t, to)
		}
		chunking := rapid.Bool().Draw(t, "chunking")
		replies["DATA"] = "354 go"
		if !chunking && rapid.Bool().Draw(t, "DATA is odd") {
			replies["DATA"] = reply.Draw(t, "DATA")
		}
		send := func(window int, chunking bool) ([]Result, *player, error) {
			conn := &player{replies: map[string]string{}, script: script{pieces: []byte{255}}}
			for key, reply := range replies {
				conn.replies[key] = reply
			}
			s := session(conn, window, chunking)
			results, err := s.Send(context.Background(), env)
			return results, conn, err
		}
		plain, _, plainErr := send(1, false)
		group, conn, groupErr := send(groupCommands, chunking)
		if plainErr != nil && groupErr == nil {
			t.Errorf("plain fails with %v, the group does not", plainErr)
		}
		for i := range env.To {
			a, b := plain[i], group[i]
			same := a.Accepted == b.Accepted && a.Reply.String() == b.Reply.String() && a.Reply.Stage == b.Reply.Stage
			switch {
			case same:
			case b.Accepted:
				t.Errorf("recipient %d: accepted in a group, and %v plain", i, a.Reply)
			case !b.Reply.Local:
				t.Errorf("recipient %d: %v in a group, and %v plain", i, b.Reply, a.Reply)
			case chunking && b.Reply.Stage == bounce.StageDot:
				// The host had the content, or does not know BDAT.
				if a.Accepted && !strings.HasPrefix(replies["DOT"], "50") {
					t.Errorf("recipient %d: %v in a group, and accepted plain", i, b.Reply)
				}
			case b.Reply.Status != statusProtocol || a.Accepted || !outOfStep(replies):
				t.Errorf("recipient %d: %v in a group, and %v plain", i, b.Reply, a.Reply)
			}
		}
		if conn.content && groupErr == nil {
			t.Errorf("a content was begun and not ended: %v", groupErr)
		}
	})
}

// outOfStep says whether there are replies that make no sense where they are.
func outOfStep(replies map[string]string) bool {
	for key, reply := range replies {
		if data := key == "DATA"; strings.HasPrefix(reply, "354") != data && !strings.HasPrefix(reply, "4") && !strings.HasPrefix(reply, "5") {
			if data || strings.HasPrefix(reply, "354") {
				return true
			}
		}
	}
	return false
}
