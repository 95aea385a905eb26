package sender_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/outlet"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/sendertest"
)

var proxyAt = netip.MustParseAddrPort("192.0.2.80:1080")

// proxy is a proxy of either protocol that dials on the world's network.
type proxy struct {
	w        *world
	protocol outlet.Protocol
	l        net.Listener

	mu    sync.Mutex
	conns int
}

func (w *world) proxy(protocol outlet.Protocol) *proxy {
	w.t.Helper()
	l, err := w.net.Listen(proxyAt)
	w.must(err)
	p := &proxy{w: w, protocol: protocol, l: l}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.conns++
			p.mu.Unlock()
			go p.serve(c)
		}
	}()
	w.t.Cleanup(func() { l.Close() })
	return p
}

func (p *proxy) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conns
}

func (p *proxy) serve(c net.Conn) {
	defer c.Close()
	from, to := netip.MustParseAddr("203.0.113.77"), netip.AddrPort{}
	b := make([]byte, 28)
	if p.protocol == outlet.ProxyV2 {
		if _, err := io.ReadFull(c, b); err != nil || string(b[:16]) != "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" {
			p.w.t.Errorf("header %x, %v", b, err)
			return
		}
		from, _ = netip.AddrFromSlice(b[16:20])
		dest, _ := netip.AddrFromSlice(b[20:24])
		to = netip.AddrPortFrom(dest, binary.BigEndian.Uint16(b[26:]))
	} else {
		io.ReadFull(c, b[:3])
		c.Write([]byte{5, 0})
		io.ReadFull(c, b[:10])
		dest, _ := netip.AddrFromSlice(b[4:8])
		to = netip.AddrPortFrom(dest, binary.BigEndian.Uint16(b[8:]))
	}
	far, err := p.w.net.Dial(context.Background(), from, to)
	if p.protocol == outlet.SOCKS5 {
		if err != nil {
			c.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0})
			return
		}
		c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	}
	if err != nil {
		return
	}
	defer far.Close()
	go func() {
		io.Copy(far, c)
		far.Close()
	}()
	io.Copy(c, far)
}

// proxied is a Config whose first route goes through the proxy.
func (w *world) proxied(protocol outlet.Protocol, others ...sender.Route) sender.Config {
	cfg := w.config()
	cfg.Routes[0].Name = "far"
	cfg.Routes[0].Proxy = &sender.Proxy{Protocol: protocol, Addr: proxyAt.String()}
	cfg.Routes = append(cfg.Routes, others...)
	return cfg
}

func TestMailLeavesThroughTheProxy(t *testing.T) {
	for protocol, source := range map[outlet.Protocol]string{outlet.ProxyV2: "198.51.100.1", outlet.SOCKS5: "203.0.113.77"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			mx := w.mx("example.com", sendertest.ServerConfig{})
			p := w.proxy(protocol)
			s := w.start(w.proxied(protocol))
			out := w.send(s, note("one@example.com"))
			if out.State != queue.Delivered || p.count() != 1 {
				t.Errorf("%s: %+v, %d connections", protocol, out, p.count())
			}
			if got := bySource(mx.Inbox()); got[netip.MustParseAddr(source)] != 1 || len(got) != 1 {
				t.Errorf("%s: arrived %v", protocol, got)
			}
		})
	}
}

// A destination that cannot be reached through the proxy is down, and the route is not.
func TestDestinationBehindTheProxyIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("up.example", sendertest.ServerConfig{})
		w.must(w.dns.AddMX("down.example", 10, "mx.down.example"))
		w.must(w.dns.AddA("mx.down.example", nobody))
		w.proxy(outlet.SOCKS5)
		s := w.start(w.proxied(outlet.SOCKS5))
		w.enqueue(s, "one@down.example")
		time.Sleep(time.Second)
		if e := w.of(sender.EventDeferred); len(e) != 1 || !e[0].Reply.Local || !strings.Contains(e[0].Reply.String(), "refused") {
			t.Fatalf("deferred %s", mustJSON(e))
		}
		if out := w.send(s, note("one@up.example")); out.State != queue.Delivered {
			t.Errorf("%+v", out)
		}
	})
}

