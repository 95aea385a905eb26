package sqlqueue

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/reputemail/repute/bounce/suppress"
	"github.com/reputemail/repute/throttle"
	"github.com/reputemail/repute/warmup"
)

// Kind names what a State holds. A host may have kinds of its own: with a prefix, lest they meet later ones of ours.
type Kind string

// The kinds of this library.
const (
	// KindWarmup: the warm-up ledger's records.
	KindWarmup Kind = "warmup"
	// KindThrottle: how processes share limits.
	KindThrottle Kind = "throttle"
	// KindMigration: where migrations stand.
	KindMigration Kind = "migration"
	// KindOperator: what operators have suspended.
	KindOperator Kind = "operator"
	// KindSuppression: addresses that are not written to.
	KindSuppression Kind = "suppression"
	// KindConfirmation: whom an engagement.Campaign has asked for a confirmation. A host makes the campaign of this State.
	KindConfirmation Kind = "confirmation"
)

// State keeps small values by name, those of each kind apart. It implements warmup.Store, throttle.Store and suppress.Store, whose contracts hold for all kinds. It is safe
// for concurrent use, in all processes on one database.
type State struct {
	q    *Queue
	kind Kind
}

// State returns the values of a kind.
func (q *Queue) State(kind Kind) *State { return &State{q, kind} }

// WarmupStore is where a Sender on this queue keeps its warm-up ledger, unless it is given another store: several processes on one
// database share their allowance through it. owner is Config.Owner.
func (q *Queue) WarmupStore() (store warmup.Store, owner string) {
	return q.State(KindWarmup), q.cfg.Owner
}

// MigrationStore is where a Sender on this queue keeps its migrations, unless it is given another store. owner is Config.Owner.
func (q *Queue) MigrationStore() (store warmup.Store, owner string) {
	return q.State(KindMigration), q.cfg.Owner
}

// OperatorStore is where a Sender on this queue keeps what operators have suspended: all processes on one database obey it.
func (q *Queue) OperatorStore() warmup.Store { return q.State(KindOperator) }

// ThrottleStore is where the throttle of a Sender on this queue keeps what it has learnt of receivers, unless it is given another store. In PostgreSQL all processes on one
// database share their limits through it, and owner is Config.Owner; SQLite's file is one process's, and owner is empty.
func (q *Queue) ThrottleStore() (store throttle.Store, owner string) {
	if !q.d.postgres {
		return q.State(KindThrottle), ""
	}
	return q.State(KindThrottle), q.cfg.Owner
}

// SuppressionStore is where a Sender on this queue keeps the list of suppressed addresses, unless it is given another one: all processes on one
// database have the same list.
func (q *Queue) SuppressionStore() suppress.Store { return q.State(KindSuppression) }

// SuppressionStoreTx is SuppressionStore as a transaction of the host's sees it: Get reads in the transaction, and needs no connection beside it.
func (q *Queue) SuppressionStoreTx(tx *sql.Tx) suppress.Store {
	return txState{q.State(KindSuppression), hostTx{q, tx}}
}

// txState is a State of which a transaction reads.
type txState struct {
	*State
	h hostTx
}

// Get returns the value of a name, or nil, as the transaction sees it.
func (s txState) Get(ctx context.Context, name string) ([]byte, error) {
	var value []byte
	err := s.q.one(ctx, s.h, "SELECT value FROM repute_state WHERE kind = ? AND name = ?", []any{string(s.kind), name}, &value)
	if err == sql.ErrNoRows {
		return nil, nil
	}
	if err == nil && value == nil {
		value = []byte{}
	}
	return value, err
}

// Get returns the value of a name, or nil.
func (s *State) Get(ctx context.Context, name string) ([]byte, error) {
	value, _, err := s.read(ctx, name)
	return value, err
}

