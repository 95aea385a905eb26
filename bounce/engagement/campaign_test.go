package engagement

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// campaign makes a Campaign with what is required.
func campaign(t interface {
	Helper()
	Fatal(...any)
}, config CampaignConfig) *Campaign {
	t.Helper()
	if config.Store == nil {
		config.Store = newStore()
	}
	if config.Stream == "" {
		config.Stream = "confirm"
	}
	if config.Key == nil {
		config.Key = []byte("0123456789abcdef")
	}
	c, err := NewCampaign(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func add(t testing.TB, c *Campaign, now time.Time, addresses ...string) {
	t.Helper()
	if a, err := c.Add(ctx, now, addresses...); a.New != len(addresses) || err != nil {
		t.Fatal(a, err)
	}
}

func due(t testing.TB, c *Campaign, now time.Time, n int) []Invitation {
	t.Helper()
	invitations, _, err := c.DueAt(ctx, now, n)
	if err != nil {
		t.Fatal(err)
	}
	return invitations
}

// numbered are n addresses.
func numbered(n int) []string {
	addresses := make([]string, n)
	for i := range addresses {
		addresses[i] = fmt.Sprintf("reader%06d@example.com", i)
	}
	return addresses
}

func TestNewCampaignRefuses(t *testing.T) {
	key := []byte("0123456789abcdef")
	for _, c := range []struct {
		config CampaignConfig
		want   string
	}{
		{CampaignConfig{Stream: "c", Key: key}, "Store is missing"},
		{CampaignConfig{Store: newStore(), Key: key}, "Stream is empty"},
		{CampaignConfig{Store: newStore(), Stream: "c"}, "Key has 0 octets"},
		{CampaignConfig{Store: newStore(), Stream: "c", Key: key, OldKeys: [][]byte{key, key[:3]}}, "OldKeys[1] has 3 octets"},
		{CampaignConfig{Store: newStore(), Stream: "c", Key: key, MaxMessages: -1}, "MaxMessages is -1"},
		{CampaignConfig{Store: newStore(), Stream: "c", Key: key, MaxMessages: 11}, "MaxMessages is 11"},
		{CampaignConfig{Store: newStore(), Stream: "c", Key: key, PerDay: -1}, "PerDay is -1"},
		{CampaignConfig{Store: newStore(), Stream: "c", Key: key, PerDay: 10_000_001}, "PerDay is 10000001"},
		{CampaignConfig{Store: newStore(), Stream: "c", Key: key, Interval: -1}, "Interval is -1ns"},
		{CampaignConfig{Store: newStore(), Stream: "c", Key: key, GiveUpAfter: 11 * 365 * day}, "GiveUpAfter is 96360h0m0s"},
		{CampaignConfig{Store: newStore(), Stream: "c", Key: key, TokenLife: -1}, "TokenLife is -1ns"},
		{CampaignConfig{Store: newStore(), Stream: "c", Key: key, Refresh: -1}, "Refresh is -1ns"},
	} {
		if _, err := NewCampaign(c.config); err == nil || !strings.HasPrefix(err.Error(), "engagement: CampaignConfig."+c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	c := campaign(t, CampaignConfig{}).cfg
	if c.MaxMessages != 2 || c.Interval != 7*day || c.GiveUpAfter != 14*day || c.TokenLife != 21*day || c.PerDay != 500 || c.Refresh != time.Hour {
		t.Errorf("defaults: %+v", c)
	}
}

func TestAdd(t *testing.T) {
	store := newStore()
	c := campaign(t, CampaignConfig{Store: store})
	got, err := c.Add(ctx, start, "Anna@example.com", "anna@EXAMPLE.com.", "bert", "carl@example.com", "")
	if want := (Added{New: 2, Had: 1, Invalid: []string{"bert", ""}}); !reflect.DeepEqual(got, want) || err != nil {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	before := store.record("anna@example.com")
	if got, err := c.Add(ctx, start.Add(day), "anna@example.com"); got.Had != 1 || got.New != 0 || err != nil {
		t.Errorf("again: %+v, %v", got, err)
	}
	if after := store.record("anna@example.com"); after != before {
		t.Errorf("adding it again made %+v of %+v", after, before)
	}

	away := errors.New("away")
	store.fail = func(_, key string) error {
		if key == "erna@example.com" {
			return away
		}
		return nil
	}
	got, err = c.Add(ctx, start, "dora@example.com", "erna@example.com", "fred@example.com")
	if got.New != 1 || !errors.Is(err, away) || strings.Contains(err.Error(), "erna") {
		t.Errorf("%+v, %v", got, err)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if got, err := c.Add(canceled, start, "fred@example.com"); got.New != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %+v, %v", got, err)
	}
}

// The life of an address, step by step.
func TestStatusSteps(t *testing.T) {
	var suppressed []string
	c := campaign(t, CampaignConfig{Suppress: func(_ context.Context, address, reason string) error {
		suppressed = append(suppressed, address+" "+reason)
		return nil
	}})
	const anna = "anna@example.com"
	at := func(days int) time.Time { return start.Add(time.Duration(days) * day) }
	tokens := map[int]string{}
	for i, s := range []struct {
		day  int
		do   string
		want Status
	}{
		{0, "nothing", Status{State: StateUnknown, Of: 2}},
		{0, "sweep", Status{State: StateUnknown, Of: 2}},
		{0, "add", Status{State: StateInvited, Of: 2, Since: at(0), Next: at(0)}},
		{1, "due", Status{State: StateInvited, Sent: 1, Of: 2, Since: at(0), Next: at(8)}},
		{7, "due", Status{State: StateInvited, Sent: 1, Of: 2, Since: at(0), Next: at(8)}},
		{7, "sweep", Status{State: StateInvited, Sent: 1, Of: 2, Since: at(0), Next: at(8)}},
		{30, "sweep", Status{State: StateInvited, Sent: 1, Of: 2, Since: at(0), Next: at(8)}}, // its second message is due, not its end
		{30, "due", Status{State: StateInvited, Sent: 2, Of: 2, Since: at(0), Until: at(44)}},
		{43, "due", Status{State: StateInvited, Sent: 2, Of: 2, Since: at(0), Until: at(44)}},
		{43, "sweep", Status{State: StateInvited, Sent: 2, Of: 2, Since: at(0), Until: at(44)}},
		{44, "sweep", Status{State: StateLapsed, Sent: 2, Of: 2, Since: at(44)}},
		{45, "sweep", Status{State: StateLapsed, Sent: 2, Of: 2, Since: at(44)}},
		{45, "add", Status{State: StateLapsed, Sent: 2, Of: 2, Since: at(44)}},
		{45, "due", Status{State: StateLapsed, Sent: 2, Of: 2, Since: at(44)}},
		{45, "confirm", Status{State: StateLapsed, Sent: 2, Of: 2, Since: at(44)}},
		{46, "confirm by hand", Status{State: StateActive, Sent: 2, Of: 2, Since: at(46)}},
		{46, "due", Status{State: StateActive, Sent: 2, Of: 2, Since: at(46)}},
		{99, "sweep", Status{State: StateActive, Sent: 2, Of: 2, Since: at(46)}},
	} {
		now, err := at(s.day), error(nil)
		switch s.do {
		case "add":
			_, err = c.Add(ctx, now, anna)
		case "due":
			for _, i := range due(t, c, now, 10) {
				tokens[i.Number] = i.Token
			}
		case "sweep":
			_, err = c.SweepAt(ctx, now)
		case "confirm":
			var address string
			if address, err = c.Confirm(ctx, now, tokens[2]); address != anna || err != ErrLapsed {
				t.Errorf("step %d: %s, %v", i, address, err)
			}
			if _, err = c.Confirm(ctx, now, tokens[1]); err != ErrTokenExpired {
				t.Errorf("step %d: %v", i, err)
			}
			err = nil
		case "confirm by hand":
			err = c.ConfirmAddress(ctx, now, "Anna@Example.com")
		}
		if err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		if got, err := c.Status(ctx, "ANNA@example.com"); got != s.want || err != nil {
			t.Fatalf("step %d, day %d, %s: %+v, %v\nwant %+v", i, s.day, s.do, got, err, s.want)
		}
	}
	if want := []string{"anna@example.com did not confirm after 2 messages"}; !reflect.DeepEqual(suppressed, want) {
		t.Errorf("suppressed %q", suppressed)
	}
}

func TestConfirm(t *testing.T) {
	store := newStore()
	c := campaign(t, CampaignConfig{Store: store})
	add(t, c, start, "anna@example.com")
	token := due(t, c, start, 1)[0].Token
	for i := range 3 {
		if address, err := c.Confirm(ctx, start.Add(time.Duration(i)*day), token); address != "anna@example.com" || err != nil {
			t.Fatal(address, err)
		}
		if r := store.record("anna@example.com"); r.state != StateActive || r.since != stamp(start) {
			t.Errorf("confirmed %d times: %+v", i+1, r)
		}
	}
	if err := c.ConfirmAddress(ctx, start.Add(day), "anna@example.com"); err != nil || store.record("anna@example.com").since != stamp(start.Add(day)) {
		t.Error(err, store.record("anna@example.com"))
	}
	if err := c.ConfirmAddress(ctx, start, "anna@example.com"); err != nil || store.record("anna@example.com").since != stamp(start.Add(day)) {
		t.Error(err, store.record("anna@example.com"))
	}

	if got, err := c.Confirm(ctx, start, "no token"); got != "" || err != ErrToken {
		t.Error(got, err)
	}
	if got, err := c.Confirm(ctx, start.Add(21*day), token); got != "" || err != ErrTokenExpired {
		t.Error(got, err)
	}
	if err := c.ConfirmAddress(ctx, start, "nobody"); err != ErrAddress {
		t.Error(err)
	}
	if _, err := c.Status(ctx, "nobody"); err != ErrAddress {
		t.Error(err)
	}
	// An address that only the host knows, and one whose record was lost.
	if err := c.ConfirmAddress(ctx, start, "bert@example.com"); err != nil || store.record("bert@example.com").state != StateActive {
		t.Error(err)
	}
	delete(store.values, "anna@example.com")
	if _, err := c.Confirm(ctx, start, token); err != nil || store.record("anna@example.com").state != StateActive {
		t.Error(err)
	}

	away := errors.New("away")
	store.fail = func(string, string) error { return away }
	if _, err := c.Confirm(ctx, start, token); !errors.Is(err, away) || strings.Contains(err.Error(), "anna") {
		t.Error(err)
	}
	store.fail = nil
	store.values["anna@example.com"] = []byte("2 of another version")
	if _, err := c.Confirm(ctx, start, token); !errors.Is(err, errRecord) {
		t.Error(err)
	}
}

// Tokens of a former key are taken as long as it is named; new ones are made with the new key.
func TestKeyRotation(t *testing.T) {
	store := newStore()
	old, fresh := []byte("0123456789abcdef"), []byte("fedcba9876543210")
	before := campaign(t, CampaignConfig{Store: store, Key: old})
	add(t, before, start, "anna@example.com", "bert@example.com")
	token := due(t, before, start, 1)[0].Token
	rotated := campaign(t, CampaignConfig{Store: store, Key: fresh, OldKeys: [][]byte{old}})
	if address, err := rotated.Confirm(ctx, start, token); address != "anna@example.com" || err != nil {
		t.Error(address, err)
	}
	if _, err := rotated.Confirm(ctx, start.Add(99*day), token); err != ErrTokenExpired {
		t.Error(err)
	}
	if _, err := rotated.Confirm(ctx, start, "no token"); err != ErrToken {
		t.Error(err)
	}
	after := campaign(t, CampaignConfig{Store: store, Key: fresh})
	if _, err := after.Confirm(ctx, start, token); err != ErrToken {
		t.Error(err)
	}
	if address, err := after.Confirm(ctx, start, due(t, rotated, start, 1)[0].Token); address != "bert@example.com" || err != nil {
		t.Error(address, err)
	}
}
