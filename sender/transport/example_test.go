package transport_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net/netip"

	"github.com/emersion/go-sasl"

	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/sender/transport"
)

// A session with one MX host, and a message to two recipients of whom it knows one.
func Example() {
	network := sendertest.NewNetwork()
	defer network.Close()
	mx, err := sendertest.StartServer(network, sendertest.ServerConfig{
		Script: sendertest.UnknownUsers(sendertest.AnyOf("bob@example.com")),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer mx.Close()

	t, err := transport.New(transport.Config{Dial: network.Dial})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	session, err := t.Dial(ctx, transport.Target{
		Host:      mx.Hostname(),
		Addr:      mx.Addr(),
		LocalAddr: netip.MustParseAddr("198.51.100.7"),
		Hostname:  "mta1.example.org",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()

	to := []string{"ann@example.com", "bob@example.com"}
	results, err := session.Send(ctx, &transport.Envelope{
		From: "news@example.org",
		To:   to,
		Data: []byte("From: news@example.org\r\nSubject: Hello\r\n\r\nHello\r\n"),
	})
	if err != nil {
		log.Fatal(err)
	}
	for i, r := range results {
		fmt.Println(to[i], r.Accepted, r.Reply.Stage, r.Reply.Code)
	}
	fmt.Println(results[1].Reply)
	// Output:
	// ann@example.com true dot 250
	// bob@example.com false rcpt 550
	// 550 5.1.1 <bob@example.com>: No such user here
}

// A relay that wants TLS and a password. Nothing is sent if either fails; the error is the reply that decided, or one of our
// own making.
func ExampleTransport_Dial_relay() {
	network := sendertest.NewNetwork()
	defer network.Close()
	ca, err := sendertest.NewCA()
	if err != nil {
		log.Fatal(err)
	}
	relay, err := sendertest.StartServer(network, sendertest.ServerConfig{
		Hostname: "smtp.example.com",
		Addr:     netip.MustParseAddrPort("192.0.2.1:465"),
		CA:       ca, ImplicitTLS: true,
		Auth: map[string]string{"user": "secret"},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer relay.Close()

	t, err := transport.New(transport.Config{Dial: network.Dial, TLSConfig: &tls.Config{RootCAs: ca.Pool()}})
	if err != nil {
		log.Fatal(err)
	}
	for _, password := range []string{"secret", "guess"} {
		session, err := t.Dial(context.Background(), transport.Target{
			Host: relay.Hostname(), Addr: relay.Addr(), Hostname: "mta1.example.org",
			TLS:  transport.TLSImplicit,
			Auth: func() sasl.Client { return sasl.NewPlainClient("", "user", password) },
		})
		var failed *transport.Error
		if errors.As(err, &failed) {
			fmt.Println(failed.Reply.Stage, failed.Reply.Code)
			continue
		}
		info, _ := session.TLS()
		fmt.Println(info.Version, info.Verified)
		session.Close()
	}
	// Output:
	// TLS 1.3 true
	// auth 535
}

// A row of messages over one session. Where the host offers PIPELINING, each one is begun behind the content of the last, so that
// the row takes one round trip a message; elsewhere it is sent all the same.
func ExampleSession_SendThen() {
	network := sendertest.NewNetwork()
	defer network.Close()
	mx, err := sendertest.StartServer(network, sendertest.ServerConfig{})
	if err != nil {
		log.Fatal(err)
	}
	defer mx.Close()

	t, err := transport.New(transport.Config{Dial: network.Dial})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	session, err := t.Dial(ctx, transport.Target{Host: mx.Hostname(), Addr: mx.Addr(), Hostname: "mta1.example.org"})
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()

	var row []*transport.Envelope
	for _, to := range []string{"ann@example.com", "bob@example.com", "cleo@example.com"} {
		row = append(row, &transport.Envelope{
			From: "news@example.org", To: []string{to},
			Data: []byte("From: news@example.org\r\nSubject: Hello\r\n\r\nHello\r\n"),
		})
	}
	for i, env := range row {
		results, err := session.SendThen(ctx, env, func() *transport.Envelope {
			if i+1 == len(row) {
				return nil
			}
			return row[i+1]
		})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(env.To[0], results[0].Accepted, "begun:", session.Messages())
	}
	// Output:
	// ann@example.com true begun: 2
	// bob@example.com true begun: 3
	// cleo@example.com true begun: 3
}
