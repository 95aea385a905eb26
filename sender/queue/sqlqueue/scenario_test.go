package sqlqueue_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

// many is a number of rows for which PostgreSQL needs a statement of each of its sizes.
const many = 64 + 16 + 4 + 1

// everything makes a new queue run every statement that it has. It is silent afterwards.
func everything(t testing.TB, db database) *sqlqueue.Queue {
	t.Helper()
	q := db.queue(t, sqlqueue.Config{Retention: time.Second, OwnerTimeout: time.Second, CacheBytes: -1})

	// Accept, in transactions of the queue's and of the host's.
	for i := range many {
		put(t, q, message(fmt.Sprint("m", i), 1))
	}
	lanes := message("lanes", many)
	for i := range lanes.Deliveries {
		lanes.Deliveries[i].Lane.Domain = fmt.Sprintf("d%d.example.com", i)
	}
	put(t, q, lanes)
	expired := message("expired", 2)
	expired.ExpireAfter = time.Second
	for i := range expired.Deliveries {
		expired.Deliveries[i].Lane.Domain = "example.org"
	}
	put(t, q, expired)
	w := watch(t.(*testing.T), q)
	tx, err := q.DB().Begin()
	must(t, err)
	must(t, q.PutTx(bg, tx, message("tx", 1)))
	must(t, tx.Commit())
	eventually(t, "news", func() bool { return w.heard("tx/1") })

	// Look.
	_, err = q.Lanes(bg)
	must(t, err)
	_, err = q.Due(bg)
	must(t, err)
	for _, id := range []string{"m1", "m1/1"} {
		_, err = q.Get(bg, id)
		must(t, err)
	}
	_, err = q.Message(bg, "m1")
	must(t, err)

	// Claim and settle: renewed, retried at once and later, given back by the end of the lease, final.
	record := func(d queue.Delivery, s queue.State, after time.Duration) {
		t.Helper()
		lost, err := q.Settle(bg, []queue.Settlement{{ID: d.ID, Lease: d.Lease, State: s, After: after, Began: true, Record: &queue.Attempt{Reply: bounce.Reply{Code: 450}}}})
		must(t, err)
		if len(lost) > 0 {
			t.Fatalf("lost %v", lost)
		}
	}
	got := claim(t, q, 3)
	record(got[0], queue.InFlight, time.Minute)
	record(got[1], queue.Waiting, 0)
	record(got[2], queue.Waiting, time.Millisecond)
	record(got[0], queue.Waiting, time.Hour)
	early, err := q.Claim(bg, queue.Claim{Lane: lane, Early: true, Limit: 10 * many, LeaseFor: time.Minute})
	must(t, err)
	settle(t, q, queue.Waiting, early.Deliveries...)
	var some []string
	for i := range many {
		some = append(some, fmt.Sprint("m", i, "/1"))
	}
	early, err = q.Claim(bg, queue.Claim{IDs: some, Limit: 1, LeaseFor: time.Minute})
	must(t, err)
	settle(t, q, queue.Waiting, early.Deliveries...)
	got = claim(t, q, many)
	short, err := q.Claim(bg, queue.Claim{Lane: lanes.Deliveries[0].Lane, Limit: 1, LeaseFor: time.Second})
	must(t, err)
	settle(t, q, queue.Delivered, got...)
	eventually(t, "an expired delivery", func() bool {
		c, err := q.Claim(bg, queue.Claim{Expired: true, Limit: 1, LeaseFor: time.Minute})
		must(t, err)
		settle(t, q, queue.Expired, c.Deliveries...) // the body stays: there is a second recipient
		return len(c.Deliveries) == 1
	})
	eventually(t, "the end of a lease", func() bool {
		c, err := q.Claim(bg, queue.Claim{Lane: short.Deliveries[0].Lane, Limit: 1, LeaseFor: time.Minute})
		must(t, err)
		return len(c.Deliveries) == 1
	})
	settle(t, q, queue.Delivered, claim(t, q, many)...)

	// Values of other parts.
	state := q.State("test")
	for _, v := range [][]byte{[]byte("a"), []byte("b"), nil} {
		must(t, state.Update(bg, "name", func([]byte) ([]byte, error) { return v, nil }))
		_, err = state.Get(bg, "name")
		must(t, err)
	}
	must(t, state.Load(bg, func(string, []byte) error { return nil }))

	// Others die.
	if db.engine == "postgres" {
		dead, err := db.open(sqlqueue.Config{OwnerTimeout: time.Second})
		must(t, err)
		sqlqueue.Silence(dead)
		eventually(t, "taking over", func() bool { return count(t, q, "SELECT count(*) FROM repute_owner") == 1 })
		must(t, dead.Close())
	}

	// Forget. All but what is open was settled more than a second ago by then.
	eventually(t, "forgetting", func() bool {
		must(t, q.Prune(bg))
		return count(t, q, "SELECT count(*) FROM repute_message") < 10
	})
	must(t, sqlqueue.Lapse(q))
	sqlqueue.Silence(q)

	// Connections break in a commit, and callers go away.
	one := message("doubt", 1)
	sqlqueue.Doubt(q, false, func() {
		if _, err := q.Put(bg, one); err != nil {
			t.Error(err)
		}
		if _, err := q.Put(bg, one); !errors.Is(err, queue.ErrDuplicate) {
			t.Errorf("duplicate: %v", err)
		}
		c, err := q.Claim(bg, queue.Claim{Lane: lane, Limit: 1, LeaseFor: time.Minute})
		if err != nil || len(c.Deliveries) != 1 {
			t.Errorf("claim: %v, %v", c, err)
			return
		}
		for range 2 {
			s := queue.Settlement{ID: c.Deliveries[0].ID, Lease: c.Deliveries[0].Lease, State: queue.Delivered}
			if lost, err := q.Settle(bg, []queue.Settlement{s}); err != nil || len(lost) > 0 {
				t.Errorf("settle: %v, %v", lost, err)
			}
		}
		if err := state.Update(bg, "name", func([]byte) ([]byte, error) { return []byte("c"), nil }); err != nil {
			t.Error(err)
		}
	})
	sqlqueue.Doubt(q, true, func() {
		if _, err := q.Put(bg, message("away", 1)); err != nil {
			t.Error(err)
		}
		if _, err := q.Claim(bg, queue.Claim{Lane: lane, Limit: 1, LeaseFor: time.Minute}); err != nil {
			t.Error(err)
		}
	})
	must(t, sqlqueue.Resign(q))
	return q
}

