package warmup

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"time"
)

const (
	// migrationVersion is the version of the format of migration records. A record of a later version is refused, never overwritten.
	migrationVersion = 1
	// migrationPrefix begins the keys of migration records, which have two slashes; those of paths have one.
	migrationPrefix = "migration/"
	// maxStrata bounds the stages on record, and with it what a plan that is changed again and again makes of it.
	maxStrata = 128
	// maxHistory is the number of changes on record.
	maxHistory = 16
	// maxOwners is the number of processes on record, the latest ones; ownerLife is how long one is remembered after its last batch.
	maxOwners = 256
	ownerLife = int64(24 * time.Hour)
	// maxTally is where counts stop: below it floats are exact.
	maxTally = 1 << 50
)

// migrationRecord is what the store holds for a migration, or for one provider of it.
type migrationRecord struct {
	Version   int            `json:"v"`
	Migration string         `json:"migration"`
	Provider  string         `json:"provider"`
	Salt      string         `json:"salt"`
	Phase     MigrationPhase `json:"phase"`
	Cause     Cause          `json:"cause,omitempty"`
	// Share is the share of the stage, also when rolled back.
	Share float64 `json:"share"`
	// Run counts the starts: one more than the restarts.
	Run int `json:"run"`
	// Since is when the stage began. Nanoseconds since 1970, like all times here.
	Since int64 `json:"since"`
	// Behind is when a clock was first found far behind Since; 0 while none is.
	Behind int64 `json:"behind,omitempty"`
	// Went and Diverted are those of the stage when it was last found that too much was diverted.
	Went     int64 `json:"went,omitempty"`
	Diverted int64 `json:"diverted,omitempty"`
	// Waived says that an operator wants the stage to pass whatever the rates are.
	Waived bool `json:"waived,omitempty"`
	// Strata are the stages of the run so far, the current one last; First is the number of the first one here.
	Strata []stratum `json:"strata"`
	First  int       `json:"first,omitempty"`
	// Looks is the number of looks of the run, and Looked the sample of the new arm at the last one.
	Looks  int   `json:"looks,omitempty"`
	Looked int64 `json:"looked,omitempty"`
	// Changes is the number of changes ever, and History are the latest ones.
	Changes int              `json:"changes"`
	History []recordedChange `json:"history"`
	// Owners are the processes by MigratorConfig.Owner.
	Owners map[string]batchMark `json:"owners"`
}

// stratum is a stage that was begun: its share, and what became of the messages in it.
type stratum struct {
	Share   float64   `json:"share"`
	New     ArmCounts `json:"new"`
	Control ArmCounts `json:"control"`
}

// recordedChange is a change and the session of the Migrator that made it.
type recordedChange struct {
	MigrationChange
	Session string `json:"session"`
}

// batchMark is the last batch of an owner that was added.
type batchMark struct {
	Session string `json:"session"`
	Seq     int64  `json:"seq"`
	Seen    int64  `json:"seen"`
}

// migrationKey is the key of a record.
func migrationKey(migration, provider string) string {
	if len(provider) > maxName {
		sum := sha256.Sum256([]byte(provider))
		provider = "sha256:" + hex.EncodeToString(sum[:])
	}
	return migrationPrefix + url.PathEscape(migration) + "/" + url.PathEscape(provider)
}

// isMigrationKey says that a key is one of migrationKey, and of which migration.
func isMigrationKey(key string) (migration string, ok bool) {
	rest, ok := strings.CutPrefix(key, migrationPrefix)
	if !ok || strings.Count(rest, "/") != 1 {
		return "", false
	}
	migration, _, _ = strings.Cut(rest, "/")
	return migration, true
}

// decodeMigration reads a record and refuses what this version could not have written for this migration.
func decodeMigration(data []byte, plan *Migration) (*migrationRecord, error) {
	var r migrationRecord
	err := json.Unmarshal(data, &r)
	if err != nil {
		var head struct {
			Version int `json:"v"`
		}
		if json.Unmarshal(data, &head) == nil {
			r.Version = head.Version
		}
	}
	if r.Version > migrationVersion {
		return nil, fmt.Errorf("record of version %d: this program knows versions up to %d", r.Version, migrationVersion)
	}
	if err != nil {
		return nil, fmt.Errorf("unreadable record: %w", err)
	}
	if err := r.validate(plan); err != nil {
		return nil, fmt.Errorf("corrupted record: %w", err)
	}
	if r.Salt != plan.Salt {
		return nil, fmt.Errorf("the salt is %q, on record it is %q: it cannot be changed, as recipients would change their arms; begin anew under another Name",
			plan.Salt, r.Salt)
	}
	if r.Owners == nil {
		r.Owners = make(map[string]batchMark)
	}
	return &r, nil
}

