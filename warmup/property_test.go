package warmup

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// flakyStore fails before or after the step, as told, and lets something happen before and after it.
type flakyStore struct {
	Store
	fail      string // "", "before", "after"
	meanwhile func()
}

var errFlaky = errors.New("flaky")

func (s *flakyStore) Update(ctx context.Context, key string, fn func([]byte) ([]byte, error)) error {
	if meanwhile := s.meanwhile; meanwhile != nil {
		s.meanwhile = nil
		defer func() { s.meanwhile = meanwhile }()
		meanwhile()
		defer meanwhile()
	}
	if s.fail == "before" {
		return errFlaky
	}
	twice := func(old []byte) ([]byte, error) {
		if _, err := fn(clone(old)); err != nil { // As after a conflict.
			return nil, err
		}
		return fn(old)
	}
	if err := s.Store.Update(ctx, key, twice); err != nil {
		return err
	}
	if s.fail == "after" {
		return errFlaky
	}
	return nil
}

func drawPlan(t *rapid.T) Plan {
	var p Plan
	p.AllowJumps = true
	last := Stage{}
	for range rapid.IntRange(1, 4).Draw(t, "stages") {
		s := Stage{Day: last.Day + rapid.IntRange(1, 40).Draw(t, "day")}
		if rapid.Bool().Draw(t, "explicit") {
			s.Hour = rapid.IntRange(1, s.Day).Draw(t, "hour")
			s.Minute = rapid.IntRange(1, s.Hour).Draw(t, "minute")
		}
		s = s.Caps()
		s.Hour = min(max(s.Hour, last.Hour), s.Day)
		s.Minute = min(max(s.Minute, last.Minute), s.Hour)
		p.Stages = append(p.Stages, s)
		last = s
	}
	return p
}

