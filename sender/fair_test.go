package sender

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/reputemail/repute/sender/queue"
)

func testStream(name string, index, weight int) *stream {
	return &stream{Stream: Stream{Name: name, Weight: weight}, index: index}
}

func TestFairQueueSharesByWeight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var streams []*stream
		var q fairQueue
		total := 0
		lanes := map[*stream][]*lane{}
		for i := range rapid.IntRange(1, 4).Draw(t, "streams") {
			s := testStream(string(rune('a'+i)), i, rapid.IntRange(1, 9).Draw(t, "weight"))
			streams = append(streams, s)
			total += s.Weight
			for range rapid.IntRange(1, 5).Draw(t, "lanes") {
				l := &lane{stream: s}
				lanes[s] = append(lanes[s], l)
				q.add(l)
				q.add(l) // once is enough
			}
		}
		turns := map[*stream]int{}
		per := map[*lane]int{}
		rounds := 50 * total
		for range rounds {
			l := q.pop("")
			turns[l.stream]++
			per[l]++
			q.add(l)
		}
		for _, s := range streams {
			want := rounds * s.Weight / total
			if d := turns[s] - want; d < -len(streams)-s.Weight || d > len(streams)+s.Weight {
				t.Fatalf("stream of weight %d of %d had %d of %d turns", s.Weight, total, turns[s], rounds)
			}
			for _, l := range lanes[s] {
				if d := per[l] - turns[s]/len(lanes[s]); d < -1 || d > 1 {
					t.Fatalf("a lane had %d of %d turns of %d lanes", per[l], turns[s], len(lanes[s]))
				}
			}
		}
	})
}

func TestFairQueueGivesNoCreditForAbsence(t *testing.T) {
	var q fairQueue
	a, b := &lane{stream: testStream("a", 0, 1)}, &lane{stream: testStream("b", 1, 1)}
	q.add(a)
	for range 1000 {
		q.add(q.pop(""))
	}
	q.add(b)
	turns := map[*lane]int{}
	for range 20 {
		l := q.pop("")
		turns[l]++
		q.add(l)
	}
	if turns[a] < 9 || turns[b] < 9 {
		t.Errorf("turns %d and %d", turns[a], turns[b])
	}
}

func TestFairQueuePrefersTheOpenSession(t *testing.T) {
	var q fairQueue
	s := testStream("a", 0, 1)
	at := func(site string) *lane { return &lane{stream: s, dest: &destination{site: site}} }
	one, two, three := at("x"), at("y"), at("x")
	q.add(one)
	q.add(two)
	q.add(three)
	if l := q.pop("y"); l != two {
		t.Error("did not take the lane of the session's site")
	}
	if l := q.pop("z"); l != one {
		t.Error("did not take the first one")
	}
	q.add(two)
	q.add(one)
	q.add(three) // stands there already
	if q.len() != 3 {
		t.Errorf("%d lanes", q.len())
	}
}

func TestFairQueuePutBackKeepsTheTurn(t *testing.T) {
	var q fairQueue
	s := testStream("a", 0, 1)
	lanes := []*lane{{stream: s}, {stream: s}, {stream: s}}
	for _, l := range lanes {
		q.add(l)
	}
	l := q.pop("")
	q.add(l) // it found no room and stood in line again
	q.putBack(l)
	for i, want := range lanes {
		if got := q.pop(""); got != want {
			t.Errorf("turn %d went to another lane", i)
		}
	}
}

func TestAlarmsRingInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := time.Unix(0, 0)
		var h alarms
		var rang []time.Time
		set := map[*alarm]time.Time{}
		all := make([]*alarm, 10)
		for i := range all {
			a := &alarm{}
			a.ring = func(now time.Time) {
				if want, ok := set[a]; !ok || want.After(now) {
					t.Fatalf("rang at %v, was set to %v", now, want)
				}
				rang = append(rang, set[a])
				delete(set, a)
			}
			all[i] = a
		}
		now := start
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			a := rapid.SampledFrom(all).Draw(t, "alarm")
			switch rapid.IntRange(0, 2).Draw(t, "op") {
			case 0:
				at := start.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "at")) * time.Second)
				h.set(a, at)
				set[a] = at
			case 1:
				h.clear(a)
				delete(set, a)
			case 2:
				now = now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "step")) * time.Second)
				rang = nil
				next := h.ring(now)
				for i := 1; i < len(rang); i++ {
					if rang[i].Before(rang[i-1]) {
						t.Fatalf("rang out of order: %v", rang)
					}
				}
				first := time.Time{}
				for _, at := range set {
					if !at.After(now) {
						t.Fatalf("an alarm of %v has not rung at %v", at, now)
					}
					if first.IsZero() || at.Before(first) {
						first = at
					}
				}
				if !next.Equal(first) {
					t.Fatalf("next is %v, want %v", next, first)
				}
			}
		}
	})
}

func TestLaneInsertKeepsPriority(t *testing.T) {
	l := &lane{}
	for i, p := range []int{0, 5, 0, -1, 5, 9} {
		l.insert(queue.Delivery{ID: string(rune('a' + i)), Priority: p})
	}
	got := ""
	for _, d := range l.buf {
		got += d.ID
	}
	if got != "fbeacd" {
		t.Errorf("order %s", got)
	}
}

// TestFairQueuePutsBackInTheMiddle: a lane that was taken for its site, and had no turn, does not get ahead of others for that.
func TestFairQueuePutsBackInTheMiddle(t *testing.T) {
	var q fairQueue
	s := testStream("a", 0, 1)
	var lanes []*lane
	for _, site := range []string{"x", "y", "z"} {
		lanes = append(lanes, &lane{stream: s, dest: &destination{site: site}})
		q.add(lanes[len(lanes)-1])
	}
	if l := q.pop("y"); l != lanes[1] {
		t.Fatal("the lane of the site should have its turn")
	}
	q.add(lanes[1])
	q.putBack(lanes[1])
	for i, want := range lanes {
		if q.pop("") != want {
			t.Errorf("turn %d is another lane's", i)
		}
	}
}
