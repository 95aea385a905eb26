package main

import (
	"io"
	"net/netip"
	"sync"
	"time"

	"github.com/reputemail/repute/sender/sendertest"
)

// Where everything is. The addresses are of the networks for documentation (RFC 5737).
const (
	youngAddr = "198.51.100.20"
	relayHost = "smtp.esp.example"
	relayAddr = relayHost + ":587"
)

// internet is the fake one, in memory: a name server, three mailbox providers, and the relay of an e-mail service provider.
type internet struct {
	network *sendertest.Network
	dns     *sendertest.DNS
	ca      *sendertest.CA
	servers []io.Closer

	mu  sync.Mutex
	got []arrival
}

// arrival is a message that a receiver took.
type arrival struct {
	recipient string
	subject   string
	route     string
	at        time.Time
}

// startInternet starts everything. The providers know the young address a little: each takes a third more from it in a day than the plan begins with, and
// puts off the rest.
func startInternet(o options, scripts map[string]sendertest.Script) (*internet, error) {
	w := &internet{network: sendertest.NewNetwork()}
	if err := w.start(o, scripts); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *internet) start(o options, scripts map[string]sendertest.Script) (err error) {
	if w.dns, err = sendertest.StartDNS(w.network, netip.AddrPort{}); err != nil {
		return err
	}
	if w.ca, err = sendertest.NewCA(); err != nil {
		return err
	}
	kinds := map[string]sendertest.Kind{"google": sendertest.GmailLike, "outlook": sendertest.OutlookLike, "yahoo": sendertest.YahooLike}
	for _, p := range providers() {
		inbox, err := w.inbox("young")
		if err != nil {
			return err
		}
		s, err := sendertest.StartProvider(w.network, w.dns, sendertest.ProviderConfig{
			Kind: kinds[p.name], Domains: []string{p.domain}, CA: w.ca, Inbox: inbox, Script: scripts[p.name],
			// Mail is not signed here; examples/quickstart shows that.
			Thresholds: sendertest.Thresholds{NewAllowance: o.start * 4 / 3, Window: o.day, AllowUnsigned: true},
		})
		if err != nil {
			return err
		}
		w.servers = append(w.servers, s)
	}
	inbox, err := w.inbox("relay")
	if err != nil {
		return err
	}
	addr := netip.MustParseAddrPort("192.0.2.200:587")
	relay, err := sendertest.StartServer(w.network, sendertest.ServerConfig{Hostname: relayHost, Addr: addr, Inbox: inbox})
	if err != nil {
		return err
	}
	w.servers = append(w.servers, relay)
	return w.dns.AddA(relayHost, addr.Addr())
}

// inbox notes what arrives over a route.
func (w *internet) inbox(route string) (*sendertest.Inbox, error) {
	return sendertest.NewInbox(sendertest.InboxConfig{Keep: sendertest.KeepCount, OnMessage: func(r sendertest.Received) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, to := range r.To {
			w.got = append(w.got, arrival{recipient: to, subject: r.Header("Subject")[0], route: route, at: r.Time})
		}
	}})
}

// arrived is what has arrived so far, in order.
func (w *internet) arrived() []arrival {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]arrival(nil), w.got...)
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
