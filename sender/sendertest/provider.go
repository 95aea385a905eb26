package sendertest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"
)

// ProviderConfig configures a Provider. Only Kind is required.
type ProviderConfig struct {
	// Kind is the personality. Required.
	Kind Kind
	// Domains are the recipient domains, which get MX records. Defaults to one domain named after the personality:
	// gmail.example, outlook.example, yahoo.example or docomo.example.
	Domains []string
	// Addrs are the virtual addresses of the MX hosts, one server each. Defaults to two addresses of 192.0.2.64/27, different
	// for each personality; a second provider of a Kind on the same Network needs others.
	Addrs []netip.Addr
	// Port is the port of all servers. Defaults to 25.
	Port uint16
	// CA issues the servers' certificates, and STARTTLS is offered. Defaults to nil.
	CA *CA
	// Unknown reports whether a recipient does not exist. It is called concurrently. Defaults to nil: all exist.
	Unknown func(addr string) bool
	// Thresholds are the numbers by which the provider judges. Defaults to those of the personality.
	Thresholds Thresholds
	// Trusted are source addresses with a good history: their allowance begins at Thresholds.MaxAllowance.
	// Defaults to none.
	Trusted []netip.Addr
	// Script comes before the provider's own judgement at each step, for example Greylist. Defaults to nothing.
	Script Script
	// Inbox takes the accepted messages. Defaults to a new one that keeps all.
	Inbox *Inbox
	// Logger gets each command and reply at level Debug. Defaults to nil, which discards.
	Logger *slog.Logger
}

// validate checks the config and fills in the defaults.
func (c *ProviderConfig) validate() error {
	voice, ok := personalityOf(c.Kind)
	if !ok {
		return fmt.Errorf("sendertest: ProviderConfig.Kind: unknown value %q, know %q", c.Kind, Kinds())
	}
	if len(c.Domains) == 0 {
		c.Domains = []string{voice.domain}
	}
	if len(c.Addrs) == 0 {
		c.Addrs = voice.addrs[:]
	}
	if c.Port == 0 {
		c.Port = 25
	}
	t := c.Thresholds.fill(voice.thresholds)
	switch {
	case t.Window < 0:
		return errors.New("sendertest: ProviderConfig.Thresholds.Window: is negative")
	case t.BlockFor < 0:
		return errors.New("sendertest: ProviderConfig.Thresholds.BlockFor: is negative")
	case !(t.Growth >= 1):
		return fmt.Errorf("sendertest: ProviderConfig.Thresholds.Growth: %v is less than 1", t.Growth)
	case !(t.MaxUnknownShare >= 0 && t.MaxUnknownShare <= 1):
		return fmt.Errorf("sendertest: ProviderConfig.Thresholds.MaxUnknownShare: %v is not between 0 and 1", t.MaxUnknownShare)
	case min(t.NewAllowance, t.MaxAllowance, t.MinSample, t.MaxMessages, t.MaxRecipients) < 0:
		return errors.New("sendertest: ProviderConfig.Thresholds: a number is negative")
	}
	c.Thresholds = t
	if c.Inbox == nil {
		c.Inbox, _ = NewInbox(InboxConfig{})
	}
	return nil
}

// Provider is a mailbox provider: some domains in the DNS, a server on each of its addresses, and one memory of the source
// addresses that write to it. A source address that it does not know may reach few recipients; the allowance grows with
// windows that were well used and clean, and shrinks with the others. Too many unknown users bring a block. Messages need a
// DKIM signature aligned with From. The same traffic at the same times is always judged the same.
// Its methods may be called concurrently.
type Provider struct {
	config  ProviderConfig
	judge   *judge
	hosts   []string
	servers []*Server
}

// StartProvider starts a provider: it adds its MX, address and PTR records to dns and starts its servers on network. DKIM keys
// and reverse names of senders are looked up in dns too. It runs until Close, which leaves the records.
func StartProvider(network *Network, dns *DNS, config ProviderConfig) (*Provider, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	if dns == nil {
		return nil, errors.New("sendertest: StartProvider: dns is nil")
	}
	voice, _ := personalityOf(config.Kind)
	p := &Provider{config: config, judge: &judge{
		voice: voice, thresholds: config.Thresholds, dns: dns, unknown: config.Unknown,
		trusted: map[netip.Addr]bool{}, sources: map[netip.Addr]*source{},
	}}
	for _, addr := range config.Trusted {
		p.judge.trusted[addr.Unmap()] = true
	}
	if err := p.publish(dns); err != nil {
		return nil, err
	}
	if err := p.start(network); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// publish adds the DNS records.
func (p *Provider) publish(dns *DNS) error {
	type pair struct {
		host string
		addr netip.Addr
	}
	var errs []error
	done := map[pair]bool{}
	voice := &p.judge.voice
	for d, domain := range p.config.Domains {
		for i, addr := range p.config.Addrs {
			host := voice.host(domain, i)
			if !voice.sharedMX || i == 0 {
				preference := 5
				if !voice.equalMX {
					preference *= i + 1
				}
				errs = append(errs, dns.AddMX(domain, uint16(preference), host))
			}
			if done[pair{host, addr}] {
				continue
			}
			done[pair{host, addr}] = true
			errs = append(errs, dns.AddAddr(host, addr))
			if d == 0 {
				errs = append(errs, dns.AddPTR(addr, host))
			}
			if !slices.Contains(p.hosts, host) {
				p.hosts = append(p.hosts, host)
			}
		}
	}
	return errors.Join(errs...)
}

// start starts the servers. All have one certificate for all names.
func (p *Provider) start(network *Network) error {
	var config *tls.Config
	if p.config.CA != nil {
		cert, err := p.config.CA.Certificate(p.hosts...)
		if err != nil {
			return err
		}
		config = &tls.Config{Certificates: []tls.Certificate{cert}}
	}
	script := Compose(p.config.Script, p.judge.script())
	for i, addr := range p.config.Addrs {
		s, err := StartServer(network, ServerConfig{
			Hostname: p.judge.voice.host(p.config.Domains[0], i), Addr: netip.AddrPortFrom(addr, p.config.Port), TLS: config,
			Script: script, Inbox: p.config.Inbox, Logger: p.config.Logger,
		})
		if err != nil {
			return err
		}
		p.servers = append(p.servers, s)
	}
	return nil
}

// Kind is the personality.
func (p *Provider) Kind() Kind { return p.config.Kind }

// Domains are the recipient domains.
func (p *Provider) Domains() []string { return slices.Clone(p.config.Domains) }

// Hosts are the names of the MX hosts.
func (p *Provider) Hosts() []string { return slices.Clone(p.hosts) }

// Servers are the servers, in the order of ProviderConfig.Addrs.
func (p *Provider) Servers() []*Server { return slices.Clone(p.servers) }

// Inbox is where accepted messages are.
func (p *Provider) Inbox() *Inbox { return p.config.Inbox }

// Report returns what the provider thinks of each source address, ordered by address.
func (p *Provider) Report() []SourceReport { return p.judge.reports(time.Now()) }

// Close closes all servers.
func (p *Provider) Close() error {
	var errs []error
	for _, s := range p.servers {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
