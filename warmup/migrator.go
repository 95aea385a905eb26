package warmup

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// MigratorConfig configures a Migrator.
type MigratorConfig struct {
	// Migrations are those to carry out; their names differ. Defaults to none.
	Migrations []Migration
	// Store keeps the records of the migrations over restarts, and lets several processes share them. It may be the store of a Ledger: the keys begin with
	// "migration/". Defaults to a MemoryStore: a restart begins anew.
	Store Store
	// Owner names this process among those that share the store; at most 128 bytes. Two Migrators that run at the same time need two names; with one
	// name, some counts may be lost when the store fails. Defaults to "main".
	Owner string
	// OnChange is told of every change that this Migrator has put on record, after it did so, also when the store had said that it failed. It is called by
	// SyncAt and the operators' methods before they return, and without any lock held; it may be called concurrently. Defaults to none.
	OnChange func(MigrationChange)
	// Logger is told of changes. Defaults to none.
	Logger *slog.Logger
}

func (c MigratorConfig) validate() error {
	names := make(map[string]bool, len(c.Migrations))
	for i, m := range c.Migrations {
		if err := m.validate(); err != nil {
			return fmt.Errorf("warmup: MigratorConfig.Migrations[%d] %.70q: %w", i, m.Name, err)
		}
		if names[m.Name] {
			return fmt.Errorf("warmup: MigratorConfig.Migrations[%d] %q: the name is used twice", i, m.Name)
		}
		names[m.Name] = true
	}
	if len(c.Owner) > maxName {
		return fmt.Errorf("warmup: MigratorConfig.Owner has %d bytes: at most %d are allowed", len(c.Owner), maxName)
	}
	return nil
}

// Migrator carries migrations out: it says by which arm a message goes, counts what becomes of it, and decides together with the other processes on the
// same store. It has no goroutine of its own: SyncAt is to be called about every 30 seconds. All methods are safe for concurrent use. Arm and Observe never
// wait for the store: while it is out of reach they go on by the share that was on record last.
type Migrator struct {
	store    Store
	owner    string
	session  string
	log      *slog.Logger
	onChange func(MigrationChange)

	migrations map[string]*migration // not changed after OpenMigrator
	names      []string              // in order

	latest atomic.Int64 // the time of the latest SyncAt
	rounds atomic.Int64 // how often it was called
	closed atomic.Bool
}

// migration is a Migration with what belongs to it.
type migration struct {
	plan      Migration // with its defaults
	salted    uint64
	providers map[string]bool // nil: all
	streams   map[string]bool
	one       *migrationUnit // all providers together, or nil

	mu    sync.RWMutex
	units map[string]*migrationUnit // by provider, if each goes by itself
	full  bool                      // a provider was turned away
}

// migrationUnit is what advances by itself.
type migrationUnit struct {
	migration *migration
	provider  string
	// share holds the bits of the share of the new arm: what Arm goes by.
	share atomic.Uint64
	// writing holds a token while the store is used for the unit.
	writing chan struct{}

	mu sync.Mutex // Guards all below. Never held while the store is used.
	// rec is the record as it was last read or written, nil before. It is not changed.
	rec    *migrationRecord
	raw    []byte           // as it is in the store
	deltas []migrationDelta // not in a batch yet; the last one is of the current stage
	batch  *migrationBatch  // not known to be on record, or nil
	seq    int64            // of the latest batch
	told   int              // migrationRecord.Changes when they were last told
}

// migrationDelta is what was observed of a stage.
type migrationDelta struct {
	run, stage   int
	new, control ArmCounts
}

// migrationBatch are deltas that are written as one. They do not change any more, since they may be on record already.
type migrationBatch struct {
	seq    int64
	deltas []migrationDelta
	tried  int64 // when it may first have been put on record, 0 if it was not
}

// maxDeltas bounds the stages that a unit has deltas of: those which began since the store was last written, by operators.
const maxDeltas = 16

// OpenMigrator makes a Migrator and reads its store, so that each migration goes on with the share that it had. A share that is not among the
// Shares any more is lowered to the next one that is. It fails when the store cannot be read or holds a record that is corrupted, of a later version or
// of another Salt; the error names the key. Records of other migrations are left alone.
func OpenMigrator(ctx context.Context, cfg MigratorConfig) (*Migrator, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	m := &Migrator{store: cfg.Store, owner: cfg.Owner, session: rand.Text(), log: cfg.Logger, onChange: cfg.OnChange, migrations: make(map[string]*migration)}
	if m.store == nil {
		m.store = NewMemoryStore()
	}
	if m.owner == "" {
		m.owner = "main"
	}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	for _, plan := range cfg.Migrations {
		mig := &migration{plan: plan.withDefaults(), units: make(map[string]*migrationUnit), providers: nameSet(plan.Providers), streams: nameSet(plan.Streams)}
		mig.salted = hashSalt(mig.plan.Salt)
		if mig.plan.PerProvider {
			for _, provider := range mig.plan.Providers {
				mig.insert(provider)
			}
		} else {
			mig.one = mig.unit("")
		}
		m.migrations[mig.plan.Name] = mig
		m.names = append(m.names, mig.plan.Name)
	}
	slices.Sort(m.names)
	if err := m.load(ctx); err != nil {
		return nil, fmt.Errorf("warmup: open migrations: %w", err)
	}
	return m, nil
}

