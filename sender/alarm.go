package sender

import (
	"container/heap"
	"time"
)

// alarm calls ring at a time, under the dispatcher's mutex. An alarm belongs to one alarms heap.
type alarm struct {
	ring func(now time.Time)
	at   time.Time
	slot int // index in the heap plus one; 0 when it is not set
}

// alarms is a heap of the alarms that are set, the next one first.
type alarms struct{ items alarmHeap }

// set makes a ring at t, and no more at any earlier setting.
func (h *alarms) set(a *alarm, t time.Time) {
	a.at = t
	if a.slot > 0 {
		heap.Fix(&h.items, a.slot-1)
		return
	}
	heap.Push(&h.items, a)
}

// clear makes a not ring.
func (h *alarms) clear(a *alarm) {
	if a.slot > 0 {
		heap.Remove(&h.items, a.slot-1)
	}
}

// ring rings all alarms that are due and returns when the next one is; zero when none is set.
func (h *alarms) ring(now time.Time) time.Time {
	for len(h.items) > 0 {
		a := h.items[0]
		if a.at.After(now) {
			return a.at
		}
		heap.Pop(&h.items)
		a.ring(now)
	}
	return time.Time{}
}

type alarmHeap []*alarm

// Len, Less, Swap, Push and Pop implement heap.Interface.

func (h alarmHeap) Len() int           { return len(h) }
func (h alarmHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h alarmHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].slot, h[j].slot = i+1, j+1
}
func (h *alarmHeap) Push(x any) {
	a := x.(*alarm)
	*h = append(*h, a)
	a.slot = len(*h)
}
func (h *alarmHeap) Pop() any {
	old := *h
	a := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	a.slot = 0
	return a
}
