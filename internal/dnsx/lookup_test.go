package dnsx

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func contains(s, sub string) bool { return strings.Contains(s, sub) }

// example is the DNS of these tests.
var example = zone{
	"a.example. MX": {
		"a.example. 300 IN MX 20 MX2.a.example.", "a.example. 200 IN MX 10 mx1.a.example.", "a.example. 300 IN MX 20 mx2.a.example.",
		"other.example. 1 IN MX 5 mx.other.example.", "a.example. 1 IN A 192.0.2.9",
	},
	"null.example. MX":     {"null.example. 300 IN MX 0 ."},
	"nodata.example. MX":   {},
	"alias.example. MX":    {"alias.example. 100 IN CNAME a.example.", "a.example. 300 IN MX 10 mx1.a.example."},
	"two.example. MX":      {"two.example. 300 IN CNAME alias.example.", "alias.example. 50 IN CNAME a.example.", "a.example. 300 IN MX 10 mx1.a.example."},
	"bare.example. MX":     {"bare.example. 30 IN CNAME a.example."},
	"dangling.example. MX": {"nxdomain", "dangling.example. 300 IN CNAME gone.example.", "authority example. 3600 IN SOA ns.example. host.example. 1 2 3 4 900"},
	"empty.example. MX":    {"empty.example. 300 IN CNAME nodata.example.", "authority example. 600 IN SOA ns.example. host.example. 1 2 3 4 900"},
	"loop.example. MX":     {"loop.example. 300 IN CNAME loop.example."},
	"loop1.example. MX":    {"loop1.example. 300 IN CNAME loop2.example."},
	"loop2.example. MX":    {"loop2.example. 300 IN CNAME loop1.example."},
	"broken.example. MX":   {"servfail"},

	"a.example. A":        {"a.example. 300 IN A 192.0.2.2", "a.example. 300 IN A 192.0.2.1", "a.example. 300 IN A 192.0.2.2"},
	"a.example. AAAA":     {"a.example. 200 IN AAAA 2001:db8::1"},
	"v4.example. A":       {"v4.example. 300 IN A 192.0.2.1"},
	"v4.example. AAAA":    {},
	"v6.example. A":       {},
	"v6.example. AAAA":    {"v6.example. 200 IN AAAA 2001:db8::1"},
	"h4.example. A":       {"h4.example. 300 IN A 192.0.2.1"},
	"h4.example. AAAA":    {"servfail"},
	"h6.example. A":       {"refused"},
	"h6.example. AAAA":    {"h6.example. 200 IN AAAA 2001:db8::1"},
	"q1.example. A":       {},
	"q1.example. AAAA":    {"servfail"},
	"q2.example. A":       {"servfail"},
	"q2.example. AAAA":    {},
	"none.example. A":     {},
	"none.example. AAAA":  {},
	"odd.example. A":      {},
	"odder.example. A":    {"nxdomain"},
	"odder.example. AAAA": {},
	"odd.example. AAAA":   {"nxdomain"},

	"a.example. TXT": {`a.example. 300 IN TXT "v=spf1 " "-all"`, `a.example. 300 IN TXT "a\"b\\c\000\195\188"`},

	"1.2.0.192.in-addr.arpa. PTR": {"1.2.0.192.in-addr.arpa. 300 IN PTR MX1.a.example."},
	"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR": {
		"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 300 IN PTR mx6.a.example.",
	},
}

