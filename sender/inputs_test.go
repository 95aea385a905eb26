package sender_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/transport"
	"github.com/reputemail/repute/throttle"
	"github.com/reputemail/repute/warmup"
)

// TestNewRefusesWhatItWouldIgnore: settings of a default part beside a part of the host's own.
func TestNewRefusesWhatItWouldIgnore(t *testing.T) {
	st := newStage(t)
	for field, set := range map[string]func(c *sender.Config){
		"Limits":        func(c *sender.Config) { c.Limits = map[string]throttle.Limits{"google": {}} },
		"Backoff":       func(c *sender.Config) { c.Backoff.BlocksInRow = 3 },
		"DNS":           func(c *sender.Config) { c.DNS = []string{"192.0.2.53:53"} },
		"AllowLoopback": func(c *sender.Config) { c.AllowLoopback = true },
		"AllowPrivate":  func(c *sender.Config) { c.AllowPrivate = true },
		"TLS":           func(c *sender.Config) { c.TLS = &tls.Config{} },
		"DialDNS": func(c *sender.Config) {
			c.DialDNS = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no") }
		},
		"Dial": func(c *sender.Config) {
			c.Dial = func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) { return nil, errors.New("no") }
		},
		"WarmupStore": func(c *sender.Config) {
			c.Pacer, c.WarmupStore = stagePacer{st}, warmup.NewMemoryStore()
		},
	} {
		cfg := st.config("a")
		set(&cfg)
		_, err := sender.New(cfg)
		var ce *sender.ConfigError
		if !errors.As(err, &ce) || ce.Field != field {
			t.Errorf("%s: error is %v", field, err)
		}
	}
}

// TestGreetingNames: RFC 5321 section 4.1.3 writes IPv6 literals with a tag, and others without.
func TestGreetingNames(t *testing.T) {
	for name, good := range map[string]bool{
		"out.example.org":    true,
		"[192.0.2.1]":        true,
		"[IPv6:2001:db8::1]": true,
		"[2001:db8::1]":      false,
		"[IPv6:192.0.2.1]":   false,
		"[192.0.2.1":         false,
		"[]":                 false,
		"192.0.2.1":          false,
		"123.456":            false,
	} {
		cfg := newStage(t).config("a")
		cfg.Routes[0].Hostname = name
		_, err := sender.New(cfg)
		var ce *sender.ConfigError
		if good && err != nil || !good && (!errors.As(err, &ce) || ce.Field != "Routes[0].Hostname") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAddressesThatNoReceiverMaySee are refused by Enqueue.
func TestAddressesThatNoReceiverMaySee(t *testing.T) {
	s, err := sender.New(newStage(t).config("a"))
	if err != nil {
		t.Fatal(err)
	}
	for address, good := range map[string]bool{
		"x@x.example":               true,
		"x@[192.0.2.1]":             true,
		"x@[IPv6:2001:db8::1]":      true,
		"x@[2001:db8::1]":           false,
		"x@[IPv6:192.0.2.1]":        false,
		"x@192.0.2.1":               false,
		"x@123.456":                 false,
		"a\u0085b@x.example":        false,
		"a\u009fb@x.example":        false,
		"a\u2028b@x.example":        false,
		"a\u2029b@x.example":        false,
		"\"a\u0085b\"@x.example":    false,
		"\"a\u2028b\"@x.example":    false,
		"\"a\\\u2028b\"@x.example":  false,
		"\"john doe\"@x.example":    true,
		"\"john\r\ndoe\"@x.example": false,
	} {
		_, err := s.Enqueue(context.Background(), sender.Message{From: "news@example.org", To: []string{address}, Data: note("x@x.example").Data})
		var fe *sender.FieldError
		if good && err != nil || !good && !errors.As(err, &fe) {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// TestAMappedSourceAddress: an IPv4 address in the form for IPv6 sockets is an IPv4 address.
func TestAMappedSourceAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		cfg := st.config("a")
		cfg.Routes[0].LocalAddr = "::ffff:198.51.100.1"
		s := st.start(cfg)
		st.enqueue(s, "", "one@x.example")
		time.Sleep(time.Second)
		if got := get(st, func() []transport.Target { return st.targets }); len(got) != 1 || got[0].LocalAddr != coldAddr {
			t.Errorf("dialled %+v", got)
		}
	})
}

// TestNoAddressShowsAnywhere: a receiver that repeats the address does not bring it into events and explanations.
func TestNoAddressShowsAnywhere(t *testing.T) {
	for _, recipient := range []string{"john.doe@x.example", `"john doe"@x.example`} {
		t.Run(recipient, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t)
				local := strings.Trim(strings.TrimSuffix(recipient, "@x.example"), `"`)
				st.transact = answers(said(bounce.StageRcpt, 451, fmt.Sprintf("4.2.1 <%s>: mailbox=%s, user %s cannot take mail", recipient, local, local)))
				cfg := st.config("a")
				cfg.PlainAddresses = false
				cfg.Streams = []sender.Stream{{Name: "default", ExpireAfter: 2 * time.Hour}}
				s := st.start(cfg)
				m := note(recipient)
				m.ID = "1" // a random one might have such letters
				r, err := s.Enqueue(context.Background(), m)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				ex := st.explain(s, r.MessageID)
				if len(ex.History) != 1 || !waitsFor(ex, sender.WaitRetry) {
					t.Fatalf("explained as %+v", ex)
				}
				time.Sleep(3 * time.Hour)
				shown := map[string]any{"the history": ex.History, "a wait": ex.Waits, "the end of the history": st.explain(s, r.MessageID).History}
				for _, typ := range []sender.EventType{sender.EventAccepted, sender.EventDeferred, sender.EventExpired} {
					e := st.of(typ)
					if len(e) == 0 {
						t.Errorf("no event %s", typ)
					}
					shown["event "+string(typ)] = e
				}
				for what, v := range shown {
					if text := mustJSON(v); strings.Contains(text, "john") || strings.Contains(text, "doe") {
						t.Errorf("%s shows %s", what, text)
					}
				}
			})
		})
	}
}