// read returns a value and its version; nil and 0 if there is none.
func (s *State) read(ctx context.Context, name string) (value []byte, version int64, err error) {
	err = s.q.reading(ctx, "state", func() error {
		return s.q.one(ctx, s.q.pool, "SELECT value, version FROM repute_state WHERE kind = ? AND name = ?", []any{string(s.kind), name}, &value, &version)
	})
	if err == sql.ErrNoRows {
		return nil, 0, nil
	}
	if err == nil && value == nil {
		value = []byte{}
	}
	return value, version, err
}

// Update implements warmup.Store: it replaces the value of a name by what fn makes of it. The name's version tells whether
// somebody else has changed it meanwhile; fn is then called again.
func (s *State) Update(ctx context.Context, name string, fn func(old []byte) ([]byte, error)) error {
	for tries := 0; ; tries++ {
		old, version, err := s.read(ctx, name)
		if err != nil {
			return err
		}
		value, err := fn(old)
		if err != nil {
			return err
		}
		if value == nil && version == 0 {
			return ctx.Err()
		}
		done, err := s.replace(ctx, name, version, value)
		if done || err != nil {
			return err
		}
		// Not in step with the others.
		wait := time.NewTimer(time.Duration(newNonce() % int64(time.Millisecond<<min(tries, 6))))
		select {
		case <-ctx.Done():
			wait.Stop()
			return ctx.Err()
		case <-wait.C:
		}
	}
}

// replace writes a value if the name is of a version still. nil deletes it.
func (s *State) replace(ctx context.Context, name string, version int64, value []byte) (done bool, err error) {
	fresh := newNonce()
	key := []any{string(s.kind), name}
	o := &op{name: "state", rows: 1, bytes: len(value)}
	o.do = func(ctx context.Context, w *conn, o *op) error {
		if o.unsure { // an earlier commit of this may have succeeded
			var now int64
			err := s.q.one(ctx, w, "SELECT version FROM repute_state WHERE kind = ? AND name = ?", key, &now)
			if done = err == nil && now == fresh || err == sql.ErrNoRows && value == nil; done {
				return nil
			}
			if err != nil && err != sql.ErrNoRows {
				return err
			}
		}
		var n int64
		var err error
		switch {
		case value == nil:
			n, err = w.exec(ctx, "DELETE FROM repute_state WHERE kind = ? AND name = ? AND version = ?", key[0], key[1], version)
		case version == 0:
			n, err = w.exec(ctx, "INSERT INTO repute_state (kind, name, version, value) VALUES (?, ?, ?, ?) ON CONFLICT (kind, name) DO NOTHING",
				key[0], key[1], fresh, value)
		default:
			n, err = w.exec(ctx, "UPDATE repute_state SET version = ?, value = ? WHERE kind = ? AND name = ? AND version = ?",
				fresh, value, key[0], key[1], version)
		}
		done = n > 0
		return err
	}
	if err := s.q.writer.write(ctx, o); err != nil {
		return false, err // it may be under way still, and done with it
	}
	return done, nil
}

// Load implements warmup.Store: it calls fn for each name of the kind.
func (s *State) Load(ctx context.Context, fn func(name string, value []byte) error) error {
	type pair struct {
		name  string
		value []byte
	}
	const page = 1000
	for last := ""; ; {
		var pairs []pair
		err := s.q.reading(ctx, "state", func() error {
			pairs = pairs[:0]
			rows, err := s.q.pool.query(ctx, "SELECT name, value FROM repute_state WHERE kind = ? AND name > ? ORDER BY name LIMIT {n}", string(s.kind), last, page)
			return scan(rows, err, func(r *sql.Rows) error {
				var p pair
				if err := r.Scan(&p.name, &p.value); err != nil {
					return err
				}
				pairs = append(pairs, p)
				return nil
			})
		})
		if err != nil {
			return fmt.Errorf("load %s: %w", s.kind, err)
		}
		for _, p := range pairs {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := fn(p.name, p.value); err != nil {
				return err
			}
			last = p.name
		}
		if len(pairs) < page {
			return nil
		}
	}
}
