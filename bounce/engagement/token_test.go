package engagement

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func testSealer(t testing.TB, key, stream string) *sealer {
	s, err := newSealer([]byte(key), stream)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestToken(t *testing.T) {
	s := testSealer(t, "0123456789abcdef", "confirm")
	expires := start.Add(time.Hour)
	token := s.seal("anna@example.com", expires)
	for _, c := range []struct {
		name  string
		by    *sealer
		token string
		at    time.Time
		want  error
	}{
		{"good", s, token, start, nil},
		{"last moment", s, token, expires.Add(-1), nil},
		{"expired", s, token, expires, ErrTokenExpired},
		{"other key", testSealer(t, "0123456789abcdeF", "confirm"), token, start, ErrToken},
		{"other campaign", testSealer(t, "0123456789abcdef", "news"), token, start, ErrToken},
		{"empty", s, "", start, ErrToken},
		{"short", s, token[:20], start, ErrToken},
		{"cut", s, token[:len(token)-1], start, ErrToken},
		{"longer", s, token + "A", start, ErrToken},
		{"padded", s, token + "=", start, ErrToken},
		{"line", s, token + "\n", start, ErrToken},
		{"huge", s, strings.Repeat("A", 1<<20), start, ErrToken},
	} {
		address, err := c.by.open(c.token, c.at)
		if err != c.want || (address == "anna@example.com") != (err == nil) || err != nil && address != "" {
			t.Errorf("%s: %q, %v; want %v", c.name, address, err, c.want)
		}
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"anna", "example"} {
		if strings.Contains(string(raw), part) || strings.Contains(token, part) {
			t.Errorf("the token tells %q", part)
		}
	}
	if _, err := newSealer([]byte("0123456789abcde"), "confirm"); err == nil {
		t.Error("a short key is taken")
	}
}

// A token opens to its address until it expires, and with any bit changed not at all.
func TestTokenIsBound(t *testing.T) {
	s := testSealer(t, "0123456789abcdef", "confirm")
	rapid.Check(t, func(t *rapid.T) {
		address := rapid.StringMatching(`[a-z"@ ]{1,256}@[a-z.]{1,253}`).Draw(t, "address")
		life := rapid.Int64Range(1, int64(maxTime)).Draw(t, "life")
		token := s.seal(address, start.Add(time.Duration(life)))
		if len(token) > maxToken {
			t.Fatalf("%d characters", len(token))
		}
		if got, err := s.open(token, start.Add(time.Duration(rapid.Int64Range(0, life-1).Draw(t, "age")))); got != address || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
		raw, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil {
			t.Fatal(err)
		}
		raw[rapid.IntRange(0, len(raw)-1).Draw(t, "octet")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if got, err := s.open(base64.RawURLEncoding.EncodeToString(raw), start); err != ErrToken {
			t.Fatalf("changed: %q, %v", got, err)
		}
	})
}

// Nobody without the key makes a token, and no text is read as more than one.
func FuzzToken(f *testing.F) {
	s := testSealer(f, "0123456789abcdef", "confirm")
	genuine := s.seal("anna@example.com", start.Add(time.Hour))
	f.Add(genuine)
	f.Add("")
	f.Add(strings.Repeat("A", 70))
	f.Fuzz(func(t *testing.T, token string) {
		if address, err := s.open(token, start); err == nil && (token != genuine || address != "anna@example.com") {
			t.Errorf("%q is good for %q", token, address)
		}
	})
}

func BenchmarkToken(b *testing.B) {
	s := testSealer(b, "0123456789abcdef", "confirm")
	token := s.seal("anna@example.com", start.Add(time.Hour))
	b.Run("seal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.seal("anna@example.com", start)
		}
	})
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.open(token, start); err != nil {
				b.Fatal(err)
			}
		}
	})
}
