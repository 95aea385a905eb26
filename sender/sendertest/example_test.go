package sendertest_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net/netip"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender/sendertest"
)

const letter = "From: <news@example.com>\r\nTo: <user@example.org>\r\nSubject: Hello\r\n\r\nHello.\r\n"

// connectTo stands for the program under test: it connects from a source address and says EHLO.
func connectTo(n *sendertest.Network, source string, addr netip.AddrPort) *smtp.Client {
	conn, err := n.Dial(context.Background(), netip.MustParseAddr(source), addr)
	if err != nil {
		log.Fatal(err)
	}
	c := smtp.NewClient(conn)
	if err := c.Hello("mta.example.com"); err != nil {
		log.Fatal(err)
	}
	return c
}

// A mail exchanger in memory and what arrived at it.
func Example() {
	network := sendertest.NewNetwork()
	defer network.Close()
	mx, err := sendertest.StartServer(network, sendertest.ServerConfig{Hostname: "mx.example.org"})
	if err != nil {
		log.Fatal(err)
	}
	c := connectTo(network, "198.51.100.7", mx.Addr())
	if err := c.SendMail("news@example.com", []string{"user@example.org"}, strings.NewReader(letter)); err != nil {
		log.Fatal(err)
	}
	c.Quit()
	mx.Close()

	for _, m := range mx.Inbox().Messages() {
		fmt.Printf("%s (%s) sent %q from %s to %v\n", m.Hostname, m.Source, m.Header("Subject")[0], m.From, m.To)
	}
	fmt.Println("connections left open:", network.OpenConns())
	// Output:
	// mta.example.com (198.51.100.7) sent "Hello" from news@example.com to [user@example.org]
	// connections left open: 0
}

// Behaviours are put together: an unknown user, then greylisting for everybody else.
func ExampleCompose() {
	network := sendertest.NewNetwork()
	defer network.Close()
	mx, err := sendertest.StartServer(network, sendertest.ServerConfig{Script: sendertest.Compose(
		sendertest.UnknownUsers(sendertest.AnyOf("nobody@example.org")),
		sendertest.Greylist(5*time.Minute),
	)})
	if err != nil {
		log.Fatal(err)
	}
	defer mx.Close()

	c := connectTo(network, "198.51.100.7", mx.Addr())
	defer c.Close()
	c.Mail("news@example.com", nil)
	fmt.Println(c.Rcpt("nobody@example.org", nil))
	fmt.Println(c.Rcpt("user@example.org", nil))
	// Output:
	// SMTP error 550: <nobody@example.org>: No such user here
	// SMTP error 450: Greylisted, try again in 300 seconds
}

// A hook of one's own: the first message of each session is refused once its content has come.
func ExampleScript() {
	network := sendertest.NewNetwork()
	defer network.Close()
	mx, err := sendertest.StartServer(network, sendertest.ServerConfig{Script: sendertest.Times(1, sendertest.Script{
		OnDot: func(s *sendertest.Session, _ string) *sendertest.Answer {
			if strings.Contains(string(s.Data()), "Hello") {
				return sendertest.Say("550 5.7.1 Too friendly")
			}
			return nil
		},
	})})
	if err != nil {
		log.Fatal(err)
	}
	defer mx.Close()

	c := connectTo(network, "198.51.100.7", mx.Addr())
	defer c.Close()
	for range 2 {
		fmt.Println(c.SendMail("news@example.com", []string{"user@example.org"}, strings.NewReader(letter)))
	}
	// Output:
	// SMTP error 550: Too friendly
	// <nil>
}