func TestNoWindowExceedsItsCap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plan := drawPlan(t)
		if err := plan.Validate(); err != nil {
			t.Fatal(err)
		}
		owners := rapid.SampledFrom([]int{1, 1, 2, 2, 3, 3, 10}).Draw(t, "owners")
		operated := rapid.Bool().Draw(t, "operated")
		memory := &flakyStore{Store: NewMemoryStore()}
		var store Store = memory
		if owners == 1 && rapid.Bool().Draw(t, "without store") {
			store = nil
		}
		names := make([]int, owners)
		open := func(owner int) *Ledger {
			name := fmt.Sprint(owner, " under name ", names[owner])
			l, err := Open(context.Background(), Config{Store: store, Plans: map[string]Plan{"new": plan}, Owner: name})
			if err != nil {
				t.Fatal(err)
			}
			return l
		}
		ledgers := make([]*Ledger, owners)
		held := make([]map[*sighting]Reservation, owners)
		for i := range ledgers {
			ledgers[i], held[i] = open(i), make(map[*sighting]Reservation)
		}
		var sent oracle
		path := Path{"new", "example"}
		at, behind := stamp(start), int64(0)
		pick := func(i int) *sighting {
			for _, s := range sent {
				if _, ok := held[i][s]; ok && rapid.Bool().Draw(t, "this") {
					return s
				}
			}
			return nil
		}
		commit := func(i int, s *sighting) {
			now := unstamp(at - behind)
			ledgers[i].CommitAt(now, held[i][s])
			ledgers[i].CommitAt(now, held[i][s])
			ledgers[i].CancelAt(now, held[i][s])
			ledgers[i].ObserveAt(now, path, rapid.SampledFrom([]Outcome{Delivered, Delivered, Delivered, Bounced, Deferred, Blocked}).Draw(t, "outcome"), s.n)
			delete(held[i], s)
			s.to, s.open = at, false
		}
		reserved := func(i, n int, asked time.Time, r Reservation) {
			if !r.OK {
				if r.Reason == "" || !r.Until.After(asked) {
					t.Fatalf("refused with %+v at %v", r, asked)
				}
				return
			}
			now := unstamp(at - behind)
			s := &sighting{from: at, open: true, n: n}
			state := ledgers[i].StateAt(now, path)
			s.caps = [kinds]int{state.Day.Cap, state.Hour.Cap, state.Minute.Cap}
			s.complete = state.Phase == PhaseComplete
			for _, l := range ledgers { // An operator may have moved it, and not all know.
				if state := l.StateAt(now, path); operated {
					s.caps = [kinds]int{max(s.caps[0], state.Day.Cap), max(s.caps[1], state.Hour.Cap), max(s.caps[2], state.Minute.Cap)}
					s.complete = s.complete || state.Phase == PhaseComplete
				}
			}
			sent = append(sent, s)
			held[i][s] = r
			for k := range kinds {
				// What was sent while complete, and without a promise on record, is known to its own process only.
				if used := sent.used(k, at, store == nil); used > s.caps[k] && !s.complete {
					t.Fatalf("%d messages in window %d: the cap is %d; %v; %+v", used, k, s.caps[k], state, ledgers[i].paths[path].account)
				}
			}
		}
		undisturbed := true
		try := func(i, n int) (ready bool) {
			now := unstamp(at - behind)
			r, ready := ledgers[i].TryReserveAt(now, path, n)
			if ready {
				reserved(i, n, now, r)
			}
			return ready
		}
		prepare := func(i, n int) {
			undisturbed = true
			ledgers[i].PrepareAt(context.Background(), unstamp(at-behind), path, n)
			if !try(i, n) && undisturbed {
				t.Fatal("not ready although it was prepared")
			}
		}
		cancel := func(i int, s *sighting) {
			now := unstamp(at - behind)
			ledgers[i].CancelAt(now, held[i][s])
			ledgers[i].CancelAt(now, held[i][s])
			ledgers[i].CommitAt(now, held[i][s])
			delete(held[i], s)
			sent = slices.DeleteFunc(sent, func(o *sighting) bool { return o == s })
		}
		elapse := func(pass int64) {
			for _, s := range sent {
				for i := range held {
					if _, ok := held[i][s]; ok && store != nil && at+pass-s.from > maxHold {
						if s.from+maxHold > at {
							at, pass = s.from+maxHold, pass-(s.from+maxHold-at) // As late as it may be.
						}
						commit(i, s)
					}
				}
			}
			at += pass
		}
		writer, longest := 0, time.Duration(0)
		memory.meanwhile = func() { // Happens while the store is used by an owner.
			for range rapid.SampledFrom([]int{0, 0, 0, 1, 3}).Draw(t, "meanwhile") {
				undisturbed = false
				elapse(int64(min(longest, rapid.SampledFrom([]time.Duration{0, 0, time.Millisecond, time.Second, 2 * time.Minute, 11 * time.Minute,
					25 * time.Hour}).Draw(t, "pass"))))
				i := rapid.IntRange(0, owners-1).Draw(t, "owner")
				n := rapid.SampledFrom([]int{1, 1, 2, 5}).Draw(t, "n")
				switch what := rapid.IntRange(0, 6).Draw(t, "what"); {
				case what < 3:
					try(i, n)
				case what < 5:
					if s := pick(i); s != nil {
						commit(i, s)
					}
				case what < 6:
					if s := pick(i); s != nil {
						cancel(i, s)
					}
				case i != writer:
					now := unstamp(at - behind)
					reserved(i, n, now, ledgers[i].ReserveAt(now, path, n))
				}
			}
		}
		steps := rapid.IntRange(20, 250).Draw(t, "steps")
		for range steps {
			elapse(int64(rapid.SampledFrom([]time.Duration{0, 0, 1, time.Millisecond, time.Second, 7 * time.Second, time.Minute, 9 * time.Minute,
				11 * time.Minute, time.Hour, 5 * time.Hour, 25 * time.Hour, 100 * time.Hour}).Draw(t, "pass")))
			if owners == 1 && rapid.IntRange(0, 20).Draw(t, "jump back") == 0 {
				behind += int64(rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 3 * time.Hour, time.Duration(max(0, -behind))}).Draw(t, "by"))
			}
			if owners == 1 && rapid.IntRange(0, 50).Draw(t, "jump ahead") == 0 {
				behind -= int64(rapid.SampledFrom([]time.Duration{30 * time.Minute, 5 * time.Hour, 10_000 * time.Hour}).Draw(t, "by"))
				for _, s := range sent {
					s.jumped, s.aged = true, s.aged || !s.open
				}
			}
			now := unstamp(at - behind)
			i := rapid.IntRange(0, owners-1).Draw(t, "owner")
			writer = i
			n := rapid.SampledFrom([]int{1, 1, 1, 2, 5}).Draw(t, "n")
			switch what := rapid.IntRange(0, 20).Draw(t, "what"); {
			case what == 20 && operated:
				switch stage := rapid.IntRange(0, len(plan.Stages)+1).Draw(t, "stage"); stage {
				case 0:
					ledgers[i].Reset(context.Background(), path) // May fail.
				case len(plan.Stages) + 1:
					ledgers[i].AlreadyWarm(context.Background(), path)
				default:
					ledgers[i].SetStage(context.Background(), path, stage)
				}
			case what < 4:
				longest = 2 * time.Second // StoreTimeout bounds it.
				reserved(i, n, now, ledgers[i].ReserveAt(now, path, n))
			case what < 8:
				try(i, n)
			case what < 12:
				longest = 1000 * time.Hour
				prepare(i, n)
			case what < 15:
				if s := pick(i); s != nil {
					commit(i, s)
				}
			case what < 16:
				if s := pick(i); s != nil {
					cancel(i, s)
				}
			case what < 17:
				memory.fail = rapid.SampledFrom([]string{"", "", "before", "after"}).Draw(t, "fail")
			case store == nil:
			case what < 19: // A crash, or a stop with messages under way.
				meanwhile := memory.meanwhile
				memory.meanwhile = nil
				if what == 18 {
					ledgers[i].Close(context.Background()) // May fail.
				}
				for s := range held[i] {
					s.to, s.open = at, false
				}
				for _, s := range sent { // What is on record was promised before that.
					s.aged = s.aged || s.jumped
				}
				held[i] = make(map[*sighting]Reservation)
				if rapid.Bool().Draw(t, "rename") {
					names[i]++
				}
				ledgers[i] = open(i)
				memory.meanwhile = meanwhile
			}
		}
		for i := range held {
			for s := range held[i] {
				s.to, s.open = at, false
			}
		}
		sent.checkArrivals(t, rand.New(rand.NewPCG(1, uint64(len(sent)))))
		if store == nil {
			return
		}
		// Whatever happened, and whoever holds what, a day later a new owner can send.
		memory.fail, memory.meanwhile = "", nil
		names[0]++
		l, now := open(0), unstamp(at-behind)
		for range 2 { // If the latest time on record was wrong, it shows now.
			l.CancelAt(now, l.ReserveAt(now, path, 1))
			now = now.Add(time.Duration(putBackAfter))
		}
		now = now.Add(time.Duration(promiseLife) + 26*time.Hour)
		if r := l.ReserveAt(now, path, 1); !r.OK {
			t.Fatalf("a day after all: %+v", r)
		}
	})
}