// sqlForm is how a text begins that is a statement or the rest of one.
var sqlForm = regexp.MustCompile(`^\s*(SELECT|UPDATE|DELETE|INSERT|WITH|ON|WHERE|FROM) `)

// TestTheScenarioIsComplete: no statement in the source is overlooked by everything, and thus by the tests of plans.
func TestTheScenarioIsComplete(t *testing.T) {
	var ran strings.Builder
	both(t, func(t *testing.T, db database) {
		for _, s := range sqlqueue.Statements(everything(t, db)) {
			ran.WriteString(s.Source + "\n")
		}
	})
	if t.Skipped() || !strings.Contains(ran.String(), "DELETE FROM repute_owner WHERE owner = ? AND expires") {
		t.Skip("without PostgreSQL not every statement runs")
	}
	fset := token.NewFileSet()
	names, err := filepath.Glob("*.go")
	must(t, err)
	n := 0
	inspect := func(node ast.Node) bool {
		lit, ok := node.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return true
		}
		text, err := strconv.Unquote(lit.Value)
		must(t, err)
		switch {
		case !sqlForm.MatchString(text):
		case strings.Contains(text, "sqlite_version"), strings.Contains(text, "pragma_database_list"), strings.Contains(text, "pg_advisory_xact_lock"):
		case !strings.Contains(ran.String(), text):
			t.Errorf("%s: not run: %s", fset.Position(lit.Pos()), text)
		default:
			n++
		}
		return true
	}
	for _, name := range names {
		if !strings.HasSuffix(name, "_test.go") {
			f, err := parser.ParseFile(fset, name, nil, 0)
			must(t, err)
			ast.Inspect(f, inspect)
		}
	}
	if n < 30 {
		t.Errorf("only %d pieces of statements were found", n)
	}
}
