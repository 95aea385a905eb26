package route

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender/sendertest"
)

// Addresses of these tests.
var (
	four1 = netip.MustParseAddr("192.0.2.1")
	four2 = netip.MustParseAddr("192.0.2.2")
	six1  = netip.MustParseAddr("2001:db8::1")
	six2  = netip.MustParseAddr("2001:db8::2")
	loop  = netip.MustParseAddr("127.0.0.1")

	private = []netip.Addr{
		netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("172.31.255.255"), netip.MustParseAddr("192.168.0.1"),
		netip.MustParseAddr("100.64.0.1"), netip.MustParseAddr("240.0.0.1"), netip.MustParseAddr("fd00::1"),
		netip.MustParseAddr("64:ff9b:1::c000:201"), netip.MustParseAddr("64:ff9b::10.0.0.1"),
	}
)

// world is a name server and a Resolver that asks it.
type world struct {
	t       testing.TB
	network *sendertest.Network
	dns     *sendertest.DNS
	r       *Resolver
}

// newWorld makes both; they end with the test.
func newWorld(t testing.TB, cfg Config) *world {
	t.Helper()
	w := &world{t: t, network: sendertest.NewNetwork()}
	var err error
	if w.dns, err = sendertest.StartDNS(w.network, netip.AddrPort{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.dns.Close()
		w.network.Close()
	})
	cfg.Servers, cfg.Dial = []string{w.dns.Addr()}, w.network.DialContext
	if w.r, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	return w
}

// mx adds a mail exchanger with addresses.
func (w *world) mx(domain string, preference uint16, host string, addrs ...netip.Addr) {
	w.t.Helper()
	w.ok(w.dns.AddMX(domain, preference, host))
	w.addr(host, addrs...)
}

