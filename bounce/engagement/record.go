package engagement

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// State is where an address stands in a campaign.
type State string

const (
	// StateUnknown: the campaign does not have the address.
	StateUnknown State = "unknown"
	// StateInvited: it is asked, or will be, and has not confirmed.
	StateInvited State = "invited"
	// StateActive: it has confirmed. This is final.
	StateActive State = "active"
	// StateLapsed: it did not confirm in time. Final too, but for ConfirmAddress.
	StateLapsed State = "lapsed"

	// stateLapsing is kept from before the host's suppression is told until after: nobody can confirm any more. Outside it is
	// StateLapsed.
	stateLapsing State = "lapsing"
)

// record is what the store has of an address. Times are stamps.
type record struct {
	state State
	sent  int   // messages handed out
	since int64 // when it came to its state
	last  int64 // when the last message was handed out; 0 if none was
}

// recordFormat is the first field of a record: what is written otherwise has another number.
const recordFormat = "1"

var errRecord = errors.New("engagement: not a record of this version")

// encode is the record as the store has it: format, state, sent, since and last, as text for people who look at their database.
func (r record) encode() []byte {
	b := make([]byte, 0, 64)
	b = append(b, recordFormat+" "...)
	b = append(b, r.state...)
	for _, n := range [...]int64{int64(r.sent), r.since, r.last} {
		b = append(b, ' ')
		b = strconv.AppendInt(b, n, 10)
	}
	return b
}

// decode is the inverse of encode. It accepts nothing else.
func decode(b []byte) (record, error) {
	var r record
	rest, ok := strings.CutPrefix(string(b), recordFormat+" ")
	if !ok {
		return record{}, errRecord
	}
	state, rest, _ := strings.Cut(rest, " ")
	switch r.state = State(state); r.state {
	case StateInvited, StateActive, stateLapsing, StateLapsed:
	default:
		return record{}, errRecord
	}
	sent, rest, _ := strings.Cut(rest, " ")
	since, last, _ := strings.Cut(rest, " ")
	var n int64
	for _, field := range [...]struct {
		text string
		to   *int64
		most int64
	}{{sent, &n, maxMessages}, {since, &r.since, maxStamp}, {last, &r.last, maxStamp}} {
		v, err := strconv.ParseUint(field.text, 10, 63)
		if err != nil || int64(v) > field.most || len(field.text) > 1 && field.text[0] == '0' {
			return record{}, errRecord
		}
		*field.to = int64(v)
	}
	r.sent = int(n)
	return r, nil
}

// Status is where an address stands in a campaign, and what comes next.
type Status struct {
	// State is the state in a word.
	State State
	// Sent is how many messages were handed out, of Of.
	Sent, Of int
	// Since is when it came to the state: was added, confirmed or lapsed. Zero when unknown.
	Since time.Time
	// Next is when the next message may go at the earliest; the trickle may make it later. Zero when none is to come.
	Next time.Time
	// Until is when an invited address has to have confirmed; zero before its last message.
	Until time.Time
}

// awaited reports whether a confirmation message may be under way to the address.
func (s Status) awaited(now time.Time) bool {
	return s.State == StateInvited && s.Sent > 0 && (s.Until.IsZero() || now.Before(s.Until))
}

// words say where the address stands.
func (s Status) words() string {
	switch {
	case s.State == StateInvited && s.Sent == 0:
		return "waiting for its first message"
	case s.State == StateInvited:
		return fmt.Sprintf("not confirmed yet, %d of %d messages sent", s.Sent, s.Of)
	case s.State == StateActive:
		return "confirmed"
	case s.State == StateLapsed:
		return "not confirmed in time"
	default:
		return "not in it"
	}
}

// maxStamp is 2100-01-01, the last time that is told from later ones.
const maxStamp = 4102444800 * int64(time.Second)

// stamp is t in nanoseconds since 1970. Times before 1970 and after 2100 are taken for the nearer end.
func stamp(t time.Time) int64 {
	switch s := t.Unix(); {
	case s < 0:
		return 0
	case s >= maxStamp/int64(time.Second):
		return maxStamp
	}
	return t.UnixNano()
}

// unstamp is the inverse of stamp, in UTC.
func unstamp(ns int64) time.Time { return time.Unix(0, ns).UTC() }
