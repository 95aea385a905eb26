package route

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/reputemail/repute/sender/sendertest"
)

// rawDNS is a name server that says what it likes: answer gets each question, which begins at the third octet of the stream,
// behind its length, and writes to the connection.
type rawDNS struct {
	asked  atomic.Int32
	answer func(conn net.Conn, q dnsmessage.Message)
}

// rawAddr is where it listens.
var rawAddr = netip.MustParseAddrPort("192.0.2.54:53")

// start serves until the network is closed.
func (r *rawDNS) start(t *testing.T, network *sendertest.Network) {
	t.Helper()
	l, err := network.Listen(rawAddr)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for {
					var length [2]byte
					if _, err := io.ReadFull(conn, length[:]); err != nil {
						return
					}
					wire := make([]byte, binary.BigEndian.Uint16(length[:]))
					if _, err := io.ReadFull(conn, wire); err != nil {
						return
					}
					var q dnsmessage.Message
					if q.Unpack(wire) != nil {
						return
					}
					r.asked.Add(1)
					r.answer(conn, q)
				}
			}()
		}
	}()
}

// framed puts a message on the stream.
func framed(wire []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(wire))), wire...)
}

// answered is a wire that answers q with n records, each made by rr from a number, all of them behind the question.
func answered(q dnsmessage.Message, n int, rr func(i int) []byte) []byte {
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: q.ID, Response: true, RecursionAvailable: true}, Questions: q.Questions}
	wire, err := m.Pack()
	if err != nil {
		panic(err)
	}
	for i := range n {
		wire = append(wire, rr(i)...)
	}
	binary.BigEndian.PutUint16(wire[6:], uint16(n))
	return wire
}

// owned is a record of the name in the question, to which data may point at 0xc00c too.
func owned(kind dnsmessage.Type, data string) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0xc0, 12}, uint16(kind))
	b = append(b, 0, 1, 0, 0, 1, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	return append(b, data...)
}

