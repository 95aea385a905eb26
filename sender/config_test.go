package sender_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-sasl"

	"github.com/reputemail/repute/auth"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/transport"
	"github.com/reputemail/repute/throttle"
	"github.com/reputemail/repute/warmup"
)

func TestNewRefusesBadConfig(t *testing.T) {
	relay := func(r sender.Relay) func(*sender.Config) {
		return func(c *sender.Config) { c.Routes[0].Relay = &r }
	}
	for _, c := range []struct {
		field  string
		change func(*sender.Config)
	}{
		{"Routes", func(c *sender.Config) { c.Routes = nil }},
		{"Routes[0].Name", func(c *sender.Config) { c.Routes[0].Name = "" }},
		{"Routes[0].Name", func(c *sender.Config) { c.Routes[0].Name = "a b" }},
		{"Routes[0].Name", func(c *sender.Config) { c.Routes[0].Name = strings.Repeat("a", 65) }},
		{"Routes[1].Name", func(c *sender.Config) { c.Routes = append(c.Routes, c.Routes[0]) }},
		{"Routes[0].LocalAddr", func(c *sender.Config) { c.Routes[0].LocalAddr = "192.0.2.1:25" }},
		{"Routes[0].Hostname", func(c *sender.Config) { c.Routes[0].Hostname = "" }},
		{"Routes[0].Hostname", func(c *sender.Config) { c.Routes[0].Hostname = "localhost" }},
		{"Routes[0].Hostname", func(c *sender.Config) { c.Routes[0].Hostname = "192.0.2.1" }},
		{"Routes[0].Hostname", func(c *sender.Config) { c.Routes[0].Hostname = "[192.0.2]" }},
		{"Routes[0].Hostname", func(c *sender.Config) { c.Routes[0].Hostname = "a.example\r\nMAIL" }},
		{"Routes[0].TLS", func(c *sender.Config) { c.Routes[0].TLS = transport.TLSImplicit }},
		{"Routes[0].TLS", func(c *sender.Config) { c.Routes[0].TLS = "some" }},
		{"Routes[0].Warmup", func(c *sender.Config) { c.Routes[0].Warmup = warmup.Geometric(0, 1.4, 100) }},
		{"Routes[0].Warmup", func(c *sender.Config) {
			c.Routes[0].Warmup = warmup.Moderate(1000)
			c.Routes[0].Relay = &sender.Relay{Addr: "192.0.2.1:25"}
		}},
		{"Routes[0].Relay.Addr", relay(sender.Relay{})},
		{"Routes[0].Relay.Addr", relay(sender.Relay{Addr: "relay.example"})},
		{"Routes[0].Relay.Addr", relay(sender.Relay{Addr: "relay.example:smtp"})},
		{"Routes[0].Relay.TLS", relay(sender.Relay{Addr: "relay.example:25", TLS: "some"})},
		{"Pools[0].Name", func(c *sender.Config) { c.Pools = []sender.Pool{{Routes: []string{"direct"}}} }},
		{"Pools[1].Name", func(c *sender.Config) {
			c.Pools = []sender.Pool{{Name: "a", Routes: []string{"direct"}}, {Name: "a", Routes: []string{"direct"}}}
		}},
		{"Pools[0].Routes", func(c *sender.Config) { c.Pools = []sender.Pool{{Name: "a"}} }},
		{"Pools[0].Routes[0]", func(c *sender.Config) { c.Pools = []sender.Pool{{Name: "a", Routes: []string{"none"}}} }},
		{"Pools[0].Overflow[0]", func(c *sender.Config) {
			c.Pools = []sender.Pool{{Name: "a", Routes: []string{"direct"}, Overflow: []string{"direct"}}}
		}},
		{"Pools[0].Weights[\"other\"]", func(c *sender.Config) {
			c.Pools = []sender.Pool{{Name: "a", Routes: []string{"direct"}, Weights: map[string]int{"other": 1}}}
		}},
		{"Pools[0].Weights[\"direct\"]", func(c *sender.Config) {
			c.Pools = []sender.Pool{{Name: "a", Routes: []string{"direct"}, Weights: map[string]int{"direct": 0}}}
		}},
		{"Routes[0].Cap.Connections", func(c *sender.Config) { c.Routes[0].Cap.Connections = -1 }},
		{"Limits, Backoff, ProviderCaps, MaxMessageRate, ThrottleOwner, ThrottleTTL or Routes' Cap or Relay.Limits", func(c *sender.Config) {
			c.ProviderCaps = map[string]throttle.Cap{"gogle": {Connections: 1}}
		}},
		{"Streams[0].Name", func(c *sender.Config) { c.Streams = []sender.Stream{{}} }},
		{"Streams[0].Pool", func(c *sender.Config) { c.Streams = []sender.Stream{{Name: "a", Pool: "none"}} }},
		{"Streams[0].ExpireAfter", func(c *sender.Config) { c.Streams = []sender.Stream{{Name: "a", ExpireAfter: time.Second}} }},
		{"Streams[0].Weight", func(c *sender.Config) { c.Streams = []sender.Stream{{Name: "a", Weight: -1}} }},
		{"Streams[0].Weight", func(c *sender.Config) { c.Streams = []sender.Stream{{Name: "a", Weight: 1001}} }},
		{"DNS[0]", func(c *sender.Config) { c.DNS = []string{"192.0.2.53"} }},
		{"Port", func(c *sender.Config) { c.Port = 65536 }},
		{"Port", func(c *sender.Config) { c.Port = -1 }},
		{"MaxMessageSize", func(c *sender.Config) { c.MaxMessageSize = -1 }},
		{"MaxRecipients", func(c *sender.Config) { c.MaxRecipients = 1001 }},
		{"MaxConnections", func(c *sender.Config) { c.MaxConnections = -1 }},
		{"Streams[0].Signer", func(c *sender.Config) { c.Streams = []sender.Stream{{Name: "a", Signer: (*auth.Signer)(nil)}} }},
		{"Queue", func(c *sender.Config) { c.Queue = (*queue.Memory)(nil) }},
		{"Observer", func(c *sender.Config) { c.Observer = sender.ObserverFunc(nil) }},
		{"Retry.Greylisted", func(c *sender.Config) { c.Retry.Greylisted = -1 }},
		{"Retry.Longest", func(c *sender.Config) { c.Retry.Longest = time.Minute }},
	} {
		cfg := offline()
		c.change(&cfg)
		_, err := sender.New(cfg)
		var ce *sender.ConfigError
		if !errors.As(err, &ce) || ce.Field != c.field || ce.Reason == "" {
			t.Errorf("%s: error is %v", c.field, err)
		}
	}
	cfg := offline()
	cfg.Limits = map[string]throttle.Limits{"gogle": {}}
	if _, err := sender.New(cfg); err == nil || !strings.Contains(err.Error(), "gogle") {
		t.Errorf("limits of a provider that does not exist: %v", err)
	}
}

