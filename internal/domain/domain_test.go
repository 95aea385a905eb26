package domain

import (
	"errors"
	"strings"
	"testing"
)

func TestCanonical(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, c := range []struct{ name, want, err string }{
		{"example.com", "example.com", ""},
		{"EXAMPLE.Com.", "example.com", ""},
		{"localhost", "localhost", ""},
		{"_dmarc.example.com", "_dmarc.example.com", ""},
		{"bücher.example", "xn--bcher-kva.example", ""},
		{"BÜCHER.Example.", "xn--bcher-kva.example", ""},
		{"XN--BCHER-KVA.example", "xn--bcher-kva.example", ""},
		{"xn--zzzzz.example", "xn--zzzzz.example", ""}, // whether it exists is for the DNS to say
		{"例え。テスト。", "xn--r8jz45g.xn--zckzah", ""},
		{"ｅｘａｍｐｌｅ.com", "example.com", ""},
		{"192.0.2.1", "192.0.2.1", ""},
		{long + ".example", long + ".example", ""},
		{"", "", "is empty (RFC 1035 section 2.3.1)"},
		{".", "", "is empty (RFC 1035 section 2.3.1)"},
		{"example.com..", "", "has an empty label (RFC 1035 section 2.3.1)"},
		{"bücher.example..", "", "has an empty label (RFC 1035 section 2.3.1)"},
		{"a..b", "", "has an empty label (RFC 1035 section 2.3.1)"},
		{".a", "", "has an empty label (RFC 1035 section 2.3.1)"},
		{"a b", "", "has the character ' ' (RFC 1035 section 2.3.1)"},
		{"a@example.com", "", "has the character '@' (RFC 1035 section 2.3.1)"},
		{"[192.0.2.1]", "", "has the character '[' (RFC 1035 section 2.3.1)"},
		{"a" + long + ".example", "", "has a label longer than 63 octets (RFC 1035 section 2.3.4)"},
		{strings.Repeat(long+".", 4), "", "is longer than 253 octets (RFC 1035 section 2.3.4)"},
		{"a\u0378.example", "", "is no internationalised name: "},
		{"\xff.example", "", "is no internationalised name: "},
	} {
		got, err := Canonical(c.name)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.HasPrefix(err.Error(), c.err) {
			t.Errorf("Canonical(%q) = %q, %v; want %q, %s", c.name, got, err, c.want, c.err)
		}
		if e := (*Error)(nil); err != nil && !errors.As(err, &e) {
			t.Errorf("Canonical(%q): a %T", c.name, err)
		}
	}
	if n := testing.AllocsPerRun(100, func() { Canonical("mail.example.com") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{"example.com", "EXAMPLE.com.", "bücher.example", "例え。テスト", "a..b", "-", "xn--", "[192.0.2.1]", "_dmarc.example.com"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := Canonical(s)
		if err != nil {
			if d != "" {
				t.Fatalf("%q: refused, but %q", s, d)
			}
			return
		}
		if len(d) == 0 || len(d) > maxName || strings.ToLower(d) != d || strings.HasSuffix(d, ".") || !ascii(d) {
			t.Fatalf("%q: %q", s, d)
		}
		if again, err := Canonical(d); err != nil || again != d {
			t.Fatalf("%q: %q becomes %q, %v", s, d, again, err)
		}
	})
}

func BenchmarkCanonical(b *testing.B) {
	for _, s := range []string{"example.com", "bücher.example"} {
		b.Run(s, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Canonical(s)
			}
		})
	}
}
