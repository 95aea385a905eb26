package pgqueue_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/reputemail/repute/internal/pgtest"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue/pgqueue"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
	"github.com/reputemail/repute/sender/sendertest"
)

// patience is how long anything may take: far more than it needs.
const patience = 2 * time.Minute

// world is a database, processes on it, and where their mail goes.
type world struct {
	t    testing.TB
	dsn  string
	db   *sql.DB
	sink *sink
	cfg  childConfig // of all processes
	put  []string    // recipients of what the parent put
}

// newWorld makes a database with the queue's tables and an audit of them, and a sink.
func newWorld(t testing.TB, cfg childConfig) *world {
	w := &world{t: t, dsn: pgtest.DSN(t), sink: newSink(t), cfg: cfg}
	w.cfg.Sink = w.sink.addr
	var err error
	w.db, err = sql.Open("pgx", w.dsn)
	w.must(err)
	t.Cleanup(func() { w.db.Close() })
	w.seed("none", 0)
	_, err = w.db.Exec(audit)
	w.must(err)
	return w
}

// audit notes what happens to deliveries that are leased or final: a lease that ended without its owner's doing, one that was taken from its owner by another claim, a
// change of what is settled.
const audit = `
	CREATE TABLE audit (kind TEXT, seq BIGINT, owner TEXT);
	CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO audit VALUES (CASE WHEN OLD.state >= 3 THEN 'changed' WHEN NEW.losses > OLD.losses THEN 'lapsed' ELSE 'stolen' END, OLD.seq, OLD.owner);
		RETURN NULL;
	END $$;
	CREATE TRIGGER note AFTER UPDATE ON repute_delivery FOR EACH ROW
		WHEN (OLD.state >= 3 OR NEW.losses > OLD.losses OR OLD.state = 2 AND NEW.state = 2 AND OLD.lease <> NEW.lease)
		EXECUTE FUNCTION note()`

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// seed puts messages before any process runs.
func (w *world) seed(batch string, n int) {
	w.t.Helper()
	ctx := context.Background()
	q, err := pgqueue.Open(ctx, w.dsn, sqlqueue.Config{Owner: "parent"})
	w.must(err)
	c := &child{cfg: w.cfg, queue: q, out: bufio.NewWriter(io.Discard)}
	c.cfg.Owner = "parent"
	c.sender, err = sender.New(c.config(nil))
	w.must(err)
	for from := 0; from < n; from += 100 {
		w.must(c.putSome(batch, from, min(n, from+100), true))
	}
	for i := range n {
		w.put = append(w.put, w.cfg.Letters.recipients(batch, i)...)
	}
	w.must(q.Close())
}

// number is what a query for one number answers.
func (w *world) number(query string, args ...any) int {
	w.t.Helper()
	var n int
	w.must(w.db.QueryRow(query, args...).Scan(&n))
	return n
}

// addresses are the recipients that a query finds.
func (w *world) addresses(query string, args ...any) map[string]bool {
	w.t.Helper()
	rows, err := w.db.Query("SELECT recipient FROM repute_delivery JOIN audit USING (seq) WHERE "+query, args...)
	w.must(err)
	defer rows.Close()
	out := map[string]bool{}
	for rows.Next() {
		var s string
		w.must(rows.Scan(&s))
		out[s] = true
	}
	w.must(rows.Err())
	return out
}

