package route

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender/sendertest"
)

// hostile answers a question with records, after which the message may be spoilt.
type hostile func(q dnsmessage.Question, m *dnsmessage.Message)

// serve answers over streams, which is how DNS goes over a network in memory. raw, if set, takes the place of all answers.
func (h hostile) serve(l net.Listener, asked *atomic.Int64, raw func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			var size [2]byte
			if _, err := io.ReadFull(c, size[:]); err != nil {
				return
			}
			b := make([]byte, binary.BigEndian.Uint16(size[:]))
			if _, err := io.ReadFull(c, b); err != nil {
				return
			}
			asked.Add(1)
			if raw != nil {
				raw(c)
				return
			}
			var q, m dnsmessage.Message
			if q.Unpack(b) != nil {
				return
			}
			m.ID, m.Response, m.RecursionAvailable, m.Questions = q.ID, true, true, q.Questions
			h(q.Questions[0], &m)
			out, err := m.AppendPack(make([]byte, 2))
			if err != nil || len(out)-2 > 65535 {
				panic(fmt.Sprint("the answer is none: ", err, len(out)))
			}
			binary.BigEndian.PutUint16(out, uint16(len(out)-2))
			c.Write(out)
			io.Copy(io.Discard, c)
		}()
	}
}

func record(q dnsmessage.Question, body dnsmessage.ResourceBody) dnsmessage.Resource {
	return dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 1 << 30}, Body: body}
}

func name(format string, args ...any) dnsmessage.Name {
	return dnsmessage.MustNewName(fmt.Sprintf(format, args...))
}

// longest is a name of 255 octets on the wire.
var longest = dnsmessage.MustNewName(strings.Repeat(strings.Repeat("n", 63)+".", 3) + strings.Repeat("n", 61) + ".")

