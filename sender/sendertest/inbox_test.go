package sendertest_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/reputemail/repute/sender/sendertest"
)

// signer makes an Ed25519 key and publishes it for a domain, selector "s".
func signer(t testing.TB, d *sendertest.DNS, domain string) crypto.Signer {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	must(t, d.AddTXT("s._domainkey."+domain, "v=DKIM1; k=ed25519; p="+base64.StdEncoding.EncodeToString(public)))
	return private
}

// sign puts a DKIM signature before a message.
func sign(t testing.TB, data []byte, domain string, key crypto.Signer) []byte {
	t.Helper()
	var out bytes.Buffer
	err := dkim.Sign(&out, bytes.NewReader(data), &dkim.SignOptions{Domain: domain, Selector: "s", Signer: key,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed})
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestInboxVerifyDKIM(t *testing.T) {
	bubble(t, func(t *testing.T, n *sendertest.Network) {
		d := startDNS(t, n)
		good, unpublished := signer(t, d, "example.com"), signer(t, d, "example.net")
		d.Remove("s._domainkey.example.net")
		s := startServer(t, n, sendertest.ServerConfig{})
		c := dialSMTP(t, n, s.Addr())
		defer c.Close()
		signed := sign(t, body(300), "example.com", good)
		tests := []struct {
			name string
			data []byte
			want string // the signatures: domain and whether valid
			ok   bool
		}{
			{"valid", signed, "example.com true", true},
			{"two, one without a key", sign(t, signed, "example.net", unpublished), "example.net false, example.com true", false},
			{"changed", append(bytes.Clone(signed), "more\r\n"...), "example.com false", false},
			{"unsigned", body(300), "", false},
		}
		for _, tt := range tests {
			s.Inbox().Reset()
			must(t, transact(c, "a@example.com", "b@example.org", tt.data))
			signatures, err := s.Inbox().Messages()[0].VerifyDKIM(d)
			must(t, err)
			var got []string
			for _, sig := range signatures {
				got = append(got, fmt.Sprint(sig.Domain, " ", sig.Err == nil))
			}
			if strings.Join(got, ", ") != tt.want {
				t.Errorf("%s: signatures %q, want %q", tt.name, got, tt.want)
			}
			if err := s.Inbox().VerifyDKIM(d); (err == nil) != tt.ok || err != nil && !strings.Contains(err.Error(), "b@example.org") {
				t.Errorf("%s: VerifyDKIM: %v, want ok %v", tt.name, err, tt.ok)
			}
		}
	})
}

func TestInboxKeep(t *testing.T) {
	data := "Subject: a\r\n\r\nbody\r\n"
	tests := []struct {
		config sendertest.InboxConfig
		send   int
		kept   int
		data   string
	}{
		{sendertest.InboxConfig{}, 3, 3, data},
		{sendertest.InboxConfig{Keep: sendertest.KeepHeader}, 3, 3, "Subject: a\r\n\r\n"},
		{sendertest.InboxConfig{Keep: sendertest.KeepCount}, 3, 0, ""},
		{sendertest.InboxConfig{Limit: 1}, 5, 1, data},
		{sendertest.InboxConfig{Limit: 3}, 10, 3, data},
		{sendertest.InboxConfig{Limit: 3}, 2, 2, data},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%+v", tt.config), func(t *testing.T) {
			bubble(t, func(t *testing.T, n *sendertest.Network) {
				var seen []string
				config := tt.config
				config.OnMessage = func(r sendertest.Received) { seen = append(seen, r.From+" "+string(r.Data)) }
				inbox, err := sendertest.NewInbox(config)
				must(t, err)
				s := startServer(t, n, sendertest.ServerConfig{Inbox: inbox})
				c := dialSMTP(t, n, s.Addr())
				defer c.Close()
				for i := range tt.send {
					must(t, transact(c, fmt.Sprintf("%d@example.com", i), "b@example.org", []byte(data)))
				}
				kept := inbox.Messages()
				if inbox.Len() != tt.send || len(kept) != tt.kept || len(seen) != tt.send {
					t.Fatalf("%d counted, %d kept, %d seen", inbox.Len(), len(kept), len(seen))
				}
				for i, m := range kept {
					if want := fmt.Sprintf("%d@example.com", tt.send-tt.kept+i); m.From != want || string(m.Data) != tt.data {
						t.Errorf("message %d: from %s, want %s; data %q", i, m.From, want, m.Data)
					}
				}
				for i, got := range seen {
					if want := fmt.Sprintf("%d@example.com %s", i, data); got != want {
						t.Errorf("seen %q, want %q", got, want)
					}
				}
			})
		})
	}
	for _, config := range []sendertest.InboxConfig{{Keep: "some"}, {Limit: -1}} {
		if _, err := sendertest.NewInbox(config); err == nil || !strings.Contains(err.Error(), "InboxConfig.") {
			t.Errorf("%+v: error %v", config, err)
		}
	}
}

// TestInboxShared collects the mail of two servers.
func TestInboxShared(t *testing.T) {
	bubble(t, func(t *testing.T, n *sendertest.Network) {
		inbox, err := sendertest.NewInbox(sendertest.InboxConfig{})
		must(t, err)
		for i := range 2 {
			addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(10 + i)}), 25)
			s := startServer(t, n, sendertest.ServerConfig{Hostname: fmt.Sprintf("mx%d.example.com", i), Addr: addr, Inbox: inbox})
			c := dialSMTP(t, n, s.Addr())
			must(t, transact(c, "a@example.com", "b@example.org", body(1)), c.Quit())
		}
		got := inbox.Messages()
		if len(got) != 2 || got[0].Server != "mx0.example.com" || got[1].Server != "mx1.example.com" {
			t.Errorf("%+v", got)
		}
	})
}
