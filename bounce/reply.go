package bounce

import (
	"fmt"
	"strings"
)

// Status is an enhanced mail system status code (RFC 3463 section 2): class.subject.detail. The zero Status means none.
type Status struct {
	Class, Subject, Detail int
}

// IsZero reports whether there is no status.
func (s Status) IsZero() bool { return s == Status{} }

// String is "5.1.1", or "" for none.
func (s Status) String() string {
	if s.IsZero() {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", s.Class, s.Subject, s.Detail)
}

// Reply is what a receiver said, or what our own side found out before or instead of a reply.
// A Reply is a value: it is not changed after it was made.
type Reply struct {
	// Code is the basic code (RFC 5321 section 4.2), or 0 when there was no SMTP reply (time-out, reset, DNS).
	Code int `json:"code,omitempty"`
	// Status is the enhanced status code, zero when the reply carries none.
	Status Status `json:"status,omitzero"`
	// Lines are the texts of all lines of the reply, without codes.
	Lines []string `json:"lines,omitempty"`
	// Stage is where in the conversation it came.
	Stage Stage `json:"stage,omitempty"`
	// Host is the name of the MX host or relay that said it, or empty.
	Host string `json:"host,omitempty"`
	// Local says that we made this reply ourselves (DNS, connect, TLS, policy): it is no receiver's opinion of us,
	// so no limit or reputation may react to it.
	Local bool `json:"local,omitempty"`
}

// Text is the reply's text on one line.
func (r Reply) Text() string { return strings.Join(r.Lines, " ") }

// OK reports whether the reply is positive (2yz or 3yz).
func (r Reply) OK() bool { return r.Code >= 200 && r.Code < 400 }

// String is the reply as it would stand in a log: "550 5.1.1 No such user".
func (r Reply) String() string {
	var b strings.Builder
	if r.Code != 0 {
		fmt.Fprintf(&b, "%03d", r.Code)
	}
	for _, s := range []string{r.Status.String(), r.Text()} {
		if s == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(s)
	}
	return b.String()
}
