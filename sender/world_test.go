package sender_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/sendertest"
)

// world is a small internet in memory: name servers, mail exchangers, and what the Sender told its Observer.
type world struct {
	t    testing.TB
	net  *sendertest.Network
	dns  *sendertest.DNS
	ca   *sendertest.CA
	next byte

	mu     sync.Mutex
	events []sender.Event
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, net: sendertest.NewNetwork(), next: 30}
	var err error
	if w.dns, err = sendertest.StartDNS(w.net, netip.MustParseAddrPort("192.0.2.53:53")); err != nil {
		t.Fatal(err)
	}
	if w.ca, err = sendertest.NewCA(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.dns.Close()
		w.net.Close()
	})
	return w
}

// mx starts a mail exchanger for a domain.
func (w *world) mx(domain string, cfg sendertest.ServerConfig) *sendertest.Server {
	w.t.Helper()
	w.next++
	addr := netip.AddrFrom4([4]byte{192, 0, 2, w.next})
	cfg.Hostname = "mx." + domain
	cfg.Addr = netip.AddrPortFrom(addr, 25)
	srv, err := sendertest.StartServer(w.net, cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.must(w.dns.AddMX(domain, 10, cfg.Hostname))
	w.must(w.dns.AddA(cfg.Hostname, addr))
	w.t.Cleanup(func() { srv.Close() })
	return srv
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// config is a Config on this world with one direct route.
func (w *world) config() sender.Config {
	cfg := sender.Config{
		Routes:         []sender.Route{{Name: "direct", LocalAddr: "198.51.100.1", Hostname: "out.example.org"}},
		DNS:            []string{w.dns.Addr()},
		Dial:           w.net.Dial,
		DialDNS:        w.net.DialContext,
		PlainAddresses: true,
		Classifier:     classifier(),
		Observer: sender.ObserverFunc(func(e sender.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, e)
		}),
	}
	if testing.Verbose() && os.Getenv("REPUTE_TEST_LOG") != "" {
		cfg.Logger = slog.New(slog.NewTextHandler(w.t.Output(), nil))
	}
	return cfg
}

// start makes and starts a Sender that stops with the test.
func (w *world) start(cfg sender.Config) *sender.Sender {
	w.t.Helper()
	s, err := sender.New(cfg)
	w.must(err)
	w.must(s.Start(context.Background()))
	w.t.Cleanup(func() { s.Stop(context.Background()) })
	return s
}

// of returns the events of the given types so far.
func (w *world) of(types ...sender.EventType) []sender.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []sender.Event
	for _, e := range w.events {
		for _, t := range types {
			if e.Type == t {
				out = append(out, e)
			}
		}
	}
	return out
}

// classifier is shared by all tests: it is immutable, and making it takes a while.
var classifier = sync.OnceValue(func() *bounce.Classifier {
	c, err := bounce.NewClassifier(bounce.Config{})
	if err != nil {
		panic(err)
	}
	return c
})

// note is a valid message to some recipients.
func note(to ...string) sender.Message {
	return sender.Message{
		From: "news@example.org", To: to,
		Data: []byte("From: News <news@example.org>\r\nTo: <" + to[0] + ">\r\nSubject: Note\r\n\r\nHello.\r\n"),
	}
}

// users are n different recipients of a domain.
func users(n int, domain string) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("user%d@%s", i, domain)
	}
	return out
}

// enqueue enqueues one message for each recipient.
func (w *world) enqueue(s *sender.Sender, to ...string) {
	w.t.Helper()
	for _, r := range to {
		if _, err := s.Enqueue(context.Background(), note(r)); err != nil {
			w.t.Fatal(err)
		}
	}
}

// send sends one message to one recipient and returns its outcome.
func (w *world) send(s *sender.Sender, m sender.Message) sender.Outcome {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Hour)
	defer cancel()
	out, err := s.Send(ctx, m)
	w.must(err)
	if len(out) != 1 {
		w.t.Fatalf("%d outcomes", len(out))
	}
	return out[0]
}

func wantOutcome(t testing.TB, got sender.Outcome, state queue.State, category bounce.Category) {
	t.Helper()
	if got.State != state || got.Verdict.Category != category {
		t.Fatalf("got %s, %s (%s), want %s, %s", got.State, got.Verdict.Category, strings.TrimSpace(got.Reply.String()), state, category)
	}
}

// nobody is an address at which nobody listens.
var nobody = netip.MustParseAddr("192.0.2.250")

// memoryGate suppresses what verdicts call dead.
type memoryGate struct {
	mu   sync.Mutex
	dead map[string]bounce.Verdict
	err  error
}

func (g *memoryGate) Admit(_ context.Context, r sender.Recipient) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if v, dead := g.dead[r.Address]; dead {
		return "suppressed: " + string(v.Category), g.err
	}
	return "", g.err
}

func (g *memoryGate) Suppress(_ context.Context, r sender.Recipient, v bounce.Verdict) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dead == nil {
		g.dead = map[string]bounce.Verdict{}
	}
	g.dead[r.Address] = v
	return nil
}

func (g *memoryGate) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err = err
}

// clientTLS trusts the test's own authority.
func clientTLS(ca *sendertest.CA) *tls.Config { return &tls.Config{RootCAs: ca.Pool()} }

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// await sleeps until a condition holds, up to a time.
func (w *world) await(done func() bool, atMost time.Duration) {
	w.t.Helper()
	for end := time.Now().Add(atMost); !done(); {
		if !time.Now().Before(end) {
			w.t.Fatalf("not done within %v", atMost)
		}
		time.Sleep(time.Second)
	}
}

// classifierFunc is a Classifier of one function.
type classifierFunc func(provider string, r bounce.Reply) bounce.Verdict

func (f classifierFunc) Classify(provider string, r bounce.Reply) bounce.Verdict {
	return f(provider, r)
}

// certified is the TLS of a server with a certificate for a name.
func (w *world) certified(name string) *tls.Config {
	w.t.Helper()
	cert, err := w.ca.Certificate(name)
	w.must(err)
	return &tls.Config{Certificates: []tls.Certificate{cert}}
}
