package sqlqueue_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

// script uses everything that a queue can do, and keeps book of what was acknowledged.
type script struct {
	t     *testing.T
	q     *sqlqueue.Queue
	f     *faults
	aside *sql.DB // the same database without faults

	mu      sync.Mutex
	known   world            // what was acknowledged
	open    []func(world)    // what the calls that have not returned would change
	leases  map[string]int64 // of deliveries
	told    map[string]bool  // news
	watched bool             // for news
	failed  error            // what a call returned that should have succeeded
}

func newScript(t *testing.T, q *sqlqueue.Queue, f *faults, aside *sql.DB) *script {
	return &script{t: t, q: q, f: f, aside: aside, known: newWorld(), leases: map[string]int64{}, told: map[string]bool{}}
}

// do makes a call, which changes the world by change if it succeeds. After the first call that fails there are no more.
func (s *script) do(change func(world), call func() error) {
	s.mu.Lock()
	if s.failed != nil {
		s.mu.Unlock()
		return
	}
	s.open = append(s.open, change)
	n := len(s.open) - 1
	s.mu.Unlock()
	err := call()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		if s.failed == nil {
			s.failed = err
		}
		return
	}
	s.open[n] = func(world) {}
	change(s.known)
}

// together makes calls at the same time.
func together(calls ...func()) {
	var wg sync.WaitGroup
	for _, c := range calls {
		wg.Go(c)
	}
	wg.Wait()
}

// possible are the worlds that may be found: each call that has not returned was made whole, or not at all.
func (s *script) possible() []world {
	s.mu.Lock()
	defer s.mu.Unlock()
	worlds := []world{s.known}
	for _, change := range s.open {
		for _, w := range slices.Clone(worlds) {
			c := w.clone()
			if change(c); c.String() != w.String() {
				worlds = append(worlds, c)
			}
		}
	}
	return worlds
}

func nothing(world) {}

var ctx = context.Background()

// laneOf is the lane of a message of the script: one of its own.
func laneOf(id, route string) queue.Lane {
	return queue.Lane{Stream: "news", Domain: id + ".example.com", Route: route}
}

func bodyOf(id string) []byte {
	return []byte("From: a@example.com\r\nSubject: " + id + "\r\n\r\nThis is " + id + ".\r\n")
}

func newPut(id string, recipients int, lease time.Duration) queue.Put {
	p := queue.Put{
		Message:     &queue.Message{ID: id, Stream: "news", From: "a@example.com", Recipients: recipients, Data: bodyOf(id)},
		ExpireAfter: 24 * time.Hour, LeaseFor: lease,
	}
	for n := range recipients {
		p.Deliveries = append(p.Deliveries, queue.Delivery{
			ID: queue.DeliveryID(id, n+1), MessageID: id, Lane: laneOf(id, ""), Recipient: fmt.Sprintf("r%d@%s.example.com", n+1, id),
		})
	}
	return p
}

// added is the change by a Put.
func added(id string, recipients int, state queue.State) func(world) {
	return func(w world) {
		for range recipients {
			w.mail[id] = append(w.mail[id], fate{state: state})
		}
	}
}

func (s *script) put(id string, recipients int, leased bool) {
	state, lease := queue.Waiting, time.Duration(0)
	if leased {
		state, lease = queue.InFlight, time.Hour
	}
	s.do(added(id, recipients, state), func() error {
		leases, err := s.q.Put(ctx, newPut(id, recipients, lease))
		s.mu.Lock()
		defer s.mu.Unlock()
		for i, l := range leases {
			s.leases[queue.DeliveryID(id, i+1)] = l
		}
		return err
	})
}

// claim claims exactly the deliveries of a message with the given numbers.
func (s *script) claim(id, route string, numbers ...int) {
	s.claimed(queue.Claim{Lane: laneOf(id, route), Limit: len(numbers), LeaseFor: time.Hour}, id, numbers...)
}

func (s *script) claimed(c queue.Claim, id string, numbers ...int) {
	s.do(func(w world) {
		for _, n := range numbers {
			w.mail[id][n-1].state = queue.InFlight
		}
	}, func() error {
		got, err := s.q.Claim(ctx, c)
		if err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		var ids []string
		for _, d := range got.Deliveries {
			s.leases[d.ID] = d.Lease
			ids = append(ids, d.ID)
		}
		var want []string
		for _, n := range numbers {
			want = append(want, queue.DeliveryID(id, n))
		}
		if !slices.Equal(ids, want) {
			return fmt.Errorf("claimed %v, want %v", ids, want)
		}
		return nil
	})
}

