package sender_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/throttle"
)

// benchWorld is one mail exchanger that counts, reached over 50 connections.
func benchWorld(b *testing.B, network *sendertest.Network) (*sendertest.Server, sender.Config) {
	b.Helper()
	return benchWorldWith(b, network, sendertest.Extensions{})
}

func benchWorldWith(b *testing.B, network *sendertest.Network, ext sendertest.Extensions) (*sendertest.Server, sender.Config) {
	b.Helper()
	dns, err := sendertest.StartDNS(network, netip.MustParseAddrPort("192.0.2.53:53"))
	if err != nil {
		b.Fatal(err)
	}
	inbox, err := sendertest.NewInbox(sendertest.InboxConfig{Keep: sendertest.KeepCount})
	if err != nil {
		b.Fatal(err)
	}
	srv, err := sendertest.StartServer(network, sendertest.ServerConfig{Hostname: "mx.example.com", Addr: netip.MustParseAddrPort("192.0.2.25:25"), Inbox: inbox, Extensions: ext})
	if err != nil {
		b.Fatal(err)
	}
	if err := dns.AddMX("example.com", 10, "mx.example.com"); err != nil {
		b.Fatal(err)
	}
	if err := dns.AddA("mx.example.com", netip.MustParseAddr("192.0.2.25")); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		srv.Close()
		dns.Close()
		network.Close()
	})
	return srv, sender.Config{
		Routes:     []sender.Route{{Name: "direct", Hostname: "out.example.org"}},
		DNS:        []string{dns.Addr()},
		Dial:       network.Dial,
		DialDNS:    network.DialContext,
		Classifier: classifier(),
		Limits:     map[string]throttle.Limits{"example.com": {Connections: 50}},
	}
}

func benchMessage(size int) []byte {
	return padded([]byte("From: a@example.org\r\nTo: b@example.com\r\nSubject: x\r\n\r\n"), size)
}

const benchSize = 10 << 10

// benchSend enqueues b.N messages and waits until all have arrived.
func benchSend(b *testing.B, srv *sendertest.Server, cfg sender.Config) {
	b.Helper()
	s, err := sender.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Start(context.Background()); err != nil {
		b.Fatal(err)
	}
	data := benchMessage(benchSize)
	b.ResetTimer()
	for i := range b.N {
		if _, err := s.Enqueue(context.Background(), sender.Message{From: "a@example.org", To: []string{fmt.Sprintf("u%d@example.com", i)}, Data: data}); err != nil {
			b.Fatal(err)
		}
	}
	for srv.Inbox().Len() < b.N {
		time.Sleep(time.Millisecond)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	if err := s.Stop(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkSend is the whole way of a message over the memory queue; BenchmarkBareLoop is a plain go-smtp client loop with as many
// connections against the same server.
func BenchmarkSend(b *testing.B) {
	for _, kind := range []string{"memory", "tcp"} {
		b.Run(kind, func(b *testing.B) {
			network := sendertest.NewNetwork()
			if kind == "tcp" {
				network = sendertest.NewTCPNetwork()
			}
			srv, cfg := benchWorld(b, network)
			b.ReportAllocs()
			benchSend(b, srv, cfg)
		})
	}
}

func BenchmarkBareLoop(b *testing.B) {
	for _, kind := range []string{"memory", "tcp"} {
		b.Run(kind, func(b *testing.B) {
			network := sendertest.NewNetwork()
			if kind == "tcp" {
				network = sendertest.NewTCPNetwork()
			}
			benchWorld(b, network)
			data := string(benchMessage(benchSize))
			work := make(chan int)
			var wg sync.WaitGroup
			for range 50 {
				conn, err := network.Dial(context.Background(), netip.Addr{}, netip.MustParseAddrPort("192.0.2.25:25"))
				if err != nil {
					b.Fatal(err)
				}
				c := smtp.NewClient(conn)
				if err := c.Hello("out.example.org"); err != nil {
					b.Fatal(err)
				}
				wg.Go(func() {
					for i := range work {
						if err := c.SendMail("a@example.org", []string{fmt.Sprintf("u%d@example.com", i)}, strings.NewReader(data)); err != nil {
							b.Error(err)
						}
					}
					c.Quit()
				})
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				work <- i
			}
			close(work)
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

// BenchmarkRoundTrip50ms is the whole way of a message of 10 KiB to a host that is 50 ms away, over 5 connections, that stay or are of 100 messages each. At one round trip a message the
// best is 100 messages a second. A signer that takes its time, as one far away does, adds that to each message of a connection.
func BenchmarkRoundTrip50ms(b *testing.B) {
	for _, c := range []struct {
		name string
		ext  sendertest.Extensions
		each int
		sign time.Duration
	}{
		{"one by one", sendertest.Extensions{NoPipelining: true}, 0, 0},
		{"pipelining", sendertest.Extensions{}, 0, 0},
		{"chunking", sendertest.Extensions{Chunking: true}, 0, 0},
		{"pipelining, 100 a connection", sendertest.Extensions{}, 100, 0},
		{"chunking, 100 a connection", sendertest.Extensions{Chunking: true}, 100, 0},
		{"pipelining, signer of 20 ms", sendertest.Extensions{}, 0, 20 * time.Millisecond},
	} {
		b.Run(c.name, func(b *testing.B) {
			srv, cfg := benchWorldWith(b, sendertest.NewTCPNetwork(), c.ext)
			far, err := sendertest.StartDelay(sendertest.DelayConfig{Target: srv.RealAddr(), RoundTrip: 50 * time.Millisecond})
			if err != nil {
				b.Fatal(err)
			}
			defer far.Close()
			cfg.Dial = func(ctx context.Context, _ netip.Addr, _ netip.AddrPort) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "tcp", far.Addr())
			}
			limits := throttle.DefaultLimits()
			limits.Connections, limits.MessagesPerConnection = 5, c.each
			cfg.Limits = map[string]throttle.Limits{"example.com": limits}
			if c.sign > 0 {
				cfg.Streams = []sender.Stream{{Name: "default", Signer: slowSigner(c.sign)}}
			}
			benchSend(b, srv, cfg)
		})
	}
}

// slowSigner takes so long to sign with nothing.
type slowSigner time.Duration

func (d slowSigner) Sign(context.Context, []byte) ([]byte, error) {
	time.Sleep(time.Duration(d))
	return nil, nil
}
