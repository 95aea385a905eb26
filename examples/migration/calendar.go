package main

import (
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
)

// calendar is a clock that runs faster than that of the process: weeks pass in seconds. The warm-up ledger and the migrations go by it, as they would go by the clock of a
// database; connections, replies and their time-outs are as real as ever.
type calendar struct {
	began time.Time // when the first day began, by the clock of the process
	speed int64     // how many days pass in one
}

// firstDay is the first day of the calendar.
var firstDay = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)

// newCalendar begins the first day. A day lasts for the time given.
func newCalendar(day time.Duration) calendar {
	return calendar{began: time.Now(), speed: max(1, int64(24*time.Hour/day))}
}

// SharedTime implements sender.Clock: the time by the calendar.
func (c calendar) SharedTime(t time.Time) time.Time {
	return firstDay.Add(t.Sub(c.began) * time.Duration(c.speed))
}

// OwnTime implements sender.Clock: when that is by the clock of the process. It is rounded up: at that time, what was to be has come.
func (c calendar) OwnTime(t time.Time) time.Time {
	since, speed := t.Sub(firstDay), time.Duration(c.speed)
	own := since / speed
	if since%speed > 0 {
		own++
	}
	return c.began.Add(own)
}

// short is how long a time of the calendar lasts for the process, and never nothing.
func (c calendar) short(d time.Duration) time.Duration {
	return max(time.Millisecond, d/time.Duration(c.speed))
}

// now is the time by the calendar.
func (c calendar) now() time.Time { return c.SharedTime(time.Now()) }

// dayOf is the day of a time by the calendar, from 1.
func dayOf(t time.Time) int { return int(t.Sub(firstDay)/(24*time.Hour)) + 1 }

// startOf is the time at which a day begins, by the calendar.
func startOf(day int) time.Time { return firstDay.AddDate(0, 0, day-1) }

// fastQueue is a queue in memory whose clock is the calendar. The Sender finds SharedTime and OwnTime by itself; in a real queue they are there so that several
// processes on one database agree on the time.
type fastQueue struct {
	*queue.Memory
	calendar
}

var _ sender.Clock = fastQueue{}

func newFastQueue(c calendar) (fastQueue, error) {
	q, err := queue.NewMemory(queue.MemoryConfig{})
	return fastQueue{q, c}, err
}
