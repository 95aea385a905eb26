package sender_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/suppress"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/warmup"
)

// dead, full and blocked are verdicts of what came back.
var (
	dead    = bounce.Verdict{Category: bounce.BadMailbox, Scope: bounce.ScopeRecipient, Permanent: true, Suppress: true, Rule: "test/dead"}
	blocked = bounce.Verdict{Category: bounce.Blocklisted, Scope: bounce.ScopeRoute, Permanent: true, Rule: "test/blocked"}
)

// returned is a bounce about a delivery.
func returned(id, delivery, recipient string, v bounce.Verdict) bounce.Report {
	return bounce.Report{ID: id, Kind: bounce.KindBounce, Delivery: delivery, Records: []bounce.Record{{
		Recipient: recipient, Action: bounce.ActionFailed, Reply: said(bounce.StageRcpt, 550, "5.1.1 user unknown"), Verdict: v,
	}}}
}

// sent sends a note and returns the ID of its delivery.
func (w *world) sent(s *sender.Sender, m sender.Message) string {
	w.t.Helper()
	out := w.send(s, m)
	wantOutcome(w.t, out, queue.Delivered, "")
	return out.DeliveryID
}

// refused reports whether mail of a stream to an address is refused, and why.
func (w *world) refused(s *sender.Sender, stream, address string) string {
	w.t.Helper()
	m := note(address)
	m.Stream = stream
	r, err := s.Enqueue(context.Background(), m)
	w.must(err)
	if len(r.Refused) == 0 {
		return ""
	}
	return r.Refused[0].Reason
}

func twoStreams(cfg sender.Config) sender.Config {
	cfg.Streams = []sender.Stream{{Name: "transactional"}, {Name: "marketing"}}
	return cfg
}

func TestReturnedMailSuppresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("example.com", sendertest.ServerConfig{})
		s := w.start(twoStreams(w.config()))
		id := w.sent(s, note("anna@example.com"))
		report := returned("r1", id, "Anna@Example.com", dead)
		for range 2 { // told again
			w.must(s.Report(context.Background(), report))
		}
		time.Sleep(time.Second)
		events := w.of(sender.EventReturned)
		if len(events) != 1 || events[0].DeliveryID != id || events[0].Unverified || events[0].Path.Route != "direct" || events[0].Recipient.Address != "anna@example.com" || events[0].Report != "r1" {
			t.Fatalf("events: %+v", events)
		}
		for _, stream := range []string{"transactional", "marketing"} {
			if why := w.refused(s, stream, "anna@example.com"); !strings.Contains(why, "dead, bad-mailbox") {
				t.Errorf("%s: %q", stream, why)
			}
		}
		stats, err := s.Stats(context.Background())
		w.must(err)
		if p := stats.Paths[0]; p.Returned != 1 || p.Delivered != 1 || p.Bounced != 0 {
			t.Errorf("path: %+v", p)
		}
		if got, err := s.Explain(context.Background(), id); err != nil || got[0].State != queue.Delivered {
			t.Errorf("the delivery: %+v, %v", got, err)
		}
	})
}