// wait waits until ok.
func (w *world) wait(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// settled waits until nothing is open.
func (w *world) settled() {
	w.t.Helper()
	w.t.Cleanup(func() {
		if w.t.Failed() {
			w.logOpen()
		}
	})
	w.wait("settling all", func() bool { return w.number("SELECT count(*) FROM repute_delivery WHERE state < 3") == 0 })
}

// logOpen tells what is open, for who looks for a fault.
func (w *world) logOpen() {
	rows, err := w.db.Query(`SELECT concat_ws(' ', count(*), 'in state', state, domain, route, owner, 'due in', min(due) / 1000000 - extract(epoch FROM now())::bigint, 's')
		FROM repute_delivery WHERE state < 3 GROUP BY state, domain, route, owner LIMIT 20`)
	if err != nil {
		w.t.Log(err)
		return
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		rows.Scan(&s)
		w.t.Log(s)
	}
}

// leasedBy waits until no statement of an owner's runs that it could not see the end of, and returns how many deliveries it has leased.
func (w *world) leasedBy(owner string) int {
	w.t.Helper()
	w.wait("the end of statements", func() bool {
		return w.number("SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND state = 'active'", owner) == 0
	})
	return w.number("SELECT count(*) FROM repute_delivery WHERE state = 2 AND owner LIKE $1", owner+" %")
}

// checkAll checks that all that was accepted was delivered, and to whom it was delivered more than once. These are returned.
func (w *world) checkAll(processes ...*process) (twice []string) {
	w.t.Helper()
	if n := w.number("SELECT count(*) FROM repute_delivery WHERE state <> 3"); n != 0 {
		w.t.Errorf("%d deliveries are not delivered", n)
	}
	if n := w.number("SELECT count(*) FROM repute_body"); n != 0 {
		w.t.Errorf("%d bodies are left of settled messages", n)
	}
	for _, kind := range []string{"stolen", "changed"} {
		if n := w.number("SELECT count(*) FROM audit WHERE kind = $1", kind); n != 0 {
			w.t.Errorf("%d deliveries were %s", n, kind)
		}
	}
	arrived := w.sink.arrivals()
	missing := 0
	expect := slices.Clone(w.put)
	for _, p := range processes {
		expect = append(expect, p.recipients()...)
	}
	for _, to := range expect {
		if len(arrived[to]) == 0 {
			missing++
			w.t.Logf("%s got nothing", to)
		}
	}
	if missing > 0 {
		w.t.Errorf("%d of %d deliveries did not arrive", missing, len(expect))
	}
	by := map[string]int{}
	for to, hosts := range arrived {
		if len(hosts) > 1 {
			twice = append(twice, to)
		}
		for _, h := range hosts {
			by[h]++
		}
	}
	w.t.Logf("%d deliveries arrived by %v, %d of them twice", len(arrived), by, len(twice))
	return twice
}

// process is a child that is one of several on the queue.
type process struct {
	w     *world
	owner string
	batch string
	cmd   *exec.Cmd
	in    io.WriteCloser
	ended chan struct{}

	mu       sync.Mutex
	log      bytes.Buffer
	done     map[string]int
	accepted []int
}

// spawn starts a process; it has opened the queue when it returns.
func (w *world) spawn(owner string) *process {
	w.t.Helper()
	p := &process{w: w, owner: owner, ended: make(chan struct{}), done: map[string]int{}}
	cfg := w.cfg
	cfg.Owner = owner
	u, err := url.Parse(w.dsn)
	w.must(err)
	v := u.Query()
	v.Set("application_name", owner)
	u.RawQuery = v.Encode()
	cfg.DSN = u.String()
	text, err := json.Marshal(cfg)
	w.must(err)
	program, err := os.Executable()
	w.must(err)
	p.cmd = exec.Command(program)
	p.cmd.Env = append(os.Environ(), childVariable+"="+string(text))
	p.cmd.Stderr = (*processLog)(p)
	p.in, err = p.cmd.StdinPipe()
	w.must(err)
	out, err := p.cmd.StdoutPipe()
	w.must(err)
	w.must(p.cmd.Start())
	go func() {
		defer close(p.ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.hear(lines.Text())
		}
		p.cmd.Wait()
	}()
	w.t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.ended
		if w.t.Failed() {
			w.t.Logf("%s said:\n%.3000s", owner, p.said())
		}
	})
	p.await("open")
	return p
}

// processLog takes what a process writes on standard error.
type processLog process

func (l *processLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.Write(b)
}

func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

func (p *process) hear(text string) {
	word, rest, _ := strings.Cut(text, " ")
	p.mu.Lock()
	defer p.mu.Unlock()
	switch word {
	case "done":
		p.done[rest]++
	case "accepted":
		if i, err := strconv.Atoi(rest); err == nil { // it may be half a line of a process that was killed
			p.accepted = append(p.accepted, i)
		}
	}
}

