package keyed_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/reputemail/repute/internal/keyed"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func keys[K comparable, V any](m *keyed.Map[K, V]) []K {
	var ks []K
	m.All(func(k K, _ V) bool {
		ks = append(ks, k)
		return true
	})
	return ks
}

func TestMap(t *testing.T) {
	m := keyed.New(keyed.Config[string, int]{Max: 3, Idle: time.Minute})
	m.Put(start, "a", 1)
	m.Put(start, "b", 2)
	m.Put(start, "c", 3)
	if v, ok := m.Get(start, "a"); !ok || v != 1 {
		t.Fatalf("Get(a) = %d, %v", v, ok)
	}
	m.Put(start, "d", 4)
	if got, want := keys(m), []string{"d", "a", "c"}; !slices.Equal(got, want) {
		t.Fatalf("after d: %v, want %v (b was used least recently)", got, want)
	}
	m.Put(start, "c", 30)
	if v, ok := m.Get(start, "c"); !ok || v != 30 {
		t.Fatalf("Get(c) after a second Put = %d, %v", v, ok)
	}
	m.Delete("a")
	m.Delete("never there")
	if m.Len() != 2 {
		t.Fatalf("Len after Delete = %d", m.Len())
	}
	if _, ok := m.Get(start.Add(59*time.Second), "c"); !ok {
		t.Fatal("c dropped before it was idle for a minute")
	}
	if got, want := keys(m), []string{"c", "d"}; !slices.Equal(got, want) {
		t.Fatalf("before the idle time: %v, want %v", got, want)
	}
	if _, ok := m.Get(start.Add(61*time.Second), "d"); ok {
		t.Fatal("d returned after it was idle for a minute")
	}
	if m.Len() != 1 {
		t.Fatalf("Len after the idle time = %d", m.Len())
	}
	if _, ok := m.Get(start, "c"); !ok {
		t.Fatal("c dropped by a clock that went back")
	}
}

func TestAllStops(t *testing.T) {
	m := keyed.New(keyed.Config[int, int]{})
	for i := range 5 {
		m.Put(start, i, i)
	}
	seen := 0
	m.All(func(k, _ int) bool {
		m.Delete(k) // The callback may call the map.
		seen++
		return seen < 2
	})
	if seen != 2 || m.Len() != 3 {
		t.Fatalf("saw %d, left %d", seen, m.Len())
	}
}

func TestDefaultMax(t *testing.T) {
	m := keyed.New(keyed.Config[int, struct{}]{Max: -1})
	for i := range keyed.DefaultMax + 10 {
		m.Put(start, i, struct{}{})
	}
	if m.Len() != keyed.DefaultMax {
		t.Fatalf("Len = %d, want %d", m.Len(), keyed.DefaultMax)
	}
}

// A live entry that goes unused for ever stays; when it stops being live, new entries push it out.
func TestLive(t *testing.T) {
	live := map[int]bool{0: true, 1: true, 2: true}
	m := keyed.New(keyed.Config[int, int]{
		Max:  2,
		Idle: time.Minute,
		Live: func(_ time.Time, k, _ int) bool { return live[k] },
	})
	now := start
	for i := range 50 {
		m.Put(now, i, i)
		now = now.Add(10 * time.Second)
	}
	if got := keys(m); !slices.Contains(got, 0) || !slices.Contains(got, 1) || !slices.Contains(got, 2) || len(got) > 4 {
		t.Fatalf("kept %v, want 0, 1, 2 and the newest", got)
	}
	if _, ok := m.Get(now, 0); !ok {
		t.Fatal("live entry dropped")
	}
	clear(live)
	if _, ok := m.Get(now, 1); ok {
		t.Fatal("an entry that is idle and no longer live was returned")
	}
	for i := range 3 {
		m.Put(now, 100+i, i)
	}
	if m.Len() != 2 {
		t.Fatalf("Len = %d after the live ones were released, want 2: %v", m.Len(), keys(m))
	}
}

