package warmup

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Migration is the move of mail from one route, the control arm, to another, the new arm, by stages of a growing share. A Migration is data: it does not name the
// routes, and may be loaded from JSON. A Migrator carries it out:
//
//  1. Each recipient has a fixed point between 0 and 1, a hash of the salt and the address. The recipients whose point is below the share of
//     the stage belong to the new arm. So a recipient stays with the new arm once it is there, and the arms are alike in all but the route.
//  2. Both arms carry mail at the same time. What becomes of it is counted for each arm and stage.
//  3. The rates of bounces, deferrals, blocks, other failures, complaints and late deliveries are compared, stage by stage, and the results added up
//     (Cochran, Mantel and Haenszel), since both the base rates and the shares change from stage to stage. The probabilities are exact for
//     small counts.
//  4. A rate is looked at when the sample of the new arm has grown by a quarter, at most 60 times. If a rate of the new arm is worse by
//     MinEffect or more, and that is less probable by chance than Alpha divided by 6 rates and 60 looks (Bonferroni), the migration is rolled back:
//     all mail goes by the control arm until an operator restarts it.
//  5. After StageTime, and when the new arm had MinSample first attempts in the stage, the next one begins; unless a rate is worse by
//     MinEffect with a probability below HoldAlpha. Then the migration holds, until a later look finds nothing, or an operator resumes it. It also
//     holds, for another StageTime, when more than half of what belonged to the new arm had to go the old way; in the last stage, more than a tenth.
//  6. In the last stage all mail goes by the new arm, so nothing is left to compare with: rates of other days say little of the route. After StageTime and
//     MinSample it is complete. Until then, and later, an operator can roll it back.
type Migration struct {
	// Name tells migrations apart: letters, digits, "-", "_" and ".", at most 64. Required. A migration under a new name begins anew.
	Name string `json:"name"`
	// Shares are the shares of the new arm, stage by stage: above 0, each larger than the one before, the last one 1. At most 100. They may be
	// changed while the migration runs: it goes on with the largest one that is no more than it had. Defaults to 0.01, 0.05, 0.10, 0.25, 0.50, 1.
	Shares []float64 `json:"shares,omitempty"`
	// StageTime is the least time in a stage. Defaults to 24 hours.
	StageTime time.Duration `json:"stage_time,omitempty"`
	// MinSample is the least number of first attempts of the new arm in a stage. Until there were as many the stage goes on. Defaults to 200.
	MinSample int `json:"min_sample,omitempty"`
	// Salt is hashed with the recipients; at most 128 bytes. Migrations with the same salt move the same recipients first. It cannot be changed
	// later. Defaults to Name.
	Salt string `json:"salt,omitempty"`
	// PerProvider lets each provider advance, hold and be rolled back by itself. Providers are told apart up to 10,000; mail to others stays with the
	// control arm. It cannot be changed later but by beginning anew. Defaults to false: all together.
	PerProvider bool `json:"per_provider,omitempty"`
	// Providers are those that take part. Defaults to all.
	Providers []string `json:"providers,omitempty"`
	// Streams are those that take part. Defaults to all.
	Streams []string `json:"streams,omitempty"`
	// Tests says what is worse. Defaults to the zero MigrationTests, whose fields say.
	Tests MigrationTests `json:"tests,omitzero"`
}

// MigrationTests are the thresholds of a migration.
type MigrationTests struct {
	// Alpha is the probability of a rollback of a new route that is as good as the old one, at any time of the migration and by any rate, if the
	// outcomes of messages are independent. Where the same recipients get many messages during a migration and those to one meet the same outcome, it is
	// larger: with pairs of them some 7 times. At most 0.5. Defaults to 0.01.
	Alpha float64 `json:"alpha,omitempty"`
	// HoldAlpha is the probability, for each rate, that it keeps such a route from advancing at the end of a stage. At most 0.5. Defaults to 0.05.
	HoldAlpha float64 `json:"hold_alpha,omitempty"`
	// MinEffect is the difference between the rates of the arms that matters; for complaints it is a fifth of that. At most 1. Defaults to 0.005: half a
	// percentage point, and a tenth of one for complaints.
	MinEffect float64 `json:"min_effect,omitempty"`
	// MinSample is how many messages a rate needs in each arm to be compared. Defaults to 200.
	MinSample int `json:"min_sample,omitempty"`
	// SlowAfter is how long a delivery takes at most to be in time. Defaults to 5 minutes.
	SlowAfter time.Duration `json:"slow_after,omitempty"`
}

