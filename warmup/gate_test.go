package warmup

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// TestGate is the table of what rates mean, with the defaults.
func TestGate(t *testing.T) {
	g := Gate{}.withDefaults()
	for _, c := range []struct {
		name    string
		o       Outcomes
		burst   bool
		reports bool
		level   level
		cause   Cause
	}{
		{"nothing", Outcomes{}, false, true, levelOpen, ""},
		{"clean", Outcomes{Delivered: 10_000}, false, true, levelOpen, ""},
		{"one bounce of one", Outcomes{Bounced: 1}, false, true, levelOpen, ""},
		{"three bounces of three", Outcomes{Bounced: 3}, false, true, levelBack, CauseBounces},
		{"three bounces of 40: may well be less than 5 %", Outcomes{Delivered: 37, Bounced: 3}, false, true, levelOpen, ""},
		{"ten of 60: at least 5 %", Outcomes{Delivered: 50, Bounced: 10}, false, true, levelHold, CauseBounces},
		{"4.9 % of 1000", Outcomes{Delivered: 951, Bounced: 49}, false, true, levelOpen, ""},
		{"5 % of 1000", Outcomes{Delivered: 950, Bounced: 50}, false, true, levelHold, CauseBounces},
		{"10 % of 1000", Outcomes{Delivered: 900, Bounced: 100}, false, true, levelBack, CauseBounces},
		{"other failures are nobody's fault", Outcomes{Delivered: 500, Other: 500}, false, true, levelOpen, ""},
		{"deferrals 5 %", Outcomes{Delivered: 950, Deferred: 50}, false, true, levelHold, CauseDeferrals},
		{"deferrals 20 %", Outcomes{Delivered: 800, Deferred: 200}, false, true, levelBack, CauseDeferrals},
		{"blocks 1 %", Outcomes{Delivered: 990, Blocked: 10}, false, true, levelHold, CauseBlocks},
		{"blocks 5 %", Outcomes{Delivered: 950, Blocked: 50}, false, true, levelBack, CauseBlocks},
		{"a burst of blocks, 1 %", Outcomes{Delivered: 990, Blocked: 10}, true, true, levelBack, CauseBlocks},
		{"a burst of blocks in a flood of mail", Outcomes{Delivered: 100_000, Blocked: 10}, true, true, levelOpen, ""},
		{"complaints below 0.1 %", Outcomes{Delivered: 10_000, Complained: 9}, false, true, levelOpen, ""},
		{"complaints 0.1 %", Outcomes{Delivered: 10_000, Complained: 10}, false, true, levelHold, CauseComplaints},
		{"complaints 0.3 %", Outcomes{Delivered: 10_000, Complained: 30}, false, true, levelBack, CauseComplaints},
		{"complaints, where few are told", Outcomes{Delivered: 10_000, Complained: 300}, false, false, levelOpen, ""},
		{"more complaints than mail: it was sent before", Outcomes{Delivered: 2, Complained: 5}, false, true, levelBack, CauseComplaints},
		{"back wins over hold", Outcomes{Delivered: 800, Bounced: 60, Deferred: 250}, false, true, levelBack, CauseDeferrals},
	} {
		o := c.o
		f := g.judge(counts{uint32(o.Delivered), uint32(o.Bounced), uint32(o.Deferred), uint32(o.Blocked), uint32(o.Complained), uint32(o.Other)}, 0, c.burst, c.reports)
		if f.level != c.level || f.evidence.Cause != c.cause {
			t.Errorf("%s: %v, %v", c.name, f.level, f.evidence)
		}
		if (f.level != levelOpen) != (f.evidence.String() != "") || f.level != levelOpen && f.evidence.Rate < f.evidence.Threshold {
			t.Errorf("%s: evidence %+v", c.name, f.evidence)
		}
	}
	if f := (&Gate{Off: true}).judge(counts{0, 100, 100, 100, 100}, 0, true, true); f.level != levelOpen {
		t.Errorf("a gate that is off says %v", f)
	}
	never := Gate{Bounce: Threshold{1, 1}}.withDefaults()
	if f := never.judge(counts{0, 1000}, 0, false, false); f.level != levelOpen {
		t.Errorf("a threshold of 1 says %v", f)
	}
}

// TestWilson holds the lower bound against values of the literature: Newcombe (1998), table I, for 81 of 263, 15 of 148, 0 of 20 and 1 of 29.
func TestWilson(t *testing.T) {
	for _, c := range []struct {
		bad, n int
		want   float64
	}{{81, 263, 0.2553}, {15, 148, 0.0624}, {0, 20, 0}, {1, 29, 0.0061}} {
		if got := wilsonLower(c.bad, c.n); math.Abs(got-c.want) > 0.00006 {
			t.Errorf("%d of %d: %.4f, want %.4f", c.bad, c.n, got, c.want)
		}
	}
}

