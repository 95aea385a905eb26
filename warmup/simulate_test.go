package warmup

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func mustSimulate(t testing.TB, s Scenario) *Forecast {
	t.Helper()
	f, err := Simulate(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// balanced fails if a forecast loses or gains mail.
func balanced(t *testing.T, f *Forecast) {
	t.Helper()
	sum := f.Total()
	if got := sum.Delivered + sum.Bounced + sum.Expired + sum.Waiting; got != sum.Offered {
		t.Errorf("%d offered, %d accounted for: %+v", sum.Offered, got, sum)
	}
}

// TestSimulateRamp: a flat volume over a cold route and a warm one: the cold route carries what its stage allows each day, and in the end everything.
func TestSimulateRamp(t *testing.T) {
	plan := Geometric(100, 1.5, 5000)
	f := mustSimulate(t, Scenario{
		Days: 30, Volume: Flat(5000), Routes: []ColdRoute{{"new", plan}}, Overflow: &OverflowRoute{Name: "old"},
	})
	balanced(t, f)
	for i, r := range f.Rows {
		cold := r.Delivered - r.Overflowed
		if i < len(plan.Stages)-1 {
			limit := plan.Stages[i].Day
			if float64(cold) < 0.9*float64(limit) || cold > limit || r.Waiting > 0 {
				t.Errorf("day %d: %d over the cold route, its cap is %d; %d wait", r.Day, cold, limit, r.Waiting)
			}
		}
		if i > len(plan.Stages)+1 && (cold != 5000 || r.Phase != PhaseComplete) {
			t.Errorf("day %d: %d over the cold route, %s", r.Day, cold, r.Phase)
		}
	}
	if f.Finished.IsZero() {
		t.Error("not finished")
	}
}

// TestSimulateWaits: without an overflow route mail waits, for as long as it lives.
func TestSimulateWaits(t *testing.T) {
	f := mustSimulate(t, Scenario{Days: 10, Volume: Flat(1000), Routes: []ColdRoute{{"new", Geometric(100, 1.3, 1000)}}})
	balanced(t, f)
	sum := f.Total()
	if sum.Expired == 0 || sum.BacklogAge < 71*time.Hour || sum.BacklogAge > 72*time.Hour || sum.Overflowed != 0 {
		t.Errorf("%+v", sum)
	}
	f = mustSimulate(t, Scenario{Days: 10, Volume: Flat(1000), Routes: []ColdRoute{{"new", Geometric(100, 1.3, 1000)}}, Overflow: &OverflowRoute{"old", 10}})
	balanced(t, f)
	for _, r := range f.Rows {
		if r.Overflowed > 240 {
			t.Errorf("day %d: %d overflowed, the route takes 240", r.Day, r.Overflowed)
		}
	}
}

// TestSimulateReceivers: a blast over a new address is blocked by a wary receiver, a ramp is not; a provider that turns sour holds its own path only.
func TestSimulateReceivers(t *testing.T) {
	wary := func() Receiver { return &Wary{New: 200, Growth: 2, Trusted: []string{"old"}} }
	blast := mustSimulate(t, Scenario{
		Days: 5, Volume: Flat(20_000), Providers: []ProviderShare{{"google", 1, wary()}},
		Routes: []ColdRoute{{"new", Plan{AllowJumps: true, Stages: []Stage{{Day: 20_000, Hour: 20_000, Minute: 20_000}}}}},
	})
	balanced(t, blast)
	if sum := blast.Total(); sum.Blocked < 1000 || sum.Delivered > sum.Offered/10 {
		t.Errorf("a blast: %+v", sum)
	}
	ramp := mustSimulate(t, Scenario{
		Days: 30, Volume: Flat(20_000), Providers: []ProviderShare{{"google", 1, wary()}}, Overflow: &OverflowRoute{Name: "old"},
		Routes: []ColdRoute{{"new", Geometric(100, 1.4, 20_000)}},
	})
	balanced(t, ramp)
	if sum := ramp.Total(); sum.Blocked > 0 || float64(sum.Delivered) < 0.999*float64(sum.Offered) || ramp.Finished.IsZero() {
		t.Errorf("a ramp: %+v, finished %v", sum, ramp.Finished)
	}
	s := Scenario{Days: 14, Volume: Flat(20_000), Overflow: &OverflowRoute{Name: "old"}, Routes: []ColdRoute{{"new", Geometric(100, 1.4, 10_000)}}}.withDefaults()
	s.Providers = []ProviderShare{
		{"google", 0.5, &Wary{Growth: 2, Trusted: []string{"old"}, SourFrom: s.Start.Add(8 * 24 * time.Hour)}}, {"yahoo", 0.5, wary()},
	}
	sour := mustSimulate(t, s)
	balanced(t, sour)
	last := map[string]ForecastRow{}
	for _, r := range sour.Rows {
		last[r.Provider] = r
	}
	if g, y := last["google"], last["yahoo"]; g.Stage > 8 || g.Cause != CauseDeferrals || y.Stage < 12 || y.Cause != "" {
		t.Errorf("google %d %s %s, yahoo %d %s %s", g.Stage, g.Phase, g.Cause, y.Stage, y.Phase, y.Cause)
	}
	back := false
	for _, c := range sour.Changes {
		back = back || c.Provider == "google" && c.To.Phase == PhaseSteppedBack && sour.dayOf(c.Time) >= 9
		if c.Provider == "yahoo" && c.To.Phase != PhaseWarming {
			t.Errorf("yahoo: %v", c)
		}
	}
	if !back {
		t.Errorf("google did not step back: %v", sour.Changes)
	}
}

// TestSimulateBadAddresses: bad addresses hold the warm-up.
func TestSimulateBadAddresses(t *testing.T) {
	f := mustSimulate(t, Scenario{Days: 20, Volume: Flat(10_000), BadAddresses: 0.07, Overflow: &OverflowRoute{Name: "old"}, Routes: []ColdRoute{{"new", Geometric(200, 1.4, 10_000)}}})
	balanced(t, f)
	if last := f.Rows[len(f.Rows)-1]; last.Stage != 1 || last.Phase != PhaseStuck || last.Cause != CauseBounces {
		t.Errorf("%+v", last)
	}
}

// TestForecastOutput: table, CSV and JSON say the same.
func TestForecastOutput(t *testing.T) {
	f := mustSimulate(t, Scenario{
		Days: 3, Volume: Flat(500), Providers: []ProviderShare{{"google", 0.6, nil}, {"yahoo", 0.4, nil}},
		Routes: []ColdRoute{{"new", Geometric(100, 1.5, 200)}}, Overflow: &OverflowRoute{Name: "old"},
	})
	var table, csv bytes.Buffer
	if err := f.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	if err := f.WriteCSV(&csv); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(csv.String()), "\n")
	if len(lines) != 7 || !strings.HasPrefix(lines[0], "day,provider,offered,delivered,cold,overflowed,") || !strings.HasPrefix(lines[1], "1,google,300,300,") {
		t.Errorf("%s", csv.String())
	}
	for _, l := range lines[1:] {
		if fields := strings.Split(l, ","); !strings.Contains(table.String(), fields[1]) {
			t.Errorf("the table lacks %s", l)
		}
	}
	data, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	var back Forecast
	if err := json.Unmarshal(data, &back); err != nil || len(back.Rows) != 6 || back.Rows[0] != f.Rows[0] || !back.Finished.Equal(f.Finished) {
		t.Errorf("%v: %s", err, data)
	}
}

func TestScenarioFaults(t *testing.T) {
	good := Scenario{Volume: Flat(10), Routes: []ColdRoute{{"new", Geometric(10, 0, 20)}}}
	for want, spoil := range map[string]func(*Scenario){
		"Days is 3651":                     func(s *Scenario) { s.Days = 3651 },
		"Days is -1":                       func(s *Scenario) { s.Days = -1 },
		"Volume.Days is empty":             func(s *Scenario) { s.Volume = Curve{} },
		"Volume.Days[0] is -1":             func(s *Scenario) { s.Volume = Flat(-1) },
		"Volume.At is":                     func(s *Scenario) { s.Volume.At = 24 * time.Hour },
		"Volume.Over is":                   func(s *Scenario) { s.Volume.Over = -1 },
		"Routes is empty":                  func(s *Scenario) { s.Routes = nil },
		"Routes[0].Name":                   func(s *Scenario) { s.Routes[0].Name = "" },
		"Routes[1].Name":                   func(s *Scenario) { s.Routes = append(s.Routes, s.Routes[0]) },
		"Routes[0]: plan: Stages is empty": func(s *Scenario) { s.Routes = []ColdRoute{{Name: "x"}} },
		"Providers[0].Name":                func(s *Scenario) { s.Providers = []ProviderShare{{Share: 1}} },
		"Providers[0].Share is 0":          func(s *Scenario) { s.Providers = []ProviderShare{{Name: "x"}} },
		"Providers have shares":            func(s *Scenario) { s.Providers = []ProviderShare{{Name: "x", Share: 0.5}} },
		"BadAddresses is 2":                func(s *Scenario) { s.BadAddresses = 2 },
		"Complaints is -1":                 func(s *Scenario) { s.Complaints = -1 },
		"ExpireAfter is 1s":                func(s *Scenario) { s.ExpireAfter = time.Second },
		"Overflow.Name is empty":           func(s *Scenario) { s.Overflow = &OverflowRoute{} },
		"Overflow.PerHour is -1":           func(s *Scenario) { s.Overflow = &OverflowRoute{"old", -1} },
		"Gate.MinSample is -1":             func(s *Scenario) { s.Gate.MinSample = -1 },
		"Migration needs Overflow":         func(s *Scenario) { s.Migration = &Migration{} },
	} {
		s := good
		s.Routes = append([]ColdRoute{}, good.Routes...)
		spoil(&s)
		if _, err := Simulate(context.Background(), s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestReadCurve(t *testing.T) {
	c, err := ReadCurve(strings.NewReader("date,messages\n2026-01-05,100\n2026-01-06, 200\n\n300\n"))
	if err != nil || len(c.Days) != 3 || c.Days[1] != 200 || c.Peak() != 300 {
		t.Errorf("%v, %v", c, err)
	}
	for text, want := range map[string]string{
		"":             "no day",
		"day,n\n":      "no day",
		"1\nx\n":       "line 2: \"x\" is no number",
		"1\n2\n-3\n":   "line 3: -3 messages",
		"1\n\"2\n":     "line 2",
		"1,9999999999": "9999999999 messages",
	} {
		if _, err := ReadCurve(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	for day, want := range []int{700, 5, 5, 5, 5, 5, 5, 700} {
		c := WeeklyCampaign(700, 5)
		if c.on(day) != want || c.by(day, 9*time.Hour) != 0 || c.by(day, 10*time.Hour) != want || c.by(day, 9*time.Hour+30*time.Minute) != want/2 {
			t.Errorf("day %d: %d, %d by half past nine", day, c.on(day), c.by(day, 9*time.Hour+30*time.Minute))
		}
	}
}

// BenchmarkSimulate plays 60 days of ten million messages to four providers over two routes, with overflow.
func BenchmarkSimulate(b *testing.B) {
	for b.Loop() {
		f := mustSimulate(b, Scenario{
			Days: 60, Volume: Flat(10_000_000 / 60), Overflow: &OverflowRoute{Name: "old"},
			Providers: []ProviderShare{{"google", 0.5, &Wary{Trusted: []string{"old"}}}, {"outlook", 0.25, &Wary{Trusted: []string{"old"}}},
				{"yahoo", 0.15, &Wary{Trusted: []string{"old"}}}, {"others", 0.1, nil}},
			Routes: []ColdRoute{{"mta1", Geometric(100, 1.2, 90_000)}, {"mta2", Geometric(100, 1.2, 90_000)}}, BadAddresses: 0.01, Complaints: 0.0002,
		})
		if sum := f.Total(); sum.Offered < 9_999_000 || sum.Delivered < sum.Offered*98/100 {
			b.Fatalf("%+v", sum)
		}
	}
}
