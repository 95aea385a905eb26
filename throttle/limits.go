package throttle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// TLS says whether a provider must be spoken to under TLS.
type TLS string

// The TLS values. The empty one has no opinion: the route's own policy holds.
const (
	// TLSOpportunistic uses TLS when the receiver offers it.
	TLSOpportunistic TLS = "opportunistic"
	// TLSRequired sends nothing without TLS; the certificate is not verified.
	TLSRequired TLS = "required"
)

// Limits says what a provider accepts over one route. In every field 0 means unlimited (or no opinion).
//
// In JSON a rate is text as Rate.String gives it, a duration is text as time.ParseDuration reads it.
type Limits struct {
	// Connections is the most connections open at once.
	Connections int
	// MessagesPerConnection is the most messages over one connection.
	MessagesPerConnection int
	// Recipients is the most recipients of one transaction.
	Recipients int
	// MessageRate is how many messages may begin.
	MessageRate Rate
	// ConnectRate is how many connections may be opened.
	ConnectRate Rate
	// IdleTimeout is how long an unused connection may stay open.
	IdleTimeout time.Duration
	// TLS is required, opportunistic or empty.
	TLS TLS
}

// DefaultLimits are the limits of a provider that the table does not know: 10 connections of 100 messages, 100 messages a
// second, 100 connections a minute, 60 seconds idle, opportunistic TLS (KumoMTA's default shaping), and 100
// recipients, which every receiver must take (RFC 5321 section 4.5.3.1.8).
func DefaultLimits() Limits {
	return Limits{
		Connections:           10,
		MessagesPerConnection: 100,
		Recipients:            100,
		MessageRate:           Rate{N: 100, Per: time.Second},
		ConnectRate:           Rate{N: 100, Per: time.Minute},
		IdleTimeout:           time.Minute,
		TLS:                   TLSOpportunistic,
	}
}

// validate names the first field that cannot be.
func (l Limits) validate() error {
	for _, f := range []struct {
		name  string
		value int
	}{
		{"Connections", l.Connections},
		{"MessagesPerConnection", l.MessagesPerConnection},
		{"Recipients", l.Recipients},
	} {
		if f.value < 0 {
			return invalid(f.name, "%d is negative", f.value)
		}
	}
	if err := l.MessageRate.validate(); err != nil {
		return invalid("MessageRate", "%v", err)
	}
	if err := l.ConnectRate.validate(); err != nil {
		return invalid("ConnectRate", "%v", err)
	}
	if l.IdleTimeout < 0 {
		return invalid("IdleTimeout", "%v is negative", l.IdleTimeout)
	}
	switch l.TLS {
	case "", TLSOpportunistic, TLSRequired:
	default:
		return invalid("TLS", "%q is neither %q nor %q", l.TLS, TLSOpportunistic, TLSRequired)
	}
	return nil
}

// strictest keeps to both limits. TLS is only required if both require it, or a receiver without it would get no mail.
func strictest(a, b Limits) Limits {
	tls := a.TLS
	if tls != b.TLS {
		tls = TLSOpportunistic
	}
	return Limits{
		Connections:           tighter(a.Connections, b.Connections),
		MessagesPerConnection: tighter(a.MessagesPerConnection, b.MessagesPerConnection),
		Recipients:            tighter(a.Recipients, b.Recipients),
		MessageRate:           slower(a.MessageRate, b.MessageRate),
		ConnectRate:           slower(a.ConnectRate, b.ConnectRate),
		IdleTimeout:           tighter(a.IdleTimeout, b.IdleTimeout),
		TLS:                   tls,
	}
}

