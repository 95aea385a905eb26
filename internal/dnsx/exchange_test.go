package dnsx

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// What a server may do, what the client makes of it when the second server is well, and when both do it.
func TestExchange(t *testing.T) {
	good := zone{"a.example. MX": {"a.example. 300 IN MX 10 mx.a.example."}}.answer
	edit := func(change func(q, m *dns.Msg)) func(string, *dns.Msg) []byte {
		return func(_ string, q *dns.Msg) []byte {
			m := reply(q, dns.RcodeSuccess, "a.example. 300 IN MX 10 mx.a.example.")
			change(q, m)
			return pack(m)
		}
	}
	for _, test := range []struct {
		name   string
		answer func(network string, q *dns.Msg) []byte
		want   Kind   // when both servers do it
		reason string // in the error, when both do it
		tries  int    // of the first server
	}{
		{"good", good, "", "", 1},
		{"silent", func(string, *dns.Msg) []byte { return nil }, Temporary, "time-out", 2},
		{"SERVFAIL", edit(func(_, m *dns.Msg) { m.Rcode = dns.RcodeServerFailure }), Temporary, "SERVFAIL", 2},
		{"REFUSED", edit(func(_, m *dns.Msg) { m.Rcode = dns.RcodeRefused }), Temporary, "REFUSED", 2},
		{"an RCODE nobody knows", edit(func(_, m *dns.Msg) { m.Rcode = 15 }), Temporary, "RCODE 15", 2},
		{"garbage", func(string, *dns.Msg) []byte { return []byte("garbage, garbage, garbage") }, Temporary, "not for our question", 2},
		{"a few octets", func(string, *dns.Msg) []byte { return []byte{1, 2, 3} }, Temporary, "", 2},
		{"cut off", func(_ string, q *dns.Msg) []byte {
			wire := pack(reply(q, dns.RcodeSuccess, "a.example. 300 IN MX 10 mx.a.example."))
			return wire[:len(wire)-4]
		}, Temporary, "malformed", 2},
		{"another ID", edit(func(_, m *dns.Msg) { m.Id++ }), Temporary, "not for our question", 2},
		{"another name", edit(func(_, m *dns.Msg) { m.Question[0].Name = "b.example." }), Temporary, "not for our question", 2},
		{"another type", edit(func(_, m *dns.Msg) { m.Question[0].Qtype = dns.TypeA }), Temporary, "not for our question", 2},
		{"no question", edit(func(_, m *dns.Msg) { m.Question = nil }), Temporary, "not for our question", 2},
		{"name in other letters", edit(func(_, m *dns.Msg) { m.Question[0].Name = "A.Example." }), "", "", 1},
		{"the question itself", func(_ string, q *dns.Msg) []byte { return pack(q) }, Temporary, "not for our question", 2},
		{"lame referral", func(_ string, q *dns.Msg) []byte {
			m := reply(q, dns.RcodeSuccess, "authority example. 300 IN NS ns.example.")
			m.RecursionAvailable = false
			return pack(m)
		}, Temporary, "neither knows", 2},
		{"FORMERR for EDNS0", func(network string, q *dns.Msg) []byte {
			if q.IsEdns0() != nil {
				return pack(&dns.Msg{MsgHdr: dns.MsgHdr{Id: q.Id, Response: true, Rcode: dns.RcodeFormatError}})
			}
			return good(network, q)
		}, "", "", 2},
		{"truncated", func(network string, q *dns.Msg) []byte {
			if network == "udp" {
				return pack(&dns.Msg{MsgHdr: dns.MsgHdr{Id: q.Id, Response: true, Truncated: true}, Question: q.Question})
			}
			return good(network, q)
		}, "", "", 2},
		{"truncated in a record", func(network string, q *dns.Msg) []byte {
			if network == "udp" {
				m := reply(q, dns.RcodeSuccess, "a.example. 300 IN MX 10 mx.a.example.")
				m.Truncated = true
				wire := pack(m)
				return wire[:len(wire)-4]
			}
			return good(network, q)
		}, "", "", 2},
		{"truncated over TCP too", edit(func(_, m *dns.Msg) { m.Truncated = true }), Temporary, "truncated over TCP", 4},
		{"truncated to nothing over TCP too", edit(func(_, m *dns.Msg) { m.Truncated, m.Answer = true, nil }), Temporary, "truncated over TCP", 4},
		{"thousands of questions", edit(func(q, m *dns.Msg) {
			for range 3000 {
				m.Question = append(m.Question, q.Question[0])
			}
		}), Temporary, "not for our question", 2},
		{"thousands of records behind the answer", edit(func(q, m *dns.Msg) {
			for range 1500 {
				m.Ns = append(m.Ns, &dns.NS{Hdr: dns.RR_Header{Name: "example.", Rrtype: dns.TypeNS, Class: dns.ClassINET}, Ns: "ns.example."})
				m.Extra = append(m.Extra, &dns.A{Hdr: dns.RR_Header{Name: "ns.example.", Rrtype: dns.TypeA, Class: dns.ClassINET}, A: []byte{192, 0, 2, 1}})
			}
		}), "", "", 1},
		{"nobody there", nil, Temporary, "refused", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var tries atomic.Int32
				counted := test.answer
				if counted != nil {
					counted = func(network string, q *dns.Msg) []byte {
						tries.Add(1)
						return test.answer(network, q)
					}
				}
				mxs, ttl, err := servers{first: counted, second: test.answer}.client(t).MX(t.Context(), "a.example")
				if KindOf(err) != test.want {
					t.Fatalf("got %v, want kind %q", err, test.want)
				}
				if err != nil {
					var e *Error
					if !errors.As(err, &e) || e.Type != "MX" || e.Name != "a.example" || e.Server != second {
						t.Errorf("got %#v", err)
					}
					if got := e.Reason(); test.reason != "" && !contains(got, test.reason) {
						t.Errorf("the reason is %q, want %q", got, test.reason)
					}
				} else if len(mxs) != 1 || mxs[0] != (MX{"mx.a.example", 10}) || ttl != 300*time.Second {
					t.Errorf("got %v, %v", mxs, ttl)
				}
				if n := int(tries.Load()); n != test.tries {
					t.Errorf("%d tries, want %d", n, test.tries)
				}

				// With a second server that is well there is an answer whatever the first does.
				mxs, _, err = servers{first: test.answer, second: good}.client(t).MX(t.Context(), "a.example")
				if err != nil || len(mxs) != 1 {
					t.Errorf("with a good second server: %v, %v", mxs, err)
				}
			})
		})
	}
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := func(string, *dns.Msg) []byte { return nil }
		c := servers{first: silent, second: silent}.client(t)
		start := time.Now()
		_, _, err := c.MX(t.Context(), "a.example")
		if KindOf(err) != Temporary {
			t.Errorf("got %v", err)
		}
		if d := time.Since(start); d != 20*time.Second { // 2 servers, 2 tries, 5 seconds
			t.Errorf("it took %v", d)
		}
	})
}

