package main

import (
	"cmp"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/warmup"
)

// small are options for tests: a day is a day, in virtual time.
func small() options {
	return options{readers: 150, start: 10, growth: warmup.WeeklyGrowth, weeks: 12, wait: window, day: realDay}
}

// inBubble sends the first letter in virtual time.
func inBubble(t *testing.T, o options, scripts map[string]sendertest.Script, check func(l *list, s *sent)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newList(o.readers)
		s, err := sendTo(t.Context(), o, l, nil, scripts)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.check(l); err != nil { // nobody is left out, nobody gets it twice
			t.Error(err)
		}
		check(l, s)
	})
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// near reports whether two numbers differ by no more than 2 %.
func near(a, b float64) bool { return math.Abs(a-b) <= 0.02*max(a, b) }

// TestBestReadersFirst: the scarce slots of the young address go to the best readers of each provider, the best of all first, as many and for as long
// as Fit has said.
func TestBestReadersFirst(t *testing.T) {
	o := small()
	inBubble(t, o, nil, func(l *list, s *sent) {
		if s.fit.Sent != 3*o.start {
			t.Errorf("%d fit into a first stage of %d at each of three providers", s.fit.Sent, o.start)
		}
		var last time.Time
		for _, p := range names() {
			var got []int // the days of those who got it from the young address, in the order of arrival
			for _, a := range s.letters() {
				if r := l.byID[a.recipient]; a.route == "young" && r.provider == p {
					got = append(got, r.unread)
					last = latest(last, a.at)
				}
			}
			if said := s.fit.Providers[p].Sent; !near(float64(len(got)), float64(said)) {
				t.Errorf("%s: %d got it from the young address, Fit had said %d", p, len(got), said)
			}
			var all []int
			for _, r := range l.readers {
				if r.provider == p {
					all = append(all, r.unread)
				}
			}
			slices.Sort(all)
			// The first slot is there when nobody but the first reader of the list is known.
			if i := slices.Index(all, got[0]); i >= len(got) {
				all = slices.Insert(all, 0, got[0])
			} else {
				all = slices.Insert(slices.Delete(all, i, i+1), 0, got[0])
			}
			if !slices.Equal(got, all[:len(got)]) {
				t.Errorf("%s: the order of arrival is\n%v, the best readers are\n%v", p, got, all[:len(got)])
			}
		}
		only, err := o.plan().Fit(warmup.Campaign{Messages: map[string]int{"google": o.start, "outlook": o.start, "yahoo": o.start}, Window: window})
		if err != nil {
			t.Fatal(err)
		}
		said := only.Sendings[0]
		if said, took := said.Done.Sub(said.Start), last.Sub(s.fit.Start); !near(took.Hours(), said.Hours()) {
			t.Errorf("it took %s, Fit had said %s", took, said)
		}
		// Password resets go at once, over the warm route, while the letter takes half a day.
		n := 0
		for _, a := range s.arrivals {
			if a.subject == "This week" {
				continue
			}
			if n++; a.route != "relay" || a.at.Sub(s.fit.Start) > time.Minute {
				t.Errorf("a password reset came over %s, after %s", a.route, a.at.Sub(s.fit.Start))
			}
		}
		if n == 0 || n != s.resets {
			t.Errorf("%d of %d password resets came", n, s.resets)
		}
		if want := 3 * int(float64(o.start)*o.growth); s.next.Sent != want {
			t.Errorf("%d will fit next week, want %d", s.next.Sent, want)
		}
	})
}

// TestNobodyIsForgotten: when a provider does not want the young address, its best readers get the letter over the relay, once.
func TestNobodyIsForgotten(t *testing.T) {
	for name, script := range map[string]sendertest.Script{
		"put off": sendertest.RejectAt(bounce.StageMail, "451 4.7.650 The mail server has been temporarily rate limited due to IP reputation"),
		"blocked": sendertest.RejectAt(bounce.StageMail, "550 5.7.1 Client host blocked using zen.spamhaus.org"),
	} {
		t.Run(name, func(t *testing.T) {
			o := small()
			inBubble(t, o, map[string]sendertest.Script{"outlook": script}, func(l *list, s *sent) {
				for _, a := range s.letters() {
					if a.route == "young" && l.byID[a.recipient].provider == "outlook" {
						t.Fatalf("%s got it from the young address", a.recipient)
					}
				}
			})
		})
	}
}

// TestWeeks: what Fit said of each week is what happens in it.
func TestWeeks(t *testing.T) {
	t.Parallel()
	o := small()
	o.readers, o.start = 10_000, 500
	l := newList(o.readers)
	said, err := ask(o, l)
	if err != nil {
		t.Fatal(err)
	}
	weeks, err := playWeeks(t.Context(), o, l)
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range weeks {
		s := said.weekly.Sendings[i]
		if !near(float64(w.total()), float64(s.Sent)) {
			t.Errorf("week %d: %d from the young address, Fit had said %d", i+1, w.total(), s.Sent)
		}
		if w.total()+w.relay != o.readers || w.waiting > 0 {
			t.Errorf("week %d: %d from the young address and %d over the relay, of %d; %d wait", i+1, w.total(), w.relay, o.readers, w.waiting)
		}
		for _, p := range names() {
			if !near(float64(w.young[p]), float64(s.Providers[p].Sent)) {
				t.Errorf("week %d: %d to %s, Fit had said %d", i+1, w.young[p], p, s.Providers[p].Sent)
			}
		}
	}
	if said.weekly.FirstFit != 10 || said.daily.FirstFit != 0 {
		t.Errorf("it fits from week %d on with the weekly plan, from %d with the daily one", said.weekly.FirstFit, said.daily.FirstFit)
	}
}

// TestOverflowWaits is why the stream has it: of a letter that is handed over all at once it keeps the best readers for the slots that are still to come.
// Without it they overflow with all others, and the slots stay empty.
func TestOverflowWaits(t *testing.T) {
	for _, tt := range []struct {
		wait        time.Duration
		least, most int
	}{
		{0, 3, 6},
		{2 * time.Hour, 6, 9}, // one an hour at each of three providers
		{window, 30, 30},
	} {
		t.Run(tt.wait.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := small()
				o.wait = tt.wait
				l := newList(o.readers)
				s, err := sendTo(t.Context(), o, l, nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				young := 0
				for _, a := range s.letters() {
					if a.route == "young" {
						young++
					}
				}
				t.Logf("%d of %d slots were used", young, 3*o.start)
				if young < tt.least || young > tt.most {
					t.Errorf("want %d to %d", tt.least, tt.most)
				}
				if err := s.check(l); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestRank: what a person waits for is before all letters, and lately before long ago.
func TestRank(t *testing.T) {
	l := newList(100)
	sorted := slices.SortedFunc(slices.Values(l.readers), func(a, b reader) int { return cmp.Compare(a.unread, b.unread) })
	rank := func(stream string, n int) int {
		return l.Rank(t.Context(), sender.Candidate{Stream: stream, Recipient: sender.Recipient{Stream: stream, Address: sorted[n].address}})
	}
	if rank(account, 99) <= rank(newsletter, 0) || rank(account, 99) != sender.MaxRank {
		t.Error("a password reset is not the best mail")
	}
	if rank(newsletter, 0) <= rank(newsletter, 99) {
		t.Error("who was here lately is not before who was not")
	}
	if rank(newsletter, 99) < -sender.MaxRank {
		t.Error("the rank is out of bounds")
	}
}
