package sqlqueue

import (
	"sync/atomic"
	"time"
)

// clock translates times of the database into those of this process. All decisions are made by the database's clock, so that
// processes whose clocks differ can share it; what is told is told in the process's own time.
type clock struct {
	ahead atomic.Int64 // how far this process is ahead, in nanoseconds
}

// clockSlack is how far the clocks may drift from what is known before that is corrected.
const clockSlack = 100 * time.Millisecond

// observe takes note of the database's time, in microseconds, as a statement told it that was sent at a time and has just been answered. How far we are
// ahead lies between what it was when the statement was sent and what it is now; only what cannot be so is corrected.
func (c *clock) observe(now int64, sent time.Time) {
	db := time.UnixMicro(now)
	low, high := sent.Sub(db), time.Since(db)
	if known := time.Duration(c.ahead.Load()); known < low-clockSlack || known > high+clockSlack {
		c.ahead.Store(int64(low + (high-low)/2))
	}
}

// local is a time of the database as a time of this process.
func (c *clock) local(us int64) time.Time {
	return time.UnixMicro(us).Add(time.Duration(c.ahead.Load()))
}

// Ahead is how far this process's clock is ahead of the database's: what it was at the latest statement that told the time, give or take a tenth of a
// second. With SQLite it is 0.
func (q *Queue) Ahead() time.Duration { return time.Duration(q.clock.ahead.Load()) }