// Arm says by which of the two ways of a migration a message goes.
type Arm string

const (
	// ArmNone: the message is no part of the migration.
	ArmNone Arm = ""
	// ArmControl: it goes the old way.
	ArmControl Arm = "control"
	// ArmNew: it goes the new way.
	ArmNew Arm = "new"
)

// MigrationPhase is where a migration stands.
type MigrationPhase string

const (
	// MigrationWaiting: it is not on record yet. All mail goes by the control arm.
	MigrationWaiting MigrationPhase = "waiting"
	// MigrationRunning: it is in a stage, and nothing is known against the next one.
	MigrationRunning MigrationPhase = "running"
	// MigrationHolding: it stays in its stage; Cause says why. An operator's hold ends by an operator, one for a rate also by itself.
	MigrationHolding MigrationPhase = "holding"
	// MigrationRolledBack: all mail goes by the control arm again, until an operator restarts it; Cause says why.
	MigrationRolledBack MigrationPhase = "rolled-back"
	// MigrationComplete: all mail goes by the new arm, for good. Nothing is counted any more.
	MigrationComplete MigrationPhase = "complete"
)

// The causes of migrations only.
const (
	// CauseDelays: too much was delivered late.
	CauseDelays Cause = "delays"
	// CauseFailures: too much was refused or put off for other reasons than the recipient's: policy, authentication, TLS, no connection.
	CauseFailures Cause = "failures"
	// CauseAllowance: too much of what belongs to the new arm had to go the old way, as a rule since the warm-up of the new one is not that far.
	CauseAllowance Cause = "allowance"
)

// The bounds and defaults of a migration.
const (
	maxMigrationName   = 64
	maxMigrationShares = 100
	maxMigrationSample = 1 << 30
	maxMigrationUnits  = 10_000
	stageSample        = 200
	testSample         = 200
	testAlpha          = 0.01
	testHoldAlpha      = 0.05
	testEffect         = 0.005
	complaintPart      = 5 // MinEffect is divided by it for complaints
	slowAfter          = 5 * time.Minute
)

func defaultShares() []float64 { return []float64{0.01, 0.05, 0.10, 0.25, 0.50, 1} }

// Validate checks the migration. The error names the field and the reason.
func (m Migration) Validate() error {
	if err := m.validate(); err != nil {
		return fmt.Errorf("warmup: migration %.70q: %w", m.Name, err)
	}
	return nil
}

func (m Migration) validate() error {
	switch {
	case m.Name == "":
		return fault("Name", "is empty")
	case len(m.Name) > maxMigrationName:
		return fault("Name", "has %d bytes: at most %d are allowed", len(m.Name), maxMigrationName)
	case strings.ContainsFunc(m.Name, func(r rune) bool { return !nameRune(r) }):
		return fault("Name", "has other characters than letters, digits, \"-\", \"_\" and \".\"")
	case len(m.Shares) > maxMigrationShares:
		return fault("Shares", "has %d entries: at most %d are allowed", len(m.Shares), maxMigrationShares)
	case m.StageTime < 0:
		return fault("StageTime", "is %s: must not be negative", m.StageTime)
	case m.MinSample < 0 || m.MinSample > maxMigrationSample:
		return fault("MinSample", "is %d: must be between 0 and %d", m.MinSample, maxMigrationSample)
	case len(m.Salt) > maxName:
		return fault("Salt", "has %d bytes: at most %d are allowed", len(m.Salt), maxName)
	case m.PerProvider && len(m.Providers) > maxMigrationUnits:
		return fault("Providers", "has %d entries: at most %d are allowed with PerProvider", len(m.Providers), maxMigrationUnits)
	}
	last := 0.0
	for i, share := range m.Shares {
		if !(share > last && share <= 1) { // Also catches NaN.
			return fault("Shares", "has %g in stage %d: must be above %g and at most 1", share, i+1, last)
		}
		last = share
	}
	if len(m.Shares) > 0 && last != 1 {
		return fault("Shares", "ends at %g: must end at 1", last)
	}
	if err := checkNames("Providers", m.Providers); err != nil {
		return err
	}
	if err := checkNames("Streams", m.Streams); err != nil {
		return err
	}
	return m.Tests.validate()
}

func nameRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '.'
}

func checkNames(field string, names []string) error {
	seen := make(map[string]bool, len(names))
	for _, name := range names {
		if name == "" {
			return fault(field, "has an empty name")
		}
		if seen[name] {
			return fault(field, "has %q twice", name)
		}
		seen[name] = true
	}
	return nil
}

func (t MigrationTests) validate() error {
	switch {
	case !(t.Alpha >= 0 && t.Alpha <= 0.5):
		return fault("Tests.Alpha", "is %g: must be between 0 and 0.5", t.Alpha)
	case !(t.HoldAlpha >= 0 && t.HoldAlpha <= 0.5):
		return fault("Tests.HoldAlpha", "is %g: must be between 0 and 0.5", t.HoldAlpha)
	case !(t.MinEffect >= 0 && t.MinEffect <= 1):
		return fault("Tests.MinEffect", "is %g: must be between 0 and 1", t.MinEffect)
	case t.MinSample < 0 || t.MinSample > maxMigrationSample:
		return fault("Tests.MinSample", "is %d: must be between 0 and %d", t.MinSample, maxMigrationSample)
	case t.SlowAfter < 0:
		return fault("Tests.SlowAfter", "is %s: must not be negative", t.SlowAfter)
	}
	return nil
}

// withDefaults fills the zero fields in, and keeps none of the caller's slices.
func (m Migration) withDefaults() Migration {
	if m.Shares = slices.Clone(m.Shares); len(m.Shares) == 0 {
		m.Shares = defaultShares()
	}
	m.Providers, m.Streams = slices.Clone(m.Providers), slices.Clone(m.Streams)
	if m.StageTime == 0 {
		m.StageTime = 24 * time.Hour
	}
	if m.MinSample == 0 {
		m.MinSample = stageSample
	}
	if m.Salt == "" {
		m.Salt = m.Name
	}
	t := &m.Tests
	if t.Alpha == 0 {
		t.Alpha = testAlpha
	}
	if t.HoldAlpha == 0 {
		t.HoldAlpha = testHoldAlpha
	}
	if t.MinEffect == 0 {
		t.MinEffect = testEffect
	}
	if t.MinSample == 0 {
		t.MinSample = testSample
	}
	if t.SlowAfter == 0 {
		t.SlowAfter = slowAfter
	}
	return m
}

// stage is the stage of a share, counted from 1: the last one with no larger share. It is 0 if the first one has a larger share, as
// only a changed plan can have it.
func (m *Migration) stage(share float64) int {
	n := 0
	for n < len(m.Shares) && m.Shares[n] <= share {
		n++
	}
	return n
}

// next is the share after a share; false after the last one.
func (m *Migration) next(share float64) (float64, bool) {
	if n := m.stage(share); n < len(m.Shares) {
		return m.Shares[n], true
	}
	return 0, false
}

// within is the largest share of the plan that is no more than a share on record, or that one if the plan has none.
func (m *Migration) within(share float64) float64 {
	if n := m.stage(share); n > 0 {
		return m.Shares[n-1]
	}
	return share
}

// errNoMigration is the error for a name that is not among the migrations.
var errNoMigration = errors.New("there is no such migration")
