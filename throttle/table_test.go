package throttle

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func newTable(t testing.TB, config TableConfig) *Table {
	t.Helper()
	table, err := NewTable(config)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestProvider(t *testing.T) {
	table := newTable(t, TableConfig{Providers: []Provider{
		{Name: "acme", Domains: []string{"acme.example"}},
		{Name: "google-lab", MX: []string{"lab.google.com"}},
		{Name: "hosts", MX: []string{"hosts.example"}},
	}})
	for _, c := range []struct {
		why, domain string
		mx          []string
		want        string
	}{
		{"all hosts of one provider", "example.com", []string{"aspmx.l.google.com", "aspmx2.googlemail.com"}, "google"},
		{"a suffix is also a host", "example.com", []string{"google.com"}, "google"},
		{"the longest suffix", "example.com", []string{"mx.lab.google.com"}, "google-lab"},
		{"labels, not letters", "example.com", []string{"mx.badhosts.example"}, "badhosts.example"},
		{"a suffix only at the end", "example.com", []string{"google.com.evil.example"}, "evil.example"},
		{"case and final dot", "Example.COM.", []string{"ASPMX.L.Google.com."}, "google"},
		{"U-labels", "bücher.example", []string{"MX.Bücher.example"}, "xn--bcher-kva.example"},
		{"U-labels and A-labels", "bücher.example", []string{"a.bücher.example", "b.xn--bcher-kva.example"}, "xn--bcher-kva.example"},
		{"U-labels without hosts", "bücher.example", nil, "xn--bcher-kva.example"},
		{"Microsoft's consumers", "outlook.com", []string{"outlook-com.olc.protection.outlook.com"}, "outlook"},
		{"Microsoft's companies", "example.com", []string{"example-com.mail.protection.outlook.com"}, "office365"},
		{"Microsoft with DANE", "example.com", []string{"example-com.v-v1.mx.microsoft"}, "office365"},
		{"Yahoo", "aol.com", []string{"mx-aol.mail.gm0.yahoodns.net"}, "yahoo"},
		{"Yahoo! JAPAN is another", "yahoo.co.jp", []string{"mx1.mail.yahoo.co.jp"}, "yahoo-jp"},
		{"au", "ezweb.ne.jp", []string{"lsean.ezweb.ne.jp"}, "au"},
		{"an exception by domain", "acme.example", []string{"aspmx.l.google.com"}, "acme"},
		{"an exception is exact", "sub.acme.example", []string{"aspmx.l.google.com"}, "google"},
		{"an exception needs no hosts", "acme.example", nil, "acme"},
		{"unknown: the organisational domain", "example.com", []string{"mx1.eu.hoster.example", "mx2.us.hoster.example"}, "hoster.example"},
		{"below a public suffix of two labels", "example.com", []string{"mx.a.hoster.co.uk"}, "hoster.co.uk"},
		{"one host elsewhere", "example.com", []string{"aspmx.l.google.com", "mx.example.com"}, "example.com+google"},
		{"in another order", "example.com", []string{"mx.example.com", "aspmx.l.google.com"}, "example.com+google"},
		{"three operators", "example.com", []string{"a.c.example", "a.b.example", "a.a.example", "b.a.example"}, "a.example+b.example+c.example"},
		{"four", "sub.example.com", []string{"a.c.example", "a.b.example", "a.a.example", "a.d.example"}, "sub.example.com"},
		{"no hosts", "example.com", nil, "example.com"},
		{"a literal", "[192.0.2.1]", nil, "[192.0.2.1]"},
		{"a literal of IPv6", "[IPv6:2001:db8::1]", []string{"google.com"}, "[ipv6:2001:db8::1]"},
		{"an address for a host", "example.com", []string{"192.0.2.1"}, "example.com"},
		{"an empty host", "example.com", []string{"."}, "example.com"},
		{"one label is no provider's name", "google", nil, "google."},
		{"a host of one label", "example.com", []string{"google"}, "google."},
		{"a host that is a public suffix", "example.com", []string{"co.uk"}, "co.uk"},
	} {
		t.Run(c.why, func(t *testing.T) {
			if got := table.Provider(c.domain, c.mx); got != c.want {
				t.Errorf("Provider(%q, %q) = %q, want %q", c.domain, c.mx, got, c.want)
			}
		})
	}
}

// Whatever the hosts, their order does not matter, a name of the table comes only from its own suffixes, and the name is
// one that Config.Limits accepts.
func TestProviderProperties(t *testing.T) {
	table := newTable(t, TableConfig{})
	label := rapid.SampledFrom([]string{"google", "com", "example", "mx", "co", "uk", "yahoodns", "net", "qq"})
	host := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(label, 1, 4).Draw(t, "labels"), ".")
	})
	rapid.Check(t, func(t *rapid.T) {
		domain := host.Draw(t, "domain")
		mx := rapid.SliceOfN(host, 0, 5).Draw(t, "mx")
		got := table.Provider(domain, mx)
		shuffled := slices.Clone(mx)
		rand.Shuffle(len(mx), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if again := table.Provider(domain, shuffled); again != got {
			t.Fatalf("%q, but %q for %q", got, again, shuffled)
		}
		if p, ok := table.providers[got]; ok {
			for _, h := range mx {
				if !slices.ContainsFunc(p.MX, func(s string) bool { return h == s || strings.HasSuffix(h, "."+s) }) {
					t.Fatalf("%q, though %q is not its host", got, h)
				}
			}
			if len(mx) == 0 {
				t.Fatalf("%q without a host", got)
			}
		}
		if got == "" || !table.possible(got) {
			t.Fatalf("possible(%q) is false", got)
		}
	})
}