// TestReportsThatSuppressNobody: nothing that is not the recipient's fault, and nothing that anybody could have made up.
func TestReportsThatSuppressNobody(t *testing.T) {
	untied := func(r bounce.Report) bounce.Report { r.Delivery = ""; return r }
	for name, tt := range map[string]struct {
		report func(id string) bounce.Report
		events int
	}{
		"our address is listed":  {func(id string) bounce.Report { return returned("r", id, "anna@example.com", blocked) }, 1},
		"a stranger's":           {func(id string) bounce.Report { return untied(returned("r", id, "anna@example.com", dead)) }, 1},
		"of a delivery not ours": {func(string) bounce.Report { return returned("r", "other/1", "anna@example.com", dead) }, 1},
		"of a message, not of one": {func(id string) bounce.Report {
			return returned("r", strings.TrimSuffix(id, "/1"), "anna@example.com", dead)
		}, 1},
		"forwarded":            {func(id string) bounce.Report { return returned("r", id, "anna@elsewhere.example", dead) }, 1},
		"names a third person": {func(id string) bounce.Report { return returned("r", id, "otto@example.com", dead) }, 1},
		"delayed": {func(id string) bounce.Report {
			r := returned("r", id, "anna@example.com", dead)
			r.Records[0].Action = bounce.ActionDelayed
			return r
		}, 0},
		"delivered": {func(id string) bounce.Report {
			r := returned("r", id, "anna@example.com", dead)
			r.Records[0].Action = bounce.ActionDelivered
			return r
		}, 0},
		"auto-reply":     {func(id string) bounce.Report { return bounce.Report{ID: "r", Kind: bounce.KindAutoReply, Delivery: id} }, 0},
		"challenge":      {func(id string) bounce.Report { return bounce.Report{ID: "r", Kind: bounce.KindChallenge, Delivery: id} }, 0},
		"mail of people": {func(id string) bounce.Report { return bounce.Report{ID: "r", Kind: bounce.KindNone, Delivery: id} }, 0},
		"not understood": {func(id string) bounce.Report {
			return bounce.Report{ID: "r", Kind: bounce.KindNotUnderstood, Delivery: id}
		}, 0},
		"not spam": {func(id string) bounce.Report {
			return bounce.Report{ID: "r", Kind: bounce.KindFeedback, Feedback: "not-spam", Delivery: id}
		}, 0},
		"a stranger's complaint": {func(string) bounce.Report {
			return bounce.Report{ID: "r", Kind: bounce.KindFeedback, Feedback: "abuse", Complaint: true, Records: []bounce.Record{{Recipient: "anna@example.com"}}}
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.mx("example.com", sendertest.ServerConfig{})
				s := w.start(w.config())
				id := w.sent(s, note("anna@example.com"))
				w.must(s.Report(context.Background(), tt.report(id)))
				time.Sleep(time.Second)
				for _, a := range []string{"anna@example.com", "otto@example.com", "anna@elsewhere.example"} {
					if why := w.refused(s, "", a); why != "" {
						t.Errorf("%s is refused: %s", a, why)
					}
				}
				if events := w.of(sender.EventReturned, sender.EventComplained); len(events) != tt.events {
					t.Errorf("events: %+v", events)
				}
			})
		})
	}
}

// TestOneDeliveryCountsOnce: whoever has one token cannot make up more than one complaint and one return.
func TestOneDeliveryCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("example.com", sendertest.ServerConfig{})
		s := w.start(w.config())
		id := w.sent(s, note("anna@example.com"))
		for i := range 20 {
			w.must(s.Report(context.Background(), bounce.Report{ID: strconv.Itoa(i), Kind: bounce.KindFeedback, Feedback: "abuse", Complaint: true, Delivery: id}))
			w.must(s.Report(context.Background(), returned("r"+strconv.Itoa(i), id, "anna@example.com", blocked)))
		}
		time.Sleep(time.Second)
		stats, err := s.Stats(context.Background())
		w.must(err)
		if p := stats.Paths[0]; p.Returned != 1 || p.Complained != 1 {
			t.Errorf("path: %+v", p)
		}
	})
}

// TestStrangersCannotFlood: a report that names thousands is one event.
func TestStrangersCannotFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.start(w.config())
		r := bounce.Report{ID: "r", Kind: bounce.KindBounce}
		for i := range 5000 {
			r.Records = append(r.Records, bounce.Record{Recipient: "a" + strconv.Itoa(i) + "@example.com", Action: bounce.ActionFailed, Verdict: dead})
		}
		w.must(s.Report(context.Background(), r))
		r.ID, r.Kind, r.Complaint = "c", bounce.KindFeedback, true
		w.must(s.Report(context.Background(), r))
		time.Sleep(time.Second)
		if n := len(w.of(sender.EventReturned, sender.EventComplained)); n != 2 {
			t.Errorf("%d events", n)
		}
	})
}

