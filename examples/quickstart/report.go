package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
)

// report is what became of the messages.
type report struct {
	Messages  int                        `json:"messages"`
	Seconds   float64                    `json:"seconds"`
	Note      string                     `json:"note"`
	Totals    totals                     `json:"totals"`
	Paths     []pathRow                  `json:"paths"`
	Streams   []streamRow                `json:"streams"`
	Causes    map[bounce.Category]*cause `json:"causes"`
	ColdCap   int                        `json:"cold_cap"`
	Receivers []receiverRow              `json:"receivers"`
	Explained *sender.Explanation        `json:"explained,omitempty"`
	// Problems are what does not add up. None, if all is well.
	Problems []string `json:"problems"`
}

// totals are deliveries. Accepted is the sum of the others.
type totals struct {
	Accepted   int64 `json:"accepted"`
	Delivered  int64 `json:"delivered"`
	Bounced    int64 `json:"bounced"`
	Expired    int64 `json:"expired"`
	Suppressed int64 `json:"suppressed"`
	Waiting    int64 `json:"waiting"`
}

// pathRow is one provider and route. The route is empty for domains that take no mail.
type pathRow struct {
	sender.PathStats
	// Accepted counts the deliveries whose first attempt went this way.
	Accepted int64 `json:"accepted"`
}

// streamRow is one stream, with how long its delivered mail was in the queue.
type streamRow struct {
	sender.StreamStats
	Median float64 `json:"median_seconds"`
	P95    float64 `json:"p95_seconds"`
}

// receiverRow is what a receiver saw from one address.
type receiverRow struct {
	Domain   string `json:"domain"`
	Source   string `json:"source"`
	Messages int    `json:"messages"`
	DKIMPass int    `json:"dkim_pass"`
}

// newReport gathers the numbers of all who counted, and checks that they agree.
func newReport(o options, s *sender.Sender, count *tally, world *internet, p *progress) (*report, error) {
	st, err := s.Stats(context.Background())
	if err != nil {
		return nil, err
	}
	count.mu.Lock()
	defer count.mu.Unlock()
	r := &report{
		Messages: o.messages, Seconds: time.Since(count.began).Seconds(), Causes: count.causes, ColdCap: o.cap24(),
		Receivers: world.arrivals.list(), Explained: p.why.best, Problems: []string{},
		Note: "fake providers on one machine; clocks shortened for the demonstration",
	}
	for _, path := range st.Paths {
		row := pathRow{PathStats: path, Accepted: int64(count.first[path.Path])}
		if row.Accepted > 0 || row.Counts != (sender.Counts{}) || len(row.Waits) > 0 {
			r.Paths = append(r.Paths, row)
		}
	}
	for _, one := range st.Streams {
		r.Streams = append(r.Streams, streamRow{
			StreamStats: one, Median: count.quantile(one.Stream, 0.5).Seconds(), P95: count.quantile(one.Stream, 0.95).Seconds(),
		})
		t := &r.Totals
		t.Accepted += one.Accepted
		t.Delivered += one.Delivered
		t.Bounced += one.Bounced
		t.Expired += one.Expired
		t.Suppressed += one.Suppressed
		t.Waiting += int64(one.Waiting + one.InFlight)
	}
	r.check(o)
	return r, nil
}

// check finds what does not add up.
func (r *report) check(o options) {
	problem := func(wrong bool, format string, args ...any) {
		if wrong {
			r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
		}
	}
	t := r.Totals
	settled := t.Delivered + t.Bounced + t.Expired + t.Suppressed
	problem(t.Accepted != int64(o.messages), "%d of %d messages were accepted", t.Accepted, o.messages)
	problem(t.Waiting > 0, "%d messages are still waiting; a queue on disk would keep them", t.Waiting)
	problem(t.Accepted != settled+t.Waiting, "%d messages were accepted, %d have an outcome, %d are waiting", t.Accepted, settled, t.Waiting)
	var paths, arrived, signed int64
	for _, row := range r.Paths {
		paths += row.Accepted
		problem(row.Route == "cold" && row.First > int64(r.ColdCap),
			"%s was tried for %d messages over the cold route, %d were allowed", row.Provider, row.First, r.ColdCap)
	}
	problem(paths != settled && t.Waiting == 0, "%d messages have an outcome, the paths count %d", settled, paths)
	for _, row := range r.Receivers {
		arrived += int64(row.Messages)
		signed += int64(row.DKIMPass)
	}
	problem(arrived != t.Delivered, "%d messages were delivered, the receivers have %d", t.Delivered, arrived)
	problem(signed != arrived, "of %d messages that arrived, %d pass DKIM", arrived, signed)
}

// writeJSON writes the report as one document.
func (r *report) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