func (r *migrationRecord) validate(plan *Migration) error {
	switch {
	case r.Version < 1:
		return fmt.Errorf("v is %d", r.Version)
	case r.Migration != plan.Name:
		return fmt.Errorf("migration is %.80q", r.Migration)
	case (r.Provider != "") != plan.PerProvider:
		return fmt.Errorf("provider is %.80q", r.Provider)
	case !(r.Share > 0 && r.Share <= 1):
		return fmt.Errorf("share is %g", r.Share)
	case r.Run < 1:
		return fmt.Errorf("run is %d", r.Run)
	case r.Since < 0 || r.Since > maxUnix*1e9:
		return fmt.Errorf("since is %d", r.Since)
	case r.Behind < 0 || r.Behind > maxUnix*1e9:
		return fmt.Errorf("behind is %d", r.Behind)
	case r.Went < 0 || r.Diverted < 0:
		return fmt.Errorf("went is %d, diverted is %d", r.Went, r.Diverted)
	case r.First < 0:
		return fmt.Errorf("first is %d", r.First)
	case len(r.Strata) < 1 || len(r.Strata) > maxStrata:
		return fmt.Errorf("%d strata", len(r.Strata))
	case r.Looks < 0 || r.Looked < 0 || r.Looked > maxStrata*maxTally:
		return fmt.Errorf("looks is %d, looked is %d", r.Looks, r.Looked)
	case r.Changes < len(r.History) || len(r.History) > maxHistory:
		return fmt.Errorf("changes is %d, with %d on record", r.Changes, len(r.History))
	}
	switch r.Phase {
	case MigrationRunning, MigrationHolding, MigrationRolledBack, MigrationComplete:
	default:
		return fmt.Errorf("phase is %.80q", r.Phase)
	}
	for i, s := range r.Strata {
		if !(s.Share > 0 && s.Share <= 1) {
			return fmt.Errorf("strata[%d]: share is %g", i, s.Share)
		}
		for _, c := range []*ArmCounts{&s.New, &s.Control} {
			if err := c.validate(); err != nil {
				return fmt.Errorf("strata[%d]: %w", i, err)
			}
		}
	}
	if last := r.stage().Share; last != r.Share {
		return fmt.Errorf("share is %g, that of the last stage is %g", r.Share, last)
	}
	return nil
}

func (c *ArmCounts) validate() error {
	for _, n := range c.all() {
		if *n < 0 || *n > maxTally {
			return fmt.Errorf("count is %d", *n)
		}
	}
	switch {
	case max(c.Deferred, c.Blocked, c.Failed) > c.Attempts:
		return fmt.Errorf("%d attempts, of which %d deferred, %d blocked", c.Attempts, c.Deferred, c.Blocked)
	case c.Slow > c.Delivered:
		return fmt.Errorf("%d delivered, of which %d slow", c.Delivered, c.Slow)
	}
	return nil
}

// all are the counts.
func (c *ArmCounts) all() [9]*int64 {
	return [...]*int64{&c.Attempts, &c.Bounced, &c.Deferred, &c.Blocked, &c.Delivered, &c.Slow, &c.Complained, &c.Diverted, &c.Failed}
}

// add adds counts, up to maxTally.
func (c *ArmCounts) add(o ArmCounts) {
	from := o.all()
	for i, n := range c.all() {
		*n = min(*n+*from[i], maxTally)
	}
}

// stage is the current stage.
func (r *migrationRecord) stage() *stratum { return &r.Strata[len(r.Strata)-1] }

// number is the number of the current stage, which is unique in its run.
func (r *migrationRecord) number() int { return r.First + len(r.Strata) - 1 }

// counts are those of a stage by its number, or nil if it is not on record any more.
func (r *migrationRecord) counts(run, number int) *stratum {
	if run != r.Run || number < r.First || number > r.number() {
		return nil
	}
	return &r.Strata[number-r.First]
}

// enter begins a stage.
func (r *migrationRecord) enter(share float64, at int64) {
	r.Share, r.Since, r.Behind, r.Waived = share, at, 0, false
	r.Went, r.Diverted = 0, 0
	r.Strata = append(r.Strata, stratum{Share: share})
	if n := len(r.Strata) - maxStrata; n > 0 {
		r.Strata, r.First = r.Strata[n:], r.First+n
	}
}

// position is where the record stands in a plan.
func (r *migrationRecord) position(plan *Migration) MigrationPosition {
	p := MigrationPosition{Phase: r.Phase, Cause: r.Cause, Stage: plan.stage(r.Share), Share: r.Share}
	if r.Phase == MigrationRolledBack {
		p.Share = 0
	}
	return p
}

// mark notes a batch of an owner, and forgets owners.
func (r *migrationRecord) mark(owner string, m batchMark) {
	maps.DeleteFunc(r.Owners, func(_ string, o batchMark) bool { return m.Seen-o.Seen > ownerLife })
	r.Owners[owner] = m
	for len(r.Owners) > maxOwners {
		oldest := owner
		for name, o := range r.Owners {
			if name != owner && (oldest == owner || o.Seen < r.Owners[oldest].Seen) {
				oldest = name
			}
		}
		delete(r.Owners, oldest)
	}
}