// TestReportsAboutOddAddresses: another form of the same domain is the same; one that the list cannot hold is told and stops nothing.
func TestReportsAboutOddAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("xn--bcher-kva.example", sendertest.ServerConfig{})
		s := w.start(w.config())
		id := w.sent(s, note("anna@b\u00fccher.example"))
		w.must(s.Report(context.Background(), returned("r", id, "Anna@B\u00fccher.example", dead)))
		if why := w.refused(s, "", "anna@xn--bcher-kva.example"); !strings.Contains(why, "dead") {
			t.Errorf("the address in U-labels: %q", why)
		}
		w.must(s.Report(context.Background(), bounce.Report{ID: "c", Kind: bounce.KindFeedback, Complaint: true, Authentic: true, Records: []bounce.Record{
			{Recipient: "a@[192.0.2.1]"}, {Recipient: "otto@example.com"},
		}}))
		if why := w.refused(s, "", "otto@example.com"); !strings.Contains(why, "complaint") {
			t.Errorf("the one behind a literal: %q", why)
		}
		time.Sleep(time.Second)
		if n := len(w.of(sender.EventComplained)); n != 2 {
			t.Errorf("%d events", n)
		}
	})
}

// TestReturnedMailIsPrivate: what a bounce quotes of addresses does not show in events, tied or not.
func TestReturnedMailIsPrivate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("example.com", sendertest.ServerConfig{})
		cfg := w.config()
		cfg.PlainAddresses = false
		s := w.start(cfg)
		id := w.sent(s, note("anna@example.com"))
		for i, delivery := range []string{id, ""} {
			r := returned("r"+strconv.Itoa(i), delivery, "anna@example.com", dead)
			r.Records[0].Reply = said(bounce.StageRcpt, 550, "5.1.1 <anna@example.com>: user unknown, forwarded to otto@example.net")
			w.must(s.Report(context.Background(), r))
		}
		time.Sleep(time.Second)
		events := w.of(sender.EventReturned)
		if len(events) != 2 {
			t.Fatalf("%d events", len(events))
		}
		for _, e := range events {
			if text := mustJSON(e); strings.Contains(text, "anna@") || strings.Contains(text, "otto@") {
				t.Errorf("an address shows: %s", text)
			}
		}
	})
}

// TestGatesHearOfReturnedMail: those that keep a list of their own, too.
func TestGatesHearOfReturnedMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("example.com", sendertest.ServerConfig{})
		cfg := w.config()
		gate := &memoryGate{}
		cfg.Gate, cfg.Suppressions = gate, sender.NoSuppressions{}
		s := w.start(cfg)
		w.must(s.Report(context.Background(), returned("r", w.sent(s, note("anna@example.com")), "anna@example.com", dead)))
		w.must(s.Report(context.Background(), returned("q", w.sent(s, note("otto@example.com")), "otto@example.com", blocked)))
		gate.mu.Lock()
		defer gate.mu.Unlock()
		if _, ok := gate.dead["anna@example.com"]; !ok || len(gate.dead) != 1 {
			t.Errorf("the gate knows of %v", gate.dead)
		}
	})
}

// TestStrikesOfReturnedMail: a receiver that accepts all and returns it later does not clear itself by accepting.
func TestStrikesOfReturnedMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("example.com", sendertest.ServerConfig{})
		s := w.start(w.config())
		doubt := dead
		doubt.Suppress = false
		for i := range 3 {
			if why := w.refused(s, "", "anna@example.com"); why != "" {
				t.Fatalf("after %d returns: %s", i, why)
			}
			w.must(s.Report(context.Background(), returned("r"+strconv.Itoa(i), w.sent(s, note("anna@example.com")), "anna@example.com", doubt)))
			time.Sleep(48 * time.Hour)
		}
		if why := w.refused(s, "", "anna@example.com"); !strings.Contains(why, "refused, bad-mailbox") {
			t.Errorf("after three returns: %q", why)
		}
	})
}

