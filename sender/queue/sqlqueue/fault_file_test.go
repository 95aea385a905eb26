package sqlqueue_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/queue/sqlitequeue"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

// sqliteDSN opens a SQLite database by a DSN of the driver's.
func sqliteDSN(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// bigPut is a message of some size, all in one lane. Its body tells its ID.
func bigPut(id string, size int) queue.Put {
	p := newPut(id, 1, 0)
	p.Message.Data = bigBody(id, size)
	p.Deliveries[0].Lane = bigLane
	return p
}

func bigBody(id string, size int) []byte {
	return bytes.Repeat([]byte(id+" "), size/(len(id)+1)+1)[:size]
}

var bigLane = queue.Lane{Stream: "news", Domain: "example.com"}

// A disk that is full refuses mail with ErrFull, keeps what it has, and takes mail again when there is room.
func TestDiskFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	db := sqliteDSN(t, "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=max_page_count(600)")
	q, err := sqlqueue.Open(ctx, db, quick)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	const size = 10_000
	fill := func(prefix string) (ids []string) {
		for i := 0; ; i++ {
			id := fmt.Sprintf("%s%d", prefix, i)
			switch _, err := q.Put(ctx, bigPut(id, size)); {
			case err == nil:
				ids = append(ids, id)
			case errors.Is(err, queue.ErrFull):
				return ids
			default:
				t.Fatalf("%s: %v", id, err)
			}
			if i > 1000 {
				t.Fatal("the disk does not become full")
			}
		}
	}
	for i := range 50 {
		if _, err := q.Put(ctx, bigPut(fmt.Sprint("early", i), size)); err != nil {
			t.Fatal(err)
		}
	}
	early, err := q.Claim(ctx, queue.Claim{Lane: bigLane, Limit: 50, LeaseFor: time.Hour})
	if err != nil || len(early.Deliveries) != 50 {
		t.Fatalf("%d, %v", len(early.Deliveries), err)
	}
	first := fill("first")
	if len(first) < 20 {
		t.Fatalf("full after %d messages", len(first))
	}
	// Calls that share a transaction fail each by itself.
	errs := make(chan error, 8)
	for i := range cap(errs) {
		go func() {
			_, err := q.Put(ctx, bigPut(fmt.Sprint("many", i), size))
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil && !errors.Is(err, queue.ErrFull) {
			t.Error(err)
		}
	}
	// What is delivered makes room.
	var batch []queue.Settlement
	for _, d := range early.Deliveries {
		batch = append(batch, queue.Settlement{ID: d.ID, Lease: d.Lease, State: queue.Delivered, Began: true})
	}
	if lost, err := q.Settle(ctx, batch); err != nil || len(lost) > 0 {
		t.Fatalf("settle on a full disk: %v, %v", lost, err)
	}
	second := fill("second")
	if len(second) < 20 {
		t.Errorf("after 50 messages were delivered there is room for %d", len(second))
	}
	for _, id := range append(first, second...) {
		m, err := q.Message(ctx, id)
		if err != nil || !bytes.Equal(m.Data, bigBody(id, size)) {
			t.Fatalf("%s: %v", id, err)
		}
	}
	execute(t, db, ordersTable)
	observe(t, db)
	if _, err := q.Get(ctx, fmt.Sprint("second", len(second))); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("what was refused: %v", err)
	}
}

// A file that cannot be written is no queue, and the error says why.
func TestReadOnlyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	filled(t, path, 10)
	db := sqliteDSN(t, "file:"+path+"?mode=ro")
	_, err := sqlqueue.Open(ctx, db, quick)
	if err == nil || !strings.Contains(err.Error(), "readonly") {
		t.Fatalf("open: %v", err)
	}
	// Nor does it stay locked.
	q, err := sqlitequeue.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Error(err)
	}
}

// filled makes a queue with n messages in a file, and closes it.
func filled(t *testing.T, path string, n int) {
	t.Helper()
	q, err := sqlitequeue.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if _, err := q.Put(ctx, bigPut(fmt.Sprint("m", i), 2500)); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
}

// A file that is something else is refused, and left as it is.
func TestNoDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	garbage := bytes.Repeat([]byte("Dear diary, "), 1000)
	if err := os.WriteFile(path, garbage, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := sqlitequeue.Open(path)
	if err == nil || !strings.Contains(err.Error(), "not a database") {
		t.Fatalf("open: %v", err)
	}
	if left, err := os.ReadFile(path); err != nil || !bytes.Equal(left, garbage) {
		t.Errorf("the file was changed: %v", err)
	}
}