// to is one settlement of the script.
type to struct {
	id    string
	n     int
	state queue.State
	after time.Duration
	route string
	began bool
}

func (s *script) settle(list ...to) {
	s.do(func(w world) {
		for _, x := range list {
			f := &w.mail[x.id][x.n-1]
			f.state = x.state
			if x.state == queue.Waiting {
				f.route = x.route
			}
			if x.began {
				f.attempts++
				f.records++
			}
		}
	}, func() error {
		var batch []queue.Settlement
		s.mu.Lock()
		for _, x := range list {
			id := queue.DeliveryID(x.id, x.n)
			b := queue.Settlement{ID: id, Lease: s.leases[id], State: x.state, After: x.after, Route: x.route, Began: x.began}
			if x.began {
				b.Record = &queue.Attempt{At: time.Now(), Route: "out"}
			}
			batch = append(batch, b)
		}
		s.mu.Unlock()
		lost, err := s.q.Settle(ctx, batch)
		if err == nil && len(lost) > 0 {
			err = fmt.Errorf("lost: %v", lost)
		}
		return err
	})
}

// txTries is how often what failed is repeated.
const txTries = 5

// inTx puts a message and an order in a transaction of the host's, which repeats it when it fails: twice as often, for
// it has more statements than the queue's own since the put has its savepoint, each of which may be the one that fails.
func (s *script) inTx(order string, change func(world), put func(tx *sql.Tx) error) {
	s.do(change, func() (err error) {
		for try := 0; try < 2*txTries && !s.f.dead.Load(); try++ {
			err = func() error {
				tx, err := s.q.DB().BeginTx(ctx, nil)
				if err != nil {
					return err
				}
				defer tx.Rollback()
				if err := put(tx); err != nil {
					return err
				}
				if _, err := tx.Exec("INSERT INTO orders (id) VALUES ('" + order + "') ON CONFLICT DO NOTHING"); err != nil {
					return err
				}
				return tx.Commit()
			}()
			if err == nil || try > 0 && errors.Is(err, queue.ErrDuplicate) { // the one before was committed
				return nil
			}
		}
		return err
	})
}

// run plays the script to its end, or to the first failure.
func (s *script) run() {
	s.put("a", 1, false)
	s.put("b", 3, false)
	s.put("c", 1, true)
	s.put("d", 2, true)
	together(
		func() { s.put("g1", 1, true) }, func() { s.put("g2", 1, false) }, func() { s.put("g3", 2, true) },
		func() { s.put("g4", 1, true) }, func() { s.put("g5", 1, false) },
	)
	s.do(nothing, func() error {
		if _, err := s.q.Put(ctx, newPut("a", 1, 0)); !errors.Is(err, queue.ErrDuplicate) {
			return fmt.Errorf("put twice: %w", err)
		}
		return nil
	})

	s.claim("b", "", 1, 2)
	s.claim("a", "", 1)
	s.settle(to{"a", 1, queue.Waiting, time.Hour, "r2", true})
	s.settle(to{"b", 1, queue.Delivered, 0, "", true}, to{"b", 2, queue.InFlight, time.Hour, "", false})
	s.settle(to{"c", 1, queue.Delivered, 0, "", true}, to{"d", 1, queue.Bounced, 0, "", true})
	s.settle(to{"d", 2, queue.Waiting, 0, "", true})
	s.claim("d", "", 2)
	s.settle(to{"d", 2, queue.Expired, 0, "", false})
	s.settle(to{"b", 2, queue.Suppressed, 0, "", false})
	s.claim("b", "", 3)
	s.settle(to{"b", 3, queue.Delivered, 0, "", true})
	together(
		func() { s.settle(to{"g1", 1, queue.Delivered, 0, "", true}) },
		func() { s.settle(to{"g3", 1, queue.Waiting, time.Hour, "", true}) },
		func() { s.settle(to{"g3", 2, queue.Cancelled, 0, "", false}) },
		func() { s.settle(to{"g4", 1, queue.InFlight, time.Hour, "", false}) },
	)
	s.make("UPDATE repute_delivery SET due = 0 WHERE state = 1 AND route = 'r2'") // its hour is over
	s.claim("a", "r2", 1)
	s.settle(to{"a", 1, queue.Delivered, 0, "", true})

	s.transactions()
	s.values()

	s.make("UPDATE repute_delivery SET expires = 0 WHERE domain = 'g2.example.com'")
	s.claimed(queue.Claim{Expired: true, Limit: 10, LeaseFor: time.Hour}, "g2", 1)
	s.settle(to{"g2", 1, queue.Expired, 0, "", false})

	s.make("UPDATE repute_message SET created = 0 WHERE id IN ('b', 'c', 'd', 'g3')") // long ago
	s.make("UPDATE repute_delivery SET due = 0 WHERE state >= 3")
	s.do(func(w world) {
		for _, id := range []string{"b", "c", "d"} {
			delete(w.mail, id)
		}
	}, func() (err error) {
		for range txTries { // it is tried again in a minute
			if err = s.q.Prune(ctx); err == nil {
				return nil
			}
		}
		return err
	})
	s.put("last", 1, true)
	s.do(func(w world) {
		for id, fates := range w.ownerless().mail {
			w.mail[id] = fates
		}
	}, s.q.Close)
}