// TestUnsubscribedByMail is no complaint.
func TestUnsubscribedByMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("example.com", sendertest.ServerConfig{})
		s := w.start(twoStreams(w.config()))
		id := w.sent(s, note("anna@example.com"))
		w.must(s.Report(context.Background(), bounce.Report{ID: "u", Kind: bounce.KindFeedback, Feedback: "opt-out", Complaint: true, Delivery: id}))
		if why := w.refused(s, "transactional", "anna@example.com"); !strings.Contains(why, "unsubscribe") {
			t.Errorf("refused: %q", why)
		}
		if why := w.refused(s, "marketing", "anna@example.com"); why != "" {
			t.Errorf("the other stream: %q", why)
		}
		time.Sleep(time.Second)
		stats, err := s.Stats(context.Background())
		w.must(err)
		if p := stats.Paths[0]; p.Complained != 0 || len(w.of(sender.EventUnsubscribed)) != 1 {
			t.Errorf("path: %+v", p)
		}
	})
}

// TestDeadAddressSurvivesABusyList: what the list could not take at once it takes later.
func TestDeadAddressSurvivesABusyList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("example.com", sendertest.ServerConfig{Script: sendertest.UnknownUsers(sendertest.AnyOf("dead@example.com"))})
		list := &busyList{Suppressions: newList(t), fails: 3}
		cfg := w.config()
		cfg.Suppressions = list
		s := w.start(cfg)
		wantOutcome(t, w.send(s, note("dead@example.com")), queue.Bounced, bounce.BadMailbox)
		time.Sleep(time.Minute)
		if why := w.refused(s, "", "dead@example.com"); !strings.Contains(why, "dead") {
			t.Errorf("refused: %q", why)
		}
	})
}

// busyList fails some times.
type busyList struct {
	sender.Suppressions
	mu    sync.Mutex
	fails int
}

func (b *busyList) ObserveAt(ctx context.Context, now time.Time, i suppress.Incident) (suppress.Entry, bool, error) {
	b.mu.Lock()
	b.fails--
	fail := b.fails >= 0
	b.mu.Unlock()
	if fail {
		return suppress.Entry{}, false, errors.New("deadlock, try again")
	}
	return b.Suppressions.ObserveAt(ctx, now, i)
}

func TestComplaintsAreForTheirStream(t *testing.T) {
	for name, tt := range map[string]struct {
		report                   func(id string) bounce.Report
		marketing, transactional bool // refused afterwards
	}{
		"tied": {func(id string) bounce.Report {
			return bounce.Report{ID: "c", Kind: bounce.KindFeedback, Feedback: "abuse", Complaint: true, Delivery: id}
		}, true, false},
		"authentic": {func(string) bounce.Report {
			return bounce.Report{ID: "c", Kind: bounce.KindFeedback, Feedback: "abuse", Complaint: true, Authentic: true, Records: []bounce.Record{{Recipient: "<Anna@example.com>"}, {Recipient: "redacted"}}}
		}, true, true}, // for which stream is not known
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.mx("example.com", sendertest.ServerConfig{})
				s := w.start(twoStreams(w.config()))
				m := note("anna@example.com")
				m.Stream = "marketing"
				id := w.sent(s, m)
				w.must(s.Report(context.Background(), tt.report(id)))
				time.Sleep(time.Second)
				if why := w.refused(s, "marketing", "anna@example.com"); (why != "") != tt.marketing || tt.marketing && !strings.Contains(why, "complaint") {
					t.Errorf("marketing: %q", why)
				}
				if why := w.refused(s, "transactional", "anna@example.com"); (why != "") != tt.transactional {
					t.Errorf("transactional: %q", why)
				}
				if events := w.of(sender.EventComplained); len(events) != 1 || events[0].Unverified || events[0].Reason != "abuse" {
					t.Errorf("events: %+v", events)
				}
			})
		})
	}
}

// learningPacer admits all, and notes what it learns.
type learningPacer struct {
	mu   sync.Mutex
	seen map[warmup.Outcome]int
}

