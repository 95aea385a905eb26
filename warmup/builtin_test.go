package warmup

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func days(p Plan) []int {
	var d []int
	for _, s := range p.Stages {
		d = append(d, s.Day)
	}
	return d
}

// TestTables holds the plans against the published numbers.
func TestTables(t *testing.T) {
	for _, c := range []struct {
		name string
		plan Plan
		want []int
	}{
		{"conservative", Conservative(8000), []int{50, 50, 50, 100, 100, 100, 500, 500, 500, 1000, 1000, 1000, 2000, 2000, 2000,
			4000, 4000, 4000, 8000}},
		{"conservative, doubled", Conservative(40000), []int{50, 50, 50, 100, 100, 100, 500, 500, 500, 1000, 1000, 1000, 2000, 2000, 2000,
			4000, 4000, 4000, 8000, 8000, 8000, 16000, 16000, 16000, 32000, 32000, 32000, 40000}},
		{"conservative, small", Conservative(70), []int{50, 50, 50, 70}},
		{"conservative, tiny", Conservative(7), []int{7}},
		{"moderate", Moderate(1_000_000), []int{50, 100, 500, 1000, 2000, 4000, 8000, 16000, 25000, 35000, 50000, 75000, 100000, 150000,
			200000, 275000, 375000, 500000, 650000, 825000, 1000000}},
		{"moderate, between", Moderate(20000), []int{50, 100, 500, 1000, 2000, 4000, 8000, 16000, 20000}},
		{"sparkpost", SparkPost(10_000_000), []int{200, 500, 1000, 2000, 5000, 10000, 20000, 40000, 50000, 75000, 100000, 150000, 200000,
			250000, 325000, 400000, 500000, 600000, 750000, 1000000, 1250000, 1750000, 2000000, 3000000, 4250000, 5000000, 6000000,
			7500000, 10000000}},
		{"sendgrid", SendGrid(7248), []int{480, 672, 936, 1320, 1848, 2592, 3624, 5064, 7080, 7248}},
		{"geometric", Geometric(10, 0, 100), []int{10, 14, 19, 26, 36, 50, 70, 98, 100}},
		{"geometric from 1", Geometric(1, 1.5, 10), []int{1, 2, 3, 4, 6, 9, 10}},
		{"geometric, at once", Geometric(10, 1.5, 10), []int{10}},
		{"geometric, target below start", Geometric(10, 1.5, 4), []int{4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.plan.Validate(); err != nil {
				t.Fatal(err)
			}
			if got := days(c.plan); !slices.Equal(got, c.want) {
				t.Errorf("got  %v\nwant %v", got, c.want)
			}
		})
	}
	if n := len(Moderate(1_000_000).Stages); n != 21 {
		t.Errorf("moderate reaches a million on day %d, published is 21", n)
	}
	if n := len(SparkPost(10_000_000).Stages); n != 29 {
		t.Errorf("sparkpost has %d stages to ten million, published are 29", n)
	}
	ses := SES(50_000)
	if n := len(ses.Stages); n != 45 || ses.Peak() != 50_000 || ses.Stages[0].Day != 50 {
		t.Errorf("ses: %d stages from %d to %d", n, ses.Stages[0].Day, ses.Peak())
	}
}

// TestSendGridTable: the table is round(20 * 1.4^age) but for the two ages where the published values deviate.
func TestSendGridTable(t *testing.T) {
	table := sendGridHourly()
	if len(table) != 42 {
		t.Fatalf("the table has %d ages, published are 0 to 41", len(table))
	}
	published := map[int]int{12: 1000, 18: 8583}
	for age, hour := range table {
		formula := int(math.Round(20 * math.Pow(1.4, float64(age))))
		if want, ok := published[age]; ok {
			if hour != want || hour == formula {
				t.Errorf("age %d: got %d, published is %d, the formula gives %d", age, hour, want, formula)
			}
			continue
		}
		if hour != formula {
			t.Errorf("age %d: got %d, the formula gives %d", age, hour, formula)
		}
	}
	for i, s := range SendGrid(MaxCap).Stages[:40] {
		if s.Hour != table[i] || s.Day != 24*table[i] && s.Day != MaxCap {
			t.Errorf("stage %d is %+v, the table says %d an hour", i+1, s, table[i])
		}
	}
}

// TestPlansEndAtPeak: whatever the peak, a plan is valid, ends there, and never goes beyond.
func TestPlansEndAtPeak(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		peak := rapid.OneOf(rapid.IntRange(1, 300), rapid.IntRange(1, 1_000_000), rapid.IntRange(1, MaxCap)).Draw(t, "peak")
		start := rapid.OneOf(rapid.IntRange(1, 20), rapid.IntRange(1, MaxCap)).Draw(t, "start")
		factor := rapid.Float64Range(1.05, 1.9999).Draw(t, "factor")
		for _, p := range []Plan{Conservative(peak), Moderate(peak), SendGrid(peak), SparkPost(peak), SES(peak), Geometric(start, factor, peak)} {
			if err := p.Validate(); err != nil {
				t.Fatal(err)
			}
			if p.Peak() != peak {
				t.Fatalf("%s ends at %d, not at %d", p.Name, p.Peak(), peak)
			}
			for i, s := range p.Stages {
				if s.Day > peak || s.Hour > peak {
					t.Fatalf("%s: stage %d is %+v, beyond the peak of %d", p.Name, i+1, s, peak)
				}
			}
			if n := len(p.Stages); n > 1 && p.Stages[n-2].Day >= peak && p.Name != "ses" {
				t.Fatalf("%s stands at its peak of %d for more than one stage", p.Name, peak)
			}
			if p.AllowJumps != slices.Contains([]string{"braze-conservative", "braze-moderate", "sparkpost"}, p.Name) {
				t.Fatalf("%s: AllowJumps is %t", p.Name, p.AllowJumps)
			}
		}
	})
}
