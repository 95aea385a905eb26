package verp_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/reputemail/repute/bounce/verp"
)

var noon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

func key(id string) verp.Key {
	return verp.Key{ID: id, Secret: []byte("secret of key " + id + " for tests")}
}

func codec(t testing.TB, cfg verp.Config) *verp.Codec {
	t.Helper()
	if len(cfg.Keys) == 0 {
		cfg.Keys = []verp.Key{key("a")}
	}
	c, err := verp.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, err := verp.New(verp.Config{
			Keys: []verp.Key{key("a")}, Prefix: rapid.SampledFrom([]string{"", "b", "bounce=", "0-"}).Draw(t, "prefix"),
			Lifetime: 24 * time.Hour * time.Duration(rapid.IntRange(1, 3660).Draw(t, "days")),
		})
		if err != nil {
			t.Fatal(err)
		}
		payload := rapid.OneOf(rapid.StringMatching(`[a-z0-9._=/-]{1,43}`), rapid.StringMatching(`[a-z0-9]{26}/[1-9][0-9]?`), rapid.StringN(1, 20, 30)).Draw(t, "payload")
		now := time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "now"), 0)
		address, err := c.AddressAt(now, payload, "bounces.example.com")
		if err != nil {
			if len(payload)*8/5 < c.Max()-1 {
				t.Fatalf("%q: %v", payload, err)
			}
			return
		}
		local, _, _ := strings.Cut(address, "@")
		if len(local) > 64 || strings.Contains(local, "..") || strings.HasSuffix(local, ".") || strings.ToLower(local) != local {
			t.Fatalf("local-part %q", local)
		}
		for _, form := range []string{address, strings.ToUpper(address), "<" + address + ">", `"` + local + `"@bounces.example.com`, local + "+ext@x.example"} {
			if got, err := c.ParseAddressAt(now, form); err != nil || got != payload {
				t.Fatalf("%q: %q, %v, want %q", form, got, err, payload)
			}
		}
	})
}

func TestAnyChangeIsForged(t *testing.T) {
	c := codec(t, verp.Config{Keys: []verp.Key{key("a"), key("b")}})
	token, err := c.EncodeAt(noon, "01jz8gd7rm5c9y2bq4wx6tks3n/12")
	if err != nil {
		t.Fatal(err)
	}
	const letters = "0123456789abcdefghijklmnopqrstuvwxyz-_.="
	for i := range token {
		for _, l := range letters {
			changed := token[:i] + string(l) + token[i+1:]
			if changed == token {
				continue
			}
			if got, err := c.DecodeAt(noon, changed); err == nil {
				t.Fatalf("%q was taken, for %q", changed, got)
			}
		}
	}
	for n := range len(token) {
		if _, err := c.DecodeAt(noon, token[:n]); err == nil {
			t.Fatalf("%q was taken", token[:n])
		}
	}
}

func TestKeys(t *testing.T) {
	before := codec(t, verp.Config{Keys: []verp.Key{key("a")}})
	token, err := before.EncodeAt(noon, "m/1")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		keys []verp.Key
		want error
	}{
		{"rotated", []verp.Key{key("b"), key("a")}, nil},
		{"taken out", []verp.Key{key("b")}, verp.ErrForged},
		{"another secret", []verp.Key{{ID: "a", Secret: []byte("0123456789abcdef")}}, verp.ErrForged},
	} {
		c := codec(t, verp.Config{Keys: tt.keys})
		if got, err := c.DecodeAt(noon, token); !errors.Is(err, tt.want) || tt.want == nil && got != "m/1" {
			t.Errorf("%s: %q, %v, want %v", tt.name, got, err, tt.want)
		}
		if fresh, err := c.EncodeAt(noon, "m/1"); err != nil || fresh == token {
			t.Errorf("%s: %q, %v", tt.name, fresh, err)
		}
	}
}

func TestExpiry(t *testing.T) {
	c := codec(t, verp.Config{Lifetime: 2 * 24 * time.Hour})
	made := time.Date(2026, 3, 10, 23, 59, 59, 0, time.FixedZone("", -5*3600)) // the 11th in UTC
	token, err := c.EncodeAt(made, "m/1")
	if err != nil {
		t.Fatal(err)
	}
	end := time.Date(2026, 3, 14, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		at   time.Time
		want error
	}{
		{made, nil}, {end.Add(-time.Nanosecond), nil}, {end, verp.ErrExpired}, {end.Add(time.Hour), verp.ErrExpired},
		{made.Add(-100 * 24 * time.Hour), nil}, // a clock that is slow
	} {
		if _, err := c.DecodeAt(tt.at, token); !errors.Is(err, tt.want) {
			t.Errorf("at %v: %v, want %v", tt.at, err, tt.want)
		}
	}
}