// addr adds addresses.
func (w *world) addr(host string, addrs ...netip.Addr) {
	w.t.Helper()
	for _, a := range addrs {
		w.ok(w.dns.AddAddr(host, a))
	}
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// sameOrder leaves everything in its order.
func sameOrder(int, func(i, j int)) {}

// The rules of package route, one a case.
func TestResolve(t *testing.T) {
	for _, test := range []struct {
		name   string
		cfg    Config
		setup  func(w *world)
		domain string
		want   string // "preference name addresses;" for each host
		dest   string // the Domain, when it is not domain
		reply  string // the start of the error's reply
		temp   bool
	}{
		{name: "sorted by preference", domain: "example.com", setup: func(w *world) {
			w.mx("example.com", 20, "mx2.example.com", four2)
			w.mx("example.com", 10, "mx1.example.com", four1)
		}, want: "10 mx1.example.com 192.0.2.1; 20 mx2.example.com 192.0.2.2;"},
		{name: "the same name twice", domain: "example.com", setup: func(w *world) {
			w.mx("example.com", 10, "mx1.example.com", four1)
			w.mx("example.com", 10, "MX1.example.com")
		}, want: "10 mx1.example.com 192.0.2.1;"},
		{name: "implicit MX", domain: "example.com", setup: func(w *world) {
			w.addr("example.com", four1, six1)
		}, want: "0 example.com 192.0.2.1 2001:db8::1;"},
		{name: "implicit MX with IPv6 only", domain: "example.com", setup: func(w *world) {
			w.addr("example.com", six1)
		}, want: "0 example.com 2001:db8::1;"},
		{name: "MX without address is no implicit MX", domain: "example.com", setup: func(w *world) {
			w.mx("example.com", 10, "mx1.example.com")
			w.addr("example.com", four1)
		}, reply: "550 5.4.4 No usable mail host: mx1.example.com: no such name"},
		{name: "hosts without address are left out", domain: "example.com", setup: func(w *world) {
			w.mx("example.com", 10, "mx1.example.com")
			w.mx("example.com", 20, "mx2.example.com", four2)
		}, want: "20 mx2.example.com 192.0.2.2;"},
		{name: "no host has an address", domain: "example.com", setup: func(w *world) {
			for i := range 5 {
				w.mx("example.com", uint16(i), fmt.Sprintf("mx%d.example.com", i))
			}
			w.ok(w.dns.AddTXT("mx1.example.com", "x"))
		}, reply: "550 5.4.4 No usable mail host: mx0.example.com: no such name; mx1.example.com: no address; " +
			"mx2.example.com: no such name; and 2 more"},
		{name: "null MX", domain: "example.com", setup: func(w *world) {
			w.ok(w.dns.AddNullMX("example.com"))
			w.addr("example.com", four1)
		}, reply: "556 5.1.10 Domain takes no mail (null MX)"},
		{name: "null MX beside another is ignored", domain: "example.com", setup: func(w *world) {
			w.ok(w.dns.AddNullMX("example.com"))
			w.mx("example.com", 10, "mx1.example.com", four1)
		}, want: "10 mx1.example.com 192.0.2.1;"},
		{name: "no such domain", domain: "example.com", reply: "550 5.1.2 Domain not found (NXDOMAIN)"},
		{name: "no MX and no address", domain: "example.com", setup: func(w *world) {
			w.ok(w.dns.AddTXT("example.com", "x"))
		}, reply: "550 5.4.4 No usable mail host: no MX record, and of the domain itself: no address"},
		{name: "SERVFAIL for MX", domain: "example.com", setup: func(w *world) {
			w.addr("example.com", four1)
			w.ok(w.dns.SetServFail("example.com", "MX"))
		}, reply: "451 4.4.3 DNS lookup failed temporarily: MX example.com: SERVFAIL", temp: true},
		{name: "REFUSED for MX", domain: "example.com", setup: func(w *world) {
			w.ok(w.dns.SetRefused("example.com", "MX"))
		}, reply: "451 4.4.3 DNS lookup failed temporarily: MX example.com: REFUSED", temp: true},
		{name: "time-out for MX", domain: "example.com", setup: func(w *world) {
			w.ok(w.dns.SetTimeout("example.com"))
		}, reply: "451 4.4.3 DNS lookup failed temporarily: MX example.com: time-out", temp: true},
		{name: "SERVFAIL for the address of an implicit MX", domain: "example.com", setup: func(w *world) {
			w.ok(w.dns.AddTXT("example.com", "x"))
			w.ok(w.dns.SetServFail("example.com", "A"))
		}, reply: "451 4.4.3 DNS lookup failed temporarily: A example.com: SERVFAIL", temp: true},
		{name: "one host unknown, the other temporary", domain: "example.com", setup: func(w *world) {
			w.mx("example.com", 10, "mx1.example.com")
			w.mx("example.com", 20, "mx2.example.com")
			w.ok(w.dns.SetServFail("mx2.example.com"))
		}, reply: "451 4.4.3 DNS lookup failed temporarily: A mx2.example.com: SERVFAIL", temp: true},
		{name: "one host good, the other temporary", domain: "example.com", setup: func(w *world) {
			w.mx("example.com", 10, "mx1.example.com")
			w.mx("example.com", 20, "mx2.example.com", four2)
			w.ok(w.dns.SetTimeout("mx1.example.com"))
		}, want: "20 mx2.example.com 192.0.2.2;"},
		{name: "A good, AAAA temporary", domain: "example.com", setup: func(w *world) {
			w.mx("example.com", 10, "mx1.example.com", four1)
			w.ok(w.dns.SetServFail("mx1.example.com", "AAAA"))
		}, want: "10 mx1.example.com 192.0.2.1;"},
		{name: "the domain is an alias", domain: "example.com", setup: func(w *world) {
			w.ok(w.dns.AddCNAME("example.com", "www.example.net"))
			w.mx("www.example.net", 10, "mx.example.net", four1)
		}, want: "10 mx.example.net 192.0.2.1;"},
		{name: "the domain is an alias for a name without MX", domain: "example.com", setup: func(w *world) {
			w.ok(w.dns.AddCNAME("example.com", "www.example.net"))
			w.addr("www.example.net", four1)
		}, want: "0 example.com 192.0.2.1;"},
		{name: "the domain is an alias for nothing", domain: "example.com", setup: func(w *world) {
			w.ok(w.dns.AddCNAME("example.com", "www.example.net"))
		}, reply: "550 5.1.2 Domain not found (NXDOMAIN)"},
		{name: "the host is an alias", domain: "example.com", setup: func(w *world) {
			w.ok(w.dns.AddMX("example.com", 10, "mx.example.com"))
			w.ok(w.dns.AddCNAME("mx.example.com", "mail.example.net"))
			w.addr("mail.example.net", four1)
		}, want: "10 mx.example.com 192.0.2.1;"},
		{name: "an address for a name", domain: "example.com", setup: func(w *world) {
			w.ok(w.dns.AddMX("example.com", 10, "192.0.2.1"))
		}, reply: "550 5.4.4 No usable mail host: 192.0.2.1: an address where a name must be"},
		{name: "loopback", domain: "example.com", setup: func(w *world) {
			w.mx("example.com", 10, "mx1.example.com", loop, netip.MustParseAddr("::1"), netip.MustParseAddr("0.0.0.0"))
		}, reply: "550 5.4.4 No usable mail host: mx1.example.com: only addresses that can not be used"},
		{name: "loopback of an implicit MX", domain: "example.com", setup: func(w *world) {
			w.addr("example.com", loop)
		}, reply: "550 5.4.4 No usable mail host: no MX record, and of the domain itself: only addresses that can not be used"},
		{name: "loopback beside another", domain: "example.com", setup: func(w *world) {
			w.mx("example.com", 10, "mx1.example.com", loop, four1, netip.MustParseAddr("fe80::1"), netip.MustParseAddr("ff02::1"))
		}, want: "10 mx1.example.com 192.0.2.1;"},
		{name: "loopback allowed", cfg: Config{AllowLoopback: true}, domain: "example.com", setup: func(w *world) {
			w.mx("example.com", 10, "mx1.example.com", loop)
		}, want: "10 mx1.example.com 127.0.0.1;"},

		{name: "addresses in turn", domain: "example.com", setup: func(w *world) {
			w.mx("example.com", 10, "mx1.example.com", six1, four1, four2, six2)
		}, want: "10 mx1.example.com 192.0.2.1 2001:db8::1 192.0.2.2 2001:db8::2;"},
		{name: "IPv6 first", cfg: Config{Family: FamilyIPv6First}, domain: "example.com", setup: func(w *world) {
			w.mx("example.com", 10, "mx1.example.com", four1, four2, six1)
		}, want: "10 mx1.example.com 2001:db8::1 192.0.2.1 192.0.2.2;"},
		{name: "IPv4 only", cfg: Config{Family: FamilyIPv4Only}, domain: "example.com", setup: func(w *world) {
			w.mx("example.com", 10, "mx1.example.com", six1, four1)
			w.mx("example.com", 20, "mx2.example.com", six2)
		}, want: "10 mx1.example.com 192.0.2.1;"},
		{name: "IPv6 only", cfg: Config{Family: FamilyIPv6Only}, domain: "example.com", setup: func(w *world) {
			w.mx("example.com", 10, "mx1.example.com", six1, four1)
			w.mx("example.com", 20, "mx2.example.com", four2)
		}, want: "10 mx1.example.com 2001:db8::1;"},

		{name: "IPv4 only, but there is none", cfg: Config{Family: FamilyIPv4Only}, domain: "example.com", setup: func(w *world) {
			w.mx("example.com", 10, "mx1.example.com", six1)
		}, reply: "451 4.4.4 No mail host within reach: mx1.example.com: only IPv6 addresses, and Config.Family is ipv4-only", temp: true},
		{name: "IPv6 only, but there is none", cfg: Config{Family: FamilyIPv6Only}, domain: "example.com", setup: func(w *world) {
			w.mx("example.com", 10, "mx1.example.com", four1)
		}, reply: "451 4.4.4 No mail host within reach: mx1.example.com: only IPv4 addresses, and Config.Family is ipv6-only", temp: true},
		{name: "IPv4 only, the domain itself has IPv6 only", cfg: Config{Family: FamilyIPv4Only}, domain: "example.com", setup: func(w *world) {
			w.addr("example.com", six1)
		}, reply: "451 4.4.4 No mail host within reach: example.com: only IPv6 addresses, and Config.Family is ipv4-only", temp: true},
		{name: "IPv4 only, one host has IPv6, one nothing", cfg: Config{Family: FamilyIPv4Only}, domain: "example.com", setup: func(w *world) {
			w.mx("example.com", 10, "mx1.example.com")
			w.mx("example.com", 20, "mx2.example.com", six1, loop)
		}, reply: "451 4.4.4 No mail host within reach: mx2.example.com: only IPv6 addresses, and Config.Family is ipv4-only", temp: true},
		{name: "IPv4 only, there is no address at all", cfg: Config{Family: FamilyIPv4Only}, domain: "example.com", setup: func(w *world) {
			w.mx("example.com", 10, "mx1.example.com")
			w.ok(w.dns.AddTXT("mx1.example.com", "x"))
		}, reply: "550 5.4.4 No usable mail host: mx1.example.com: no IPv4 address"},
		{name: "IPv4 only, IPv6 is of no use either", cfg: Config{Family: FamilyIPv4Only}, domain: "example.com", setup: func(w *world) {
			w.mx("example.com", 10, "mx1.example.com", netip.MustParseAddr("::1"), netip.MustParseAddr("fd00::1"))
		}, reply: "550 5.4.4 No usable mail host: mx1.example.com: no IPv4 address"},
		{name: "IPv4 only, whether there is IPv6 is not known", cfg: Config{Family: FamilyIPv4Only}, domain: "example.com", setup: func(w *world) {
			w.mx("example.com", 10, "mx1.example.com")
			w.ok(w.dns.AddTXT("mx1.example.com", "x"))
			w.ok(w.dns.SetServFail("mx1.example.com", "AAAA"))
		}, reply: "451 4.4.3 DNS lookup failed temporarily: AAAA mx1.example.com: SERVFAIL", temp: true},

		{name: "private", domain: "example.com", setup: func(w *world) {
			w.mx("example.com", 10, "mx1.example.com", private...)
		}, reply: "550 5.4.4 No usable mail host: mx1.example.com: only private addresses"},
		{name: "private beside another", domain: "example.com", setup: func(w *world) {
			w.mx("example.com", 10, "mx1.example.com", append(private, four1)...)
		}, want: "10 mx1.example.com 192.0.2.1;"},
		{name: "private allowed, loopback not", cfg: Config{AllowPrivate: true}, domain: "example.com", setup: func(w *world) {
			w.mx("example.com", 10, "mx1.example.com", private[0], private[len(private)-1], loop, netip.MustParseAddr("64:ff9b::127.0.0.1"))
		}, want: "10 mx1.example.com 10.0.0.1 64:ff9b::a00:1;"},
		{name: "private literal", domain: "[10.0.0.1]", reply: "550 5.4.4 No usable mail host: a private address"},
		{name: "private IPv6 literal", domain: "[IPv6:fd00::1]", dest: "[IPv6:fd00::1]", reply: "550 5.4.4 No usable mail host: a private address"},
		{name: "private literal allowed", cfg: Config{AllowPrivate: true}, domain: "[10.0.0.1]", want: "0 [10.0.0.1] 10.0.0.1;"},

		{name: "at most MaxHosts", cfg: Config{MaxHosts: 2, Shuffle: sameOrder}, domain: "example.com", setup: func(w *world) {
			for i := range 6 {
				w.mx("example.com", 10, fmt.Sprintf("mx%d.example.com", i), four1)
			}
		}, want: "10 mx0.example.com 192.0.2.1; 10 mx1.example.com 192.0.2.1;"},
		{name: "MaxHosts that have addresses", cfg: Config{MaxHosts: 2}, domain: "example.com", setup: func(w *world) {
			for i := range 5 {
				w.mx("example.com", uint16(i), fmt.Sprintf("mx%d.example.com", i))
			}
			w.addr("mx1.example.com", four1)
			w.addr("mx4.example.com", four2)
		}, want: "1 mx1.example.com 192.0.2.1; 4 mx4.example.com 192.0.2.2;"},

		{name: "upper case and final dot", domain: "Example.COM.", dest: "example.com", setup: func(w *world) {
			w.mx("example.com", 10, "mx1.example.com", four1)
		}, want: "10 mx1.example.com 192.0.2.1;"},
		{name: "U-labels", domain: "BÜCHER.example", dest: "xn--bcher-kva.example", setup: func(w *world) {
			w.addr("xn--bcher-kva.example", four1)
		}, want: "0 xn--bcher-kva.example 192.0.2.1;"},
		{name: "A-labels", domain: "XN--bcher-kva.example", dest: "xn--bcher-kva.example", setup: func(w *world) {
			w.addr("xn--bcher-kva.example", four1)
		}, want: "0 xn--bcher-kva.example 192.0.2.1;"},
		{name: "wide full stop", domain: "例え。テスト", dest: "xn--r8jz45g.xn--zckzah", setup: func(w *world) {
			w.addr("xn--r8jz45g.xn--zckzah", four1)
		}, want: "0 xn--r8jz45g.xn--zckzah 192.0.2.1;"},
		{name: "no domain name", domain: "exa mple.com", reply: "550 5.1.2 Domain not found (not a domain name"},
		{name: "empty", domain: "", reply: "550 5.1.2 "},
		{name: "a bidirectional label", domain: "א1a.example", reply: "550 5.1.2 "},
		{name: "an address without brackets", domain: "192.0.2.1", reply: "550 5.1.2 Domain not found (NXDOMAIN)"},

		{name: "IPv4 literal", domain: "[192.0.2.1]", want: "0 [192.0.2.1] 192.0.2.1;"},
		{name: "IPv6 literal", domain: "[ipv6:2001:DB8::1]", dest: "[IPv6:2001:db8::1]", want: "0 [IPv6:2001:db8::1] 2001:db8::1;"},
		{name: "IPv6 literal without tag", domain: "[2001:db8::1]", reply: "550 5.1.2 "},
		{name: "IPv4 literal with tag", domain: "[IPv6:192.0.2.1]", reply: "550 5.1.2 "},
		{name: "literal with a zone", domain: "[IPv6:fe80::1%eth0]", reply: "550 5.1.2 "},
		{name: "open literal", domain: "[192.0.2.1", reply: "550 5.1.2 "},
		{name: "unknown literal", domain: "[x400:c=de]", reply: "550 5.1.2 "},
		{name: "loopback literal", domain: "[127.0.0.1]", reply: "550 5.4.4 "},
		{name: "IPv6 literal over IPv4", cfg: Config{Family: FamilyIPv4Only}, domain: "[IPv6:2001:db8::1]",
			reply: "451 4.4.4 No mail host within reach: [IPv6:2001:db8::1]: only IPv6 addresses, and Config.Family is ipv4-only", temp: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, test.cfg)
				if test.setup != nil {
					test.setup(w)
				}
				d, err := w.r.Resolve(t.Context(), test.domain)
				if test.reply != "" {
					checkError(t, err, test.reply, test.temp)
					if len(d.Hosts) > 0 {
						t.Errorf("hosts with an error: %v", d.Hosts)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if got := show(d); got != test.want {
					t.Errorf("got  %s\nwant %s", got, test.want)
				}
				if want := strings.TrimSpace(test.dest); want == "" && d.Domain != test.domain || want != "" && d.Domain != want {
					t.Errorf("the domain is %q", d.Domain)
				}
				if implicit := strings.HasPrefix(test.want, "0 "+d.Domain) && d.Domain[0] != '['; d.Implicit != implicit {
					t.Errorf("implicit is %v", d.Implicit)
				}
				if !d.Expires.After(time.Now()) {
					t.Errorf("it expires at %v", d.Expires)
				}
			})
		})
	}
}

