package sqlqueue_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/suppress"
	"github.com/reputemail/repute/bounce/suppress/suppresstest"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

// TestSuppressionStoreKeepsTheContract runs the conformance tests; a name is a kind of its own.
func TestSuppressionStoreKeepsTheContract(t *testing.T) {
	both(t, func(t *testing.T, db database) {
		q := db.queue(t, sqlqueue.Config{})
		suppresstest.Run(t, func(t *testing.T, name string) suppress.Store { return q.State(sqlqueue.Kind("suppression" + name)) })
	})
}

var suppressedAt = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// suppression is the list of a queue. For a refusal in doubt it takes so many strikes.
func suppression(t testing.TB, q *sqlqueue.Queue, strikes int) *suppress.List {
	t.Helper()
	l, err := suppress.New(suppress.Config{
		Store:  q.SuppressionStore(),
		Policy: suppress.Policy{Refused: suppress.Rule{Strikes: strikes, Within: time.Hour}},
	})
	must(t, err)
	return l
}

// TestListsShareSuppressions lets two lists on one database, of two queues where that can be, hear of the same incidents, and of others, at the same time:
// each counts once, and what one list suppresses the other one refuses.
func TestListsShareSuppressions(t *testing.T) {
	both(t, func(t *testing.T, db database) {
		const addresses, strikes, tellers = 3, 12, 3
		doubt := bounce.Verdict{Category: bounce.BadMailbox, Scope: bounce.ScopeRecipient, Permanent: true, Rule: "mailbox/unsure"}
		address := func(i int) string { return fmt.Sprintf("r%d@example.com", i) }
		a := db.queue(t, sqlqueue.Config{Owner: "a"})
		b := a // SQLite is for one process
		if db.engine == "postgres" {
			b = db.queue(t, sqlqueue.Config{Owner: "b"})
		}
		lists := []*suppress.List{suppression(t, a, strikes), suppression(t, b, strikes)}

		var mu sync.Mutex
		led := map[string]int{}
		// tell has both lists told of the incidents from one to another, each time in another order.
		tell := func(from, to int) {
			var wg sync.WaitGroup
			for teller := range 2 * tellers {
				wg.Go(func() {
					for n := range (to - from) * addresses {
						n = (n + 7*teller) % ((to - from) * addresses)
						i := suppress.Incident{
							ID: fmt.Sprint("incident", from+n/addresses), Stream: "news", Address: address(n % addresses), Kind: suppress.Bounced, Verdict: doubt,
						}
						_, on, err := lists[teller%2].ObserveAt(bg, suppressedAt, i)
						if err != nil {
							t.Errorf("observe: %v", err)
							return
						}
						if on {
							mu.Lock()
							led[i.Address]++
							mu.Unlock()
						}
					}
				})
			}
			wg.Wait()
		}
		tell(0, strikes-1)
		for i := range addresses {
			for _, l := range lists {
				s, err := l.Lookup(bg, address(i))
				must(t, err)
				if len(s.Strikes) != strikes-1 || len(s.Entries) != 0 {
					t.Fatalf("%d strikes, each told %d times, came to %+v", strikes-1, 2*tellers, s)
				}
			}
		}
		tell(0, strikes)
		for i := range addresses {
			if led[address(i)] != 1 {
				t.Errorf("%s was suppressed %d times", address(i), led[address(i)])
			}
			for _, l := range lists {
				if e, on, err := l.CheckAt(bg, suppressedAt, "receipts", address(i)); !on || err != nil || e.Reason != suppress.Refused {
					t.Errorf("%s: %+v, %v, %v", address(i), e, on, err)
				}
			}
		}
		// What one releases, the other one lets in, and an old incident does not bring it back.
		if ok, err := lists[0].ReleaseAt(bg, suppressedAt, suppress.Release{Address: address(0), Actor: "operator"}); !ok || err != nil {
			t.Fatalf("release: %v, %v", ok, err)
		}
		tell(0, strikes)
		if _, on, err := lists[1].CheckAt(bg, suppressedAt, "news", address(0)); on || err != nil {
			t.Errorf("released: %v, %v", on, err)
		}
	})
}

// TestSuppressionsGoBetweenDatabases exports a list from one database and imports it into another one.
func TestSuppressionsGoBetweenDatabases(t *testing.T) {
	both(t, func(t *testing.T, db database) {
		const n = 3000 // more than are read at a time
		var file strings.Builder
		file.WriteString("email,reason,stream\n")
		for i := range n {
			fmt.Fprintf(&file, "r%d@example.com,complaint,news\n", i)
		}
		file.WriteString("nobody\n")
		l := suppression(t, db.queue(t, sqlqueue.Config{}), 3)
		res, err := l.Import(bg, suppressedAt, strings.NewReader(file.String()))
		must(t, err)
		if res.Added != n || res.Known != 0 || res.Failed != 1 || res.Errors[0].Line != n+2 {
			t.Errorf("%+v", res)
		}
		var text strings.Builder
		must(t, l.Export(bg, &text))
		other := suppression(t, sqlite(t).queue(t, sqlqueue.Config{}), 3)
		res, err = other.Import(bg, suppressedAt, strings.NewReader(text.String()))
		must(t, err)
		if res.Added != n || res.Known+res.Failed != 0 {
			t.Errorf("into another database: %+v", res)
		}
		if _, on, err := other.CheckAt(bg, suppressedAt, "news", "r2999@example.com"); !on || err != nil {
			t.Errorf("not there: %v", err)
		}
	})
}
