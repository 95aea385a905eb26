package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/reputemail/repute/examples/internal/show"
	"github.com/reputemail/repute/warmup"
)

// band is a part of the list by when its readers were here last.
type band struct {
	name  string
	below int // days
}

func bands() []band {
	return []band{{"in the last 7 days", 7}, {"in the last 30 days", 30}, {"in the last 90 days", 90}, {"in the last 180 days", 180}, {"before that", oldest + 1}}
}

// bandOf is the first band that a reader belongs to.
func bandOf(r reader) int {
	for i, b := range bands() {
		if r.unread < b.below {
			return i
		}
	}
	return len(bands()) - 1
}

// week is the first letter as a row of weeks.
func (s *sent) week() weekRow {
	w := weekRow{young: map[string]int{}}
	for _, a := range s.letters() {
		if a.route == "young" {
			w.young[s.list.byID[a.recipient].provider]++
		} else {
			w.relay++
		}
	}
	return w
}

// letters are the arrivals that are letters.
func (s *sent) letters() []arrival {
	var all []arrival
	for _, a := range s.arrivals {
		if a.subject == "This week" {
			all = append(all, a)
		}
	}
	return all
}

// text tells who got the letter over which route.
func (s *sent) text(screen *show.Screen) []string {
	head := append([]string{"last read", "young address"}, names()...)
	t := show.Table{Head: append(head, "relay")}
	counts := make([]map[string]int, len(bands()))
	sums := map[string]int{}
	for i := range counts {
		counts[i] = map[string]int{}
	}
	for _, a := range s.letters() {
		r := s.list.byID[a.recipient]
		keys := []string{a.route}
		if a.route == "young" {
			keys = append(keys, r.provider)
		}
		for _, key := range keys {
			counts[bandOf(*r)][key]++
			sums[key]++
		}
	}
	row := func(name string, n map[string]int) []string {
		cells := []string{name, strconv.Itoa(n["young"])}
		for _, p := range names() {
			cells = append(cells, strconv.Itoa(n[p]))
		}
		return append(cells, strconv.Itoa(n["relay"]))
	}
	for i, b := range bands() {
		t.Rows = append(t.Rows, row(b.name, counts[i]))
	}
	t.Foot = row("all", sums)
	lines := append([]string{"", screen.Style(show.Bold, "Who got the first letter, and how")}, t.Lines()...)
	young, relayed := 0, 0
	for _, a := range s.arrivals {
		switch {
		case a.subject == "This week":
		case a.route == "young":
			young++
		default:
			relayed++
		}
	}
	return append(lines, "",
		fmt.Sprintf("The Sender had said that %d fit; %d came from the young address, within %.1f hours. It says that %d will fit next week.",
			s.fit.Sent, sums["young"], s.took.Hours(), s.next.Sent),
		fmt.Sprintf("Of %d password resets, which are for warm routes only, %d went over the relay and %d over the young address.", s.resets, relayed, young))
}

// weeksText tells of all weeks.
func weeksText(said warmup.Fit, weeks []weekRow, screen *show.Screen) []string {
	t := show.Table{Head: []string{"week", "Fit said", "young address", "relay", "put off", ""}}
	for i, w := range weeks {
		t.Rows = append(t.Rows, []string{
			strconv.Itoa(i + 1), strconv.Itoa(said.Sendings[i].Sent), strconv.Itoa(w.total()), strconv.Itoa(w.relay), strconv.Itoa(w.refused),
			show.Bar(30, w.total(), w.total()+w.relay),
		})
	}
	return append([]string{"", screen.Style(show.Bold, "The weeks: the first one as it was sent, the others as warmup.Simulate has them")}, t.Lines()...)
}

// check finds who did not get the letter, or got it twice, and the password resets that went over the young address.
func (s *sent) check(l *list) error {
	copies := map[string]int{}
	for _, a := range s.letters() {
		copies[a.recipient]++
	}
	var wrong []string
	for _, r := range l.readers {
		if n := copies[r.address]; n != 1 {
			wrong = append(wrong, fmt.Sprintf("%s got %d letters", r.address, n))
		}
	}
	resets := 0
	for _, a := range s.arrivals {
		if a.subject == "This week" {
			continue
		}
		resets++
		if a.route == "young" {
			wrong = append(wrong, "a password reset went over the young address")
		}
	}
	if resets != s.resets {
		wrong = append(wrong, fmt.Sprintf("%d of %d password resets arrived", resets, s.resets))
	}
	if n := len(wrong); n > 5 {
		wrong = append(wrong[:5], fmt.Sprintf("and %d more", n-5))
	}
	if len(wrong) > 0 {
		return fmt.Errorf("not as it should be: %s", strings.Join(wrong, "; "))
	}
	return nil
}