// What a stranger's name server says costs a bounded number of questions, a bounded time and bounded memory, and is never a failure for good
// unless it says so in due form.
func TestHostileDNS(t *testing.T) {
	mx := func(n int, host func(int) dnsmessage.Name) hostile {
		return func(q dnsmessage.Question, m *dnsmessage.Message) {
			if q.Type == dnsmessage.TypeMX {
				for i := range n {
					m.Answers = append(m.Answers, record(q, &dnsmessage.MXResource{Pref: uint16(i), MX: host(i)}))
				}
			}
		}
	}
	both := func(hs ...hostile) hostile {
		return func(q dnsmessage.Question, m *dnsmessage.Message) {
			for _, h := range hs {
				h(q, m)
			}
		}
	}
	one := mx(1, func(int) dnsmessage.Name { return name("mx.example.") })
	many := mx(2500, func(i int) dnsmessage.Name { return name("m%d.example.", i) })
	addrs := func(n int) hostile {
		return func(q dnsmessage.Question, m *dnsmessage.Message) {
			for i := range n {
				switch q.Type {
				case dnsmessage.TypeA:
					m.Answers = append(m.Answers, record(q, &dnsmessage.AResource{A: [4]byte{192, 0, byte(2 + i>>8), byte(i)}}))
				case dnsmessage.TypeAAAA:
					m.Answers = append(m.Answers, record(q, &dnsmessage.AAAAResource{AAAA: [16]byte{0x20, 1, 0xd, 0xb8, 14: byte(i >> 8), 15: byte(i)}}))
				}
			}
		}
	}
	alias := func(to func(string) dnsmessage.Name) hostile {
		return func(q dnsmessage.Question, m *dnsmessage.Message) {
			m.Answers = append(m.Answers, record(q, &dnsmessage.CNAMEResource{CNAME: to(q.Name.String())}))
		}
	}
	header := func(change func(*dnsmessage.Message)) hostile {
		return func(_ dnsmessage.Question, m *dnsmessage.Message) { change(m) }
	}
	drip := func(every time.Duration) func(net.Conn) {
		return func(c net.Conn) {
			c.Write([]byte{0xff, 0xff})
			for {
				time.Sleep(every)
				if _, err := c.Write([]byte{0}); err != nil {
					return
				}
			}
		}
	}
	for _, c := range []struct {
		name   string
		answer hostile
		raw    func(net.Conn)
		// want is the number of hosts, or -1 for a temporary and -2 for a permanent error.
		want  int
		asked int64
		took  time.Duration
	}{
		{name: "thousands of MX", answer: both(many, addrs(1)), want: 5, asked: 1 + 5*2},
		{name: "thousands of MX without an address", answer: many, want: -2, asked: 1 + 4*5*2},
		{name: "thousands of MX whose hosts fail", answer: both(many, func(q dnsmessage.Question, m *dnsmessage.Message) {
			if q.Type != dnsmessage.TypeMX {
				m.RCode = dnsmessage.RCodeServerFailure
			}
		}), want: -1, asked: 1 + 4*5*2*2},
		{name: "thousands of MX, the same host", answer: both(mx(3000, func(int) dnsmessage.Name { return name("mx.example.") }), addrs(1)), want: 5, asked: 1 + 5*2},
		{name: "thousands of addresses", answer: both(one, addrs(2300)), want: 1, asked: 3},
		{name: "thousands of addresses of many hosts", answer: both(many, addrs(2300)), want: 5, asked: 1 + 5*2},
		{name: "MX names of 255 octets", answer: both(mx(200, func(i int) dnsmessage.Name {
			return dnsmessage.MustNewName(fmt.Sprintf("%03d", i) + longest.String()[3:])
		}), addrs(1)), want: 5, asked: 1 + 5*2},
		{name: "alias to itself", answer: alias(func(s string) dnsmessage.Name { return dnsmessage.MustNewName(s) }), want: -1, asked: 9},
		{name: "aliases in a circle", answer: alias(func(s string) dnsmessage.Name {
			if s == "a.example." {
				return name("b.example.")
			}
			return name("a.example.")
		}), want: -1, asked: 9},
		{name: "aliases without end", answer: alias(func(s string) dnsmessage.Name { return name("a%d.example.", len(s)+time.Now().Nanosecond()) }), want: -1, asked: 9},
		{name: "aliases that grow", answer: alias(func(s string) dnsmessage.Name { return name("a.%s", s) }), want: -1, asked: 9},
		{name: "aliases of the host without end", answer: both(one, func(q dnsmessage.Question, m *dnsmessage.Message) {
			if q.Type != dnsmessage.TypeMX {
				alias(func(s string) dnsmessage.Name { return name("a.%s", s) })(q, m)
			}
		}), want: -1, asked: 1 + 2*9},
		{name: "truncated for ever", answer: both(one, header(func(m *dnsmessage.Message) { m.Truncated = true })), want: -1, asked: 40},
		{name: "truncated and empty for ever", answer: header(func(m *dnsmessage.Message) { m.Truncated = true }), want: -1, asked: 4},
		{name: "wrong ID", answer: both(one, header(func(m *dnsmessage.Message) { m.ID++ })), want: -1, asked: 2},
		{name: "a question and no answer", answer: both(one, header(func(m *dnsmessage.Message) { m.Response = false })), want: -1, asked: 2},
		{name: "another question", answer: both(one, header(func(m *dnsmessage.Message) { m.Questions[0].Name = name("other.example.") })), want: -1, asked: 2},
		{name: "no question", answer: both(one, header(func(m *dnsmessage.Message) { m.Questions = nil })), want: -1, asked: 2},
		{name: "silent", raw: func(c net.Conn) { io.Copy(io.Discard, c) }, want: -1, asked: 2, took: 10 * time.Second},
		{name: "drips", raw: drip(time.Second), want: -1, asked: 2, took: 10 * time.Second},
		{name: "closes", raw: func(net.Conn) {}, want: -1, asked: 2},
		{name: "a message of no octets", raw: func(c net.Conn) { c.Write([]byte{0, 0}) }, want: -1, asked: 2},
		{name: "garbage", raw: func(c net.Conn) { c.Write([]byte(strings.Repeat("\xff", 1<<16+1))) }, want: -1, asked: 2},
		{name: "aliases that come late", answer: alias(func(s string) dnsmessage.Name { time.Sleep(4 * time.Second); return name("a.%s", s) }), want: -1, asked: 9, took: 9 * 4 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := sendertest.NewNetwork()
				defer n.Close()
				l, err := n.Listen(netip.MustParseAddrPort("192.0.2.53:53"))
				if err != nil {
					t.Fatal(err)
				}
				var asked atomic.Int64
				go c.answer.serve(l, &asked, c.raw)
				r, err := New(Config{Servers: []string{"192.0.2.53:53"}, Dial: n.DialContext})
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				dest, err := r.Resolve(t.Context(), "example")
				if took := time.Since(began); took > c.took {
					t.Errorf("took %v", took)
				}
				if got := asked.Load(); got > c.asked {
					t.Errorf("%d questions", got)
				}
				var re *Error
				switch {
				case c.want >= 0:
					if err != nil || len(dest.Hosts) != c.want {
						t.Errorf("%d hosts, %v", len(dest.Hosts), err)
					}
				case !errors.As(err, &re) || re.Temporary != (c.want == -1):
					t.Errorf("%v", err)
				case re.Temporary == (re.Reply.Status.Class == 5) || len(re.Reply.String()) > 1000 || re.Reply.Stage != bounce.StageResolve:
					t.Errorf("%+v", re.Reply)
				}
				if len(dest.MX) > 100 {
					t.Errorf("%d MX", len(dest.MX))
				}
				for _, h := range dest.Hosts {
					if len(h.Addrs) > maxAddrs {
						t.Errorf("%d addresses of %s", len(h.Addrs), h.Name)
					}
				}
				before := asked.Load()
				if _, again := r.Resolve(t.Context(), "example"); (again == nil) != (err == nil) || asked.Load() != before {
					t.Errorf("not remembered: %v", again)
				}
				l.Close()
				time.Sleep(10 * time.Second)
				if n := n.OpenConns(); n != 0 {
					t.Errorf("%d connections are left", n)
				}
			})
		})
	}
}
