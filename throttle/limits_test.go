package throttle

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseRate(t *testing.T) {
	for text, want := range map[string]Rate{
		"":        {},
		"100/s":   {100, time.Second},
		"1/1s":    {1, time.Second},
		"100/m":   {100, time.Minute},
		"500/h":   {500, time.Hour},
		"5000/d":  {5000, 24 * time.Hour},
		"10/90s":  {10, 90 * time.Second},
		"7/1h30m": {7, 90 * time.Minute},
	} {
		got, err := ParseRate(text)
		if err != nil || got != want {
			t.Errorf("ParseRate(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"100", "/s", "x/s", "1/", "1/x", "0/s", "-1/s", "1/-1s", "0/0s", "1/0s", "1/s/s", "1000000001/s", "99999999999999999999/s", "10/1ns",
	} {
		if got, err := ParseRate(text); err == nil {
			t.Errorf("ParseRate(%q) = %v, want an error", text, got)
		} else if !strings.Contains(err.Error(), text) {
			t.Errorf("ParseRate(%q): %v does not quote it", text, err)
		}
	}
}

func drawRate(t *rapid.T) Rate {
	if rapid.Bool().Draw(t, "unlimited") {
		return Rate{}
	}
	per := rapid.SampledFrom([]time.Duration{time.Second, time.Minute, time.Hour, 24 * time.Hour, 90 * time.Second, 250 * time.Millisecond})
	return Rate{N: rapid.IntRange(1, 1000).Draw(t, "n"), Per: per.Draw(t, "per")}
}

func drawLimits(t *rapid.T) Limits {
	small := rapid.IntRange(0, 50)
	return Limits{
		Connections:           small.Draw(t, "connections"),
		MessagesPerConnection: small.Draw(t, "messages"),
		Recipients:            small.Draw(t, "recipients"),
		MessageRate:           drawRate(t),
		ConnectRate:           drawRate(t),
		IdleTimeout:           time.Duration(rapid.IntRange(0, 100).Draw(t, "idle")) * time.Second,
		TLS:                   rapid.SampledFrom([]TLS{"", TLSOpportunistic, TLSRequired}).Draw(t, "tls"),
	}
}

func TestLimitsJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawLimits(t)
		data, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got := DefaultLimits()
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		if got != want {
			t.Fatalf("%s: got %+v, want %+v", data, got, want)
		}
	})
	got := DefaultLimits()
	if err := json.Unmarshal([]byte(`{"connections": 0, "message_rate": ""}`), &got); err != nil {
		t.Fatal(err)
	}
	want := DefaultLimits()
	want.Connections, want.MessageRate = 0, Rate{}
	if got != want {
		t.Fatalf("fields that are left out: got %+v, want %+v", got, want)
	}
	for _, data := range []string{`{"conections": 5}`, `{"idle_timeout": "1 minute"}`, `{"message_rate": "5"}`, `[]`} {
		got := want
		if err := json.Unmarshal([]byte(data), &got); err == nil || got != want {
			t.Errorf("%s: %v, changed to %+v", data, err, got)
		}
	}
}

func TestStrictest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawLimits(t), drawLimits(t)
		got := strictest(a, b)
		if back := strictest(b, a); back.Connections != got.Connections || back.TLS != got.TLS || slower(back.MessageRate, got.MessageRate) != back.MessageRate {
			t.Fatalf("not symmetric: %+v and %+v", got, back)
		}
		if got.TLS == TLSRequired && (a.TLS != TLSRequired || b.TLS != TLSRequired) {
			t.Fatal("requires TLS of one that does not have to have it")
		}
		for _, pair := range [][3]int{
			{a.Connections, b.Connections, got.Connections},
			{a.MessagesPerConnection, b.MessagesPerConnection, got.MessagesPerConnection},
			{a.Recipients, b.Recipients, got.Recipients},
			{int(a.IdleTimeout), int(b.IdleTimeout), int(got.IdleTimeout)},
		} {
			for _, l := range pair[:2] {
				if l != 0 && (pair[2] == 0 || pair[2] > l) {
					t.Fatalf("strictest of %d and %d is %d", pair[0], pair[1], pair[2])
				}
			}
			if pair[2] != pair[0] && pair[2] != pair[1] {
				t.Fatalf("strictest of %d and %d is %d", pair[0], pair[1], pair[2])
			}
		}
	})
}

func TestLimitsValidate(t *testing.T) {
	for field, change := range map[string]func(*Limits){
		"Connections":           func(l *Limits) { l.Connections = -1 },
		"MessagesPerConnection": func(l *Limits) { l.MessagesPerConnection = -1 },
		"Recipients":            func(l *Limits) { l.Recipients = -1 },
		"MessageRate":           func(l *Limits) { l.MessageRate = Rate{N: 0, Per: time.Second} },
		"ConnectRate":           func(l *Limits) { l.ConnectRate = Rate{N: 1} },
		"IdleTimeout":           func(l *Limits) { l.IdleTimeout = -1 },
		"TLS":                   func(l *Limits) { l.TLS = "verified" },
	} {
		l := DefaultLimits()
		change(&l)
		if err := l.validate(); err == nil || !strings.HasPrefix(err.Error(), field+": ") {
			t.Errorf("%s: %v", field, err)
		}
	}
	if err := (Limits{}).validate(); err != nil {
		t.Errorf("the zero Limits: %v", err)
	}
	if err := DefaultLimits().validate(); err != nil {
		t.Errorf("DefaultLimits: %v", err)
	}
}
