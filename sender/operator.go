package sender

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/reputemail/repute/throttle"
)

// Act says who gives an order by hand, and why. Both are told in events and in Explain.
type Act struct {
	// Actor is who gives it: a name, a program. Required; at most 200 bytes of printable text.
	Actor string `json:"actor"`
	// Reason is why, in words. Required; at most 500 bytes of printable text. The reply of mail that is bounced repeats it.
	Reason string `json:"reason"`
}

// Target is what an operator suspends or resumes: a route (Route alone), a path (Route and Provider), all mail to a provider (Provider alone), a
// stream, or a destination. Exactly one of these.
type Target struct {
	// Route is the name of a route.
	Route string `json:"route,omitempty"`
	// Provider is the name of a provider, as in a Path: of that which serves the destination, also where the route is a relay.
	Provider string `json:"provider,omitempty"`
	// Stream is the name of a stream.
	Stream string `json:"stream,omitempty"`
	// Destination is the recipients' domain.
	Destination string `json:"destination,omitempty"`
}

// String is the target in words: "route mta1", "path mta1/google", "stream news".
func (t Target) String() string {
	switch {
	case t.Route != "" && t.Provider != "":
		return "path " + t.Route + "/" + t.Provider
	case t.Route != "":
		return "route " + t.Route
	case t.Provider != "":
		return "provider " + t.Provider
	case t.Stream != "":
		return "stream " + t.Stream
	default:
		return "destination " + t.Destination
	}
}

// Hold is an operator's order that mail stand still. See Sender.Suspend.
type Hold struct {
	Target
	Act
	// Drain lets the deliveries go on that must be tried again over the route or path; only new ones do not begin. For a route or a path. Defaults to
	// false: nothing goes over it.
	Drain bool `json:"drain,omitempty"`
	// Until is when it ends by itself. In the future. Defaults to the zero time: at Resume.
	Until time.Time `json:"until,omitzero"`

	// Since is when it was ordered. Set by Suspend.
	Since time.Time `json:"since"`
	// Drained is when nothing was left that had to go over the route or path. Set by the Sender; zero before, and without Drain.
	Drained time.Time `json:"drained,omitzero"`
	// Unsaved says that the store has not taken it yet, so that only this process obeys. Set by the Sender.
	Unsaved bool `json:"unsaved,omitempty"`
}

// String is the hold in words: "route mta1 is suspended by ada until 2026-03-01T12:00:00Z: maintenance".
func (h Hold) String() string {
	if h.Until.IsZero() {
		return h.words("")
	}
	return h.words(" until " + h.Until.UTC().Format(time.RFC3339))
}

// words are the hold in words, with its end or without.
func (h *Hold) words(end string) string {
	what := "suspended"
	if h.Drain {
		what = "drained"
	}
	return h.Target.String() + " is " + what + " by " + h.Actor + end + ": " + h.Reason
}

// ended reports whether the hold's own time is over.
func (h *Hold) ended(now time.Time) bool { return !h.Until.IsZero() && !now.Before(h.Until) }

// Verb is what an operator ordered.
type Verb string

// The verbs.
const (
	// VerbSuspend: a target was suspended, or is being drained (Operation.Hold).
	VerbSuspend Verb = "suspend"
	// VerbResume: the hold of a target has ended (Operation.Hold), by Resume or since its time was over.
	VerbResume Verb = "resume"
	// VerbMove: waiting mail was moved to another pool (Operation.Filter, Operation.Pool).
	VerbMove Verb = "move"
	// VerbBounce: waiting mail was bounced (Operation.Filter).
	VerbBounce Verb = "bounce"
	// VerbCancel: waiting mail was withdrawn (Operation.Filter).
	VerbCancel Verb = "cancel"
)

// Operation is an operator's order as an event tells it. Fields that do not apply are zero.
type Operation struct {
	Verb Verb `json:"verb"`
	// Hold is what was suspended, resumed or drained.
	Hold *Hold `json:"hold,omitempty"`
	// Filter is what mail the order was about.
	Filter *Filter `json:"filter,omitempty"`
	// Pool is where mail was moved to.
	Pool string `json:"pool,omitempty"`
	// Result is how much mail it was.
	Result Result `json:"result,omitzero"`
	// Broken is why the order was not carried out to its end; empty when it was.
	Broken string `json:"broken,omitempty"`
}

// OperationError says which part of an operator's order is wrong, and why. Nothing was done.
type OperationError struct {
	// Field is the part: "Target.Route", "Act.Reason", "Filter.Destinations[3]".
	Field string
	// Reason is in words.
	Reason string
}

