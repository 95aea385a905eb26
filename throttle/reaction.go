package throttle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ReactionScope says what a Reaction slows down.
type ReactionScope string

// The scopes.
const (
	// ScopePath: all mail of the route to the provider.
	ScopePath ReactionScope = "path"
	// ScopeDomain: only the mail of the route to the recipient's domain. A Limiter does not know domains: the caller sees to
	// it, in a path of the domain's own (see DomainPath).
	ScopeDomain ReactionScope = "domain"
)

// Reaction is a rule by which what a receiver replies changes the pace of a path for a while: measures of its own beside
// those that the Limiter takes on a Signal.
//
// Phrases (in Any, All and None) are held against the text of the reply in normal form: lower case, white space as single
// spaces, every kind of apostrophe as "'". They have that form too. A phrase matches at word boundaries: "ts02" is in "[TS02]"
// and not in "pts02" or "ts021". "*" at the start or the end drops that: "throttl*".
//
// In JSON, For is text as time.ParseDuration reads it and a rate is text as ParseRate does.
type Reaction struct {
	// Name identifies the reaction, as group/what: "yahoo/tss04". Unique; lower-case letters, digits, hyphens.
	Name string `json:"name"`
	// Providers are those whose replies it is for: names of the table, organisational domains of operators that the table
	// does not know, or ReactionsConfig.Names. The parts of a mixed provider count as each of them. Defaults to any.
	Providers []string `json:"providers,omitempty"`
	// Codes limits it to these basic codes: "421", "45x", "4xx". Only failures count, so they begin with 4 or 5. Defaults to
	// any of them.
	Codes []string `json:"codes,omitempty"`
	// Any lists phrases of which at least one must occur, All those that must all, None those that must not. Any and All are
	// not both empty.
	Any  []string `json:"any,omitempty"`
	All  []string `json:"all,omitempty"`
	None []string `json:"none,omitempty"`

	// Trigger is how many such replies, within which time before the latest, it takes: "2/h". After that the count begins anew.
	// At most 1000 within a day. Defaults to the zero Rate: each reply is enough.
	Trigger Rate `json:"trigger,omitzero"`

	// Suspend stops the path. Not with one of the others, which would have no effect while nothing is sent.
	Suspend bool `json:"suspend,omitempty"`
	// MessageRate is the most messages that may begin. Defaults to the zero Rate: as before.
	MessageRate Rate `json:"message_rate,omitzero"`
	// Connections is the most connections open at once. Defaults to 0: as before.
	Connections int `json:"connections,omitempty"`
	// MessagesPerConnection is the most messages over one connection. Defaults to 0: as before.
	MessagesPerConnection int `json:"messages_per_connection,omitempty"`
	// For is how long this lasts. 1 minute to 7 days.
	For time.Duration `json:"-"`
	// Scope is what is slowed down. With ScopeDomain only Suspend and MessageRate can be: connections are shared by the domains
	// of a provider. Defaults to ScopePath.
	Scope ReactionScope `json:"scope,omitempty"`

	// Source says where the knowledge comes from. Required of built-in reactions.
	Source string `json:"source,omitempty"`
	// Date is when the source itself was last read, as 2006-01-02. Empty: unknown, or a judgement.
	Date string `json:"date,omitempty"`

	// Match holds replies that must lead to this reaction and no other, Miss near ones that must not lead to it: whole replies,
	// with the basic code and, as it may be, the enhanced one. At least one of each.
	Match []string `json:"match"`
	Miss  []string `json:"miss"`
}

// The bounds of a Reaction.
const (
	minFor     = time.Minute
	maxFor     = 7 * 24 * time.Hour
	maxTrigger = 24 * time.Hour
)

// reactionFields is Reaction without its methods.
type reactionFields Reaction

// reactionJSON is the form of Reaction in JSON.
type reactionJSON struct {
	reactionFields
	For string `json:"for"`
}

// MarshalJSON writes the fields that are set.
func (r Reaction) MarshalJSON() ([]byte, error) {
	return json.Marshal(reactionJSON{reactionFields(r), r.For.String()})
}

// UnmarshalJSON reads a reaction. It refuses unknown fields.
func (r *Reaction) UnmarshalJSON(data []byte) error {
	var form reactionJSON
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&form); err != nil {
		return err
	}
	if form.For != "" {
		var err error
		if form.reactionFields.For, err = time.ParseDuration(form.For); err != nil {
			return fmt.Errorf("for: %w", err)
		}
	}
	*r = Reaction(form.reactionFields)
	return nil
}

