package warmup

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// draw is a binomial number of n with probability p: exact for small means, rounded from a normal one for large ones.
func draw(r *rand.Rand, n int64, p float64) int64 {
	switch {
	case n <= 0 || p <= 0:
		return 0
	case p > 0.5:
		return n - draw(r, n, 1-p)
	}
	if mean := float64(n) * p; mean > 12 {
		return min(max(int64(math.Round(mean+r.NormFloat64()*math.Sqrt(mean*(1-p)))), 0), n)
	}
	// The gaps between hits are geometric.
	hits, at := int64(0), int64(0)
	for scale := math.Log1p(-p); ; hits++ {
		if at += int64(math.Log(1-r.Float64())/scale) + 1; at > n {
			return hits
		}
	}
}

// quality is the rates of a route.
type quality struct{ bounce, deferral, block, complaint, slow float64 }

func (q quality) send(r *rand.Rand, n int64) ArmCounts {
	c := ArmCounts{Attempts: n}
	c.Bounced = draw(r, n, q.bounce)
	c.Deferred = draw(r, n-c.Bounced, q.deferral/(1-q.bounce))
	c.Blocked = draw(r, n-c.Bounced-c.Deferred, q.block/(1-q.bounce-q.deferral))
	c.Delivered = n - c.Bounced - c.Blocked // the deferred ones later
	c.Slow = min(c.Deferred+draw(r, c.Delivered-c.Deferred, q.slow), c.Delivered)
	c.Complained = draw(r, c.Delivered, q.complaint)
	return c
}

// course is how a simulated migration went.
type course struct {
	phase   MigrationPhase
	cause   Cause
	days    float64
	holds   int
	moved   int64 // messages of the new arm
	harmed  int64 // bad ones of them
	unfound bool
}

// play plays a migration in virtual time, every two hours, for up to 60 days. rates are those of control and new at an hour.
func play(seed uint64, plan Migration, aDay float64, rates func(r *rand.Rand, hour int) (control, fresh quality)) course {
	const step = 2
	r := rand.New(rand.NewPCG(seed, 7))
	plan = plan.withDefaults()
	at := stamp(start)
	rec := beginMigration(&plan, "", at)
	var c course
	note := func(from MigrationPosition, evidence []Comparison) {
		if rec.Phase == MigrationHolding {
			c.holds++
		}
		if (rec.Phase == MigrationHolding || rec.Phase == MigrationRolledBack) && worst(evidence, VerdictWorse) == nil {
			c.unfound = true
		}
	}
	hour := 0
	for ; hour < 60*24 && (rec.Phase == MigrationRunning || rec.Phase == MigrationHolding); hour += step {
		control, fresh := rates(r, hour)
		all := draw(r, int64(aDay/24*step*4), 0.25)
		n := draw(r, all, rec.Share)
		a, b := fresh.send(r, n), control.send(r, all-n)
		rec.stage().New.add(a)
		rec.stage().Control.add(b)
		c.moved += n
		c.harmed += a.Bounced + a.Deferred + a.Blocked
		at += step * int64(time.Hour)
		rec.decide(&plan, at, note)
	}
	c.phase, c.cause, c.days = rec.Phase, rec.Cause, float64(hour)/24
	return c
}

// TestMigrationVerdicts plays 1,000 migrations of each kind with 20,000 messages a day.
func TestMigrationVerdicts(t *testing.T) {
	t.Parallel()
	const runs, aDay = 1000, 20_000
	base := quality{bounce: 0.02, deferral: 0.02, block: 0.002, complaint: 0.0005, slow: 0.02}
	same := func(q quality) (quality, quality) { return q, q }
	worse := func(edit func(*quality)) func(*rand.Rand, int) (quality, quality) {
		fresh := base
		edit(&fresh)
		return func(*rand.Rand, int) (quality, quality) { return base, fresh }
	}
	for _, c := range []struct {
		name        string
		rates       func(r *rand.Rand, hour int) (quality, quality)
		least, most float64 // the part that is rolled back
		cause       Cause
	}{
		{"alike", func(*rand.Rand, int) (quality, quality) { return same(base) }, 0, 0.01, ""},
		{"alike, few bad", func(*rand.Rand, int) (quality, quality) {
			return same(quality{bounce: 0.004, deferral: 0.001, block: 0.0005, complaint: 0.0003, slow: 0.005})
		}, 0, 0.01, ""},
		{"alike, many deferrals", func(*rand.Rand, int) (quality, quality) {
			return same(quality{bounce: 0.05, deferral: 0.3, block: 0.05, complaint: 0.003, slow: 0.2})
		}, 0, 0.01, ""},
		// Some days all goes badly, more and more so.
		{"alike, changing days", func(_ *rand.Rand, hour int) (quality, quality) {
			bad := rand.New(rand.NewPCG(uint64(hour/24), 3)).Float64() * (1 + float64(hour)/48)
			q := base
			q.bounce, q.deferral, q.block = min(0.2, q.bounce*(1+bad)), min(0.4, q.deferral*(1+5*bad)), min(0.1, q.block*(1+10*bad))
			return same(q)
		}, 0, 0.01, ""},
		{"bounces", worse(func(q *quality) { q.bounce = 0.05 }), 0.95, 1, CauseBounces},
		{"deferrals", worse(func(q *quality) { q.deferral = 0.05 }), 0.95, 1, ""}, // Late deliveries may be found first.
		{"blocks", worse(func(q *quality) { q.block = 0.032 }), 0.95, 1, CauseBlocks},
		{"delays", worse(func(q *quality) { q.slow = 0.05 }), 0.95, 1, CauseDelays},
		{"complaints", worse(func(q *quality) { q.complaint = 0.004 }), 0.95, 1, CauseComplaints},
		{"one point of deferrals", worse(func(q *quality) { q.deferral = 0.03 }), 0.9, 1, ""},
		{"better", worse(func(q *quality) { q.deferral, q.bounce = 0.01, 0.01 }), 0, 0.001, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var back, wrong, complete, holds int
			var days, moved, harmed float64
			var wg sync.WaitGroup
			for part := range 2 {
				wg.Go(func() {
					for seed := part; seed < runs; seed += 2 {
						one := play(uint64(seed), Migration{Name: "move"}, aDay, c.rates)
						mu.Lock()
						switch one.phase {
						case MigrationRolledBack:
							back++
							if c.cause != "" && one.cause != c.cause {
								wrong++
							}
						case MigrationComplete:
							complete++
						}
						if one.unfound {
							t.Errorf("run %d: it held or was rolled back without evidence", seed)
						}
						holds += one.holds
						days, moved, harmed = days+one.days, moved+float64(one.moved), harmed+float64(one.harmed)
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			if part := float64(back) / runs; part < c.least || part > c.most {
				t.Errorf("%.1f %% were rolled back, want between %.1f %% and %.1f %%", part*100, c.least*100, c.most*100)
			}
			if wrong > runs/100 {
				t.Errorf("%d were rolled back for other reasons than %s", wrong, c.cause)
			}
			if c.most <= 0.01 && complete < runs*95/100 {
				t.Errorf("only %d of %d were complete after 60 days", complete, runs)
			}
			t.Logf("%d of %d rolled back, %d complete, after %.1f days, %.2f holds, %.0f messages moved, %.0f of them bad",
				back, runs, complete, days/runs, float64(holds)/runs, moved/runs, harmed/runs)
		})
	}
}
