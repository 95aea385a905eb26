package throttle

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

func TestStates(t *testing.T) {
	l := newLimiter(t, Config{})
	for _, p := range []Path{{"b", "google"}, {"a", "yahoo"}, {"a", "google"}} {
		l.AcquireAt(start, p, TokenConnection)
	}
	var got []Path
	for _, s := range l.StatesAt(start) {
		got = append(got, s.Path)
	}
	if want := "[a/google a/yahoo b/google]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
	l.StateAt(start, Path{"c", "google"})
	if n := len(l.StatesAt(start)); n != 3 {
		t.Errorf("looking made a path: %d", n)
	}
}

func TestStateJSON(t *testing.T) {
	l := newLimiter(t, Config{Limits: map[string]Limits{"google": {Connections: 2}}})
	p := Path{"mta1", "google"}
	open := `{"route":"mta1","provider":"google","phase":"open","open":0,` +
		`"limits":{"connections":2,"messages_per_connection":0,"recipients":0,"message_rate":"","connect_rate":"","idle_timeout":"0s","tls":""},` +
		`"configured":{"connections":2,"messages_per_connection":0,"recipients":0,"message_rate":"","connect_rate":"","idle_timeout":"0s","tls":""},` +
		`"messages":-1,"connects":-1}`
	if got, err := json.Marshal(l.StateAt(start, p)); err != nil || string(got) != open {
		t.Errorf("%s, %v\nwant\n%s", got, err, open)
	}
	l.ObserveAt(start, p, Signal{Kind: SignalRateLimited})
	data, err := json.Marshal(l.StateAt(start.Add(time.Minute), p))
	if err != nil {
		t.Fatal(err)
	}
	var got State
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if want := l.StateAt(start.Add(time.Minute), p); got != want || got.Reason != ReasonBackoff || got.Cause != SignalRateLimited || !got.Since.Equal(start) {
		t.Errorf("%s: read back as\n%+v\nwant\n%+v", data, got, want)
	}
}

// The embedded Path must not be all that is printed of a State.
func TestStateString(t *testing.T) {
	l := newLimiter(t, Config{})
	p := Path{"mta1", "google"}
	l.AcquireAt(start, p, TokenConnection)
	if got, want := fmt.Sprint(l.StateAt(start, p)), "mta1/google: open, 1 connection of 5"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	l.ReleaseAt(start, p, TokenConnection)
	l.ObserveAt(start, p, Signal{Kind: SignalRateLimited})
	if got, want := fmt.Sprint(l.StateAt(start, p)), "mta1/google: stopped (rate-limited) until 2026-03-01T12:10:00Z, 0 connections of 1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := fmt.Sprint(l.StateAt(start.Add(time.Hour), p)), "mta1/google: ramping (rate-limited), 0 connections of 1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	l = newLimiter(t, Config{Limits: map[string]Limits{"google": {}}})
	if got, want := fmt.Sprint(l.StateAt(start, p)), "mta1/google: open, 0 connections"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
