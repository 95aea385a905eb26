package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/reputemail/repute/sender"
)

// quietFor is after how long without a line of progress there is one that says how many are still open.
const quietFor = time.Minute

// report tells people or programs what becomes of the files. It observes the Sender.
type report struct {
	out, err io.Writer
	json     *json.Encoder // nil: a table for people
	sender   *sender.Sender

	mu        sync.Mutex
	files     int
	letters   map[string]*letter // by message ID
	untaken   []string
	broken    bool // interrupted by a signal
	lastLine  time.Time
	deferrals int
}

// letter is one file that was taken.
type letter struct {
	report *report
	number int // its place on the command line
	id     string
	file   string

	err    error // why it was refused
	done   bool
	rows   []sender.Outcome
	traces map[string]trace // by delivery ID
}

// trace is what events told of one delivery.
type trace struct {
	attempts   int
	route, tls string
	last       string      // what was told last: a reply, or what it waits for
	wait       sender.Wait // as last told
}

func newReport(o *options, stdout, stderr io.Writer) *report {
	r := &report{out: stdout, err: stderr, files: len(o.files), letters: map[string]*letter{}, lastLine: time.Now()}
	if o.json {
		r.json = json.NewEncoder(stdout)
		r.json.SetEscapeHTML(false)
	}
	return r
}

// take notes that the file with this number is being sent.
func (r *report) take(number int, file string) *letter {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := &letter{report: r, number: number, id: strconv.Itoa(number + 1), file: file, traces: map[string]trace{}}
	r.letters[l.id] = l
	return l
}

// line is one event of a delivery in JSON. What has no counterpart among the Sender's events has a type of its own: "waiting"
// for a wait that is no attempt, "refused" for a file that was not accepted, "not-taken" for one that was left after a signal.
type line struct {
	File string `json:"file"`
	sender.Event
	// TLS is the TLS version of the attempt; none for clear text.
	TLS string `json:"tls,omitempty"`
	// Field and Clause say which part of a refused message is against which rule.
	Field  string `json:"field,omitempty"`
	Clause string `json:"clause,omitempty"`
}

// Observe tells of an event.
func (r *report) Observe(e sender.Event) {
	if e.MessageID == "" {
		return // of a path: look tells what that means for each delivery
	}
	attempted := e.Type == sender.EventDelivered || e.Type == sender.EventDeferred || e.Type == sender.EventBounced
	tls := ""
	if attempted {
		tls = r.tlsOf(e.DeliveryID)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.letters[e.MessageID]
	r.encode(line{File: l.file, Event: e, TLS: tls})
	if e.Type == sender.EventAccepted {
		return // too early to be of interest
	}
	said := reply(e.Reply, e.Verdict)
	t := trace{attempts: e.Attempt, route: e.Path.Route, tls: tls, last: said}
	if !attempted {
		before := l.traces[e.DeliveryID]
		t.tls, t.last = before.tls, cmp.Or(said, before.last)
	}
	l.traces[e.DeliveryID] = t
	if e.Type == sender.EventDeferred {
		r.deferrals++
	}
	text := l.file + ": " + e.Recipient.String() + ": " + string(e.Type) + ": " + t.last
	if e.Type == sender.EventDeferred {
		text += fmt.Sprintf("; next attempt at %s, in %v",
			e.NextAttempt.Format(time.TimeOnly), e.NextAttempt.Sub(e.Time).Round(time.Second))
	}
	if e.Type == sender.EventBounced && e.Verdict.Remedy != "" {
		text += ". " + e.Verdict.Remedy
	}
	r.progress(text)
}

// tlsOf is the TLS version of a delivery's last attempt.
func (r *report) tlsOf(delivery string) string {
	explained, err := r.sender.Explain(context.Background(), delivery)
	if err != nil || len(explained) == 0 || len(explained[0].History) == 0 {
		return ""
	}
	return explained[0].History[len(explained[0].History)-1].TLS
}

// look tells, until ctx ends, what open deliveries wait for, whenever that changes.
func (r *report) look(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		open := 0
		for _, id := range r.open() {
			explained, err := r.sender.Explain(ctx, id)
			if err != nil {
				continue // not stored yet
			}
			for _, e := range explained {
				if !e.State.Final() {
					open++
					r.waits(e)
				}
			}
		}
		r.mu.Lock()
		if open > 0 && time.Since(r.lastLine) >= quietFor {
			r.progress(fmt.Sprintf("%d still open", open))
		}
		r.mu.Unlock()
	}
}

