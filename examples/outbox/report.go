package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/reputemail/repute/examples/internal/show"
	"github.com/reputemail/repute/sender/queue"
)

// report compares orders and mail.
type report struct {
	// Store is where they are.
	Store string `json:"store"`
	// Orders are in the database. Declined ones were rolled back, Repeated ones were placed again by customers without an answer.
	Orders   int `json:"orders"`
	Declined int `json:"declined"`
	Repeated int `json:"repeated,omitempty"`
	// Delivered are the orders whose mail was delivered, as the queue knows, and Waiting those whose mail waits.
	Delivered int `json:"delivered"`
	Waiting   int `json:"waiting"`
	// Counted says that the mail host was the program's own. Only then the next three are known: what arrived in this run, which
	// orders lack the mail that was delivered in this run, and which have it more than once.
	Counted    bool        `json:"counted"`
	Mails      int         `json:"mails"`
	Missing    []int64     `json:"missing"`
	Duplicates []duplicate `json:"duplicates"`
	// Crashes are the kills.
	Crashes []crash `json:"crashes,omitempty"`
	// Interrupted says that the run was ended before all was done.
	Interrupted bool `json:"interrupted,omitempty"`
	// Problems are what must not be. None, if all is well.
	Problems []string `json:"problems"`
}

// duplicate is an order with more than one mail.
type duplicate struct {
	Order int64 `json:"order"`
	// Lives are the processes that sent it.
	Lives []int `json:"lives"`
	// Cause is why all but the last were not enough.
	Cause string `json:"cause"`
}

// compare fills in the report: found are the orders and the state of their mail, and sent tells whose mail was delivered in this run.
func (r *report) compare(o options, found map[int64]queue.State, sent func(int64) bool, host *mailHost) {
	r.Missing, r.Duplicates, r.Problems = []int64{}, []duplicate{}, []string{}
	r.Orders = len(found)
	var last int64
	for id := range found {
		last = max(last, id)
	}
	for id := range int64(o.orders) {
		switch want, is := orderNumber(id+1), found[id+1] != ""; {
		case want.declined && is:
			r.problem("order %d was declined, and is there", id+1)
		case want.declined && r.Interrupted && id+1 > last: // nobody came so far
		case want.declined:
			r.Declined++
		case !is && !r.Interrupted:
			r.problem("order %d was placed, and is not there", id+1)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(found)) {
		switch state := found[id]; state {
		case queue.Delivered, forgotten:
			r.Delivered++
			if state == forgotten && sent(id) {
				r.problem("the mail of order %d was delivered just now, and is forgotten", id)
			}
		case queue.Waiting, queue.InFlight:
			if r.Waiting++; !r.Interrupted {
				r.problem("the mail of order %d still waits", id)
			}
		default:
			r.problem("the mail of order %d is %s", id, state)
		}
	}
	if r.Counted = host.own; r.Counted {
		host.mu.Lock()
		defer host.mu.Unlock()
		r.count(found, sent, host.arrived)
		if host.strange > 0 {
			r.problem("%d messages arrived that are no confirmations", host.strange)
		}
	}
}

// count compares with what arrived.
func (r *report) count(found map[int64]queue.State, sent func(int64) bool, arrived map[int64][]int) {
	for _, id := range slices.Sorted(maps.Keys(found)) {
		if len(arrived[id]) == 0 && sent(id) {
			r.Missing = append(r.Missing, id)
			r.problem("the mail of order %d is missing", id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(arrived)) {
		lives := slices.Sorted(slices.Values(arrived[id]))
		r.Mails += len(lives)
		switch {
		case found[id] == "":
			r.problem("mail arrived for order %d, which is not there", id)
		case len(lives) > 1:
			r.Duplicates = append(r.Duplicates, duplicate{Order: id, Lives: lives, Cause: r.cause(id, lives)})
		}
	}
}

// cause finds the kills that made an order's mail go out again: each copy but the last was sent by another process that was killed.
func (r *report) cause(id int64, lives []int) string {
	var causes []string
	for i, life := range lives[:len(lives)-1] {
		k := slices.IndexFunc(r.Crashes, func(c crash) bool { return c.Life == life })
		if k < 0 || life == lives[i+1] {
			r.problem("order %d has %d mails, for no reason", id, len(lives))
			return "unknown"
		}
		if r.Crashes[k].known[messageID(id)] {
			r.problem("order %d was mailed again, although the queue knew of the delivery by life %d", id, life)
		}
		r.Crashes[k].Duplicates++
		causes = append(causes, fmt.Sprintf("sent by life %d, which was killed %s", life, r.Crashes[k].Where))
	}
	return fmt.Sprintf("%s; so sent again by life %d", strings.Join(causes, "; "), lives[len(lives)-1])
}

func (r *report) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// writeJSON writes the report as one document.
func (r *report) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// text is the report for people.
func (r *report) text(screen *show.Screen) []string {
	lines := []string{""}
	if len(r.Crashes) > 0 {
		t := show.Table{Head: []string{"life", "killed", "mails sent again"}}
		for _, c := range r.Crashes {
			t.Rows = append(t.Rows, []string{strconv.Itoa(c.Life), c.Where, strconv.Itoa(c.Duplicates)})
		}
		lines = append(append(lines, t.Lines()...), "")
	}
	t := show.Table{
		Head: []string{"orders", "declined", "delivered", "waiting", "mails arrived", "missing", "duplicates"},
		Rows: [][]string{{strconv.Itoa(r.Orders), strconv.Itoa(r.Declined), strconv.Itoa(r.Delivered), strconv.Itoa(r.Waiting), "-", "-", "-"}},
	}
	if r.Counted {
		copies := 0
		for _, d := range r.Duplicates {
			copies += len(d.Lives) - 1
		}
		t.Rows[0] = append(t.Rows[0][:4], strconv.Itoa(r.Mails), strconv.Itoa(len(r.Missing)), strconv.Itoa(copies))
	}
	lines = append(append(lines, t.Lines()...), "")
	if len(r.Duplicates) > 0 {
		lines = append(lines, "Duplicates. The receiver had taken the message when the shop died, and nobody alive knew:")
		for _, d := range r.Duplicates {
			lines = append(lines, fmt.Sprintf("  order %d: %s", d.Order, d.Cause))
		}
		lines = append(lines, "")
	}
	if r.Repeated > 0 {
		lines = append(lines, fmt.Sprintf("%d orders were placed again by customers who did not know that they had been placed.", r.Repeated))
	}
	for _, p := range r.Problems {
		lines = append(lines, screen.Style(show.Red, "Problem: "+p))
	}
	switch {
	case len(r.Problems) > 0:
	case r.Interrupted:
		lines = append(lines, "Interrupted. Another run with the same database goes on.")
	case !r.Counted:
		lines = append(lines, screen.Style(show.Green, "Each order has its mail delivered; those that were declined have none."))
	case len(r.Duplicates) > 0:
		lines = append(lines, screen.Style(show.Green, "Each order has its mail, none that was declined has any, and each duplicate has its cause."))
	case r.Mails < r.Orders:
		lines = append(lines, screen.Style(show.Green, "Each mail of this run arrived exactly once; the mail host did not count those of earlier runs."))
	default:
		lines = append(lines, screen.Style(show.Green, "Each order has exactly one mail; those that were declined have none."))
	}
	return append(lines, "Orders and mail are in "+r.Store+".")
}