// Error names the field and the reason.
func (e *OperationError) Error() string { return "sender: operation: " + e.Field + ": " + e.Reason }

func badOrder(field, format string, args ...any) error {
	return &OperationError{Field: field, Reason: fmt.Sprintf(format, args...)}
}

// The bounds of what operators write.
const (
	maxActor  = 200
	maxReason = 500
	maxTarget = 255
)

// check refuses an act without a name or a reason.
func (a Act) check() error {
	for _, f := range []struct {
		field, text string
		max         int
	}{{"Act.Actor", a.Actor, maxActor}, {"Act.Reason", a.Reason, maxReason}} {
		if strings.TrimSpace(f.text) == "" {
			return badOrder(f.field, "is empty")
		}
		if err := checkText(f.field, f.text, f.max); err != nil {
			return err
		}
	}
	return nil
}

// checkText refuses what is too long, or would not print on one line.
func checkText(field, text string, limit int) error {
	if len(text) > limit {
		return badOrder(field, "is longer than %d bytes", limit)
	}
	if !utf8.ValidString(text) {
		return badOrder(field, "is not UTF-8")
	}
	if i := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
		return badOrder(field, "has a character that does not print, at byte %d", i)
	}
	return nil
}

// checkTarget refuses a target that names nothing, two things, or what does not exist; the domain is brought into the form that lanes have.
func (s *Sender) checkTarget(t *Target) error {
	named := 0
	for _, name := range []string{t.Route + t.Provider, t.Stream, t.Destination} {
		if name != "" {
			named++
		}
	}
	if named == 0 {
		return badOrder("Target", "names nothing: a route, a route and a provider, a provider, a stream or a destination is needed")
	}
	if named > 1 {
		return badOrder("Target", "names several things (%s): each needs an order of its own", strings.Join(t.names(), ", "))
	}
	switch {
	case t.Stream != "":
		for _, st := range s.streams {
			if st.Name == t.Stream {
				return nil
			}
		}
		return badOrder("Target.Stream", "there is no stream %q", t.Stream)
	case t.Destination != "":
		domain, err := normalDomain(t.Destination)
		if err != nil {
			return badOrder("Target.Destination", "%v", err)
		}
		t.Destination = domain
		return nil
	case t.Route != "" && s.routes[t.Route] == nil:
		return badOrder("Target.Route", "there is no route %q", t.Route)
	case t.Provider != "":
		if t.Provider == RelayProvider && t.Route != "" && s.routes[t.Route].Relay != nil {
			return badOrder("Target.Provider", "%q is no provider of a destination; the relay as a whole is Target.Route alone", t.Provider)
		}
		return s.checkProvider("Target.Provider", t.Provider)
	}
	return nil
}

// names are the fields that are set, with their values.
func (t *Target) names() (out []string) {
	for _, f := range [][2]string{{"Route", t.Route}, {"Provider", t.Provider}, {"Stream", t.Stream}, {"Destination", t.Destination}} {
		if f[1] != "" {
			out = append(out, fmt.Sprintf("%s %q", f[0], f[1]))
		}
	}
	return out
}

// checkProvider refuses a provider that no destination can have. Of a host's own Providers it cannot be known.
func (s *Sender) checkProvider(field, provider string) error {
	if err := checkText(field, provider, maxTarget); err != nil {
		return err
	}
	table, ok := s.cfg.Providers.(*throttle.Table)
	if !ok {
		return nil
	}
	for part := range strings.SplitSeq(provider, "+") {
		if strings.Contains(part, ".") && part == strings.ToLower(part) && !strings.ContainsAny(part, " /@") { // the domain of an operator that has no name
			continue
		}
		known := false
		for _, p := range table.Providers() {
			known = known || p.Name == part
		}
		if !known {
			return badOrder(field, "%q can never match: it is neither the name of a provider nor a domain in lower case", provider)
		}
	}
	return nil
}

// checkHold checks an order to suspend.
func (s *Sender) checkHold(h *Hold, now time.Time) error {
	if err := s.checkTarget(&h.Target); err != nil {
		return err
	}
	if err := h.Act.check(); err != nil {
		return err
	}
	if h.Drain && h.Route == "" {
		return badOrder("Drain", "only a route or a path can be drained, not %s", h.Target)
	}
	if h.ended(now) {
		return badOrder("Until", "%s is not in the future", h.Until.Format(time.RFC3339))
	}
	return nil
}