// RejectAt, DropAt, HangAt and EndlessReply take the stage at which the server misbehaves.
func ExampleRejectAt() {
	network := sendertest.NewNetwork()
	defer network.Close()
	mx, err := sendertest.StartServer(network, sendertest.ServerConfig{
		Script: sendertest.RejectAt(bounce.StageMail, "451 4.3.2 Disk full, try later"),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer mx.Close()

	c := connectTo(network, "198.51.100.7", mx.Addr())
	defer c.Close()
	fmt.Println(c.Mail("news@example.com", nil))
	// Output: SMTP error 451: Disk full, try later
}

// A server with STARTTLS and a certificate that the client can verify.
func ExampleCA() {
	ca, err := sendertest.NewCA()
	if err != nil {
		log.Fatal(err)
	}
	network := sendertest.NewNetwork()
	defer network.Close()
	mx, err := sendertest.StartServer(network, sendertest.ServerConfig{Hostname: "mx.example.org", CA: ca})
	if err != nil {
		log.Fatal(err)
	}
	defer mx.Close()

	conn, err := network.Dial(context.Background(), netip.Addr{}, mx.Addr())
	if err != nil {
		log.Fatal(err)
	}
	c, err := smtp.NewClientStartTLS(conn, &tls.Config{RootCAs: ca.Pool(), ServerName: "mx.example.org"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if err := c.Noop(); err != nil { // go-smtp's client does the handshake when it first has to
		log.Fatal(err)
	}
	state, _ := c.TLSConnectionState()
	fmt.Println(tls.VersionName(state.Version), state.PeerCertificates[0].DNSNames)
	// Output: TLS 1.3 [mx.example.org]
}

// Names resolve in the fake DNS only. In TCP mode other processes can ask it too, at DNS.Addr.
func ExampleStartDNS() {
	network := sendertest.NewNetwork()
	defer network.Close()
	dns, err := sendertest.StartDNS(network, netip.AddrPort{})
	if err != nil {
		log.Fatal(err)
	}
	defer dns.Close()
	dns.AddMX("example.org", 10, "mx.example.org")
	dns.AddA("mx.example.org", netip.MustParseAddr("192.0.2.10"))
	dns.AddTXT("s._domainkey.example.org", "v=DKIM1; p=")
	dns.SetServFail("broken.example")

	fmt.Println(dns.LookupTXT("s._domainkey.example.org"))
	fmt.Println(dns.LookupTXT("example.org"))
	fmt.Println(dns.LookupTXT("broken.example"))
	// Output:
	// [v=DKIM1; p=] <nil>
	// [] lookup example.org: no such host
	// [] lookup broken.example: server misbehaving
}

// A provider limits an address that it does not know, and tells what it thinks of it.
func ExampleStartProvider() {
	network := sendertest.NewNetwork()
	defer network.Close()
	dns, err := sendertest.StartDNS(network, netip.AddrPort{})
	if err != nil {
		log.Fatal(err)
	}
	defer dns.Close()
	provider, err := sendertest.StartProvider(network, dns, sendertest.ProviderConfig{
		Kind:       sendertest.YahooLike,
		Domains:    []string{"example.org"},
		Thresholds: sendertest.Thresholds{NewAllowance: 2, AllowUnsigned: true},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer provider.Close()

	c := connectTo(network, "198.51.100.7", provider.Servers()[0].Addr())
	defer c.Close()
	for range 3 {
		err := c.SendMail("news@example.com", []string{"user@example.org"}, strings.NewReader(letter))
		fmt.Println(err)
	}
	for _, r := range provider.Report() {
		fmt.Printf("%s: allowance %d, accepted %d, deferred %d %v\n", r.Source, r.Allowance, r.Accepted, r.Deferred, r.Reasons)
	}
	// Output:
	// <nil>
	// <nil>
	// SMTP error 421: [TSS04] Mail from 198.51.100.7 is deferred for now, because of its volume or of complaints; see https://postmaster.yahooinc.com/error-codes
	// 198.51.100.7: allowance 2, accepted 2, deferred 1 map[rate-limited:1]
}

// The virtual source address of a connection arrives at the server, also over real sockets.
func ExampleNewTCPNetwork() {
	network := sendertest.NewTCPNetwork()
	defer network.Close()
	mx, err := sendertest.StartServer(network, sendertest.ServerConfig{Addr: netip.MustParseAddrPort("192.0.2.10:25")})
	if err != nil {
		log.Fatal(err)
	}
	defer mx.Close()

	c := connectTo(network, "198.51.100.7", mx.Addr())
	defer c.Close()
	if err := c.SendMail("news@example.com", []string{"user@example.org"}, strings.NewReader(letter)); err != nil {
		log.Fatal(err)
	}
	real := netip.MustParseAddrPort(mx.RealAddr())
	fmt.Println(mx.Addr(), "is really at", real.Addr())
	fmt.Println("seen from", mx.Inbox().Messages()[0].Source)
	// Output:
	// 192.0.2.10:25 is really at 127.0.0.1
	// seen from 198.51.100.7
}

// A server that seems to be 20 ms away, for programs that are no tests of this process, too.
func ExampleStartDelay() {
	network := sendertest.NewTCPNetwork()
	defer network.Close()
	mx, err := sendertest.StartServer(network, sendertest.ServerConfig{})
	if err != nil {
		log.Fatal(err)
	}
	defer mx.Close()
	far, err := sendertest.StartDelay(sendertest.DelayConfig{Target: mx.RealAddr(), RoundTrip: 20 * time.Millisecond})
	if err != nil {
		log.Fatal(err)
	}
	defer far.Close()

	began := time.Now()
	c, err := smtp.Dial(far.Addr())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if err := c.SendMail("news@example.com", []string{"user@example.org"}, strings.NewReader(letter)); err != nil {
		log.Fatal(err)
	}
	// Opening takes two round trips, and EHLO, MAIL, RCPT, DATA and the content take one each.
	fmt.Println(mx.Inbox().Len(), time.Since(began) >= 7*20*time.Millisecond)
	// Output:
	// 1 true
}