// A page that was overwritten gives errors: no message disappears without one, and none is sent with another's body.
func TestCorruptedPages(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good.db")
	const messages = 60
	filled(t, good, messages)
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	const pageSize = 4096
	failed := 0
	for page := 1; page < len(data)/pageSize; page++ { // the first one is the header
		bad := bytes.Clone(data)
		copy(bad[page*pageSize:], bytes.Repeat([]byte{0xff}, pageSize))
		path := filepath.Join(dir, fmt.Sprintf("bad%d.db", page))
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		n, err := deliverAll(t, path)
		switch {
		case err != nil:
			failed++
		case n != messages:
			t.Errorf("page %d: %d of %d messages, and no error", page, n, messages)
		}
	}
	if failed == 0 {
		t.Error("there were no errors at all")
	}
	t.Logf("%d of %d pages give errors", failed, len(data)/pageSize-1)
}

// deliverAll delivers all mail of a file, and returns how much it was, and the first error.
func deliverAll(t *testing.T, path string) (n int, err error) {
	t.Helper()
	q, err := sqlitequeue.OpenConfig(ctx, path, quick)
	if err != nil {
		return 0, err
	}
	defer q.Close()
	for {
		got, err := q.Claim(ctx, queue.Claim{Lane: bigLane, Limit: 20, LeaseFor: time.Hour})
		if err != nil {
			return n, err
		}
		if len(got.Deliveries) == 0 {
			return n, nil
		}
		var batch []queue.Settlement
		for _, d := range got.Deliveries {
			m, err := q.Message(ctx, d.MessageID)
			if err != nil {
				return n, err
			}
			if !bytes.Equal(m.Data, bigBody(d.MessageID, 2500)) {
				t.Errorf("%s: %s has another body", path, d.MessageID)
			}
			batch = append(batch, queue.Settlement{ID: d.ID, Lease: d.Lease, State: queue.Delivered, Began: true})
		}
		if _, err := q.Settle(ctx, batch); err != nil {
			return n, err
		}
		n += len(batch)
	}
}

// A second process is kept out of a file, until the first one has ended in whatever way.
func TestTwoProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	c := startChild(t, childHolds, "sqlite", path, "", "")
	select {
	case <-c.ready:
	case <-c.ended:
		t.Fatalf("the child ended by itself: %s", &c.stderr)
	}
	_, err := sqlitequeue.Open(path)
	if !errors.Is(err, sqlqueue.ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Fatalf("open: %v", err)
	}
	c.kill()
	q, err := sqlitequeue.Open(path)
	if err != nil {
		t.Fatalf("after the first has ended: %v", err)
	}
	if err := q.Close(); err != nil {
		t.Error(err)
	}
}

// A Put whose context ends while somebody else has the file locked returns, and leaves nothing.
func TestPutWhileLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	q, err := sqlitequeue.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	tx, err := q.DB().Begin() // takes the lock
	if err != nil {
		t.Fatal(err)
	}
	putInVain(t, q)
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, q)
}

// vain are how the Puts of putInVain begin.
const vain = 6

// putInVain puts messages that cannot be stored now.
func putInVain(t *testing.T, q *sqlqueue.Queue) {
	t.Helper()
	limit, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	errs := make(chan error, vain)
	for i := range vain {
		go func() {
			lease := time.Duration(i%2) * time.Hour
			_, err := q.Put(limit, newPut(fmt.Sprint("vain", i), 1+i/2, lease))
			errs <- err
		}()
		time.Sleep(10 * time.Millisecond) // so that some are part of a transaction and others wait for the next one
	}
	for range vain {
		select {
		case err := <-errs:
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("put: %v", err)
			}
		case <-time.After(patience):
			t.Fatal("put does not return")
		}
	}
}

// nothingLeft: the queue works again, and what was put in vain goes.
func nothingLeft(t *testing.T, q *sqlqueue.Queue) {
	t.Helper()
	if _, err := q.Put(ctx, newPut("after", 1, 0)); err != nil {
		t.Fatal(err)
	}
	for i := range vain {
		id := fmt.Sprint("vain", i)
		for until := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			// A transaction that was under way may still end, and is taken back then: after that, the ID is free.
			_, err := q.Put(ctx, newPut(id, 1, 0))
			if err == nil {
				break
			}
			if time.Now().After(until) {
				t.Fatalf("%s: %v", id, err)
			}
		}
	}
	execute(t, q.DB(), ordersTable)
	observe(t, q.DB())
}
