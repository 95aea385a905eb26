package sqlqueue_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/sender/transport"
	"github.com/reputemail/repute/throttle"
)

// sink is a mail server on the loopback interface that counts what arrives, by the message's ID and the recipient.
type sink struct {
	addr string

	mu  sync.Mutex
	got map[string]int
}

// idHeader has the message's ID in the test.
const idHeader = "X-Test-Id"

func newSink(t *testing.T) *sink {
	t.Helper()
	s := &sink{got: map[string]int{}}
	inbox, err := sendertest.NewInbox(sendertest.InboxConfig{Keep: sendertest.KeepCount, OnMessage: func(r sendertest.Received) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, to := range r.To {
			s.got[r.Header(idHeader)[0]+" "+to]++
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	network := sendertest.NewTCPNetwork()
	t.Cleanup(func() { network.Close() })
	server, err := sendertest.StartServer(network, sendertest.ServerConfig{Inbox: inbox, Script: sendertest.Script{
		OnMail: func(s *sendertest.Session, _ string) *sendertest.Answer {
			time.Sleep(rand.N(10 * time.Millisecond))
			return nil
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	s.addr = server.RealAddr()
	return s
}

// arrived returns how often each delivery arrived.
func (s *sink) arrived() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := make(map[string]int, len(s.got))
	for k, n := range s.got {
		c[k] = n
	}
	return c
}

// senderTo is a Sender that relays everything to a sink.
func senderTo(addr string, q sender.Queue) (*sender.Sender, error) {
	return sender.New(senderConfig(addr, q))
}

func senderConfig(addr string, q sender.Queue) sender.Config {
	return sender.Config{
		Routes: []sender.Route{{Name: "sink", Hostname: "test.example.com", Relay: &sender.Relay{
			Addr: addr, TLS: transport.TLSNone, Limits: &throttle.Limits{Connections: 8},
		}}},
		Streams:    []sender.Stream{{Name: "news", ExpireAfter: time.Hour}},
		Queue:      q,
		Classifier: classifier(),
	}
}

// letter is a message of the test; some have two recipients, who are not served together.
func letter(id string, recipients int) sender.Message {
	m := sender.Message{ID: id, From: "a@example.com", Data: fmt.Appendf(nil,
		"From: a@example.com\r\nSubject: Test\r\n%s: %s\r\n\r\nHello.\r\n", idHeader, id)}
	for n := range recipients {
		m.To = append(m.To, recipient(n))
	}
	return m
}

func recipient(n int) string { return fmt.Sprintf("r@d%d.example.com", n) }
