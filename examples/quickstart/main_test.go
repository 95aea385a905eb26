package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
)

// hasty are options with clocks for tests.
func hasty(messages int) options {
	return options{messages: messages, clocks: clocks{
		greylist: 400 * time.Millisecond, greylisted: 500 * time.Millisecond,
		retry: 50 * time.Millisecond, rest: 300 * time.Millisecond, window: 3 * time.Second, // a busy machine is to meet the limit too
	}}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	o := hasty(300)
	o.json = true
	var stdout, stderr bytes.Buffer
	if status := perform(t.Context(), o, &stdout, &stderr); status != 0 {
		t.Fatalf("status %d\n%s%s", status, &stdout, &stderr)
	}
	r := decode(t, &stdout)
	total := r.Totals
	if total.Accepted != 300 || total.Accepted != total.Delivered+total.Bounced+total.Expired+total.Suppressed || total.Expired != 0 {
		t.Errorf("totals do not add up: %+v", total)
	}
	checkPaths(t, &r.report)
	checkReceivers(t, &r.report)
	// The addresses that do not exist, and the two domains that take no mail: 3 of 300 messages each.
	dead := 0
	for letter := range letters(300) {
		if unknown(letter.To[0]) {
			dead++
		}
	}
	if got := *r.Causes[bounce.BadDomain]; got != (cause{Bounced: 6}) {
		t.Errorf("%s: %+v, want 6 bounces", bounce.BadDomain, got)
	}
	if got := *r.Causes[bounce.BadMailbox]; dead == 0 || got != (cause{Bounced: dead}) {
		t.Errorf("%s: %+v, want %d bounces", bounce.BadMailbox, got, dead)
	}
	if total.Bounced != int64(dead+6) {
		t.Errorf("%d bounced, want %d", total.Bounced, dead+6)
	}
	for _, c := range []bounce.Category{bounce.Greylisted, bounce.RateLimited} {
		if r.Causes[c] == nil || r.Causes[c].Deferred == 0 || r.Causes[c].Bounced != 0 {
			t.Errorf("%s: %+v, want deferrals and no bounces", c, r.Causes[c])
		}
	}
	if len(r.Explained.Waits) == 0 {
		t.Error("no wait was explained")
	}
	if strings.Contains(stderr.String(), "\x1b") {
		t.Error("progress has escape sequences")
	}
}

// document is a report as a reader of the JSON has it: addresses are hashes, which are no addresses any more.
type document struct {
	report
	Explained struct {
		Recipient string        `json:"recipient"`
		Waits     []sender.Wait `json:"waits"`
	} `json:"explained"`
}

// decode reads the one document in b.
func decode(t *testing.T, b *bytes.Buffer) *document {
	t.Helper()
	var r document
	d := json.NewDecoder(b)
	if err := d.Decode(&r); err != nil {
		t.Fatal(err)
	}
	if d.More() {
		t.Error("more than one document")
	}
	return &r
}

// checkPaths holds the rows of providers and routes against the totals and the plan.
func checkPaths(t *testing.T, r *report) {
	t.Helper()
	var sum, overflowed int64
	for _, row := range r.Paths {
		sum += row.Accepted
		overflowed += row.Overflowed
		switch row.Route {
		case "cold":
			if row.Accepted > int64(r.ColdCap) || row.Overflowed != 0 {
				t.Errorf("the cold route's cap is %d: %+v", r.ColdCap, row)
			}
		case "warm":
			if row.Accepted == 0 || row.Overflowed != row.Accepted {
				t.Errorf("not all over the warm route is overflow: %+v", row)
			}
		}
	}
	if sum != r.Totals.Accepted {
		t.Errorf("paths have %d messages, the totals %d", sum, r.Totals.Accepted)
	}
	if overflowed == 0 {
		t.Error("nothing overflowed")
	}
}

// checkReceivers holds what arrived against the totals, the plan and DKIM.
func checkReceivers(t *testing.T, r *report) {
	t.Helper()
	arrived, fromCold := 0, 0
	for _, row := range r.Receivers {
		arrived += row.Messages
		if row.DKIMPass != row.Messages {
			t.Errorf("not all pass DKIM: %+v", row)
		}
		if row.Source == coldAddr {
			fromCold += row.Messages
			if row.Messages > r.ColdCap {
				t.Errorf("the cold address's cap is %d: %+v", r.ColdCap, row)
			}
		}
	}
	if int64(arrived) != r.Totals.Delivered || fromCold == 0 {
		t.Errorf("%d messages arrived, %d of them from the cold address; %d were delivered", arrived, fromCold, r.Totals.Delivered)
	}
}