// open are the IDs of the files that are being sent.
func (r *report) open() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []string
	for id, l := range r.letters {
		if !l.done {
			ids = append(ids, id)
		}
	}
	return ids
}

// waits tells what a delivery waits for, if that is news: neither the next attempt, which its last event told, nor its turn.
func (r *report) waits(e sender.Explanation) {
	for _, w := range e.Waits {
		switch w.Reason {
		case sender.WaitDNS, sender.WaitHost, sender.WaitProxy, sender.WaitBackoff, sender.WaitSigner, sender.WaitGate, sender.WaitQueue:
		default:
			continue
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		l := r.letters[e.MessageID]
		t := l.traces[e.DeliveryID]
		if t.wait == w {
			return
		}
		t.wait, t.last = w, "waited for "+string(w.Reason)+": "+w.Detail
		l.traces[e.DeliveryID] = t
		r.encode(line{File: l.file, Event: sender.Event{
			Type: "waiting", Time: time.Now(), MessageID: e.MessageID, DeliveryID: e.DeliveryID, Stream: e.Stream,
			Recipient: e.Recipient, Attempt: e.Attempts, Wait: w,
		}})
		text := fmt.Sprintf("%s: %v: waiting: %s: %s", l.file, e.Recipient, w.Reason, w.Detail)
		if !w.Until.IsZero() {
			text += "; until " + w.Until.Format(time.TimeOnly)
		}
		r.progress(text)
		return
	}
}

// refused tells that a file was not accepted, and why.
func (l *letter) refused(err error) {
	r := l.report
	r.mu.Lock()
	defer r.mu.Unlock()
	l.err, l.done = err, true
	told := line{File: l.file, Event: sender.Event{Type: sender.EventRefused, Time: time.Now(), Reason: err.Error()}}
	if wrong := new(sender.FieldError); errors.As(err, &wrong) {
		told.Field, told.Reason, told.Clause = wrong.Field, wrong.Reason, wrong.Clause
	}
	r.encode(told)
	r.progress(l.file + ": refused: " + refusal(err))
}

// settled notes what became of the recipients.
func (l *letter) settled(outcomes []sender.Outcome) {
	l.report.mu.Lock()
	defer l.report.mu.Unlock()
	l.rows, l.done = outcomes, true
}

// notTaken tells that files were left alone.
func (r *report) notTaken(files []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.untaken = append(r.untaken, files...)
	for _, file := range files {
		r.encode(line{File: file, Event: sender.Event{Type: "not-taken", Time: time.Now()}})
		r.progress(file + ": not taken")
	}
}

// interrupted tells that a signal came.
func (r *report) interrupted() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = true
	r.progress(fmt.Sprintf("interrupted: attempts in flight may finish, for at most %v", drainFor))
}

// note tells of something else.
func (r *report) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.progress(fmt.Sprintf(format, args...))
}

// progress writes a line for people. The mutex is held.
func (r *report) progress(text string) {
	r.lastLine = time.Now()
	fmt.Fprintf(r.err, "%s %s\n", r.lastLine.Format(time.TimeOnly), printable(text))
}

// encode writes a line for programs, where they are wanted. The mutex is held.
func (r *report) encode(v any) {
	if r.json != nil {
		if err := r.json.Encode(v); err != nil {
			r.progress("standard output: " + err.Error())
		}
	}
}
