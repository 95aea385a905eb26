package sender

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/route"
)

// Forecast is about when a message would go out, if it were accepted now. It is an estimate: what is in the way is known, and what will come is not.
//
// It goes by what the Sender has in memory. A path may be stopped, or something be suspended by an operator: it goes on when that ends, or the mail takes another route, as it would. A path that is being warmed up goes on when it has allowance, or the mail
// takes another route. A path that is busy gives as much as its limits let through now, and not more than it has given lately while mail stood in line for it; of that
// the lane has the part that the weights of the streams and the turns of the other lanes leave for it. Then what stands before the message takes so long.
//
// What it does not know of: mail that will be accepted with a higher priority or weight, retries that are not due yet, and what receivers will say. What other processes
// on the same queue have put there it learns with the counts of Stats.
type Forecast struct {
	// Stream and Destination are what was asked for; the destination is a domain, as in queue.Lane.
	Stream      string `json:"stream"`
	Destination string `json:"destination"`
	// Provider is that of the destination; empty when its mail hosts are not known yet.
	Provider string `json:"provider,omitempty"`
	// At is about when the first attempt begins. Never before the time at which it was asked, and at most a year after.
	At time.Time `json:"at"`
	// Earliest is before when it surely does not begin: the end of a stop, say. Never after At.
	Earliest time.Time `json:"earliest"`
	// Basis says what At is made of.
	Basis Basis `json:"basis"`
	// Ahead is how many deliveries go before it over the path that it takes: those of its lane, and of other lanes and streams whose turn comes sooner.
	Ahead int `json:"ahead"`
	// Path is the route that it would take, with the provider (RelayProvider for relays).
	Path Path `json:"path,omitzero"`
	// Overflow says that this is an overflow route of the pool.
	Overflow bool `json:"overflow,omitempty"`
	// Waits are what is in the way of each route, in the order in which these are tried. Empty when nothing is.
	Waits []Wait `json:"waits,omitempty"`
	// Rate is how many deliveries a second its lane may expect to get out; 0 when no limit of it is known.
	Rate float64 `json:"rate,omitempty"`
}

// Basis says what a Forecast is made of.
type Basis string

// The bases.
const (
	// BasisClear: nothing is in the way.
	BasisClear Basis = "clear"
	// BasisLimits: what is in the way ends at times that are known: stops, rates, allowance.
	BasisLimits Basis = "limits"
	// BasisSpeed: it depends on how fast the path was lately.
	BasisSpeed Basis = "speed"
	// BasisUnknown: something that it depends on is not known: where the destination's mail goes, how fast a busy path is, when an operator goes on. At is then as if
	// that were not in the way.
	BasisUnknown Basis = "unknown"
)

// TooLateError is what Enqueue and EnqueueTx return for a message that would not go out by its NotAfter. Nothing was stored.
type TooLateError struct {
	// NotAfter is the message's.
	NotAfter time.Time
	// Forecast is that of the first destination which is too late.
	Forecast Forecast
}

// Error tells both times, and what is in the way.
func (e *TooLateError) Error() string {
	s := fmt.Sprintf("sender: message: mail to %s goes out at %s, which is after NotAfter, %s", e.Forecast.Destination,
		e.Forecast.At.UTC().Format(time.RFC3339), e.NotAfter.UTC().Format(time.RFC3339))
	for i, w := range e.Forecast.Waits {
		if i == 0 {
			s += ": "
		} else {
			s += "; "
		}
		s += w.String()
	}
	return s
}

// late reports whether the first attempt comes after a time for all that is known. What is not known is no reason.
func (f *Forecast) late(notAfter time.Time) bool {
	if f.Basis == BasisUnknown {
		return f.Earliest.After(notAfter)
	}
	return f.At.After(notAfter)
}