func TestNewTakesTheLeastConfig(t *testing.T) {
	for name, cfg := range map[string]sender.Config{
		"direct": {Routes: offline().Routes, DNS: offline().DNS},
		"relay":  {Routes: []sender.Route{{Name: "esp", Relay: &sender.Relay{Addr: "192.0.2.1:587", Auth: sasl.NewPlainClient("", "u", "p")}}}},
	} {
		s, err := sender.New(cfg)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		r, err := s.Enqueue(context.Background(), note("anna@example.com"))
		if err != nil || r.MessageID == "" || len(r.Deliveries) != 1 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		ex, err := s.Explain(context.Background(), r.MessageID)
		if err != nil || len(ex) != 1 || len(ex[0].Waits) != 1 || ex[0].Waits[0].Reason != sender.WaitStopped {
			t.Errorf("%s: explained as %+v, %v", name, ex, err)
		}
	}
}

func TestTwoSendersInOneProcess(t *testing.T) {
	a, err := sender.New(offline())
	if err != nil {
		t.Fatal(err)
	}
	b, err := sender.New(offline())
	if err != nil {
		t.Fatal(err)
	}
	m := note("anna@example.com")
	m.ID = "same"
	for _, s := range []*sender.Sender{a, b} {
		if r, err := s.Enqueue(context.Background(), m); err != nil || r.Duplicate {
			t.Errorf("%+v, %v", r, err)
		}
	}
}