// TestHostileDNS: what a stranger's zone may hold, and a name server say of it. Whatever that is, the questions, the time
// and what is kept are bounded, the category is right, and other domains are answered meanwhile.
func TestHostileDNS(t *testing.T) {
	const domain = "hostile.example"
	long := strings.Repeat("x", 63) + "." + strings.Repeat("y", 63) + "." + strings.Repeat("z", 63) + "."
	host := func(i int) string { return fmt.Sprintf("m%d.%s", i, domain) }
	many := func(n int, each func(w *world, host string)) func(*world) {
		return func(w *world) {
			for i := range n {
				w.ok(w.dns.AddMX(domain, uint16(i/100), host(i)))
				if each != nil {
					each(w, host(i))
				}
			}
		}
	}
	kind := func(q dnsmessage.Message) dnsmessage.Type { return q.Questions[0].Type }
	for _, c := range []struct {
		name string
		zone func(w *world)                            // what the world's name server knows
		raw  func(conn net.Conn, q dnsmessage.Message) // or a name server of its own
		want string                                    // the status of the error; empty for hosts
		text string                                    // in the error
		n    int                                       // hosts
		asks int                                       // questions, at most
		took time.Duration                             // at most
	}{
		{name: "10,000 MX, more than an answer holds", zone: many(10_000, nil), want: "4.4.3", text: "SERVFAIL", asks: 2},
		{name: "2,000 MX without addresses", zone: many(2000, nil), want: "5.4.4", text: "and 97 more", asks: 2 + 2*maxBatches*defaultMaxHosts},
		{name: "2,000 MX with addresses", zone: many(2000, func(w *world, host string) { w.addr(host, four1, six1) }), n: 5, asks: 2 + 2*defaultMaxHosts},
		{name: "2,000 MX in private networks", zone: many(2000, func(w *world, host string) { w.addr(host, private[0]) }), want: "5.4.4", text: "private", asks: 2 + 2*maxBatches*defaultMaxHosts},
		{name: "2,000 MX whose name servers are silent", zone: many(2000, func(w *world, host string) { w.ok(w.dns.SetTimeout(host)) }),
			want: "4.4.3", text: "time-out", asks: 2 + 4*maxBatches*defaultMaxHosts, took: lookupTime},
		{name: "one of them has an address", zone: func(w *world) {
			w.mx(domain, 0, "mx.other.example", four1)
			for i := range 1000 {
				w.ok(w.dns.AddMX(domain, uint16(1+i), host(i)))
				w.ok(w.dns.SetTimeout(host(i)))
			}
		}, n: 1, asks: 2 + 4*maxBatches*defaultMaxHosts, took: lookupTime},
		{name: "3,000 addresses of a host", zone: func(w *world) {
			for i := range 3000 {
				w.mx(domain, 10, "mx.hostile.example", netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}))
				w.dns.Remove(domain)
			}
			w.ok(w.dns.AddMX(domain, 10, "mx.hostile.example"))
		}, n: 1, asks: 5},
		{name: "a chain of 30 aliases", zone: func(w *world) {
			for i := range 30 {
				w.ok(w.dns.AddCNAME(host(i), host(i+1)))
			}
			w.ok(w.dns.AddCNAME(domain, host(0)))
			w.mx(host(30), 10, "mx.hostile.example", four1)
		}, want: "4.4.3", text: "chain", asks: 2},
		{name: "a loop of aliases", zone: func(w *world) {
			w.ok(w.dns.AddCNAME(domain, host(0)))
			w.ok(w.dns.AddCNAME(host(0), domain))
		}, want: "4.4.3", asks: 2},
		{name: "a mail host that is a loop of aliases", zone: func(w *world) {
			w.ok(w.dns.AddMX(domain, 10, host(0)))
			w.ok(w.dns.AddCNAME(host(0), host(1)))
			w.ok(w.dns.AddCNAME(host(1), host(0)))
		}, want: "4.4.3", asks: 6},
		{name: "mail hosts with the longest names", zone: func(w *world) {
			for i := range 50 {
				w.ok(w.dns.AddMX(domain, 10, fmt.Sprintf("%s%c%d.%s", long, 'a'+i%26, i/26, strings.Repeat("w", 57))))
			}
		}, want: "5.4.4", text: "no such name", asks: 2 + 2*maxBatches*defaultMaxHosts},
		{name: "answers that are always truncated", zone: func(w *world) { w.ok(w.dns.SetTruncate(domain)); w.mx(domain, 10, host(0), four1) }, n: 1, asks: 4},
		{name: "a time to live of nothing", zone: func(w *world) {
			w.dns.SetTTL(0)
			w.mx(domain, 10, host(0), four1)
		}, n: 1, asks: 3},

		{name: "thousands of names of 255 octets, none of them a host's", raw: func(conn net.Conn, q dnsmessage.Message) {
			suffix := strings.Repeat("\x3f"+strings.Repeat("\x01", 63), 3) + "\x10" + strings.Repeat("\x01", 16) + "\xc0\x0c"
			conn.Write(framed(answered(q, 3000, func(i int) []byte {
				if i == 0 {
					return owned(dnsmessage.TypeMX, "\x00\x01\x02aa"+suffix)
				}
				// A pointer to the first one's name, behind its label of two letters.
				at := 12 + len(domain) + 2 + 4 + 12 + 2 + 3
				return owned(dnsmessage.TypeMX, "\x00\x02\x02"+string([]byte{byte(i), byte(i >> 8)})+"\xc0"+string([]byte{byte(at)}))
			})))
		}, want: "5.4.4", text: "not a host name", asks: 1},
		{name: "another's ID", raw: func(conn net.Conn, q dnsmessage.Message) {
			q.ID++
			conn.Write(framed(answered(q, 1, func(int) []byte { return owned(dnsmessage.TypeMX, "\x00\x0a\xc0\x0c") })))
		}, want: "4.4.3", text: "not for our question", asks: 2},
		{name: "truncated for ever", raw: func(conn net.Conn, q dnsmessage.Message) {
			wire := answered(q, 0, nil)
			wire[2] |= 0x02
			conn.Write(framed(wire))
		}, want: "4.4.3", text: "truncated", asks: 4},
		{name: "an octet a second", raw: func(conn net.Conn, q dnsmessage.Message) {
			for _, b := range framed(answered(q, 1, func(int) []byte { return owned(dnsmessage.TypeMX, "\x00\x0a\xc0\x0c") })) {
				time.Sleep(time.Second)
				if _, err := conn.Write([]byte{b}); err != nil {
					return
				}
			}
		}, want: "4.4.3", text: "time-out", asks: 2, took: 10 * time.Second},
		{name: "an endless stream without an end of a message", raw: func(conn net.Conn, q dnsmessage.Message) {
			conn.Write([]byte{0xff, 0xff})
			for block := make([]byte, 1000); ; {
				time.Sleep(time.Second)
				if _, err := conn.Write(block); err != nil {
					return
				}
			}
		}, want: "4.4.3", text: "time-out", asks: 2, took: 10 * time.Second},
		{name: "aliases without end, each late", raw: func(conn net.Conn, q dnsmessage.Message) {
			time.Sleep(4 * time.Second)
			conn.Write(framed(answered(q, 1, func(int) []byte { return owned(dnsmessage.TypeCNAME, "\x01a\xc0\x0c") })))
		}, want: "4.4.3", text: "chain", asks: 9, took: 36 * time.Second},
		{name: "twenty hosts with aliases without end, each late", raw: func(conn net.Conn, q dnsmessage.Message) {
			time.Sleep(4 * time.Second)
			if kind(q) == dnsmessage.TypeMX {
				conn.Write(framed(answered(q, 20, func(i int) []byte { return owned(dnsmessage.TypeMX, "\x00\x0a\x01"+string(rune('a'+i))+"\xc0\x0c") })))
				return
			}
			conn.Write(framed(answered(q, 1, func(int) []byte { return owned(dnsmessage.TypeCNAME, "\x01a\xc0\x0c") })))
		}, want: "4.4.3", asks: 1 + 10*15, took: lookupTime},
		{name: "records of other names", raw: func(conn net.Conn, q dnsmessage.Message) {
			conn.Write(framed(answered(q, 1, func(int) []byte {
				rr := owned(dnsmessage.TypeMX, "\x00\x0a\xc0\x0c")
				return append([]byte("\x05other\x07example\x00"), rr[2:]...)
			})))
		}, want: "5.4.4", asks: 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Config{})
				w.mx("good.example", 10, "mx.good.example", four1)
				raw := &rawDNS{answer: c.raw}
				r, asked := w.r, func() int { return len(w.dns.Log()) }
				if c.raw != nil {
					raw.start(t, w.network)
					var err error
					if r, err = New(Config{Servers: []string{rawAddr.String()}, Dial: w.network.DialContext}); err != nil {
						t.Fatal(err)
					}
					asked = func() int { return int(raw.asked.Load()) }
				} else {
					c.zone(w)
				}
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				start := time.Now()
				done := make(chan struct{})
				var d Destination
				var err error
				go func() {
					defer close(done)
					d, err = r.Resolve(t.Context(), domain)
				}()
				if c.raw == nil { // others are answered meanwhile, at once
					good := time.Now()
					if d, err := w.r.Resolve(t.Context(), "good.example"); err != nil || len(d.Hosts) != 1 || time.Since(good) > 0 {
						t.Errorf("the good domain: %v, %v after %v", d, err, time.Since(good))
					}
				}
				<-done
				took := time.Since(start)
				runtime.ReadMemStats(&after)
				asks := asked()
				if c.raw == nil {
					asks -= 3
				}
				if took > c.took || asks > c.asks {
					t.Errorf("after %v and %d questions, want at most %v and %d", took, asks, c.took, c.asks)
				}
				if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 {
					t.Errorf("%d octets of memory were used", used)
				}
				if c.want == "" {
					if err != nil || len(d.Hosts) != c.n || len(d.MX) > maxNames {
						t.Fatalf("%d hosts, %d names, %v", len(d.Hosts), len(d.MX), err)
					}
					for _, h := range d.Hosts {
						if len(h.Addrs) > 200 {
							t.Errorf("%d addresses", len(h.Addrs))
						}
					}
				} else {
					var e *Error
					if !errors.As(err, &e) || e.Reply.Status.String() != c.want || e.Temporary != (c.want[0] == '4') || !e.Reply.Local {
						t.Fatalf("got %v, want %s", err, c.want)
					}
					if text := e.Reply.String(); !strings.Contains(text, c.text) || len(text) > 500 {
						t.Errorf("the text is %q", text)
					}
				}
				// And not again at once.
				before2 := asked()
				for range 100 {
					r.Resolve(t.Context(), domain)
				}
				if n := asked() - before2; n > 0 {
					t.Errorf("asked %d times more", n)
				}
				w.network.Close()
				time.Sleep(time.Hour) // what sleeps finds it closed
			})
		})
	}
}
