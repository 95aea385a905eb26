package dnsx

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// servers are in-memory name servers: for each address a function that answers a question, or returns nil to stay silent.
type servers map[string]func(network string, q *dns.Msg) []byte

// dial connects to one of them.
func (s servers) dial(ctx context.Context, network, address string) (net.Conn, error) {
	answer := s[address]
	if answer == nil {
		return nil, errors.New("connection refused")
	}
	client, server := net.Pipe()
	go func() {
		defer server.Close()
		conn := &dns.Conn{Conn: server}
		for {
			q, err := conn.ReadMsg()
			if err != nil {
				return
			}
			if wire := answer(network, q); wire != nil {
				if _, err := conn.Write(wire); err != nil {
					return
				}
			}
		}
	}()
	return client, nil
}

const first, second = "192.0.2.53:53", "198.51.100.53:53"

// client makes a Client that asks the two servers.
func (s servers) client(t testing.TB) *Client {
	t.Helper()
	c, err := New(Config{Servers: []string{first, second}, Dial: s.dial})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// pack is a message on the wire.
func pack(m *dns.Msg) []byte {
	m.Compress = true
	wire, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return wire
}

// reply answers q with records in the form of a zone file; those beginning with "authority " go to the authority section.
func reply(q *dns.Msg, rcode int, records ...string) *dns.Msg {
	m := new(dns.Msg).SetRcode(q, rcode)
	m.RecursionAvailable = true
	for _, r := range records {
		text, authority := strings.CutPrefix(r, "authority ")
		rr, err := dns.NewRR(text)
		if err != nil {
			panic(err)
		}
		if authority {
			m.Ns = append(m.Ns, rr)
		} else {
			m.Answer = append(m.Answer, rr)
		}
	}
	return m
}

// zone answers from a map of "name type" to records; "nxdomain", "servfail" or "refused" may stand for them. What is not in it does not exist.
type zone map[string][]string

func (z zone) answer(_ string, q *dns.Msg) []byte {
	records, ok := z[strings.ToLower(q.Question[0].Name)+" "+dns.TypeToString[q.Question[0].Qtype]]
	switch {
	case !ok:
		return pack(reply(q, dns.RcodeNameError, "authority example. 3600 IN SOA ns.example. host.example. 1 2 3 4 900"))
	case len(records) == 0:
		return pack(reply(q, dns.RcodeSuccess, "authority example. 600 IN SOA ns.example. host.example. 1 2 3 4 900"))
	}
	switch records[0] {
	case "nxdomain":
		return pack(reply(q, dns.RcodeNameError, records[1:]...))
	case "servfail":
		return pack(reply(q, dns.RcodeServerFailure))
	case "refused":
		return pack(reply(q, dns.RcodeRefused))
	}
	return pack(reply(q, dns.RcodeSuccess, records...))
}

func TestNew(t *testing.T) {
	for _, test := range []struct {
		name string
		cfg  Config
		want string // in the error
	}{
		{"good", Config{Servers: []string{"192.0.2.1:53", "[2001:db8::1]:53", "ns.example.com:5353"}}, ""},
		{"no port", Config{Servers: []string{"192.0.2.1:53", "192.0.2.1"}}, "Config.Servers[1]"},
		{"no host", Config{Servers: []string{":53"}}, "Config.Servers[0]"},
		{"port zero", Config{Servers: []string{"192.0.2.1:0"}}, "Config.Servers[0]"},
		{"named port", Config{Servers: []string{"192.0.2.1:domain"}}, "Config.Servers[0]"},
		{"time-out", Config{Timeout: -1}, "Config.Timeout"},
		{"attempts", Config{Attempts: 11}, "Config.Attempts"},
		{"negative attempts", Config{Attempts: -1}, "Config.Attempts"},
	} {
		c, err := New(test.cfg)
		if (c == nil) == (err == nil) {
			t.Errorf("%s: Client %v and error %v", test.name, c, err)
		}
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
	c, err := New(Config{Servers: []string{first}})
	if err != nil {
		t.Fatal(err)
	}
	if c.cfg.Timeout != 5*time.Second || c.cfg.Attempts != 2 || c.cfg.Dial == nil || !reflect.DeepEqual(c.Servers(), []string{first}) {
		t.Errorf("defaults: %+v", c.cfg)
	}
}

func TestSystemServers(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	got, err := systemServers(write("good", "# comment\nsearch example.com\nnameserver 192.0.2.53\nnameserver 2001:db8::53\noptions timeout:1\n"))
	if want := []string{"192.0.2.53:53", "[2001:db8::53]:53"}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	for _, file := range []string{write("none", "search example.com\n"), filepath.Join(dir, "missing")} {
		if got, err := systemServers(file); err == nil || !strings.Contains(err.Error(), "Config.Servers") {
			t.Errorf("%s: got %v, %v", filepath.Base(file), got, err)
		}
	}
}
