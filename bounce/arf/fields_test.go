package arf

import (
	"testing"
	"time"
)

func TestParseSource(t *testing.T) {
	for v, want := range map[string]struct {
		addr string
		port int
	}{
		"192.0.2.1":                  {"192.0.2.1", 0},
		" [192.0.2.1] ":              {"192.0.2.1", 0},
		"192.0.2.1:25":               {"192.0.2.1", 25},
		"[2001:db8::1]:587":          {"2001:db8::1", 587},
		"IPv6:2001:db8::1":           {"2001:db8::1", 0},
		"[IPv6:2001:db8::1]":         {"2001:db8::1", 0},
		"::ffff:192.0.2.1":           {"192.0.2.1", 0},
		"192.0.2.1 (mx.example.com)": {"192.0.2.1", 0},
		"dns; 192.0.2.1":             {"192.0.2.1", 0},
		"":                           {"invalid IP", 0},
		"mx.example.com":             {"invalid IP", 0},
		"192.0.2.":                   {"invalid IP", 0},
	} {
		if addr, port := parseSource(v); addr.String() != want.addr || port != want.port {
			t.Errorf("parseSource(%q) = %v, %d", v, addr, port)
		}
	}
}

func TestParseDate(t *testing.T) {
	noon := time.Date(2025, 6, 2, 12, 0, 0, 0, time.UTC)
	for v, want := range map[string]time.Time{
		"Mon, 2 Jun 2025 12:00:00 +0000":       noon,
		"Mon, 02 Jun 2025 14:00:00 +0200":      noon,
		"2 Jun 2025 12:00 GMT":                 noon,
		"Mon, 2 Jun 2025 05:00:00 PDT":         noon,
		"Mon, 2 Jun 2025 21:00:00 JST":         noon,
		"Mon, 2 Jun 2025 12:00:00 +0000 (UTC)": noon,
		"2025-06-02T12:00:00Z":                 noon,
		"2025-06-02T14:00:00.000+02:00":        noon,
		"":                                     {},
		"yesterday":                            {},
	} {
		if got := parseDate(v); !got.Equal(want) {
			t.Errorf("parseDate(%q) = %v, want %v", v, got, want)
		}
	}
}
