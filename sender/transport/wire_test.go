package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/reputemail/repute/bounce"
)

// oneWay is a connection that gives in and swallows what is written.
type oneWay struct {
	io.Reader
	net.Conn
}

func (c oneWay) Read(p []byte) (int, error)       { return c.Reader.Read(p) }
func (c oneWay) Write(p []byte) (int, error)      { return len(p), nil }
func (c oneWay) SetDeadline(time.Time) error      { return nil }
func (c oneWay) SetReadDeadline(time.Time) error  { return nil }
func (c oneWay) SetWriteDeadline(time.Time) error { return nil }
func (c oneWay) Close() error                     { return nil }

// reading is a wire that reads in.
func reading(in string) *wire {
	c := &Config{}
	if err := c.validate(); err != nil {
		panic(err)
	}
	w := newWire(oneWay{Reader: strings.NewReader(in)}, c)
	w.readable = func() bool { return false } // all that will be said is there from the start
	w.arm(bounce.StageMail, time.Minute)
	return w
}

func TestReadReply(t *testing.T) {
	for _, c := range []struct {
		in, want string // want is code and texts, or the error
	}{
		{"250 ok\r\n", "250 ok"},
		{"250 ok\n", "250 ok"},
		{"250\r\n", "250 "},
		{"250 \r\n", "250 "},
		{"250-a\r\n250-b\r\n250 c\r\n", "250 a|b|c"},
		{"250-a\r\n250\r\n", "250 a|"},
		{"550-5.1.1 a\r\nb\r\n\r\n550 5.1.1 c\r\n", "550 5.1.1 a|b||5.1.1 c"},
		{"250-a\r\n550-b\r\n451 c\r\n", "451 a|b|c"},
		{"250-a\r\n2501 b\r\n250 c\r\n", "250 a|2501 b|c"},
		{"541 strange\r\n", "541 strange"},
		{"250 " + strings.Repeat("x", 5000) + "\r\n", "250 " + strings.Repeat("x", 5000)},
		{"", "EOF"},
		{"250 ok", "EOF"},
		{"250-ok\r\n", "EOF"},
		{"\r\n", `not an SMTP reply: ""`},
		{"25\r\n", `not an SMTP reply: "25"`},
		{"150 a\r\n", `not an SMTP reply: "150 a"`},
		{"650 a\r\n", `not an SMTP reply: "650 a"`},
		{"2x0 a\r\n", `not an SMTP reply: "2x0 a"`},
		{"250_a\r\n", `not an SMTP reply: "250_a"`},
		{"\x00250 a\r\n", `not an SMTP reply: "\x00250 a"`},
		{strings.Repeat("y", 3000) + "\r\n", `not an SMTP reply: "` + strings.Repeat("y", 80) + `"`},
		{strings.Repeat("250-a\r\n", 257), errManyLines.Error()},
		{strings.Repeat("250-a\r\n", 255) + "250 b\r\n", "250 " + strings.Repeat("a|", 255) + "b"},
		{"250 " + strings.Repeat("x", 65536) + "\r\n", errLongReply.Error()},
		{strings.Repeat("250-"+strings.Repeat("x", 1000)+"\r\n", 200), errLongReply.Error()},
	} {
		w := reading(c.in)
		got := ""
		if err := w.exchange(); err != nil {
			got = err.Error()
		} else {
			got = strconv.Itoa(w.code) + " " + strings.ReplaceAll(string(w.text), "\n", "|")
		}
		if got != c.want {
			t.Errorf("%.60q: got %.200q, want %.200q", c.in, got, c.want)
		}
	}
}

// TestReplyByReply: replies are read one at a time, however they arrive, and a broken connection stays broken.
func TestReplyByReply(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(t, "replies")
		var in bytes.Buffer
		var codes []int
		for range n {
			code := rapid.IntRange(200, 599).Draw(t, "code")
			codes = append(codes, code)
			for range rapid.IntRange(0, 3).Draw(t, "lines") {
				in.WriteString(strconv.Itoa(code) + "-" + rapid.StringMatching(`[ -~]{0,40}`).Draw(t, "text") + "\r\n")
			}
			in.WriteString(strconv.Itoa(code) + " end\r\n")
		}
		w := reading("")
		w.br.Reset(&choppy{in: in.Bytes(), t: t})
		for _, code := range codes {
			w.arm(bounce.StageRcpt, time.Minute)
			if err := w.exchange(); err != nil || w.code != code || !w.replied {
				t.Fatalf("code %d, want %d: %v", w.code, code, err)
			}
		}
		for range 2 {
			w.arm(bounce.StageRcpt, time.Minute)
			if err := w.command("NOOP"); !errors.Is(err, io.EOF) || w.replied {
				t.Fatalf("error is %v", err)
			}
		}
	})
}

