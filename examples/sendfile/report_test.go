package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender/sendertest"
)

// screen is an output that can be read while it is written.
type screen struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// small is a message to example.org.
const small = "From: a@example.com\nTo: b@example.org\nSubject: Hello\n\nHello\n"

// bubble is a small internet inside a synctest bubble: example.org with one mail exchanger.
type bubble struct {
	network *sendertest.Network
	dns     *sendertest.DNS
	mx      *sendertest.Server
}

// inBubble runs f in a bubble where the mail exchanger behaves as script says.
func inBubble(t *testing.T, script sendertest.Script, f func(t *testing.T, b bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := bubble{network: sendertest.NewNetwork()}
		defer b.network.Close()
		var err error
		if b.dns, err = sendertest.StartDNS(b.network, netip.AddrPort{}); err != nil {
			t.Fatal(err)
		}
		defer b.dns.Close()
		if b.mx, err = sendertest.StartServer(b.network, sendertest.ServerConfig{Hostname: "mx.example.org", Script: script}); err != nil {
			t.Fatal(err)
		}
		defer b.mx.Close()
		if err := b.dns.AddMX("example.org", 10, "mx.example.org"); err != nil {
			t.Fatal(err)
		}
		if err := b.dns.AddA("mx.example.org", b.mx.Addr().Addr()); err != nil {
			t.Fatal(err)
		}
		f(t, b)
	})
}

// send is run in the bubble. It returns the exit status and what was written.
func (b bubble) send(ctx context.Context, t *testing.T, args ...string) (exit int, stdout, stderr string) {
	t.Helper()
	var out, progress screen
	o, err := parse(append([]string{"-helo", "mta.example.com", "-dns", b.dns.Addr()}, args...), &progress)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := o.config()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Dial, cfg.DialDNS = b.network.Dial, b.network.DialContext
	r := newReport(o, &out, &progress)
	if err := deliver(ctx, cfg, o, r); err != nil {
		t.Fatal(err)
	}
	return r.finish(), out.String(), progress.String()
}

// Greylisting takes minutes: the user is told of the wait and of its end.
func TestGreylisted(t *testing.T) {
	inBubble(t, sendertest.Greylist(5*time.Minute), func(t *testing.T, b bubble) {
		began := time.Now()
		exit, stdout, stderr := b.send(t.Context(), t, write(t, small))
		if took := time.Since(began); exit != 0 || took < 5*time.Minute || took > 15*time.Minute {
			t.Errorf("exit %d after %v", exit, took)
		}
		for _, want := range []string{
			"b@example.org: deferred: 450 4.7.1 Greylisted", "[greylisted]; next attempt at ", "1 still open", "b@example.org: delivered: 250",
		} {
			if !strings.Contains(stderr, want) {
				t.Errorf("progress lacks %q:\n%s", want, stderr)
			}
		}
		if !strings.Contains(stdout, "delivered  2") || !strings.Contains(stdout, "\n1 delivered, 0 bounced") {
			t.Errorf("table:\n%s", stdout)
		}
	})
}

// A name server that is out of order is no attempt, and still not silent; -expire ends it.
func TestExpired(t *testing.T) {
	inBubble(t, sendertest.Script{}, func(t *testing.T, b bubble) {
		if err := b.dns.SetServFail("example.org"); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		exit, stdout, stderr := b.send(t.Context(), t, "-expire", "5m", write(t, small))
		if took := time.Since(began); exit != 1 || took < 5*time.Minute || took > 7*time.Minute {
			t.Errorf("exit %d after %v", exit, took)
		}
		for _, want := range []string{"waiting: dns: ", "until ", "b@example.org: expired"} {
			if !strings.Contains(stderr, want) {
				t.Errorf("progress lacks %q:\n%s", want, stderr)
			}
		}
		if !strings.Contains(stdout, "expired  0") || !strings.Contains(stdout, "waited for dns: ") || !strings.Contains(stdout, "1 expired") {
			t.Errorf("table:\n%s", stdout)
		}
	})
}

// A signal waits for attempts in flight, but not for ever.
func TestDrainIsBounded(t *testing.T) {
	inBubble(t, sendertest.HangAt(bounce.StageDot), func(t *testing.T, b bubble) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		exit, stdout, stderr := b.send(ctx, t, write(t, small))
		if took := time.Since(began); exit != 1 || took < time.Minute || took > time.Minute+drainFor+20*time.Second {
			t.Errorf("exit %d after %v", exit, took)
		}
		if !strings.Contains(stderr, "interrupted: ") || !strings.Contains(stderr, "broken off") || !strings.Contains(stdout, "1 waiting") {
			t.Errorf("%s\n%s", stderr, stdout)
		}
	})
}

