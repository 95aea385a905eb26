package sender_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net/netip"
	"time"

	"github.com/emersion/go-sasl"

	"github.com/reputemail/repute/auth"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/warmup"
)

// A new address is warmed up, and what it may not carry yet overflows to a relay. The first message of the minute goes
// over the new address, the second one over the relay.
func Example() {
	ctx := context.Background()
	internet := newInternet() // in memory; a real host leaves out all that has to do with it
	defer internet.close()
	internet.mailExchanger("example.org", sendertest.Script{})
	internet.relay("smtp.esp.example", "user", "secret")

	key, err := auth.GenerateRSA(2048) // a real host loads its own: auth.LoadKey
	if err != nil {
		log.Fatal(err)
	}
	signer, err := auth.New(auth.Config{Domain: "example.com", Keys: []auth.Key{{Selector: "s1", Signer: key}}})
	if err != nil {
		log.Fatal(err)
	}
	events := make(chan sender.Event, 10)
	s, err := sender.New(sender.Config{
		Routes: []sender.Route{
			{Name: "new", LocalAddr: "198.51.100.25", Hostname: "mta2.example.com", Warmup: warmup.Conservative(100_000)},
			{Name: "esp", Relay: &sender.Relay{Addr: "smtp.esp.example:587", Auth: sasl.NewPlainClient("", "user", "secret")}},
		},
		Pools: []sender.Pool{{Name: "main", Routes: []string{"new"}, Overflow: []string{"esp"}}},
		Streams: []sender.Stream{
			{Name: "transactional", Pool: "main", Signer: signer, ExpireAfter: 4 * time.Hour, Weight: 8},
			{Name: "marketing", Pool: "main", Signer: signer, ExpireAfter: 72 * time.Hour, Weight: 1},
		},
		Observer: sender.ObserverFunc(func(e sender.Event) { events <- e }),
		Dial:     internet.network.Dial,
		DialDNS:  internet.network.DialContext,
		DNS:      []string{internet.dns.Addr()},
		TLS:      &tls.Config{RootCAs: internet.ca.Pool()},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer s.Stop(ctx)

	for range 2 {
		receipt, err := s.Enqueue(ctx, sender.Message{
			Stream: "transactional",
			From:   "bounces@example.com",
			To:     []string{"anna@example.org"},
			Data:   []byte("From: Shop <shop@example.com>\r\nTo: <anna@example.org>\r\nSubject: Your receipt\r\n\r\nThank you.\r\n"),
		})
		if err != nil {
			log.Fatal(err)
		}
		for e := range events {
			if e.Type.Final() {
				fmt.Println(len(receipt.Deliveries), "delivery:", e.Type, "over", e.Path.Route, "at attempt", e.Attempt)
				break
			}
		}
	}
	// Output:
	// 1 delivery: delivered over new at attempt 1
	// 1 delivery: delivered over esp at attempt 1
}

// Send waits for the outcome of each recipient.
func ExampleSender_Send() {
	internet := newInternet()
	defer internet.close()
	internet.mailExchanger("example.org", sendertest.UnknownUsers(sendertest.AnyOf("bert@example.org")))
	s := internet.sender(sender.Config{})
	defer s.Stop(context.Background())

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	outcomes, err := s.Send(ctx, note("anna@example.org", "bert@example.org", "carl@nowhere.example"))
	if err != nil {
		log.Fatal(err)
	}
	for _, o := range outcomes {
		fmt.Println(o.Recipient, o.State, o.Verdict.Category, o.Reply.Code)
	}
	// Output:
	// anna@example.org delivered  250
	// bert@example.org bounced bad-mailbox 550
	// carl@nowhere.example bounced bad-domain 550
}

// Explain tells why a message is not out yet: here, because its receiver greylists.
func ExampleSender_Explain() {
	internet := newInternet()
	defer internet.close()
	internet.mailExchanger("example.org", sendertest.Greylist(5*time.Minute))
	deferred := make(chan string, 1)
	s := internet.sender(sender.Config{Observer: sender.ObserverFunc(func(e sender.Event) {
		if e.Type == sender.EventDeferred {
			deferred <- e.DeliveryID
		}
	})})
	ctx := context.Background()
	defer s.Stop(ctx)
	if _, err := s.Enqueue(ctx, note("anna@example.org")); err != nil {
		log.Fatal(err)
	}

	explained, err := s.Explain(ctx, <-deferred)
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range explained {
		fmt.Println(e.State, "after", e.Attempts, "attempt")
		for _, a := range e.History {
			fmt.Println("tried over", a.Route, "to", a.Provider+":", a.Verdict.Category, a.Reply.Code)
		}
		for _, w := range e.Waits {
			fmt.Println("waits for", w.Reason, "for at least 5 minutes:", time.Until(w.Until) > 5*time.Minute)
		}
	}
	// Output:
	// waiting after 1 attempt
	// tried over direct to example.org: greylisted 450
	// waits for retry for at least 5 minutes: true
}

// internet is what the examples send to: all of it is in memory.
type internet struct {
	network *sendertest.Network
	dns     *sendertest.DNS
	ca      *sendertest.CA
	servers []*sendertest.Server
}

func newInternet() *internet {
	i := &internet{network: sendertest.NewNetwork()}
	var err error
	if i.dns, err = sendertest.StartDNS(i.network, netip.AddrPort{}); err != nil {
		log.Fatal(err)
	}
	if i.ca, err = sendertest.NewCA(); err != nil {
		log.Fatal(err)
	}
	return i
}

// mailExchanger starts the server of a domain.
func (i *internet) mailExchanger(domain string, script sendertest.Script) {
	i.start(sendertest.ServerConfig{Hostname: "mx." + domain, Script: script, CA: i.ca})
	if err := i.dns.AddMX(domain, 10, "mx."+domain); err != nil {
		log.Fatal(err)
	}
}

// relay starts a smarthost with one account.
func (i *internet) relay(host, user, password string) {
	i.start(sendertest.ServerConfig{
		Hostname: host, CA: i.ca, Auth: map[string]string{user: password}, RequireAuth: true,
		Addr: netip.AddrPortFrom(netip.Addr{}, 587),
	})
}

func (i *internet) start(cfg sendertest.ServerConfig) {
	addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(10 + len(i.servers))})
	cfg.Addr = netip.AddrPortFrom(addr, cfg.Addr.Port())
	server, err := sendertest.StartServer(i.network, cfg)
	if err != nil {
		log.Fatal(err)
	}
	i.servers = append(i.servers, server)
	if err := i.dns.AddA(cfg.Hostname, addr); err != nil {
		log.Fatal(err)
	}
}

// sender starts a Sender with one route.
func (i *internet) sender(cfg sender.Config) *sender.Sender {
	cfg.Routes = []sender.Route{{Name: "direct", LocalAddr: "198.51.100.1", Hostname: "out.example.com"}}
	cfg.Dial, cfg.DialDNS, cfg.DNS = i.network.Dial, i.network.DialContext, []string{i.dns.Addr()}
	s, err := sender.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	return s
}

func (i *internet) close() {
	for _, s := range i.servers {
		s.Close()
	}
	i.dns.Close()
	i.network.Close()
}