// An entry that Len and order would drop, found no longer live while the map is not full, takes its turn again.
func TestParkedReturns(t *testing.T) {
	live := true
	m := keyed.New(keyed.Config[string, int]{
		Max:  2,
		Live: func(_ time.Time, k string, _ int) bool { return k == "held" && live },
	})
	m.Put(start, "held", 0)
	m.Put(start, "a", 0)
	m.Put(start, "b", 0) // parks held, drops a
	m.Delete("b")
	live = false
	m.Put(start, "c", 0)
	if got, want := keys(m), []string{"c", "held"}; !slices.Equal(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
	m.Put(start, "d", 0)
	if got, want := keys(m), []string{"d", "c"}; !slices.Equal(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
}

// TestModelLRU holds a Map without live entries against an obvious list.
func TestModelLRU(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 6).Draw(t, "max")
		idle := time.Duration(rapid.IntRange(0, 5).Draw(t, "idle")) * time.Second
		m := keyed.New(keyed.Config[int, int]{Max: limit, Idle: idle})
		type item struct {
			key, value int
			at         time.Time
		}
		var model []item // The least recently used first.
		now := start
		find := func(k int) int { return slices.IndexFunc(model, func(it item) bool { return it.key == k }) }
		use := func(k, v int) {
			if i := find(k); i >= 0 {
				model = slices.Delete(model, i, i+1)
			}
			model = append(model, item{k, v, now})
			if len(model) > limit {
				model = model[1:]
			}
		}
		steps := rapid.IntRange(1, 60).Draw(t, "steps")
		for i := range steps {
			now = now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "ms")) * time.Millisecond)
			k := rapid.IntRange(0, 9).Draw(t, "key")
			expire := func() {
				model = slices.DeleteFunc(model, func(it item) bool { return idle > 0 && now.Sub(it.at) >= idle })
			}
			switch rapid.SampledFrom([]string{"get", "create", "do", "put", "delete"}).Draw(t, "op") {
			case "get":
				expire()
				v, ok := m.Get(now, k)
				at := find(k)
				if ok != (at >= 0) || ok && v != model[at].value {
					t.Fatalf("Get(%d) = %d, %v; model %v", k, v, ok, model)
				}
				if ok {
					use(k, v)
				}
			case "create", "do":
				expire()
				want := i
				if at := find(k); at >= 0 {
					want = model[at].value
				}
				got := -1
				if rapid.Bool().Draw(t, "do") {
					m.Do(now, k, func() int { return i }, func(v int) { got = v })
				} else {
					got = m.GetOrCreate(now, k, func() int { return i })
				}
				if got != want {
					t.Fatalf("GetOrCreate(%d) = %d, want %d", k, got, want)
				}
				use(k, want)
			case "put":
				expire()
				m.Put(now, k, i)
				use(k, i)
			case "delete":
				m.Delete(k)
				model = slices.DeleteFunc(model, func(it item) bool { return it.key == k })
			}
			var got []int
			m.All(func(k, _ int) bool { got = append(got, k); return true })
			slices.Reverse(got)
			var want []int
			for _, it := range model {
				want = append(want, it.key)
			}
			if !slices.Equal(got, want) || m.Len() != len(want) {
				t.Fatalf("keys, least recently used first: %v (Len %d), want %v", got, m.Len(), want)
			}
		}
	})
}