func TestMX(t *testing.T) {
	c := servers{first: example.answer}.client(t)
	mx1, mx2 := MX{"mx1.a.example", 10}, MX{"mx2.a.example", 20}
	for _, test := range []struct {
		name string
		want []MX
		ttl  time.Duration // also of an error
		kind Kind
	}{
		{"a.example", []MX{mx1, mx2}, 200 * time.Second, ""},
		{"A.Example.", []MX{mx1, mx2}, 200 * time.Second, ""},
		{"null.example", []MX{{"", 0}}, 300 * time.Second, ""},
		{"alias.example", []MX{mx1}, 100 * time.Second, ""},
		{"two.example", []MX{mx1}, 50 * time.Second, ""},
		{"bare.example", []MX{mx1, mx2}, 30 * time.Second, ""},
		{"nodata.example", nil, 600 * time.Second, NoData},
		{"gone.example", nil, 900 * time.Second, NXDomain},
		{"dangling.example", nil, 300 * time.Second, NXDomain},
		{"empty.example", nil, 300 * time.Second, NoData},
		{"loop.example", nil, 0, Temporary},
		{"loop1.example", nil, 0, Temporary},
		{"broken.example", nil, 0, Temporary},
		{"", nil, 0, Invalid},
		{".", nil, 0, Invalid},
		{"a..example", nil, 0, Invalid},
		{strings.Repeat("a", 64) + ".example", nil, 0, Invalid},
		{strings.Repeat("a.", 130) + "example", nil, 0, Invalid},
	} {
		got, ttl, err := c.MX(t.Context(), test.name)
		if KindOf(err) != test.kind || !slices.Equal(got, test.want) {
			t.Errorf("%q: got %v, %v; want %v, %q", test.name, got, err, test.want, test.kind)
			continue
		}
		if err != nil {
			ttl = err.(*Error).TTL
		}
		if ttl != test.ttl {
			t.Errorf("%q: the TTL is %v, want %v", test.name, ttl, test.ttl)
		}
	}
}

// An empty answer at the end of a chain is believed when an SOA record shows that the server followed it.
func TestEmptyChain(t *testing.T) {
	var questions atomic.Int32
	c := servers{first: func(network string, q *dns.Msg) []byte {
		questions.Add(1)
		return example.answer(network, q)
	}}.client(t)
	if _, _, err := c.MX(t.Context(), "empty.example"); KindOf(err) != NoData || questions.Load() != 1 {
		t.Errorf("got %v after %d questions", err, questions.Load())
	}
}

// A long chain of aliases ends in an error and not in many questions.
func TestLongChain(t *testing.T) {
	var questions atomic.Int32
	c := servers{first: func(_ string, q *dns.Msg) []byte {
		questions.Add(1)
		name := q.Question[0].Name
		return pack(reply(q, dns.RcodeSuccess, fmt.Sprintf("%s 300 IN CNAME x%s", name, name)))
	}}.client(t)
	_, _, err := c.MX(t.Context(), "a.example")
	if KindOf(err) != Temporary || questions.Load() > maxChain+1 {
		t.Errorf("got %v after %d questions", err, questions.Load())
	}
}

// Hundreds of records are cut to the most preferred, thousands to the first ones.
func TestManyRecords(t *testing.T) {
	records := maxDecoded
	c := servers{first: func(_ string, q *dns.Msg) []byte {
		m := reply(q, dns.RcodeSuccess)
		name := q.Question[0].Name
		for i := range records {
			var rr dns.RR
			hdr := dns.RR_Header{Name: name, Rrtype: q.Question[0].Qtype, Class: dns.ClassINET, Ttl: 300}
			switch hdr.Rrtype {
			case dns.TypeMX:
				rr = &dns.MX{Hdr: hdr, Preference: uint16(records - i), Mx: fmt.Sprintf("m%d.%s", i, name)}
			case dns.TypeA:
				rr = &dns.A{Hdr: hdr, A: []byte{192, 0, byte(i >> 8), byte(i)}}
			default:
				return pack(reply(q, dns.RcodeSuccess))
			}
			m.Answer = append(m.Answer, rr)
		}
		return pack(m)
	}}.client(t)
	mxs, _, err := c.MX(t.Context(), "a.example")
	if err != nil || len(mxs) != MaxRecords || cap(mxs) > 2*MaxRecords || mxs[0].Preference != 1 || mxs[99].Preference != 100 {
		t.Errorf("%d mail exchangers, %v", len(mxs), err)
	}
	addrs, _, err := c.Addrs(t.Context(), "a.example", IPv4)
	if err != nil || len(addrs) != MaxRecords {
		t.Errorf("%d addresses, %v", len(addrs), err)
	}
	records = 3000
	mxs, _, err = c.MX(t.Context(), "a.example")
	if err != nil || len(mxs) != MaxRecords || mxs[0].Preference != uint16(records-maxDecoded+1) {
		t.Errorf("%d mail exchangers, %v", len(mxs), err)
	}
}

