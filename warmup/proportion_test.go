package warmup

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func near(got, want, within float64) bool { return math.Abs(got-want) <= within*math.Abs(want) }

// TestProportionKnown holds excess against published results.
func TestProportionKnown(t *testing.T) {
	for _, c := range []struct {
		name          string
		tables        []arm2x2
		difference, p float64
		within        float64
	}{
		{"nothing", nil, 0, 1, 0},
		{"one arm", []arm2x2{{5, 10, 0, 0}, {0, 0, 3, 10}}, 0, 1, 0},
		{"no bad", []arm2x2{{0, 10, 0, 10}}, 0, 1, 0},
		{"all bad", []arm2x2{{10, 10, 10, 10}}, 0, 1, 0},
		// Fisher, "The Design of Experiments", 1935: the lady tasting tea.
		{"tea", []arm2x2{{3, 4, 1, 4}}, 0.5, 17.0 / 70, 1e-12},
		{"tea, all right", []arm2x2{{4, 4, 0, 4}}, 1, 1.0 / 70, 1e-12},
		// Bickel, Hammel and O'Connell, "Sex Bias in Graduate Admissions", Science 1975; the statistic with the continuity correction is 1.4269 there,
		// as in the documentation of mantelhaen.test of R.
		{"Berkeley", []arm2x2{{89, 108, 512, 825}, {17, 25, 353, 560}, {202, 593, 120, 325}, {131, 375, 138, 417}, {94, 393, 53, 191}, {24, 341, 22, 373}},
			0.018425, 0.2323 / 2, 0.02},
	} {
		difference, p := excess(c.tables)
		if !near(difference, c.difference, 1e-4) || !near(p, c.p, c.within) {
			t.Errorf("%s: difference %g, p = %g, want %g and %g", c.name, difference, p, c.difference, c.p)
		}
	}
}

// TestProportionStrata: where the bad days are those with the larger share, all days together would accuse the new arm of what they did.
func TestProportionStrata(t *testing.T) {
	days := []arm2x2{{10, 1000, 990, 99_000}, {5000, 50_000, 5000, 50_000}}
	if difference, p := excess(days); difference != 0 || p < 0.4 {
		t.Errorf("difference %g, p = %g", difference, p)
	}
	pooled := []arm2x2{{5010, 51_000, 5990, 149_000}}
	if difference, p := excess(pooled); difference < 0.05 || p > 1e-9 {
		t.Errorf("pooled: difference %g, p = %g", difference, p)
	}
}

// choose is the logarithm of a binomial coefficient.
func choose(n, k int64) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}

// tailByDefinition goes through all ways to spread the bad messages.
func tailByDefinition(tables []arm2x2, atLeast int64) float64 {
	if len(tables) == 0 {
		if atLeast <= 0 {
			return 1
		}
		return 0
	}
	t, tail := tables[0], 0.0
	bad := t.newBad + t.controlBad
	for x := max(0, bad-t.controlOf); x <= min(bad, t.newOf); x++ {
		p := math.Exp(choose(t.newOf, x) + choose(t.controlOf, bad-x) - choose(t.newOf+t.controlOf, bad))
		tail += p * tailByDefinition(tables[1:], atLeast-x)
	}
	return tail
}

func drawTable(t *rapid.T, most int64) arm2x2 {
	var a arm2x2
	a.newOf, a.controlOf = rapid.Int64Range(0, most).Draw(t, "new"), rapid.Int64Range(0, most).Draw(t, "control")
	a.newBad, a.controlBad = rapid.Int64Range(0, a.newOf).Draw(t, "new bad"), rapid.Int64Range(0, a.controlOf).Draw(t, "control bad")
	return a
}

func TestProportionExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tables []arm2x2
		observed := int64(0)
		for range rapid.IntRange(1, 3).Draw(t, "tables") {
			tables = append(tables, drawTable(t, 20))
			observed += tables[len(tables)-1].newBad
		}
		got, want := exactTail(tables, observed), tailByDefinition(tables, observed)
		if !near(got, want, 1e-8) {
			t.Fatalf("p = %g, want %g", got, want)
		}
		_, p := excess(tables)
		if math.IsNaN(p) || p < 0 || p > 1 {
			t.Fatalf("p = %g", p)
		}
	})
}

// TestProportionMoments: the distribution has the moments that the normal approximation goes by.
func TestProportionMoments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawTable(t, 2000)
		m, s := a.moments(), a.spread()
		var sum, mean, variance, third float64
		for i, p := range s.p {
			sum += p
			mean += p * float64(s.from+int64(i))
		}
		for i, p := range s.p {
			d := float64(s.from+int64(i)) - mean
			variance += p * d * d
			third += p * d * d * d
		}
		if math.Abs(sum-1) > 1e-9 || math.Abs(mean-m.mean) > 1e-6 || math.Abs(variance-m.variance) > 1e-6*(1+m.variance) ||
			math.Abs(third-m.third) > 1e-4*(1+m.variance) {
			t.Fatalf("sum %g, mean %g, variance %g, third %g; want %+v", sum, mean, variance, third, m)
		}
	})
}

// TestProportionLarge: where the approximation takes over it is as good as it has to be, for shares and rates of all sizes, down to the smallest
// probabilities that decide.
func TestProportionLarge(t *testing.T) {
	for _, share := range []float64{0.01, 0.1, 0.5, 0.9} {
		for _, rate := range []float64{0.001, 0.02, 0.3, 0.9} {
			// Messages so that the variance is a little above the limit.
			n := 1.05 * exactBelow / (share * (1 - share) * rate * (1 - rate))
			a := arm2x2{newOf: int64(n * share), controlOf: int64(n * (1 - share))}
			bad := int64(n * rate)
			for _, z := range []float64{1.6, 2.5, 3.3, 4.1} {
				a.newBad = int64(float64(a.newOf)*rate + z*math.Sqrt(1.05*exactBelow))
				a.controlBad = bad - a.newBad
				_, p := excess([]arm2x2{a})
				if want := exactTail([]arm2x2{a}, a.newBad); !near(p, want, 0.15) {
					t.Errorf("share %g, rate %g, z %g: p = %g, want %g", share, rate, z, p, want)
				}
			}
		}
	}
}

func BenchmarkProportion(b *testing.B) {
	tables := []arm2x2{{7, 200, 396, 19_800}, {30, 1000, 380, 19_000}, {52, 2000, 360, 18_000}, {120, 5000, 300, 15_000}, {230, 10_000, 200, 10_000}}
	b.ReportAllocs()
	for b.Loop() {
		excess(tables)
	}
}
