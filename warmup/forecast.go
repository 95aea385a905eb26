package warmup

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"
)

// Forecast is what Simulate found.
type Forecast struct {
	// Start is the first moment, and Days how many days were played.
	Start time.Time `json:"start"`
	Days  int       `json:"days"`
	// Finished is the end of the first day on which all paths were complete; zero if there was none.
	Finished time.Time `json:"finished,omitzero"`
	// Rows are the days, each with a row for every provider in the order of the scenario.
	Rows []ForecastRow `json:"rows"`
	// Changes are what the paths went through, in order of time.
	Changes []Change `json:"changes,omitempty"`
	// Migration is what the migration went through, in order of time.
	Migration []MigrationChange `json:"migration,omitempty"`
}

// ForecastRow is one day at one provider.
type ForecastRow struct {
	// Day counts from 1.
	Day      int    `json:"day"`
	Provider string `json:"provider"`
	// Offered is what the host had to send.
	Offered int `json:"offered"`
	// Delivered is what the receiver took, over all routes.
	Delivered int `json:"delivered"`
	// Cold went over the cold routes, whatever became of it.
	Cold int `json:"cold"`
	// Overflowed went over the overflow route, since the cold ones had no room.
	Overflowed int `json:"overflowed"`
	// Deferred, Blocked and Bounced are what the receiver put off (each attempt counts), refused for the sender's sake, and refused since the recipient does not
	// exist.
	Deferred int `json:"deferred"`
	Blocked  int `json:"blocked"`
	Bounced  int `json:"bounced"`
	// Expired waited for too long.
	Expired int `json:"expired"`
	// Waiting waits at the end of the day, and BacklogAge is the age of the oldest of it.
	Waiting    int           `json:"waiting"`
	BacklogAge time.Duration `json:"backlog_age"`
	// Stage, Phase and Cause are those of the route that is least far; DayCap is what all cold routes may carry in 24 hours, 0 when complete.
	Stage  int   `json:"stage"`
	Stages int   `json:"stages"`
	Phase  Phase `json:"phase"`
	Cause  Cause `json:"cause,omitempty"`
	DayCap int   `json:"day_cap"`
	// Share is the share of recipients that a migration has moved.
	Share float64 `json:"share,omitempty"`
}

// Total adds up the rows of all providers.
func (f *Forecast) Total() ForecastRow {
	var t ForecastRow
	for _, r := range f.Rows {
		t.Offered += r.Offered
		t.Delivered += r.Delivered
		t.Cold += r.Cold
		t.Overflowed += r.Overflowed
		t.Deferred += r.Deferred
		t.Blocked += r.Blocked
		t.Bounced += r.Bounced
		t.Expired += r.Expired
		if t.BacklogAge < r.BacklogAge {
			t.BacklogAge = r.BacklogAge
		}
		if r.Day == f.Days {
			t.Waiting += r.Waiting
		}
	}
	return t
}

// forecastColumns are the columns of the table and of the CSV, and how a row fills them.
func forecastColumns() []struct {
	name  string
	value func(ForecastRow) string
} {
	return []struct {
		name  string
		value func(ForecastRow) string
	}{
		{"day", func(r ForecastRow) string { return strconv.Itoa(r.Day) }},
		{"provider", func(r ForecastRow) string { return r.Provider }},
		{"offered", func(r ForecastRow) string { return strconv.Itoa(r.Offered) }},
		{"delivered", func(r ForecastRow) string { return strconv.Itoa(r.Delivered) }},
		{"cold", func(r ForecastRow) string { return strconv.Itoa(r.Cold) }},
		{"overflowed", func(r ForecastRow) string { return strconv.Itoa(r.Overflowed) }},
		{"deferred", func(r ForecastRow) string { return strconv.Itoa(r.Deferred) }},
		{"blocked", func(r ForecastRow) string { return strconv.Itoa(r.Blocked) }},
		{"bounced", func(r ForecastRow) string { return strconv.Itoa(r.Bounced) }},
		{"expired", func(r ForecastRow) string { return strconv.Itoa(r.Expired) }},
		{"waiting", func(r ForecastRow) string { return strconv.Itoa(r.Waiting) }},
		{"backlog_hours", func(r ForecastRow) string { return strconv.FormatFloat(r.BacklogAge.Hours(), 'f', 1, 64) }},
		{"stage", func(r ForecastRow) string { return fmt.Sprintf("%d/%d", min(r.Stage, r.Stages), r.Stages) }},
		{"phase", func(r ForecastRow) string { return string(r.Phase) }},
		{"cause", func(r ForecastRow) string { return string(r.Cause) }},
		{"day_cap", func(r ForecastRow) string { return strconv.Itoa(r.DayCap) }},
		{"share", func(r ForecastRow) string { return strconv.FormatFloat(r.Share, 'g', 4, 64) }},
	}
}

// WriteCSV writes the rows as CSV, with a line of names before them.
func (f *Forecast) WriteCSV(w io.Writer) error {
	columns := forecastColumns()
	out := csv.NewWriter(w)
	line := make([]string, len(columns))
	for i, c := range columns {
		line[i] = c.name
	}
	if err := out.Write(line); err != nil {
		return err
	}
	for _, r := range f.Rows {
		for i, c := range columns {
			line[i] = c.value(r)
		}
		if err := out.Write(line); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// WriteTable writes the rows as a table for people, and below it what changed and when it is done.
func (f *Forecast) WriteTable(w io.Writer) error {
	columns := forecastColumns()
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, c := range columns {
		fmt.Fprint(out, c.name, "\t")
	}
	fmt.Fprintln(out)
	for _, r := range f.Rows {
		for _, c := range columns {
			fmt.Fprint(out, c.value(r), "\t")
		}
		fmt.Fprintln(out)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	for _, c := range f.Changes {
		if c.To.Phase != PhaseWarming {
			if _, err := fmt.Fprintf(w, "day %d: %v\n", f.dayOf(c.Time), c); err != nil {
				return err
			}
		}
	}
	for _, c := range f.Migration {
		if _, err := fmt.Fprintf(w, "day %d: %v\n", f.dayOf(c.Time), c); err != nil {
			return err
		}
	}
	last := fmt.Sprintf("not finished within %d days", f.Days)
	if !f.Finished.IsZero() {
		last = fmt.Sprintf("finished on day %d", f.dayOf(f.Finished)-1)
	}
	_, err := fmt.Fprintln(w, last)
	return err
}

// dayOf is the day of a time, from 1.
func (f *Forecast) dayOf(t time.Time) int { return int(t.Sub(f.Start)/(24*time.Hour)) + 1 }
