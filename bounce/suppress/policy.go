package suppress

import (
	"fmt"
	"time"

	"github.com/reputemail/repute/bounce"
)

// Reason says why an address is suppressed.
type Reason string

// The reasons.
const (
	// Dead: a receiver said, beyond doubt, that the mailbox or its domain does not exist or is closed.
	Dead Reason = "dead"
	// Refused: receivers refused it for good for the recipient's sake, again and again, with room for doubt each time.
	Refused Reason = "refused"
	// Full: the mailbox is over its quota and stays so.
	Full Reason = "full"
	// Complaint: the recipient called our mail spam.
	Complaint Reason = "complaint"
	// Unsubscribe: the recipient does not want it.
	Unsubscribe Reason = "unsubscribe"
	// NotConfirmed: the recipient did not answer when asked to confirm.
	NotConfirmed Reason = "not-confirmed"
	// Manual: an operator or the host put it on the list.
	Manual Reason = "manual"
)

// Reasons lists every Reason, in the order of the constants.
func Reasons() []Reason {
	return []Reason{Dead, Refused, Full, Complaint, Unsubscribe, NotConfirmed, Manual}
}

// Kind says what happened to an address.
type Kind string

// The kinds.
const (
	// Bounced: mail was refused for good, in the conversation or later by mail; Verdict says why.
	Bounced Kind = "bounced"
	// Deferred: mail was refused for now; Verdict says why.
	Deferred Kind = "deferred"
	// Delivered: mail was accepted.
	Delivered Kind = "delivered"
	// Complained: the recipient called it spam.
	Complained Kind = "complained"
	// Unsubscribed: the recipient does not want mail of the stream any more.
	Unsubscribed Kind = "unsubscribed"
	// Unconfirmed: the recipient was asked to confirm and did not.
	Unconfirmed Kind = "unconfirmed"
)

// Incident is something that happened to an address.
type Incident struct {
	// ID names it: the same one counts once for an address. Defaults to none, which always counts.
	ID string
	// Stream is the stream whose mail it was about; empty: not known.
	Stream string
	// Address is the recipient's. Required.
	Address string
	// Kind is what happened. Required.
	Kind Kind
	// Verdict is what the receiver's reply meant, for Bounced and Deferred.
	Verdict bounce.Verdict
	// Late says that the receiver had accepted the mail and returned it afterwards. A delivery does not take such a strike away: this
	// receiver accepts mail for anybody. Defaults to false: it was refused in the conversation.
	Late bool
}

// Rule says when an address is suppressed for a reason.
type Rule struct {
	// Never suppresses nobody for this reason.
	Never bool
	// Strikes is how many incidents it takes; 1: at once. Up to 20.
	Strikes int
	// Within is the time in which they must come, the first and the last one included.
	Within time.Duration
	// Apart is the least time from one strike to the next: incidents that come sooner are not counted.
	Apart time.Duration
	// Over is the least time from the first strike to the one that suppresses.
	Over time.Duration
	// For is how long the address is suppressed; 0: for ever.
	For time.Duration
	// OneStream suppresses for the stream of the incident only, if that is known, not for all.
	OneStream bool
}

// Policy has a Rule for each reason; a zero Rule is the default. The defaults are a judgement: nobody has published numbers. Dead addresses at
// once, since they turn into spam traps; what leaves room for doubt by strikes on different days; a full mailbox after weeks, since people come
// back from holidays; complaints and unsubscriptions at once, but for their stream, so that a password reset still arrives.
type Policy struct {
	// Dead defaults to at once, for ever, all streams.
	Dead Rule
	// Refused defaults to 3 strikes within 30 days, 24 hours apart, for 180 days, all streams.
	Refused Rule
	// Full defaults to 5 strikes within 30 days, 24 hours apart and over 14 days, for 90 days, all streams.
	Full Rule
	// Complaint defaults to at once, for ever, the one stream.
	Complaint Rule
	// Unsubscribe defaults to at once, for ever, the one stream.
	Unsubscribe Rule
	// NotConfirmed defaults to at once, for ever, the one stream.
	NotConfirmed Rule
}

const days = 24 * time.Hour

// maxStrikes is the most strikes that a Rule may ask for.
const maxStrikes = 20

// rules are the rules by reason, with the defaults filled in.
func (p Policy) rules() (map[Reason]Rule, error) {
	once := Rule{Strikes: 1}
	onceHere := Rule{Strikes: 1, OneStream: true}
	rules := map[Reason]Rule{}
	for _, r := range []struct {
		field  string
		reason Reason
		rule   Rule
		def    Rule
	}{
		{"Dead", Dead, p.Dead, once},
		{"Refused", Refused, p.Refused, Rule{Strikes: 3, Within: 30 * days, Apart: days, For: 180 * days}},
		{"Full", Full, p.Full, Rule{Strikes: 5, Within: 30 * days, Apart: days, Over: 14 * days, For: 90 * days}},
		{"Complaint", Complaint, p.Complaint, onceHere},
		{"Unsubscribe", Unsubscribe, p.Unsubscribe, onceHere},
		{"NotConfirmed", NotConfirmed, p.NotConfirmed, onceHere},
	} {
		rule := r.rule
		if rule == (Rule{}) {
			rule = r.def
		}
		if field, reason := rule.wrong(); field != "" {
			return nil, fmt.Errorf("suppress: Config.Policy.%s.%s: %s", r.field, field, reason)
		}
		rules[r.reason] = rule
	}
	return rules, nil
}

// wrong is the first field that is wrong, and what is wrong with it; empty if none is.
func (r Rule) wrong() (field, reason string) {
	if r.Never {
		return "", ""
	}
	if r.Strikes < 1 || r.Strikes > maxStrikes {
		return "Strikes", fmt.Sprintf("%d is not in 1 to %d", r.Strikes, maxStrikes)
	}
	for _, d := range []struct {
		field string
		v     time.Duration
	}{{"Within", r.Within}, {"Apart", r.Apart}, {"Over", r.Over}, {"For", r.For}} {
		if d.v < 0 {
			return d.field, fmt.Sprintf("%v is negative", d.v)
		}
	}
	if r.Strikes == 1 && (r.Within|r.Apart|r.Over) != 0 {
		return "Strikes", "is 1, with which Within, Apart and Over have no meaning"
	}
	if r.Strikes > 1 && (r.Within < r.Over || r.Within/time.Duration(r.Strikes-1) < r.Apart) {
		return "Within", fmt.Sprintf("%v is too short for %d strikes, %v apart and over %v", r.Within, r.Strikes, r.Apart, r.Over)
	}
	return "", ""
}

// reasonOf is what an incident comes to; false when there is nothing in it against the recipient.
func reasonOf(i *Incident) (Reason, bool) {
	switch i.Kind {
	case Complained:
		return Complaint, true
	case Unsubscribed:
		return Unsubscribe, true
	case Unconfirmed:
		return NotConfirmed, true
	case Bounced, Deferred:
	default:
		return "", false
	}
	v := &i.Verdict
	if v.Scope != bounce.ScopeRecipient {
		return "", false
	}
	switch v.Category {
	case bounce.MailboxFull:
		return Full, true
	case bounce.BadMailbox, bounce.BadDomain, bounce.InactiveMailbox:
		if i.Kind == Bounced && v.Permanent {
			if v.Suppress {
				return Dead, true
			}
			return Refused, true
		}
	}
	return "", false
}
