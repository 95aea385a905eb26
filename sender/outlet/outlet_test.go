package outlet_test

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/sender/outlet"
	"github.com/reputemail/repute/sender/sendertest"
)

const proxyAddr = "192.0.2.80:1080"

// through dials through a fake proxy that does what serve says, in a bubble, and checks that nothing stays open.
func through(t *testing.T, cfg outlet.Config, serve func(net.Conn), check func(net.Conn, error, time.Duration)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := sendertest.NewNetwork()
		defer n.Close()
		if serve != nil {
			l, err := n.Listen(netip.MustParseAddrPort(proxyAddr))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					go func() {
						defer c.Close()
						serve(c)
					}()
				}
			}()
		}
		cfg.Addr, cfg.Dial = proxyAddr, n.Dial
		o, err := outlet.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		began := time.Now()
		conn, err := o.Dial(ctx, netip.MustParseAddr("198.51.100.1"), netip.MustParseAddrPort("203.0.113.5:25"))
		check(conn, err, time.Since(began))
		if conn != nil {
			conn.Close()
		}
		time.Sleep(time.Minute)
		if n := n.OpenConns(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

func TestProxyV2Header(t *testing.T) {
	const signature = "0d0a0d0a000d0a515549540a"
	for _, c := range []struct{ local, addr, want string }{
		{"198.51.100.1", "203.0.113.5:25", signature + "2111" + "000c" + "c6336401" + "cb007105" + "0000" + "0019"},
		{"::ffff:198.51.100.1", "[::ffff:203.0.113.5]:465", signature + "2111" + "000c" + "c6336401" + "cb007105" + "0000" + "01d1"},
		{"2001:db8::1", "[2001:db8::5]:25", signature + "2121" + "0024" + "20010db8000000000000000000000001" + "20010db8000000000000000000000005" + "0000" + "0019"},
		{"2001:db8::1", "203.0.113.5:25", ""},
		{"198.51.100.1", "[2001:db8::5]:25", ""},
		{"", "203.0.113.5:25", ""},
	} {
		n := sendertest.NewNetwork()
		l, err := n.Listen(netip.MustParseAddrPort(proxyAddr))
		if err != nil {
			t.Fatal(err)
		}
		o, err := outlet.New(outlet.Config{Protocol: outlet.ProxyV2, Addr: proxyAddr, Dial: n.Dial})
		if err != nil {
			t.Fatal(err)
		}
		local, _ := netip.ParseAddr(c.local)
		conn, err := o.Dial(t.Context(), local, netip.MustParseAddrPort(c.addr))
		var of *outlet.Error
		switch {
		case c.want == "" && (err == nil || errors.As(err, &of)):
			t.Errorf("%s to %s: %v", c.local, c.addr, err)
		case c.want != "" && err != nil:
			t.Errorf("%s to %s: %v", c.local, c.addr, err)
		case c.want != "":
			far, _ := l.Accept()
			conn.Close()
			got, _ := io.ReadAll(far)
			if hex.EncodeToString(got) != c.want {
				t.Errorf("%s to %s: header %x, want %s", c.local, c.addr, got, c.want)
			}
		}
		n.Close()
	}
}

// take reads n bytes, whatever they are.
func take(c net.Conn, n int) []byte {
	b := make([]byte, n)
	io.ReadFull(c, b)
	return b
}

// answer is a reply of RFC 1928 section 6 with an IPv4 address.
func answer(code byte) []byte { return []byte{5, code, 0, 1, 192, 0, 2, 80, 0, 25} }

func TestSOCKSReplies(t *testing.T) {
	for code := range 11 {
		for _, auth := range []bool{false, true} {
			cfg := outlet.Config{Protocol: outlet.SOCKS5}
			if auth {
				cfg.User, cfg.Password = "me", "secret"
			}
			request := make(chan string, 1)
			through(t, cfg, func(c net.Conn) {
				if auth {
					take(c, 4)
					c.Write([]byte{5, 2})
					if got := string(take(c, 11)); got != "\x01\x02me\x06secret" {
						t.Errorf("authentication %q", got)
					}
					c.Write([]byte{1, 0})
				} else {
					take(c, 3)
					c.Write([]byte{5, 0})
				}
				request <- string(take(c, 10))
				c.Write(append(answer(byte(code)), "220 hello\r\n"...))
				io.Copy(io.Discard, c)
			}, func(conn net.Conn, err error, _ time.Duration) {
				if got := <-request; got != "\x05\x01\x00\x01\xcb\x00\x71\x05\x00\x19" {
					t.Errorf("request %x", got)
				}
				var of *outlet.Error
				switch code {
				case 0:
					if err != nil {
						t.Fatal(err)
					}
					if got := string(take(conn, 11)); got != "220 hello\r\n" {
						t.Errorf("what followed the reply: %q", got)
					}
				case 2, 3, 4, 5, 6, 8:
					if err == nil || errors.As(err, &of) {
						t.Errorf("reply %d: %v, want an error of the destination", code, err)
					}
				default:
					if !errors.As(err, &of) || of.Proxy != proxyAddr || strings.Contains(err.Error(), "secret") {
						t.Errorf("reply %d: %v, want an error of the proxy", code, err)
					}
				}
			})
		}
	}
}

func TestHostileProxies(t *testing.T) {
	drip := func(c net.Conn) {
		for {
			time.Sleep(20 * time.Second)
			if _, err := c.Write([]byte{5}); err != nil {
				return
			}
		}
	}
	silent := func(c net.Conn) { io.Copy(io.Discard, c) }
	agree := func(then func(net.Conn)) func(net.Conn) {
		return func(c net.Conn) {
			take(c, 3)
			c.Write([]byte{5, 0})
			take(c, 10)
			then(c)
		}
	}
	say := func(s string) func(net.Conn) {
		return func(c net.Conn) { c.Write([]byte(s)); io.Copy(io.Discard, c) }
	}
	flood := func(c net.Conn) {
		for {
			if _, err := c.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	}
	hang := func(c net.Conn) {}
	for _, c := range []struct {
		name        string
		user        string
		serve       func(net.Conn)
		destination bool // to blame
		atMost      time.Duration
	}{
		{name: "nobody there"},
		{name: "silent", serve: silent, atMost: 30 * time.Second},
		{name: "closes at once", serve: hang},
		{name: "drips", serve: drip, atMost: 40 * time.Second},
		{name: "speaks SMTP", serve: say("220 mx.example.com ESMTP\r\n")},
		{name: "speaks HTTP", serve: say("HTTP/1.1 400 Bad Request\r\n\r\n")},
		{name: "SOCKS 4", serve: say("\x00\x5a")},
		{name: "flood", serve: flood},
		{name: "no method", serve: say("\x05\xff")},
		{name: "method nobody offered", user: "me", serve: say("\x05\x01")},
		{name: "wrong password", user: "me", serve: say("\x05\x02\x01\x01")},
		{name: "garbage for the password", user: "me", serve: say("\x05\x02\x07\x00")},
		{name: "silent about the password", user: "me", serve: say("\x05\x02"), atMost: 30 * time.Second},
		{name: "silent reply", serve: agree(silent), destination: true, atMost: time.Minute},
		{name: "no reply", serve: agree(hang)},
		{name: "reply of another version", serve: agree(say("\x04\x05\x00\x01"))},
		{name: "half a reply", serve: agree(say("\x05\x00\x00")), atMost: time.Minute},
		{name: "unknown address type", serve: agree(say("\x05\x00\x00\x09"))},
		{name: "long name, dripped", serve: agree(func(c net.Conn) { c.Write([]byte("\x05\x00\x00\x03\xff")); drip(c) }), atMost: time.Minute + 10*time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := outlet.Config{Protocol: outlet.SOCKS5, User: c.user, Password: c.user}
			through(t, cfg, c.serve, func(conn net.Conn, err error, took time.Duration) {
				var of *outlet.Error
				if conn != nil || err == nil || errors.As(err, &of) == c.destination {
					t.Errorf("%v", err)
				}
				if took > c.atMost {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

func TestContext(t *testing.T) {
	for _, protocol := range []outlet.Protocol{outlet.ProxyV2, outlet.SOCKS5} {
		synctest.Test(t, func(t *testing.T) {
			n := sendertest.NewNetwork()
			defer n.Close()
			n.Blackhole(netip.MustParseAddr("192.0.2.80"))
			o, err := outlet.New(outlet.Config{Protocol: protocol, Addr: proxyAddr, Dial: n.Dial})
			if err != nil {
				t.Fatal(err)
			}
			local, addr := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddrPort("203.0.113.5:25")
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(5*time.Second, cancel)
			if _, err := o.Dial(ctx, local, addr); err != context.Canceled {
				t.Errorf("%s, cancelled: %v", protocol, err)
			}
			ctx, cancel = context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			began := time.Now()
			_, err = o.Dial(ctx, local, addr)
			if of := (*outlet.Error)(nil); !errors.As(err, &of) || time.Since(began) != 5*time.Second {
				t.Errorf("%s, deadline of ctx: %v", protocol, err)
			}
			began = time.Now()
			_, err = o.Dial(t.Context(), local, addr)
			if of := (*outlet.Error)(nil); !errors.As(err, &of) || of.Reason != "timed out" || time.Since(began) != 30*time.Second {
				t.Errorf("%s, black hole: %v after %v", protocol, err, time.Since(began))
			}
		})
	}
}

func TestLookup(t *testing.T) {
	n := sendertest.NewNetwork()
	defer n.Close()
	l, err := n.Listen(netip.MustParseAddrPort(proxyAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, c := range []struct {
		addrs  []netip.Addr
		err    error
		reason string
	}{
		{addrs: []netip.Addr{netip.MustParseAddr("192.0.2.79"), netip.MustParseAddr("192.0.2.80")}},
		{reason: "its name has no address"},
		{err: errors.New("no such host"), reason: "its name cannot be looked up: no such host"},
	} {
		o, err := outlet.New(outlet.Config{
			Protocol: outlet.ProxyV2, Addr: "proxy.example.org:1080", Dial: n.Dial,
			Lookup: func(_ context.Context, host string) ([]netip.Addr, error) { return c.addrs, c.err },
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = o.Dial(t.Context(), netip.MustParseAddr("198.51.100.1"), netip.MustParseAddrPort("203.0.113.5:25"))
		var of *outlet.Error
		if c.reason == "" && err != nil || c.reason != "" && (!errors.As(err, &of) || of.Reason != c.reason) {
			t.Errorf("%v, want %q", err, c.reason)
		}
	}
}

func TestConfig(t *testing.T) {
	long := strings.Repeat("x", 256)
	for field, cfg := range map[string]outlet.Config{
		"Protocol":     {Addr: "192.0.2.80:1080"},
		"Addr":         {Protocol: outlet.SOCKS5, Addr: "192.0.2.80"},
		"User":         {Protocol: outlet.ProxyV2, Addr: proxyAddr, User: "me", Password: "x"},
		"Password":     {Protocol: outlet.SOCKS5, Addr: proxyAddr, User: "me"},
		"Timeout":      {Protocol: outlet.SOCKS5, Addr: proxyAddr, Timeout: -1},
		"ReplyTimeout": {Protocol: outlet.SOCKS5, Addr: proxyAddr, ReplyTimeout: -1},
	} {
		if _, err := outlet.New(cfg); err == nil || !strings.HasPrefix(err.Error(), "outlet: Config."+field+": ") {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, cfg := range []outlet.Config{
		{Protocol: outlet.SOCKS5, Addr: "192.0.2.80:0"},
		{Protocol: outlet.SOCKS5, Addr: ":1080"},
		{Protocol: outlet.SOCKS5, Addr: proxyAddr, User: long, Password: "x"},
		{Protocol: outlet.SOCKS5, Addr: proxyAddr, User: "x", Password: long},
	} {
		if _, err := outlet.New(cfg); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
}
