package main

import (
	"context"
	"fmt"
	"time"

	"github.com/reputemail/repute/examples/internal/show"
	"github.com/reputemail/repute/sender"
)

// progress shows how the sending goes on.
type progress struct {
	s      *sender.Sender
	count  *tally
	screen *show.Screen
	why    explainer

	ticks show.Ticks
	told  int // news that were printed
}

// plainEvery is after how many ticks there is something to read elsewhere than on a terminal.
const plainEvery = 10

// watch begins to show progress; stop ends it.
func watch(s *sender.Sender, count *tally, screen *show.Screen) *progress {
	p := &progress{s: s, count: count, screen: screen}
	screen.Print(
		fmt.Sprintf("%d messages go to fake providers on this machine: from %s, which is", count.want, coldAddr),
		fmt.Sprintf("cold and being warmed up, with overflow to %s, which is warm.", warmAddr),
		"The clocks are shortened for the demonstration: retries and rests take seconds",
		"here, where they take minutes by default.",
		"",
	)
	p.ticks.Start(func(n int, last bool) {
		if last {
			p.why.look(p.s, "", p.screen)
		}
		p.show(last || n%plainEvery == 0)
		if last {
			p.screen.Keep()
		}
	})
	return p
}

// stop shows the last state and ends.
func (p *progress) stop() { p.ticks.Stop() }

// show draws the block on a terminal; elsewhere it prints the news, and a line about each stream when it is due.
func (p *progress) show(due bool) {
	p.why.look(p.s, p.count.waiting(), p.screen)
	st, err := p.s.Stats(context.Background())
	if err != nil {
		return // the final report will say so
	}
	if p.screen.Live() {
		p.screen.Draw(p.block(st, p.screen.Width()))
		return
	}
	news := p.count.newsSince(p.told)
	p.told += len(news)
	if due {
		line := fmt.Sprintf("%6s  ", seconds(time.Since(p.count.began)))
		for i, stream := range st.Streams {
			if i > 0 {
				line += "; "
			}
			line += stream.Stream + " " + tell(stream)
		}
		news = append(news, line+fmt.Sprintf("; %d connections", st.Connections))
	}
	if len(news) > 0 {
		p.screen.Print(news...)
	}
}

// The layout of the block.
const (
	nameCol = 14 // columns for the name of a stream
	textCol = 55 // and for its numbers
	minBar  = 6  // what is left for a bar, if it is this much
	maxBar  = 40
	latest  = 8 // news
)

// block is what a terminal shows: a line about each stream, one about the connections, and the latest news.
func (p *progress) block(st sender.Stats, width int) []string {
	var lines []string
	for _, s := range st.Streams {
		done := int(s.Delivered + s.Bounced + s.Expired + s.Suppressed)
		space := width - nameCol - textCol - 5
		if space < minBar {
			lines = append(lines, fmt.Sprintf("%s: %d of %d done, %d waiting", s.Stream, done, s.Accepted, s.Waiting+s.InFlight))
			continue
		}
		bar := show.Bar(min(maxBar, space), done, max(int(s.Accepted), p.share(s.Stream)))
		lines = append(lines, fmt.Sprintf("%-*s %s  %s", nameCol, s.Stream, p.screen.Style(show.Green, bar), tell(s)))
	}
	lines = append(lines, fmt.Sprintf("%-*s %d connections open", nameCol, seconds(time.Since(p.count.began)), st.Connections), "")
	news := p.count.newsSince(0)
	for _, n := range news[max(0, len(news)-latest):] {
		lines = append(lines, p.screen.Style(show.Dim, n))
	}
	return lines
}

// tell is the state of a stream in words.
func tell(s sender.StreamStats) string {
	return fmt.Sprintf("%d accepted, %d delivered, %d bounced, %d waiting", s.Accepted, s.Delivered, s.Bounced, s.Waiting+s.InFlight)
}

// share is how many messages of a stream there will be, about.
func (p *progress) share(stream string) int {
	if stream == transactional {
		return p.count.want / 4
	}
	return p.count.want - p.count.want/4
}
