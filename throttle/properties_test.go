package throttle

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestLimiterProperties runs random callers against random limits and checks every promise after each step.
func TestLimiterProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := drawLimits(t)
		config := Config{
			Process:  Cap{Connections: rapid.IntRange(0, 6).Draw(t, "process cap")},
			Routes:   map[string]Cap{"a": {Connections: rapid.IntRange(1, 4).Draw(t, "route cap")}},
			MaxPaths: rapid.IntRange(1, 4).Draw(t, "max paths"),
			Idle:     time.Duration(rapid.IntRange(1, 100).Draw(t, "idle")) * time.Minute,
		}
		table, err := NewTable(TableConfig{Default: &limits})
		if err != nil {
			t.Fatal(err)
		}
		config.Table = table
		l, err := New(config)
		if err != nil {
			t.Fatal(err)
		}
		now := start
		paths := []Path{{"a", "x.example"}, {"a", "y.example"}, {"b", "x.example"}, {"b", "z.example"}}
		open := map[Path]int{}
		taken := map[Path][]time.Time{}
		last, used := map[Path]State{}, map[Path]time.Time{}
		route := func(r string) (n int) {
			for p, o := range open {
				if p.Route == r {
					n += o
				}
			}
			return n
		}
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			now = now.Add(rapid.SampledFrom([]time.Duration{0, 0, 0, time.Millisecond, time.Second, time.Minute, time.Hour}).Draw(t, "pause"))
			p := rapid.SampledFrom(paths).Draw(t, "path")
			switch rapid.IntRange(0, 4).Draw(t, "op") {
			case 0, 1:
				before := l.StateAt(now, p)
				d := l.AcquireAt(now, p, TokenConnection)
				if d.OK {
					open[p]++
				} else if after := l.StateAt(now, p); after != before {
					t.Fatalf("refused, but changed\n%+v\n%+v", before, after)
				}
				checkDecision(t, d, now)
				if d.Limits.Connections > 0 && d.OK && open[p] > d.Limits.Connections || limits.Connections > 0 && open[p] > limits.Connections {
					t.Fatalf("%d connections, limits %+v", open[p], d.Limits)
				}
				if most := config.Routes["a"].Connections; route("a") > most {
					t.Fatalf("%d connections over the route, cap %d", route("a"), most)
				}
				if n := route("a") + route("b"); config.Process.Connections > 0 && n > config.Process.Connections {
					t.Fatalf("%d connections, cap %d", n, config.Process.Connections)
				}
			case 2:
				d := l.AcquireAt(now, p, TokenMessage)
				checkDecision(t, d, now)
				if !d.OK {
					break
				}
				taken[p] = append(taken[p], now)
				if limits.MessageRate == (Rate{}) {
					break
				}
				for i, first := range taken[p] {
					n := float64(len(taken[p]) - i)
					most := float64(limits.MessageRate.burst()) + limits.MessageRate.perSecond()*now.Sub(first).Seconds()
					if n > most+1e-6 {
						t.Fatalf("%v messages in %v at %v", n, now.Sub(first), limits.MessageRate)
					}
				}
			case 3:
				if open[p] > 0 {
					open[p]--
					l.ReleaseAt(now, p, TokenConnection)
				}
			case 4:
				l.ObserveAt(now, p, Signal{
					Kind:       rapid.SampledFrom(SignalKinds()).Draw(t, "kind"),
					RetryAfter: time.Duration(rapid.IntRange(-1, 400).Draw(t, "retry after")) * time.Minute,
					Messages:   rapid.IntRange(0, 30).Draw(t, "messages"),
				})
			}
			s := l.StateAt(now, p)
			if s.Open != open[p] {
				t.Fatalf("%d open, want %d", s.Open, open[p])
			}
			// What a path is held back by, only time, its own successes or Idle take away, never other paths.
			last[p], used[p] = s, now
			have := map[Path]State{}
			for _, s := range l.StatesAt(now) {
				have[s.Path] = s
			}
			for q, before := range last {
				if age := now.Sub(used[q]); age >= config.Idle || before.Phase == PhaseOpen {
					continue
				}
				if after, ok := have[q]; !ok || after.Phase == PhaseOpen || after.Limits.Connections > before.Limits.Connections && after.Phase == PhaseStopped {
					t.Fatalf("%v was forgotten: %+v, then %+v", q, before, after)
				}
			}
		}
		// Nothing holds for ever: with everything released, each path gives a connection and a message after the waits
		// that it names itself, and one success after another brings back all connections.
		for p, n := range open {
			for range n {
				l.ReleaseAt(now, p, TokenConnection)
			}
		}
		for _, p := range paths {
			for _, token := range []Token{TokenConnection, TokenMessage} {
				for waits := 0; ; waits++ {
					d := l.AcquireAt(now, p, token)
					checkDecision(t, d, now)
					if d.OK {
						break
					}
					if waits == 3 || d.Until.IsZero() {
						t.Fatalf("%v %s: still refused after %d waits: %+v", p, token, waits, d)
					}
					if d.Until.Sub(now) > 24*time.Hour+time.Second {
						t.Fatalf("%v %s: waits until %v", p, token, d.Until)
					}
					now = d.Until
				}
			}
			l.ReleaseAt(now, p, TokenConnection)
			for range 50 {
				l.ObserveAt(now, p, Signal{Kind: SignalSuccess})
			}
			now = now.Add(51 * time.Hour)
			if s := l.StateAt(now, p); s.Phase != PhaseOpen || s.Limits != limits {
				t.Fatalf("not back to normal: %+v, want %+v", s, limits)
			}
		}
	})
}

func checkDecision(t *rapid.T, d Decision, now time.Time) {
	if d.OK != (d.Reason == "") || d.OK && !d.Until.IsZero() || !d.Until.IsZero() && !d.Until.After(now) {
		t.Fatalf("%+v at %v", d, now)
	}
	switch d.Reason {
	case ReasonConnections, ReasonRouteCap, ReasonProviderCap, ReasonProcessCap:
		return
	}
	if d.Until.IsZero() && !d.OK {
		t.Fatalf("%+v names no time", d)
	}
}