// tell gives a command.
func (p *process) tell(format string, args ...any) {
	p.w.t.Helper()
	_, err := fmt.Fprintf(p.in, format+"\n", args...)
	p.w.must(err)
}

// await waits until a command is done.
func (p *process) await(command string) {
	p.w.t.Helper()
	p.w.wait(p.owner+": "+command, func() bool {
		select {
		case <-p.ended:
			p.w.t.Fatalf("%s ended before %s was done: %v\n%s", p.owner, command, p.cmd.ProcessState, p.said())
		default:
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.done[command] > 0
	})
}

// start makes it send.
func (p *process) start() {
	p.w.t.Helper()
	p.tell("start")
	p.await("start")
}

// puts makes it put messages of a batch of its own, while it does other things.
func (p *process) puts(batch string, n int) {
	p.w.t.Helper()
	p.batch = batch
	p.tell("put %s %d", batch, n)
}

// recipients are those of what it has said that it accepted.
func (p *process) recipients() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, i := range p.accepted {
		out = append(out, p.w.cfg.Letters.recipients(p.batch, i)...)
	}
	return out
}

// stop ends it in good order.
func (p *process) stop() {
	p.w.t.Helper()
	p.tell("stop")
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.w.t.Fatalf("%s does not stop", p.owner)
	}
	if !p.cmd.ProcessState.Success() {
		p.w.t.Errorf("%s: %v", p.owner, p.cmd.ProcessState)
	}
}

// kill ends it at once.
func (p *process) kill() {
	p.w.t.Helper()
	p.w.must(p.cmd.Process.Kill())
	<-p.ended
}

// sink takes mail and notes who brought what.
type sink struct {
	addr string

	mu      sync.Mutex
	arrived map[string][]string // by recipient, the names of those who delivered
	later   map[string]string   // who was told to come again, and who had come
	some    int                 // one recipient of so many is told to come again
	delay   func(n int) time.Duration
	n       int
}

func newSink(t testing.TB) *sink {
	s := &sink{arrived: map[string][]string{}, later: map[string]string{}}
	network := sendertest.NewTCPNetwork()
	inbox, err := sendertest.NewInbox(sendertest.InboxConfig{Keep: sendertest.KeepCount, OnMessage: s.take})
	if err != nil {
		t.Fatal(err)
	}
	server, err := sendertest.StartServer(network, sendertest.ServerConfig{Inbox: inbox, Script: sendertest.Script{OnRcpt: s.rcpt}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Close()
		network.Close()
	})
	s.addr = server.RealAddr()
	return s
}

// rcpt tells some recipients to come again.
func (s *sink) rcpt(c *sendertest.Session, to string) *sendertest.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := fnv.New32()
	h.Write([]byte(to))
	if s.some == 0 || h.Sum32()%uint32(s.some) != 0 || s.later[to] != "" {
		return nil
	}
	s.later[to] = c.Hostname()
	return sendertest.Say("451 4.7.1 Greylisted, please come back later")
}

// take notes a message, and takes its time over it.
func (s *sink) take(r sendertest.Received) {
	s.mu.Lock()
	for _, to := range r.To {
		s.arrived[to] = append(s.arrived[to], r.Hostname)
	}
	s.n++
	var delay time.Duration
	if s.delay != nil {
		delay = s.delay(s.n)
	}
	s.mu.Unlock()
	time.Sleep(delay)
}

func (s *sink) arrivals() map[string][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string][]string{}
	for to, hosts := range s.arrived {
		out[to] = slices.Clone(hosts)
	}
	return out
}

// messages is how many came.
func (s *sink) messages() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// wandered is how many were told to come again by one process's visit, and brought by another one.
func (s *sink) wandered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for to, first := range s.later {
		if hosts := s.arrived[to]; len(hosts) > 0 && hosts[0] != first {
			n++
		}
	}
	return n
}
