package warmup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Bounds of a plan.
const (
	// DefaultGrowth is the growth from stage to stage that Geometric uses when it is given none: the factor of SendGrid's automated
	// schedule.
	DefaultGrowth = 1.4
	// WeeklyGrowth is the growth from week to week that Weekly uses when it is given none.
	WeeklyGrowth = 1.3
	// MaxGrowth is the growth from stage to stage that Validate refuses, and everything above it, unless the plan sets AllowJumps.
	// Google's sender guidelines name immediate doubling as a cause of rate limiting and lost reputation.
	MaxGrowth = 2.0
	// MaxStages is the largest number of stages of a plan.
	MaxStages = 1000
	// MaxEvery is the largest Every of a plan, in days.
	MaxEvery = 28
	// MaxCap is the largest cap of a stage, in messages.
	MaxCap = 1 << 30
)

// Stage is one step of a plan: how much a path may carry while it stands there. Each cap is the largest number of messages in any
// rolling window of its length, not in a calendar unit.
type Stage struct {
	// Day is the cap for any 24 hours. Between 1 and MaxCap.
	Day int `json:"day"`
	// Hour is the cap for any 60 minutes, at most Day. 0 derives ceil(Day/8): our judgement, that a day's volume should fit into the
	// eight hours of a working day and no less.
	Hour int `json:"hour,omitempty"`
	// Minute is the cap for any 60 seconds, at most Hour. 0 derives ceil(Hour/30), and spreads an hour's volume over at least 48 minutes: messages
	// follow each other no faster, but for those of some 15 seconds. Both are our judgement. An explicit Minute is not spread.
	Minute int `json:"minute,omitempty"`
}

// Caps is the stage with its derived caps filled in.
func (s Stage) Caps() Stage {
	if s.Hour == 0 {
		s.Hour = max(1, ceilDiv(s.Day, 8))
	}
	if s.Minute == 0 {
		s.Minute = max(1, ceilDiv(s.Hour, 30))
	}
	return s
}

// The spreading of an hour's volume.
const (
	// paceTime is the time that an hour's volume takes at least.
	paceTime = int64(48 * time.Minute)
	// paceBurst is the time whose messages may go at once.
	paceBurst = int64(15 * time.Second)
)

// paceOf is the least time between two messages at so many an hour.
func paceOf(hour int) int64 { return paceTime / int64(hour) }

// ceilDiv is a divided by b, rounded up, without overflow for a near the largest int.
func ceilDiv(a, b int) int {
	q := a / b
	if a%b > 0 {
		q++
	}
	return q
}

// Plan is a warm-up as data: the stages a path climbs, one at a time, each at least 24 hours long. A Plan is a value: it may be
// written by hand, loaded from JSON, or made by one of the constructors. It is checked by Validate, not when it is made.
type Plan struct {
	// Name is a short label for logs and states, such as "braze-moderate".
	Name string `json:"name,omitempty"`
	// Source says where the numbers come from.
	Source string `json:"source,omitempty"`
	// Stages are the steps in order. The last one is the volume that the host needs (its peak): when it has been carried for a day, the
	// warm-up is complete and the path is without caps.
	Stages []Stage `json:"stages"`
	// AllowJumps accepts a growth of MaxGrowth or more between stages. The built-in plans whose published tables contain such jumps
	// set it; each says so. Defaults to false.
	AllowJumps bool `json:"allow_jumps,omitempty"`
	// Calendar advances a stage for each day on which something was sent, however little, for those who must follow a fixed table. The gate
	// still holds and steps back. Defaults to false: 90 % of a stage has to be delivered.
	Calendar bool `json:"calendar,omitempty"`
	// Every is the days from one sending to the next: 7 for a weekly newsletter. A path advances once per sending, and silence counts
	// only from when the next one is due. At most MaxEvery. Defaults to 1.
	Every int `json:"every,omitempty"`
	// Keep keeps the caps of the last stage for good: the plan of a limit that stays, as for all providers of a route together. Defaults to false.
	Keep bool `json:"keep,omitempty"`

	// invalid is why the constructor could not make the plan; Validate returns it.
	invalid string
}

// IsZero says whether p is the zero Plan, which stands for "no warm-up" where a plan is optional. A plan that a constructor could not
// make is not zero.
func (p Plan) IsZero() bool {
	return p.Name == "" && p.Source == "" && len(p.Stages) == 0 && !p.AllowJumps && !p.Calendar && p.Every == 0 && !p.Keep && p.invalid == ""
}

// Peak is the day cap of the last stage, in messages per 24 hours; 0 for a plan without stages.
func (p Plan) Peak() int {
	if len(p.Stages) == 0 {
		return 0
	}
	return p.Stages[len(p.Stages)-1].Day
}

// maxPlanSize is the largest plan that ReadPlan takes, in bytes.
const maxPlanSize = 1 << 20