// A context that ends is heeded at once, at every point.
func TestCancel(t *testing.T) {
	for name, dial := range map[string]DialFunc{
		"silent server": servers{first: func(string, *dns.Msg) []byte { return nil }}.dial,
		"hanging dial": func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
		"hanging write": func(context.Context, string, string) (net.Conn, error) {
			conn, _ := net.Pipe()
			return conn, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, err := New(Config{Servers: []string{first}, Dial: dial})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				start := time.Now()
				time.AfterFunc(time.Second, cancel)
				_, _, err = c.Addrs(ctx, "a.example", Both)
				if err != context.Canceled || time.Since(start) != time.Second {
					t.Errorf("got %v after %v", err, time.Since(start))
				}
				if _, _, err = c.MX(ctx, "a.example"); err != context.Canceled {
					t.Errorf("an ended context: got %v", err)
				}
			})
		})
	}
}

// Over real sockets: other people's datagrams are passed over, and a truncated answer is asked for again over TCP.
func TestSockets(t *testing.T) {
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Skipf("no loopback network: %v", err)
	}
	defer udp.Close()
	tcp, err := net.Listen("tcp", udp.LocalAddr().String())
	if err != nil {
		t.Skipf("the port is taken for TCP: %v", err)
	}
	defer tcp.Close()
	go func() {
		buf := make([]byte, 2000)
		for {
			n, from, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			q := new(dns.Msg)
			if q.Unpack(buf[:n]) != nil {
				return
			}
			m := reply(q, dns.RcodeSuccess, "a.example. 300 IN TXT small")
			m.Truncated = q.Question[0].Name == "big.example."
			forged := m.Copy()
			forged.Id++
			other := m.Copy()
			other.Question[0].Name = "b.example."
			for _, wire := range [][]byte{{1}, []byte("garbage, garbage, garbage"), pack(forged), pack(other), pack(m)} {
				udp.WriteTo(wire, from)
			}
		}
	}()
	go func() {
		for {
			conn, err := tcp.Accept()
			if err != nil {
				return
			}
			c := &dns.Conn{Conn: conn}
			if q, err := c.ReadMsg(); err == nil {
				c.Write(pack(reply(q, dns.RcodeSuccess, "big.example. 300 IN TXT big")))
			}
			conn.Close()
		}
	}()
	c, err := New(Config{Servers: []string{udp.LocalAddr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a.example": "small", "big.example": "big"} {
		got, _, err := c.TXT(t.Context(), name)
		if err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// FuzzAnswer feeds answers of a hostile server to every lookup.
func FuzzAnswer(f *testing.F) {
	q := new(dns.Msg).SetQuestion("a.example.", dns.TypeMX)
	for _, m := range []*dns.Msg{
		reply(q, dns.RcodeSuccess, "a.example. 300 IN MX 10 mx.a.example.", "a.example. 1 IN MX 0 ."),
		reply(q, dns.RcodeSuccess, "a.example. 300 IN CNAME b.example.", "b.example. 300 IN CNAME a.example."),
		reply(q, dns.RcodeNameError, "authority example. 3600 IN SOA ns.example. host.example. 1 2 3 4 900"),
		reply(q, dns.RcodeSuccess, `a.example. 0 IN TXT "a\"\000b" "c"`, "a.example. 300 IN A 192.0.2.1", "a.example. 300 IN AAAA 2001:db8::1"),
	} {
		f.Add(pack(m)[2:], uint8(0))
	}
	f.Fuzz(func(t *testing.T, tail []byte, kind uint8) {
		types := []uint16{dns.TypeMX, dns.TypeA, dns.TypeAAAA, dns.TypeTXT, dns.TypePTR}
		qtype := types[int(kind)%len(types)]
		s := servers{first: func(_ string, q *dns.Msg) []byte {
			wire := append([]byte{byte(q.Id >> 8), byte(q.Id)}, tail...)
			// With the right question in the message, the rest is looked at.
			if m := new(dns.Msg); m.Unpack(wire) == nil {
				m.Question = q.Question
				m.Response = true
				if packed, err := m.Pack(); err == nil {
					wire = packed
				}
			}
			return wire
		}}
		c, err := New(Config{Servers: []string{first}, Attempts: 1, Dial: s.dial})
		if err != nil {
			t.Fatal(err)
		}
		rrs, ttl, err := c.lookup(t.Context(), "a.example", qtype)
		switch KindOf(err) {
		case "":
			if len(rrs) == 0 || ttl < 0 {
				t.Fatalf("%d records for %v without an error", len(rrs), ttl)
			}
		case NXDomain, NoData, Temporary:
		default:
			t.Fatalf("got %v", err)
		}
		if len(fmt.Sprint(err)) > 10_000 {
			t.Fatal("a very long error")
		}
		if qtype == dns.TypeMX {
			if mxs, _, err := c.MX(t.Context(), "a.example"); err == nil && (len(mxs) == 0 || len(mxs) > MaxRecords) {
				t.Fatalf("%d mail exchangers", len(mxs))
			}
		}
	})
}
