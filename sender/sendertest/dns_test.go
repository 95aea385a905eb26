package sendertest_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/reputemail/repute/sender/sendertest"
)

func startDNS(t testing.TB, n *sendertest.Network) *sendertest.DNS {
	t.Helper()
	d, err := sendertest.StartDNS(n, netip.AddrPort{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// must fails the test when one of the errors is not nil.
func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// ask asks one question over a connection of the network.
func ask(t testing.TB, n *sendertest.Network, d *sendertest.DNS, network, name string, kind dnsmessage.Type, edns int) (dnsmessage.Message, error) {
	t.Helper()
	conn, err := n.DialContext(t.Context(), network, d.VirtualAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 7, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}},
	}
	if edns > 0 {
		var h dnsmessage.ResourceHeader
		h.SetEDNS0(edns, dnsmessage.RCodeSuccess, false)
		m.Additionals = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.OPTResource{}}}
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 65535)
	if _, packets := conn.(net.PacketConn); packets {
		conn.Write(b)
		k, err := conn.Read(buf)
		if err != nil {
			return m, err
		}
		buf = buf[:k]
	} else {
		conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
		if _, err := io.ReadFull(conn, buf[:2]); err != nil {
			return m, err
		}
		buf = buf[:binary.BigEndian.Uint16(buf)]
		if _, err := io.ReadFull(conn, buf); err != nil {
			return m, err
		}
	}
	var answer dnsmessage.Message
	if err := answer.Unpack(buf); err != nil {
		t.Fatal(err)
	}
	if answer.ID != 7 || !answer.Response || !answer.RecursionAvailable || len(answer.Questions) != 1 {
		t.Errorf("header %+v", answer.Header)
	}
	return answer, nil
}

// brief is an answer in short: the code, then the records with their owners.
func brief(m dnsmessage.Message) string {
	words := []string{strings.TrimPrefix(m.RCode.String(), "RCode")}
	if m.Truncated {
		words = append(words, "TC")
	}
	for _, r := range m.Answers {
		text := ""
		switch b := r.Body.(type) {
		case *dnsmessage.MXResource:
			text = fmt.Sprint(b.Pref, ",", b.MX)
		case *dnsmessage.AResource:
			text = netip.AddrFrom4(b.A).String()
		case *dnsmessage.AAAAResource:
			text = netip.AddrFrom16(b.AAAA).String()
		case *dnsmessage.TXTResource:
			text = strings.Join(b.TXT, "|")
		case *dnsmessage.PTRResource:
			text = b.PTR.String()
		case *dnsmessage.CNAMEResource:
			text = "->" + b.CNAME.String()
		}
		words = append(words, r.Header.Name.String()+"="+text)
	}
	for _, r := range m.Authorities {
		words = append(words, fmt.Sprintf("soa:%s/%d", r.Header.Name, r.Header.TTL))
	}
	return strings.Join(words, " ")
}

func fillDNS(t testing.TB, d *sendertest.DNS) {
	long := strings.Repeat("k", 300)
	must(t,
		d.AddMX("example.org", 10, "mx1.example.org"),
		d.AddMX("Example.ORG.", 20, "mx2.example.org."),
		d.AddA("mx1.example.org", netip.MustParseAddr("192.0.2.1")),
		d.AddAAAA("mx1.example.org", netip.MustParseAddr("2001:db8::1")),
		d.AddAddr("mx2.example.org", netip.MustParseAddr("192.0.2.2")),
		d.AddNullMX("null.example.org"),
		d.AddTXT("s._domainkey.example.org", "v=DKIM1; p=", long),
		d.AddPTR(netip.MustParseAddr("192.0.2.1"), "mx1.example.org"),
		d.AddPTR(netip.MustParseAddr("2001:db8::1"), "mx1.example.org"),
		d.AddCNAME("alias.example.org", "example.org"),
		d.AddCNAME("alias2.example.org", "alias.example.org"),
		d.AddCNAME("dangling.example.org", "nowhere.example"),
		d.AddCNAME("loop1.example.org", "loop2.example.org"),
		d.AddCNAME("loop2.example.org", "loop1.example.org"),
		d.AddMX("*.wild.example", 5, "mx1.example.org"),
		d.SetServFail("fail.example.org"),
		d.SetServFail("half.example.org", "AAAA"),
		d.AddA("half.example.org", netip.MustParseAddr("192.0.2.3")),
		d.SetRefused("refused.example.org"),
		d.SetTimeout("silent.example.org"),
		d.AddA("cut.example.org", netip.MustParseAddr("192.0.2.4")),
		d.SetTruncate("cut.example.org"),
	)
	for i := range 30 {
		must(t, d.AddA("many.example.org", netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})))
	}
}

