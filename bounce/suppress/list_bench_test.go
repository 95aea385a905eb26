package suppress

import (
	"fmt"
	"testing"
	"time"
)

func BenchmarkCheckAt(b *testing.B) {
	for _, c := range []struct {
		name, address string
		cfg           Config
	}{
		{"admitted", "somebody@example.com", Config{}},
		{"admitted/hashed", "somebody@example.com", Config{HashKey: []byte("a key of enough bytes")}},
		{"suppressed", anna, Config{}},
	} {
		b.Run(c.name, func(b *testing.B) {
			l := list(b, c.cfg)
			for i := range 10_000 {
				add(b, l, day0, Entry{Address: fmt.Sprintf("r%d@example.com", i), Reason: Manual})
			}
			observe(b, l, day0, Incident{ID: "1", Address: anna, Kind: Bounced, Verdict: deadVerdict})
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := l.CheckAt(b.Context(), day0, "news", c.address); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkObserveAt(b *testing.B) {
	for _, c := range []struct {
		name string
		i    Incident
	}{
		{"delivered", Incident{Address: anna, Kind: Delivered}},
		{"dead", Incident{ID: "1", Address: anna, Kind: Bounced, Verdict: deadVerdict}},
		{"strike", Incident{Address: anna, Kind: Deferred, Verdict: fullVerdict}},
	} {
		b.Run(c.name, func(b *testing.B) {
			l := list(b, Config{})
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				i := c.i
				if i.ID != "" {
					i.Address = fmt.Sprintf("r%d@example.com", n%10_000)
				}
				if _, _, err := l.ObserveAt(b.Context(), day0.Add(time.Duration(n)*time.Minute), i); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