func TestAddrs(t *testing.T) {
	c := servers{first: example.answer}.client(t)
	four1, four2, six := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::1")
	for _, test := range []struct {
		name   string
		family Family
		want   []netip.Addr
		ttl    time.Duration
		kind   Kind
	}{
		{"a.example", Both, []netip.Addr{four2, four1, six}, 200 * time.Second, ""},
		{"a.example", IPv4, []netip.Addr{four2, four1}, 300 * time.Second, ""},
		{"a.example", IPv6, []netip.Addr{six}, 200 * time.Second, ""},
		{"v4.example", Both, []netip.Addr{four1}, 300 * time.Second, ""},
		{"v6.example", Both, []netip.Addr{six}, 200 * time.Second, ""},
		{"v6.example", IPv4, nil, 600 * time.Second, NoData},
		{"h4.example", Both, []netip.Addr{four1}, 300 * time.Second, ""},
		{"h6.example", Both, []netip.Addr{six}, 200 * time.Second, ""},
		{"q1.example", Both, nil, 0, Temporary},
		{"q2.example", Both, nil, 0, Temporary},
		{"none.example", Both, nil, 600 * time.Second, NoData},
		{"odd.example", Both, nil, 0, NoData},
		{"odder.example", Both, nil, 0, NoData},
		{"gone.example", Both, nil, 900 * time.Second, NXDomain},
		{"a..example", Both, nil, 0, Invalid},
	} {
		got, ttl, err := c.Addrs(t.Context(), test.name, test.family)
		if KindOf(err) != test.kind || !slices.Equal(got, test.want) {
			t.Errorf("%s %s: got %v, %v; want %v, %q", test.name, test.family, got, err, test.want, test.kind)
			continue
		}
		if err != nil {
			ttl = err.(*Error).TTL
		}
		if ttl != test.ttl {
			t.Errorf("%s %s: the TTL is %v, want %v", test.name, test.family, ttl, test.ttl)
		}
	}
}

func TestTXT(t *testing.T) {
	c := servers{first: example.answer}.client(t)
	got, ttl, err := c.TXT(t.Context(), "a.example")
	if want := []string{"v=spf1 -all", "a\"b\\c\x00ü"}; err != nil || !reflect.DeepEqual(got, want) || ttl != 300*time.Second {
		t.Errorf("got %q, %v, %v; want %q", got, ttl, err, want)
	}
	if _, _, err := c.TXT(t.Context(), "gone.example"); KindOf(err) != NXDomain {
		t.Errorf("got %v", err)
	}
}

func TestPTR(t *testing.T) {
	c := servers{first: example.answer}.client(t)
	for addr, want := range map[string]string{
		"192.0.2.1": "mx1.a.example", "::ffff:192.0.2.1": "mx1.a.example", "2001:db8::1": "mx6.a.example", "192.0.2.2": "",
	} {
		got, _, err := c.PTR(t.Context(), netip.MustParseAddr(addr))
		switch {
		case want == "" && KindOf(err) != NXDomain:
			t.Errorf("%s: got %v", addr, err)
		case want != "" && (err != nil || len(got) != 1 || got[0] != want):
			t.Errorf("%s: got %q, %v", addr, got, err)
		}
	}
	if _, _, err := c.PTR(t.Context(), netip.Addr{}); KindOf(err) != Invalid {
		t.Errorf("no address: got %v", err)
	}
}

func TestErrorText(t *testing.T) {
	c := servers{first: example.answer, second: example.answer}.client(t)
	for name, want := range map[string]string{
		"gone.example":   "dns: MX gone.example: no such name",
		"nodata.example": "dns: MX nodata.example: no record of this type",
		"broken.example": "dns: MX broken.example: SERVFAIL (server " + second + ")",
		"a..example":     "dns: MX a..example: not a domain name",
	} {
		if _, _, err := c.MX(t.Context(), name); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func BenchmarkMX(b *testing.B) {
	c := servers{first: example.answer}.client(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := c.MX(b.Context(), "a.example"); err != nil {
			b.Fatal(err)
		}
	}
}
