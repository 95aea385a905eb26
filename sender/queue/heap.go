package queue

// The kinds of heap a record may stand in: at most one of each at a time.
const (
	heapLane   = iota // its lane's waiting or ready heap, or the heap of leases
	heapExpiry        // all open records by expiry
	heapAge           // its lane's open records by age
	numHeaps
)

// recordHeap is a container/heap that keeps each record's index, so that a record can be taken out of the middle.
type recordHeap struct {
	kind  int
	less  func(a, b *record) bool
	items []*record
}

func byDue(a, b *record) bool    { return a.Due.Before(b.Due) || a.Due.Equal(b.Due) && a.seq < b.seq }
func byExpiry(a, b *record) bool { return a.Expires.Before(b.Expires) }
func byAge(a, b *record) bool    { return a.seq < b.seq }

// byRank is the order in which due deliveries of a lane are claimed: priority, then age.
func byRank(a, b *record) bool {
	if a.Priority != b.Priority {
		return a.Priority > b.Priority
	}
	return a.seq < b.seq
}

func (h *recordHeap) Len() int           { return len(h.items) }
func (h *recordHeap) Less(i, j int) bool { return h.less(h.items[i], h.items[j]) }
func (h *recordHeap) Swap(i, j int) {
	h.items[i], h.items[j] = h.items[j], h.items[i]
	h.items[i].slot[h.kind], h.items[j].slot[h.kind] = i, j
}
func (h *recordHeap) Push(x any) {
	r := x.(*record)
	r.slot[h.kind] = len(h.items)
	h.items = append(h.items, r)
}
func (h *recordHeap) Pop() any {
	n := len(h.items) - 1
	r := h.items[n]
	h.items[n] = nil
	h.items = h.items[:n]
	r.slot[h.kind] = -1
	return r
}
