package main

import (
	"strings"
	"testing"

	"github.com/reputemail/repute/examples/internal/show"
)

// TestRun is the program with few readers: it fails by itself if somebody gets mail who should not, or the reverse.
func TestRun(t *testing.T) {
	var out, errs strings.Builder
	if status := run(t.Context(), []string{"-n", "40"}, &out, &errs); status != 0 {
		t.Fatalf("status %d: %s\n%s", status, errs.String(), out.String())
	}
	text := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"mailbox is gone 4 bad-mailbox recipient 4 held back",
		"our address is on a list 4 blocklisted route 4 got it",
		"calls it spam 2 complaint: abuse - 2 held back",
		"bounce is forged 2 - - 2 got it",
		"12 bounces, 2 complaints and 2 automatic answers came in; 2 bounces without a token of ours were not believed.",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, out.String())
		}
	}
}

// TestReportTells: the table is no mere decoration.
func TestReportTells(t *testing.T) {
	readers := people(20)
	w := &internet{arrived: map[group]int{}}
	for _, r := range readers {
		w.arrived[r.group]++ // also those who should not
	}
	var out strings.Builder
	err := report(show.New(&out, true), readers, w, &tally{}, [2]map[string]string{{}, {}})
	if err == nil || !strings.Contains(err.Error(), string(dead)) || !strings.Contains(err.Error(), string(complains)) {
		t.Errorf("error %v", err)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"-n", "1"}, {"-n", "100000"}, {"x"}, {"-x"}} {
		var out, errs strings.Builder
		if status := run(t.Context(), args, &out, &errs); status != 2 || errs.Len() == 0 {
			t.Errorf("%q: status %d, %q", args, status, errs.String())
		}
	}
}
