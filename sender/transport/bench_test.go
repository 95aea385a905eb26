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
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/reputemail/repute/sender/sendertest"
)

// sink is a host that takes everything as fast as it can.
func sink(b *testing.B, l net.Listener, config *tls.Config) {
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
				say := func(s string) { conn.Write([]byte(s)) }
				say("220 mx.example.com\r\n")
				for {
					line, err := br.ReadSlice('\n')
					if err != nil {
						return
					}
					switch {
					case bytes.HasPrefix(line, []byte("EHLO")) && config != nil:
						say("250-mx.example.com\r\n250-SIZE\r\n250-STARTTLS\r\n250 8BITMIME\r\n")
					case bytes.HasPrefix(line, []byte("EHLO")):
						say("250-mx.example.com\r\n250-SIZE\r\n250 8BITMIME\r\n")
					case bytes.HasPrefix(line, []byte("STARTTLS")):
						say("220 go\r\n")
						conn = tls.Server(conn, config)
						br.Reset(conn)
					case bytes.HasPrefix(line, []byte("DATA")):
						say("354 go\r\n")
						for !bytes.Equal(line, []byte(".\r\n")) {
							if line, err = br.ReadSlice('\n'); err != nil {
								return
							}
						}
						say("250 2.0.0 queued as 4F1A\r\n")
					default:
						say("250 ok\r\n")
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
func benchNetworks(b *testing.B, run func(b *testing.B, dial DialFunc, addr netip.AddrPort, config *tls.Config)) {
	cert := serverTLS(certificate(b, "mx.example.com", nil))
	b.Run("memory", func(b *testing.B) {
		n := sendertest.NewNetwork()
		defer n.Close()
		l, err := n.Listen(hostAddr)
		if err != nil {
			b.Fatal(err)
		}
		sink(b, l, nil)
		run(b, n.Dial, hostAddr, nil)
	})
	for name, config := range map[string]*tls.Config{"tcp": nil, "tls": cert} {
		b.Run(name, func(b *testing.B) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Skip(err)
			}
			sink(b, l, config)
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

// BenchmarkSend sends messages of 10 KB.
func BenchmarkSend(b *testing.B) {
	env := benchEnvelope()
	benchNetworks(b, func(b *testing.B, dialFunc DialFunc, addr netip.AddrPort, _ *tls.Config) {
		tr, err := New(Config{Dial: dialFunc})
		if err != nil {
			b.Fatal(err)
		}
		benchLoop(b, len(env.Data), func(b *testing.B) (func() error, func()) {
			ctx, cancel := context.WithCancel(context.Background())
			s, err := tr.Dial(ctx, Target{Host: "mx.example.com", Addr: addr, Hostname: "mta1.example.org"})
			if err != nil {
				b.Error(err)
				return func() error { return err }, cancel
			}
			send := func() error {
				results, err := s.Send(ctx, env)
				if err == nil && !results[0].Accepted {
					err = fmt.Errorf("not accepted: %v", results[0].Reply)
				}
				return err
			}
			return send, func() { s.Close(); cancel() }
		})
	})
}

// BenchmarkBareClient is what BenchmarkSend is held against: go-smtp's client in a loop.
func BenchmarkBareClient(b *testing.B) {
	env := benchEnvelope()
	benchNetworks(b, func(b *testing.B, dialFunc DialFunc, addr netip.AddrPort, config *tls.Config) {
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
