package auth

import "testing"

func TestAligned(t *testing.T) {
	for _, test := range []struct {
		from, d         string
		relaxed, strict bool
	}{
		{"example.com", "example.com", true, true},
		{"Example.COM.", "example.com", true, true},
		{"example.com", "mail.example.com", true, false},
		{"news.example.com", "mail.example.com", true, false},
		{"example.com", "example.org", false, false},
		{"news.example", "badnews.example", false, false},
		{"a.example.co.uk", "b.example.co.uk", true, false},
		{"a.co.uk", "b.co.uk", false, false},
		{"co.uk", "a.co.uk", false, false},
		{"shop.example.co.jp", "example.co.jp", true, false},
		{"a.github.io", "b.github.io", false, false}, // a private suffix
		{"bücher.example", "mail.xn--bcher-kva.example", true, false},
		{"localhost", "localhost", true, true},
		{"localhost", "example.com", false, false},
		{"", "", false, false},
		{"user@example.com", "example.com", false, false},
		{"example..com", "example..com", false, false},
	} {
		if got := Aligned(test.from, test.d); got != test.relaxed {
			t.Errorf("Aligned(%q, %q) = %v", test.from, test.d, got)
		}
		if got := AlignedStrict(test.from, test.d); got != test.strict {
			t.Errorf("AlignedStrict(%q, %q) = %v", test.from, test.d, got)
		}
	}
}

func TestOrganizationalDomain(t *testing.T) {
	for domain, want := range map[string]string{
		"a.b.example.com": "example.com", "EXAMPLE.com.": "example.com", "co.uk": "co.uk", "x.example.co.uk": "example.co.uk",
		"localhost": "localhost", "": "", "a..b": "",
	} {
		if got := OrganizationalDomain(domain); got != want {
			t.Errorf("OrganizationalDomain(%q) = %q, want %q", domain, got, want)
		}
	}
}