// tighter is the smaller of two limits of which 0 is no limit.
func tighter[N int | time.Duration](a, b N) N {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// limitsJSON is the form of Limits in JSON. A field that is left out is nil, and keeps what was there before.
type limitsJSON struct {
	Connections           *int    `json:"connections"`
	MessagesPerConnection *int    `json:"messages_per_connection"`
	Recipients            *int    `json:"recipients"`
	MessageRate           *Rate   `json:"message_rate"`
	ConnectRate           *Rate   `json:"connect_rate"`
	IdleTimeout           *string `json:"idle_timeout"`
	TLS                   *TLS    `json:"tls"`
}

// MarshalJSON writes every field, also those that are 0.
func (l Limits) MarshalJSON() ([]byte, error) {
	idle := l.IdleTimeout.String()
	return json.Marshal(limitsJSON{
		&l.Connections, &l.MessagesPerConnection, &l.Recipients, &l.MessageRate, &l.ConnectRate, &idle, &l.TLS,
	})
}

// UnmarshalJSON sets the fields that data names and leaves the others as they were. It refuses unknown ones.
func (l *Limits) UnmarshalJSON(data []byte) error {
	set := *l
	idle := set.IdleTimeout.String()
	form := limitsJSON{
		&set.Connections, &set.MessagesPerConnection, &set.Recipients, &set.MessageRate, &set.ConnectRate, &idle, &set.TLS,
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&form); err != nil {
		return err
	}
	var err error
	if set.IdleTimeout, err = time.ParseDuration(idle); err != nil {
		return fmt.Errorf("idle_timeout: %w", err)
	}
	*l = set
	return nil
}

// Rate is N events per Per. The zero Rate is unlimited.
type Rate struct {
	N   int
	Per time.Duration
}

// maxRate keeps the arithmetic of a bucket exact.
const maxRate = 1_000_000_000

// perSecond is the rate as a number; not for the zero Rate.
func (r Rate) perSecond() float64 { return float64(r.N) / r.Per.Seconds() }

// burst is how many events may come at once: one second's worth, and at least one.
func (r Rate) burst() int { return max(1, int(math.Ceil(r.perSecond()))) }

// slower is the smaller of two rates.
func slower(a, b Rate) Rate {
	if a == (Rate{}) || b != (Rate{}) && b.perSecond() < a.perSecond() {
		return b
	}
	return a
}

func (r Rate) validate() error {
	switch {
	case r == Rate{}:
		return nil
	case r.N <= 0 || r.N > maxRate:
		return fmt.Errorf("%d per %v: want 1 to %d, or the zero Rate for unlimited", r.N, r.Per, maxRate)
	case r.Per <= 0:
		return fmt.Errorf("%d per %v: the time must be positive", r.N, r.Per)
	case r.perSecond() > maxRate:
		return fmt.Errorf("%d per %v is more than %d per second", r.N, r.Per, maxRate)
	}
	return nil
}

// units are the times that String and ParseRate write by a letter.
var units = []struct {
	name string
	per  time.Duration
}{{"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour}}

// String is "100/s", "100/m", "500/h", "5000/d", "10/90s" and so on, or "" for the zero Rate.
func (r Rate) String() string {
	if r == (Rate{}) {
		return ""
	}
	for _, u := range units {
		if r.Per == u.per {
			return strconv.Itoa(r.N) + "/" + u.name
		}
	}
	return strconv.Itoa(r.N) + "/" + r.Per.String()
}

// ParseRate reads what String writes: a number, a slash and a duration as time.ParseDuration reads it, or one of the
// letters s, m, h and d for one second, minute, hour and day. The empty text is the zero Rate.
func ParseRate(text string) (Rate, error) {
	if text == "" {
		return Rate{}, nil
	}
	count, per, ok := strings.Cut(text, "/")
	if !ok {
		return Rate{}, fmt.Errorf("throttle: rate %q: want a form like 100/s", text)
	}
	n, err := strconv.Atoi(count)
	if err != nil {
		return Rate{}, fmt.Errorf("throttle: rate %q: %w", text, errors.Unwrap(err))
	}
	r := Rate{N: n}
	for _, u := range units {
		if per == u.name {
			r.Per = u.per
		}
	}
	if r.Per == 0 {
		if r.Per, err = time.ParseDuration(per); err != nil {
			return Rate{}, fmt.Errorf("throttle: rate %q: %w", text, err)
		}
	}
	if r == (Rate{}) {
		return Rate{}, fmt.Errorf("throttle: rate %q: unlimited is the empty text", text)
	}
	if err := r.validate(); err != nil {
		return Rate{}, fmt.Errorf("throttle: rate %q: %w", text, err)
	}
	return r, nil
}

// MarshalText is String.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText is ParseRate.
func (r *Rate) UnmarshalText(text []byte) error {
	var err error
	*r, err = ParseRate(string(text))
	return err
}