// Every suffix and domain of the built-in table is found, so that none is there in vain.
func TestBuiltinProviders(t *testing.T) {
	table := newTable(t, TableConfig{})
	var names []string
	for _, p := range table.Providers() {
		names = append(names, p.Name)
		for _, suffix := range p.MX {
			if got := table.Provider("example.com", []string{"mx." + suffix}); got != p.Name {
				t.Errorf("%s: mx.%s belongs to %q", p.Name, suffix, got)
			}
		}
		for _, domain := range p.Domains {
			if got := table.Provider(domain, nil); got != p.Name {
				t.Errorf("%s: %s belongs to %q", p.Name, domain, got)
			}
		}
		if p.Source == "" {
			t.Errorf("%s: no source", p.Name)
		}
		// Of some, only what others tell of them is known: nobody has read the source at any date.
		unread := slices.Contains([]string{"orange", "cox", "docomo", "au", "softbank"}, p.Name)
		if _, err := time.Parse(time.DateOnly, p.Date); (err != nil) != unread || unread && p.Date != "" {
			t.Errorf("%s: date %q: %v", p.Name, p.Date, err)
		}
		if l := p.Limits; l.Connections == 0 || l.MessagesPerConnection == 0 || l.Recipients == 0 || l.MessageRate == (Rate{}) || l.ConnectRate == (Rate{}) || l.IdleTimeout == 0 {
			t.Errorf("%s: something is unlimited: %+v", p.Name, l)
		}
		if table.Limits(p.Name) != p.Limits {
			t.Errorf("%s: Limits differ", p.Name)
		}
	}
	want := []string{
		"apple", "au", "barracuda", "comcast", "cox", "docomo", "gmx", "google", "mimecast",
		"netease", "office365", "orange", "outlook", "qq", "softbank", "yahoo", "yahoo-jp",
	}
	if !slices.Equal(names, want) {
		t.Errorf("providers %q, want %q", names, want)
	}
}

