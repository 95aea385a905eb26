package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestRecord(t *testing.T) {
	// The key of RFC 8463 appendix A.2.
	raw, err := base64.StdEncoding.DecodeString("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
	if err != nil {
		t.Fatal(err)
	}
	got, err := Record(ed25519.PublicKey(raw))
	if want := "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="; err != nil || got != want {
		t.Errorf("Ed25519: got %q, %v; want %q", got, err, want)
	}
	got, err = Record(testRSA().Public())
	// A SubjectPublicKeyInfo of a 2048-bit RSA key always begins like this.
	if err != nil || !strings.HasPrefix(got, "v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA") {
		t.Errorf("RSA: got %q, %v", got, err)
	}
	if parts := SplitTXT(got); len(parts) != 2 {
		t.Errorf("RSA: %d strings, want 2", len(parts))
	}
	for _, bad := range []any{nil, "key", &ecdsa.PublicKey{}, ed25519.PublicKey{1}, (*rsa.PublicKey)(nil), new(rsa.PublicKey)} {
		if s, err := Record(bad); err == nil {
			t.Errorf("%T: got %q", bad, s)
		}
	}
}

func TestSplitTXT(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringMatching(`[ -~]{0,800}`).Draw(t, "value")
		parts := SplitTXT(value)
		if strings.Join(parts, "") != value {
			t.Fatal("the parts are not the whole")
		}
		for i, p := range parts {
			if len(p) > 255 || len(p) < 255 && i < len(parts)-1 {
				t.Fatalf("part %d has %d octets", i, len(p))
			}
		}
	})
}

func TestZoneLine(t *testing.T) {
	got := ZoneLine("s1", "example.com", strings.Repeat("a", 256)+`"\`)
	want := `s1._domainkey.example.com. IN TXT ( "` + strings.Repeat("a", 255) + `" "a\"\\" )`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestRecordName(t *testing.T) {
	for _, c := range []struct{ selector, domain, want string }{
		{"s1", "example.com", "s1._domainkey.example.com"},
		{"S1", "Example.COM.", "s1._domainkey.example.com"},
		{"a.b", "bücher.example", "a.b._domainkey.xn--bcher-kva.example"},
		{"s 1", "no name", "s 1._domainkey.no name"}, // nothing to publish, and nothing to hide
	} {
		if got := RecordName(c.selector, c.domain); got != c.want {
			t.Errorf("RecordName(%q, %q) = %q, want %q", c.selector, c.domain, got, c.want)
		}
	}
	if got, want := ZoneLine("s1", "Bücher.example.", "v"), `s1._domainkey.xn--bcher-kva.example. IN TXT ( "v" )`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