// nameSet is a set of names, nil for none.
func nameSet(names []string) map[string]bool {
	if len(names) == 0 {
		return nil
	}
	s := make(map[string]bool, len(names))
	for _, name := range names {
		s[strings.Clone(name)] = true
	}
	return s
}

// load reads the store.
func (m *Migrator) load(ctx context.Context) error {
	type found struct {
		key string
		mig *migration
		rec *migrationRecord
	}
	var all []found
	err := m.store.Load(ctx, func(key string, value []byte) error {
		name, ok := isMigrationKey(key)
		mig := m.migrations[name]
		if !ok || mig == nil || strings.HasSuffix(key, "/") == mig.plan.PerProvider {
			return nil
		}
		rec, err := decodeMigration(value, &mig.plan)
		if err == nil && migrationKey(name, rec.Provider) != key {
			err = fmt.Errorf("corrupted record: provider is %.80q", rec.Provider)
		}
		if err != nil {
			return fmt.Errorf("key %q: %w", key, err)
		}
		all = append(all, found{key, mig, rec})
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b found) int { return strings.Compare(a.key, b.key) }) // Where there are too many, all processes take the same.
	for _, f := range all {
		u := f.mig.one
		if u == nil {
			u = f.mig.insert(f.rec.Provider)
		}
		if u != nil {
			u.see(f.rec)
		}
	}
	return nil
}

// unit makes the state of a unit of which nothing is known. It keeps no memory of the caller's strings.
func (g *migration) unit(provider string) *migrationUnit {
	return &migrationUnit{migration: g, provider: strings.Clone(provider), writing: make(chan struct{}, 1)}
}

// insert finds or makes the unit of a provider. It is nil if there are too many.
func (g *migration) insert(provider string) *migrationUnit {
	g.mu.Lock()
	defer g.mu.Unlock()
	if u := g.units[provider]; u != nil {
		return u
	}
	if len(g.units) >= maxMigrationUnits {
		g.full = true
		return nil
	}
	u := g.unit(provider)
	g.units[u.provider] = u
	return u
}

// find is the unit of a provider, or nil if there is none yet.
func (g *migration) find(provider string) (u *migrationUnit, full bool) {
	if g.one != nil {
		return g.one, false
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.units[provider], g.full
}

// see takes a record for where the unit stands. u.mu is held, or nobody else knows u.
func (u *migrationUnit) see(rec *migrationRecord) {
	u.rec = rec
	share := 0.0
	switch rec.Phase {
	case MigrationComplete:
		share = 1
	case MigrationRunning, MigrationHolding:
		share = u.migration.plan.within(rec.Share)
	}
	u.share.Store(math.Float64bits(share))
}

// Arm says by which arm a message to a recipient goes: ArmNone if the migration does not exist or leaves the provider or
// the stream out. A migration, or a provider of it, that is not on record yet is with the control arm until SyncAt has put it there; so is a provider without a name where each advances by itself. Processes that
// have not read the record since a change may differ for as long. It does not allocate, but for the first message to a provider.
func (m *Migrator) Arm(migration, provider, stream, recipient string) Arm {
	g := m.migrations[migration]
	if g == nil || g.providers != nil && !g.providers[provider] || g.streams != nil && !g.streams[stream] {
		return ArmNone
	}
	u, full := g.find(provider)
	if u == nil {
		if !full && provider != "" && !m.closed.Load() {
			g.insert(provider) // SyncAt looks for its record.
		}
		return ArmControl
	}
	if share := math.Float64frombits(u.share.Load()); share > 0 && point(g.salted, recipient) < share {
		return ArmNew
	}
	return ArmControl
}

// Close writes what was observed. Methods that write return ErrClosed afterwards, and nothing is observed any more; Arm goes on.
// A second Close does nothing. It does not close the Store.
func (m *Migrator) Close(ctx context.Context) error {
	if m.closed.Swap(true) {
		return nil
	}
	at := m.now()
	// A batch that failed before is one of its own.
	return errors.Join(m.syncAll(ctx, at, true), m.syncAll(ctx, at, true))
}

// now is the time of the latest SyncAt, or that of the clock before the first.
func (m *Migrator) now() int64 {
	if at := m.latest.Load(); at != 0 {
		return at
	}
	return stamp(time.Now())
}