func TestGateValidate(t *testing.T) {
	for _, c := range []struct {
		g    Gate
		want string
	}{
		{Gate{Bounce: Threshold{Hold: -1}}, "Gate.Bounce.Hold is -1"},
		{Gate{Deferral: Threshold{Hold: math.NaN()}}, "Gate.Deferral.Hold is NaN"},
		{Gate{Block: Threshold{Back: 1.5}}, "Gate.Block.Back is 1.5"},
		{Gate{Complaint: Threshold{Hold: 0.3, Back: 0.2}}, "Gate.Complaint.Back is 0.2: must not be below Hold"},
		{Gate{BlockBurst: 101}, "Gate.BlockBurst is 101"},
		{Gate{MinSample: -1}, "Gate.MinSample is -1"},
		{Gate{MinDelivered: -1}, "Gate.MinDelivered is -1"},
		{Gate{Reporters: []string{""}}, "Gate.Reporters"},
	} {
		if _, err := Open(context.Background(), Config{Gate: c.g}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %s", c.g, err, c.want)
		}
	}
	for _, g := range []Gate{{}, {Bounce: Threshold{Hold: 0.5}}, {Bounce: Threshold{Back: 0.01}}} {
		if err := g.withDefaults().Validate(); err != nil {
			t.Errorf("%+v: %v", g, err)
		}
	}
}

// story sends a day's cap each day over paths, and tells the ledger what became of it.
type story struct {
	t       *testing.T
	ledgers []*Ledger
	now     time.Time
	changes []Change
}

func newStory(t *testing.T, owners int, plan Plan, store Store) *story {
	s := &story{t: t, now: start}
	for i := range owners {
		s.ledgers = append(s.ledgers, mustOpen(t, Config{
			Plans: plans(plan), Store: store, Owner: string(rune('a' + i)), Gate: Gate{Complaint: Threshold{Hold: 0.01, Back: 0.03}, MinDelivered: 100}, OnChange: func(c Change) { s.changes = append(s.changes, c) },
		}))
	}
	return s
}

// day sends what the path takes in a day, with the shares of bad outcomes, and returns how much that was.
func (s *story) day(p Path, bad map[Outcome]float64) int {
	begin := s.now
	end := begin.Add(14 * time.Hour)
	owed := map[Outcome]float64{}
	n := 0
	for i := 0; s.now.Before(end); i++ {
		l := s.ledgers[i%len(s.ledgers)]
		r := l.ReserveAt(s.now, p, 1)
		if !r.OK {
			next := s.now.Add(10 * time.Minute)
			if r.Until.Before(next) && r.Until.After(s.now) {
				next = r.Until
			}
			s.now = next
			continue
		}
		l.CommitAt(s.now, r)
		n++
		o := Delivered
		for b, share := range bad {
			owed[b] += share
			if owed[b] >= 1 && o == Delivered {
				owed[b]--
				o = b
			}
		}
		if o == Complained {
			l.ObserveAt(s.now, p, Delivered, 1)
		}
		l.ObserveAt(s.now, p, o, 1)
	}
	s.now = begin.Add(25 * time.Hour)
	return n
}

// at is where a path stands once the day before is judged.
func (s *story) at(p Path) State {
	s.ledgers[0].PrepareAt(context.Background(), s.now, p, 1)
	return s.ledgers[0].StateAt(s.now, p)
}

