package suppress

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// TestOneAddress: the forms in which one address comes.
func TestOneAddress(t *testing.T) {
	for _, c := range []struct {
		name   string
		cfg    Config
		a, b   string
		differ bool
	}{
		{"case", Config{}, "Anna.Berg@Example.COM", "anna.berg@example.com", false},
		{"brackets", Config{}, " <anna@example.com> ", anna, false},
		{"final dot", Config{}, "anna@example.com.", anna, false},
		{"A-labels", Config{}, "anna@bücher.example", "anna@xn--bcher-kva.example", false},
		{"subaddress", Config{}, "anna+news@example.com", anna, true},
		{"subaddress folded", Config{FoldSubaddress: true}, "anna+news@example.com", anna, false},
		{"two subaddresses folded", Config{FoldSubaddress: true}, "anna+a+b@example.com", "Anna+c@example.com", false},
		{"only a subaddress", Config{FoldSubaddress: true}, "+a@example.com", "+b@example.com", true},
		{"quoted plus", Config{FoldSubaddress: true}, `"anna+a"@example.com`, `"anna+b"@example.com`, true},
		{"quoted at", Config{FoldSubaddress: true}, `"a@b+c"@example.com`, `"a@b+c"@EXAMPLE.com`, false},
		{"dots", Config{}, "an.na@example.com", anna, true},
		{"domain", Config{}, "anna@example.com", "anna@example.org", true},
	} {
		for _, key := range []string{"", "a key of enough bytes"} {
			c.cfg.HashKey = nil
			if key != "" {
				c.cfg.HashKey = []byte(key)
			}
			l := list(t, c.cfg)
			add(t, l, day0, Entry{Address: c.a, Reason: Manual})
			if !suppressed(t, l, day0, "", c.a) {
				t.Errorf("%s: it is not itself", c.name)
			}
			if got := suppressed(t, l, day0, "", c.b); got == c.differ {
				t.Errorf("%s (key %q): suppressed %v", c.name, key, got)
			}
		}
	}
}

func TestAddressesThatAreNone(t *testing.T) {
	for _, bad := range []string{"", "secret", "secret@", "@example.com", "secret@[192.0.2.1]", "secret two@example.com", "hmac:secret", strings.Repeat("secret", 1000) + "@example.com"} {
		for _, key := range [][]byte{nil, []byte("a key of enough bytes")} {
			l := list(t, Config{HashKey: key})
			_, _, err1 := l.CheckAt(t.Context(), day0, "", bad)
			_, _, err2 := l.ObserveAt(t.Context(), day0, Incident{Address: bad, Kind: Complained})
			_, err3 := l.AddAt(t.Context(), day0, Entry{Address: bad, Reason: Manual})
			_, err4 := l.ReleaseAt(t.Context(), day0, Release{Address: bad})
			_, err5 := l.Lookup(t.Context(), bad)
			for i, err := range []error{err1, err2, err3, err4, err5} {
				if !errors.Is(err, ErrAddress) || strings.Contains(err.Error(), "secret") {
					t.Errorf("%.20q, call %d: %v", bad, i, err)
				}
			}
		}
	}
}

func TestHashes(t *testing.T) {
	key := []byte("a key of enough bytes")
	store := NewMemoryStore()
	l := list(t, Config{Store: store, HashKey: key})
	key[0] = 'x' // the List has its own
	if _, on := observe(t, l, day0, Incident{ID: "<1@example.com>", Stream: "news", Address: "Anna@Example.com", Kind: Bounced, Verdict: deadVerdict}); !on {
		t.Fatal("not suppressed")
	}
	release(t, l, day0, Release{Address: anna, Actor: "op@example.com", Note: "<anna@example.com> asked"})
	add(t, l, day0, Entry{Address: anna, Reason: Manual, Detail: "550 <anna@example.com>: unknown"})
	if s := lookup(t, l, anna); s.Entries[0].Detail != "550 @ unknown" || s.Releases[0].Note != "@ asked" {
		t.Errorf("%+v", s)
	}
	m := hmac.New(sha256.New, []byte("a key of enough bytes"))
	m.Write([]byte(anna))
	want := "hmac:" + hex.EncodeToString(m.Sum(nil))
	for k, value := range store.values {
		if k != want || strings.Contains(string(value), "anna") || strings.Contains(string(value), "example.com") {
			t.Errorf("stored %q: %s", k, value)
		}
	}
	e, on, err := l.CheckAt(t.Context(), day0, "", anna)
	if !on || err != nil || e.Address != want {
		t.Errorf("%+v, %v, %v", e, on, err)
	}
	// The hash stands for the address.
	for _, h := range []string{want, strings.Replace(strings.ToUpper(want), "HMAC", "hmac", 1)} {
		if !suppressed(t, l, day0, "", h) {
			t.Errorf("%s: not suppressed", h)
		}
	}
	if suppressed(t, list(t, Config{Store: store, HashKey: []byte("another key of enough bytes")}), day0, "", anna) {
		t.Error("suppressed under another key")
	}
}
