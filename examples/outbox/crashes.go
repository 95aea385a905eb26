package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/reputemail/repute/examples/internal/show"
	"github.com/reputemail/repute/sender/queue"
)

// crash is one kill.
type crash struct {
	// Life is the number of the process.
	Life int `json:"life"`
	// Point is where it was killed, and Where the same in words.
	Point point  `json:"point"`
	Where string `json:"where"`
	// Duplicates are how many mails were sent again because of it.
	Duplicates int `json:"duplicates"`

	known map[string]bool // messages whose delivery the queue had, as the process told before it died
}

// survive is the story of many processes, all of which but the last are killed. The mail host is in this one.
func survive(ctx context.Context, o options, screen *show.Screen, logger *slog.Logger) (*report, error) {
	host, err := openMailHost(ctx, "")
	if err != nil {
		return nil, err
	}
	defer host.close()
	before, err := auditStore(ctx, o, logger)
	if err != nil {
		return nil, err
	}
	progress := watch(screen, o, host, host.confirmed)
	screen.Print("A process that is killed again and again does it. Mail that was in flight at four kills in a row is held back",
		"for ten seconds, since it may be what kills: so the end can take a while.", "")
	crashes, err := live(ctx, o, host, screen)
	progress.stop()
	if err != nil && ctx.Err() == nil {
		return nil, err
	}
	after, err := auditStore(context.WithoutCancel(ctx), o, logger)
	if err != nil {
		return nil, err
	}
	r := &report{Store: o.store(), Interrupted: ctx.Err() != nil, Crashes: crashes}
	r.compare(o, after, func(id int64) bool {
		was, there := before[id]
		return (!there || was == queue.Waiting || was == queue.InFlight) && after[id] == queue.Delivered
	}, host)
	return r, nil
}

// auditStore is audit while no other process has the store open.
func auditStore(ctx context.Context, o options, logger *slog.Logger) (map[int64]queue.State, error) {
	q, err := openStore(ctx, o, logger)
	if err != nil {
		return nil, err
	}
	found, err := audit(ctx, q)
	return found, errors.Join(err, q.Close())
}

// live starts the shop again and again: with a point at which it is killed, until there were enough kills, and then to its end.
func live(ctx context.Context, o options, host *mailHost, screen *show.Screen) ([]crash, error) {
	var crashes []crash
	var round []pointWords
	for life := 1; ; life++ {
		left := o.crashes - len(crashes)
		if left == 0 {
			_, err := o.start(ctx, life, doom{}, host.addr)
			return crashes, err
		}
		if len(round) == 0 { // each point once, in any order
			round = points()
			rand.Shuffle(len(round), func(i, j int) { round[i], round[j] = round[j], round[i] })
		}
		d := doom{at: round[0].point, nth: 1 + rand.IntN(o.share(left, host.confirmed()))}
		round = round[1:]
		if d.at == atClock {
			d.nth = 20 + d.nth*int(max(o.every, takes).Milliseconds())
		}
		c, err := o.start(ctx, life, d, host.addr)
		if err != nil {
			return crashes, err
		}
		crashes = append(crashes, c)
		screen.Print(fmt.Sprintf("life %d was killed %s (-kill %v)", life, c.Where, d))
	}
}

// share is how many orders a process may take at most, so that there are some for each that follows.
func (o options) share(left, done int) int { return max(1, 2*(o.confirmations()-done)/(left+1)) }

// dieWithin is how long a process that is told to stop may take.
const dieWithin = drainFor + 5*time.Second

// start runs this program as another process, to its end. It returns how it killed itself, if d says so.
func (o options) start(ctx context.Context, life int, d doom, addr string) (crash, error) {
	self, err := os.Executable()
	if err != nil {
		return crash{}, err
	}
	args := []string{"-db", o.db}
	if o.postgres != "" {
		args = []string{"-postgres", o.postgres}
	}
	args = append(args, "-addr", addr, "-orders", fmt.Sprint(o.orders), "-every", o.every.String(), "-life", fmt.Sprint(life))
	if d.at != "" {
		args = append(args, "-kill", d.String())
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = dieWithin
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if _, err := cmd.StdinPipe(); err != nil { // it closes when this process ends, see withParent
		return crash{}, err
	}
	err = cmd.Run()
	c := crash{Life: life, known: map[string]bool{}}
	for line := range strings.Lines(stdout.String()) {
		if id, is := strings.CutPrefix(line, known); is {
			c.known[strings.TrimSpace(id)] = true
		}
	}
	suicide := false
	for line := range strings.Lines(stderr.String()) {
		if at, is := strings.CutPrefix(line, lastWords); is {
			c.Point, suicide = point(strings.TrimSpace(at)), true
			c.Where = c.Point.words()
		}
	}
	var exit *exec.ExitError
	switch {
	case d.at == "" && err == nil:
		return c, nil
	case errors.As(err, &exit) && suicide:
		return c, nil
	case err == nil:
		err = errors.New("it was not killed")
	}
	return c, fmt.Errorf("life %d: %w\n%s%s", life, err, stdout.Bytes(), stderr.Bytes())
}

// withParent ends when the process that started this one does: its end of standard input closes then.
func withParent(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return ctx
}
