package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/reputemail/repute/examples/internal/show"
)

// report is the result. In JSON it is one object.
type report struct {
	// Sink is where the mail went; OwnSink says that it was inside this process.
	Sink    string `json:"sink"`
	OwnSink bool   `json:"own_sink"`
	// What was asked for.
	Messages    int    `json:"n"`
	Connections int    `json:"connections"`
	Enqueuers   int    `json:"enqueuers"`
	Domains     int    `json:"domains"`
	Size        int    `json:"size"`
	DKIM        string `json:"dkim"`
	Queue       string `json:"queue"`
	// FoundInQueue is how many messages of an earlier run the queue held.
	FoundInQueue int `json:"found_in_queue"`
	// What became of the messages. Failed ones bounced or expired; Deferred counts attempts.
	Accepted  int `json:"accepted"`
	Delivered int `json:"delivered"`
	Failed    int `json:"failed"`
	Deferred  int `json:"deferred"`
	// Seconds is from the first Enqueue to the last settlement.
	Seconds float64 `json:"seconds"`
	// AcceptPerSecond and EndToEndPerSecond are messages a second.
	AcceptPerSecond   float64 `json:"accept_per_s"`
	EndToEndPerSecond float64 `json:"end_to_end_per_s"`
	// P50, P99 and Max are milliseconds from Enqueue to the delivery.
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	Max float64 `json:"max_ms"`
	// CPU is the processor time of this process, PeakRSS its most memory in MiB; null where the system does not tell.
	CPU     *float64 `json:"cpu_s"`
	PeakRSS *float64 `json:"peak_rss_mb"`
	// BarePerSecond, BareCPU and Ratio are there with -bare. Ratio is EndToEndPerSecond / BarePerSecond.
	BarePerSecond *float64 `json:"bare_per_s,omitempty"`
	BareCPU       *float64 `json:"bare_cpu_s,omitempty"`
	Ratio         *float64 `json:"ratio,omitempty"`
	// Interrupted says that a signal came.
	Interrupted bool `json:"interrupted"`
}

// newReport tells of the Sender's run.
func newReport(o options, to *sink, q *openedQueue, l *load) *report {
	p := l.percentiles(0.50, 0.99, 1)
	return &report{
		Sink: to.addr, OwnSink: to.own, Messages: o.messages, Connections: o.connections, Enqueuers: o.enqueuers, Domains: o.domains,
		Size: o.size, DKIM: o.dkim, Queue: q.kind, FoundInQueue: q.found,
		Accepted: int(l.accepted.Load()), Delivered: int(l.delivered.Load()), Failed: int(l.failed.Load()), Deferred: int(l.deferred.Load()),
		Seconds:           round(l.lasted.Seconds(), 3),
		AcceptPerSecond:   perSecond(l.accepted.Load(), l.accepting),
		EndToEndPerSecond: perSecond(l.delivered.Load(), l.lasted),
		P50:               milliseconds(p[0]), P99: milliseconds(p[1]), Max: milliseconds(p[2]),
		CPU: l.used.cpuSeconds(), PeakRSS: l.used.peakMiB(),
	}
}

// addBare tells of the bare loop.
func (r *report) addBare(l *load) {
	bare := perSecond(l.barely.Load(), l.bareTook)
	r.BarePerSecond, r.BareCPU = &bare, l.bareUsed.cpuSeconds()
	if bare > 0 {
		ratio := round(r.EndToEndPerSecond/bare, 3)
		r.Ratio = &ratio
	}
}

// write prints the report: as one JSON object, or for people.
func (r *report) write(w io.Writer, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	_, err := io.WriteString(w, strings.Join(r.lines(), "\n")+"\n")
	return err
}

// lines are the report for people.
func (r *report) lines() []string {
	rows := [][]string{
		{"accepted", fmt.Sprintf("%.0f messages a second", r.AcceptPerSecond)},
		{"end to end", fmt.Sprintf("%.0f messages a second", r.EndToEndPerSecond)},
		{"from Enqueue to delivered", fmt.Sprintf("half within %.1f ms, 99 %% within %.1f ms, all within %.1f ms", r.P50, r.P99, r.Max)},
	}
	if r.CPU != nil && r.PeakRSS != nil {
		rows = append(rows, []string{"this process", fmt.Sprintf("%.2f s of processor time, at most %.0f MiB of memory", *r.CPU, *r.PeakRSS)})
	}
	if r.BarePerSecond != nil {
		rows = append(rows, []string{"bare loop", fmt.Sprintf("%.0f messages a second", *r.BarePerSecond)})
	}
	if r.Ratio != nil {
		rows = append(rows, []string{"ratio", fmt.Sprintf("the Sender is at %.0f %% of the bare loop", 100**r.Ratio)})
	}
	outcome := fmt.Sprintf("%d of %d messages delivered in %.2f s", r.Delivered, r.Messages, r.Seconds)
	if r.Failed > 0 || r.Deferred > 0 {
		outcome += fmt.Sprintf(", %d failed, %d attempts deferred", r.Failed, r.Deferred)
	}
	if left := r.Accepted - r.Delivered - r.Failed; left > 0 {
		outcome += fmt.Sprintf("; %d are left in the queue", left)
		if r.Queue == queueMemory {
			outcome += ", which ends with this process"
		}
	}
	if r.Interrupted {
		outcome = "Interrupted: " + outcome
	}
	lines := append(show.Table{Head: []string{"", "measured"}, Rows: rows}.Lines(), "", outcome+".")
	if r.OwnSink {
		lines = append(lines, "The sink ran inside this process and took its share of the processors; -addr names another one.")
	}
	return lines
}

func perSecond(n int64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return round(float64(n)/d.Seconds(), 1)
}

func milliseconds(d time.Duration) float64 { return round(d.Seconds()*1000, 2) }

func round(v float64, digits int) float64 {
	p := math.Pow10(digits)
	return math.Round(v*p) / p
}
