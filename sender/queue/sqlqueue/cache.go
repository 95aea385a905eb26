package sqlqueue

import (
	"container/list"
	"sync"

	"github.com/reputemail/repute/sender/queue"
)

// cache keeps bodies in memory from Put until their last delivery is settled, so that new mail is not read back. When they are too many, those
// that are about to be sent push out what came longest ago, and others are not taken in.
type cache struct {
	max int64

	mu    sync.Mutex
	bytes int64
	items map[string]*list.Element
	order list.List // of *queue.Message, the latest first
}

func newCache(max int64) *cache { return &cache{max: max, items: map[string]*list.Element{}} }

// put takes a message in; soon says that it is about to be sent.
func (c *cache) put(m *queue.Message, soon bool) {
	size := int64(len(m.Data))
	if size > c.max {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.items[m.ID]; ok || !soon && c.bytes+size > c.max {
		return
	}
	c.items[m.ID] = c.order.PushFront(m)
	c.bytes += size
	for c.bytes > c.max {
		c.remove(c.order.Back())
	}
}

func (c *cache) get(id string) *queue.Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.items[id]; e != nil {
		return e.Value.(*queue.Message)
	}
	return nil
}

// drop forgets a message.
func (c *cache) drop(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.items[id]; e != nil {
		c.remove(e)
	}
}

func (c *cache) remove(e *list.Element) {
	m := c.order.Remove(e).(*queue.Message)
	delete(c.items, m.ID)
	c.bytes -= int64(len(m.Data))
}