// After a signal no further file is taken.
func TestNotTaken(t *testing.T) {
	inBubble(t, sendertest.Script{}, func(t *testing.T, b bubble) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		file := write(t, small)
		exit, stdout, stderr := b.send(ctx, t, file, file)
		if exit != 1 || strings.Count(stderr, "not taken") != 2 || !strings.Contains(stdout, "of 2 files 0 refused, 2 not taken") {
			t.Errorf("exit %d\n%s\n%s", exit, stderr, stdout)
		}
		if n := b.mx.Inbox().Len(); n > 0 {
			t.Errorf("%d were sent", n)
		}
	})
}

// event is a line of -json as a reader sees it.
type event struct {
	Type      string `json:"type"`
	File      string `json:"file"`
	Time      string `json:"time"`
	Recipient string `json:"recipient"`
	Path      struct {
		Route string `json:"route"`
	} `json:"path"`
	Reply struct {
		Code  int      `json:"code"`
		Lines []string `json:"lines"`
		Host  string   `json:"host"`
	} `json:"reply"`
	Verdict struct {
		Category string `json:"category"`
	} `json:"verdict"`
	TLS    string `json:"tls"`
	Field  string `json:"field"`
	Reason string `json:"reason"`
	Clause string `json:"clause"`
}

// readJSON reads the output of -json: events and the sums at the end.
func readJSON(t *testing.T, stdout string) ([]event, summary) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	events := make([]event, len(lines)-1)
	for i := range events {
		if err := json.Unmarshal([]byte(lines[i]), &events[i]); err != nil {
			t.Fatalf("%v: %s", err, lines[i])
		}
		if events[i].Type == "" || events[i].File == "" || events[i].Time == "" {
			t.Errorf("an event lacks its type, file or time: %s", lines[i])
		}
	}
	var sums summary
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &sums); err != nil || sums.Type != "summary" {
		t.Fatalf("%v: the last line is no summary: %s", err, lines[len(lines)-1])
	}
	return events, sums
}

func TestJSON(t *testing.T) {
	script := sendertest.Compose(
		sendertest.UnknownUsers(sendertest.AnyOf("gone@example.org")),
		sendertest.When(func(s *sendertest.Session) bool { return s.From() == "grey@example.com" }, sendertest.Greylist(5*time.Minute)),
	)
	inBubble(t, script, func(t *testing.T, b bubble) {
		good := write(t, "From: a@example.com\nTo: b@example.org, gone@example.org\n\nHello\n")
		grey := write(t, "From: grey@example.com\nTo: c@example.org\n\nHello\n")
		bad := write(t, "From: a@example.com\nTo: b@example.org\nDate: yesterday\n\nHello\n")
		exit, stdout, _ := b.send(t.Context(), t, "-json", good, grey, bad, bad+".missing")
		events, sums := readJSON(t, stdout)
		want := summary{
			Type: "summary", Files: 4, Refused: 2, Recipients: 3, Delivered: 2, Bounced: 1, Deferrals: 1, Exit: 1,
		}
		if exit != 1 || sums != want {
			t.Errorf("exit %d, %+v, want %+v", exit, sums, want)
		}
		count := map[string]int{}
		for _, e := range events {
			count[e.Type]++
			switch e.Type {
			case "delivered":
				if e.Path.Route != "direct" || e.Reply.Code != 250 || e.Reply.Host != "mx.example.org" || e.TLS != "" {
					t.Errorf("%+v", e)
				}
			case "bounced":
				if e.File != good || e.Recipient != "gone@example.org" || e.Reply.Code != 550 || e.Verdict.Category != "bad-mailbox" {
					t.Errorf("%+v", e)
				}
			case "refused":
				if e.File == bad && (e.Field != "Data header Date" || e.Clause != "RFC 5322 section 3.3") || e.File != bad && e.Reason == "" {
					t.Errorf("%+v", e)
				}
			}
		}
		for typ, n := range map[string]int{"accepted": 3, "delivered": 2, "bounced": 1, "deferred": 1, "refused": 2} {
			if count[typ] != n {
				t.Errorf("%d events %q, want %d:\n%s", count[typ], typ, n, stdout)
			}
		}
	})
}

// What a hostile host says does not reach the terminal as it is.
func TestPrintable(t *testing.T) {
	inBubble(t, sendertest.RejectAt(bounce.StageRcpt, "550 5.1.1 \x1b[2J\x07 gone \u202e !"), func(t *testing.T, b bubble) {
		exit, stdout, stderr := b.send(t.Context(), t, write(t, small))
		if exit != 1 || strings.ContainsAny(stdout+stderr, "\x1b\x07\u202e") || !strings.Contains(stdout, "gone") {
			t.Errorf("exit %d: %q %q", exit, stdout, stderr)
		}
	})
}
