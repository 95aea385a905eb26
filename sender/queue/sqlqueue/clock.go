package sqlqueue

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
)

// clock tells the queue's time, and translates it into that of this process. All decisions are made by the database's clock, so that
// processes whose clocks differ can share it; what is told is told in the process's own time.
//
// SQLite has no clock of its own, and its queue belongs to one process. Its time is what this process's clock showed when the queue was opened, and
// goes on evenly from there: a clock that is set meanwhile ends no lease before its time. How far the queue's time is ahead of the clock is written down when
// it changes by more than a minute (keepTime), and the next process to open the file goes on from there: mail that was accepted while the clock was wrong is
// not given up too early or too late, and no time in the database has to be changed.
type clock struct {
	base time.Time    // when the queue was opened
	lead atomic.Int64 // how far the queue's time is ahead of this process's, in nanoseconds
}

// now is the queue's time: for SQLite what it goes by, for PostgreSQL as far as is known.
func (c *clock) now() time.Time {
	return c.base.Add(time.Since(c.base) + time.Duration(c.lead.Load()))
}

// local is a time of the database as a time of this process. It can be compared with time.Now whatever becomes of the clock.
func (c *clock) local(us int64) time.Time {
	return c.base.Add(time.UnixMicro(us).Sub(c.base.Round(0)) - time.Duration(c.lead.Load()))
}

// SharedTime implements sender.Clock: a time of this process by the database's clock. It goes by time as it passes since the queue was opened, so that a clock
// that is set meanwhile changes nothing.
func (q *Queue) SharedTime(t time.Time) time.Time {
	return q.clock.base.Round(0).Add(t.Sub(q.clock.base) + time.Duration(q.clock.lead.Load()))
}

// OwnTime implements sender.Clock: the inverse of SharedTime. What it gives can be compared with time.Now.
func (q *Queue) OwnTime(t time.Time) time.Time {
	return q.clock.base.Add(t.Round(0).Sub(q.clock.base.Round(0)) - time.Duration(q.clock.lead.Load()))
}

// kindClock keeps, under leadName, how far the time of a queue in a file is ahead of the clock, in nanoseconds. Without it they are the same.
const (
	kindClock Kind   = "clock"
	leadName  string = "lead"
)

// maxDrift is how far the clock may be from what is written down of it.
const maxDrift = time.Minute

// startClock begins the time of a queue in a file, where it was left.
func (q *Queue) startClock(ctx context.Context) error {
	text, err := q.State(kindClock).Get(ctx, leadName)
	if err != nil || text == nil {
		return err
	}
	lead, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return fmt.Errorf("sqlqueue: open: repute_state: clock: %q is no number of nanoseconds", text)
	}
	q.clock.lead.Store(lead)
	q.kept = time.Duration(lead)
	return nil
}

// wasSet tells how far the queue's time is ahead of the clock, and whether that is news.
func (q *Queue) wasSet() (lead time.Duration, news bool) {
	lead = q.clock.now().Round(0).Sub(time.Now().Round(0)) // Round takes the reading off that no setting of the clock changes
	return lead, !q.d.postgres && (lead-q.kept).Abs() > maxDrift
}

// keepTime writes down how far the queue's time is ahead of the clock, if the clock was set.
func (q *Queue) keepTime(ctx context.Context) error {
	lead, news := q.wasSet()
	if !news {
		return nil
	}
	_, err := q.run(ctx, "keep time", func(ctx context.Context, w *conn) error { return writeLead(ctx, w, lead) })
	if err == nil {
		q.log.Warn("the clock was set: the queue goes on by the time as it was", "by", q.kept-lead)
		q.kept = lead
	}
	return err
}

func writeLead(ctx context.Context, w *conn, lead time.Duration) error {
	_, err := w.exec(ctx, `INSERT INTO repute_state (kind, name, version, value) VALUES (?, ?, ?, ?)
		ON CONFLICT (kind, name) DO UPDATE SET version = excluded.version, value = excluded.value`,
		string(kindClock), leadName, newNonce(), strconv.AppendInt(nil, int64(lead), 10))
	return err
}

// clockSlack is how far the clocks may drift from what is known before that is corrected.
const clockSlack = 100 * time.Millisecond

// observe takes note of PostgreSQL's time, in microseconds, as a statement told it that was sent at a time and has just been answered. How far it is
// ahead lies between what it was when the statement was sent and what it is now; only what cannot be so is corrected.
func (c *clock) observe(now int64, sent time.Time) {
	then := time.UnixMicro(now).Sub(c.base.Round(0))
	low, high := then-time.Since(c.base), then-sent.Sub(c.base)
	if known := time.Duration(c.lead.Load()); known < low-clockSlack || known > high+clockSlack {
		c.lead.Store(int64(low + (high-low)/2))
	}
}

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
