package sqlqueue

import (
	"context"
	"database/sql"
	"slices"
	"sync"
	"time"

	"github.com/reputemail/repute/sender/queue"
)

// channel is the PostgreSQL channel on which PutTx notifies.
const channel = "repute_queue"

// How many messages, and deliveries of them, are taken note of at a time.
const (
	newsLimit      = 256
	newsDeliveries = 2000
)

// After a PutTx of this process its commit is to be expected: for eagerTime, the queue looks every eagerPoll. With SQLite, where there is no other process,
// it looks every idlePoll when there was no PutTx for idleAfter. Where notifications are expected and do not come, for want of a connection, it looks every
// deafPoll.
const (
	eagerPoll = 20 * time.Millisecond
	eagerTime = 3 * time.Second
	deafPoll  = 250 * time.Millisecond
	idlePoll  = 5 * time.Second
	idleAfter = time.Hour
)

// firstPause and lastPause are how long Watch waits before it looks again when the database was out of order.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = 10 * time.Second
)

// news is what Watch has to tell.
type news struct {
	mu    sync.Mutex
	lanes map[queue.Lane]bool
	put   time.Time // the latest PutTx of this process
	deaf  bool      // nobody notifies, although somebody should
	wake  chan struct{}
}

func newNews() *news { return &news{lanes: map[queue.Lane]bool{}, wake: make(chan struct{}, 1)} }

// lanesAre notes lanes to be told of. What is ready in them must be committed, or whoever hears of it would find nothing.
func (n *news) lanesAre(lanes []queue.Lane) {
	if len(lanes) == 0 {
		return
	}
	n.mu.Lock()
	for _, l := range lanes {
		n.lanes[l] = true
	}
	n.mu.Unlock()
	n.look()
}

// expect says that a transaction with mail will be committed soon.
func (n *news) expect() {
	n.mu.Lock()
	n.put = time.Now()
	n.mu.Unlock()
	n.look()
}

// hears notes whether notifications come.
func (n *news) hears(does bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.deaf = !does
}

// look makes Watch look now.
func (n *news) look() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// take returns the noted lanes, and how long to wait before looking again. alone says that nobody else puts mail in transactions.
func (n *news) take(poll time.Duration, alone bool) ([]queue.Lane, time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var lanes []queue.Lane
	for l := range n.lanes {
		lanes = append(lanes, l)
	}
	clear(n.lanes)
	switch since := time.Since(n.put); {
	case since < eagerTime:
		poll = min(poll, eagerPoll)
	case n.deaf:
		poll = min(poll, deafPoll)
	case alone && since > idleAfter:
		poll = max(poll, idlePoll)
	}
	return lanes, poll
}

// Watch calls tell with mail that came into the queue by other ways than a Put of this process, until ctx ends or the queue is closed. Each
// piece of news is told to one process. tell is called from one goroutine. Mail that came while nobody watched is told as well.
func (q *Queue) Watch(ctx context.Context, tell func(queue.News)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	if q.cfg.Listen != nil {
		wg.Go(func() { q.listen(ctx) })
	}
	poll := time.NewTimer(0)
	defer poll.Stop()
	var pause time.Duration // while the database is out of order
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-q.closing:
			return queue.ErrClosed
		case <-q.news.wake:
		case <-poll.C:
		}
		accepted, err := q.takeNews(ctx)
		lanes, again := q.news.take(q.cfg.Poll, !q.d.postgres)
		if err == nil || ctx.Err() != nil {
			pause = 0
		} else {
			pause = min(max(firstPause, 2*pause), lastPause)
			again = max(again, pause)
			q.log.Error("queue cannot look for news", "again after", again, "err", err)
		}
		if len(accepted) > 0 || len(lanes) > 0 {
			tell(queue.News{Accepted: accepted, Lanes: lanes})
		}
		if len(accepted) > 0 { // there may be more
			again = 0
		}
		poll.Reset(again)
	}
}

// takeNews takes note of some messages.
func (q *Queue) takeNews(ctx context.Context) ([]queue.Delivery, error) {
	var some int
	switch err := q.one(ctx, q.pool, "SELECT 1 FROM repute_news ORDER BY message LIMIT 1", nil, &some); err {
	case nil:
	case sql.ErrNoRows:
		return nil, nil
	default:
		return nil, err
	}
	var out []queue.Delivery
	var seqs []int64
	err := q.writer.write(ctx, &op{name: "take news", rows: 16, do: func(ctx context.Context, w *conn, o *op) error {
		if out = nil; !o.unsure { // what an earlier commit may have taken is told, or nobody would
			seqs = nil
		}
		fresh, err := q.firstNews(ctx, w)
		if err == nil {
			err = q.d.each(len(fresh), func(from, size int) error {
				_, err := w.exec(ctx, q.text("news", size, func() string {
					return "DELETE FROM repute_news WHERE message IN (" + holders(size) + ")"
				}), fresh[from:from+size]...)
				return err
			})
		}
		for _, seq := range fresh {
			if !slices.Contains(seqs, seq.(int64)) {
				seqs = append(seqs, seq.(int64))
			}
		}
		for _, seq := range seqs {
			if err != nil {
				return err
			}
			var rows *sql.Rows
			var got []found
			rows, err = w.query(ctx, "SELECT "+columnsAlone+`, {now} FROM repute_delivery d
				WHERE d.seq BETWEEN ? AND ? ORDER BY d.seq`, seq<<shift, (seq+1)<<shift-1)
			got, err = q.deliveries(rows, err)
			for _, f := range got {
				out = append(out, f.Delivery)
			}
		}
		return err
	}})
	if err != nil { // they are news still
		return nil, err
	}
	return out, nil
}

// firstNews finds the messages to take note of: as many as have some thousand deliveries together.
func (q *Queue) firstNews(ctx context.Context, w *conn) (seqs []any, err error) {
	deliveries := 0
	rows, err := w.query(ctx, `SELECT message, coalesce((SELECT recipients FROM repute_message WHERE seq = message), 0)
		FROM repute_news ORDER BY message LIMIT {n} {skip}`, newsLimit)
	err = scan(rows, err, func(r *sql.Rows) error {
		var seq int64
		var n int
		if err := r.Scan(&seq, &n); err != nil {
			return err
		}
		if deliveries += n; deliveries <= newsDeliveries || len(seqs) == 0 {
			seqs = append(seqs, seq)
		}
		return nil
	})
	return seqs, err
}

// listen looks whenever the database notifies. When that breaks it begins again.
func (q *Queue) listen(ctx context.Context) {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
		began := time.Now()
		q.news.hears(false)
		err := q.cfg.Listen(ctx, channel, func() { q.news.hears(true); q.news.look() })
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > time.Minute {
			pause = 100 * time.Millisecond
		}
		q.log.Warn("queue does not hear notifications", "again after", pause, "err", err)
		wait := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-wait.C:
		}
		wait.Stop()
	}
}
