package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
)

// summary are the sums, and in JSON the last line.
type summary struct {
	Type string `json:"type"` // "summary"
	// Files is how many were given; Refused and NotTaken how many of them were not sent.
	Files    int `json:"files"`
	Refused  int `json:"refused"`
	NotTaken int `json:"not_taken"`
	// Recipients counts those of the files that were accepted, the next four what became of them. Deferrals counts attempts.
	Recipients int `json:"recipients"`
	Delivered  int `json:"delivered"`
	Bounced    int `json:"bounced"`
	Expired    int `json:"expired"`
	Waiting    int `json:"waiting"`
	Deferrals  int `json:"deferrals"`
	// Interrupted says that a signal came.
	Interrupted bool `json:"interrupted"`
	// Exit is the exit status.
	Exit int `json:"exit"`
}

// finish tells the outcome of everything, once the Sender has stopped, and returns the exit status.
func (r *report) finish() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	letters := slices.SortedFunc(maps.Values(r.letters), func(a, b *letter) int { return cmp.Compare(a.number, b.number) })
	s := r.sums(letters)
	if r.json != nil {
		r.encode(s)
		return s.Exit
	}
	t := tabwriter.NewWriter(r.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "FILE\tRECIPIENT\tSTATE\tATTEMPTS\tROUTE\tTLS\tREPLY")
	for _, l := range letters {
		if l.err != nil {
			fmt.Fprintf(t, "%s\t-\trefused\t-\t-\t-\t%s\n", printable(l.file), printable(refusal(l.err)))
		}
		for _, o := range l.rows {
			tr := l.traces[o.DeliveryID]
			fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n", printable(l.file), printable(o.Recipient), state(o), tr.attempts,
				cmp.Or(tr.route, "-"), cmp.Or(tr.tls, "-"), cmp.Or(printable(tr.last), "-"))
		}
	}
	for _, file := range r.untaken {
		fmt.Fprintf(t, "%s\t-\tnot taken\t-\t-\t-\t-\n", printable(file))
	}
	t.Flush()
	fmt.Fprintf(r.out, "\n%d delivered, %d bounced, %d expired, %d waiting; of %d files %d refused, %d not taken\n",
		s.Delivered, s.Bounced, s.Expired, s.Waiting, s.Files, s.Refused, s.NotTaken)
	return s.Exit
}

// state is the state of a recipient when the program ends: nothing is in flight then.
func state(o sender.Outcome) queue.State {
	if o.State.Final() {
		return o.State
	}
	return queue.Waiting
}

func (r *report) sums(letters []*letter) summary {
	s := summary{Type: "summary", Files: r.files, NotTaken: len(r.untaken), Deferrals: r.deferrals, Interrupted: r.broken}
	for _, l := range letters {
		if l.err != nil {
			s.Refused++
		}
		for _, o := range l.rows {
			s.Recipients++
			switch state(o) {
			case queue.Delivered:
				s.Delivered++
			case queue.Bounced:
				s.Bounced++
			case queue.Expired:
				s.Expired++
			case queue.Waiting:
				s.Waiting++
			}
		}
	}
	if s.Delivered < s.Recipients || s.Refused+s.NotTaken > 0 {
		s.Exit = 1
	}
	return s
}

// refusal says why a file was refused: the field, the reason and the clause.
func refusal(err error) string {
	var wrong *sender.FieldError
	if !errors.As(err, &wrong) {
		return err.Error()
	}
	if wrong.Clause == "" {
		return wrong.Field + ": " + wrong.Reason
	}
	return wrong.Field + ": " + wrong.Reason + " (" + wrong.Clause + ")"
}

// reply is a reply and what it means, in one line.
func reply(said bounce.Reply, v bounce.Verdict) string {
	text := strings.ReplaceAll(said.String(), "\n", " ")
	if v.Category != "" {
		text += " [" + string(v.Category) + "]"
	}
	return text
}

// printable keeps what a stranger wrote from moving the cursor: everything that is no character to be seen becomes "?".
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) {
			return r
		}
		return '?'
	}, s)
}