// show is a destination in one line.
func show(d Destination) string {
	var parts []string
	for _, h := range d.Hosts {
		s := fmt.Sprintf("%d %s", h.Preference, h.Name)
		for _, a := range h.Addrs {
			s += " " + a.String()
		}
		parts = append(parts, s+";")
	}
	return strings.Join(parts, " ")
}

// checkError checks that err is an *Error with such a reply.
func checkError(t *testing.T, err error, reply string, temporary bool) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an *Error", err)
	}
	if got := e.Reply.String(); !strings.HasPrefix(got, reply) || reply[len(reply)-1] != ' ' && reply[0] == '4' && got != reply {
		t.Errorf("the reply is %q, want %q", got, reply)
	}
	if e.Temporary != temporary || !e.Reply.Local || e.Reply.Stage != bounce.StageResolve || e.Reply.Code/100 != e.Reply.Status.Class {
		t.Errorf("got %+v", e)
	}
	if (e.Reply.Code < 500) != temporary {
		t.Errorf("temporary is %v, but the reply is %v", temporary, e.Reply)
	}
}

// What a caller does to its Destination does not reach the next one.
func TestResolveCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.mx("example.com", 10, "mx1.example.com", four1, six1)
		w.mx("example.com", 20, "mx2.example.com", four2)
		first, err := w.r.Resolve(t.Context(), "example.com")
		if err != nil {
			t.Fatal(err)
		}
		want := show(first)
		first.Hosts[0].Addrs = append(first.Hosts[0].Addrs[:1], netip.Addr{})
		first.Hosts[0].Addrs[0] = loop
		first.Hosts[1].Name = "x"
		first.MX[0] = "x"
		if show(first) == want || first.Hosts[1].Addrs[0] != four2 {
			t.Errorf("after appending: %s", show(first))
		}
		again, err := w.r.Resolve(t.Context(), "example.com")
		if err != nil || show(again) != want || again.MX[0] != "mx1.example.com" {
			t.Errorf("got %s %v, %v; want %s", show(again), again.MX, err, want)
		}
	})
}

func TestResolveCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.ok(w.dns.SetTimeout("example.com"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := w.r.Resolve(ctx, "example.com")
		if err != context.DeadlineExceeded || time.Since(start) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		if _, err := w.r.Addrs(ctx, "example.com"); err != context.DeadlineExceeded {
			t.Errorf("got %v", err)
		}
		// Nobody waits any more, so the lookup ends too, and is not remembered as a failure.
		synctest.Wait()
		if n := w.network.OpenConns(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
		w.dns.Heal("example.com")
		w.addr("example.com", four1)
		if _, err := w.r.Resolve(t.Context(), "example.com"); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestAddrs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.addr("relay.example.com", six1, four1)
		w.ok(w.dns.AddCNAME("alias.example.com", "relay.example.com"))
		w.addr("local.example.com", loop)
		w.ok(w.dns.AddTXT("text.example.com", "x"))
		w.ok(w.dns.SetServFail("bad.example.com"))
		for host, want := range map[string]string{
			"relay.example.com":  "[192.0.2.1 2001:db8::1]",
			"Alias.Example.com.": "[192.0.2.1 2001:db8::1]",
			"local.example.com":  "[127.0.0.1]",
			"localhost":          "[127.0.0.1 ::1]",
			"192.0.2.9":          "[192.0.2.9]",
			"[2001:db8::9]":      "[2001:db8::9]",
			"gone.example.com":   "451 4.4.4 No usable relay host: gone.example.com: no such name",
			"text.example.com":   "451 4.4.4 No usable relay host: text.example.com: no address",
			"a b":                "451 4.4.4 No usable relay host: a b: not a host name",
			"bad.example.com":    "451 4.4.3 DNS lookup failed temporarily: A bad.example.com: SERVFAIL",
		} {
			for range 2 {
				list, err := w.r.Addrs(t.Context(), host)
				if err != nil {
					checkError(t, err, want, true)
					continue
				}
				if got := fmt.Sprint(list); got != want {
					t.Errorf("%s: got %s, want %s", host, got, want)
				}
				list[0] = netip.Addr{}
			}
		}
		if n := w.dns.Queries("relay.example.com", "A"); n != 1 {
			t.Errorf("%d questions", n)
		}
	})
}

func BenchmarkResolveCached(b *testing.B) {
	w := newWorld(b, Config{})
	for i := range 3 {
		w.mx("example.com", 10, fmt.Sprintf("mx%d.example.com", i), four1, six1)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.r.Resolve(b.Context(), "example.com"); err != nil {
			b.Fatal(err)
		}
	}
}
