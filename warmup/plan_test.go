package warmup

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		name string
		plan Plan
		want string // part of the error; empty for none
	}{
		{"one stage", flat(1, 0, 0), ""},
		{"no stages", Plan{}, "Stages is empty"},
		{"too many stages", Plan{Stages: make([]Stage, MaxStages+1)}, "Stages has 1001 entries"},
		{"zero day", flat(0, 0, 0), "stage 1: Day is 0"},
		{"negative day", flat(-1, 0, 0), "stage 1: Day is -1"},
		{"huge day", flat(MaxCap+1, 0, 0), "stage 1: Day is 1073741825"},
		{"largest day", flat(MaxCap, MaxCap, MaxCap), ""},
		{"negative hour", flat(10, -1, 0), "stage 1: Hour is -1"},
		{"negative minute", flat(10, 5, -2), "stage 1: Minute is -2"},
		{"hour above day", flat(10, 11, 0), "stage 1: Hour is 11"},
		{"minute above hour", flat(100, 10, 11), "stage 1: Minute is 11"},
		{"minute above derived hour", flat(80, 0, 11), "stage 1: Minute is 11: must be at most Hour, which is 10"},
		{"day falls", Plan{Stages: []Stage{{Day: 10}, {Day: 12}, {Day: 11}}}, "stage 3: Day is 11"},
		{"hour falls", Plan{Stages: []Stage{{Day: 10, Hour: 10}, {Day: 12}}}, "stage 2: Hour is 2"},
		{"minute falls", Plan{Stages: []Stage{{Day: 100, Hour: 50, Minute: 50}, {Day: 120, Hour: 60}}}, "stage 2: Minute is 2"},
		{"equal stages", Plan{Stages: []Stage{{Day: 10}, {Day: 10}}}, ""},
		{"growth 1.99", Plan{Stages: []Stage{{Day: 100}, {Day: 199}}}, ""},
		{"growth 2", Plan{Stages: []Stage{{Day: 100}, {Day: 150}, {Day: 300}}}, "stage 3: Day grows from 150 to 300, which is 2.00 times"},
		{"growth 2 allowed", Plan{Stages: []Stage{{Day: 100}, {Day: 200}}, AllowJumps: true}, ""},
		{"one more than one", Plan{Stages: []Stage{{Day: 1}, {Day: 2}}}, ""},
		{"two more than one", Plan{Stages: []Stage{{Day: 1}, {Day: 3}}}, "stage 2: Day grows"},
		{"named", Plan{Name: "mine"}, `plan "mine": Stages`},
		{"peak 0", Conservative(0), "peak is 0"},
		{"negative peak", Moderate(-5), "peak is -5"},
		{"huge peak", SparkPost(math.MaxInt), "peak is"},
		{"least peak", SendGrid(math.MinInt), "peak is"},
		{"peak above the bound", SES(MaxCap + 1), "peak is"},
		{"no growth", Geometric(10, 1, 100), "factor is 1"},
		{"shrinking", Geometric(10, 0.5, 100), "factor is 0.5"},
		{"growth too fast", Geometric(10, 2, 100), "factor is 2"},
		{"not a number", Geometric(10, math.NaN(), 100), "factor is NaN"},
		{"infinite", Geometric(10, math.Inf(1), 100), "factor is +Inf"},
		{"zero start", Geometric(0, 1.4, 100), "start is 0"},
		{"zero target", Geometric(10, 1.4, 0), "target is 0"},
		{"too slow", Geometric(1, 1.000001, 100_000), "takes more than 1000 stages"},
		{"longest", Geometric(1, 1.000001, 1000), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.plan.Validate()
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "warmup: plan") {
				t.Fatalf("got error %v, want one with %q", err, c.want)
			}
			if c.plan.IsZero() != (c.name == "no stages") {
				t.Errorf("IsZero is %t", c.plan.IsZero())
			}
		})
	}
}

func TestCaps(t *testing.T) {
	for _, c := range []struct{ in, want Stage }{
		{Stage{Day: 1}, Stage{1, 1, 1}},
		{Stage{Day: 50}, Stage{50, 7, 1}},
		{Stage{Day: 8}, Stage{8, 1, 1}},
		{Stage{Day: 9}, Stage{9, 2, 1}},
		{Stage{Day: 100_000}, Stage{100_000, 12_500, 417}},
		{Stage{Day: 100, Hour: 31}, Stage{100, 31, 2}},
		{Stage{Day: 100, Minute: 3}, Stage{100, 13, 3}},
		{Stage{Day: 100, Hour: 90, Minute: 80}, Stage{100, 90, 80}},
	} {
		if got := c.in.Caps(); got != c.want {
			t.Errorf("%+v: got %+v, want %+v", c.in, got, c.want)
		}
	}
}

func TestPlanJSON(t *testing.T) {
	plan := SendGrid(2000)
	data, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"name":"sendgrid","source":"Twilio SendGrid, Warming up an IP address: automated schedule",` +
		`"stages":[{"day":480,"hour":20},{"day":672,"hour":28},{"day":936,"hour":39},{"day":1320,"hour":55},{"day":1848,"hour":77},` +
		`{"day":2000,"hour":108}]}`
	if string(data) != want {
		t.Errorf("got  %s\nwant %s", data, want)
	}
	var back Plan
	if err := json.Unmarshal(data, &back); err != nil || !reflect.DeepEqual(back, plan) {
		t.Errorf("came back as %+v, error %v", back, err)
	}
}
