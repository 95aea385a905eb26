package engagement

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

var (
	start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	ctx   = context.Background()
)

func days(n float64) time.Duration { return time.Duration(n * float64(day)) }

// ago is an activity.
func ago(n float64) Activity { return Activity{Known: true, Last: start.Add(-days(n))} }

func TestAdmit(t *testing.T) {
	policies := []Policy{
		{Stream: "news"},
		{Stream: "hourly", MaxAge: time.Hour},
		{Stream: "receipts", Everybody: true},
	}
	rest := append([]Policy{{MaxAge: 10 * day}}, policies...)
	for _, c := range []struct {
		name     string
		policies []Policy
		stream   string
		stage    Stage
		activity Activity
		want     Decision
	}{
		{"warm", policies, "news", Stage{}, ago(74), Decision{OK: true, Age: days(74), Limit: days(180)}},
		{"to the day", policies, "news", Stage{}, ago(180), Decision{OK: true, Age: days(180), Limit: days(180)}},
		{"too old", policies, "news", Stage{}, ago(181.5), Decision{Age: days(181.5), Limit: days(180),
			Reason: "last active 181 days ago, stream news takes 180 days"}},
		{"too old by hours", policies, "news", Stage{}, ago(180.5), Decision{Age: days(180.5), Limit: days(180),
			Reason: "last active more than 180 days ago, stream news takes 180 days"}},
		{"second third", policies, "news", Stage{8, 20}, ago(74), Decision{Age: days(74), Limit: days(60),
			Reason: "last active 74 days ago, stream news takes 60 days at warm-up stage 8 of 20"}},
		{"last third", policies, "news", Stage{14, 20}, ago(74), Decision{OK: true, Age: days(74), Limit: days(90)}},
		{"complete", policies, "news", Stage{21, 20}, ago(170), Decision{OK: true, Age: days(170), Limit: days(180)}},
		{"hours", policies, "hourly", Stage{}, ago(1), Decision{Age: day, Limit: time.Hour,
			Reason: "last active 24h0m0s ago, stream hourly takes 1h0m0s"}},
		{"unknown", policies, "news", Stage{1, 20}, Activity{}, Decision{Unknown: true, Limit: days(30),
			Reason: "last activity unknown, stream news takes 30 days at warm-up stage 1 of 20"}},
		{"a time that does not count", policies, "news", Stage{}, Activity{Last: start}, Decision{Unknown: true, Limit: days(180),
			Reason: "last activity unknown, stream news takes 180 days"}},
		{"never", policies, "news", Stage{}, Activity{Known: true}, Decision{Limit: days(180),
			Reason: "never active, stream news takes 180 days"}},
		{"never, and no limit to speak of", []Policy{{MaxAge: math.MaxInt64}}, "news", Stage{}, Activity{Known: true}, Decision{Limit: math.MaxInt64,
			Reason: "never active, stream news takes 106751 days"}},
		{"in the future", policies, "news", Stage{}, ago(-3), Decision{OK: true, Limit: days(180)}},
		{"no policy", policies, "alerts", Stage{1, 20}, Activity{}, Decision{OK: true}},
		{"everybody", rest, "receipts", Stage{1, 20}, Activity{}, Decision{OK: true}},
		{"any other", rest, "alerts", Stage{}, ago(11), Decision{Age: days(11), Limit: days(10),
			Reason: "last active 11 days ago, stream alerts takes 10 days"}},
		{"its own before any other", rest, "news", Stage{}, ago(11), Decision{OK: true, Age: days(11), Limit: days(180)}},
	} {
		g, err := New(Config{
			Policies: c.policies,
			Stage: func(stream string) Stage {
				if stream != c.stream {
					t.Errorf("%s: asked for the stage of %s", c.name, stream)
				}
				return c.stage
			},
			Activity: func(_ context.Context, address string) (Activity, error) {
				if address != "Anna@example.com" {
					t.Errorf("%s: asked for %s", c.name, address)
				}
				return c.activity, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := g.AdmitAt(ctx, start, c.stream, "Anna@example.com"); got != c.want || err != nil {
			t.Errorf("%s: %+v, %v\nwant %+v", c.name, got, err, c.want)
		}
	}
}

func TestAdmitIsNow(t *testing.T) {
	g, err := New(Config{Policies: []Policy{Recommended()}, Activity: func(context.Context, string) (Activity, error) {
		return Activity{Known: true, Last: time.Now().Add(-100 * day)}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if d, err := g.Admit(ctx, "news", "anna@example.com"); !d.OK || d.Age < 99*day || err != nil {
		t.Errorf("%+v, %v", d, err)
	}
}

// Without an answer there is no decision.
func TestAdmitFails(t *testing.T) {
	away := errors.New("away")
	stage := Stage{}
	var fails error
	store := newStore()
	g, err := New(Config{
		Policies:      []Policy{Recommended()},
		Stage:         func(string) Stage { return stage },
		Activity:      func(context.Context, string) (Activity, error) { return Activity{}, fails },
		Confirmations: campaign(t, CampaignConfig{Store: store}),
	})
	if err != nil {
		t.Fatal(err)
	}
	fails = away
	if d, err := g.AdmitAt(ctx, start, "news", "anna@example.com"); d != (Decision{}) || !errors.Is(err, away) {
		t.Errorf("activity: %+v, %v", d, err)
	}
	fails = nil
	store.fail = func(string, string) error { return away }
	if d, err := g.AdmitAt(ctx, start, "news", "anna@example.com"); d != (Decision{}) || !errors.Is(err, away) {
		t.Errorf("store: %+v, %v", d, err)
	} else if strings.Contains(err.Error(), "anna") {
		t.Errorf("the error tells the address: %v", err)
	}
	store.fail = nil
	for _, stage = range []Stage{{-1, 5}, {1, 0}, {3, -1}} {
		if d, err := g.AdmitAt(ctx, start, "news", "anna@example.com"); d != (Decision{}) || err == nil {
			t.Errorf("stage %v: %+v, %v", stage, d, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	activity := func(context.Context, string) (Activity, error) { return Activity{}, nil }
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{Policies: []Policy{{}}}, "Config.Activity is missing"},
		{Config{Activity: activity}, "Config.Policies is empty"},
		{Config{Activity: activity, Policies: []Policy{{Stream: "a"}, {Stream: "a"}}}, `Config.Policies[1]: there is one for stream "a" already`},
	} {
		if _, err := New(c.config); err == nil || !strings.HasPrefix(err.Error(), "engagement: "+c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

// The gate is not changed by what its maker does to the policies afterwards.
func TestNewCopies(t *testing.T) {
	policies := []Policy{{Stages: []StageLimit{{Share: 1, MaxAge: day}}}}
	g, err := New(Config{
		Policies: policies,
		Stage:    func(string) Stage { return Stage{1, 2} },
		Activity: func(context.Context, string) (Activity, error) { return ago(2), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	policies[0].Stages[0].MaxAge = 100 * day
	if d, err := g.AdmitAt(ctx, start, "news", "anna@example.com"); d.OK || err != nil {
		t.Errorf("%+v, %v", d, err)
	}
}

// An address on its way through a campaign, as the gate sees it.
func TestGateAndCampaign(t *testing.T) {
	c := campaign(t, CampaignConfig{Stream: "confirm"})
	known := map[string]Activity{"reader@example.com": ago(1), "old@example.com": ago(300)}
	activity := func(_ context.Context, address string) (Activity, error) { return known[address], nil }
	g, err := New(Config{Policies: []Policy{Recommended()}, Activity: activity, Confirmations: c})
	if err != nil {
		t.Fatal(err)
	}
	bare, err := New(Config{Policies: []Policy{{Stream: "news"}}, Activity: activity, Confirmations: c})
	if err != nil {
		t.Fatal(err)
	}
	now := start
	check := func(name string, g *Gate, stream, address, want string) {
		t.Helper()
		d, err := g.AdmitAt(ctx, now, stream, address)
		if err != nil || d.Reason != want || d.OK != (want == "") {
			t.Errorf("%s: %+v, %v\nwant %q", name, d, err, want)
		}
	}
	const unknown = "last activity unknown, stream news takes 180 days; confirmation campaign: "
	check("not added", g, "news", "anna@example.com", unknown+"not in it")
	check("not added", g, "confirm", "anna@example.com", strings.ReplaceAll(unknown, "news", "confirm")+"not in it")
	check("not added", bare, "confirm", "anna@example.com", "stream confirm takes only whom the confirmation campaign asks: not in it")
	check("no address", g, "news", "anna", "last activity unknown, stream news takes 180 days")
	check("reader on the campaign's stream", g, "confirm", "reader@example.com", "")
	check("reader on the campaign's stream", bare, "confirm", "reader@example.com", "stream confirm takes only whom the confirmation campaign asks: not in it")

	add(t, c, now, "anna@example.com", "bert@example.com", "old@example.com")
	check("waiting", g, "confirm", "anna@example.com", strings.ReplaceAll(unknown, "news", "confirm")+"waiting for its first message")
	first := due(t, c, now, 3)
	if len(first) != 3 {
		t.Fatalf("%d invitations", len(first))
	}
	for _, gate := range []*Gate{g, bare} {
		check("invited", gate, "confirm", "Anna@Example.com", "")
		check("old, invited", gate, "confirm", "old@example.com", "")
		check("invited", gate, "news", "anna@example.com", unknown+"not confirmed yet, 1 of 2 messages sent")
	}

	now = now.Add(day)
	if _, err := c.Confirm(ctx, now, first[0].Token); err != nil || first[0].Address != "anna@example.com" {
		t.Fatal(first[0].Address, err)
	}
	check("confirmed", g, "news", "anna@example.com", "")
	check("confirmed", bare, "confirm", "anna@example.com", "stream confirm takes only whom the confirmation campaign asks: confirmed")
	now = now.Add(180*day + 1)
	check("confirmed long ago", g, "news", "anna@example.com", "last active more than 180 days ago, stream news takes 180 days")
	known["anna@example.com"] = Activity{Known: true, Last: now.Add(-365 * day)}
	check("confirmed after the last activity", g, "news", "anna@example.com", "last active more than 180 days ago, stream news takes 180 days")
	now = now.Add(40 * day)
	known["anna@example.com"] = Activity{Known: true, Last: now.Add(-200 * day)}
	check("active after it was confirmed", g, "news", "anna@example.com", "last active 200 days ago, stream news takes 180 days")
	known["anna@example.com"] = Activity{Known: true, Last: now.Add(-day)}
	check("active since", g, "news", "anna@example.com", "")

	second := due(t, c, now, 3)
	if len(second) != 2 || second[0].Number != 2 {
		t.Fatalf("%+v", second)
	}
	now = now.Add(DefaultGiveUpAfter - 1)
	check("last day", g, "confirm", "bert@example.com", "")
	now = now.Add(1)
	check("over", g, "confirm", "bert@example.com", strings.ReplaceAll(unknown, "news", "confirm")+"not confirmed yet, 2 of 2 messages sent")
	if n, err := c.SweepAt(ctx, now); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	check("lapsed", g, "confirm", "bert@example.com", strings.ReplaceAll(unknown, "news", "confirm")+"not confirmed in time")
}

func BenchmarkAdmitAt(b *testing.B) {
	for _, bench := range []struct {
		name string
		age  float64
	}{{"admitted", 10}, {"refused", 100}} {
		b.Run(bench.name, func(b *testing.B) {
			g, err := New(Config{
				Policies: []Policy{Recommended()},
				Stage:    func(string) Stage { return Stage{9, 20} },
				Activity: func(context.Context, string) (Activity, error) { return ago(bench.age), nil },
			})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if d, err := g.AdmitAt(ctx, start, "news", "anna@example.com"); err != nil || d.OK != (bench.age < 60) {
					b.Fatal(d, err)
				}
			}
		})
	}
}
