package throttle

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestExceptions(t *testing.T) {
	own := Limits{Connections: 1, Recipients: 500, MessageRate: Rate{30, time.Minute}}
	secret := Limits{TLS: TLSRequired}
	table := newTable(t, TableConfig{Exceptions: []Exception{
		{Domain: "school.example", Limits: own},
		{Domain: "xn--bcher-kva.example", Limits: secret},
	}})
	const mx = "aspmx.l.google.com"
	google := table.Limits("google")
	for _, domain := range []string{"school.example", "School.Example.", "bücher.example"} {
		if _, ok := table.Exception(domain); !ok {
			t.Errorf("%s has no exception", domain)
		}
		if got := table.Provider(domain, []string{mx}); got != "google" {
			t.Errorf("%s left its provider for %q", domain, got)
		}
	}
	for _, domain := range []string{"sub.school.example", "school.examples", "", "google"} {
		if e, ok := table.Exception(domain); ok || e != (Exception{}) {
			t.Errorf("%q has the exception %+v", domain, e)
		}
		if got := table.DomainLimits("google", domain); got != google {
			t.Errorf("%q: %+v", domain, got)
		}
	}
	want := google
	want.Connections, want.MessageRate = 1, Rate{30, time.Minute}
	if got := table.DomainLimits("google", "School.example"); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := table.DomainLimits("yahoo", "bücher.example"); got.TLS != TLSRequired || table.Limits("yahoo").TLS == TLSRequired {
		t.Errorf("the exception's TLS is %q", got.TLS)
	}
	if got := table.DomainLimits("google", "school.example"); got.TLS != TLSRequired {
		t.Errorf("an exception without opinion makes TLS %q", got.TLS)
	}
	for provider, want := range map[string]Limits{"@school.example": own, "@other.example": {}, "google": google} {
		if got := table.Limits(provider); got != want {
			t.Errorf("%s: %+v, want %+v", provider, got, want)
		}
	}
	if got := newTable(t, TableConfig{}).DomainLimits("google", "school.example"); got != google {
		t.Errorf("without exceptions: %+v", got)
	}
}

// A domain's own path limits its mail within the provider's limits, and the provider's other domains share what it does not use.
func TestExceptionLimiter(t *testing.T) {
	table := newTable(t, TableConfig{Exceptions: []Exception{{Domain: "school.example", Limits: Limits{Connections: 1, MessageRate: Rate{1, time.Minute}}}}})
	l, err := New(Config{Table: table})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1e9, 0)
	google, school := Path{"mta1", "google"}, DomainPath("mta1", "School.example")
	take := func(p Path, tok Token) bool { return l.AcquireAt(now, p, tok).OK }
	if !take(google, TokenConnection) || !take(school, TokenConnection) || !take(google, TokenMessage) || !take(school, TokenMessage) {
		t.Fatal("the first transaction is refused")
	}
	now = now.Add(time.Second)
	if !take(google, TokenConnection) {
		t.Error("the provider is closed to other domains")
	}
	if d := l.AcquireAt(now, school, TokenConnection); d.OK || d.Reason != ReasonConnections {
		t.Errorf("a second connection for the domain: %+v", d)
	}
	l.ReleaseAt(now, school, TokenConnection)
	if !take(school, TokenConnection) {
		t.Error("the next transaction is refused its connection")
	}
	if d := l.AcquireAt(now, school, TokenMessage); d.OK || d.Reason != ReasonMessageRate {
		t.Errorf("a second message within the minute: %+v", d)
	}
	if other := DomainPath("mta1", "other.example"); !take(other, TokenConnection) || !take(other, TokenMessage) || !take(other, TokenMessage) {
		t.Error("a domain without an exception has limits of its own")
	}
	for provider, ok := range map[string]bool{"@school.example": true, "@other.example": false, "@": false} {
		if _, err := New(Config{Table: table, Limits: map[string]Limits{provider: {}}}); (err == nil) != ok {
			t.Errorf("Config.Limits[%q]: %v", provider, err)
		}
	}
}

func TestExceptionsRefuse(t *testing.T) {
	one := Limits{Connections: 1}
	for want, exceptions := range map[string][]Exception{
		`[0].Domain: "" can never match`:                         {{Limits: one}},
		`[0].Domain: "School.example" can never match`:           {{Domain: "School.example", Limits: one}},
		`[0].Domain: "school.example." can never match`:          {{Domain: "school.example.", Limits: one}},
		`[0].Domain: "bücher.example" can never match`:           {{Domain: "bücher.example", Limits: one}},
		`[0].Domain: "*.example" can never match`:                {{Domain: "*.example", Limits: one}},
		`[1].Domain: "a.example" is there twice`:                 {{Domain: "a.example", Limits: one}, {Domain: "a.example", Limits: one}},
		`[0].Limits: has no limit`:                               {{Domain: "a.example"}},
		`[0].Limits.Connections: -1 is negative`:                 {{Domain: "a.example", Limits: Limits{Connections: -1}}},
		`[0].Limits.MessagesPerConnection: connections are`:      {{Domain: "a.example", Limits: Limits{MessagesPerConnection: 1}}},
		`[0].Limits.ConnectRate: connections are the provider's`: {{Domain: "a.example", Limits: Limits{ConnectRate: Rate{1, time.Second}}}},
		`[0].Limits.IdleTimeout: connections are the provider's`: {{Domain: "a.example", Limits: Limits{IdleTimeout: time.Second}}},
	} {
		_, err := NewTable(TableConfig{Exceptions: exceptions})
		if err == nil || !strings.HasPrefix(err.Error(), "throttle: TableConfig.Exceptions"+want) {
			t.Errorf("want %s, got %v", want, err)
		}
	}
}

func TestParseExceptions(t *testing.T) {
	want := []Exception{{Domain: "a.example", Limits: Limits{Connections: 1, MessageRate: Rate{5, time.Hour}}, Source: "s", Date: "2026-01-02"}}
	got, err := ParseExceptions([]byte(`[{"domain": "a.example", "limits": {"connections": 1, "message_rate": "5/h"}, "source": "s", "date": "2026-01-02"}]`))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %v", got, err)
	}
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := ParseExceptions(data); err != nil || !reflect.DeepEqual(again, want) {
		t.Fatalf("%s: %+v, %v", data, again, err)
	}
	for _, data := range []string{``, `{}`, `[{"domian": "x"}]`, `[{"limits": {"x": 1}}]`, `[1]`} {
		if _, err := ParseExceptions([]byte(data)); err == nil || !strings.HasPrefix(err.Error(), "throttle: exception") {
			t.Errorf("%s: %v", data, err)
		}
	}
}
