package transport

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/reputemail/repute/sender/sendertest"
)

// sink is a host that takes everything as fast as it can. It offers ext, and collects its replies to commands that come together.
func sink(b *testing.B, l net.Listener, config *tls.Config, ext ...string) {
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { conn.Close() }()
				br := bufio.NewReaderSize(conn, 32<<10)
				bw := bufio.NewWriter(conn)
				offer := "250-mx.example.com\r\n250-SIZE\r\n"
				for _, e := range ext {
					offer += "250-" + e + "\r\n"
				}
				bw.WriteString("220 mx.example.com\r\n")
				for {
					if br.Buffered() == 0 {
						bw.Flush()
					}
					line, err := br.ReadSlice('\n')
					if err != nil {
						return
					}
					switch {
					case bytes.HasPrefix(line, []byte("EHLO")) && config != nil:
						bw.WriteString(offer + "250-STARTTLS\r\n250 8BITMIME\r\n")
					case bytes.HasPrefix(line, []byte("EHLO")):
						bw.WriteString(offer + "250 8BITMIME\r\n")
					case bytes.HasPrefix(line, []byte("STARTTLS")):
						bw.WriteString("220 go\r\n")
						bw.Flush()
						conn = tls.Server(conn, config)
						br.Reset(conn)
						bw.Reset(conn)
					case bytes.HasPrefix(line, []byte("DATA")):
						bw.WriteString("354 go\r\n")
						bw.Flush()
						for !bytes.Equal(line, []byte(".\r\n")) {
							if line, err = br.ReadSlice('\n'); err != nil {
								return
							}
						}
						bw.WriteString("250 2.0.0 queued as 4F1A\r\n")
					case bytes.HasPrefix(line, []byte("BDAT")):
						size := 0
						for _, c := range line[len("BDAT "):] {
							if !isDigit(c) {
								break
							}
							size = size*10 + int(c-'0')
						}
						if _, err := br.Discard(size); err != nil {
							return
						}
						bw.WriteString("250 2.0.0 queued as 4F1A\r\n")
					case bytes.HasPrefix(line, []byte("QUIT")):
						bw.WriteString("221 bye\r\n")
						bw.Flush()
						return
					default:
						bw.WriteString("250 ok\r\n")
					}
				}
			}()
		}
	}()
}

func benchEnvelope() *Envelope {
	env := envelope()
	env.EightBit = true
	env.Data = append(env.Data, bytes.Repeat([]byte("0123456789012345678901234567890123456789012345678901234567890123456789\r\n"), 10<<10/72)...)
	return env
}

// benchNetworks are where a sink may be: in memory, and on loopback TCP. Each returns how to dial it.
func benchNetworks(b *testing.B, ext []string, run func(b *testing.B, dial DialFunc, addr netip.AddrPort, config *tls.Config)) {
	cert := serverTLS(certificate(b, "mx.example.com", nil))
	b.Run("memory", func(b *testing.B) {
		n := sendertest.NewNetwork()
		defer n.Close()
		l, err := n.Listen(hostAddr)
		if err != nil {
			b.Fatal(err)
		}
		sink(b, l, nil, ext...)
		run(b, n.Dial, hostAddr, nil)
	})
	for name, config := range map[string]*tls.Config{"tcp": nil, "tls": cert} {
		b.Run(name, func(b *testing.B) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Skip(err)
			}
			sink(b, l, config, ext...)
			run(b, dialNet, netip.MustParseAddrPort(l.Addr().String()), config)
		})
	}
}