// TestGateInTheLedger: what a path does when rates are bad, and that another path goes on; with one process and with three that share a store.
func TestGateInTheLedger(t *testing.T) {
	yahoo := Path{"new", "yahoo"}
	for _, owners := range []int{1, 3} {
		for i, c := range []struct {
			name  string
			bad   map[Outcome]float64
			phase Phase
			cause Cause
			stage int // after three good days, which lead to stage 4, and a bad one
		}{
			{"good", nil, PhaseWarming, "", 5},
			{"a few bounces", map[Outcome]float64{Bounced: 0.02}, PhaseWarming, "", 5},
			{"bounces", map[Outcome]float64{Bounced: 0.07}, PhaseHolding, CauseBounces, 4},
			{"many bounces", map[Outcome]float64{Bounced: 0.15}, PhaseSteppedBack, CauseBounces, 3},
			{"deferrals", map[Outcome]float64{Deferred: 0.08}, PhaseHolding, CauseDeferrals, 4},
			{"many deferrals", map[Outcome]float64{Deferred: 0.3}, PhaseSteppedBack, CauseDeferrals, 3},
			{"complaints", map[Outcome]float64{Complained: 0.025}, PhaseHolding, CauseComplaints, 4},
			{"many complaints", map[Outcome]float64{Complained: 0.1}, PhaseSteppedBack, CauseComplaints, 3},
			{"blocks", map[Outcome]float64{Blocked: 0.02}, PhaseHolding, CauseBlocks, 4},
			{"many blocks", map[Outcome]float64{Blocked: 0.1}, PhaseSteppedBack, CauseBlocks, 3},
			{"others", map[Outcome]float64{Other: 0.08}, PhaseWarming, "", 5},
		} {
			if owners > 1 && i%3 != 1 {
				continue
			}
			t.Run(c.name, func(t *testing.T) {
				plan := Geometric(200, 1.2, 5000)
				s := newStory(t, owners, plan, NewMemoryStore())
				for range 3 {
					s.day(yahoo, nil)
				}
				if st := s.at(yahoo); st.Stage != 4 || st.Phase != PhaseWarming {
					t.Fatalf("three good days lead to %v", st)
				}
				s.changes = nil
				s.day(yahoo, c.bad)
				st := s.at(yahoo)
				if c.phase == PhaseSteppedBack { // at once; the rest of the day was the first one in the stage below
					var back *Change
					for i := range s.changes {
						if s.changes[i].To.Phase == PhaseSteppedBack {
							back = &s.changes[i]
							break
						}
					}
					if back == nil || back.To.Stage != c.stage || back.To.Cause != c.cause || back.Evidence.Cause != c.cause || back.Evidence.Bad < 3 ||
						back.To.DayCap != plan.Stages[c.stage-1].Day || !strings.Contains(back.String(), string(c.cause)) {
						t.Errorf("changes: %v", s.changes)
					}
					if st.Stage > c.stage {
						t.Errorf("a bad day led to %v", st)
					}
					return
				}
				if st.Phase != c.phase || st.Cause != c.cause || st.Stage != c.stage {
					t.Errorf("a bad day led to %v, %s", st, st.Cause)
				}
				if c.phase == PhaseHolding { // and a good one leads on
					s.day(yahoo, nil)
					if st := s.at(yahoo); st.Stage != c.stage+1 || st.Phase != PhaseWarming {
						t.Errorf("a good day after it led to %v", st)
					}
				}
			})
		}
	}
}

// TestStuck: ten days without advancing are told; the eleventh, a good one, leads on. A path in its first stage that gets little mail is not stuck.
func TestStuck(t *testing.T) {
	yahoo := Path{"new", "yahoo"}
	s := newStory(t, 1, Geometric(200, 1.2, 5000), NewMemoryStore())
	s.day(yahoo, nil)
	for range 10 {
		s.day(yahoo, map[Outcome]float64{Bounced: 0.07})
	}
	if st := s.at(yahoo); st.Phase != PhaseStuck || st.Cause != CauseBounces || st.Stage != 2 {
		t.Errorf("after ten days: %v, %s", st, st.Cause)
	}
	s.day(yahoo, nil)
	if st := s.at(yahoo); st.Phase != PhaseWarming || st.Stage != 3 {
		t.Errorf("after a good one: %v", st)
	}
	for range 12 {
		l := s.ledgers[0]
		l.CommitAt(s.now, l.ReserveAt(s.now, google, 1))
		s.now = s.now.Add(25 * time.Hour)
	}
	if st := s.at(google); st.Phase != PhaseHolding || st.Cause != CauseVolume {
		t.Errorf("little mail: %v", st)
	}
	said := map[Phase]int{}
	for _, c := range s.changes {
		if c.Path == yahoo {
			said[c.To.Phase]++
		}
	}
	if said[PhaseStuck] != 1 || said[PhaseHolding] != 1 {
		t.Errorf("it was told %v", said)
	}
}

// TestCalendar: with a calendar the volume does not matter, the gate does; and a day without mail does not count.
func TestCalendar(t *testing.T) {
	plan := Geometric(1000, 1.2, 20_000)
	plan.Calendar = true
	s := newStory(t, 1, plan, nil)
	l := s.ledgers[0]
	for range 3 {
		l.CommitAt(s.now, l.ReserveAt(s.now, google, 1))
		s.now = s.now.Add(24 * time.Hour)
	}
	if st := s.at(google); st.Stage != 4 {
		t.Errorf("three days led to %v", st)
	}
	s.now = s.now.Add(48 * time.Hour)
	if st := s.at(google); st.Stage != 4 {
		t.Errorf("two days without mail led to %v", st)
	}
	s.day(google, map[Outcome]float64{Deferred: 0.08})
	if st := s.at(google); st.Stage != 4 || st.Phase != PhaseHolding {
		t.Errorf("a bad day led to %v", st)
	}
}

