package verp_test

import (
	"strings"
	"testing"

	"github.com/reputemail/repute/bounce/verp"
)

// TestOnTheWay: what forwarders and others make of a return path is undone.
func TestOnTheWay(t *testing.T) {
	c := codec(t, verp.Config{})
	address, err := c.AddressAt(noon, "m/1", "b.example")
	if err != nil {
		t.Fatal(err)
	}
	local := strings.TrimSuffix(address, "@b.example")
	for _, form := range []string{
		" <" + address + "> ",
		"SRS0=HaSh=TT=b.example=" + local + "@forward.example",
		"SRS0+HaSh=TT=b.example=" + local + "@forward.example",
		"srs0-hash=tt=b.example=" + strings.ToLower(local) + "@forward.example",
		"SRS1=HHHH=forward.example==HaSh=TT=b.example=" + local + "@second.example",
		"SRS1=HHHH=forward.example=+HaSh=TT=b.example=" + local + "@second.example",
		"prvs=0123ABCDEF=" + local + "@b.example",
		"prvs=" + local + "=0123abcdef@b.example",
		"btv1==0123abcdef==" + local + "@b.example",
		"SRS0=HaSh=TT=b.example=prvs=0123ABCDEF=" + local + "@forward.example",
		"anna+SRS=HaSh=TT=b.example=" + local + "@tenant.example",
		"prvs=0123ABCDEF/" + local + "@b.example",
		"SRS0=HaSh=TT=x.example=prvs=0123ABCDEF=SRS0=HaSh=TT=b.example=" + local + "@forward.example", // one within the other
		local, // no domain
	} {
		if got, err := c.ParseAddressAt(noon, form); err != nil || got != "m/1" {
			t.Errorf("%s: %q, %v", form, got, err)
		}
	}
	for _, form := range []string{"", "@", "b-", "b-@b.example", "x" + address, "SRS0=a=b=c", "SRS2=a=b=c=" + local + "@x.example", address + strings.Repeat("a", 600)} {
		if got, err := c.ParseAddressAt(noon, form); err == nil {
			t.Errorf("%q gives %q", form, got)
		}
	}
}

func TestStripBATV(t *testing.T) {
	for in, want := range map[string]string{
		"prvs=4567890abc=anna@example.com":   "anna@example.com",
		"prvs=anna=4567890abc@example.com":   "anna@example.com",
		"prvs=4567890abc/anna@example.com":   "anna@example.com",
		"btv1==456abc==anna@example.com":     "anna@example.com",
		"anna@example.com":                   "anna@example.com",
		"prvs=anna@example.com":              "prvs=anna@example.com",
		"prvs=notatag=anna@example.com":      "prvs=notatag=anna@example.com",
		"prvs=4567890abc=a=b@example.com":    "a=b@example.com",
		"PRVS=4567890ABC=Anna@example.com":   "Anna@example.com",
		"<prvs=4567890abc=a@example.com>":    "a@example.com",
		"prvs=4567890abc=@example.com":       "prvs=4567890abc=@example.com",
		"prvs=x4567890abc=anna@example.com":  "prvs=x4567890abc=anna@example.com",
		"prvs=4567890abc/a=b@example.com":    "a=b@example.com",
		"prvs=4567890abc=a\r\nb@example.com": "prvs=4567890abc=a\r\nb@example.com",
		`"prvs=4567890abc=a b"@example.com`:  `"prvs=4567890abc=a b"@example.com`,
	} {
		if got := verp.StripBATV(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestParseClassic(t *testing.T) {
	for in, want := range map[string]string{
		"bounce+anna=example.com@b.example":               "anna@example.com",
		"bounce+anna-maria=example.com@b.example":         "anna-maria@example.com",
		"bounces-12-anna=Example.COM@b.example":           "anna@example.com",
		"list-owner-anna=example.com@b.example":           "anna@example.com",
		"list-return-123-anna-maria=example.com@list.org": "anna-maria@example.com",
		"<b+anna=example.com@b.example>":                  "anna@example.com",
		"prvs=4567890abc=b+anna=example.com@b.example":    "anna@example.com",
		"anna@example.com":                                "",
		"bounce+anna@example.com":                         "",
		"bounce+=example.com@b.example":                   "",
		"bounce+anna=localhost@b.example":                 "",
		"bounce+an na=example.com@b.example":              "",
		"=example.com@b.example":                          "",
		"b+a\x00b=example.com@b.example":                  "",
		"b+a,b=example.com@b.example":                     "",
		"b+" + strings.Repeat("a", 65) + "=example.com@b": "",
	} {
		if got, ok := verp.ParseClassic(in); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v, want %q", in, got, ok, want)
		}
	}
}

func FuzzParseClassic(f *testing.F) {
	f.Add("list-return-123-anna-maria=example.com@list.org")
	f.Add("prvs=4567890abc=b+anna=example.com@b.example")
	f.Fuzz(func(t *testing.T, s string) {
		verp.StripBATV(s)
		if got, ok := verp.ParseClassic(s); ok && strings.Count(got, "@") != 1 {
			t.Errorf("%q gives %q", s, got)
		}
	})
}
