package sqlqueue_test

import (
	"fmt"
	"testing"

	"github.com/reputemail/repute/sender/queue/sqlqueue"
	"github.com/reputemail/repute/throttle"
	"github.com/reputemail/repute/throttle/throttletest"
	"github.com/reputemail/repute/warmup"
	"github.com/reputemail/repute/warmup/warmuptest"
)

// TestStateKeepsTheContractOfStores runs the conformance tests; a name is a kind of its own.
func TestStateKeepsTheContractOfStores(t *testing.T) {
	both(t, func(t *testing.T, db database) {
		q := db.queue(t, sqlqueue.Config{})
		warmuptest.Run(t, func(t *testing.T, name string) warmup.Store { return q.State(sqlqueue.Kind(name)) })
	})
}

// TestThrottleStore runs the conformance tests of the throttle's stores, over several connections to one database where that can be.
func TestThrottleStore(t *testing.T) {
	both(t, func(t *testing.T, db database) {
		q := db.queue(t, sqlqueue.Config{Owner: "node-1"})
		n := 0
		throttletest.Run(t, func(t *testing.T, name string) throttle.Store {
			if n++; db.engine == "postgres" && n%2 == 0 {
				return db.queue(t, sqlqueue.Config{Owner: fmt.Sprint("node-", n)}).State(sqlqueue.Kind(name))
			}
			return q.State(sqlqueue.Kind(name))
		})
		store, owner := q.ThrottleStore()
		must(t, store.Update(bg, "key", func([]byte) ([]byte, error) { return []byte("value"), nil }))
		value, err := q.State(sqlqueue.KindThrottle).Get(bg, "key")
		must(t, err)
		want := "node-1"
		if db.engine != "postgres" { // a file is one process's, which has the limits for itself
			want = ""
		}
		if string(value) != "value" || owner != want {
			t.Errorf("%q for %q", value, owner)
		}
	})
}

func TestKindsAreApart(t *testing.T) {
	both(t, func(t *testing.T, db database) {
		q := db.queue(t, sqlqueue.Config{Owner: "node-1"})
		set := func(k sqlqueue.Kind, value string) {
			t.Helper()
			must(t, q.State(k).Update(bg, "name", func([]byte) ([]byte, error) { return []byte(value), nil }))
		}
		set(sqlqueue.KindThrottle, "a")
		set(sqlqueue.KindMigration, "b")
		for kind, want := range map[sqlqueue.Kind]string{sqlqueue.KindThrottle: "a", sqlqueue.KindMigration: "b", sqlqueue.KindSuppression: ""} {
			got, err := q.State(kind).Get(bg, "name")
			must(t, err)
			if string(got) != want || (got == nil) != (want == "") {
				t.Errorf("%s: %q", kind, got)
			}
		}
		if _, owner := q.WarmupStore(); owner != "node-1" {
			t.Errorf("owner %q", owner)
		}
	})
}
