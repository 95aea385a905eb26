package sender

import (
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/throttle"
	"github.com/reputemail/repute/warmup"
)

// anyState is a Throttle and a Pacer that tell whatever the test draws.
type anyState struct {
	*throttle.Limiter
	t *rapid.T
}

func (a anyState) rate() throttle.Rate {
	if !rapid.Bool().Draw(a.t, "rate") {
		return throttle.Rate{}
	}
	return throttle.Rate{N: rapid.SampledFrom([]int{1, 7, 1000, math.MaxInt32}).Draw(a.t, "n"), Per: rapid.SampledFrom([]time.Duration{1, time.Second, 1000 * time.Hour, math.MaxInt64}).Draw(a.t, "per")}
}

func (a anyState) LookAt(now time.Time, p throttle.Path) throttle.State {
	return throttle.State{
		Path: p, Phase: rapid.SampledFrom([]throttle.Phase{throttle.PhaseOpen, throttle.PhaseStopped, throttle.PhaseRamping}).Draw(a.t, "phase"),
		Cause:    rapid.SampledFrom([]throttle.SignalKind{"", throttle.SignalRateLimited}).Draw(a.t, "cause"),
		Until:    now.Add(time.Duration(rapid.Int64Range(-1000, 1<<60).Draw(a.t, "until"))),
		Limits:   throttle.Limits{Connections: rapid.IntRange(0, 3).Draw(a.t, "connections"), MessageRate: a.rate()},
		Messages: rapid.IntRange(-1, 3).Draw(a.t, "tokens"),
	}
}

func (a anyState) RoomAt(now time.Time, _ warmup.Path) warmup.Room {
	if n := rapid.SampledFrom([]int{0, 1, 100, math.MaxInt}).Draw(a.t, "room"); n > 0 {
		return warmup.Room{N: n}
	}
	return warmup.Room{
		Until:  now.Add(time.Duration(rapid.Int64Range(-1000, 1<<50).Draw(a.t, "opens"))),
		Reason: rapid.SampledFrom([]warmup.Reason{warmup.ReasonDayCap, warmup.ReasonPaused}).Draw(a.t, "reason"),
	}
}

func (a anyState) RoomWithinAt(time.Time, warmup.Path, time.Duration) int {
	return rapid.SampledFrom([]int{0, 1, 100, math.MaxInt}).Draw(a.t, "within")
}

// TestForecastIsAlwaysSane: whatever the state is, a forecast is not before now, not after the last time that it tells, and has no number that is none.
func TestForecastIsAlwaysSane(t *testing.T) {
	limiter, err := throttle.New(throttle.Config{})
	if err != nil {
		t.Fatal(err)
	}
	classifier, err := bounce.NewClassifier(bounce.Config{})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		any := anyState{limiter, t}
		plan := warmup.Plan{Stages: []warmup.Stage{{Day: 10, Hour: 10, Minute: 10}}}
		cfg := Config{
			Routes: []Route{{Name: "a", Hostname: "a.example.org", Warmup: plan}, {Name: "b", Hostname: "b.example.org"}, {Name: "c", Hostname: "c.example.org"}},
			Pools:  []Pool{{Name: "main", Routes: []string{"a", "b"}, Overflow: []string{"c"}}},
			Streams: []Stream{
				{Name: "one", Weight: rapid.SampledFrom([]int{1, 1000}).Draw(t, "weight"), SigningDomain: rapid.SampledFrom([]string{"", "example.org"}).Draw(t, "domain")},
				{Name: "two", OverflowAfter: rapid.SampledFrom([]time.Duration{0, time.Hour}).Draw(t, "patience")},
			},
			DNS: []string{"192.0.2.53:53"}, Throttle: any, Classifier: classifier,
		}
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		d, now := s.dispatch, time.Now()
		s.forecaster, s.rooms = any, any
		dest := &destination{provider: "p", site: "mx"}
		for i := range rapid.IntRange(0, 5).Draw(t, "lanes") {
			l := d.lane(queue.Lane{Stream: rapid.SampledFrom([]string{"one", "two"}).Draw(t, "stream"), Domain: fmt.Sprintf("d%d.example", i)})
			l.dest = dest
			l.queued = rapid.SampledFrom([]int{0, 1, 1000, math.MaxInt32}).Draw(t, "queued")
			if rapid.Bool().Draw(t, "held") {
				l.waits = []Wait{{Reason: WaitGate, Until: now.Add(time.Duration(rapid.Int64Range(-1000, 1<<60).Draw(t, "hold")))}}
			}
			for _, r := range s.stream(l.key.Stream).all {
				p := d.path(Path{r.Name, "p"}, r)
				if rapid.Bool().Draw(t, "in line") {
					p.busy.add(l)
				}
				if rapid.Bool().Draw(t, "in the cold") {
					p.cold.add(l)
				}
				p.open, p.kept = rapid.IntRange(0, 3).Draw(t, "open"), rapid.IntRange(0, 20).Draw(t, "kept")
				p.speed.took = rapid.SampledFrom([]float64{0, 1e-9, 1, 1e9}).Draw(t, "took")
				p.speed.per = rapid.SampledFrom([]float64{0, 1, 100}).Draw(t, "group")
				p.speed.n, p.speed.span = rapid.SampledFrom([]float64{0, 1, 1e9}).Draw(t, "counted"), rapid.SampledFrom([]float64{0, 2, 1e9}).Draw(t, "span")
			}
		}
		d.know("d0.example", dest)
		del := queue.Delivery{
			Lane:     queue.Lane{Stream: rapid.SampledFrom([]string{"one", "two"}).Draw(t, "of"), Domain: rapid.SampledFrom([]string{"d0.example", "d9.example"}).Draw(t, "to")},
			Priority: rapid.IntRange(-2, 2).Draw(t, "priority"),
		}
		if rapid.Bool().Draw(t, "warm only") {
			del.Lane.Route = laneRoute("", "", true)
		}
		before := time.Now()
		f := d.forecast(s.stream(del.Lane.Stream), &del)
		switch {
		case f.At.Before(before), f.Earliest.Before(before), f.Earliest.After(f.At), f.At.After(time.Now().Add(maxAhead)):
			t.Fatalf("now %v: %+v", before, f)
		case math.IsNaN(f.Rate) || math.IsInf(f.Rate, 0) || f.Rate < 0 || f.Ahead < 0:
			t.Fatalf("%+v", f)
		case f.Basis == BasisClear && (len(f.Waits) > 0 || f.At.After(time.Now())):
			t.Fatalf("%+v", f)
		case f.Provider == "" && f.late(before.Add(maxAhead)):
			t.Fatalf("late for what is not known: %+v", f)
		}
	})
}

