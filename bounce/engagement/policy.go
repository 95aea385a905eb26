package engagement

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// The built-in ladder. SparkPost's IP warm-up overview: openers and clickers of the last 30 days in the first two weeks and of the last
// 60 in weeks 3 and 4, nobody older than 90 days in the first six weeks. The six weeks are our three thirds of a plan, whatever its
// length. The 180 days are ours: mailbox providers close what nobody reads after months, and spamtraps come from that.
const (
	day = 24 * time.Hour
	// DefaultMaxAge is how old the last activity may be, when warm.
	DefaultMaxAge = 180 * day
)

// Stage is how far the warm-up of a stream's routes has come. The zero Stage is warm.
type Stage struct {
	// Number is the stage, counted from 1; 0 when all is warm. More than Of is warm too.
	Number int
	// Of is how many stages there are.
	Of int
}

// check refuses what is no stage.
func (s Stage) check() error {
	if s.Number < 0 || s.Number > 0 && s.Of < 1 {
		return fmt.Errorf("engagement: Stage: %d of %d is no stage", s.Number, s.Of)
	}
	return nil
}

// warm is no warm-up, or one that is over.
func (s Stage) warm() bool { return s.Number == 0 || s.Number > s.Of }

// StageLimit is how old the last activity may be up to a stage of the warm-up. Either Stage or Share is set.
type StageLimit struct {
	// Stage is the last stage that the limit goes for, counted from 1. Defaults to 0: Share says it.
	Stage int
	// Share is the last stage as a share of the plan's stages, over 0 and at most 1. Defaults to 0: Stage says it.
	Share float64
	// MaxAge is how old the last activity may be. It must be positive, and not less than in the limit before.
	MaxAge time.Duration
}

// covers reports whether the limit goes for a stage.
func (l StageLimit) covers(s Stage) bool {
	if l.Stage > 0 {
		return s.Number <= l.Stage
	}
	// A third of 21 stages is 7 of them, whatever a third is as a float.
	return float64(s.Number) <= l.Share*float64(s.Of)+1e-6
}

// Policy is how old the last activity of those may be whom a stream writes to.
type Policy struct {
	// Stream is the stream's name. Defaults to "": all streams that no other policy names.
	Stream string
	// Everybody admits all addresses, active or not, known or not: for a stream that the policy of the other streams must not touch.
	// MaxAge and Stages are then not set. Defaults to false.
	Everybody bool
	// MaxAge is how old the last activity may be when the stream's routes are warm, and in stages that no entry of Stages
	// covers. Defaults to 180 days.
	MaxAge time.Duration
	// Stages are the limits during warm-up, in order: the first that covers the stage counts. None may be above MaxAge.
	// Defaults to those of Recommended, each cut to MaxAge.
	Stages []StageLimit
}

// Recommended is the built-in ladder for all streams that have no other: 30 days in the first third of the warm-up's stages, 60 in the
// second, 90 in the last, and 180 when warm.
func Recommended() Policy {
	return Policy{
		MaxAge: DefaultMaxAge,
		Stages: []StageLimit{
			{Share: 1.0 / 3, MaxAge: 30 * day},
			{Share: 2.0 / 3, MaxAge: 60 * day},
			{Share: 1, MaxAge: 90 * day},
		},
	}
}

// limit is how old the last activity may be at a stage.
func (p *Policy) limit(s Stage) time.Duration {
	if !s.warm() {
		for _, l := range p.Stages {
			if l.covers(s) {
				return l.MaxAge
			}
		}
	}
	return p.MaxAge
}

// complete fills in the defaults, or says what is wrong. It shares nothing with p.
func (p Policy) complete() (*Policy, error) {
	switch {
	case p.Everybody && (p.MaxAge != 0 || len(p.Stages) > 0):
		return nil, fault("Everybody", "is set, and so is MaxAge or Stages")
	case p.MaxAge < 0:
		return nil, fault("MaxAge", "is %v: must not be negative", p.MaxAge)
	case p.MaxAge == 0:
		p.MaxAge = DefaultMaxAge
	}
	if len(p.Stages) == 0 {
		p.Stages = Recommended().Stages
		for i := range p.Stages {
			p.Stages[i].MaxAge = min(p.Stages[i].MaxAge, p.MaxAge)
		}
		return &p, nil
	}
	p.Stages = slices.Clone(p.Stages)
	var last StageLimit
	for i, l := range p.Stages {
		if err := l.check(last, p.MaxAge); err != nil {
			return nil, fmt.Errorf("stage limit %d: %w", i+1, err)
		}
		last = l
	}
	return &p, nil
}

// check holds a limit against the one before and the policy's MaxAge.
func (l StageLimit) check(last StageLimit, most time.Duration) error {
	switch {
	case l.Stage < 0:
		return fault("Stage", "is %d: must not be negative", l.Stage)
	case math.IsNaN(l.Share) || l.Share < 0 || l.Share > 1:
		return fault("Share", "is %v: must be between 0 and 1", l.Share)
	case (l.Stage > 0) == (l.Share > 0):
		return fault("Stage", "and Share: one of them must be set, and not both")
	case l.Stage > 0 && l.Stage <= last.Stage:
		return fault("Stage", "is %d: must be more than the %d before", l.Stage, last.Stage)
	case l.Share > 0 && l.Share <= last.Share:
		return fault("Share", "is %v: must be more than the %v before", l.Share, last.Share)
	case l.MaxAge <= 0:
		return fault("MaxAge", "is %v: must be positive", l.MaxAge)
	case l.MaxAge < last.MaxAge:
		return fault("MaxAge", "is %v: must not be less than the %v before", l.MaxAge, last.MaxAge)
	case l.MaxAge > most:
		return fault("MaxAge", "is %v: must not be more than the policy's, which is %v", l.MaxAge, most)
	}
	return nil
}

// fault is what is wrong with a field.
func fault(field, format string, args ...any) error {
	return errors.New(field + " " + fmt.Sprintf(format, args...))
}
