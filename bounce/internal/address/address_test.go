package address

import (
	"strings"
	"testing"
)

func TestNormalize(t *testing.T) {
	for in, want := range map[string]string{
		"anna@example.com":            "anna@example.com",
		" <Anna.Maria@EXAMPLE.com.> ": "anna.maria@example.com",
		"anna+news@example.com":       "anna+news@example.com",
		"jürgen@bücher.example":       "jürgen@xn--bcher-kva.example",
		`"two words"@example.com`:     `"two words"@example.com`,
		`"a@b"@example.com`:           `"a@b"@example.com`,
		"":                            "",
		"anna":                        "",
		"@example.com":                "",
		"anna@":                       "",
		"an na@example.com":           "",
		"anna@exa mple.com":           "",
		"anna\x00@example.com":        "",
		"anna@[192.0.2.1]":            "",
		"a@b@example.com":             "",
		"\xff@example.com":            "",
		strings.Repeat("a", 257) + "@example.com": "",
	} {
		got, err := Normalize(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v, want %q", in, got, err, want)
		}
		if err == nil {
			if again, err := Normalize(got); err != nil || again != got {
				t.Errorf("%q: %q of its own form, %v", in, again, err)
			}
		}
	}
}

func FuzzNormalize(f *testing.F) {
	f.Add("Anna+x@Example.COM.")
	f.Add(`"two words"@bücher.example`)
	f.Fuzz(func(t *testing.T, s string) {
		got, err := Normalize(s)
		if err != nil {
			return
		}
		if again, err := Normalize(got); err != nil || again != got {
			t.Errorf("%q: %q, then %q, %v", s, got, again, err)
		}
	})
}