// What fails is the proxy: the other route of the pool takes the mail, without a delay, an attempt or a word of the receiver's.
func TestProxyDownTheOtherRouteTakesIt(t *testing.T) {
	other := sender.Route{Name: "near", LocalAddr: "198.51.100.2", Hostname: "near.example.org"}
	for name, pool := range map[string]sender.Pool{
		"next":     {Name: "p", Routes: []string{"far", "near"}},
		"overflow": {Name: "p", Routes: []string{"far"}, Overflow: []string{"near"}},
	} {
		for _, protocol := range []outlet.Protocol{outlet.ProxyV2, outlet.SOCKS5} {
			t.Run(name+" "+string(protocol), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					mx := w.mx("example.com", sendertest.ServerConfig{})
					also := w.mx("other.example", sendertest.ServerConfig{})
					cfg := w.proxied(protocol, other)
					cfg.Pools = []sender.Pool{pool}
					s := w.start(cfg)
					w.enqueue(s, users(20, "example.com")...)
					w.enqueue(s, users(20, "other.example")...)
					time.Sleep(time.Second)
					for _, in := range []*sendertest.Server{mx, also} {
						if got := bySource(in.Inbox()); got[netip.MustParseAddr("198.51.100.2")] != 20 || len(got) != 1 {
							t.Errorf("arrived %v", got)
						}
					}
					if e := w.of(sender.EventDeferred, sender.EventBounced, sender.EventPathSlowed, sender.EventPathClosed, sender.EventPathWarning); len(e) != 0 {
						t.Errorf("events %s", mustJSON(e))
					}
					for _, e := range w.of(sender.EventDelivered) {
						if e.Attempt != 1 || e.Overflow != (name == "overflow") || e.Overflow && e.OverflowFor.Reason != sender.WaitProxy {
							t.Errorf("delivered %s", mustJSON(e))
						}
					}
				})
			})
		}
	}
}

// Without another route the mail waits, the proxy is tried by one delivery at a time, and all goes when it is back. Warm-up allowance is not used up.
func TestProxyDownMailWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{})
		dials := map[time.Duration]int{}
		began := time.Now()
		var mu sync.Mutex
		cfg := w.proxied(outlet.ProxyV2)
		cfg.Routes[0].Warmup = tiny()
		cfg.Dial = func(ctx context.Context, local netip.Addr, addr netip.AddrPort) (net.Conn, error) {
			mu.Lock()
			dials[time.Since(began).Truncate(time.Second)]++
			mu.Unlock()
			return w.net.Dial(ctx, local, addr)
		}
		s := w.start(cfg)
		w.enqueue(s, users(5, "example.com")...)
		time.Sleep(20 * time.Minute)
		for _, e := range w.of(sender.EventAccepted) {
			ex, err := s.Explain(context.Background(), e.DeliveryID)
			w.must(err)
			wt := ex[0].Waits
			if len(wt) != 1 || wt[0].Reason != sender.WaitProxy || wt[0].Path.Route != "far" || time.Until(wt[0].Until) > 5*time.Minute ||
				wt[0].Detail != "proxy 192.0.2.80:1080: connection refused" || ex[0].Attempts != 0 || ex[0].State != queue.Waiting {
				t.Errorf("waits for %s", mustJSON(ex[0]))
			}
		}
		mu.Lock()
		for at, n := range dials {
			if at > 0 && n > 1 {
				t.Errorf("%d dials after %v", n, at)
			}
		}
		if n := len(dials); n < 5 || n > 12 { // after 10, 20, 40, 80, 160 and then each 300 seconds
			t.Errorf("dialled at %v", dials)
		}
		mu.Unlock()
		w.proxy(outlet.ProxyV2)
		time.Sleep(6 * time.Minute)
		if got := bySource(mx.Inbox()); got[netip.MustParseAddr("198.51.100.1")] != 5 {
			t.Errorf("arrived %v", got)
		}
		if e := w.of(sender.EventDeferred, sender.EventBounced, sender.EventPathSlowed, sender.EventPathClosed); len(e) != 0 {
			t.Errorf("events %s", mustJSON(e))
		}
	})
}