// TestKeep: the caps of the last stage stay.
func TestKeep(t *testing.T) {
	plan := Plan{Stages: []Stage{{Day: 100, Hour: 100, Minute: 100}}, Keep: true}
	s := newStory(t, 1, plan, NewMemoryStore())
	for i := range 4 {
		if n := s.day(google, nil); n < 98 || n > 100 {
			t.Errorf("day %d: %d", i, n)
		}
	}
	if st := s.at(google); st.Phase != PhaseComplete || st.Day.Cap != 100 {
		t.Errorf("%v", st)
	}
	// Declared warm, it is so at once, also for those who ask before they send over it.
	yahoo := Path{"new", "yahoo"}
	if err := s.ledgers[0].AlreadyWarm(context.Background(), yahoo); err != nil {
		t.Fatal(err)
	}
	if r := s.ledgers[0].ReserveAt(s.now, yahoo, 1); !r.OK || !r.Complete || r.Cap != 100 {
		t.Errorf("%+v", r)
	}
}

// TestWeekly: a weekly plan advances once a week, also when a sending takes three days, and weeks are no silence; a daily one goes back each time.
func TestWeekly(t *testing.T) {
	run := func(plan Plan) (*story, []int) {
		s := newStory(t, 1, plan, NewMemoryStore())
		var stages []int
		for range 5 {
			monday := s.now
			for range 3 {
				s.day(google, nil)
			}
			s.now = monday.Add(7 * 24 * time.Hour)
			stages = append(stages, s.at(google).Stage)
		}
		return s, stages
	}
	plan := Weekly(100, 0, 5000)
	if err := plan.Validate(); err != nil || plan.Stages[1].Day != 130 {
		t.Fatalf("%v, %v", err, plan.Stages)
	}
	s, stages := run(plan)
	for i, stage := range stages {
		if stage != i+2 {
			t.Errorf("week %d: stage %d", i+1, stage)
		}
	}
	if _, daily := run(Geometric(100, 1.3, 5000)); daily[0] != 3 { // three up, and one down for the silence
		t.Errorf("a daily plan comes to %v", daily)
	}
	s.now = s.now.Add(6 * 24 * time.Hour) // one sending was left out
	if st := s.at(google); st.Phase != PhaseCooled {
		t.Errorf("after a week without a sending: %v", st)
	}
}

// setAhead is what time.Now returns once the clock was set ahead: the wall clock is another one, the monotonic reading is not.
func setAhead(t time.Time, by time.Duration) time.Time {
	*(*uint64)(unsafe.Pointer(&t)) += uint64(by/time.Second) << 30 // the seconds stand above 30 bits of nanoseconds
	return t
}

// TestTheClockThatIsSet: a ledger that is given times of time.Now goes by the time that passes, so a clock that is set frees nothing, and ends nothing.
func TestTheClockThatIsSet(t *testing.T) {
	for _, by := range []time.Duration{72 * time.Hour, 8000 * time.Hour} {
		l := mustOpen(t, Config{Plans: plans(flat(10, 10, 10))})
		now := time.Now()
		if set := setAhead(now, by); set.Round(0).Sub(now.Round(0)) != by || set.Sub(now) != 0 {
			t.Fatalf("setAhead is off: %v, %v", set.Round(0).Sub(now.Round(0)), set.Sub(now))
		}
		if n := send(l, now, google, 20); n != 10 {
			t.Fatalf("%d", n)
		}
		before := l.StateAt(now, google)
		if n := send(l, setAhead(now, by), google, 20); n != 0 {
			t.Errorf("%d more, since the clock was set", n)
		}
		if after := l.StateAt(setAhead(now, by), google); after.Day.Used != 10 || after.Stage != before.Stage {
			t.Errorf("%v, before %v", after, before)
		}
		if n := send(l, setAhead(now.Add(25*time.Hour), by), google, 5); n != 5 {
			t.Errorf("%d on the next day", n)
		}
	}
}