// The published values per provider, as the table has them.
func TestBuiltinLimits(t *testing.T) {
	table := newTable(t, TableConfig{})
	for provider, want := range map[string]struct {
		connections, messages int
		tls                   TLS
	}{
		"google":      {5, 50, TLSRequired},
		"yahoo":       {10, 20, TLSOpportunistic},
		"outlook":     {5, 50, TLSOpportunistic},
		"office365":   {5, 50, TLSOpportunistic},
		"apple":       {10, 5, TLSOpportunistic},
		"comcast":     {25, 1000, TLSRequired},
		"mimecast":    {10, 100, TLSOpportunistic},
		"orange":      {2, 100, TLSRequired},
		"gmx":         {4, 20, TLSRequired},
		"qq":          {4, 8, TLSRequired},
		"netease":     {4, 7, TLSRequired},
		"yahoo-jp":    {2, 20, TLSOpportunistic},
		"barracuda":   {10, 15, TLSRequired},
		"cox":         {5, 100, TLSOpportunistic},
		"example.com": {10, 100, TLSOpportunistic},
	} {
		l := table.Limits(provider)
		if l.Connections != want.connections || l.MessagesPerConnection != want.messages || l.TLS != want.tls {
			t.Errorf("%s: %+v, want %+v", provider, l, want)
		}
	}
	if got := table.Limits("example.com"); got != DefaultLimits() {
		t.Errorf("unknown provider: %+v", got)
	}
	if got := table.Limits("comcast").IdleTimeout; got != 30*time.Second {
		t.Errorf("comcast: idle %v", got)
	}
	if got, want := table.Limits("yahoo-jp").MessageRate, (Rate{10, time.Second}); got != want {
		t.Errorf("yahoo-jp: %v", got)
	}
	for _, provider := range []string{"docomo", "au", "softbank"} {
		if l := table.Limits(provider); l.Connections != 2 || l.MessagesPerConnection*l.Recipients != 100 {
			t.Errorf("%s: %+v does not keep to 100 recipients a session", provider, l)
		}
	}
	if got := table.Limits("example.com+google+qq"); got.Connections != 4 || got.MessagesPerConnection != 8 || got.TLS != TLSOpportunistic {
		t.Errorf("mixed operators: %+v", got)
	}
}

func TestTableOverrides(t *testing.T) {
	given := []Provider{{Name: "google", MX: []string{"google.com"}, Limits: Limits{Connections: 1}}}
	fallback := Limits{Connections: 3}
	table := newTable(t, TableConfig{Providers: given, Default: &fallback})
	given[0].MX[0], fallback.Connections = "changed", 99 // The table has its own copy.
	if got := table.Provider("example.com", []string{"aspmx.l.google.com"}); got != "google" {
		t.Errorf("replaced: %q", got)
	}
	if got := table.Provider("example.com", []string{"alt.googlemail.com"}); got != "googlemail.com" {
		t.Errorf("left out by the replacement: %q", got)
	}
	if got := table.Limits("google"); got != (Limits{Connections: 1}) {
		t.Errorf("limits: %+v", got)
	}
	if got := table.Limits("example.com"); got != (Limits{Connections: 3}) {
		t.Errorf("default: %+v", got)
	}
}

