package warmup

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// TestPlanFit: what a plan says to a campaign before anything is sent, and that a weekly newsletter on a plan for daily mail does not get there.
func TestPlanFit(t *testing.T) {
	const week = 7 * 24 * time.Hour
	newsletter := Campaign{Messages: map[string]int{"google": 5000}, Window: 24 * time.Hour, Every: week, Times: 20}
	weekly, err := Weekly(500, 1.4, 5000).Fit(newsletter)
	if err != nil {
		t.Fatal(err)
	}
	daily, err := Geometric(500, 1.4, 5000).Fit(newsletter)
	if err != nil {
		t.Fatal(err)
	}
	// 500, 700, 980, ... 3764, 5000: the ninth stage is the first that holds all of it, in a week each.
	if weekly.Fits || weekly.FirstFit != 8 {
		t.Errorf("weekly: first fit %d: %+v", weekly.FirstFit, weekly.Sendings)
	}
	for i, s := range weekly.Sendings[:3] {
		if f := s.Providers["google"]; f.Stage != i+1 || f.Sent < f.DayCap*98/100 || f.Sent > f.DayCap || f.Sent+f.Overflow != 5000 || s.Sent != f.Sent {
			t.Errorf("sending %d: %+v", i+1, s)
		}
	}
	if daily.Sendings[5].Providers["google"].Stage >= 9 && daily.FirstFit != 0 && daily.FirstFit < 3 {
		t.Errorf("daily: first fit %d", daily.FirstFit)
	}
	one, err := Geometric(100, 1.5, 5000).Fit(Campaign{Messages: map[string]int{"google": 1000, "yahoo": 50}, Window: 48 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	s := one.Sendings[0]
	// 100 on the first day and 150 on the second; done when 100+150+225+337+188 are out, on the fifth day.
	if one.Fits || s.Providers["google"].Sent < 240 || s.Providers["google"].Sent > 250 || s.Providers["yahoo"].Overflow != 0 {
		t.Errorf("%+v", s)
	}
	if days := s.Done.Sub(s.Start).Hours() / 24; days < 4 || days > 5.5 {
		t.Errorf("done after %.1f days", days)
	}
}

// TestLedgerFit: what was sent today counts, nothing is reserved, and the stage at the time of the sending rules.
func TestLedgerFit(t *testing.T) {
	for _, store := range []Store{nil, NewMemoryStore()} {
		l := mustOpen(t, Config{Plans: plans(Plan{Stages: []Stage{{100, 100, 100}, {150, 150, 150}}}), Store: store})
		if n := send(l, start, google, 60); n != 60 {
			t.Fatal(n)
		}
		l.ReserveAt(start, google, 10) // under way
		before := l.StateAt(start, google)
		campaign := Campaign{Messages: map[string]int{"google": 50}, Window: 6 * time.Hour}
		f, err := l.FitAt(start, "new", campaign)
		if err != nil || f.Fits || f.Sendings[0].Sent != 30 || f.Sendings[0].Overflow != 20 || !f.Sendings[0].Start.Equal(start) {
			t.Errorf("today: %+v, %v", f, err)
		}
		campaign.Messages["google"] = 30
		if f, err := l.FitAt(start, "new", campaign); err != nil || !f.Fits || f.FirstFit != 1 {
			t.Errorf("30: %+v, %v", f, err)
		}
		campaign.Start = start.Add(26 * time.Hour)
		campaign.Messages["google"] = 100
		if f, err := l.FitAt(start, "new", campaign); err != nil || !f.Fits {
			t.Errorf("tomorrow: %+v, %v", f, err)
		}
		if after := l.StateAt(start, google); after != before {
			t.Errorf("it changed %v to %v", before, after)
		}
		if _, err := l.FitAt(start, "old", campaign); !errors.Is(err, ErrWarm) {
			t.Errorf("%v", err)
		}
	}
}

func TestCampaignFaults(t *testing.T) {
	for want, c := range map[string]Campaign{
		"Campaign.Messages is empty":            {Window: time.Hour},
		"Campaign.Messages a provider's name":   {Messages: map[string]int{"": 1}, Window: time.Hour},
		"Campaign.Messages[\"google\"] is -1":   {Messages: map[string]int{"google": -1}, Window: time.Hour},
		"Campaign.Window is 0s":                 {Messages: map[string]int{"google": 1}},
		"Campaign.Times is 101":                 {Messages: map[string]int{"google": 1}, Window: time.Hour, Times: 101},
		"Campaign.Every is 1m0s: must be at le": {Messages: map[string]int{"google": 1}, Window: time.Hour, Times: 2, Every: time.Minute},
	} {
		if _, err := Geometric(10, 0, 20).Fit(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := (Plan{}).Fit(Campaign{Messages: map[string]int{"google": 1}, Window: time.Hour}); err == nil {
		t.Error("a plan without stages fits")
	}
}

// TestRoom: RoomAt tells what can be reserved.
func TestRoom(t *testing.T) {
	l := mustOpen(t, Config{Plans: plans(Plan{Stages: []Stage{{100, 30, 20}}}), Store: NewMemoryStore()})
	now := start
	for range 50 {
		room := l.RoomAt(now, google)
		if room.N > 0 {
			if r := l.ReserveAt(now, google, room.N+1); r.OK {
				t.Fatalf("%+v, and one more", room)
			}
			r := l.ReserveAt(now, google, room.N)
			if !r.OK {
				t.Fatalf("%+v: %+v", room, r)
			}
			l.CommitAt(now, r)
			continue
		}
		if r := l.ReserveAt(now, google, 1); r.OK || r.Reason != room.Reason || !r.Until.Equal(room.Until) {
			t.Fatalf("%+v, but %+v", room, r)
		}
		now = room.Until
	}
	if err := l.Pause(context.Background(), google); err != nil {
		t.Fatal(err)
	}
	if room := l.RoomAt(now, google); room.N != 0 || room.Reason != ReasonPaused || !room.Until.After(now) {
		t.Errorf("paused: %+v", room)
	}
	if room := l.RoomAt(now, Path{"old", "google"}); room.N < 1<<40 {
		t.Errorf("a warm route: %+v", room)
	}
}