// make changes the database from aside, in the place of time passing.
func (s *script) make(text string) {
	s.do(nothing, func() error {
		_, err := s.aside.Exec(text)
		return err
	})
}

// classifier is made once: that takes time.
var classifier = sync.OnceValue(func() *bounce.Classifier {
	c, err := bounce.NewClassifier(bounce.Config{})
	if err != nil {
		panic(err)
	}
	return c
})

// transactions puts mail in transactions of the host's, and hears of it.
func (s *script) transactions() {
	ordered := func(id, order string) func(world) {
		return func(w world) {
			added(id, 1, queue.Waiting)(w)
			w.orders[order] = true
		}
	}
	s.inTx("o1", ordered("t1", "o1"), func(tx *sql.Tx) error { return s.q.PutTx(ctx, tx, newPut("t1", 1, 0)) })
	s.inTx("o2", ordered("t2", "o2"), func(tx *sql.Tx) error {
		out, err := sender.New(sender.Config{
			Classifier: classifier(),
			Routes:     []sender.Route{{Name: "out", Relay: &sender.Relay{Addr: "192.0.2.1:25"}}}, Streams: []sender.Stream{{Name: "news"}}, Queue: s.q,
		})
		if err != nil {
			return err
		}
		r, err := out.EnqueueTx(ctx, tx, sender.Message{ID: "t2", From: "a@example.com", To: []string{"b@example.com"}, Data: bodyOf("t2")})
		if err == nil && r.Duplicate {
			err = queue.ErrDuplicate
		}
		return err
	})
	s.inTx("o3", func(w world) { w.orders["o3"] = true }, func(tx *sql.Tx) error {
		if err := s.q.PutTx(ctx, tx, newPut("t1", 1, 0)); !errors.Is(err, queue.ErrDuplicate) {
			return fmt.Errorf("put twice in a transaction: %w", err)
		}
		return nil // and the transaction goes on
	})
	s.do(nothing, func() error {
		var err error
		for range txTries {
			if err = s.rolledBack(); err == nil {
				return nil
			}
		}
		return err
	})
	s.do(nothing, func() error {
		s.watched = true
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		go func() {
			select {
			case <-s.f.died:
				cancel()
			case <-ctx.Done():
			}
		}()
		s.q.Watch(ctx, func(n queue.News) {
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, d := range n.Accepted {
				s.told[d.MessageID] = true
			}
			if s.told["t1"] && s.told["t2"] {
				cancel()
			}
		})
		if s.f.dead.Load() {
			return killedError{}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.told["t1"] || !s.told["t2"] {
			return fmt.Errorf("told only of %v", s.told)
		}
		return nil
	})
}

// patience is more than anything here takes.
const patience = 30 * time.Second

func (s *script) rolledBack() error {
	tx, err := s.q.DB().BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := s.q.PutTx(ctx, tx, newPut("never", 1, 0)); err != nil {
		return err
	}
	if s.f.dead.Load() {
		return killedError{}
	}
	return nil
}

// values changes state of other parts.
func (s *script) values() {
	set := func(kind sqlqueue.Kind, name, value string) {
		key := string(kind) + " " + name
		s.do(func(w world) {
			if w.values[key] = value; value == "" {
				delete(w.values, key)
			}
		}, func() error {
			return s.q.State(kind).Update(ctx, name, func([]byte) ([]byte, error) {
				if value == "" {
					return nil, nil
				}
				return []byte(value), nil
			})
		})
	}
	set(sqlqueue.KindWarmup, "path", "one")
	set(sqlqueue.KindWarmup, "path", "two")
	set(sqlqueue.KindThrottle, "path", "slow")
	set(sqlqueue.KindThrottle, "path", "")
}
