package main

import (
	"cmp"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/reputemail/repute/auth"
	"github.com/reputemail/repute/sender/sendertest"
)

// internet is the fake one: a network on the loopback interface, a name server, and the receivers.
type internet struct {
	network  *sendertest.Network
	dns      *sendertest.DNS
	ca       *sendertest.CA
	arrivals arrivals
	servers  []io.Closer
}

// startInternet starts everything that mail goes to.
func startInternet(o options) (*internet, error) {
	w := &internet{network: sendertest.NewTCPNetwork()}
	w.arrivals.counts = map[arrival]*counted{}
	if err := w.start(o); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *internet) start(o options) (err error) {
	if w.dns, err = sendertest.StartDNS(w.network, netip.AddrPort{}); err != nil {
		return err
	}
	if w.ca, err = sendertest.NewCA(); err != nil {
		return err
	}
	// An address that they do not know may send each provider as much as the plan plans, and no more. They know the warm one,
	// all but Yahoo, which limits its rate as well.
	known := []netip.Addr{netip.MustParseAddr(warmAddr)}
	allowance := sendertest.Thresholds{NewAllowance: o.cap24(), MinSample: 100}
	limited := allowance
	limited.Window = o.clocks.window
	for _, p := range []sendertest.ProviderConfig{
		{Kind: sendertest.GmailLike, Domains: []string{gmail}, Thresholds: allowance, Trusted: known},
		{Kind: sendertest.OutlookLike, Domains: []string{outlook}, Thresholds: allowance, Trusted: known},
		{Kind: sendertest.DocomoLike, Domains: []string{docomo}, Thresholds: allowance, Trusted: known},
		{Kind: sendertest.YahooLike, Domains: []string{yahoo}, Thresholds: limited},
	} {
		if err := w.provider(p); err != nil {
			return err
		}
	}
	if err := w.mailExchanger(plain, netip.MustParseAddr("192.0.2.10"), sendertest.Script{}); err != nil {
		return err
	}
	if err := w.mailExchanger(greylisting, netip.MustParseAddr("192.0.2.11"), sendertest.Greylist(o.clocks.greylist)); err != nil {
		return err
	}
	return w.dns.AddNullMX(nullMX) // and nothing at all for nowhere
}

// provider starts a mailbox provider with a personality.
func (w *internet) provider(cfg sendertest.ProviderConfig) (err error) {
	cfg.CA, cfg.Unknown = w.ca, unknown
	if cfg.Inbox, err = w.inbox(cfg.Domains[0]); err != nil {
		return err
	}
	p, err := sendertest.StartProvider(w.network, w.dns, cfg)
	if err != nil {
		return err
	}
	w.servers = append(w.servers, p)
	return nil
}

// mailExchanger starts a mail server of the plain kind for one domain.
func (w *internet) mailExchanger(domain string, addr netip.Addr, script sendertest.Script) error {
	inbox, err := w.inbox(domain)
	if err != nil {
		return err
	}
	s, err := sendertest.StartServer(w.network, sendertest.ServerConfig{
		Hostname: "mx." + domain, Addr: netip.AddrPortFrom(addr, 25), CA: w.ca, Inbox: inbox,
		Script: sendertest.Compose(sendertest.UnknownUsers(unknown), script),
	})
	if err != nil {
		return err
	}
	w.servers = append(w.servers, s)
	if err := w.dns.AddMX(domain, 10, s.Hostname()); err != nil {
		return err
	}
	return w.dns.AddA(s.Hostname(), addr)
}

// inbox counts what arrives for a domain.
func (w *internet) inbox(domain string) (*sendertest.Inbox, error) {
	return sendertest.NewInbox(sendertest.InboxConfig{
		Keep:      sendertest.KeepCount,
		OnMessage: func(r sendertest.Received) { w.arrivals.add(domain, r, w.dns) },
	})
}

// signer makes DKIM keys for a domain and publishes them.
func (w *internet) signer(domain string) (*auth.Signer, error) {
	rsa, err := auth.GenerateRSA(2048)
	if err != nil {
		return nil, err
	}
	ed25519, err := auth.GenerateEd25519()
	if err != nil {
		return nil, err
	}
	keys := []auth.Key{{Selector: "r1", Signer: rsa}, {Selector: "e1", Signer: ed25519}}
	for _, k := range keys {
		record, err := auth.Record(k.Signer.Public())
		if err != nil {
			return nil, err
		}
		if err := w.dns.AddTXT(auth.RecordName(k.Selector, domain), record); err != nil {
			return nil, err
		}
	}
	return auth.New(auth.Config{Domain: domain, Keys: keys})
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

// arrivals counts what the receivers accepted.
type arrivals struct {
	mu     sync.Mutex
	counts map[arrival]*counted
}

// arrival is a receiver and the address that wrote to it.
type arrival struct{ domain, source string }

type counted struct{ messages, signed int }

// add counts one message, and checks its signatures as a receiver does: with the keys in the DNS.
func (a *arrivals) add(domain string, r sendertest.Received, dns *sendertest.DNS) {
	signatures, err := r.VerifyDKIM(dns)
	signed := err == nil && len(signatures) == 2 // RSA and Ed25519
	for _, s := range signatures {
		signed = signed && s.Err == nil
	}
	key := arrival{domain, r.Source.String()}
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.counts[key]
	if c == nil {
		c = &counted{}
		a.counts[key] = c
	}
	c.messages++
	if signed {
		c.signed++
	}
}

// list is what was counted, by domain and then address.
func (a *arrivals) list() []receiverRow {
	a.mu.Lock()
	defer a.mu.Unlock()
	var rows []receiverRow
	for key, c := range a.counts {
		rows = append(rows, receiverRow{Domain: key.domain, Source: key.source, Messages: c.messages, DKIMPass: c.signed})
	}
	slices.SortFunc(rows, func(a, b receiverRow) int {
		return cmp.Or(strings.Compare(a.Domain, b.Domain), -strings.Compare(a.Source, b.Source))
	})
	return rows
}
