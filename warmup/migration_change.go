package warmup

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// ArmCounts is what became of the messages of one arm.
type ArmCounts struct {
	// Attempts are the first attempts whose outcome is known; Bounced, Deferred, Blocked and Failed are some of them.
	Attempts int64 `json:"attempts,omitempty"`
	Bounced  int64 `json:"bounced,omitempty"`
	Deferred int64 `json:"deferred,omitempty"`
	Blocked  int64 `json:"blocked,omitempty"`
	Failed   int64 `json:"failed,omitempty"`
	// Delivered are the messages that were accepted, at the first attempt or later; Slow are those of them that took longer than SlowAfter.
	Delivered  int64 `json:"delivered,omitempty"`
	Slow       int64 `json:"slow,omitempty"`
	Complained int64 `json:"complained,omitempty"`
	// Diverted went the old way although it belonged to the new arm. It is no part of the others.
	Diverted int64 `json:"diverted,omitempty"`
}

// Proportion is a number of messages among others.
type Proportion struct {
	Bad int64 `json:"bad"`
	Of  int64 `json:"of"`
}

// Verdict is what a comparison says.
type Verdict string

const (
	// VerdictUnknown: one of the arms has too few messages.
	VerdictUnknown Verdict = "unknown"
	// VerdictFine: the new arm is not known to be worse.
	VerdictFine Verdict = "fine"
	// VerdictWorse: it seems to be worse. It is no time to advance.
	VerdictWorse Verdict = "worse"
	// VerdictProven: it is worse beyond the doubts that Alpha allows.
	VerdictProven Verdict = "proven"
)

// Comparison is one rate of both arms.
type Comparison struct {
	// Rate is what is compared: CauseBounces, CauseDeferrals, CauseBlocks, CauseFailures, CauseComplaints or CauseDelays.
	Rate Cause `json:"rate"`
	// New and Control are the messages of both arms in all stages that are compared.
	New     Proportion `json:"new"`
	Control Proportion `json:"control"`
	// Difference is by how much the rate of the new arm is larger, stage compared with stage. So it need not be the difference of the rates of New
	// and Control.
	Difference float64 `json:"difference"`
	// P is the probability of as large a difference, or a larger one, if the arms are alike.
	P       float64 `json:"p"`
	Verdict Verdict `json:"verdict"`
}

// String is the comparison in words: "deferrals: 31 of 600 against 220 of 11400, 3.24 points more, p = 2.1e-06: proven".
func (c Comparison) String() string {
	word := "more"
	if c.Difference < 0 {
		word = "less"
	}
	p := fmt.Sprintf("p = %.2g", c.P)
	if c.P < 1e-15 {
		p = "p < 1e-15"
	}
	return fmt.Sprintf("%s: %d of %d against %d of %d, %.2f points %s, %s: %s", c.Rate, c.New.Bad, c.New.Of, c.Control.Bad, c.Control.Of,
		math.Abs(c.Difference)*100, word, p, c.Verdict)
}

// MigrationPosition is where a migration stands.
type MigrationPosition struct {
	Phase MigrationPhase `json:"phase"`
	// Cause says why, when that is not the plain course: a rate, CauseOperator or CausePlan.
	Cause Cause `json:"cause,omitempty"`
	// Stage counts from 1. It is 0 while the share is smaller than that of the first stage, since the plan was changed, and before the start.
	Stage int `json:"stage"`
	// Share is the share of the new arm: 0 when rolled back, and before the start.
	Share float64 `json:"share"`
}

// MigrationChange is a move of a migration, or of one of its providers, to another phase, stage or share.
type MigrationChange struct {
	Migration string `json:"migration"`
	// Provider is empty if all advance together.
	Provider string `json:"provider,omitempty"`
	// Time is when it was decided, UTC.
	Time time.Time         `json:"time"`
	From MigrationPosition `json:"from"`
	To   MigrationPosition `json:"to"`
	// Evidence is all rates at that time, where they were looked at.
	Evidence []Comparison `json:"evidence,omitempty"`
	// Actor is who wanted it, for a change by an operator who gave a name (see WithActor), and Reason the reason that was given.
	Actor  string `json:"actor,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// String is the change in words, with the rates that speak against the new arm.
func (c MigrationChange) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "migration %s", c.Migration)
	if c.Provider != "" {
		fmt.Fprintf(&b, " (%s)", c.Provider)
	}
	fmt.Fprintf(&b, ": %s, stage %d (%.4g %%) -> %s, stage %d (%.4g %%)", c.From.Phase, c.From.Stage, c.From.Share*100, c.To.Phase, c.To.Stage, c.To.Share*100)
	if c.To.Cause != "" {
		fmt.Fprintf(&b, ", %s", c.To.Cause)
	}
	if c.Actor != "" {
		fmt.Fprintf(&b, ", by %s", c.Actor)
	}
	if c.Reason != "" {
		fmt.Fprintf(&b, ", %q", c.Reason)
	}
	for _, e := range c.Evidence {
		if e.Verdict == VerdictWorse || e.Verdict == VerdictProven {
			fmt.Fprintf(&b, "; %s", e)
		}
	}
	return b.String()
}

// MigrationState is where a migration, or one of its providers, stands, as far as this process knows from the record.
type MigrationState struct {
	Migration string `json:"migration"`
	// Provider is empty if all advance together.
	Provider string `json:"provider,omitempty"`
	MigrationPosition
	// Stages is the number of stages.
	Stages int `json:"stages"`
	// Since is when the stage began; UTC, like all times here.
	Since time.Time `json:"since,omitzero"`
	// Next is when the stage has lasted for StageTime; zero unless running or holding.
	Next time.Time `json:"next,omitzero"`
	// Sample is the number of first attempts of the new arm in the stage; it needs MinSample to pass.
	Sample    int64 `json:"sample"`
	MinSample int   `json:"min_sample"`
	// New and Control are what became of the messages in all stages since the start or the last restart, and Rates what is compared of it. A rate may be
	// proven worse here and be acted upon at the next look only.
	New     ArmCounts    `json:"new"`
	Control ArmCounts    `json:"control"`
	Rates   []Comparison `json:"rates,omitempty"`
	// History are the latest changes, at most 16, the oldest first.
	History []MigrationChange `json:"history,omitempty"`
}

// String is the state in words.
func (s MigrationState) String() string {
	name := s.Migration
	if s.Provider != "" {
		name += " (" + s.Provider + ")"
	}
	return fmt.Sprintf("migration %s: %s, stage %d of %d (%.4g %%), %d of %d in the sample", name, s.Phase, s.Stage, s.Stages, s.Share*100, s.Sample, s.MinSample)
}
