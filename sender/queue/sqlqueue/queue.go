package sqlqueue

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reputemail/repute/internal/filelock"
	"github.com/reputemail/repute/sender/queue"
)

// Errors of Open.
var (
	// ErrLocked: another process has this SQLite file open as its queue, or another Queue of this process.
	ErrLocked = errors.New("sqlqueue: the queue is in use")
	// ErrNewer: the schema in the database is of a later version of this package.
	ErrNewer = errors.New("sqlqueue: the schema is newer than this program knows")
)

// errCorrupt: the database holds what this package cannot have written.
var errCorrupt = errors.New("the database holds what no queue has written")

// Queue is a queue in a SQL database. It implements sender.Queue, and the add-ons TxQueue, Watcher, LaneFinder, WarmupStorer and Clock. It is safe for
// concurrent use.
type Queue struct {
	db     *sql.DB
	d      *dialect
	cfg    Config
	log    *slog.Logger
	owner  string // of leases: Config.Owner, and a word that tells this life from the others
	lock   *filelock.Lock
	pool   pool
	writer *writer
	cache  *cache
	news   *news
	clock  clock
	kept   time.Duration // maintain's: how far the clock is behind the queue's time, as the file has it

	texts     sync.Map // of textKey: statements that are made for a number of rows
	reclaimed atomic.Int64
	pulse     pulse // of the goroutine that beats
	pruning   sync.Mutex

	mu      sync.Mutex
	stmts   map[string]*sql.Stmt // of the pool
	closed  bool
	life    context.Context // of what the queue does by itself
	closing <-chan struct{} // closed at its end
	rest    func()          // ends it
	wg      sync.WaitGroup
}

// Open makes a queue of a database: SQLite 3.37 or later, or PostgreSQL 13 or later; which of them, it finds out by itself. It brings the
// schema up to date. The *sql.DB stays the host's, for its own tables too, and is closed by the host after the Queue (or see Config.CloseDB). It
// must allow for five connections at least, of which the queue keeps one (SQLite) or up to three (PostgreSQL) to itself.
//
// Errors are ErrConfig, ErrLocked, ErrNewer, or tell what the database said.
func Open(ctx context.Context, db *sql.DB, cfg Config) (*Queue, error) {
	if db == nil {
		return nil, fmt.Errorf("%w: db: missing", ErrConfig)
	}
	if n := db.Stats().MaxOpenConnections; n > 0 && n < minConns {
		return nil, fmt.Errorf("%w: db: MaxOpenConns is %d, %d are needed", ErrConfig, n, minConns)
	}
	d, err := detect(ctx, db)
	if err != nil {
		return nil, err
	}
	if cfg, err = cfg.withDefaults(d.postgres); err != nil {
		return nil, err
	}
	q := &Queue{
		db: db, d: d, cfg: cfg, log: cfg.Logger, owner: cfg.Owner + " " + rand.Text()[:8], cache: newCache(cfg.CacheBytes), news: newNews(),
		stmts: map[string]*sql.Stmt{}, clock: clock{base: time.Now()},
	}
	q.pool, q.writer = pool{q}, newWriter(q)
	q.life, q.rest = context.WithCancel(context.Background())
	q.closing = q.life.Done()
	if !d.postgres {
		if err := q.lockFile(ctx); err != nil {
			return nil, err
		}
	}
	if err := q.migrate(ctx); err != nil {
		q.unlockFile()
		return nil, err
	}
	q.writer.start()
	if d.postgres {
		err = q.beat(ctx)
	} else if err = q.startClock(ctx); err == nil {
		err = q.recover(ctx)
	}
	if err != nil {
		q.writer.close(nil)
		q.closeStatements()
		q.unlockFile()
		return nil, err
	}
	q.wg.Go(q.maintain)
	q.wg.Go(q.pruneByTheClock)
	if d.postgres {
		q.wg.Go(q.keepAlive)
	}
	return q, nil
}

// minConns is how many connections are needed, lest the queue and the host's transactions wait for each other: two to write, one to listen, one to read,
// one for the host.
const minConns = 5

// lockFile takes the lock beside a SQLite database that is a file.
func (q *Queue) lockFile(ctx context.Context) error {
	path := ""
	err := q.one(ctx, q.pool, "SELECT file FROM pragma_database_list WHERE name = 'main'", nil, &path)
	if err != nil {
		return fmt.Errorf("sqlqueue: open: %w", err)
	}
	if path == "" { // in memory
		return nil
	}
	lock, err := filelock.Take(path + ".lock")
	if errors.Is(err, filelock.ErrLocked) {
		return fmt.Errorf("%w: %s is %w", ErrLocked, path, err)
	}
	if err != nil {
		return fmt.Errorf("sqlqueue: lock: %w", err)
	}
	q.lock = lock
	return nil
}

func (q *Queue) unlockFile() {
	if q.lock != nil {
		q.lock.Release()
	}
}

// DB is the database, for the host's own tables and transactions.
func (q *Queue) DB() *sql.DB { return q.db }

