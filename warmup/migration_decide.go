package warmup

// The looks.
const (
	// maxLooks is the number of looks that share Alpha with each other. At a growth of a quarter they last from 200 messages to 100 million.
	maxLooks = 60
	// rates is the number of rates.
	rates = 6
)

// compare are the rates of both arms, stage by stage and added up. The last stage is left out: what the control arm still carries then is what was
// put off before.
func (r *migrationRecord) compare(t MigrationTests) []Comparison {
	all := make([]Comparison, 0, rates)
	tables := make([]arm2x2, 0, len(r.Strata))
	for _, rate := range [rates]Cause{CauseBounces, CauseDeferrals, CauseBlocks, CauseFailures, CauseComplaints, CauseDelays} {
		c := Comparison{Rate: rate, Verdict: VerdictFine}
		tables = tables[:0]
		for i := range r.Strata {
			s := &r.Strata[i]
			if s.Share >= 1 {
				continue
			}
			a, b := s.New.proportion(rate), s.Control.proportion(rate)
			tables = append(tables, arm2x2{a.Bad, a.Of, b.Bad, b.Of})
			c.New.Bad, c.New.Of = c.New.Bad+a.Bad, c.New.Of+a.Of
			c.Control.Bad, c.Control.Of = c.Control.Bad+b.Bad, c.Control.Of+b.Of
		}
		c.Difference, c.P = excess(tables)
		effect := t.MinEffect
		if rate == CauseComplaints {
			effect /= complaintPart
		}
		switch {
		case min(c.New.Of, c.Control.Of) < int64(t.MinSample):
			c.Verdict = VerdictUnknown
		case c.Difference < effect:
		case c.P < t.Alpha/(rates*maxLooks):
			c.Verdict = VerdictProven
		case c.P < t.HoldAlpha:
			c.Verdict = VerdictWorse
		}
		all = append(all, c)
	}
	return all
}

// proportion is a rate of the arm. Complaints come later than deliveries, so that there may be more of them in a stage.
func (c *ArmCounts) proportion(rate Cause) Proportion {
	switch rate {
	case CauseBounces:
		return Proportion{min(c.Bounced, c.Attempts), c.Attempts} // Late ones may belong to the stage before.
	case CauseDeferrals:
		return Proportion{c.Deferred, c.Attempts}
	case CauseBlocks:
		return Proportion{c.Blocked, c.Attempts}
	case CauseFailures:
		return Proportion{c.Failed, c.Attempts}
	case CauseComplaints:
		return Proportion{min(c.Complained, c.Delivered), c.Delivered}
	default:
		return Proportion{c.Slow, c.Delivered}
	}
}

// worst is the rate that is surest to be worse, with at least that verdict, or nil.
func worst(all []Comparison, verdict Verdict) *Comparison {
	var w *Comparison
	for i := range all {
		c := &all[i]
		if (c.Verdict == VerdictProven || c.Verdict == verdict) && (w == nil || c.P < w.P) {
			w = c
		}
	}
	return w
}

// sample is the number of first attempts of the new arm that can be compared.
func (r *migrationRecord) sample() int64 {
	n := int64(0)
	for i := range r.Strata {
		if r.Strata[i].Share < 1 {
			n += r.Strata[i].New.Attempts
		}
	}
	return n
}

// due says that the sample has grown enough for a look.
func (r *migrationRecord) due(t MigrationTests) bool {
	n := r.sample()
	return r.Share < 1 && n >= int64(t.MinSample) && n > r.Looked && float64(n) >= 1.25*float64(r.Looked)
}

// elapsed is how long the stage has lasted. A clock that is far behind the stage's beginning was put right, or is wrong: it is not before it has shown for
// StageTime that it goes on from there that the stage is old enough. So no setting of a clock begins more than one stage.
func (r *migrationRecord) elapsed(at int64) int64 {
	if at >= r.Since-maxBehind {
		r.Behind = 0
		return at - r.Since
	}
	if r.Behind == 0 || at < r.Behind {
		r.Behind = max(at, 1)
	}
	return at - r.Behind
}

