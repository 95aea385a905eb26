package main

import (
	"sync/atomic"
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
)

// calendar is a clock that runs faster than that of the process, so that the hours of a plan pass in seconds. The warm-up goes by it, as it would go by
// the clock of a database; connections, replies and their time-outs are as real as ever. It stands still until run: to hand a letter over takes
// seconds in life as well, but here they would be hours.
type calendar struct {
	first time.Time                 // by the calendar
	speed int64                     // how many days pass in one
	began atomic.Pointer[time.Time] // when it began to run, by the clock of the process; nil: it stands still
}

// newCalendar makes one whose days last for the time given; one of 24 hours is a day of the process.
func newCalendar(day time.Duration) *calendar {
	return &calendar{first: time.Now(), speed: max(1, int64(24*time.Hour/day))}
}

// run lets the first day begin.
func (c *calendar) run() {
	now := time.Now()
	c.began.Store(&now)
}

// SharedTime implements sender.Clock: the time by the calendar.
func (c *calendar) SharedTime(t time.Time) time.Time {
	began := c.began.Load()
	if began == nil || t.Before(*began) {
		return c.first
	}
	return c.first.Add(t.Sub(*began) * time.Duration(c.speed))
}

// OwnTime implements sender.Clock: when that is by the clock of the process. It is rounded up: at that time, what was to be has come. While the calendar
// stands still nobody knows, and may ask again soon.
func (c *calendar) OwnTime(t time.Time) time.Time {
	began := c.began.Load()
	if began == nil {
		return time.Now().Add(10 * time.Millisecond)
	}
	since, speed := t.Sub(c.first), time.Duration(c.speed)
	own := since / speed
	if since%speed > 0 {
		own++
	}
	return began.Add(own)
}

// since is how long the calendar had run at a time of the process.
func (c *calendar) since(t time.Time) time.Duration { return c.SharedTime(t).Sub(c.first) }

// fastQueue is a queue in memory whose clock is the calendar. The Sender finds SharedTime and OwnTime by itself; in a real queue they are there so that
// several processes on one database agree on the time.
type fastQueue struct {
	*queue.Memory
	*calendar
}

var _ sender.Clock = fastQueue{}

func newFastQueue(c *calendar) (fastQueue, error) {
	q, err := queue.NewMemory(queue.MemoryConfig{})
	return fastQueue{q, c}, err
}
