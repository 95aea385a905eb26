package dsn

import (
	"strings"
	"testing"
)

func TestHostName(t *testing.T) {
	for in, want := range map[string]string{
		"dns; mx.example.net": "mx.example.net", "DNS;MX.Example.NET": "mx.example.net", "mx.example.net": "mx.example.net", "dns; mx.example.net (192.0.2.1)": "mx.example.net",
		"dns; [192.0.2.1]": "192.0.2.1", "dns; ([192.0.2.1])": "192.0.2.1", "dns; (192.0.2.1)": "192.0.2.1", "x-unix; host.example.net;": "host.example.net",
		"": "", "dns;": "", "dns; ()": "", "dns; mx\x00.example.net": "mx.example.net", "dns; mx (a (b) c) d": "mx",
	} {
		if got := hostName(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestReadStatus(t *testing.T) {
	for in, want := range map[string]string{
		"5.1.1": "5.1.1", " 5.1.1 (bad)": "5.1.1", "#4.2.2.": "4.2.2", "(x) 5.7.26": "5.7.26", "5.1": "", "192.0.2.5": "", "": "", "1.2.3": "", "550 5.1.1 x": "5.1.1", "5.1.1.1": "",
		strings.Repeat("x", 300) + "5.1.1": "",
	} {
		if got := readStatus(in).String(); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
