package sqlqueue

import (
	"context"
	"sync/atomic"
	"time"
)

// clock tells the queue's time, and translates it into that of this process. All decisions are made by the database's clock, so that
// processes whose clocks differ can share it; what is told is told in the process's own time.
//
// SQLite has no clock of its own, and its queue belongs to one process. Its time is what this process's clock showed when the queue was opened, and
// goes on evenly from there: a clock that is set meanwhile ends no lease before its time. When the clock was set by more than a minute, all times in the database are moved
// with it (keepTime), since the next process to open it goes by the clock as it is then: mail that was accepted while the clock was wrong is not given up too early or too late.
type clock struct {
	base  time.Time    // SQLite: when the queue was opened; zero with PostgreSQL
	moved atomic.Int64 // SQLite: how much the clock was set since then, as far as the database knows, in nanoseconds
	ahead atomic.Int64 // PostgreSQL: how far this process is ahead, in nanoseconds
}

// now is the queue's time, for SQLite.
func (c *clock) now() time.Time {
	return c.base.Add(time.Since(c.base) + time.Duration(c.moved.Load()))
}

// local is a time of the database as a time of this process. With SQLite it can be compared with time.Now whatever becomes of the clock.
func (c *clock) local(us int64) time.Time {
	if !c.base.IsZero() {
		return c.base.Add(time.UnixMicro(us).Sub(c.base.Round(0)) - time.Duration(c.moved.Load()))
	}
	return time.UnixMicro(us).Add(time.Duration(c.ahead.Load()))
}

// maxDrift is how far the queue's time may be from the clock.
const maxDrift = time.Minute

// drift is how far the clock is ahead of the queue's time, for SQLite. Round takes the reading off that no setting of the clock changes.
func (c *clock) drift() time.Duration { return time.Now().Round(0).Sub(c.now().Round(0)) }

// keepTime moves all times in a SQLite database when the clock was set.
func (q *Queue) keepTime(ctx context.Context) error {
	drift := q.clock.drift()
	if drift.Abs() <= maxDrift {
		return nil
	}
	q.log.Warn("the clock was set: all times of the queue move with it", "by", drift)
	us := drift.Microseconds()
	o := &op{name: "move times", rows: 16, held: true} // alone: what is written beside it would be by the old time
	o.do = func(ctx context.Context, w *conn, _ *op) error {
		if _, err := w.exec(ctx, "UPDATE repute_message SET created = created + ?", us); err != nil {
			return err
		}
		_, err := w.exec(ctx, "UPDATE repute_delivery SET created = created + ?, due = due + ?, expires = expires + ?", us, us, us)
		return err
	}
	o.then = func() { q.clock.moved.Add(int64(drift)) }
	return q.writer.write(ctx, o)
}

// clockSlack is how far the clocks may drift from what is known before that is corrected.
const clockSlack = 100 * time.Millisecond

// observe takes note of PostgreSQL's time, in microseconds, as a statement told it that was sent at a time and has just been answered. How far we are
// ahead lies between what it was when the statement was sent and what it is now; only what cannot be so is corrected.
func (c *clock) observe(now int64, sent time.Time) {
	db := time.UnixMicro(now)
	low, high := sent.Sub(db), time.Since(db)
	if known := time.Duration(c.ahead.Load()); known < low-clockSlack || known > high+clockSlack {
		c.ahead.Store(int64(low + (high-low)/2))
	}
}

// Ahead is how far this process's clock is ahead of the database's: what it was at the latest statement that told the time, give or take a tenth of a
// second. With SQLite it is 0.
func (q *Queue) Ahead() time.Duration { return time.Duration(q.clock.ahead.Load()) }

// pulse decides whether this process may declare others dead. Two things must not make it: an outage of the database, after which all come back at once,
// and a database clock that jumps ahead, by which all of them seem to have been silent.
type pulse struct {
	beats int       // in a row
	now   int64     // the database's time at the latest one, in microseconds
	at    time.Time // ours
}

// beat notes a beat, and whether it had failed before. It reports whether it is at least the second in a row during which the database's time went on
// as ours did, give or take slack.
func (p *pulse) beat(now int64, at time.Time, failed bool, slack time.Duration) bool {
	jumped := time.Duration(now-p.now)*time.Microsecond-at.Sub(p.at) > slack
	if failed || p.beats > 0 && jumped {
		p.beats = 0
	}
	if p.now, p.at = now, at; failed {
		return false
	}
	p.beats++
	return p.beats > 1
}