// TestUntilIsExact: with nothing outstanding, what is refused succeeds at Until and not before.
func TestUntilIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plan := drawPlan(t)
		plan.Stages = plan.Stages[:1]
		l, err := Open(context.Background(), Config{Plans: map[string]Plan{"new": plan}})
		if err != nil {
			t.Fatal(err)
		}
		path := Path{"new", "example"}
		now := start
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(20*time.Minute)).Draw(t, "pass")))
			n := rapid.IntRange(1, plan.Stages[0].Minute).Draw(t, "n")
			r := l.ReserveAt(now, path, n)
			if !r.OK {
				if early := l.ReserveAt(r.Until.Add(-1), path, n); early.OK {
					t.Fatalf("refused at %v until %v, but not just before that", now, r.Until)
				}
				now = r.Until
				if r = l.ReserveAt(now, path, n); !r.OK {
					t.Fatalf("refused at its own Until: %+v", r)
				}
			}
			l.CommitAt(now, r)
		}
	})
}

// TestUsableShare: with unlimited demand at least 98 % of a cap is used, whichever window binds.
func TestUsableShare(t *testing.T) {
	for _, c := range []struct {
		name  string
		stage Stage
		span  time.Duration // of the binding window
		cap   int
	}{
		{"day", Stage{Day: 1000, Hour: 1000, Minute: 1000}, 24 * time.Hour, 1000},
		{"day, derived", Stage{Day: 1000}, 24 * time.Hour, 1000},
		{"hour", Stage{Day: 12000, Hour: 500, Minute: 500}, time.Hour, 500},
		{"hour, derived minute", Stage{Day: 12000, Hour: 500}, time.Hour, 500},
		{"minute", Stage{Day: 144000, Hour: 6000, Minute: 100}, time.Minute, 100},
	} {
		for _, store := range []Store{nil, NewMemoryStore()} {
			t.Run(fmt.Sprintf("%s, store %t", c.name, store != nil), func(t *testing.T) {
				l, err := Open(context.Background(), Config{Store: store, Plans: map[string]Plan{"new": {Stages: []Stage{c.stage}}}})
				if err != nil {
					t.Fatal(err)
				}
				path := Path{"new", "example"}
				const spans = 5
				sent := 0
				for now := start; now.Before(start.Add(spans * c.span)); {
					r := l.ReserveAt(now, path, 1)
					if !r.OK {
						now = r.Until
						continue
					}
					l.CommitAt(now, r)
					sent++
				}
				// The first span begins with an empty window, so the share is held against all of them but the gain of that.
				if share := float64(sent) / float64(spans*c.cap); share < 0.98 || share > 1.001 {
					t.Errorf("sent %d in %d times %v: %.2f %% of the cap", sent, spans, c.span, 100*share)
				}
			})
		}
	}
}

