package transport

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender/sendertest"
)

// TestRace: several addresses of one host (RFC 8305 section 5). Each of them connects, fails or is silent after a time.
func TestRace(t *testing.T) {
	addr := func(s string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(s), 25) }
	one, two, three, six := addr("192.0.2.1"), addr("192.0.2.2"), addr("192.0.2.3"), addr("2001:db8::6")
	const silent = time.Duration(-1)
	type way struct {
		after time.Duration
		fails bool
	}
	quick, refuses, dead := way{after: 10 * time.Millisecond}, way{10 * time.Millisecond, true}, way{after: silent}
	slow := way{after: 400 * time.Millisecond}
	for _, c := range []struct {
		name  string
		addrs []netip.AddrPort
		local netip.Addr
		ways  map[netip.AddrPort]way
		// got is the address; zero for none, and then text is the error's. tried are the attempts and when they began.
		got   netip.AddrPort
		text  string
		tried string
		took  time.Duration
	}{
		{"the first one answers", []netip.AddrPort{one, two}, netip.Addr{}, map[netip.AddrPort]way{one: quick, two: quick}, one, "", "192.0.2.1@0s", 10 * time.Millisecond},
		{"the first one refuses", []netip.AddrPort{one, two}, netip.Addr{}, map[netip.AddrPort]way{one: refuses, two: quick},
			two, "", "192.0.2.1@0s 192.0.2.2@10ms", 20 * time.Millisecond},
		{"the first one is silent", []netip.AddrPort{one, six, three}, netip.Addr{}, map[netip.AddrPort]way{one: dead, six: quick, three: quick},
			six, "", "192.0.2.1@0s 2001:db8::6@250ms", 260 * time.Millisecond},
		{"a slow one wins over a later one", []netip.AddrPort{one, two}, netip.Addr{}, map[netip.AddrPort]way{one: slow, two: dead},
			one, "", "192.0.2.1@0s 192.0.2.2@250ms", 400 * time.Millisecond},
		{"the loser connects too", []netip.AddrPort{one, two}, netip.Addr{}, map[netip.AddrPort]way{one: slow, two: quick},
			two, "", "192.0.2.1@0s 192.0.2.2@250ms", 260 * time.Millisecond},
		{"a failure starts the next at once, and the clock anew", []netip.AddrPort{one, two, three}, netip.Addr{},
			map[netip.AddrPort]way{one: way{200 * time.Millisecond, true}, two: dead, three: quick},
			three, "", "192.0.2.1@0s 192.0.2.2@200ms 192.0.2.3@450ms", 460 * time.Millisecond},
		{"all fail", []netip.AddrPort{one, six}, netip.Addr{}, map[netip.AddrPort]way{one: refuses, six: refuses},
			netip.AddrPort{}, "cannot connect: 192.0.2.1:25: connection refused; [2001:db8::6]:25: connection refused", "192.0.2.1@0s 2001:db8::6@10ms", 20 * time.Millisecond},
		{"one refuses, one is silent", []netip.AddrPort{one, two}, netip.Addr{}, map[netip.AddrPort]way{one: refuses, two: dead},
			netip.AddrPort{}, "cannot connect: 192.0.2.1:25: connection refused; 192.0.2.2:25: no connection within 1m0s", "192.0.2.1@0s 192.0.2.2@10ms", time.Minute},
		{"other families than the source's are left out", []netip.AddrPort{six, one, two, one}, netip.MustParseAddr("198.51.100.7"),
			map[netip.AddrPort]way{one: refuses, two: quick, six: quick}, two, "", "192.0.2.1@0s 192.0.2.2@10ms", 20 * time.Millisecond},
		{"nothing is left", []netip.AddrPort{six}, netip.MustParseAddr("198.51.100.7"), map[netip.AddrPort]way{six: refuses},
			netip.AddrPort{}, "cannot connect: connection refused", "2001:db8::6@0s", 10 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := sendertest.NewNetwork()
				hosts := map[netip.AddrPort]*fakeHost{}
				for addr := range c.ways {
					hosts[addr] = &fakeHost{addr: addr}
					hosts[addr].start(t, n)
				}
				began := time.Now()
				var mu sync.Mutex
				var tried []string
				tr, err := New(Config{Dial: func(ctx context.Context, local netip.Addr, addr netip.AddrPort) (net.Conn, error) {
					mu.Lock()
					tried = append(tried, addr.Addr().String()+"@"+time.Since(began).String())
					mu.Unlock()
					way := c.ways[addr]
					var after <-chan time.Time
					if way.after != silent {
						after = time.After(way.after)
					}
					select {
					case <-after:
					case <-ctx.Done():
						// One that has been accepted by the time that it is told to stop.
						if way.after == silent || way.fails {
							return nil, ctx.Err()
						}
					}
					if way.fails {
						return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
					}
					return n.Dial(context.Background(), netip.Addr{}, addr)
				}})
				if err != nil {
					t.Fatal(err)
				}
				to := target()
				to.Addr, to.Others, to.LocalAddr = c.addrs[0], c.addrs[1:], c.local
				s, err := tr.Dial(context.Background(), to)
				took := time.Since(began)
				if err != nil {
					if r := asError(t, err).Reply; c.got.IsValid() || r.Text() != c.text || r.Status != statusConnect || r.Stage != bounce.StageConnect {
						t.Errorf("reply is %+v", r)
					}
					if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("cause is %v", errors.Unwrap(err))
					}
				} else {
					if s.Addr() != c.got {
						t.Errorf("with %v, want %v", s.Addr(), c.got)
					}
					mustSend(t, s, envelope())
					s.Close()
				}
				mu.Lock()
				defer mu.Unlock()
				if got := strings.Join(tried, " "); got != c.tried || took != c.took {
					t.Errorf("tried %s in %v, want %s in %v", got, took, c.tried, c.took)
				}
				time.Sleep(time.Minute)
				for addr, h := range hosts {
					if got := h.commands(0); addr != c.got && got != "" {
						t.Errorf("%v was told %s", addr, got)
					}
				}
				if open := n.OpenConns(); open != 0 {
					t.Errorf("%d connection ends left open", open)
				}
			})
		})
	}
}

// TestRaceIsCancelled: the context ends all attempts.
func TestRaceIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := sendertest.NewNetwork()
		defer n.Close()
		to := target()
		to.Others = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.2:25"), netip.MustParseAddrPort("192.0.2.3:25")}
		for _, addr := range to.addrs() {
			n.Blackhole(addr.Addr())
		}
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		defer cancel()
		began := time.Now()
		if _, err := newTransport(t, n, Config{}).Dial(ctx, to); err != context.DeadlineExceeded || time.Since(began) != 300*time.Millisecond {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

// TestCredentialsStayHome: one address abroad is enough for AUTH to need TLS.
func TestCredentialsStayHome(t *testing.T) {
	home, abroad := netip.MustParseAddrPort("127.0.0.1:25"), netip.MustParseAddrPort("192.0.2.1:25")
	for _, c := range []struct {
		addr   netip.AddrPort
		others []netip.AddrPort
		want   bool
	}{{home, nil, false}, {abroad, nil, true}, {home, []netip.AddrPort{abroad}, true}, {abroad, []netip.AddrPort{home}, true}, {home, []netip.AddrPort{home}, false}} {
		to := Target{Addr: c.addr, Others: slices.Clone(c.others), TLS: TLSOpportunistic, Auth: noAuth}
		if got := to.mustTLS(); got != c.want {
			t.Errorf("%v %v: %v", c.addr, c.others, got)
		}
	}
}
