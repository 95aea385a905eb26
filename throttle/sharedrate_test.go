package throttle

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// rateWorld plays processes that share a rate, in small steps of virtual time, and counts what they take together.
type rateWorld struct {
	tick   time.Duration
	rand   *rand.Rand
	rate   Rate
	now    time.Time
	record []byte
	ps     []*rateProcess
	taken  []int // in each step
	total  int
}

// rateProcess is one of them: it wants demand events per second, at random moments if it is uneven.
type rateProcess struct {
	*sharedRate
	demand        float64
	uneven        bool
	backlog, ask, // ask is when it may ask again, in milliseconds
	taken float64
	// exchange: under way when settleAt is set.
	settleAt time.Time
	answer   error
	away     bool // the store is, for this one
	dead     bool
}

const unbounded = 1e9

func newRateWorld(rate Rate, seed uint64) *rateWorld {
	return &rateWorld{tick: time.Millisecond, rand: rand.New(rand.NewPCG(seed, seed)), rate: rate, now: start}
}

func (w *rateWorld) join(demand float64) *rateProcess {
	p := &rateProcess{sharedRate: newSharedRate(w.now, w.rate, fmt.Sprintf("p%d", len(w.ps)), time.Minute), demand: demand}
	w.ps = append(w.ps, p)
	return p
}

func (w *rateWorld) leave(t *testing.T, p *rateProcess) {
	t.Helper()
	var err error
	if w.record, err = p.release(w.record); err != nil {
		t.Fatal(err)
	}
	p.dead = true
}

func (w *rateWorld) run(t *testing.T, d time.Duration) {
	t.Helper()
	for end := w.now.Add(d); w.now.Before(end); w.now = w.now.Add(w.tick) {
		n := 0
		for _, i := range w.rand.Perm(len(w.ps)) {
			if p := w.ps[i]; !p.dead {
				n += w.step(t, p)
			}
		}
		w.taken = append(w.taken, n)
		w.total += n
		sum := int64(0)
		for _, p := range w.ps {
			if !p.dead {
				sum += p.share
			}
		}
		if limit := int64(w.rate.perSecond() * one); sum > limit {
			t.Fatalf("shares of %d, limit %d: %s", sum, limit, w.record)
		}
	}
}

// step is one step of a process.
func (w *rateWorld) step(t *testing.T, p *rateProcess) (taken int) {
	t.Helper()
	more := p.demand * w.tick.Seconds()
	if p.uneven {
		chance := more
		if more = 0; w.rand.Float64() < chance {
			more = 1
		}
	}
	for p.backlog = min(p.backlog+more, unbounded); p.backlog >= 1; p.backlog-- {
		if float64(w.now.Sub(start).Milliseconds()) < p.ask {
			break // it asks again when it was told to
		}
		until, ok := p.take(w.now)
		if !ok {
			p.ask = float64(until.Sub(start).Milliseconds())
			break
		}
		p.taken++
		taken++
	}
	switch {
	case !p.settleAt.IsZero() && !w.now.Before(p.settleAt):
		p.settle(w.now, p.answer)
		p.settleAt = time.Time{}
	case p.settleAt.IsZero() && p.due(w.now):
		if p.away {
			p.settle(w.now, errAway)
			break
		}
		tries := 1 + w.rand.IntN(10)/9 // one in ten has a conflict
		for range tries {
			record, err := p.exchange(w.now, w.record)
			if err != nil {
				t.Fatal(err)
			}
			if tries--; tries == 0 {
				w.record = record
			}
		}
		p.settleAt, p.answer = w.now.Add(time.Duration(1+w.rand.IntN(50))*time.Millisecond), nil
		if w.rand.IntN(50) == 0 {
			p.answer = errAway // the answer is lost
		}
	}
	return taken
}

// window is the most that was taken in any time of a length.
func (w *rateWorld) window(length time.Duration) int {
	n := int(length / w.tick)
	sum, most := 0, 0
	for i, k := range w.taken {
		sum += k
		if i >= n {
			sum -= w.taken[i-n]
		}
		most = max(most, sum)
	}
	return most
}