// ParseReactions reads reactions from JSON: an array of objects with the fields of Reaction in snake case. It refuses unknown
// fields. The reactions are checked by NewReactions.
func ParseReactions(data []byte) ([]Reaction, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(data, &items); err != nil {
		return nil, fmt.Errorf("throttle: reactions: %w", err)
	}
	reactions := make([]Reaction, len(items))
	for i, item := range items {
		if err := json.Unmarshal(item, &reactions[i]); err != nil {
			var named struct{ Name string }
			_ = json.Unmarshal(item, &named) // only for the message
			return nil, fmt.Errorf("throttle: reaction %d %q: %w", i, named.Name, err)
		}
	}
	return reactions, nil
}

// validate names the first field that cannot be. Phrases and samples are checked where they are compiled.
func (r *Reaction) validate() error {
	group, what, ok := strings.Cut(r.Name, "/")
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789-"
	if !ok || strings.Trim(group, letters) != "" || strings.Trim(what, letters) != "" || group == "" || what == "" {
		return invalid("Name", "%q is not of the form group/what, with lower-case letters, digits and hyphens", r.Name)
	}
	for _, c := range r.Codes {
		if _, err := parseCode(c); err != nil {
			return invalid("Codes", "%q can never match: %v", c, err)
		}
	}
	if len(r.Any)+len(r.All) == 0 {
		return invalid("Any", "is empty, and All too: any reply would match")
	}
	if err := r.Trigger.validate(); err != nil {
		return invalid("Trigger", "%v", err)
	}
	if r.Trigger.N > maxRow || r.Trigger.Per > maxTrigger {
		return invalid("Trigger", "%s: want at most %d within %v", r.Trigger, maxRow, maxTrigger)
	}
	if err := r.validateAction(); err != nil {
		return err
	}
	if r.Date != "" {
		if _, err := time.Parse(time.DateOnly, r.Date); err != nil {
			return invalid("Date", "%q is not of the form 2006-01-02", r.Date)
		}
	}
	return nil
}

// validateAction is validate for what the reaction does.
func (r *Reaction) validateAction() error {
	if err := r.MessageRate.validate(); err != nil {
		return invalid("MessageRate", "%v", err)
	}
	switch slower := r.MessageRate != (Rate{}) || r.Connections != 0 || r.MessagesPerConnection != 0; {
	case r.Connections < 0:
		return invalid("Connections", "%d is negative", r.Connections)
	case r.MessagesPerConnection < 0:
		return invalid("MessagesPerConnection", "%d is negative", r.MessagesPerConnection)
	case !r.Suspend && !slower:
		return invalid("Suspend", "is false, and MessageRate, Connections and MessagesPerConnection are zero: it does nothing")
	case r.Suspend && slower:
		return invalid("Suspend", "with another measure, which can have no effect while nothing is sent")
	case r.For < minFor || r.For > maxFor:
		return invalid("For", "%v is not between %v and %v", r.For, minFor, maxFor)
	case r.Scope != ScopePath && r.Scope != ScopeDomain:
		return invalid("Scope", "%q is neither %q nor %q", r.Scope, ScopePath, ScopeDomain)
	case r.Scope == ScopeDomain && r.Connections+r.MessagesPerConnection > 0:
		return invalid("Scope", "%q with a limit of connections, which the domains of a provider share", r.Scope)
	}
	return nil
}

// clone is a copy that shares nothing with r.
func (r Reaction) clone() Reaction {
	for _, list := range []*[]string{&r.Providers, &r.Codes, &r.Any, &r.All, &r.None, &r.Match, &r.Miss} {
		*list = slices.Clone(*list)
	}
	return r
}

// codeRange is the basic codes of one entry of Codes.
type codeRange struct{ least, most int }

// parseCode reads "421", "42x" or "4xx".
func parseCode(s string) (codeRange, error) {
	digits := strings.TrimRight(s, "x")
	if len(s) != 3 || digits == "" || strings.Trim(digits, "0123456789") != "" {
		return codeRange{}, errors.New("want a form like 421, 42x or 4xx")
	}
	if s[0] != '4' && s[0] != '5' {
		return codeRange{}, errors.New("a failure begins with 4 or 5")
	}
	c := codeRange{}
	for i := range len(s) {
		least, most := 0, 9
		if i < len(digits) {
			least, most = int(s[i]-'0'), int(s[i]-'0')
		}
		c.least, c.most = 10*c.least+least, 10*c.most+most
	}
	return c, nil
}