func TestDNSAnswers(t *testing.T) {
	long := strings.Repeat("k", 300)
	tests := []struct {
		name string
		kind dnsmessage.Type
		want string
	}{
		{"example.org.", dnsmessage.TypeMX, "Success example.org.=10,mx1.example.org. example.org.=20,mx2.example.org."},
		{"eXample.org.", dnsmessage.TypeMX, "Success eXample.org.=10,mx1.example.org. eXample.org.=20,mx2.example.org."},
		{"mx1.example.org.", dnsmessage.TypeA, "Success mx1.example.org.=192.0.2.1"},
		{"mx1.example.org.", dnsmessage.TypeAAAA, "Success mx1.example.org.=2001:db8::1"},
		{"mx1.example.org.", dnsmessage.TypeMX, "Success soa:org./300"},
		{"mx2.example.org.", dnsmessage.TypeAAAA, "Success soa:org./300"},
		{"null.example.org.", dnsmessage.TypeMX, "Success null.example.org.=0,."},
		{"nothing.example.org.", dnsmessage.TypeMX, "NameError soa:org./300"},
		{"_domainkey.example.org.", dnsmessage.TypeTXT, "Success soa:org./300"},
		{"s._domainkey.example.org.", dnsmessage.TypeTXT, "Success s._domainkey.example.org.=v=DKIM1; p=" + long[:244] + "|" + long[244:]},
		{"1.2.0.192.in-addr.arpa.", dnsmessage.TypePTR, "Success 1.2.0.192.in-addr.arpa.=mx1.example.org."},
		{"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.", dnsmessage.TypePTR,
			"Success 1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.=mx1.example.org."},
		{"alias2.example.org.", dnsmessage.TypeMX, "Success alias2.example.org.=->alias.example.org. alias.example.org.=->example.org. " +
			"example.org.=10,mx1.example.org. example.org.=20,mx2.example.org."},
		{"alias.example.org.", dnsmessage.TypeA, "Success alias.example.org.=->example.org. soa:org./300"},
		{"alias.example.org.", dnsmessage.TypeCNAME, "Success alias.example.org.=->example.org."},
		{"dangling.example.org.", dnsmessage.TypeA, "NameError dangling.example.org.=->nowhere.example. soa:org./300"},
		{"loop1.example.org.", dnsmessage.TypeA, "ServerFailure"},
		{"any.thing.wild.example.", dnsmessage.TypeMX, "Success any.thing.wild.example.=5,mx1.example.org."},
		{"wild.example.", dnsmessage.TypeMX, "Success soa:example./300"},
		{"fail.example.org.", dnsmessage.TypeMX, "ServerFailure"},
		{"half.example.org.", dnsmessage.TypeA, "Success half.example.org.=192.0.2.3"},
		{"half.example.org.", dnsmessage.TypeAAAA, "ServerFailure"},
		{"refused.example.org.", dnsmessage.TypeMX, "Refused"},
		{"silent.example.org.", dnsmessage.TypeMX, "timeout"},
	}
	run := func(t *testing.T, n *sendertest.Network) {
		d := startDNS(t, n)
		fillDNS(t, d)
		for _, tt := range tests {
			for _, network := range []string{"udp", "tcp"} {
				if tt.want == "timeout" && d.Addr() != d.VirtualAddr().String() {
					continue // In real time that would be a wait.
				}
				m, err := ask(t, n, d, network, tt.name, tt.kind, 1232)
				got := brief(m)
				var timeout net.Error
				if errors.As(err, &timeout) && timeout.Timeout() {
					got = "timeout"
				}
				if got != tt.want {
					t.Errorf("%s %s over %s:\ngot  %s\nwant %s", tt.name, tt.kind, network, got, tt.want)
				}
			}
		}
		for _, c := range []struct {
			name    string
			network string
			edns    int
			want    string
		}{
			{"cut.example.org.", "udp", 1232, "Success TC"},
			{"cut.example.org.", "tcp", 0, "Success cut.example.org.=192.0.2.4"},
			{"mx1.example.org.", "udp", 0, "Success mx1.example.org.=192.0.2.1"},
		} {
			if m, err := ask(t, n, d, c.network, c.name, dnsmessage.TypeA, c.edns); err != nil || brief(m) != c.want {
				t.Errorf("%s over %s: %v %v, want %s", c.name, c.network, brief(m), err, c.want)
			}
		}
		for edns, answers := range map[int]int{0: 0, 1232: 30} {
			if m, err := ask(t, n, d, "udp", "many.example.org.", dnsmessage.TypeA, edns); err != nil ||
				len(m.Answers) != answers || m.Truncated != (answers == 0) {
				t.Errorf("30 records with EDNS size %d: %d answers, truncated %v, %v", edns, len(m.Answers), m.Truncated, err)
			}
		}
		d.Heal("fail.example.org")
		if m, _ := ask(t, n, d, "tcp", "fail.example.org.", dnsmessage.TypeMX, 0); m.RCode != dnsmessage.RCodeNameError {
			t.Errorf("healed: %s", brief(m))
		}
		d.Remove("example.org")
		d.SetTTL(time.Minute)
		if m, _ := ask(t, n, d, "tcp", "example.org.", dnsmessage.TypeMX, 0); brief(m) != "Success soa:org./60" {
			t.Errorf("removed: %s", brief(m))
		}
	}
	t.Run("memory", func(t *testing.T) { bubble(t, run) })
	t.Run("tcp", func(t *testing.T) {
		n := sendertest.NewTCPNetwork()
		defer n.Close()
		run(t, n)
	})
}

