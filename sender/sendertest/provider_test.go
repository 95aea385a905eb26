package sendertest_test

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender/sendertest"
)

// stranger is a source address, trusty one that all providers of these tests know.
var (
	stranger = netip.MustParseAddr("198.51.100.25")
	trusty   = netip.MustParseAddr("198.51.100.99")
)

// street is a network with a provider and a sender of signed mail.
type street struct {
	net      *sendertest.Network
	dns      *sendertest.DNS
	provider *sendertest.Provider
	signed   []byte
}

func newStreet(t testing.TB, n *sendertest.Network, config sendertest.ProviderConfig) *street {
	t.Helper()
	d := startDNS(t, n)
	config.Trusted = []netip.Addr{trusty}
	config.Unknown = func(addr string) bool { return strings.HasPrefix(addr, "unknown") }
	p, err := sendertest.StartProvider(n, d, config)
	must(t, err)
	t.Cleanup(func() { p.Close() })
	return &street{n, d, p, sign(t, body(300), "example.com", signer(t, d, "example.com"))}
}

// deliver sends one message over a connection of its own. The error is the reply that refused it.
func (s *street) deliver(t testing.TB, source netip.Addr, to string, data []byte) error {
	t.Helper()
	conn, err := s.net.Dial(t.Context(), source, s.provider.Servers()[0].Addr())
	must(t, err)
	c := smtp.NewClient(conn)
	defer c.Close()
	if err := c.Hello("mta.example.com"); err != nil {
		return err
	}
	return transact(c, "news@example.com", to, data)
}

// saying is the reply in an error as it would be on one line.
func saying(err error) string {
	var reply *smtp.SMTPError
	if !errors.As(err, &reply) {
		return fmt.Sprint(err)
	}
	code := fmt.Sprint(reply.Code)
	if e := reply.EnhancedCode; e != smtp.NoEnhancedCode && e != smtp.EnhancedCodeNotSet {
		code += fmt.Sprintf(" %d.%d.%d", e[0], e[1], e[2])
	}
	return code + " " + strings.ReplaceAll(reply.Message, "\n", " ")
}

