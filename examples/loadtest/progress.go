package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/reputemail/repute/examples/internal/show"
)

// progress shows how far the load is.
type progress struct {
	screen *show.Screen
	load   *load
	began  time.Time
	ticks  show.Ticks
}

// plainEvery is after how many ticks there is something to read elsewhere than on a terminal.
const plainEvery = 50

// watch begins to show progress; stop ends it, and may be called twice.
func watch(screen *show.Screen, l *load) *progress {
	p := &progress{screen: screen, load: l, began: time.Now()}
	p.ticks.Start(func(n int, last bool) {
		switch {
		case last:
			p.screen.Draw(p.lines())
			p.screen.Keep()
		case p.screen.Live():
			p.screen.Draw(p.lines())
		case n%plainEvery == plainEvery-1:
			p.screen.Print(p.words())
		}
	})
	return p
}

func (p *progress) stop() { p.ticks.Stop() }

// The layout of the bars.
const (
	nameCol  = 10
	countCol = 22
	maxBar   = 50
)

// lines are a bar for each phase.
func (p *progress) lines() []string {
	lines := []string{p.bar("accepted", p.load.accepted.Load()), p.bar("delivered", p.load.delivered.Load())}
	if p.load.o.bare {
		lines = append(lines, p.bar("bare loop", p.load.barely.Load()))
	}
	if failed, deferred := p.load.failed.Load(), p.load.deferred.Load(); failed+deferred > 0 {
		lines = append(lines, p.screen.Style(show.Yellow, fmt.Sprintf("%d failed, %d attempts deferred", failed, deferred)))
	}
	return lines
}

func (p *progress) bar(name string, done int64) string {
	width := min(maxBar, p.screen.Width()-nameCol-countCol-2)
	bar := p.screen.Style(show.Green, show.Bar(width, int(done), p.load.o.messages))
	return fmt.Sprintf("%-*s %s %d of %d", nameCol, name, bar, done, p.load.o.messages)
}

// printer is the screen as a place for log lines.
type printer struct{ screen *show.Screen }

// Write implements io.Writer.
func (p printer) Write(line []byte) (int, error) {
	return len(line), p.screen.Print(show.Clean(strings.TrimSuffix(string(line), "\n")))
}

// words are the progress in one line.
func (p *progress) words() string {
	l := p.load
	text := fmt.Sprintf("%5.0f s: of %d messages %d accepted, %d delivered", time.Since(p.began).Seconds(), l.o.messages, l.accepted.Load(), l.delivered.Load())
	if failed, deferred := l.failed.Load(), l.deferred.Load(); failed+deferred > 0 {
		text += fmt.Sprintf(", %d failed, %d attempts deferred", failed, deferred)
	}
	if barely := l.barely.Load(); barely > 0 {
		text += fmt.Sprintf("; %d by the bare loop", barely)
	}
	return text
}
