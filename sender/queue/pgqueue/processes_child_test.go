package pgqueue_test

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue/pgqueue"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
	"github.com/reputemail/repute/sender/route"
	"github.com/reputemail/repute/sender/transport"
	"github.com/reputemail/repute/throttle"
	"github.com/reputemail/repute/warmup"
)

// childVariable makes the test binary one of several processes on a queue: it holds its childConfig as JSON.
const childVariable = "REPUTE_PGQUEUE_CHILD"

func TestMain(m *testing.M) {
	if text := os.Getenv(childVariable); text != "" {
		if err := runChild(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// childConfig is what a process is told at its start.
type childConfig struct {
	DSN, Owner   string
	OwnerTimeout time.Duration
	Sink         string        // HOST:PORT
	Connections  int           // to it
	Cap          int           // with it the route is direct and has a warm-up plan of so many a day; without it, it is a relay
	Lease        time.Duration // with it, leases last so long, and are renewed eight times in that time
	Enqueuers    int           // with them, so many put messages at a time, each in a call of its own
	Letters      letters
}

// letters are the messages that are put: the same on both sides.
type letters struct {
	Lanes, Size int
	Single      bool // one recipient each
}

// message is the i-th message of a batch.
func (l letters) message(batch string, i int) sender.Message {
	m := sender.Message{ID: fmt.Sprintf("%s-%d", batch, i), From: "news@example.org", To: l.recipients(batch, i)}
	m.Data = []byte("From: news@example.org\r\nTo: undisclosed:;\r\nSubject: " + m.ID + "\r\n\r\n" + strings.Repeat(line, l.Size/len(line)+1))
	return m
}

const line = "The quick brown fox jumps over the lazy dog, again and again.\r\n"

// recipients are those of the i-th message of a batch: their addresses name them all. Every tenth message has three.
func (l letters) recipients(batch string, i int) []string {
	n := 1
	if i%10 == 0 && !l.Single {
		n = 3
	}
	var to []string
	for k := range n {
		to = append(to, fmt.Sprintf("%s-%d-%d@d%d.example", batch, i, k, i%l.Lanes))
	}
	return to
}

// child is one of the processes. It reads commands from standard input, a line each, and tells on standard output, a line each,
// which messages were accepted ("accepted ID") and which commands are done ("done COMMAND").
type child struct {
	cfg    childConfig
	queue  *sqlqueue.Queue
	sender *sender.Sender
	puts   sync.WaitGroup

	mu  sync.Mutex // of standard output
	out *bufio.Writer
}

func runChild(text string) error {
	c := &child{out: bufio.NewWriter(os.Stdout)}
	if err := json.Unmarshal([]byte(text), &c.cfg); err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	var err error
	c.queue, err = pgqueue.Open(context.Background(), c.cfg.DSN, sqlqueue.Config{Owner: c.cfg.Owner, OwnerTimeout: c.cfg.OwnerTimeout, Logger: logger})
	if err != nil {
		return err
	}
	if c.sender, err = sender.New(c.config(logger)); err != nil {
		return err
	}
	c.say("done open")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		command := strings.Fields(in.Text())
		switch command[0] {
		case "start":
			err = c.sender.Start(context.Background())
		case "put": // BATCH NUMBER
			n, _ := strconv.Atoi(command[2])
			c.puts.Go(func() {
				c.put(command[1], n)
				c.say("done put")
			})
			continue
		case "stop":
			c.puts.Wait()
			if err = c.sender.Stop(context.Background()); err == nil {
				err = c.queue.Close()
			}
			c.say("done stop")
			return err
		}
		if err != nil {
			return err
		}
		c.say("done " + command[0])
	}
	os.Exit(2) // whoever started this process is gone
	return nil
}

func (c *child) say(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out.WriteString(text + "\n")
	c.out.Flush()
}

// config is a Sender over one route to the sink.
func (c *child) config(logger *slog.Logger) sender.Config {
	limits := throttle.Limits{Connections: c.cfg.Connections, MessagesPerConnection: 1000, Recipients: 100, IdleTimeout: time.Minute}
	r := sender.Route{Name: "out", Hostname: c.cfg.Owner + ".example.org"}
	cfg := sender.Config{
		Queue: c.queue, Logger: logger,
		Retry: sender.RetryPolicy{Greylisted: 300 * time.Millisecond, ShortCause: 300 * time.Millisecond, OtherCause: 300 * time.Millisecond, Longest: time.Second},
	}
	if c.cfg.Lease > 0 {
		cfg.Queue = newRenewer(c.queue, c.cfg.Lease)
	}
	if c.cfg.Cap > 0 {
		host, port, _ := net.SplitHostPort(c.cfg.Sink)
		cfg.Port, _ = strconv.Atoi(port)
		cfg.Resolver, cfg.Providers = oneHost(netip.MustParseAddr(host)), oneProvider{}
		cfg.Limits = map[string]throttle.Limits{oneProvider{}.Provider("", nil): limits}
		first, second := c.cfg.Cap, c.cfg.Cap*3/2
		r.TLS = transport.TLSNone
		r.Warmup = warmup.Plan{Name: "test", Stages: []warmup.Stage{{Day: first, Hour: first, Minute: first}, {Day: second, Hour: second, Minute: second}}}
	} else {
		r.Relay = &sender.Relay{Addr: c.cfg.Sink, TLS: transport.TLSNone, Limits: &limits}
	}
	cfg.Routes = []sender.Route{r}
	return cfg
}

// oneHost is a Resolver that has one mail host for all.
type oneHost netip.Addr

func (h oneHost) Resolve(_ context.Context, domain string) (route.Destination, error) {
	return route.Destination{
		Domain: domain, Hosts: []route.Host{{Name: "mx.example", Addrs: []netip.Addr{netip.Addr(h)}}}, MX: []string{"mx.example"},
		Expires: time.Now().Add(time.Hour),
	}, nil
}

func (h oneHost) Addrs(context.Context, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.Addr(h)}, nil
}

// oneProvider is Providers of one that has all destinations.
type oneProvider struct{}

func (oneProvider) Provider(string, []string) string { return "everybody" }

// put puts the messages of a batch, eight at a time: half of them in transactions of ten.
func (c *child) put(batch string, n int) {
	workers, each, inTx := 8, 10, true
	if c.cfg.Enqueuers > 0 {
		workers, each, inTx = c.cfg.Enqueuers, 1, false
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				from := int(next.Add(int64(each))) - each
				if from >= n {
					return
				}
				if err := c.putSome(batch, from, min(n, from+each), inTx && from/each%2 == 0); err != nil {
					fmt.Fprintln(os.Stderr, "put:", err)
					os.Exit(1)
				}
			}
		})
	}
	wg.Wait()
}

func (c *child) putSome(batch string, from, to int, together bool) error {
	ctx := context.Background()
	var tx *sql.Tx
	if together {
		var err error
		if tx, err = c.queue.DB().BeginTx(ctx, nil); err != nil {
			return err
		}
		defer tx.Rollback()
	}
	var accepted []string
	for i := from; i < to; i++ {
		m := c.cfg.Letters.message(batch, i)
		var err error
		if together {
			_, err = c.sender.EnqueueTx(ctx, tx, m)
		} else {
			_, err = c.sender.Enqueue(ctx, m)
		}
		if err != nil {
			return err
		}
		if !together {
			c.say("accepted " + strconv.Itoa(i))
			continue
		}
		accepted = append(accepted, "accepted "+strconv.Itoa(i))
	}
	if together {
		if err := tx.Commit(); err != nil {
			return err
		}
		c.say(strings.Join(accepted, "\n"))
	}
	return nil
}