// TestProviderReplies holds each personality's replies to the tokens by which the real ones are known.
func TestProviderReplies(t *testing.T) {
	tests := []struct {
		kind                                           sendertest.Kind
		mx, rate, unknown, unsigned, blocked, reversed string
	}{
		{sendertest.GmailLike, ".google.com.", "421 4.7.28 [198.51.100.25]", "550 5.1.1 There is no such account here",
			"550 5.7.26 ", "421 4.7.28 [198.51.100.25]", "550 5.7.25 "},
		{sendertest.OutlookLike, ".olc.protection.outlook.com.", "451 4.7.650 The mail server [198.51.100.25]",
			"550 5.5.0 Requested action not taken: mailbox unavailable", "550 5.7.515 Access denied, sending domain example.com",
			"550 5.7.1 ", "550 5.7.25 "},
		{sendertest.YahooLike, ".yahoodns.net.", "421 4.7.0 [TSS04] Mail from 198.51.100.25 is deferred for now",
			"552 1 Requested mail action aborted, mailbox not found", "550 5.7.9 ", "421 4.7.0 [TSS05]", "550 5.7.25 "},
		{sendertest.DocomoLike, ".docomo.ne.jp.", "421 Service not available", "550 Unknown user unknown1@", "550 Unknown user",
			"421 Service not available", "550 "},
	}
	kinds := sendertest.Kinds()
	for _, tt := range tests {
		kinds = slices.DeleteFunc(kinds, func(k sendertest.Kind) bool { return k == tt.kind })
		t.Run(string(tt.kind), func(t *testing.T) {
			bubble(t, func(t *testing.T, n *sendertest.Network) {
				s := newStreet(t, n, sendertest.ProviderConfig{Kind: tt.kind, Thresholds: sendertest.Thresholds{
					NewAllowance: 2, MinSample: 4, RequireReverseDNS: true}})
				domain := s.provider.Domains()[0]
				expect := func(what, to string, data []byte, want string) {
					t.Helper()
					got := ""
					if err := s.deliver(t, stranger, to, data); err != nil {
						got = saying(err)
					}
					if !strings.HasPrefix(got, want) || want == "" && got != "" {
						t.Errorf("%s:\ngot  %s\nwant %s", what, got, want)
					}
				}
				mx, err := ask(t, n, s.dns, "udp", domain+".", dnsmessage.TypeMX, 1232)
				if err != nil || len(mx.Answers) == 0 || !strings.HasSuffix(mx.Answers[0].Body.(*dnsmessage.MXResource).MX.String(), tt.mx) {
					t.Errorf("MX: %s", brief(mx))
				}
				expect("no PTR", "user@"+domain, s.signed, tt.reversed)
				must(t, s.dns.AddPTR(stranger, "mta.example.com"))
				expect("PTR to elsewhere", "user@"+domain, s.signed, tt.reversed)
				must(t, s.dns.AddAddr("mta.example.com", stranger))
				expect("unsigned", "user@"+domain, body(300), tt.unsigned)
				expect("first", "user@"+domain, s.signed, "")
				expect("unknown", "unknown1@"+domain, s.signed, tt.unknown)
				expect("second", "user@"+domain, s.signed, "")
				expect("third", "user@"+domain, s.signed, tt.rate)
				time.Sleep(time.Hour)
				for i := range 4 {
					expect("guessing", fmt.Sprintf("unknown1%d@%s", i, domain), s.signed, tt.unknown[:4])
				}
				expect("blocked", "user@"+domain, s.signed, tt.blocked)
				time.Sleep(4 * time.Hour)
				expect("forgiven", "user@"+domain, s.signed, "")
				if s.provider.Inbox().Len() != 3 {
					t.Errorf("%d messages, want 3", s.provider.Inbox().Len())
				}
				reports := s.provider.Report()
				if len(reports) != 1 {
					t.Fatalf("%d sources", len(reports))
				}
				r := reports[0]
				want := map[bounce.Category]int{bounce.NoReverseDNS: 2, bounce.AuthFailure: 1, bounce.BadMailbox: 5, bounce.RateLimited: 1,
					bounce.ReputationBlock: 1}
				if r.Source != stranger || r.Accepted != 3 || r.Unknown != 5 || r.Deferred+r.Rejected != 10 ||
					fmt.Sprint(r.Reasons) != fmt.Sprint(want) {
					t.Errorf("report %+v", r)
				}
			})
		})
	}
	if len(kinds) > 0 {
		t.Errorf("not tested: %v", kinds)
	}
}

// TestProviderAllowance: a source's allowance grows with good windows, is exact, and shrinks when the sender keeps on trying.
func TestProviderAllowance(t *testing.T) {
	for _, kind := range sendertest.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			bubble(t, func(t *testing.T, n *sendertest.Network) {
				s := newStreet(t, n, sendertest.ProviderConfig{Kind: kind, Thresholds: sendertest.Thresholds{
					NewAllowance: 4, Growth: 2, MaxAllowance: 20, AllowUnsigned: true}})
				steps := []struct{ attempts, accepted int }{
					{3, 3},   // half used: grows
					{8, 8},   // 8
					{20, 16}, // 16
					{20, 20}, // at most 20
					{50, 20}, // and turned away 30 times: halved
					{1, 1},   // 10, hardly used: stays
					{50, 10}, // 10, turned away 40 times: halved
					{50, 5},  // 5, turned away: halved, not below 4
					{50, 4},
				}
				for i, step := range steps {
					accepted := 0
					for range step.attempts {
						if s.deliver(t, stranger, "user@"+s.provider.Domains()[0], body(1)) == nil {
							accepted++
						}
					}
					if accepted != step.accepted {
						t.Errorf("window %d: %d accepted, want %d", i, accepted, step.accepted)
					}
					time.Sleep(time.Hour)
				}
				for range 20 {
					must(t, s.deliver(t, trusty, "user@"+s.provider.Domains()[0], body(1)))
				}
			})
		})
	}
}

