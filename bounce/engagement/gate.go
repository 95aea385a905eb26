package engagement

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Activity is what the host knows of the person behind an address.
type Activity struct {
	// Known is set when the host knows when the person was last active, or that it never was. Where it cannot know, since the
	// address comes from an import or was never written to, it is not set, and Last does not count.
	Known bool
	// Last is the last time that the person opened, clicked, logged in, bought or confirmed a subscription. What programs do by
	// themselves, such as opens by a provider's image proxy, should not count. Zero means never.
	Last time.Time
}

// Config is what a Gate is made of.
type Config struct {
	// Activity is the host's data: what is known of an address, which is given as AdmitAt got it. It is called concurrently, for each
	// question about a stream with a policy, so it should be quick. An error means that it cannot say now. It is required.
	Activity func(ctx context.Context, address string) (Activity, error)
	// Policies say whom each stream writes to. A stream that none goes for admits everybody. At least one is required, as
	// Recommended.
	Policies []Policy
	// Stage says how far the warm-up of a stream's routes has come: the earliest stage of all that are not warm. It is called
	// concurrently and for each question, and must not block. Defaults to nil: all are warm.
	Stage func(stream string) Stage
	// Confirmations is the campaign that asks unknown addresses. Defaults to nil: there is none, and whoever is unknown is refused.
	Confirmations *Campaign
}

// Decision is a Gate's answer.
type Decision struct {
	// OK admits the address.
	OK bool
	// Reason is why not, in words for people, without the address; empty when OK.
	Reason string
	// Age is how long ago the last activity was; 0 when there was none or nothing is known.
	Age time.Duration
	// Limit is how old it may be; 0 when the stream admits everybody.
	Limit time.Duration
	// Unknown is set when nothing is known of the address's activity, neither by the host nor from the campaign.
	Unknown bool
}

// Gate decides whether an address may be written to. It is safe for concurrent use; make one with New.
type Gate struct {
	config   Config
	policies map[string]*Policy
}

// New makes a Gate. The error names the field that is wrong.
func New(config Config) (*Gate, error) {
	switch {
	case config.Activity == nil:
		return nil, errors.New("engagement: Config.Activity is missing")
	case len(config.Policies) == 0:
		return nil, errors.New("engagement: Config.Policies is empty: there must be at least one, such as Recommended()")
	}
	g := &Gate{config: config, policies: make(map[string]*Policy, len(config.Policies))}
	for i, p := range config.Policies {
		if g.policies[p.Stream] != nil {
			return nil, fmt.Errorf("engagement: Config.Policies[%d]: there is one for stream %q already", i, p.Stream)
		}
		complete, err := p.complete()
		if err != nil {
			return nil, fmt.Errorf("engagement: Config.Policies[%d]: %w", i, err)
		}
		g.policies[p.Stream] = complete
	}
	return g, nil
}

// Admit is AdmitAt for now.
func (g *Gate) Admit(ctx context.Context, stream, address string) (Decision, error) {
	return g.AdmitAt(ctx, time.Now(), stream, address)
}

// AdmitAt decides whether a stream may write to an address:
//
//  1. A stream without a policy, or with one for everybody, admits the address.
//  2. Who was active within the policy's limit for the stage is admitted.
//  3. Otherwise the campaign is asked, if there is one: a confirmation counts as activity, and on the campaign's own stream who is
//     invited is admitted, from the first invitation to the end of its time. Without a policy that stream admits nobody else.
//  4. Everybody else is refused.
//
// Activity later than now counts as now. AdmitAt never sleeps, but takes as long as Config.Activity, and the campaign's store for
// those that are refused. An error says that there is no decision, since one of them failed: the message must wait. Safe for
// concurrent use.
func (g *Gate) AdmitAt(ctx context.Context, now time.Time, stream, address string) (Decision, error) {
	policy := g.policies[stream]
	if policy == nil {
		policy = g.policies[""]
	}
	campaign := g.config.Confirmations
	invites := campaign != nil && campaign.cfg.Stream == stream
	if policy != nil && policy.Everybody || policy == nil && !invites {
		return Decision{OK: true}, nil
	}

	// q is the decision in the making: known is what the reason needs besides.
	q := question{stream: stream, policy: policy}
	if policy != nil {
		if g.config.Stage != nil {
			q.stage = g.config.Stage(stream)
		}
		if err := q.stage.check(); err != nil {
			return Decision{}, err
		}
		activity, err := g.config.Activity(ctx, address)
		if err != nil {
			return Decision{}, fmt.Errorf("engagement: Activity: %w", err)
		}
		if q.activity = activity; q.active(now) {
			return q.decision(now, true), nil
		}
	}
	if campaign == nil {
		return q.decision(now, false), nil
	}
	var err error
	q.status, err = campaign.Status(ctx, address)
	switch {
	case errors.Is(err, ErrAddress): // Nor can it have been added.
		return q.decision(now, false), nil
	case err != nil:
		return Decision{}, err
	}
	if s := q.status; s.State == StateActive && (!q.activity.Known || s.Since.After(q.activity.Last)) {
		q.activity = Activity{Known: true, Last: s.Since}
	}
	return q.decision(now, q.active(now) || invites && q.status.awaited(now)), nil
}

// question is what a decision is made from.
type question struct {
	stream   string
	policy   *Policy // nil on a campaign's stream that has none
	stage    Stage
	activity Activity
	status   Status
}

// active reports whether the activity is within the limit.
func (q *question) active(now time.Time) bool {
	return q.policy != nil && q.activity.Known && !q.activity.Last.IsZero() && now.Sub(q.activity.Last) <= q.policy.limit(q.stage)
}

func (q *question) decision(now time.Time, ok bool) Decision {
	d := Decision{OK: ok, Unknown: !q.activity.Known}
	if q.activity.Known && !q.activity.Last.IsZero() {
		d.Age = max(0, now.Sub(q.activity.Last))
	}
	if q.policy != nil {
		d.Limit = q.policy.limit(q.stage)
	}
	if !ok {
		d.Reason = q.reason(d)
	}
	return d
}

// reason says why the address is refused.
func (q *question) reason(d Decision) string {
	if q.policy == nil {
		return fmt.Sprintf("stream %s takes only whom the confirmation campaign asks: %s", q.stream, q.status.words())
	}
	takes := fmt.Sprintf("stream %s takes %s", q.stream, span(d.Limit))
	if !q.stage.warm() {
		takes += fmt.Sprintf(" at warm-up stage %d of %d", q.stage.Number, q.stage.Of)
	}
	switch {
	case d.Unknown && q.status.State != "":
		return fmt.Sprintf("last activity unknown, %s; confirmation campaign: %s", takes, q.status.words())
	case d.Unknown:
		return "last activity unknown, " + takes
	case q.activity.Last.IsZero():
		return "never active, " + takes
	case span(d.Age) == span(d.Limit):
		return fmt.Sprintf("last active more than %s ago, %s", span(d.Age), takes)
	default:
		return fmt.Sprintf("last active %s ago, %s", span(d.Age), takes)
	}
}

// span is a duration for people: in days from two days on.
func span(d time.Duration) string {
	if d < 2*day {
		return d.Round(time.Second).String()
	}
	return fmt.Sprintf("%d days", d/day)
}