// ReadPlan reads a plan from JSON, in the form that encoding/json gives a Plan, and validates it. Unknown fields and anything behind the plan are
// errors, so that a misspelt field is not taken for its default; so is more than 1 MiB.
func ReadPlan(r io.Reader) (Plan, error) {
	limited := &io.LimitedReader{R: r, N: maxPlanSize + 1}
	d := json.NewDecoder(limited)
	d.DisallowUnknownFields()
	var p Plan
	if err := d.Decode(&p); err != nil {
		if limited.N <= 0 {
			err = fmt.Errorf("it has more than %d bytes", maxPlanSize)
		}
		return Plan{}, fmt.Errorf("warmup: plan: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Plan{}, errors.New("warmup: plan: something follows it")
	}
	if err := p.Validate(); err != nil {
		return Plan{}, err
	}
	return p, nil
}

// EndAt is the plan with its end at peak messages a day, the largest volume of the host: stages at or above it are left out, and the last one is
// peak. A plan whose table ends below peak is an error: it would be complete at a volume that the receiver has never seen.
func (p Plan) EndAt(peak int) (Plan, error) {
	if err := p.Validate(); err != nil {
		return Plan{}, err
	}
	if peak < 1 || peak > MaxCap {
		return Plan{}, fmt.Errorf("warmup: plan %q: peak is %d: must be between 1 and %d", p.Name, peak, MaxCap)
	}
	if p.Peak() < peak {
		return Plan{}, fmt.Errorf("warmup: plan %q: it ends at %d messages a day, below the %d that are needed", p.Name, p.Peak(), peak)
	}
	var stages []Stage
	for _, s := range p.Stages {
		if s.Day >= peak {
			last := Stage{Day: peak, Hour: min(s.Hour, peak)}
			last.Minute = min(s.Minute, last.Caps().Hour)
			if n := len(stages); n > 0 { // What is derived of less may be below what was said of the stage before.
				was, caps := stages[n-1].Caps(), last.Caps()
				if caps.Hour < was.Hour {
					last.Hour = min(was.Hour, peak)
				}
				if last.Caps().Minute < was.Minute {
					last.Minute = min(was.Minute, last.Caps().Hour)
				}
			}
			stages = append(stages, last)
			break
		}
		stages = append(stages, s)
	}
	p.Stages = stages
	return p, nil
}

// Validate checks the plan and returns an error that names the stage (counted from 1) and the field at fault: there are between 1 and
// MaxStages stages; every cap is positive, at most MaxCap and no smaller than in the stage before; Minute <= Hour <= Day; and Day
// grows by less than MaxGrowth from stage to stage, unless AllowJumps is set. A step of a single message is always accepted.
func (p Plan) Validate() error {
	if err := p.validate(); err != nil {
		return fmt.Errorf("warmup: %w", err)
	}
	return nil
}

func (p Plan) validate() error {
	err := p.check()
	switch {
	case err == nil:
		return nil
	case p.Name == "":
		return fmt.Errorf("plan: %w", err)
	default:
		return fmt.Errorf("plan %q: %w", p.Name, err)
	}
}

func (p Plan) check() error {
	if p.invalid != "" {
		return errors.New(p.invalid)
	}
	if p.Every < 0 || p.Every > MaxEvery {
		return fault("Every", "is %d: must be between 0 and %d", p.Every, MaxEvery)
	}
	if len(p.Stages) == 0 {
		return fault("Stages", "is empty: there must be at least one")
	}
	if len(p.Stages) > MaxStages {
		return fault("Stages", "has %d entries: at most %d are allowed", len(p.Stages), MaxStages)
	}
	var last Stage
	for i, s := range p.Stages {
		if err := s.check(last, p.AllowJumps); err != nil {
			return fmt.Errorf("stage %d: %w", i+1, err)
		}
		last = s.Caps()
	}
	return nil
}

// check holds one stage against the one before, whose derived caps are filled in; the zero Stage stands before the first.
func (s Stage) check(last Stage, jumps bool) error {
	switch {
	case s.Day < 1:
		return fault("Day", "is %d: must be at least 1", s.Day)
	case s.Day > MaxCap:
		return fault("Day", "is %d: must be at most %d", s.Day, MaxCap)
	case s.Hour < 0:
		return fault("Hour", "is %d: must not be negative", s.Hour)
	case s.Minute < 0:
		return fault("Minute", "is %d: must not be negative", s.Minute)
	}
	caps := s.Caps()
	switch {
	case caps.Hour > caps.Day:
		return fault("Hour", "is %d: must be at most Day, which is %d", caps.Hour, caps.Day)
	case caps.Minute > caps.Hour:
		return fault("Minute", "is %d: must be at most Hour, which is %d", caps.Minute, caps.Hour)
	case caps.Day < last.Day:
		return fault("Day", "is %d: must not be less than the %d of the stage before", caps.Day, last.Day)
	case caps.Hour < last.Hour:
		return fault("Hour", "is %d: must not be less than the %d of the stage before", caps.Hour, last.Hour)
	case caps.Minute < last.Minute:
		return fault("Minute", "is %d: must not be less than the %d of the stage before", caps.Minute, last.Minute)
	}
	if !jumps && last.Day > 0 && caps.Day > last.Day+1 && float64(caps.Day) >= MaxGrowth*float64(last.Day) {
		return fault("Day", "grows from %d to %d, which is %.2f times: must be less than %.1f times, or set AllowJumps",
			last.Day, caps.Day, float64(caps.Day)/float64(last.Day), MaxGrowth)
	}
	return nil
}

// fault is what is wrong with a field.
func fault(field, format string, args ...any) error {
	return errors.New(field + " " + fmt.Sprintf(format, args...))
}
