package sqlqueue

import (
	"context"
	"database/sql"

	"github.com/reputemail/repute/sender/queue"
)

// messageColumns are those of a message, of table m, with its body, of table b.
const messageColumns = `SELECT m.seq, m.id, m.stream, m.sender, m.flags, m.recipients, m.created, b.data
	FROM repute_message m JOIN repute_body b ON b.message = m.seq WHERE `

// message reads a row of messageColumns.
func (q *Queue) message(r *sql.Rows) (m *queue.Message, seq int64, err error) {
	m = &queue.Message{}
	var flags int
	var created int64
	err = r.Scan(&seq, &m.ID, &m.Stream, &m.From, &flags, &m.Recipients, &created, &m.Data)
	m.EightBit, m.UTF8 = flags&flagEightBit != 0, flags&flagUTF8 != 0
	m.Created = q.clock.local(created)
	return m, seq, err
}

// Message implements sender.Queue.
func (q *Queue) Message(ctx context.Context, id string) (*queue.Message, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if m := q.cache.get(id); m != nil {
		return m, nil
	}
	var m *queue.Message
	var seq int64
	err := q.reading(ctx, "message", func() error {
		m = nil
		rows, err := q.pool.query(ctx, messageColumns+"m.id = ?", id)
		return scan(rows, err, func(r *sql.Rows) (err error) {
			m, seq, err = q.message(r)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, queue.ErrNotFound
	}
	if m.Recipients > 1 { // it will be wanted again
		q.cache.put(m, seq, true)
	}
	return m, nil
}

// fetchPart is the part of the cache that the bodies of one claim may take.
const fetchPart = 8

// fetch reads the messages of what was claimed, many at a time: they will be wanted one by one. What cannot be read now is read then.
func (q *Queue) fetch(ctx context.Context, ds []queue.Delivery) {
	var ids []any
	asked := map[string]bool{}
	for i := range ds {
		if id := ds[i].MessageID; !asked[id] && q.cache.get(id) == nil {
			asked[id] = true
			ids = append(ids, id)
		}
	}
	if len(ids) < 2 {
		return
	}
	left := q.cfg.CacheBytes / fetchPart
	q.d.each(len(ids), func(from, size int) error {
		if left <= 0 {
			return errEnough
		}
		rows, err := q.pool.query(ctx, q.text("fetch", size, func() string {
			return messageColumns + "m.id IN (" + holders(size) + ")"
		}), ids[from:from+size]...)
		return scan(rows, err, func(r *sql.Rows) error {
			m, seq, err := q.message(r)
			if err != nil {
				return err
			}
			if left -= int64(len(m.Data)); left < 0 {
				return errEnough
			}
			q.cache.put(m, seq, true)
			return nil
		})
	})
}