func TestSpeed(t *testing.T) {
	now := time.Unix(0, 0)
	s := &speed{}
	if _, ok := s.measured(); ok {
		t.Error("nothing was measured")
	}
	for range 100 { // five connections, 200 ms each
		for range 5 {
			s.ended(now, 200*time.Millisecond, 1, true)
		}
		now = now.Add(200 * time.Millisecond)
	}
	if v, ok := s.measured(); !ok || math.Abs(v-25) > 1 {
		t.Errorf("%v a second, %t", v, ok)
	}
	if v, ok := s.over(5); !ok || math.Abs(v-25) > 1 {
		t.Errorf("five carry %v a second, %t", v, ok)
	}
	now = now.Add(10 * time.Minute) // a stop is no slowness
	s.ended(now, 200*time.Millisecond, 1, true)
	if v, _ := s.measured(); math.Abs(v-25) > 1 {
		t.Errorf("%v a second after a stop", v)
	}
	for range 120 { // it is slower by now
		now = now.Add(time.Second)
		s.ended(now, time.Second, 2, true)
	}
	if v, _ := s.measured(); math.Abs(v-2) > 1 {
		t.Errorf("%v a second two minutes later", v)
	}
	for range 100 { // nobody waits: that is no speed
		now = now.Add(30 * time.Second)
		s.ended(now, time.Second, 2, false)
	}
	if v, _ := s.measured(); math.Abs(v-2) > 1 {
		t.Errorf("%v a second when nobody waits", v)
	}
	if g := s.group(); math.Abs(g-2) > 0.1 {
		t.Errorf("%v an attempt", g)
	}
}

// TestRecount: what is claimed while the queue is counted is in the count or not, and is not taken off twice.
func TestRecount(t *testing.T) {
	for _, c := range []struct {
		name                        string
		reckoned, accepted, claimed int // before the count, and while it went on
		due, counts, want           int
	}{
		{"right, claims came first", 700, 0, 64, 636, 2, 636},
		{"right, the count came first", 700, 0, 64, 700, 2, 636},
		{"right, some were accepted", 700, 10, 64, 650, 2, 646},
		{"others have claimed", 700, 0, 64, 300, 2, 300},
		{"others have accepted", 700, 0, 64, 1000, 2, 936},
		{"the first count", 17, 0, 16, 700, 1, 692},
		{"the first count, of what came since the start", 300, 0, 84, 216, 1, 216},
		{"all but one claimed", 65, 0, 64, 1, 2, 1},
	} {
		l := &lane{queued: c.reckoned}
		l.hold(c.accepted, c.counts)
		l.claimed(&queue.Claimed{Deliveries: make([]queue.Delivery, c.claimed), More: true}, c.counts)
		if l.recount(c.due, c.counts); l.queued != c.want {
			t.Errorf("%s: %d, want %d", c.name, l.queued, c.want)
		}
	}
}