func TestTableRefuses(t *testing.T) {
	negative := Limits{Recipients: -1}
	for want, config := range map[string]TableConfig{
		`TableConfig.Default.Recipients: -1`:                      {Default: &negative},
		`Name: "acme" is there twice`:                             {Providers: []Provider{{Name: "acme", MX: []string{"a.example"}}, {Name: "acme", MX: []string{"b.example"}}}},
		`provider "": Name: is empty`:                             {Providers: []Provider{{MX: []string{"a.example"}}}},
		`Name: "a.example"`:                                       {Providers: []Provider{{Name: "a.example", MX: []string{"a.example"}}}},
		`Name: "a+b"`:                                             {Providers: []Provider{{Name: "a+b", MX: []string{"a.example"}}}},
		`provider "acme": MX: is empty`:                           {Providers: []Provider{{Name: "acme"}}},
		`MX: "" can never match`:                                  {Providers: []Provider{{Name: "acme", MX: []string{""}}}},
		`MX: ".a.example" can never match`:                        {Providers: []Provider{{Name: "acme", MX: []string{".a.example"}}}},
		`MX: "a.example." can never match`:                        {Providers: []Provider{{Name: "acme", MX: []string{"a.example."}}}},
		`MX: "A.example" can never match`:                         {Providers: []Provider{{Name: "acme", MX: []string{"A.example"}}}},
		`MX: "a..example" can never match`:                        {Providers: []Provider{{Name: "acme", MX: []string{"a..example"}}}},
		`MX: "*.example" can never match`:                         {Providers: []Provider{{Name: "acme", MX: []string{"*.example"}}}},
		`MX: "bücher.example" can never match`:                    {Providers: []Provider{{Name: "acme", MX: []string{"bücher.example"}}}},
		`Domains: "a.example." can never match`:                   {Providers: []Provider{{Name: "acme", Domains: []string{"a.example."}}}},
		`"google.com" is shadowed by the same entry of "acme"`:    {Providers: []Provider{{Name: "acme", MX: []string{"google.com"}}}},
		`"a.example" is shadowed by the same entry of "acme"`:     {Providers: []Provider{{Name: "acme", MX: []string{"a.example", "a.example"}}}},
		`"mx.a.example" is shadowed by its own entry "a.example"`: {Providers: []Provider{{Name: "acme", MX: []string{"a.example", "mx.a.example"}}}},
		`provider "acme": Limits.TLS: "always"`:                   {Providers: []Provider{{Name: "acme", MX: []string{"a.example"}, Limits: Limits{TLS: "always"}}}},
	} {
		_, err := NewTable(config)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "throttle: ") {
			t.Errorf("want %s, got %v", want, err)
		}
	}
	// A longer suffix of another provider between two of the same makes the longest one decide.
	newTable(t, TableConfig{Providers: []Provider{
		{Name: "outer", MX: []string{"a.example", "y.x.a.example"}},
		{Name: "inner", MX: []string{"x.a.example"}},
	}})
}

func TestParseProviders(t *testing.T) {
	got, err := ParseProviders([]byte(`[{"name": "acme", "mx": ["a.example"], "limits": {"connections": 3}, "source": "s", "date": "2026-01-02"}]`))
	if err != nil {
		t.Fatal(err)
	}
	limits := DefaultLimits()
	limits.Connections = 3
	want := []Provider{{Name: "acme", MX: []string{"a.example"}, Limits: limits, Source: "s", Date: "2026-01-02"}}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := ParseProviders(data); err != nil || !reflect.DeepEqual(again, want) {
		t.Fatalf("%s: %+v, %v", data, again, err)
	}
	for _, data := range []string{``, `{}`, `[{"nam": "x"}]`, `[{"limits": {"x": 1}}]`, `[1]`} {
		if _, err := ParseProviders([]byte(data)); err == nil {
			t.Errorf("%s: no error", data)
		}
	}
}

func FuzzParseProviders(f *testing.F) {
	f.Add(providersJSON)
	f.Add([]byte(`[{"name": "acme", "mx": ["a.example"], "limits": {"message_rate": "1/d"}}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		providers, err := ParseProviders(data)
		if err != nil {
			return
		}
		table, err := NewTable(TableConfig{Providers: providers})
		if err != nil {
			return
		}
		for _, p := range providers {
			for _, suffix := range p.MX {
				if got := table.Provider("example.com", []string{suffix}); got != p.Name {
					t.Fatalf("%q belongs to %q, want %q", suffix, got, p.Name)
				}
			}
		}
	})
}

func BenchmarkProvider(b *testing.B) {
	table := newTable(b, TableConfig{})
	for name, mx := range map[string][]string{
		"known":   {"aspmx.l.google.com", "alt1.aspmx.l.google.com", "alt2.aspmx.l.google.com"},
		"unknown": {"mx1.hoster.example", "mx2.hoster.example"},
		"mixed":   {"mx1.hoster.example", "aspmx.l.google.com"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				table.Provider("example.com", mx)
			}
		})
	}
}
