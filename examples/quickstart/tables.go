package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/reputemail/repute/examples/internal/show"
	"github.com/reputemail/repute/sender"
)

// text is the report for people.
func (r *report) text(screen *show.Screen) []string {
	title := func(t string) []string { return []string{"", screen.Style(show.Bold, t)} }
	lines := slices.Concat(
		title("By provider and route"), r.pathTable().Lines(),
		title("By stream"), r.streamTable().Lines(),
		title("What the receivers saw"), r.receiverTable().Lines(),
		title("Why mail was deferred or bounced"), r.causeTable().Lines(),
	)
	t := r.Totals
	sum := fmt.Sprintf("%d accepted = %d delivered + %d bounced + %d expired + %d suppressed", t.Accepted, t.Delivered, t.Bounced, t.Expired, t.Suppressed)
	if t.Waiting > 0 {
		sum += fmt.Sprintf(" + %d waiting", t.Waiting)
	}
	lines = append(lines, "", fmt.Sprintf("%s, in %.1f s", sum, r.Seconds))
	if len(r.Problems) == 0 {
		return append(lines, screen.Style(show.Green, "Nothing was lost, no cap was exceeded, every signature passed."))
	}
	for _, p := range r.Problems {
		lines = append(lines, screen.Style(show.Red, "PROBLEM: "+p))
	}
	return lines
}

func (r *report) pathTable() show.Table {
	t := show.Table{Head: []string{"provider", "route", "accepted", "delivered", "deferred", "bounced", "overflowed", "waits"}}
	var sum sender.Counts
	var accepted int64
	for _, row := range r.sorted() {
		route := row.Route
		if route == "" {
			route = "-"
		}
		t.Rows = append(t.Rows, []string{
			row.Provider, route, num(row.Accepted), num(row.Delivered), num(row.Deferred), num(row.Bounced), num(row.Overflowed), waits(row),
		})
		accepted += row.Accepted
		sum.Delivered += row.Delivered
		sum.Deferred += row.Deferred
		sum.Bounced += row.Bounced
		sum.Overflowed += row.Overflowed
	}
	t.Foot = []string{"total", "", num(accepted), num(sum.Delivered), num(sum.Deferred), num(sum.Bounced), num(sum.Overflowed)}
	return t
}

// sorted are the paths by provider, then route; those without a route last.
func (r *report) sorted() []pathRow {
	return slices.SortedFunc(slices.Values(r.Paths), func(a, b pathRow) int {
		if (a.Route == "") != (b.Route == "") {
			return strings.Compare(b.Route, a.Route)
		}
		return strings.Compare(a.Provider+" "+a.Route, b.Provider+" "+b.Route)
	})
}

// waits are the reasons why mail waited for a path, the most frequent first.
func waits(row pathRow) string {
	reasons := slices.SortedFunc(maps.Keys(row.Waits), func(a, b sender.WaitReason) int {
		if row.Waits[a] != row.Waits[b] {
			return int(row.Waits[b] - row.Waits[a])
		}
		return strings.Compare(string(a), string(b))
	})
	var words []string
	for _, reason := range reasons {
		words = append(words, fmt.Sprintf("%s %d", reason, row.Waits[reason]))
	}
	return strings.Join(words, ", ")
}

func (r *report) streamTable() show.Table {
	t := show.Table{Head: []string{"stream", "accepted", "delivered", "bounced", "expired", "suppressed", "half within", "95 % within"}}
	for _, s := range r.Streams {
		t.Rows = append(t.Rows, []string{
			s.Stream, num(s.Accepted), num(s.Delivered), num(s.Bounced), num(s.Expired), num(s.Suppressed),
			fmt.Sprintf("%.1f s", s.Median), fmt.Sprintf("%.1f s", s.P95),
		})
	}
	return t
}

func (r *report) receiverTable() show.Table {
	t := show.Table{Head: []string{"receiver", "from", "messages", "DKIM pass", "warm-up"}}
	for _, row := range r.Receivers {
		kept := ""
		if row.Source == coldAddr {
			kept = fmt.Sprintf("cold: %d of %d allowed", row.Messages, r.ColdCap)
		}
		t.Rows = append(t.Rows, []string{row.Domain, row.Source, strconv.Itoa(row.Messages), strconv.Itoa(row.DKIMPass), kept})
	}
	return t
}

func (r *report) causeTable() show.Table {
	t := show.Table{Head: []string{"category", "deferred", "bounced"}}
	for _, c := range slices.Sorted(maps.Keys(r.Causes)) {
		t.Rows = append(t.Rows, []string{string(c), strconv.Itoa(r.Causes[c].Deferred), strconv.Itoa(r.Causes[c].Bounced)})
	}
	return t
}

func num(n int64) string { return strconv.FormatInt(n, 10) }
