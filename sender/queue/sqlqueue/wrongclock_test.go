package sqlqueue_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/queue/sqlitequeue"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

// TestMailOfAWrongClockLives: mail that was accepted before the clock was right lives as long as any other, also over a restart or a crash.
func TestMailOfAWrongClockLives(t *testing.T) {
	const year = 365 * 24 * time.Hour
	restart := func(t *testing.T, db database, q *sqlqueue.Queue) *sqlqueue.Queue {
		must(t, q.Close())
		return db.queue(t, sqlqueue.Config{})
	}
	crash := func(t *testing.T, _ database, q *sqlqueue.Queue) *sqlqueue.Queue {
		eventually(t, "written down", func() bool { return count(t, q, "SELECT count(*) FROM repute_state WHERE kind = 'clock'") == 1 })
		left := filepath.Join(t.TempDir(), "left.db")
		_, err := q.DB().Exec("VACUUM INTO ?", left)
		must(t, err)
		again, err := sqlitequeue.OpenConfig(bg, left, sqlqueue.Config{})
		must(t, err)
		t.Cleanup(func() { must(t, again.Close()) })
		return again
	}
	for name, c := range map[string]struct {
		by  time.Duration // how far the clock is set ahead
		end func(*testing.T, database, *sqlqueue.Queue) *sqlqueue.Queue
	}{
		"behind, restart": {year, restart}, "behind, crash": {year, crash}, "ahead, restart": {-year, restart}, "ahead, crash": {-year, crash},
	} {
		t.Run(name, func(t *testing.T) {
			db := sqlite(t)
			q := db.queue(t, sqlqueue.Config{})
			sqlqueue.SetClock(q, c.by)
			leased := message("leased", 1)
			leased.LeaseFor = 10 * time.Minute
			put(t, q, message("m", 1), message("late", 1), leased)
			late := claim(t, q, 2)
			settle(t, q, queue.Delivered, late[0])
			must(t, func() error {
				_, err := q.Settle(bg, []queue.Settlement{{ID: late[1].ID, Lease: late[1].Lease, State: queue.Waiting, After: 30 * time.Minute}})
				return err
			}())
			look := func(q *sqlqueue.Queue) {
				t.Helper()
				for id, want := range map[string]struct{ due, expires time.Duration }{"leased": {10 * time.Minute, time.Hour}, "late": {30 * time.Minute, time.Hour}} {
					got, err := q.Get(bg, id)
					must(t, err)
					due, expires := time.Until(got[0].Due), time.Until(got[0].Expires)
					if (due-want.due).Abs() > 2*time.Minute && id != "leased" || (expires-want.expires).Abs() > 2*time.Minute {
						t.Errorf("%s is due in %v and expires in %v, want %v and %v", id, due, expires, want.due, want.expires)
					}
				}
				if got, err := q.Claim(bg, queue.Claim{Expired: true, Limit: 10, LeaseFor: time.Second}); err != nil || len(got.Deliveries) != 0 {
					t.Errorf("%d are given up, %v", len(got.Deliveries), err)
				}
				must(t, q.Prune(bg))
				if got, err := q.Get(bg, late[0].MessageID); err != nil || got[0].State != queue.Delivered {
					t.Errorf("the settled one is forgotten: %v, %v", got, err)
				}
			}
			look(q)
			look(c.end(t, db, q))
		})
	}
}
