package sqlqueue

import (
	"container/list"
	"errors"
	"sync"

	"github.com/reputemail/repute/sender/queue"
)

// cache keeps bodies in memory from Put or Claim until their last delivery is settled, so that new mail is not read
// back, and other mail many messages at a time. When they are too many, those
// that are about to be sent push out what came longest ago, and others are not taken in.
type cache struct {
	max int64

	mu    sync.Mutex
	bytes int64
	items map[string]*list.Element
	order list.List // of *cached, the latest first
}

// errEnough: no more of it.
var errEnough = errors.New("sqlqueue: enough")

// cached is a message with its number. An ID may name another message later on, when the first is long forgotten.
type cached struct {
	msg *queue.Message
	seq int64
}

func newCache(max int64) *cache { return &cache{max: max, items: map[string]*list.Element{}} }

// put takes a message in; soon says that it is about to be sent.
func (c *cache) put(m *queue.Message, seq int64, soon bool) {
	size := int64(len(m.Data))
	if size > c.max {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.items[m.ID]; e != nil {
		if e.Value.(*cached).seq == seq {
			return
		}
		c.remove(e)
	}
	if !soon && c.bytes+size > c.max {
		return
	}
	c.items[m.ID] = c.order.PushFront(&cached{m, seq})
	c.bytes += size
	for c.bytes > c.max {
		c.remove(c.order.Back())
	}
}

func (c *cache) get(id string) *queue.Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.items[id]; e != nil {
		return e.Value.(*cached).msg
	}
	return nil
}

// check forgets a message if its ID is that of another one now.
func (c *cache) check(id string, seq int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.items[id]; e != nil && e.Value.(*cached).seq != seq {
		c.remove(e)
	}
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
	m := c.order.Remove(e).(*cached).msg
	delete(c.items, m.ID)
	c.bytes -= int64(len(m.Data))
}