// choppy gives its octets in pieces of random sizes.
type choppy struct {
	in []byte
	t  *rapid.T
}

func (c *choppy) Read(p []byte) (int, error) {
	if len(c.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.in[:rapid.IntRange(1, len(c.in)).Draw(c.t, "piece")])
	c.in = c.in[n:]
	return n, nil
}

func FuzzReadReply(f *testing.F) {
	for _, s := range []string{
		"250 ok\r\n", "550-5.1.1 a\r\n550 5.1.1 b\r\n", "250-a\r\nb\r\n250 c\r\n", "\x00\xff\r\n", "421 4.7.0 \x1b[2J\x00\r\n", "250-\r\n250", "999 x\r\n",
		"250-SIZE 10\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		w := reading(in)
		for range 3 {
			w.arm(bounce.StageEHLO, time.Minute)
			if w.exchange() != nil {
				if e := w.broken(context.Background(), "mx.example.com"); !e.Reply.Local || e.Reply.Text() == "" || strings.ContainsAny(e.Reply.Text(), "\r\n\x00\x1b") {
					t.Fatalf("%+v", e.Reply)
				}
				return
			}
			if w.code < 200 || w.code > 599 || len(w.text) > 64<<10 || bytes.Count(w.text, []byte{'\n'}) >= 256 {
				t.Fatalf("code %d, %d bytes", w.code, len(w.text))
			}
			r := w.reply("mx.example.com")
			if r.Code != w.code || r.Stage != bounce.StageEHLO || !utf8.ValidString(r.Text()) || strings.ContainsAny(r.Text(), "\r\n\x00\x1b") {
				t.Fatalf("%+v", r)
			}
			if e := parseExtensions(w.text); e.size < 0 || len(e.auth) > maxMechanisms {
				t.Fatalf("%+v", e)
			}
		}
	})
}

// TestManyExtensions: a host may offer much, but not everything.
func TestManyExtensions(t *testing.T) {
	for n, fails := range map[int]bool{200: false, 10_000: true} {
		synctest.Test(t, func(t *testing.T) {
			h := &fakeHost{}
			for i := range n {
				h.ext = append(h.ext, "X"+strconv.Itoa(i)+" \x00")
			}
			h.ext = append(h.ext, "SIZE 100", "AUTH"+strings.Repeat(" M", 500))
			h.start(t, nil)
			s, err := newTransport(t, h.net, Config{}).Dial(context.Background(), target())
			if fails {
				if r := asError(t, err).Reply; r.Status != statusProtocol || r.Stage != bounce.StageEHLO || r.Text() != "reply has too many lines" {
					t.Errorf("reply is %+v", r)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if s.ext.size != 100 || len(s.ext.auth) != maxMechanisms {
				t.Errorf("extensions are %+v", s.ext)
			}
			s.Close()
		})
	}
}

// TestHostileMemory: what an endless reply leaves behind is bounded.
func TestHostileMemory(t *testing.T) {
	w := reading(strings.Repeat("250-"+strings.Repeat("x", 250)+"\r\n", 200) + "250 ok\r\n" + "250 ok\r\n")
	for range 2 {
		w.arm(bounce.StageRcpt, time.Minute)
		if err := w.exchange(); err != nil {
			t.Fatal(err)
		}
	}
	if cap(w.text) > keepText {
		t.Errorf("keeps %d bytes", cap(w.text))
	}

	w = reading("")
	w.br.Reset(endless{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := w.exchange(); !errors.Is(err, errLongReply) {
		t.Errorf("error is %v", err)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
		t.Errorf("an endless line took %d bytes", grown)
	}
}

// endless is a line without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '2'
	}
	return len(p), nil
}

func TestSayable(t *testing.T) {
	for addr, want := range map[string]bool{
		"": true, "a@example.com": true, `"a b"@example.com`: true, `"a\"> b"@example.com`: true, `"<>"@example.com`: true, "ü@example.com": true,
		"a@[192.0.2.1]": true, "a b@example.com": false, "a>@example.com": false, "<a@example.com": false, "a\r\n@example.com": false,
		"a\x00@example.com": false, `"a@example.com`: false, "\"a\r\"@example.com": false, "\"a\\\n\"@example.com": false, "a\x7f@example.com": false,
	} {
		if got := sayable(addr); got != want {
			t.Errorf("%q: %v", addr, got)
		}
	}
}
