package warmup

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
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

func TestReadPlan(t *testing.T) {
	p, err := ReadPlan(strings.NewReader(`{"name":"mine","source":"a table","stages":[{"day":100},{"day":150,"hour":30,"minute":5}],"every":7,"keep":true}`))
	if err != nil || p.Name != "mine" || len(p.Stages) != 2 || p.Stages[1] != (Stage{150, 30, 5}) || p.Every != 7 || !p.Keep {
		t.Errorf("%+v, %v", p, err)
	}
	for text, want := range map[string]string{
		``:                                     "EOF",
		`{"stages":[{"day":0}]}`:               "stage 1: Day is 0",
		`{"stages":[{"day":10},{"day":30}]}`:   "stage 2: Day grows from 10 to 30, which is 3.00 times",
		`{"stages":[{"day":10},{"day":5}]}`:    "stage 2: Day is 5: must not be less than the 10 of the stage before",
		`{"stages":[{"day":10,"hour":11}]}`:    "Hour is 11: must be at most Day, which is 10",
		`{"stages":[{"days":10}]}`:             `unknown field "days"`,
		`{"stages":[{"day":10}]} {}`:           "something follows it",
		`{"stages":[{"day":10}],"every":29}`:   "Every is 29",
		`{"stages":[]}`:                        "Stages is empty",
		`[` + strings.Repeat(" ", 2<<20) + `]`: "more than 1048576 bytes",
		`{"stages":[{"day":"ten"}]}`:           "cannot unmarshal string",
	} {
		if _, err := ReadPlan(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %s", text, err, want)
		}
	}
	// What the constructors make can be written and read.
	for _, p := range []Plan{Conservative(100_000), Moderate(100_000), SendGrid(100_000), SparkPost(100_000), SES(50_000), Geometric(50, 0, 10_000), Weekly(100, 0, 5000)} {
		data, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ReadPlan(bytes.NewReader(data))
		if err != nil || !reflect.DeepEqual(p, back) {
			t.Errorf("%s came back as %+v, %v", p.Name, back, err)
		}
	}
}

// TestEndAt: a plan ends at the host's own peak, and one that ends below it is refused.
func TestEndAt(t *testing.T) {
	table := Plan{Name: "table", Stages: []Stage{{Day: 100}, {Day: 190, Hour: 60}, {Day: 300, Hour: 90, Minute: 9}}}
	for peak, want := range map[int][]Stage{
		300: {{Day: 100}, {Day: 190, Hour: 60}, {300, 90, 9}},
		250: {{Day: 100}, {Day: 190, Hour: 60}, {250, 90, 9}},
		190: {{Day: 100}, {Day: 190, Hour: 60}},
		191: {{Day: 100}, {Day: 190, Hour: 60}, {191, 90, 9}},
		40:  {{Day: 40}},
		1:   {{Day: 1}},
	} {
		p, err := table.EndAt(peak)
		if err != nil || !reflect.DeepEqual(p.Stages, want) || p.Peak() != peak || p.Validate() != nil {
			t.Errorf("%d: %v, %v", peak, p.Stages, err)
		}
	}
	if _, err := table.EndAt(301); err == nil || !strings.Contains(err.Error(), `plan "table": it ends at 300 messages a day, below the 301 that are needed`) {
		t.Errorf("%v", err)
	}
	if _, err := table.EndAt(0); err == nil {
		t.Error("a peak of 0")
	}
	if _, err := (Plan{}).EndAt(5); err == nil {
		t.Error("a plan without stages")
	}
}

// TestTwoPlans: two processes that have another plan for a route each keep together within the smaller caps.
func TestTwoPlans(t *testing.T) {
	store := NewMemoryStore()
	open := func(owner string, p Plan) *Ledger {
		return mustOpen(t, Config{Plans: plans(p), Store: store, Owner: owner})
	}
	small := open("small", Plan{Name: "small", Stages: []Stage{{10, 10, 10}, {15, 15, 15}, {20, 20, 20}}})
	large := open("large", Plan{Name: "large", Stages: []Stage{{12, 12, 12}, {22, 22, 22}, {40, 40, 40}}})
	now := start
	for range 8 {
		n := 0
		for range 20 {
			n += send(small, now, google, 1) + send(large, now, google, 1)
			now = now.Add(time.Minute)
		}
		if n > 10 {
			t.Fatalf("%d in a day", n)
		}
		now = now.Add(25 * time.Hour)
	}
	// In the first stage each goes by its own cap, of which the larger one is 12; once the smaller plan has written, it rules.
	if n := send(small, now, google, 50); n != 10 {
		t.Errorf("%d by the smaller plan", n)
	}
	if n := send(large, now, google, 50); n != 0 && n != 2 {
		t.Errorf("%d more by the larger one", n)
	}
}