// TestProcessesUseTheAllowance: up to ten processes with mail waiting use at least 98 % of what the caps allow them together, and no more.
func TestProcessesUseTheAllowance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		owners := rapid.IntRange(1, 10).Draw(t, "owners")
		day := rapid.IntRange(100, 200).Draw(t, "day")
		plan := Plan{Stages: []Stage{{Day: day, Hour: rapid.IntRange(day/20, day).Draw(t, "hour")}}, Keep: true}
		if rapid.Bool().Draw(t, "minute") {
			plan.Stages[0].Minute = plan.Stages[0].Hour
		}
		store := NewMemoryStore()
		var ledgers []*Ledger
		for i := range owners {
			l, err := Open(context.Background(), Config{Store: store, Plans: map[string]Plan{"new": plan}, Owner: fmt.Sprint(i)})
			if err != nil {
				t.Fatal(err)
			}
			ledgers = append(ledgers, l)
		}
		const days = 1
		now, sent := start, 0
		end := start.Add(days * 24 * time.Hour)
		for now.Before(end) {
			next := end
			for i, l := range ledgers {
				for {
					r := l.ReserveAt(now, Path{"new", "example"}, 1)
					if !r.OK {
						next = firstOf(next, r.Until)
						break
					}
					l.CommitAt(now, r)
					if sent++; i > 0 && sent%7 == 0 {
						break // the others are not slower
					}
				}
			}
			if !next.After(now) {
				next = now.Add(time.Second)
			}
			now = next
		}
		allowed := float64(min(day*days, plan.Stages[0].Hour*24*days))
		if used := float64(sent) / allowed; used < 0.98 || used > 1.001 {
			t.Fatalf("%d of %.0f sent by %d processes: %.2f %%", sent, allowed, owners, 100*used)
		}
	})
}
