package sender_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/reputemail/repute/sender"
)

func TestOrdersAreChecked(t *testing.T) {
	cfg := newStage(t).config("a", "b")
	cfg.Providers = nil
	cfg.Routes = append(cfg.Routes, sender.Route{Name: "esp", Relay: &sender.Relay{Addr: "192.0.2.1:25"}})
	s, err := sender.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	target := sender.Target{Route: "a"}
	for _, tt := range []struct {
		field string // of the error; empty: it is fine
		hold  sender.Hold
	}{
		{"", sender.Hold{Target: target, Act: ada}},
		{"", sender.Hold{Target: sender.Target{Route: "a", Provider: "google"}, Act: ada, Drain: true}},
		{"", sender.Hold{Target: sender.Target{Provider: "google+example.com"}, Act: ada}},
		{"", sender.Hold{Target: sender.Target{Route: "esp", Provider: "mail.example"}, Act: ada}},
		{"", sender.Hold{Target: sender.Target{Stream: "default"}, Act: ada, Until: time.Now().Add(time.Hour)}},
		{"", sender.Hold{Target: sender.Target{Destination: "Bücher.example"}, Act: ada}},
		{"Target", sender.Hold{Act: ada}},
		{"Target", sender.Hold{Target: sender.Target{Route: "a", Stream: "default"}, Act: ada}},
		{"Target", sender.Hold{Target: sender.Target{Destination: "example.com", Provider: "google"}, Act: ada}},
		{"Target.Route", sender.Hold{Target: sender.Target{Route: "c"}, Act: ada}},
		{"Target.Stream", sender.Hold{Target: sender.Target{Stream: "c"}, Act: ada}},
		{"Target.Destination", sender.Hold{Target: sender.Target{Destination: "example"}, Act: ada}},
		{"Target.Provider", sender.Hold{Target: sender.Target{Provider: "gogle"}, Act: ada}},
		{"Target.Provider", sender.Hold{Target: sender.Target{Route: "a", Provider: "Example.com"}, Act: ada}},
		{"Target.Provider", sender.Hold{Target: sender.Target{Route: "esp", Provider: "relay"}, Act: ada}},
		{"Target.Provider", sender.Hold{Target: sender.Target{Provider: "a.b\x00"}, Act: ada}},
		{"Act.Actor", sender.Hold{Target: target, Act: sender.Act{Reason: "x"}}},
		{"Act.Reason", sender.Hold{Target: target, Act: sender.Act{Actor: "x", Reason: " "}}},
		{"Act.Reason", sender.Hold{Target: target, Act: sender.Act{Actor: "x", Reason: "two\r\nlines"}}},
		{"Act.Reason", sender.Hold{Target: target, Act: sender.Act{Actor: "x", Reason: strings.Repeat("x", 501)}}},
		{"Act.Actor", sender.Hold{Target: target, Act: sender.Act{Actor: "\xff", Reason: "x"}}},
		{"Drain", sender.Hold{Target: sender.Target{Stream: "default"}, Act: ada, Drain: true}},
		{"Drain", sender.Hold{Target: sender.Target{Provider: "google"}, Act: ada, Drain: true}},
		{"Until", sender.Hold{Target: target, Act: ada, Until: time.Now()}},
	} {
		err := s.Suspend(bg, tt.hold)
		var oe *sender.OperationError
		if errors.As(err, &oe) != (tt.field != "") || tt.field == "" && err != nil || tt.field != "" && oe.Field != tt.field {
			t.Errorf("%+v: %v", tt.hold, err)
		}
	}
	if _, err := s.Bounce(bg, sender.Filter{}, ada); err == nil {
		t.Error("a filter without conditions is taken")
	}
	for field, f := range map[string]sender.Filter{
		"Filter":                 {},
		"Filter.All":             {All: true, Route: "a"},
		"Filter.Streams[1]":      {Streams: []string{"a", ""}},
		"Filter.Destinations[0]": {Destinations: []string{"x y"}},
		"Filter.MessageIDs[0]":   {MessageIDs: []string{"a\n"}},
		"Filter.Providers":       {Providers: make([]string, 10_001)},
		"Filter.Route":           {Route: "\x00"},
		// What can match nothing.
		"Filter.Streams[2]":   {Streams: []string{"default", "default", "news"}},
		"Filter.Providers[1]": {Providers: []string{"google", "gogle"}},
	} {
		_, err := s.Cancel(bg, f, ada)
		if oe := (*sender.OperationError)(nil); !errors.As(err, &oe) || oe.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := s.Move(bg, sender.Filter{All: true}, sender.MoveTo{Pool: "nowhere"}, ada); err == nil || !strings.Contains(err.Error(), "MoveTo.Pool") {
		t.Errorf("pool: %v", err)
	}
	if _, err := s.Move(bg, sender.Filter{All: true}, sender.MoveTo{Pool: "default"}, sender.Act{}); err == nil {
		t.Error("nobody gave the order")
	}
	if err := s.Resume(bg, sender.Target{Route: "b"}, ada); !errors.Is(err, sender.ErrNotSuspended) {
		t.Errorf("resume: %v", err)
	}
	if err := s.Resume(bg, sender.Target{Destination: "bücher.EXAMPLE"}, ada); err != nil {
		t.Errorf("resume: %v", err)
	}
	if hs, err := s.Holds(bg); err != nil || len(hs) != 5 || hs[0].Target.String() != "path a/google" || hs[0].Actor != "ada" || hs[0].Since.IsZero() || hs[0].Unsaved {
		t.Errorf("holds: %+v, %v", hs, err)
	}
	s.Stop(bg)
	if err := s.Suspend(bg, sender.Hold{Target: target, Act: ada}); !errors.Is(err, sender.ErrStopped) {
		t.Errorf("after Stop: %v", err)
	}
}

func TestHoldInWords(t *testing.T) {
	hold := sender.Hold{Target: sender.Target{Route: "mta1", Provider: "google"}, Act: sender.Act{Actor: "ada", Reason: "maintenance"}}
	if got, want := fmt.Sprint(hold), "path mta1/google is suspended by ada: maintenance"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	hold.Drain, hold.Until = true, time.Date(2026, 3, 1, 13, 0, 0, 0, time.FixedZone("", 3600))
	if got, want := fmt.Sprint(&hold), "path mta1/google is drained by ada until 2026-03-01T12:00:00Z: maintenance"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