func TestPlainOutput(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	if status := perform(t.Context(), hasty(minMessages), &stdout, &stderr); status != 0 {
		t.Fatalf("status %d\n%s%s", status, &stdout, &stderr)
	}
	if stderr.Len() > 0 {
		t.Errorf("standard error: %s", &stderr)
	}
	for _, want := range []string{
		"clocks are shortened", "Why was it waiting at ", "By provider and route", "What the receivers saw",
		"100 accepted = ", "Nothing was lost",
	} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("no %q", want)
		}
	}
	for _, c := range stdout.String() {
		if c < ' ' && c != '\n' || c == 0x7f {
			t.Fatalf("control character %q", c)
		}
	}
	if t.Failed() {
		t.Log(stdout.String())
	}
}

// TestInterrupt stops the program on its way: it tells what was done, and that something is left.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	o := hasty(1000)
	o.json = true
	var stdout bytes.Buffer
	cut := writer(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte("overflows")) {
			interrupt()
		}
		return len(p), nil
	})
	if status := perform(ctx, o, &stdout, cut); status != 1 {
		t.Errorf("status %d, want 1", status)
	}
	r := decode(t, &stdout)
	total := r.Totals
	if total.Waiting == 0 || total.Accepted != total.Delivered+total.Bounced+total.Expired+total.Suppressed+total.Waiting {
		t.Errorf("totals do not add up: %+v", total)
	}
	if len(r.Problems) == 0 {
		t.Error("no problem is told")
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"help", []string{"-h"}, 0, "usage: quickstart"},
		{"unknown flag", []string{"-x"}, 2, "not defined: -x"},
		{"no number", []string{"-n", "many"}, 2, "invalid value"},
		{"too few", []string{"-n", "0"}, 2, "-n 0 is not in"},
		{"too many", []string{"-n", "99999999"}, 2, "is not in"},
		{"argument", []string{"now"}, 2, `unexpected argument "now"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if status := run(t.Context(), tt.args, &stdout, &stderr); status != tt.status {
				t.Errorf("status %d, want %d", status, tt.status)
			}
			if !strings.Contains(stderr.String(), tt.says) || stdout.Len() > 0 {
				t.Errorf("standard error %q, standard output %q; want %q", &stderr, &stdout, tt.says)
			}
		})
	}
}

func TestCheckFindsWhatIsLost(t *testing.T) {
	o := options{messages: 100}
	sound := func() *report {
		r := &report{ColdCap: o.cap24(), Totals: totals{Accepted: 100, Delivered: 98, Bounced: 2}}
		r.Paths = []pathRow{{Accepted: 100}}
		r.Receivers = []receiverRow{{"a.example", coldAddr, 8, 8}, {"a.example", warmAddr, 90, 90}}
		return r
	}
	for _, tt := range []struct {
		name string
		harm func(*report)
	}{
		{"not accepted", func(r *report) { r.Totals.Accepted--; r.Totals.Bounced--; r.Paths[0].Accepted-- }},
		{"no outcome", func(r *report) { r.Totals.Bounced-- }},
		{"waiting", func(r *report) { r.Totals.Bounced--; r.Totals.Waiting++ }},
		{"path not counted", func(r *report) { r.Paths[0].Accepted-- }},
		{"not arrived", func(r *report) { r.Receivers[1] = receiverRow{"a.example", warmAddr, 89, 89} }},
		{"not signed", func(r *report) { r.Receivers[1].DKIMPass-- }},
		{"cap exceeded", func(r *report) { r.Paths[0].Route, r.Paths[0].First = "cold", 11 }},
	} {
		r := sound()
		if r.check(o); len(r.Problems) != 0 {
			t.Fatalf("sound report has problems %q", r.Problems)
		}
		tt.harm(r)
		if r.check(o); len(r.Problems) == 0 {
			t.Errorf("%s: not found", tt.name)
		}
	}
}

func TestWords(t *testing.T) {
	now := time.Now()
	e := &sender.Explanation{Stream: marketing, Created: now, Expires: now.Add(time.Hour)}
	path := sender.Path{Route: "warm", Provider: "yahoo"}
	e.Waits = []sender.Wait{
		{Reason: sender.WaitRetry, Until: now.Add(2 * time.Second)},
		{Reason: sender.WaitBackoff, Until: now.Add(1500 * time.Millisecond), Path: path},
		{Reason: sender.WaitWarmup, Path: path, Detail: "day-cap: 50 of 50 used"},
		{Reason: sender.WaitTurn, Path: path},
		{Reason: sender.WaitDNS, Until: now.Add(time.Minute), Detail: "server\nfailure"},
	}
	got := strings.Join(words(e, now), "\n")
	want := "Why was it waiting at " + now.Format("15:04:05") + `? A marketing message to (address):
  - its next try is due in 2.0 s
  - yahoo over warm rests for 1.5 s more: the receiver asked for less
  - yahoo over warm has had its share under the warm-up plan: day-cap: 50 of 50 used
  - others are before it
  - dns for 60.0 s more server failure
  It is given up 1h0m0s after it was accepted.`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
