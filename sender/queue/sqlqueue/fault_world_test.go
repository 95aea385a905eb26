package sqlqueue_test

import (
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/reputemail/repute/sender/queue"
)

// fate is what is known of one delivery.
type fate struct {
	state    queue.State
	route    string
	attempts int
	records  int
}

// world is all that is in a database: the deliveries of each message, the host's orders, the state of other parts.
type world struct {
	mail   map[string][]fate
	orders map[string]bool
	values map[string]string
}

func newWorld() world {
	return world{map[string][]fate{}, map[string]bool{}, map[string]string{}}
}

func (w world) clone() world {
	c := world{map[string][]fate{}, maps.Clone(w.orders), maps.Clone(w.values)}
	for id, fates := range w.mail {
		c.mail[id] = slices.Clone(fates)
	}
	return c
}

// ownerless ends all leases.
func (w world) ownerless() world {
	c := w.clone()
	for _, fates := range c.mail {
		for i := range fates {
			if fates[i].state == queue.InFlight {
				fates[i].state = queue.Waiting
			}
		}
	}
	return c
}

// String is the same for equal worlds only.
func (w world) String() string {
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(w.mail)) {
		fmt.Fprintf(&b, "%s %+v\n", id, w.mail[id])
	}
	fmt.Fprintf(&b, "orders %v\n", slices.Sorted(maps.Keys(w.orders)))
	for _, name := range slices.Sorted(maps.Keys(w.values)) {
		fmt.Fprintf(&b, "%s=%s\n", name, w.values[name])
	}
	return b.String()
}

// stateNames are the states by their numbers in the database.
var stateNames = []queue.State{
	queue.Waiting, queue.Waiting, queue.InFlight, queue.Delivered, queue.Bounced, queue.Expired, queue.Suppressed, queue.Cancelled,
}

// each calls f for each row of a query.
func each(t testing.TB, db *sql.DB, text string, f func(scan func(dest ...any))) {
	t.Helper()
	rows, err := db.Query(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	defer rows.Close()
	for rows.Next() {
		f(func(dest ...any) {
			if err := rows.Scan(dest...); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
		})
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// observe reads the tables, and checks what must hold in all of them whatever happened.
func observe(t testing.TB, db *sql.DB) world {
	t.Helper()
	w := newWorld()
	type message struct {
		id               string
		recipients, open int
		body             bool
		left             int
	}
	messages := map[int64]*message{}
	each(t, db, "SELECT m.seq, m.id, m.recipients, m.open, CASE WHEN b.message IS NULL THEN 0 ELSE 1 END FROM repute_message m LEFT JOIN repute_body b ON b.message = m.seq",
		func(scan func(...any)) {
			m, seq, body := &message{}, int64(0), 0
			scan(&seq, &m.id, &m.recipients, &m.open, &body)
			m.body = body == 1
			messages[seq] = m
			w.mail[m.id] = nil
		})
	each(t, db, "SELECT seq, state, route, attempts, records, lease FROM repute_delivery ORDER BY seq", func(scan func(...any)) {
		var seq, lease int64
		var state int
		var f fate
		scan(&seq, &state, &f.route, &f.attempts, &f.records, &lease)
		f.state = stateNames[state]
		m := messages[seq>>20]
		if m == nil {
			t.Errorf("delivery %d belongs to no message", seq)
			return
		}
		if state < 3 {
			m.left++
		}
		if state == 2 && lease == 0 {
			t.Errorf("%s is in flight without a lease", m.id)
		}
		w.mail[m.id] = append(w.mail[m.id], f)
	})
	for _, m := range messages {
		if got := len(w.mail[m.id]); got != m.recipients {
			t.Errorf("%s has %d deliveries of %d", m.id, got, m.recipients)
		}
		if m.body != (m.left > 0) {
			t.Errorf("%s: %d deliveries are open, and there is a body: %v", m.id, m.left, m.body)
		}
		if m.recipients > 1 && m.open != m.left {
			t.Errorf("%s: %d deliveries are open, and the message says %d", m.id, m.left, m.open)
		}
	}
	each(t, db, "SELECT b.message FROM repute_body b LEFT JOIN repute_message m ON m.seq = b.message WHERE m.seq IS NULL", func(scan func(...any)) {
		t.Error("there is a body of no message")
	})
	each(t, db, "SELECT n.message FROM repute_news n LEFT JOIN repute_message m ON m.seq = n.message WHERE m.seq IS NULL", func(scan func(...any)) {
		t.Error("there is news of no message")
	})
	each(t, db, "SELECT id FROM orders", func(scan func(...any)) {
		var id string
		scan(&id)
		w.orders[id] = true
	})
	each(t, db, "SELECT kind, name, value FROM repute_state", func(scan func(...any)) {
		var kind, name string
		var value []byte
		scan(&kind, &name, &value)
		w.values[kind+" "+name] = string(value)
	})
	return w
}
