package main

import (
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender/sendertest"
)

// Where everything is. The addresses are of TEST-NET-1 and 2 (RFC 5737), which only the fake network knows.
const (
	relayHost = "smtp.relay.example"
	relayUser = "shop"
	relayPass = "secret"
	mta1Addr  = "198.51.100.21"
	mta2Addr  = "198.51.100.22"
)

var relayAddr = netip.MustParseAddrPort("192.0.2.25:587")

// internet is the fake one: name servers, the relay, and the providers.
type internet struct {
	network *sendertest.Network
	dns     *sendertest.DNS
	ca      *sendertest.CA
	servers []io.Closer
	enough  atomic.Pointer[time.Time] // when the sabotaged provider has had enough of the new addresses

	mu      sync.Mutex
	arrived map[string][]string // by Message-ID: the ways it came
}

// startInternet starts everything that mail goes to. first is what an address that providers do not know sends in its first day, and day how long one lasts.
func startInternet(network *sendertest.Network, first int, day time.Duration) (*internet, error) {
	w := &internet{network: network, arrived: map[string][]string{}}
	if err := w.start(first, day); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *internet) start(first int, day time.Duration) (err error) {
	if w.dns, err = sendertest.StartDNS(w.network, netip.AddrPort{}); err != nil {
		return err
	}
	if w.ca, err = sendertest.NewCA(); err != nil {
		return err
	}
	inbox, err := sendertest.NewInbox(sendertest.InboxConfig{Keep: sendertest.KeepCount, OnMessage: w.arrive})
	if err != nil {
		return err
	}
	// The relay takes everything. That it delivers is taken for granted: a relay tells no more.
	server, err := sendertest.StartServer(w.network, sendertest.ServerConfig{
		Hostname: relayHost, Addr: relayAddr, CA: w.ca, Auth: map[string]string{relayUser: relayPass}, RequireAuth: true, Inbox: inbox,
	})
	if err != nil {
		return err
	}
	w.servers = append(w.servers, server)
	if err := w.dns.AddA(relayHost, relayAddr.Addr()); err != nil {
		return err
	}
	for _, p := range providers() {
		cfg := sendertest.ProviderConfig{
			Kind: p.kind, Domains: []string{p.domain}, CA: w.ca, Inbox: inbox,
			// A provider takes twice as much as the plan begins with, and more only where that is used well: who jumps is put off.
			Thresholds: sendertest.Thresholds{
				Window: day, NewAllowance: 2*first + 10, Growth: 2,
				AllowUnsigned: true, // for brevity; examples/quickstart signs
			},
		}
		if p.name == sabotaged {
			cfg.Script = w.sabotage()
		}
		s, err := sendertest.StartProvider(w.network, w.dns, cfg)
		if err != nil {
			return err
		}
		w.servers = append(w.servers, s)
	}
	return nil
}

// sabotage puts off every second message, once the provider has had enough.
func (w *internet) sabotage() sendertest.Script {
	var messages atomic.Int64
	return sendertest.When(func(*sendertest.Session) bool {
		from := w.enough.Load()
		return from != nil && !time.Now().Before(*from) && messages.Add(1)%2 == 0
	}, sendertest.RejectAt(bounce.StageMail, "451 4.7.650 The mail server has been temporarily rate limited due to IP reputation (S775)"))
}

// turnBad lets the sabotaged provider have enough from a time on.
func (w *internet) turnBad(from time.Time) { w.enough.Store(&from) }

// arrive notes by which way a message came. The relay is known by its login, the addresses by themselves.
func (w *internet) arrive(r sendertest.Received) {
	way := map[string]string{mta1Addr: mta1, mta2Addr: mta2}[r.Source.String()]
	if r.User == relayUser {
		way = relay
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range r.Header("Message-ID") {
		w.arrived[id] = append(w.arrived[id], way)
	}
}

// close ends the internet.
func (w *internet) close() {
	for _, s := range w.servers {
		s.Close()
	}
	if w.dns != nil {
		w.dns.Close()
	}
	w.network.Close()
}