func TestDNSQueries(t *testing.T) {
	bubble(t, func(t *testing.T, n *sendertest.Network) {
		d := startDNS(t, n)
		must(t, d.SetServFail("."))
		ask(t, n, d, "udp", "Example.org.", dnsmessage.TypeMX, 0)
		ask(t, n, d, "tcp", "example.org.", dnsmessage.TypeMX, 0)
		if m, _ := ask(t, n, d, "tcp", "example.org.", dnsmessage.TypeA, 0); m.RCode != dnsmessage.RCodeServerFailure {
			t.Errorf("SetServFail of everything: %s", brief(m))
		}
		for kind, want := range map[string]int{"MX": 2, "A": 1, "": 3, "TXT": 0, "NONE": 0} {
			if got := d.Queries("example.ORG.", kind); got != want {
				t.Errorf("%d questions of type %q, want %d", got, kind, want)
			}
		}
		log := d.Log()
		want := []sendertest.Query{
			{Name: "example.org", Type: "MX", Network: "udp", Time: time.Now()},
			{Name: "example.org", Type: "MX", Network: "tcp", Time: time.Now()},
			{Name: "example.org", Type: "A", Network: "tcp", Time: time.Now()},
		}
		if !slices.EqualFunc(log, want, func(a, b sendertest.Query) bool {
			return a.Time.Equal(b.Time) && a.Name == b.Name && a.Type == b.Type && a.Network == b.Network
		}) {
			t.Errorf("log %v", log)
		}
	})
}