// TestModelLive: with entries that turn live and back at any time, none is dropped while it is live, and Max is exceeded
// only by entries that were live since they were last looked at.
func TestModelLive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 5).Draw(t, "max")
		idle := time.Duration(rapid.IntRange(0, 4).Draw(t, "idle")) * time.Second
		live := map[int]bool{}
		m := keyed.New(keyed.Config[int, int]{
			Max: limit, Idle: idle,
			Live: func(_ time.Time, k, _ int) bool { return live[k] },
		})
		now := start
		present := func() map[int]bool {
			all := map[int]bool{}
			m.All(func(k, _ int) bool { all[k] = true; return true })
			return all
		}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 1500).Draw(t, "ms")) * time.Millisecond)
			k := rapid.IntRange(0, 12).Draw(t, "key")
			before := present()
			switch rapid.SampledFrom([]string{"get", "create", "put", "live", "dead"}).Draw(t, "op") {
			case "get":
				if _, ok := m.Get(now, k); live[k] && before[k] && !ok {
					t.Fatalf("Get does not find live key %d", k)
				}
			case "create":
				m.GetOrCreate(now, k, func() int { return k })
			case "put":
				m.Put(now, k, k)
			case "live":
				live[k] = before[k]
			case "dead":
				live[k] = false
			}
			after := present()
			for k, alive := range live {
				if alive && before[k] && !after[k] {
					t.Fatalf("live key %d dropped", k)
				}
			}
			if m.Len() > 13 {
				t.Fatalf("Len = %d", m.Len())
			}
		}
		// When nothing is live any more, as many new entries as there are parked ones bring the map back to Max.
		clear(live)
		for i := range m.Len() + 1 {
			m.Put(now, 1000+i, 0)
		}
		if m.Len() > limit {
			t.Fatalf("Len = %d with nothing live, want at most %d", m.Len(), limit)
		}
	})
}

// Entries that stay live as long as they are held never let the map grow beyond Max and the held ones (and the newest).
func TestModelHeld(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 5).Draw(t, "max")
		held := rapid.SliceOfDistinct(rapid.IntRange(0, 20), rapid.ID[int]).Draw(t, "held")
		m := keyed.New(keyed.Config[int, int]{
			Max:  limit,
			Live: func(_ time.Time, k, _ int) bool { return slices.Contains(held, k) },
		})
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			m.Put(start, rapid.IntRange(0, 40).Draw(t, "key"), 0)
			n := 0
			m.All(func(k, _ int) bool {
				if slices.Contains(held, k) {
					n++
				}
				return true
			})
			if m.Len() > max(limit, n+1) {
				t.Fatalf("Len = %d with %d live, Max %d", m.Len(), n, limit)
			}
		}
	})
}

func TestConcurrent(t *testing.T) {
	var made [64]atomic.Int32
	m := keyed.New(keyed.Config[int, *int]{Max: 64})
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				k := (i*7 + w) % 64
				m.Do(start, k, func() *int { made[k].Add(1); return new(int) }, func(n *int) { *n++ })
				m.Get(start, k)
				if i%500 == 0 {
					m.All(func(int, *int) bool { return true })
				}
			}
		})
	}
	wg.Wait()
	total := 0
	m.All(func(_ int, n *int) bool { total += *n; return true })
	if total != 8*2000 {
		t.Fatalf("counted %d, want %d", total, 8*2000)
	}
	for k := range made {
		if n := made[k].Load(); n != 1 {
			t.Fatalf("key %d created %d times", k, n)
		}
	}
}

func TestGetAllocatesNothing(t *testing.T) {
	m := keyed.New(keyed.Config[string, int]{Idle: time.Hour})
	m.Put(start, "a", 1)
	if n := testing.AllocsPerRun(100, func() { m.Get(start, "a") }); n != 0 {
		t.Fatalf("Get allocates %v times", n)
	}
}

func Example() {
	m := keyed.New(keyed.Config[string, int]{Max: 2})
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	m.Put(now, "a", 1)
	m.Put(now, "b", 2)
	m.Get(now, "a")
	m.Put(now, "c", 3)
	m.All(func(k string, v int) bool {
		fmt.Println(k, v)
		return true
	})
	// Output:
	// c 3
	// a 1
}

func BenchmarkGet(b *testing.B) {
	for _, n := range []int{1, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			m := keyed.New(keyed.Config[int, int]{Idle: time.Hour})
			for i := range n {
				m.Put(start, i, i)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				m.Get(start, i%n)
				i++
			}
		})
	}
}

func BenchmarkEvict(b *testing.B) {
	m := keyed.New(keyed.Config[int, int]{Max: 1000, Live: func(_ time.Time, k, _ int) bool { return k < 900 }})
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		m.Put(start, i, i)
		i++
	}
}