// decide makes a look, if one is due, and lets the stage pass, if it may. It reports what changed, each change with its evidence, to note.
func (r *migrationRecord) decide(plan *Migration, at int64, note func(from MigrationPosition, evidence []Comparison)) {
	if r.Phase != MigrationRunning && r.Phase != MigrationHolding {
		return
	}
	elapsed := r.elapsed(at)
	from := r.position(plan)
	if r.due(plan.Tests) {
		r.Looks = min(r.Looks+1, maxLooks+1)
		r.Looked = r.sample()
		found := r.compare(plan.Tests)
		if w := worst(found, VerdictProven); w != nil && r.Looks <= maxLooks {
			r.Phase, r.Cause = MigrationRolledBack, w.Rate
			note(from, found)
			return
		}
		if r.Phase == MigrationHolding && r.Cause != CauseOperator && r.Cause != CauseAllowance && worst(found, VerdictWorse) == nil {
			r.Phase, r.Cause = MigrationRunning, ""
			note(from, found)
			from = r.position(plan)
		}
	}
	lacking := r.Phase == MigrationHolding && r.Cause == CauseAllowance
	if r.Phase != MigrationRunning && !lacking || elapsed < int64(plan.StageTime) {
		return
	}
	if r.lacks() {
		r.Since, r.Behind = at, 0
		if r.begin(); !lacking {
			r.Phase, r.Cause = MigrationHolding, CauseAllowance
			note(from, nil)
		}
		return
	}
	if r.stage().New.Attempts < int64(plan.MinSample) {
		return
	}
	found := r.compare(plan.Tests)
	if w := worst(found, VerdictWorse); w != nil && !r.Waived && r.Share < 1 {
		r.Phase, r.Cause = MigrationHolding, w.Rate
		note(from, found)
		return
	}
	r.pass(plan, at)
	note(from, found)
}

// lacks says that too much of what belonged to the new arm went the old way, since the stage began or was last found to lack.
func (r *migrationRecord) lacks() bool {
	s := r.stage()
	went, diverted := s.New.Attempts-r.Went, s.New.Diverted-r.Diverted
	if r.Share >= 1 {
		return diverted*9 > went
	}
	return diverted > went
}

// begin counts anew what lacks takes into account.
func (r *migrationRecord) begin() {
	s := r.stage()
	r.Went, r.Diverted = s.New.Attempts, s.New.Diverted
}

// pass goes to the next stage, or completes.
func (r *migrationRecord) pass(plan *Migration, at int64) {
	r.Phase, r.Cause = MigrationRunning, ""
	if share, ok := plan.next(r.Share); ok {
		r.enter(share, at)
		return
	}
	r.Phase = MigrationComplete
	r.Since, r.Behind, r.Waived = at, 0, false
}

// adapt takes the share that a changed plan has for what is on record.
func (r *migrationRecord) adapt(plan *Migration, at int64, note func(from MigrationPosition, evidence []Comparison)) {
	if r.Phase != MigrationRunning && r.Phase != MigrationHolding {
		return
	}
	share := plan.within(r.Share)
	if share == r.Share {
		return
	}
	from := r.position(plan)
	if r.Phase == MigrationRunning {
		r.Cause = CausePlan
	}
	r.enter(share, at)
	note(from, nil)
}

// begin is the record of a migration that starts.
func beginMigration(plan *Migration, provider string, at int64) *migrationRecord {
	r := &migrationRecord{Version: migrationVersion, Migration: plan.Name, Provider: provider, Salt: plan.Salt, Phase: MigrationRunning, Run: 1,
		Owners: make(map[string]batchMark)}
	r.enter(plan.Shares[0], at)
	return r
}

// restart begins again at the first stage, with nothing known.
func (r *migrationRecord) restart(plan *Migration, at int64) {
	r.Phase, r.Cause, r.Run = MigrationRunning, CauseOperator, r.Run+1
	r.Strata, r.First, r.Looks, r.Looked = nil, 0, 0, 0
	r.enter(plan.Shares[0], at)
}
