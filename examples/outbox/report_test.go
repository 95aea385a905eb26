package main

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/reputemail/repute/examples/internal/show"
	"github.com/reputemail/repute/sender/queue"
)

// evidence is what a report is made of: eight orders, of which the 7th was declined, and two lives, of which the first was killed.
type evidence struct {
	found   map[int64]queue.State
	arrived map[int64][]int
	strange int
	crashes []crash
}

func sound() *evidence {
	e := &evidence{found: map[int64]queue.State{}, arrived: map[int64][]int{}, crashes: []crash{{Life: 1, Point: atReply, Where: atReply.words()}}}
	for id := int64(1); id <= 8; id++ {
		if id != 7 {
			e.found[id], e.arrived[id] = queue.Delivered, []int{1 + int(id)/5}
		}
	}
	return e
}

func (e *evidence) report(interrupted bool) *report {
	r := &report{Crashes: slices.Clone(e.crashes), Interrupted: interrupted}
	host := &mailHost{own: true, arrived: maps.Clone(e.arrived), strange: e.strange}
	r.compare(options{orders: 8}, e.found, func(id int64) bool { return e.found[id] == queue.Delivered }, host)
	return r
}

func TestReportFindsWhatIsWrong(t *testing.T) {
	for _, tt := range []struct {
		name, says string
		harm       func(*evidence)
	}{
		{"no mail", "the mail of order 3 is missing", func(e *evidence) { delete(e.arrived, 3) }},
		{"no order", "order 3 was placed, and is not there", func(e *evidence) { delete(e.found, 3); delete(e.arrived, 3) }},
		{"mail without an order", "mail arrived for order 3, which is not there", func(e *evidence) { delete(e.found, 3) }},
		{"a declined order", "order 7 was declined, and is there", func(e *evidence) { e.found[7] = queue.Delivered; e.arrived[7] = []int{2} }},
		{"mail for a declined order", "mail arrived for order 7, which is not there", func(e *evidence) { e.arrived[7] = []int{2} }},
		{"bounced", "the mail of order 3 is bounced", func(e *evidence) { e.found[3] = queue.Bounced; delete(e.arrived, 3) }},
		{"waiting", "the mail of order 3 still waits", func(e *evidence) { e.found[3] = queue.Waiting; delete(e.arrived, 3) }},
		{"twice by the same life", "order 3 has 2 mails, for no reason", func(e *evidence) { e.arrived[3] = []int{1, 1} }},
		{"again after a life that was not killed", "order 3 has 3 mails, for no reason", func(e *evidence) { e.arrived[3] = []int{1, 2, 3} }},
		{"again although the queue knew", "order 3 was mailed again, although the queue knew of the delivery by life 1", func(e *evidence) {
			e.arrived[3] = []int{1, 2}
			e.crashes[0].known = map[string]bool{"order-3": true}
		}},
		{"something else", "1 messages arrived that are no confirmations", func(e *evidence) { e.strange++ }},
	} {
		e := sound()
		if r := e.report(false); len(r.Problems) > 0 || r.Orders != 7 || r.Declined != 1 || r.Delivered != 7 || r.Mails != 7 {
			t.Fatalf("sound evidence: %+v", r)
		}
		tt.harm(e)
		r := e.report(false)
		if !slices.Contains(r.Problems, tt.says) {
			t.Errorf("%s: %q", tt.name, r.Problems)
		}
		if text := strings.Join(r.text(show.New(nil, true)), "\n"); !strings.Contains(text, "Problem: "+tt.says) || strings.Contains(text, "Each order") {
			t.Errorf("%s:\n%s", tt.name, text)
		}
	}
}

// What is open when a run is interrupted is no problem.
func TestReportOfAnInterruptedRun(t *testing.T) {
	e := sound()
	delete(e.found, 8)
	delete(e.arrived, 8)
	e.found[6] = queue.Waiting
	delete(e.arrived, 6)
	if r := e.report(true); len(r.Problems) > 0 || r.Waiting != 1 || r.Delivered != 5 {
		t.Errorf("%+v", r)
	}
}

func TestReportExplainsDuplicates(t *testing.T) {
	e := sound()
	e.arrived[3] = []int{2, 1} // in whatever order they came
	r := e.report(false)
	if len(r.Problems) > 0 || len(r.Duplicates) != 1 || r.Crashes[0].Duplicates != 1 {
		t.Fatalf("%+v", r)
	}
	want := "order 3: sent by life 1, which was killed after the receiver's 250, before the queue knew; so sent again by life 2"
	if text := strings.Join(r.text(show.New(nil, true)), "\n"); !strings.Contains(text, want) {
		t.Errorf("no %q in\n%s", want, text)
	}
}
