package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/examples/internal/show"
	"github.com/reputemail/repute/warmup"
)

// TestRun is the program with few readers and a short day. Its time is real, so on a busy machine the hours are too short for what fits into them.
func TestRun(t *testing.T) {
	t.Parallel()
	svg := filepath.Join(t.TempDir(), "weeks.svg")
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"-readers", "500", "-start", "20", "-weeks", "3", "-day", "2s", "-svg", svg}, &stdout, &stderr); status != 0 {
		t.Fatalf("status %d\n%s%s", status, &stdout, &stderr)
	}
	if !strings.Contains(stdout.String(), "The Sender had said that 60 fit") {
		t.Errorf("it says\n%s", &stdout)
	}
	if strings.Contains(stdout.String(), "\x1b") {
		t.Error("escape sequences where there is no terminal")
	}
	if drawn, err := os.ReadFile(svg); err != nil || !bytes.Contains(drawn, []byte("young address to google")) {
		t.Errorf("chart: %v", err)
	}
}

// TestPublish is the same in a bubble, where no machine is too busy.
func TestPublish(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		o := options{readers: 500, start: 20, growth: warmup.WeeklyGrowth, weeks: 16, wait: window, day: 10 * time.Minute}
		if err := publish(t.Context(), o, show.New(&out, true)); err != nil {
			t.Error(err)
		}
		for _, want := range []string{
			"Does a letter to 500 readers fit within 12 hours?", "By the weekly plan it fits from week 11 on.", "The plan for daily mail never gets on",
			"The Sender had said that 60 fit; 60 came from the young address, within ", "It says that 78 will fit next week.",
			"Of 5 password resets, which are for warm routes only, 5 went over the relay and 0 over the young address.",
		} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("there is no %q", want)
			}
		}
		if t.Failed() {
			t.Log(out.String())
		}
	})
}

func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"help", []string{"-h"}, 0, "usage: newsletter"},
		{"unknown flag", []string{"-x"}, 2, "not defined: -x"},
		{"argument", []string{"now"}, 2, `unexpected argument "now"`},
		{"too few readers", []string{"-readers", "1"}, 2, "-readers 1 is not in 100 to 1000000"},
		{"start", []string{"-start", "0"}, 2, "-start 0 is not in"},
		{"weeks", []string{"-weeks", "1"}, 2, "-weeks 1 is not in"},
		{"wait", []string{"-wait", "25h"}, 2, "-wait 25h0m0s is not in 0s to 24h0m0s"},
		{"day", []string{"-day", "1ms"}, 2, "-day 1ms is not in 1s to 24h0m0s"},
		{"growth", []string{"-growth", "2"}, 2, "-growth 2 is not above 1 and below 2"},
		{"no growth", []string{"-growth", "NaN"}, 2, "-growth NaN"},
		{"too many stages", []string{"-growth", "1.0000001", "-start", "1000", "-readers", "1000000"}, 2, "more than 1000 stages"},
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

// TestWriteChartFails: a file that cannot be written is an error, after all has been shown.
func TestWriteChartFails(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	name := filepath.Join(t.TempDir(), "no", "such", "folder.svg")
	if status := run(t.Context(), []string{"-readers", "100", "-start", "10", "-day", "1s", "-svg", name}, &stdout, &stderr); status != 1 || !strings.Contains(stderr.String(), "folder.svg") {
		t.Errorf("status %d, %q", status, &stderr)
	}
}

// TestList: the shares of the providers, and the same list each time.
func TestList(t *testing.T) {
	const n = 1000
	l, again := newList(n), newList(n)
	counts := perProvider(n)
	for _, p := range providers() {
		if counts[p.name] != n*p.of10/10 {
			t.Errorf("%s has %d readers", p.name, counts[p.name])
		}
	}
	for i, r := range l.readers {
		if r != again.readers[i] || r.unread < 0 || r.unread > oldest || !strings.HasSuffix(r.address, "@"+providerOf(i).domain) {
			t.Fatalf("reader %d is %+v, and again %+v", i, r, again.readers[i])
		}
	}
	if len(l.byID) != n {
		t.Errorf("%d addresses", len(l.byID))
	}
}

// TestCheck: the check at the end is no mere decoration.
func TestCheck(t *testing.T) {
	l := newList(100)
	sound := func() *sent {
		s := &sent{list: l, resets: 1}
		for _, r := range l.readers {
			s.arrivals = append(s.arrivals, arrival{recipient: r.address, subject: "This week", route: "relay"})
		}
		s.arrivals = append(s.arrivals, arrival{recipient: l.readers[0].address, subject: "Your new password", route: "relay"})
		return s
	}
	if err := sound().check(l); err != nil {
		t.Fatal(err)
	}
	for name, harm := range map[string]func(*sent){
		"lost":             func(s *sent) { s.arrivals = s.arrivals[1:] },
		"twice":            func(s *sent) { s.arrivals = append(s.arrivals, s.arrivals[0]) },
		"reset by young":   func(s *sent) { s.arrivals[100].route = "young" },
		"reset not there":  func(s *sent) { s.arrivals = s.arrivals[:100] },
		"somebody else's":  func(s *sent) { s.arrivals[3].recipient = s.arrivals[4].recipient },
		"most of it there": func(s *sent) { s.arrivals = s.arrivals[50:] },
	} {
		s := sound()
		if harm(s); s.check(l) == nil {
			t.Errorf("%s: not found", name)
		}
	}
}

// TestFitText: what is said when nothing fits, and when all does.
func TestFitText(t *testing.T) {
	screen := show.New(&bytes.Buffer{}, true)
	for _, tt := range []struct {
		o    options
		says string
	}{
		{options{readers: 1000, start: 20, growth: warmup.WeeklyGrowth, weeks: 3}, "In none of 3 weeks"},
		{options{readers: 100, start: 50, growth: warmup.WeeklyGrowth, weeks: 3}, "fits from week 1 on"},
	} {
		a, err := ask(tt.o, newList(tt.o.readers))
		if err != nil {
			t.Fatal(err)
		}
		if text := strings.Join(a.text(tt.o, screen), "\n"); !strings.Contains(text, tt.says) {
			t.Errorf("no %q in\n%s", tt.says, text)
		}
	}
}