// check holds what was taken over d against the rate: at least the share that is told of it, never more than it with 5 % in 10 seconds.
func (w *rateWorld) check(t *testing.T, d time.Duration, least float64) {
	t.Helper()
	all := w.rate.perSecond() * d.Seconds()
	if got := float64(w.total) / all; got < least || got > 1.003 {
		t.Errorf("%.2f %% of the rate were used, want %.1f to 100.3", 100*got, 100*least)
	}
	if most, limit := w.window(10*time.Second), w.rate.perSecond()*10; float64(most) > 1.05*limit {
		t.Errorf("%d in ten seconds, limit %v", most, limit)
	}
	for _, p := range w.ps {
		t.Logf("%s: took %.0f, share %.2f", p.owner, p.taken, p.perSecond())
	}
	t.Logf("total %d of %.0f, most in ten seconds %d", w.total, all, w.window(10*time.Second))
}

// seeds runs a test several times with other random numbers.
func seeds(t *testing.T, f func(t *testing.T, w *rateWorld)) {
	t.Helper()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) { f(t, newRateWorld(Rate{100, time.Second}, seed)) })
	}
}

const busy = 1000 // events per second: more than there is

// TestFourShareARate: four busy processes at 100 a second take 100 a second, in equal parts.
func TestFourShareARate(t *testing.T) {
	seeds(t, func(t *testing.T, w *rateWorld) {
		for range 4 {
			w.join(busy)
		}
		w.run(t, time.Minute)
		w.check(t, time.Minute, 0.97)
		for _, p := range w.ps {
			if p.taken < 1400 || p.taken > 1600 {
				t.Errorf("%s took %.0f, want a quarter of 6000", p.owner, p.taken)
			}
		}
	})
}

// TestRateOfOne: one process has all of it, also if others are idle.
func TestRateOfOne(t *testing.T) {
	for idle := range 4 {
		w := newRateWorld(Rate{100, time.Second}, 1)
		w.join(busy)
		for range idle {
			w.join(0)
		}
		w.run(t, time.Minute)
		w.check(t, time.Minute, 0.98)
	}
}

// TestUnevenDemand: who wants little gets it, and the busy ones the rest. When it comes at random, shares change all the time, and what is on
// its way from one to another is lost for that moment.
func TestUnevenDemand(t *testing.T) {
	for _, uneven := range []bool{false, true} {
		t.Run(fmt.Sprint("uneven ", uneven), func(t *testing.T) {
			seeds(t, func(t *testing.T, w *rateWorld) {
				demands := []float64{5, 30, busy, busy}
				for _, d := range demands {
					w.join(d).uneven = uneven && d < busy
				}
				w.run(t, time.Minute)
				least := 0.97
				if uneven {
					least = 0.95
				}
				w.check(t, time.Minute, least)
				for i, d := range demands[:2] {
					if took := w.ps[i].taken; took < 0.9*d*60-60 {
						t.Errorf("%s took %.0f, want %v", w.ps[i].owner, took, d*60)
					}
				}
			})
		})
	}
}

// TestRateComeAndGo: processes join, leave and die, and their demand changes. While one is dead and not known to be, its share is lost.
func TestRateComeAndGo(t *testing.T) {
	seeds(t, func(t *testing.T, w *rateWorld) {
		a, b := w.join(busy), w.join(busy)
		w.run(t, 10*time.Second)
		c := w.join(busy)
		w.run(t, 10*time.Second)
		w.leave(t, a)
		w.run(t, 10*time.Second)
		b.demand, b.backlog = 0, 0
		w.run(t, 10*time.Second)
		b.demand = busy
		w.join(40)
		w.run(t, 20*time.Second)
		w.check(t, time.Minute, 0.96)

		c.dead = true
		w.run(t, time.Minute+5*time.Second)
		w.total = 0
		w.run(t, time.Minute)
		w.check(t, time.Minute, 0.97)
	})
}

// TestRateWithoutStore: without the store everybody goes on at its share, and afterwards too.
func TestRateWithoutStore(t *testing.T) {
	seeds(t, func(t *testing.T, w *rateWorld) {
		w.tick = 2 * time.Millisecond
		for range 4 {
			w.join(busy)
		}
		w.run(t, 10*time.Second)
		for _, p := range w.ps {
			p.away = true
		}
		w.run(t, 2*time.Minute)
		for _, p := range w.ps {
			p.away = false
		}
		w.run(t, 50*time.Second)
		w.check(t, 3*time.Minute, 0.97)
	})
}

