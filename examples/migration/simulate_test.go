package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/reputemail/repute/warmup"
)

// forecastOf runs the program with -simulate, and wants a status.
func forecastOf(t *testing.T, status int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	if got := run(t.Context(), append([]string{"-simulate"}, args...), &out, &errs); got != status {
		t.Fatalf("%q: status %d, want %d\n%s%s", args, got, status, &errs, &out)
	}
	return out.String(), errs.String()
}

func TestForecast(t *testing.T) {
	t.Parallel()
	text, errs := forecastOf(t, 0, "-volume", "300", "-days", "9")
	if errs != "" {
		t.Errorf("standard error: %s", errs)
	}
	words := strings.Join(strings.Fields(text), " ")
	for _, want := range []string{
		"day provider offered delivered ", " 1 google 100 100 ", " 9 yahoo 100 100 ", " 8/8 complete ",
		"day 1: migration leave-the-relay (google): waiting, stage 0 (0 %) -> running, stage 1 (22 %)",
		"(outlook): running, stage 8 (100 %) -> complete, stage 8 (100 %)", "finished on day 8",
	} {
		if !strings.Contains(words, want) {
			t.Errorf("there is no %q", want)
		}
	}
	if strings.Contains(text, "rolled-back") {
		t.Error("something is rolled back")
	}
	if t.Failed() {
		t.Log(text)
	}
}

// TestForecastIsSound: the documents have a row for each day and provider, everything is delivered, and the share never falls.
func TestForecastIsSound(t *testing.T) {
	t.Parallel()
	text, _ := forecastOf(t, 0, "-format", "json", "-volume", "300", "-days", "6")
	var f warmup.Forecast
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		t.Fatal(err)
	}
	last := map[string]float64{}
	for _, r := range f.Rows {
		if r.Offered != 100 || r.Delivered != r.Offered || r.Deferred+r.Blocked+r.Waiting > 0 {
			t.Errorf("not all is delivered: %+v", r)
		}
		if r.Share < last[r.Provider] {
			t.Errorf("the share falls: %+v", r)
		}
		last[r.Provider] = r.Share
	}
	if len(f.Rows) != 18 || last[sabotaged] < 0.5 {
		t.Errorf("%d rows, shares %v", len(f.Rows), last)
	}
}

// TestMeasuredCurve: the volume may be one that was measured.
func TestMeasuredCurve(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "mail.csv")
	if err := os.WriteFile(file, []byte("date,messages\n2026-01-05,3000\n2026-01-06,1500\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text, _ := forecastOf(t, 0, "-csv", file, "-format", "csv", "-days", "3")
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(rows) != 1+3*3 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for i, want := range []string{"1000", "500", "1000"} { // it begins again
		if row := rows[1+3*i]; row[1] != "google" || row[2] != want {
			t.Errorf("day %d: %q, want %s", i+1, row, want)
		}
	}
}

// TestSabotagedForecast: the forecast has the rollback and its evidence, and the drawing is well-formed and says what it shows.
func TestSabotagedForecast(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "move.svg")
	text, _ := forecastOf(t, 0, "-volume", "300", "-days", "9", "-sabotage", "4", "-chart", file)
	for _, want := range []string{
		"(outlook): running, stage 4 (44 %) -> rolled-back, stage 4 (0 %), deferrals", "outlook goes back to the relay on day 4, because of deferrals.\n  deferrals: ", ": proven\n",
		"(google): running, stage 8 (100 %) -> complete", "(yahoo): running, stage 8 (100 %) -> complete", "The chart is in " + file,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
	svg, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"<svg ", "by mta1 30 to ", "by the relay 234 to 100", "day 4: outlook has enough", "day 4: outlook rolled-back", "google complete"} {
		if !bytes.Contains(svg, []byte(want)) {
			t.Errorf("there is no %q", want)
		}
	}
}

// TestOutcome: what is claimed is checked. Once all is moved there is nothing to compare with, and so no rollback.
func TestOutcome(t *testing.T) {
	back := func(provider string) []warmup.MigrationChange {
		return []warmup.MigrationChange{{Provider: provider, To: warmup.MigrationPosition{Phase: warmup.MigrationRolledBack, Cause: warmup.CauseBlocks}}}
	}
	for _, tt := range []struct {
		sabotage int
		changes  []warmup.MigrationChange
		says     string
	}{
		{0, nil, ""},
		{6, back(sabotaged), ""},
		{12, nil, "outlook has had enough of the new addresses since day 12, and is not rolled back"},
		{0, back(sabotaged), "outlook is rolled back, for no reason"},
		{6, append(back(sabotaged), back("google")...), "google is rolled back, for no reason"},
	} {
		err := outcome(&warmup.Forecast{Migration: tt.changes}, options{sabotage: tt.sabotage}, io.Discard)
		if got := fmt.Sprint(err); err != nil && got != tt.says || err == nil && tt.says != "" {
			t.Errorf("day %d, %v: %v, want %q", tt.sabotage, tt.changes, err, tt.says)
		}
	}
}

// TestSourReceiver: it puts off half of what the new addresses bring, from its day on, also where messages come one at a time.
func TestSourReceiver(t *testing.T) {
	s := &sour{Receiver: warmup.Willing{}, from: startOf(3)}
	for _, tt := range []struct {
		day    int
		route  string
		n, off int
	}{{2, mta1, 10, 0}, {3, relay, 10, 0}, {3, mta1, 1, 0}, {3, mta2, 1, 1}, {3, mta1, 1, 0}, {3, mta1, 5, 3}, {4, mta2, 4, 2}} {
		got := s.Receive(startOf(tt.day), tt.route, tt.n, 0)
		if got != (warmup.Received{Delivered: tt.n - tt.off, Deferred: tt.off}) {
			t.Errorf("%+v: %+v", tt, got)
		}
	}
}