// TestProviderAlignment: only a valid signature of the domain in From, or one in its organisation, counts.
func TestProviderAlignment(t *testing.T) {
	bubble(t, func(t *testing.T, n *sendertest.Network) {
		s := newStreet(t, n, sendertest.ProviderConfig{Kind: sendertest.GmailLike})
		for domain, ok := range map[string]bool{"example.com": true, "mail.example.com": true, "example.net": false, "com": false} {
			s.dns.Remove("s._domainkey." + domain)
			data := sign(t, body(300), domain, signer(t, s.dns, domain))
			if err := s.deliver(t, stranger, "user@gmail.example", data); (err == nil) != ok {
				t.Errorf("signed by %s: %v, want ok %v", domain, err, ok)
			}
		}
		two := append([]byte("From: <other@example.com>\r\n"), body(300)...)
		if err := s.deliver(t, stranger, "user@gmail.example", two); codeOf(err) != 550 {
			t.Errorf("two From: %v", err)
		}
	})
}

// TestYahooCloses: the connection ends after 20 messages, without a 421.
func TestYahooCloses(t *testing.T) {
	bubble(t, func(t *testing.T, n *sendertest.Network) {
		s := newStreet(t, n, sendertest.ProviderConfig{Kind: sendertest.YahooLike})
		c := dialSMTP(t, n, s.provider.Servers()[0].Addr())
		defer c.Close()
		for range 20 {
			must(t, transact(c, "news@example.com", "user@yahoo.example", s.signed))
		}
		synctest.Wait()
		if err := c.Noop(); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.EPIPE) {
			t.Errorf("after 20 messages: %v", err)
		}
	})
}

// TestDocomoRecipients: a session may name 100 recipients.
func TestDocomoRecipients(t *testing.T) {
	bubble(t, func(t *testing.T, n *sendertest.Network) {
		s := newStreet(t, n, sendertest.ProviderConfig{Kind: sendertest.DocomoLike})
		c := dialSMTP(t, n, s.provider.Servers()[1].Addr())
		defer c.Close()
		must(t, c.Mail("news@example.com", nil))
		for i := range 101 {
			if err := c.Rcpt(fmt.Sprintf("user%d@docomo.example", i), nil); (err != nil) != (i == 100) {
				t.Fatalf("recipient %d: %v", i, err)
			}
		}
	})
}

func TestProviderConfigValidate(t *testing.T) {
	n := sendertest.NewNetwork()
	defer n.Close()
	d := startDNS(t, n)
	tests := map[string]sendertest.ProviderConfig{
		"ProviderConfig.Kind":              {},
		"ProviderConfig.Thresholds.Growth": {Kind: sendertest.GmailLike, Thresholds: sendertest.Thresholds{Growth: 0.5}},
		"ProviderConfig.Thresholds.Window": {Kind: sendertest.GmailLike, Thresholds: sendertest.Thresholds{Window: -1}},
		"ProviderConfig.Thresholds.Block":  {Kind: sendertest.GmailLike, Thresholds: sendertest.Thresholds{BlockFor: -1}},
		"ProviderConfig.Thresholds.MaxUn":  {Kind: sendertest.GmailLike, Thresholds: sendertest.Thresholds{MaxUnknownShare: 2}},
		"ProviderConfig.Thresholds:":       {Kind: sendertest.GmailLike, Thresholds: sendertest.Thresholds{MinSample: -1}},
		"malformed name":                   {Kind: sendertest.GmailLike, Domains: []string{"a..example"}},
	}
	for field, config := range tests {
		if _, err := sendertest.StartProvider(n, d, config); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: error %v", field, err)
		}
	}
}

// TestProvidersTogether starts all four on one network, with TLS, as a host's test would.
func TestProvidersTogether(t *testing.T) {
	bubble(t, func(t *testing.T, n *sendertest.Network) {
		d, ca := startDNS(t, n), newCA(t)
		for _, kind := range sendertest.Kinds() {
			p, err := sendertest.StartProvider(n, d, sendertest.ProviderConfig{Kind: kind, CA: ca,
				Domains: []string{string(kind) + ".example", string(kind) + "2.example"}})
			must(t, err)
			defer p.Close()
			for _, domain := range p.Domains() {
				mx, err := ask(t, n, d, "udp", domain+".", dnsmessage.TypeMX, 1232)
				must(t, err)
				for _, r := range mx.Answers {
					a, err := ask(t, n, d, "udp", r.Body.(*dnsmessage.MXResource).MX.String(), dnsmessage.TypeA, 1232)
					if err != nil || len(a.Answers) == 0 || len(a.Answers)*len(mx.Answers) != 2 {
						t.Errorf("%s: %s; %s", domain, brief(mx), brief(a))
					}
				}
			}
		}
	})
}