// A retry that belongs to the route waits for its proxy, but not for longer than for a path that is stopped.
func TestRetryLeavesARouteWhoseProxyIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		tried := 0
		mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Script{OnRcpt: func(*sendertest.Session, string) *sendertest.Answer {
			if tried++; tried == 1 {
				return sendertest.Say("451 4.7.1 Greylisted, try again in five minutes")
			}
			return nil
		}}})
		p := w.proxy(outlet.ProxyV2)
		s := w.start(w.proxied(outlet.ProxyV2, sender.Route{Name: "near", LocalAddr: "198.51.100.2", Hostname: "near.example.org"}))
		w.enqueue(s, "one@example.com")
		time.Sleep(time.Minute)
		p.l.Close()
		e := w.of(sender.EventDeferred)
		if len(e) != 1 {
			t.Fatalf("deferred %s", mustJSON(e))
		}
		time.Sleep(time.Until(e[0].NextAttempt) + 14*time.Minute)
		if n := mx.Inbox().Len(); n != 0 {
			t.Errorf("%d arrived too soon", n)
		}
		time.Sleep(10 * time.Minute)
		if got := bySource(mx.Inbox()); got[netip.MustParseAddr("198.51.100.2")] != 1 {
			t.Errorf("arrived %v", got)
		}
	})
}

func TestProxyConfig(t *testing.T) {
	base := func() sender.Config {
		return sender.Config{Routes: []sender.Route{{Name: "far", LocalAddr: "198.51.100.1", Hostname: "out.example.org"}}}
	}
	for field, change := range map[string]func(*sender.Route){
		"Routes[0].Proxy.Protocol": func(r *sender.Route) { r.Proxy = &sender.Proxy{Addr: "192.0.2.80:1080"} },
		"Routes[0].Proxy.Addr":     func(r *sender.Route) { r.Proxy = &sender.Proxy{Protocol: outlet.SOCKS5, Addr: "192.0.2.80"} },
		"Routes[0].Proxy.User": func(r *sender.Route) {
			r.Proxy = &sender.Proxy{Protocol: outlet.ProxyV2, Addr: "192.0.2.80:1080", User: "me", Password: "x"}
		},
		"Routes[0].Proxy.Password": func(r *sender.Route) {
			r.Proxy = &sender.Proxy{Protocol: outlet.SOCKS5, Addr: "192.0.2.80:1080", User: "me"}
		},
		"Routes[0].LocalAddr": func(r *sender.Route) {
			r.LocalAddr, r.Proxy = "", &sender.Proxy{Protocol: outlet.ProxyV2, Addr: "192.0.2.80:1080"}
		},
	} {
		cfg := base()
		change(&cfg.Routes[0])
		_, err := sender.New(cfg)
		if ce := (*sender.ConfigError)(nil); !errors.As(err, &ce) || ce.Field != field {
			t.Errorf("%v, want an error of %s", err, field)
		}
	}
}

func TestProxyHidesItsPassword(t *testing.T) {
	p := &sender.Proxy{Protocol: outlet.SOCKS5, Addr: "192.0.2.80:1080", User: "me", Password: "secret"}
	r := sender.Route{Name: "far", Proxy: p}
	var out bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("x", "proxy", p, "value", *p, "route", r)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		fmt.Fprintf(&out, verb+verb+verb, p, *p, r)
	}
	b, err := json.Marshal(map[string]any{"proxy": p, "value": *p})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(b)
	if strings.Contains(out.String(), "secret") || !strings.Contains(out.String(), "socks5 me@192.0.2.80:1080") {
		t.Error(out.String())
	}
}
