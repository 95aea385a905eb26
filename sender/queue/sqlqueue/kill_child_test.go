package sqlqueue_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue/pgqueue"
	"github.com/reputemail/repute/sender/queue/sqlitequeue"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

// childVariable tells the test binary that it is a child, and of which kind: five words with a | between them.
const childVariable = "REPUTE_TEST_CHILD"

// The kinds of children.
const (
	childSends  = "sends"  // enqueues and delivers until it is killed
	childDrains = "drains" // delivers what there is, and ends
	childHolds  = "holds"  // keeps the queue open until it is killed
)

// child is a process of the test's own.
type child struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
	ended  chan struct{} // closed when it has ended and its output is read
	ready  chan struct{} // closed when it says so

	mu    sync.Mutex
	lines []string
}

// startChild starts the test binary as a child.
func startChild(t *testing.T, words ...string) *child {
	t.Helper()
	c := &child{ended: make(chan struct{}), ready: make(chan struct{})}
	c.cmd = exec.Command(os.Args[0], "-test.run=^TestChild$")
	c.cmd.Env = append(os.Environ(), childVariable+"="+strings.Join(words, "|"))
	c.cmd.Stderr = &c.stderr
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin, err := c.cmd.StdinPipe() // the child ends when it is closed, so it does not outlive the test
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.cmd.Process.Kill()
		<-c.ended
	})
	go func() {
		defer close(c.ended)
		defer stdin.Close()
		for in := bufio.NewScanner(stdout); in.Scan(); {
			line := in.Text()
			if line == "ready" {
				close(c.ready)
			}
			c.mu.Lock()
			c.lines = append(c.lines, line)
			c.mu.Unlock()
		}
		c.cmd.Wait()
	}()
	return c
}

// kill kills it, and returns the lines that it had written.
func (c *child) kill() []string {
	c.cmd.Process.Kill()
	<-c.ended
	return c.lines
}

// TestChild is what children run. It is skipped in other processes.
func TestChild(t *testing.T) {
	words := strings.Split(os.Getenv(childVariable), "|")
	if len(words) != 5 {
		t.Skip("it is for processes that other tests start")
	}
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(3)
	}()
	if err := runChild(words[0], words[1], words[2], words[3], words[4]); err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// runChild is the life of a child.
func runChild(kind, engine, database, addr, life string) error {
	var q *sqlqueue.Queue
	var err error
	if engine == "sqlite" {
		q, err = sqlitequeue.OpenConfig(ctx, database, sqlqueue.Config{})
	} else {
		q, err = pgqueue.Open(ctx, database, sqlqueue.Config{OwnerTimeout: time.Second})
	}
	if err != nil {
		return err
	}
	if kind == childHolds {
		fmt.Println("ready")
		select {}
	}
	s, err := senderTo(addr, q)
	if err != nil {
		return err
	}
	if err := s.Start(ctx); err != nil {
		return err
	}
	fmt.Println("ready")
	if kind == childDrains {
		for {
			lanes, err := q.Lanes(ctx)
			if err != nil {
				return err
			}
			if len(lanes) == 0 {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if err := s.Stop(ctx); err != nil {
			return err
		}
		return q.Close()
	}
	failed := make(chan error)
	for g := range 4 {
		go func() {
			for i := 0; ; i++ {
				if err := enqueueSome(s, q, fmt.Sprintf("%s-%d-%d", life, g, i), i); err != nil {
					failed <- err
				}
				time.Sleep(rand.N(10 * time.Millisecond))
			}
		}()
	}
	return <-failed
}

// enqueueSome enqueues one message, and says so once that is certain. Some come in a transaction together with an order,
// and some of those are rolled back.
func enqueueSome(s *sender.Sender, q *sqlqueue.Queue, name string, i int) error {
	recipients := 1 + i%2
	if i%4 != 3 {
		id := "plain-" + name
		if _, err := s.Enqueue(ctx, letter(id, recipients)); err != nil {
			return err
		}
		fmt.Println("ok", id, recipients)
		return nil
	}
	id := "order-" + name
	back := i%8 == 7
	if back {
		id = "never-" + name
	}
	tx, err := q.DB().BeginTx(context.Background(), nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := s.EnqueueTx(ctx, tx, letter(id, recipients)); err != nil {
		return err
	}
	if _, err := tx.Exec("INSERT INTO orders (id) VALUES ('" + id + "')"); err != nil {
		return err
	}
	if back {
		return tx.Rollback()
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	fmt.Println("ok", id, recipients)
	return nil
}