// TestSlowRate: a rate of a few events a minute is shared too, in equal parts over time, and every process gets its turn.
func TestSlowRate(t *testing.T) {
	w := newRateWorld(Rate{10, time.Minute}, 1)
	w.tick = 20 * time.Millisecond
	for range 4 {
		w.join(busy)
	}
	idle := w.join(0)
	w.run(t, 15*time.Minute)
	if w.total < 141 || w.total > 155 {
		t.Errorf("%d in 15 minutes at 10 a minute", w.total)
	}
	for _, p := range w.ps[:4] {
		if p.taken < 28 || p.taken > 48 {
			t.Errorf("%s took %v of %d", p.owner, p.taken, w.total)
		}
	}
	idle.demand = busy
	w.run(t, 3*time.Minute)
	if idle.taken < 3 {
		t.Errorf("who came back took %v in 3 minutes", idle.taken)
	}
	// Whatever the window: the rate, and a token or two of each.
	for _, length := range []time.Duration{time.Second, 10 * time.Second, time.Minute, 5 * time.Minute} {
		if most, limit := w.window(length), 10*length.Minutes()+6; float64(most) > limit {
			t.Errorf("%d in %v, want at most %v", most, length, limit)
		}
	}
}

// TestManyProcessesWindow: with 20 processes the window still holds.
func TestManyProcessesWindow(t *testing.T) {
	w := newRateWorld(Rate{1000, time.Second}, 1)
	for i := range 20 {
		w.join([]float64{0, 10, busy, busy}[i%4]).uneven = i%4 == 1
	}
	w.run(t, 30*time.Second)
	for _, p := range w.ps {
		p.demand = busy
	}
	w.run(t, 30*time.Second)
	w.check(t, time.Minute, 0.95)
}

// TestFirstToken: a new limit has one token, whoever comes first and how often; nothing begins with a burst.
func TestFirstToken(t *testing.T) {
	w := newRateWorld(Rate{1, time.Hour}, 1)
	for range 3 {
		w.join(busy)
	}
	w.run(t, 5*time.Second)
	for i, p := range w.ps { // restarts
		p.sharedRate = newSharedRate(w.now, w.rate, fmt.Sprint("p", i), time.Minute)
		p.settleAt = time.Time{}
	}
	w.run(t, 5*time.Second)
	if w.total != 1 {
		t.Errorf("%d tokens at the beginning, want 1", w.total)
	}
}

func TestSharedRateTake(t *testing.T) {
	r := newSharedRate(start, Rate{10, time.Second}, "a", 0)
	if until, ok := r.take(start); ok || until.Sub(start) > 100*time.Millisecond {
		t.Errorf("before the first exchange: %v after %v", ok, until.Sub(start))
	}
	if !r.due(start) {
		t.Error("a new share is not due")
	}
	if _, err := r.exchange(start, nil); err != nil || r.perSecond() != 0 {
		t.Errorf("%v per second before the record is written, %v", r.perSecond(), err)
	}
	r.settle(start, nil)
	if r.perSecond() != 10 || r.due(start) {
		t.Errorf("%v per second, due %v", r.perSecond(), r.due(start))
	}
	if _, ok := r.take(start); !ok {
		t.Error("the first token is not there")
	}
	until, ok := r.take(start)
	if wait := until.Sub(start); ok || wait < 100*time.Millisecond || wait > 101*time.Millisecond {
		t.Errorf("%v after %v", ok, wait)
	}
	if _, ok := r.take(until); !ok {
		t.Error("no token at the time that was named")
	}
	r.give(until)
	if _, ok := r.take(until); !ok {
		t.Error("no token was given back")
	}
	r.shift(start.Add(-time.Hour))
	if n := r.available(start.Add(-time.Hour)); n != 0 {
		t.Errorf("%v tokens after the clock was set", n)
	}
	if n := r.available(start); n > r.depth() || n < 1 {
		t.Errorf("%v tokens after an hour", n)
	}
}