// TestDNSResolver asks with net.Resolver, over real sockets: its state is shared by the process and does not suit bubbles.
func TestDNSResolver(t *testing.T) {
	n := sendertest.NewTCPNetwork()
	defer n.Close()
	d := startDNS(t, n)
	fillDNS(t, d)
	r := &net.Resolver{PreferGo: true, StrictErrors: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return n.DialContext(ctx, network, d.VirtualAddr().String())
	}}
	mx, err := r.LookupMX(t.Context(), "example.org.")
	if err != nil || len(mx) != 2 || mx[0].Host != "mx1.example.org." {
		t.Errorf("MX %v, %v", mx, err)
	}
	addrs, err := r.LookupNetIP(t.Context(), "ip4", "many.example.org.")
	if err != nil || len(addrs) != 30 {
		t.Errorf("A %v, %v", addrs, err)
	}
	if addrs, err := r.LookupNetIP(t.Context(), "ip4", "cut.example.org."); err != nil || len(addrs) != 1 {
		t.Errorf("truncated A %v, %v", addrs, err)
	}
	names, err := r.LookupAddr(t.Context(), "192.0.2.1")
	if err != nil || len(names) != 1 || names[0] != "mx1.example.org." {
		t.Errorf("PTR %v, %v", names, err)
	}
	var failure *net.DNSError
	if _, err := r.LookupMX(t.Context(), "nothing.example.org."); !errors.As(err, &failure) || !failure.IsNotFound {
		t.Errorf("NXDOMAIN: %v", err)
	}
	if _, err := r.LookupMX(t.Context(), "fail.example.org."); !errors.As(err, &failure) || !failure.IsTemporary {
		t.Errorf("SERVFAIL: %v", err)
	}
}

func TestDNSLookupTXT(t *testing.T) {
	n := sendertest.NewNetwork()
	defer n.Close()
	d := startDNS(t, n)
	fillDNS(t, d)
	texts, err := d.LookupTXT("s._domainkey.example.org")
	if err != nil || len(texts) != 1 || texts[0] != "v=DKIM1; p="+strings.Repeat("k", 300) {
		t.Errorf("%q, %v", texts, err)
	}
	for name, check := range map[string]func(*net.DNSError) bool{
		"nothing.example.org": func(e *net.DNSError) bool { return e.IsNotFound },
		"example.org":         func(e *net.DNSError) bool { return e.IsNotFound },
		"fail.example.org":    func(e *net.DNSError) bool { return e.IsTemporary && !e.IsTimeout },
		"silent.example.org":  func(e *net.DNSError) bool { return e.IsTemporary && e.IsTimeout },
	} {
		_, err := d.LookupTXT(name)
		var failure *net.DNSError
		if !errors.As(err, &failure) || !check(failure) {
			t.Errorf("%s: %#v", name, err)
		}
	}
}

func TestDNSRefusesNonsense(t *testing.T) {
	n := sendertest.NewNetwork()
	defer n.Close()
	d := startDNS(t, n)
	for name, err := range map[string]error{
		"empty label":    d.AddMX("a..example", 1, "mx.example"),
		"long label":     d.AddA(strings.Repeat("a", 64)+".example", netip.MustParseAddr("192.0.2.1")),
		"long name":      d.AddTXT(strings.Repeat("a.", 130)+"example", "x"),
		"host":           d.AddMX("a.example", 1, "mx..example"),
		"A of IPv6":      d.AddA("a.example", netip.MustParseAddr("2001:db8::1")),
		"AAAA of IPv4":   d.AddAAAA("a.example", netip.MustParseAddr("192.0.2.1")),
		"no address":     d.AddAddr("a.example", netip.Addr{}),
		"PTR of nothing": d.AddPTR(netip.Addr{}, "a.example"),
		"unknown type":   d.SetServFail("a.example", "NONE"),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzDNS(f *testing.F) {
	f.Add([]byte("\x00\x10\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00\x00\x0f\x00\x01"))
	f.Add([]byte("\x00\x03abc"))
	n := sendertest.NewNetwork()
	d, err := sendertest.StartDNS(n, netip.AddrPort{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { d.Close(); n.Close() })
	if err := d.AddMX("example.org", 1, "mx.example.org"); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		conn, err := n.DialContext(t.Context(), "tcp", d.VirtualAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.Write(input)
		conn.(interface{ CloseWrite() error }).CloseWrite()
		out, err := io.ReadAll(conn)
		if err != nil {
			t.Fatal(err)
		}
		for len(out) > 0 {
			size := int(binary.BigEndian.Uint16(out))
			var m dnsmessage.Message
			if err := m.Unpack(out[2 : 2+size]); err != nil {
				t.Fatalf("answer cannot be read: %v", err)
			}
			out = out[2+size:]
		}
	})
}
