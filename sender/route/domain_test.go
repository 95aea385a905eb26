package route

import "testing"

func TestDomain(t *testing.T) {
	for name, want := range map[string]string{
		"Example.COM.": "example.com", "bücher.example": "xn--bcher-kva.example", "_dmarc.example.com": "_dmarc.example.com",
		"": "", "a..b": "", "[192.0.2.1]": "", "a@example.com": "",
	} {
		if got, ok := Domain(name); got != want || ok != (want != "") {
			t.Errorf("Domain(%q) = %q, %v; want %q", name, got, ok, want)
		}
	}
}

func FuzzDomain(f *testing.F) {
	for _, s := range []string{"example.com", "EXAMPLE.com.", "例え。テスト", "a..b", "xn--", "[192.0.2.1]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, ok := Domain(s)
		if ok == (d == "") {
			t.Fatalf("%q: %q, %v", s, d, ok)
		}
		if again, ok := Domain(d); ok && again != d {
			t.Fatalf("%q: %q becomes %q", s, d, again)
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