// Close writes what was handed over, gives back what is leased, and ends the use of the database. Calls after Close return
// queue.ErrClosed. Stop the Sender first. A second Close does nothing.
func (q *Queue) Close() error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return nil
	}
	q.closed = true
	q.mu.Unlock()
	q.rest()
	q.wg.Wait()
	err := q.resign()
	q.closeStatements()
	if q.cfg.CloseDB {
		err = errors.Join(err, q.db.Close())
	}
	q.unlockFile()
	return err
}

func (q *Queue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// statement returns a statement of the pool, prepared.
func (q *Queue) statement(ctx context.Context, s *statement) (*sql.Stmt, error) {
	q.mu.Lock()
	st := q.stmts[s.text]
	q.mu.Unlock()
	if st != nil {
		return st, nil
	}
	st, err := q.db.PrepareContext(ctx, s.text)
	if err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if other := q.stmts[s.text]; other != nil {
		st.Close()
		return other, nil
	}
	q.stmts[s.text] = st
	return st, nil
}

func (q *Queue) closeStatements() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, st := range q.stmts {
		st.Close()
	}
	clear(q.stmts)
}

// textKey names a statement that is made for a number of rows.
type textKey struct {
	name string
	rows int
}

// text returns the statement of a name for a number of rows, made once.
func (q *Queue) text(name string, rows int, make func() string) string {
	key := textKey{name, rows}
	if s, ok := q.texts.Load(key); ok {
		return s.(string)
	}
	s := make()
	q.texts.Store(key, s)
	return s
}

// PostgreSQL plans what it reads for a table that is empty when it is new, and keeps to that until it has statistics. Autovacuum may take minutes to
// make the first ones, so the queue has them made after so many of its transactions, ten times as many, and so on.
const (
	analyzeFirst = 100
	analyzeLast  = 100_000
)

// How often the queue looks after itself.
const (
	lapseEvery      = 10 * time.Second // with SQLite, where nobody else is: a minute
	checkpointEvery = time.Second
	pruneEvery      = time.Minute
)

// pruneByTheClock forgets old messages, until Close. It may take minutes, and nothing else waits for it.
func (q *Queue) pruneByTheClock() {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		select {
		case <-q.closing:
			return
		case <-tick.C:
		}
		if err := q.Prune(q.life); err != nil && q.life.Err() == nil {
			q.log.Error("queue cannot forget old messages", "err", err)
		}
	}
}

// maintain does what has to be done by the clock, until Close: ending leases that ran out, moving SQLite's log into its file, gathering
// PostgreSQL's statistics.
func (q *Queue) maintain() {
	ctx := q.life
	seldom := time.Minute
	if q.d.postgres {
		seldom = lapseEvery
	}
	lapse := time.NewTicker(seldom)
	defer lapse.Stop()
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	var seen int64 // transactions as of the last checkpoint
	analyze := int64(analyzeFirst)
	for {
		var what string
		var err error
		select {
		case <-q.closing:
			return
		case <-tick.C:
			if what, err = "keep time", q.keepTime(ctx); err != nil {
				break
			}
			n := q.writer.commits.Load()
			if q.d.postgres && n >= analyze && analyze <= analyzeLast {
				analyze *= 10
				what = "analyze"
				_, err = q.db.ExecContext(ctx, "ANALYZE repute_message, repute_body, repute_delivery, repute_news, repute_state")
			} else if !q.d.postgres && n != seen {
				seen = n
				what, err = "checkpoint", q.checkpoint(ctx)
			}
		case <-lapse.C:
			what, err = "end leases", q.lapse(ctx)
		}
		if err != nil && ctx.Err() == nil {
			q.log.Error("queue cannot look after itself", "what", what, "err", err)
		}
	}
}

// keepAlive says that this process is alive, until Close. Its goroutine does nothing else: pruning may take minutes, and the others would take
// this process for dead.
func (q *Queue) keepAlive() {
	tick := time.NewTicker(q.cfg.OwnerTimeout / 4)
	defer tick.Stop()
	for {
		select {
		case <-q.closing:
			return
		case <-tick.C:
		}
		if err := q.beat(q.life); err != nil && q.life.Err() == nil {
			q.log.Error("queue cannot tell that this process is alive", "err", err)
		}
	}
}

// lapse ends leases that ran out, if there are any.
func (q *Queue) lapse(ctx context.Context) error {
	var seq int64
	err := q.one(ctx, q.pool, "SELECT seq FROM repute_delivery WHERE state = 2 AND due <= {now} ORDER BY due LIMIT 1", nil, &seq)
	if err == sql.ErrNoRows {
		return nil
	}
	if err != nil {
		return err
	}
	var lanes []queue.Lane
	_, err = q.run(ctx, "end leases", func(ctx context.Context, w *conn) (err error) {
		q.reclaimed.Store(0)
		lanes, err = q.reclaimSome(ctx, w)
		return err
	})
	if err == nil {
		q.news.lanesAre(lanes)
	}
	return err
}

// checkpoint moves SQLite's log into its file, as far as nobody reads from it, so that commits need not.
func (q *Queue) checkpoint(ctx context.Context) error {
	rows, err := q.db.QueryContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)")
	return scan(rows, err, func(*sql.Rows) error { return nil })
}