// benchLoop runs what open returns over one connection, then over 50 that two cores share.
func benchLoop(b *testing.B, size int, open func(b *testing.B) (send func() error, end func())) {
	b.Run("1", func(b *testing.B) {
		send, end := open(b)
		defer end()
		b.SetBytes(int64(size))
		b.ReportAllocs()
		for b.Loop() {
			if err := send(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("50", func(b *testing.B) {
		b.SetBytes(int64(size))
		b.SetParallelism(50 / runtime.GOMAXPROCS(0))
		b.RunParallel(func(pb *testing.PB) {
			send, end := open(b)
			defer end()
			for pb.Next() {
				if err := send(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

// ways are how a message can be sent, with what the host has to offer for it.
var ways = []struct {
	name string
	ext  []string
	then bool
}{
	{"plain", nil, false},
	{"pipelined", []string{"PIPELINING"}, false},
	{"behind", []string{"PIPELINING"}, true},
	{"chunked", []string{"PIPELINING", "CHUNKING"}, false},
}

// sending returns how to send the same message again and again.
func sending(ctx context.Context, s *Session, then bool) func() error {
	envs := [2]*Envelope{benchEnvelope(), benchEnvelope()}
	i := 0
	return func() error {
		env, next := envs[i%2], envs[(i+1)%2]
		i++
		var results []Result
		var err error
		if then {
			results, err = s.SendThen(ctx, env, func() *Envelope { return next })
		} else {
			results, err = s.Send(ctx, env)
		}
		if err == nil && !results[0].Accepted {
			err = fmt.Errorf("not accepted: %v", results[0].Reply)
		}
		return err
	}
}

// BenchmarkSend sends messages of 10 KB.
func BenchmarkSend(b *testing.B) {
	for _, way := range ways {
		b.Run(way.name, func(b *testing.B) {
			benchNetworks(b, way.ext, func(b *testing.B, dialFunc DialFunc, addr netip.AddrPort, _ *tls.Config) {
				tr, err := New(Config{Dial: dialFunc})
				if err != nil {
					b.Fatal(err)
				}
				benchLoop(b, 10<<10, func(b *testing.B) (func() error, func()) {
					ctx, cancel := context.WithCancel(context.Background())
					s, err := tr.Dial(ctx, Target{Host: "mx.example.com", Addr: addr, Hostname: "mta1.example.org"})
					if err != nil {
						b.Error(err)
						return func() error { return err }, cancel
					}
					return sending(ctx, s, way.then), func() { s.Close(); cancel() }
				})
			})
		})
	}
}

// BenchmarkRoundTrip50ms sends messages of 10 KB over 5 connections to a host that is 50 ms away, over TCP. The best that one
// message a round trip can come to is 100 a second.
func BenchmarkRoundTrip50ms(b *testing.B) {
	for _, way := range ways {
		b.Run(way.name, func(b *testing.B) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Skip(err)
			}
			sink(b, l, nil, way.ext...)
			far, err := sendertest.StartDelay(sendertest.DelayConfig{Target: l.Addr().String(), RoundTrip: 50 * time.Millisecond})
			if err != nil {
				b.Fatal(err)
			}
			defer far.Close()
			tr, err := New(Config{})
			if err != nil {
				b.Fatal(err)
			}
			const connections = 5
			var sends [connections]func() error
			for i := range sends {
				s := dial(b, tr, Target{Host: "mx.example.com", Addr: netip.MustParseAddrPort(far.Addr()), Hostname: "mta1.example.org"})
				defer s.Abort()
				sends[i] = sending(b.Context(), s, way.then)
			}
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			b.ResetTimer()
			for _, send := range sends {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						if err := send(); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

// BenchmarkBareClient is what BenchmarkSend is held against: go-smtp's client in a loop.
func BenchmarkBareClient(b *testing.B) {
	env := benchEnvelope()
	benchNetworks(b, nil, func(b *testing.B, dialFunc DialFunc, addr netip.AddrPort, config *tls.Config) {
		benchLoop(b, len(env.Data), func(b *testing.B) (func() error, func()) {
			fail := func(err error) (func() error, func()) {
				b.Error(err)
				return func() error { return err }, func() {}
			}
			conn, err := dialFunc(context.Background(), netip.Addr{}, addr)
			if err != nil {
				return fail(err)
			}
			var client *smtp.Client
			if config == nil {
				client = smtp.NewClient(conn)
				err = client.Hello("mta1.example.org")
			} else {
				client, err = smtp.NewClientStartTLS(conn, &tls.Config{InsecureSkipVerify: true})
			}
			if err != nil {
				return fail(err)
			}
			return func() error { return bareSend(client, env) }, func() { client.Close() }
		})
	})
}

// bareSend is one transaction by go-smtp's client alone.
func bareSend(client *smtp.Client, env *Envelope) error {
	if err := client.Mail(env.From, &smtp.MailOptions{Size: int64(len(env.Header) + len(env.Data))}); err != nil {
		return err
	}
	if err := client.Rcpt(env.To[0], nil); err != nil {
		return err
	}
	w, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(env.Header); err != nil {
		return err
	}
	if _, err := w.Write(env.Data); err != nil {
		return err
	}
	_, err = w.CloseWithResponse()
	return err
}

// BenchmarkReadReply reads the reply to a final dot.
func BenchmarkReadReply(b *testing.B) {
	w := reading("")
	in := bytes.NewReader(nil)
	reply := []byte("250-2.0.0 accepted\r\n250 2.0.0 queued as 4F1A\r\n")
	b.ReportAllocs()
	for b.Loop() {
		in.Reset(reply)
		w.br.Reset(in)
		w.text = w.text[:0]
		if err := w.readReply(); err != nil {
			b.Fatal(err)
		}
	}
}
