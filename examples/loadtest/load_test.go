package main

import (
	"bytes"
	"fmt"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/reputemail/repute/examples/internal/show"
)

// t0 is some time.
var t0 = time.Date(2025, 6, 7, 8, 9, 10, 0, time.UTC)

func TestLetters(t *testing.T) {
	for _, size := range []int{minSize, minSize + 1, 599, 600, 601, 1024, 10 << 10, 100_000} {
		l := newLetters(size, 3, t0)
		var buf []byte
		for _, i := range []int{0, 12, 999_999_999} {
			data := l.data(buf, i)
			buf = data
			if len(data) != size || !bytes.HasSuffix(data, []byte("\r\n")) {
				t.Errorf("message of %d bytes has %d and ends in %q", size, len(data), data[len(data)-20:])
			}
			m, err := mail.ReadMessage(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			if id, want := m.Header.Get("Message-ID"), fmt.Sprintf("<%09d@%s>", i, hostname); id != want {
				t.Errorf("Message-ID %s, want %s", id, want)
			}
			if to, want := m.Header.Get("To"), fmt.Sprintf("Reader <r%09d@example.org>", i); to != want {
				t.Errorf("To %s, want %s", to, want)
			}
		}
	}
	if to := newLetters(minSize, 1, t0).to(7); to != "r7@example.org" {
		t.Error(to)
	}
	if to := newLetters(minSize, 3, t0).to(7); to != "r7@d1.example.org" {
		t.Error(to)
	}
}

func TestPercentiles(t *testing.T) {
	l := &load{}
	if p := l.percentiles(0.5, 1); p[0] != 0 || p[1] != 0 {
		t.Errorf("of nothing: %v", p)
	}
	l.took = append(l.took, 0) // not delivered
	for i := 100; i > 0; i-- {
		l.took = append(l.took, time.Duration(i))
	}
	if p := l.percentiles(0, 0.5, 0.99, 1); p[0] != 1 || p[1] != 51 || p[2] != 100 || p[3] != 100 {
		t.Errorf("%v", p)
	}
}

// What people read has no numbers that there are none for.
func TestReportForPeople(t *testing.T) {
	value := func(v float64) *float64 { return &v }
	r := report{Messages: 10, Accepted: 10, Delivered: 10, Seconds: 2, AcceptPerSecond: 7, EndToEndPerSecond: 5, P50: 1.25, P99: 2, Max: 3}
	plain := strings.Join(r.lines(), "\n")
	for _, want := range []string{"end to end", "5 messages a second", "half within 1.2 ms", "10 of 10 messages delivered in 2.00 s."} {
		if !strings.Contains(plain, want) {
			t.Errorf("no %q in\n%s", want, plain)
		}
	}
	for _, unknown := range []string{"bare", "ratio", "processor", "inside this process", "Interrupted", "left in the queue"} {
		if strings.Contains(plain, unknown) {
			t.Errorf("%q in\n%s", unknown, plain)
		}
	}
	r.CPU, r.PeakRSS, r.BarePerSecond, r.Ratio = value(1.5), value(20), value(8), value(0.625)
	r.OwnSink, r.Interrupted, r.Delivered, r.Failed, r.Deferred, r.Queue = true, true, 6, 1, 2, queueMemory
	full := strings.Join(r.lines(), "\n")
	for _, want := range []string{
		"1.50 s of processor time, at most 20 MiB", "8 messages a second", "the Sender is at 62 % of the bare loop", "Interrupted: 6 of 10",
		"1 failed, 2 attempts deferred", "3 are left in the queue, which ends with this process", "inside this process",
	} {
		if !strings.Contains(full, want) {
			t.Errorf("no %q in\n%s", want, full)
		}
	}
}

func TestProgress(t *testing.T) {
	l := newLoad(options{messages: 100, size: minSize, domains: 1, bare: true})
	l.accepted.Store(80)
	l.delivered.Store(50)
	p := &progress{screen: show.New(&bytes.Buffer{}, true), load: l, began: time.Now()}
	lines := p.lines()
	if len(lines) != 3 || !strings.Contains(lines[0], "80 of 100") || !strings.Contains(lines[1], "█░") || !strings.Contains(lines[2], "bare loop") {
		t.Errorf("%q", lines)
	}
	l.failed.Store(1)
	if lines := p.lines(); len(lines) != 4 || !strings.Contains(lines[3], "1 failed") {
		t.Errorf("%q", lines)
	}
	if words := p.words(); !strings.Contains(words, "of 100 messages 80 accepted, 50 delivered, 1 failed") {
		t.Error(words)
	}
}
