package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/examples/internal/show"
	"github.com/reputemail/repute/sender"
)

// explainer asks the Sender once why a message waits.
type explainer struct {
	best  *sender.Explanation // the answer with the longest chain of reasons so far
	asked time.Time           // when it was given
	told  bool
}

// enough is a chain that is worth telling at once: the delivery's own schedule, and what its path waits for.
const enough = 2

// look asks about a delivery. It prints the answer when it is a good one; without a delivery, the best there was.
func (e *explainer) look(s *sender.Sender, delivery string, screen *show.Screen) {
	if e.told {
		return
	}
	if delivery != "" {
		found, err := s.Explain(context.Background(), delivery)
		if err != nil || len(found) != 1 || len(found[0].Waits) == 0 {
			return
		}
		if e.best == nil || len(found[0].Waits) > len(e.best.Waits) {
			e.best, e.asked = &found[0], time.Now()
		}
	}
	if e.best == nil || delivery != "" && len(e.best.Waits) < enough {
		return
	}
	e.told = true
	screen.Print(append(words(e.best, e.asked), "")...)
}

// words tell an explanation.
func words(e *sender.Explanation, now time.Time) []string {
	lines := []string{fmt.Sprintf("Why was it waiting at %s? A %s message to %s:", now.Format("15:04:05"), e.Stream, e.Recipient)}
	for _, a := range e.History {
		lines = append(lines, fmt.Sprintf("  tried over %s to %s: %s (%s)", a.Route, a.Provider, reply(a.Reply), a.Verdict.Category))
	}
	for _, w := range e.Waits {
		lines = append(lines, "  - "+reason(w, now))
	}
	return append(lines, fmt.Sprintf("  It is given up %s after it was accepted.", e.Expires.Sub(e.Created).Round(time.Minute)))
}

// reason tells one wait.
func reason(w sender.Wait, now time.Time) string {
	path := w.Path.Provider + " over " + w.Path.Route
	until := ""
	if !w.Until.IsZero() {
		until = " for " + seconds(w.Until.Sub(now)) + " more"
	}
	switch w.Reason {
	case sender.WaitRetry:
		return "its next try is due in " + seconds(w.Until.Sub(now))
	case sender.WaitBackoff:
		return path + " rests" + until + ": the receiver asked for less"
	case sender.WaitWarmup:
		return path + " has had its share under the warm-up plan: " + w.Detail
	case sender.WaitRate, sender.WaitConnections:
		return path + " is as busy as it may be (" + w.Detail + ")"
	case sender.WaitTurn:
		return "others are before it"
	}
	return strings.TrimSpace(string(w.Reason) + until + " " + show.Clean(w.Detail))
}

// reply is a receiver's reply in one line.
func reply(r bounce.Reply) string { return show.Clean(r.String()) }
