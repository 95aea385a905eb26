package engagement

import (
	"context"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestRecommended(t *testing.T) {
	p, err := Recommended().complete()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ number, of, days int }{
		{0, 0, 180}, {0, 21, 180}, // warm
		{1, 21, 30}, {7, 21, 30}, {8, 21, 60}, {14, 21, 60}, {15, 21, 90}, {21, 21, 90},
		{22, 21, 180},                      // complete, as the ledger counts
		{1, 1, 90}, {1, 2, 60}, {2, 2, 90}, // short plans
		{1, 3, 30}, {2, 3, 60}, {3, 3, 90}, // one each
		{14, 42, 30}, {15, 42, 60}, {28, 42, 60}, {29, 42, 90}, // six weeks, a stage a day
		{333, 1000, 30}, {334, 1000, 60},
	} {
		if got := p.limit(Stage{c.number, c.of}); got != time.Duration(c.days)*day {
			t.Errorf("stage %d of %d: %v, want %d days", c.number, c.of, got, c.days)
		}
	}
}

func TestPolicyLimit(t *testing.T) {
	for _, c := range []struct {
		name   string
		policy Policy
		stage  Stage
		want   time.Duration
	}{
		{"zero policy is the recommended one", Policy{}, Stage{8, 21}, 60 * day},
		{"warm", Policy{MaxAge: 365 * day}, Stage{}, 365 * day},
		{"default stages", Policy{MaxAge: 365 * day}, Stage{21, 21}, 90 * day},
		{"default stages are cut", Policy{MaxAge: 45 * day}, Stage{8, 21}, 45 * day},
		{"cut, the first is not", Policy{MaxAge: 45 * day}, Stage{1, 21}, 30 * day},
		{"by number", Policy{Stages: []StageLimit{{Stage: 3, MaxAge: day}, {Stage: 5, MaxAge: 7 * day}}}, Stage{4, 20}, 7 * day},
		{"beyond all limits", Policy{Stages: []StageLimit{{Stage: 3, MaxAge: day}}}, Stage{4, 20}, 180 * day},
		{"complete before the last limit", Policy{Stages: []StageLimit{{Stage: 30, MaxAge: day}}}, Stage{21, 20}, 180 * day},
		{"number before share", Policy{Stages: []StageLimit{{Stage: 3, MaxAge: day}, {Share: 0.5, MaxAge: 2 * day}}}, Stage{10, 20}, 2 * day},
		{"number within share", Policy{Stages: []StageLimit{{Stage: 3, MaxAge: day}, {Share: 0.5, MaxAge: 2 * day}}}, Stage{3, 20}, day},
	} {
		p, err := c.policy.complete()
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := p.limit(c.stage); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestPolicyRefuses(t *testing.T) {
	nan := 0.0
	nan /= nan
	limits := func(l ...StageLimit) Policy { return Policy{Stages: l} }
	for _, c := range []struct {
		policy Policy
		want   string
	}{
		{Policy{Everybody: true, MaxAge: day}, "Everybody is set"},
		{Policy{Everybody: true, Stages: Recommended().Stages}, "Everybody is set"},
		{Policy{MaxAge: -1}, "MaxAge is -1ns"},
		{limits(StageLimit{MaxAge: day}), "stage limit 1: Stage and Share"},
		{limits(StageLimit{Stage: 1, Share: 0.5, MaxAge: day}), "stage limit 1: Stage and Share"},
		{limits(StageLimit{Stage: -1, MaxAge: day}), "stage limit 1: Stage is -1"},
		{limits(StageLimit{Share: 1.1, MaxAge: day}), "stage limit 1: Share is 1.1"},
		{limits(StageLimit{Share: nan, MaxAge: day}), "stage limit 1: Share is NaN"},
		{limits(StageLimit{Stage: 1}), "stage limit 1: MaxAge is 0s"},
		{limits(StageLimit{Stage: 1, MaxAge: 181 * day}), "stage limit 1: MaxAge is 4344h0m0s: must not be more than the policy's"},
		{limits(StageLimit{Stage: 2, MaxAge: day}, StageLimit{Stage: 2, MaxAge: 2 * day}), "stage limit 2: Stage is 2: must be more"},
		{limits(StageLimit{Share: 0.2, MaxAge: day}, StageLimit{Share: 0.1, MaxAge: 2 * day}), "stage limit 2: Share is 0.1: must be more"},
		{limits(StageLimit{Stage: 2, MaxAge: 2 * day}, StageLimit{Stage: 3, MaxAge: day}), "stage limit 2: MaxAge is 24h0m0s: must not be less"},
	} {
		_, err := New(Config{
			Activity: func(context.Context, string) (Activity, error) { return Activity{}, nil },
			Policies: []Policy{c.policy},
		})
		if err == nil || !strings.HasPrefix(err.Error(), "engagement: Config.Policies[0]: "+c.want) {
			t.Errorf("%+v: %v, want %s", c.policy, err, c.want)
		}
	}
}

// During warm-up no later stage takes less than an earlier one, and a warm route takes the most.
func TestLimitsRise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, err := Policy{MaxAge: time.Duration(rapid.IntRange(0, 400).Draw(t, "days")) * day}.complete()
		if err != nil {
			t.Fatal(err)
		}
		of := rapid.IntRange(1, 100).Draw(t, "of")
		last := time.Duration(1)
		for number := 1; number <= of+1; number++ {
			limit := p.limit(Stage{number, of})
			if limit < last || limit > p.MaxAge {
				t.Fatalf("stage %d of %d: %v after %v", number, of, limit, last)
			}
			last = limit
		}
		if warm := p.limit(Stage{}); warm < last || warm != p.MaxAge {
			t.Fatalf("warm: %v after %v", warm, last)
		}
	})
}