func (*learningPacer) ReserveAt(_ time.Time, p warmup.Path, n int) warmup.Reservation {
	return warmup.Reservation{OK: true, Path: p, N: n}
}
func (*learningPacer) CommitAt(time.Time, warmup.Reservation) {}
func (*learningPacer) CancelAt(time.Time, warmup.Reservation) {}
func (p *learningPacer) ObserveAt(_ time.Time, _ warmup.Path, o warmup.Outcome, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen == nil {
		p.seen = map[warmup.Outcome]int{}
	}
	p.seen[o] += n
}

// TestWarmupLearnsOfReports: what came back counts for the path on which it went.
func TestWarmupLearnsOfReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("example.com", sendertest.ServerConfig{})
		cfg := w.config()
		cfg.Routes[0].Warmup = warmup.Conservative(100_000)
		pacer := &learningPacer{}
		cfg.Pacer = pacer
		s := w.start(cfg)
		ids := map[string]string{}
		for _, to := range users(4, "example.com") {
			ids[to] = w.sent(s, note(to))
		}
		ctx := context.Background()
		w.must(s.Report(ctx, returned("1", ids["user0@example.com"], "user0@example.com", dead)))
		w.must(s.Report(ctx, returned("2", ids["user1@example.com"], "user1@example.com", blocked)))
		w.must(s.Report(ctx, bounce.Report{ID: "3", Kind: bounce.KindFeedback, Complaint: true, Delivery: ids["user2@example.com"]}))
		w.must(s.Report(ctx, bounce.Report{ID: "4", Kind: bounce.KindFeedback, Complaint: true}))
		pacer.mu.Lock()
		defer pacer.mu.Unlock()
		for o, want := range map[warmup.Outcome]int{warmup.Delivered: 4, warmup.Bounced: 1, warmup.Blocked: 1, warmup.Complained: 1} {
			if pacer.seen[o] != want {
				t.Errorf("%s: %d, want %d", o, pacer.seen[o], want)
			}
		}
	})
}

// brittleList is a list whose store is away at times.
type brittleList struct {
	sender.Suppressions
	mu   sync.Mutex
	fail error
}

func (b *brittleList) set(err error) { b.mu.Lock(); defer b.mu.Unlock(); b.fail = err }

func (b *brittleList) err() error { b.mu.Lock(); defer b.mu.Unlock(); return b.fail }

func (b *brittleList) CheckAt(ctx context.Context, now time.Time, stream, address string) (suppress.Entry, bool, error) {
	if err := b.err(); err != nil {
		return suppress.Entry{}, false, err
	}
	return b.Suppressions.CheckAt(ctx, now, stream, address)
}

func (b *brittleList) ObserveAt(ctx context.Context, now time.Time, i suppress.Incident) (suppress.Entry, bool, error) {
	if err := b.err(); err != nil {
		return suppress.Entry{}, false, err
	}
	return b.Suppressions.ObserveAt(ctx, now, i)
}

// newList is a list in memory.
func newList(t testing.TB) *suppress.List {
	t.Helper()
	l, err := suppress.New(suppress.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestReportIsRepeated: as long as the list cannot take it in, the report is not taken, and nothing is counted twice.
func TestReportIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("example.com", sendertest.ServerConfig{})
		away := errors.New("store is away")
		list := &brittleList{Suppressions: newList(t)}
		cfg := w.config()
		cfg.Suppressions = list
		s := w.start(cfg)
		report := returned("r", w.sent(s, note("anna@example.com")), "anna@example.com", dead)
		list.set(away)
		if err := s.Report(context.Background(), report); !errors.Is(err, away) {
			t.Fatalf("error %v", err)
		}
		if _, err := s.Enqueue(context.Background(), note("otto@example.com")); !errors.Is(err, away) {
			t.Errorf("enqueued although nobody knows whether it may be: %v", err)
		}
		list.set(nil)
		w.must(s.Report(context.Background(), report))
		time.Sleep(time.Second)
		if events := w.of(sender.EventReturned); len(events) != 1 {
			t.Errorf("events: %+v", events)
		}
		w.must(s.Stop(context.Background()))
		if err := s.Report(context.Background(), report); !errors.Is(err, sender.ErrStopped) {
			t.Errorf("after Stop: %v", err)
		}
	})
}
