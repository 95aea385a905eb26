package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/reputemail/repute/examples/internal/show"
	"github.com/reputemail/repute/sender"
)

// The block fits every width but for the news, which the screen cuts.
func TestBlock(t *testing.T) {
	p := &progress{count: newTally(3000), screen: show.New(&strings.Builder{}, true)}
	st := sender.Stats{Connections: 37, Streams: []sender.StreamStats{
		{Stream: transactional, Accepted: 750, Counts: sender.Counts{Delivered: 719, Bounced: 31}},
		{Stream: marketing, Accepted: 2250, Counts: sender.Counts{Delivered: 1000, Bounced: 125}, Waiting: 1125},
	}}
	for _, width := range []int{45, 80, 120, 200} {
		lines := p.block(st, width)
		for _, line := range lines {
			if n := utf8.RuneCountInString(line); n >= width {
				t.Errorf("%d columns for %d: %q", n, width, line)
			}
		}
		bars := strings.Contains(lines[0], "█") && strings.Contains(lines[1], "█░")
		if bars != (width >= 80) {
			t.Errorf("%d columns: %q", width, lines)
		}
		if !strings.Contains(lines[1], "1125 waiting") {
			t.Errorf("%d columns: %q", width, lines[1])
		}
	}
}

func TestNewsAreToldOnce(t *testing.T) {
	count := newTally(10)
	path := sender.Path{Route: "warm", Provider: "google"}
	for range 3 {
		count.Observe(sender.Event{Type: sender.EventDelivered, Path: path, Overflow: true, Attempt: 1, Stream: marketing})
	}
	count.Observe(sender.Event{Type: sender.EventPathClosed, Path: path})
	count.Observe(sender.Event{Type: sender.EventPathClosed, Path: path})
	news := count.newsSince(0)
	if len(news) != 3 || !strings.Contains(news[0], "overflows to warm") || !strings.Contains(news[1], "rests") {
		t.Errorf("news: %q", news)
	}
	if len(count.newsSince(3)) != 0 {
		t.Error("news are told again")
	}
	if count.first[path] != 3 || count.final != 3 {
		t.Errorf("%d first attempts, %d done", count.first[path], count.final)
	}
}