// TestOneStepADay: a path that stepped back rests for a day before it does so again, and then it does if it has to.
func TestOneStepADay(t *testing.T) {
	l := ladderOf(Plan{Stages: []Stage{{Day: 100}, {Day: 140}, {Day: 200}}})
	bad := day{outcomes: counts{0, 0, 50}}
	r := ramp{pos: 2, since: testDay, period: testDay}
	r, why := r.next(l, "google", testDay+1, testDay, bad)
	if r.pos != 1 || r.phase(l) != PhaseSteppedBack || why.Cause != CauseDeferrals {
		t.Fatalf("%+v, %v", r, why)
	}
	r = r.begin(l, testDay+2)
	if again, _ := r.next(l, "google", testDay+int64(23*time.Hour), testDay+2, bad); again != r {
		t.Errorf("on the same day: %+v", again)
	}
	r, _ = r.next(l, "google", testDay*2+2, testDay+2, bad)
	if r.pos != 0 || r.phase(l) != PhaseSteppedBack {
		t.Errorf("a day later: %+v", r)
	}
}

// TestStuckNeedsMail: a path whose mail all goes out is not stuck, however long it stays in its stage; one that has more than it may carry is.
func TestStuckNeedsMail(t *testing.T) {
	for _, scarce := range []bool{false, true} {
		l := ladderOf(Plan{Stages: []Stage{{Day: 100}, {Day: 140}}})
		r := ramp{pos: 1, since: testDay}
		for i := range int64(12) {
			at := (i + 1) * testDay
			r = r.begin(l, at)
			r, _ = r.next(l, "google", at+testDay, at, day{outcomes: counts{20}, scarce: scarce})
		}
		want := PhaseHolding
		if scarce {
			want = PhaseStuck
		}
		if r.phase(l) != want || r.cause != CauseVolume {
			t.Errorf("scarce %t: %s, %s", scarce, r.phase(l), r.cause)
		}
	}
}

// TestEarlySending: a weekly sending that comes some hours early is the next one all the same; more of the same sending is not.
func TestEarlySending(t *testing.T) {
	l := ladderOf(Weekly(100, 0, 5000))
	for hours, want := range map[int64]int{24: 0, 72: 0, 150: 0, 160: 1, 168: 1} {
		r := ramp{since: testDay, period: testDay}
		r, _ = r.next(l, "google", testDay+hours*int64(time.Hour), testDay, delivered(100))
		if r.pos != want {
			t.Errorf("after %d hours: stage %d", hours, r.pos+1)
		}
	}
}

// TestComplaintsOfYesterday: complaints count against the mail that they are about, today's and yesterday's, and late ones are not lost.
func TestComplaintsOfYesterday(t *testing.T) {
	yahoo := Path{"new", "yahoo"}
	l := mustOpen(t, Config{Plans: plans(Geometric(5000, 1.4, 50_000))})
	now := start
	if n := send(l, now, yahoo, 1); n != 1 {
		t.Fatal(n)
	}
	l.ObserveAt(now, yahoo, Delivered, 4999)
	now = now.Add(25 * time.Hour)
	l.CommitAt(now, l.ReserveAt(now, yahoo, 1))
	l.ObserveAt(now, yahoo, Delivered, 50)
	l.ObserveAt(now, yahoo, Complained, 3)
	if st := l.StateAt(now, yahoo); st.Phase != PhaseWarming || st.Stage != 2 {
		t.Errorf("3 complaints of 5050: %v", st)
	}
	weekly := mustOpen(t, Config{Plans: plans(Weekly(1000, 0, 50_000))})
	now = start
	weekly.CommitAt(now, weekly.ReserveAt(now, yahoo, 1))
	weekly.ObserveAt(now, yahoo, Delivered, 1000)
	weekly.ObserveAt(now.Add(30*time.Hour), yahoo, Complained, 50)
	now = now.Add(7 * 24 * time.Hour)
	weekly.CommitAt(now, weekly.ReserveAt(now, yahoo, 1))
	if st := weekly.StateAt(now, yahoo); st.Stage != 1 || st.Cause != CauseComplaints {
		t.Errorf("5 %% complained on the second day: %v, %s", st, st.Cause)
	}
}

// TestTotalHasNoGate: a sour provider does not hold the route as a whole.
func TestTotalHasNoGate(t *testing.T) {
	total := Total("new")
	l := mustOpen(t, Config{Plans: map[string]Plan{total.Route: Geometric(100, 1.4, 1000)}})
	l.CommitAt(start, l.ReserveAt(start, total, 1))
	l.ObserveAt(start, total, Blocked, 500)
	l.ReserveAt(start.Add(time.Hour), total, 1)
	if st := l.StateAt(start.Add(time.Hour), total); st.Phase != PhaseWarming {
		t.Errorf("%v", st)
	}
}