// Forecast tells when a message of a stream to a destination would go out, if it were accepted now with priority 0. The destination is a domain or an address
// literal; of an address the domain counts. The stream's name may be empty for the first one.
//
// Where the destination's mail hosts are not known they are looked up, which ctx bounds; a look-up that fails for now gives a forecast that waits for DNS. It uses no other
// I/O, and is cheap enough to be asked for each of some thousand destinations. Before Start and after Stop it waits for WaitStopped.
//
// Errors are *FieldError for a stream that does not exist and a malformed destination, ctx's own, and *route.Error for a destination that takes no mail at all.
func (s *Sender) Forecast(ctx context.Context, stream, destination string) (Forecast, error) {
	st, err := s.streamOf(&Message{Stream: stream})
	if err != nil {
		return Forecast{}, err
	}
	name, err := forecastDomain(destination)
	if err != nil {
		return Forecast{}, err
	}
	del := queue.Delivery{Lane: queue.Lane{Stream: st.Name, Domain: name}}
	if !s.isRunning() {
		return stoppedForecast(&del, time.Now()), nil
	}
	if f := s.dispatch.forecast(st, &del); f.Provider != "" {
		return f, nil
	}
	dest, err := s.cfg.Resolver.Resolve(ctx, name)
	var re *route.Error
	switch {
	case err == nil:
		s.dispatch.know(name, s.dispatch.destinationOf(name, dest))
	case ctx.Err() != nil:
		return Forecast{}, ctx.Err()
	case errors.As(err, &re) && !re.Temporary:
		return Forecast{}, err
	}
	f := s.dispatch.forecast(st, &del)
	if err != nil && len(f.Waits) > 0 && f.Waits[0].Detail == "" {
		f.Waits[0].Detail = err.Error()
	}
	return f, nil
}

// forecastDomain is the domain of a destination, in the form of lanes.
func forecastDomain(destination string) (string, error) {
	for i := len(destination) - 1; i >= 0; i-- {
		if destination[i] == '@' {
			destination = destination[i+1:]
			break
		}
	}
	if destination == "" {
		return "", badField("destination", "", "is empty")
	}
	name, err := normalDomain(destination)
	if err != nil {
		return "", fieldError("destination", destination, err)
	}
	return name, nil
}

// stoppedForecast is that of a Sender which is not running: nobody knows when it will.
func stoppedForecast(del *queue.Delivery, now time.Time) Forecast {
	return Forecast{
		Stream: del.Lane.Stream, Destination: del.Lane.Domain, At: now, Earliest: now, Basis: BasisUnknown, Waits: []Wait{{Reason: WaitStopped}},
	}
}

// maxForecasts is to how many destinations of one message it is looked when they would go out: those of its first recipients.
const maxForecasts = 16

// foresee is the forecast of a message that is about to be put: that of the destination which comes last. With NotAfter, a destination that comes too late is an error.
func (s *Sender) foresee(m *Message, deliveries []queue.Delivery) (last Forecast, err error) {
	running, now := s.isRunning(), time.Now()
	var seen [maxForecasts]string
	n := 0
each:
	for i := range deliveries {
		del := &deliveries[i]
		for _, domain := range seen[:n] {
			if domain == del.Lane.Domain {
				continue each
			}
		}
		if n == maxForecasts {
			break
		}
		seen[n] = del.Lane.Domain
		n++
		if !running {
			return stoppedForecast(del, now), nil
		}
		f := s.dispatch.forecast(s.stream(del.Lane.Stream), del)
		if !m.NotAfter.IsZero() && f.late(m.NotAfter) {
			return Forecast{}, &TooLateError{NotAfter: m.NotAfter, Forecast: f}
		}
		if n == 1 || f.At.After(last.At) {
			last = f
		}
	}
	return last, nil
}

// life is how long a message lives in the queue: for as long as its stream says, or until NotAfter.
func (m *Message) life(st *stream, now time.Time) (time.Duration, error) {
	if m.NotAfter.IsZero() {
		return st.ExpireAfter, nil
	}
	left := m.NotAfter.Sub(now)
	switch {
	case left < minLife:
		return 0, badField("NotAfter", "", "%s is not a second from now, %s", m.NotAfter.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	case left > st.ExpireAfter:
		return 0, badField("NotAfter", "", "%s is after the mail of stream %q expires, %v from now", m.NotAfter.UTC().Format(time.RFC3339), st.Name, st.ExpireAfter)
	}
	return left, nil
}

// minLife is the shortest life that a queue takes.
const minLife = time.Second

// again is the receipt of a message which comes too late, if it was accepted before.
func (s *Sender) again(ctx context.Context, m *Message, err error) (Receipt, bool) {
	var late *TooLateError
	var field *FieldError
	if m.ID == "" || !errors.As(err, &late) && !(errors.As(err, &field) && field.Field == "NotAfter") {
		return Receipt{}, false
	}
	r, err := s.duplicate(ctx, m.ID)
	return r, err == nil && len(r.Deliveries) > 0
}