// TestSizes: what senders use as IDs fits, and what does not is refused with the bound.
func TestSizes(t *testing.T) {
	c := codec(t, verp.Config{})
	for _, id := range []string{"01jz8gd7rm5c9y2bq4wx6tks3n/10000", "6ba7b810-9dad-11d1-80b4-00c04fd430c8/1000", "order-1234/1", "Order:1234/1", strings.Repeat("a", c.Max())} {
		if _, err := c.EncodeAt(noon, id); err != nil {
			t.Errorf("%q: %v", id, err)
		}
	}
	for _, id := range []string{"a..b", "a.", "a b", "Ä"} { // not as text
		token, err := c.EncodeAt(noon, id)
		if got, err2 := c.DecodeAt(noon, token); err != nil || err2 != nil || got != id || token[0] != 'x' {
			t.Errorf("%q: %q, %q, %v, %v", id, token, got, err, err2)
		}
	}
	if _, err := c.EncodeAt(noon, strings.Repeat("A", 27)); err == nil || !strings.Contains(err.Error(), "room for 26") {
		t.Errorf("the error does not say what fits: %v", err)
	}
	for _, id := range []string{"", strings.Repeat("a", c.Max()+1), strings.Repeat("A", c.Max())} {
		if token, err := c.EncodeAt(noon, id); err == nil {
			t.Errorf("%q gives %q", id, token)
		}
	}
}

func TestConfig(t *testing.T) {
	ok := []verp.Key{key("a")}
	for want, cfg := range map[string]verp.Config{
		"Config.Keys":           {},
		"Config.Keys[0].ID":     {Keys: []verp.Key{{ID: "A", Secret: make([]byte, 16)}}},
		"Config.Keys[1].ID":     {Keys: []verp.Key{key("a"), key("a")}},
		"Config.Keys[0].Secret": {Keys: []verp.Key{{ID: "a", Secret: make([]byte, 15)}}},
		"Config.Prefix":         {Keys: ok, Prefix: "Bounce"},
		"Config.Prefix:":        {Keys: ok, Prefix: "-b"},
		"Config.Prefix: \"b":    {Keys: ok, Prefix: "bbbbbbbbb"},
		"Config.Lifetime":       {Keys: ok, Lifetime: 25 * time.Hour},
		"Config.Lifetime: 878":  {Keys: ok, Lifetime: 3661 * 24 * time.Hour},
		"Config.Prefix: \"srs":  {Keys: ok, Prefix: "srs0="},
		"Config.Lifetime:":      {Keys: ok, Lifetime: -24 * time.Hour},
	} {
		if _, err := verp.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if _, err := verp.New(verp.Config{Keys: []verp.Key{{ID: "a", Secret: []byte("hunter2")}}}); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error shows the secret: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	c := codec(f, verp.Config{})
	token, err := c.EncodeAt(noon, "m/1")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	f.Add("<b-" + token + "@bounces.example.com>")
	f.Add("SRS0=ABCD=EF=example.com=b-" + token + "@forward.example")
	f.Fuzz(func(t *testing.T, s string) {
		for _, read := range []func(time.Time, string) (string, error){c.DecodeAt, c.ParseAddressAt} {
			payload, err := read(noon, s)
			if err == nil && payload != "m/1" { // there is no other token
				t.Errorf("%q gives %q", s, payload)
			}
			if err != nil && !errors.Is(err, verp.ErrNoToken) && !errors.Is(err, verp.ErrForged) && !errors.Is(err, verp.ErrExpired) {
				t.Errorf("%q: %v", s, err)
			}
		}
	})
}

func BenchmarkAddress(b *testing.B) {
	c := codec(b, verp.Config{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.AddressAt(noon, "01jz8gd7rm5c9y2bq4wx6tks3n/1", "bounces.example.com"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseAddress(b *testing.B) {
	c := codec(b, verp.Config{})
	address, err := c.AddressAt(noon, "01jz8gd7rm5c9y2bq4wx6tks3n/1", "bounces.example.com")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.ParseAddressAt(noon, address); err != nil {
			b.Fatal(err)
		}
	}
}
