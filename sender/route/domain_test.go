package route

import (
	"strings"
	"testing"
)

func FuzzDomain(f *testing.F) {
	for _, s := range []string{"example.com", "EXAMPLE.com.", "bücher.example", "例え。テスト", "a..b", "-", "xn--", "[192.0.2.1]", "_dmarc.example.com"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, ok := Domain(s)
		if !ok {
			if d != "" {
				t.Fatalf("%q: refused, but %q", s, d)
			}
			return
		}
		if len(d) == 0 || len(d) > 253 || strings.ToLower(d) != d || strings.HasSuffix(d, ".") || !ascii(d) {
			t.Fatalf("%q: %q", s, d)
		}
		if again, ok := Domain(d); !ok || again != d {
			t.Fatalf("%q: %q becomes %q, %v", s, d, again, ok)
		}
	})
}

func FuzzLiteral(f *testing.F) {
	for _, s := range []string{"[192.0.2.1]", "[IPv6:2001:db8::1]", "[IPv6:]", "[]", "[IPv6:::ffff:192.0.2.1]", "[fe80::1%x]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if a, ok := literal(s); ok != a.IsValid() || ok && (a.Zone() != "" || a.Is4In6()) {
			t.Fatalf("%q: %v, %v", s, a, ok)
		}
	})
}

func BenchmarkDomain(b *testing.B) {
	for _, s := range []string{"example.com", "bücher.example"} {
		b.Run(s, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Domain(s)
			}
		})
	}
}
