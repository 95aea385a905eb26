package sender_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
)

// modelMail is a message of TestFilterAgainstModel.
type modelMail struct {
	message, stream, domain, route string
	priority                       int
	created                        time.Time
}

// TestFilterAgainstModel: of random mail, an order is carried out on what a naive reading of its filter says, and nothing else. All is drawn before the bubble is entered: rapid
// ends a failed try by a panic, which no bubble outlives.
func TestFilterAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		mails := make([]modelMail, rapid.IntRange(0, 25).Draw(rt, "mails"))
		for i := range mails {
			mails[i] = modelMail{
				message: fmt.Sprint("m", i), stream: fmt.Sprint("s", rapid.IntRange(0, 2).Draw(rt, "stream")), domain: fmt.Sprintf("d%d.example", rapid.IntRange(0, 2).Draw(rt, "domain")),
				priority: rapid.IntRange(-1, 1).Draw(rt, "priority"), route: rapid.SampledFrom([]string{"", "", "a", "b"}).Draw(rt, "route"),
			}
		}
		some := func(label, format string, n int) (out []string) {
			if rapid.Bool().Draw(rt, label) {
				return nil
			}
			for range rapid.IntRange(1, 2).Draw(rt, label+" count") {
				out = append(out, fmt.Sprintf(format, rapid.IntRange(0, n).Draw(rt, label+" value")))
			}
			return out
		}
		f := sender.Filter{
			Streams: some("streams", "s%d", 2), Destinations: some("destinations", "d%d.example", 3), Providers: some("providers", "d%d.example", 3),
			MessageIDs: some("messages", "m%d", 25), Route: rapid.SampledFrom([]string{"", "", "a"}).Draw(rt, "route of filter"),
		}
		until := -1
		if rapid.Bool().Draw(rt, "by time") && len(mails) > 0 {
			until = rapid.IntRange(0, len(mails)-1).Draw(rt, "until")
		}
		failure := ""
		synctest.Test(t, func(t *testing.T) { failure = orderAgainstModel(t, mails, f, until) })
		if failure != "" {
			rt.Fatal(failure)
		}
	})
}

// orderAgainstModel accepts mail, cancels what a filter means, and says what is not as it should be. The filter is about mail that was not accepted after the until-th; -1: all.
func orderAgainstModel(t *testing.T, mails []modelMail, f sender.Filter, until int) (failure string) {
	st := newStage(t)
	cfg := st.config("a", "b")
	cfg.Streams = []sender.Stream{{Name: "s0"}, {Name: "s1"}, {Name: "s2"}}
	q := memory(t)
	cfg.Queue = q
	s, err := sender.New(cfg) // it need not be started
	if err != nil {
		return err.Error()
	}
	for i := range mails {
		time.Sleep(time.Second)
		m := &mails[i]
		m.created = time.Now()
		msg := note("a@" + m.domain)
		msg.ID, msg.Stream, msg.Priority = m.message, m.stream, m.priority
		if _, err := s.Enqueue(bg, msg); err != nil {
			return err.Error()
		}
		if m.route == "" {
			continue
		}
		got, err := q.Claim(bg, queue.Claim{IDs: []string{m.message + "/1"}, Limit: 1, LeaseFor: time.Minute})
		if err != nil {
			return err.Error()
		}
		d := got.Deliveries[0]
		if _, err := q.Settle(bg, []queue.Settlement{{ID: d.ID, Lease: d.Lease, State: queue.Waiting, Route: m.route, After: time.Hour}}); err != nil {
			return err.Error()
		}
	}
	if until >= 0 {
		f.CreatedBefore = mails[until].created
	}
	if len(f.Streams)+len(f.Destinations)+len(f.Providers)+len(f.MessageIDs) == 0 && f.Route == "" && f.CreatedBefore.IsZero() {
		f.All = true
	}
	r, err := s.Cancel(bg, f, ada)
	if err != nil || r.InFlight != 0 || r.Unresolved != 0 {
		return fmt.Sprintf("%+v: %+v, %v", f, r, err)
	}
	in := func(list []string, v string) bool { return len(list) == 0 || slices.Contains(list, v) }
	done := 0
	for _, m := range mails {
		meant := in(f.Streams, m.stream) && in(f.Destinations, m.domain) && in(f.Providers, m.domain) && in(f.MessageIDs, m.message) &&
			(f.Route == "" || f.Route == m.route) && (f.CreatedBefore.IsZero() || !m.created.After(f.CreatedBefore))
		ds, err := q.Get(bg, m.message+"/1")
		if err != nil {
			return err.Error()
		}
		if (ds[0].State == queue.Cancelled) != meant || !meant && (ds[0].State != queue.Waiting || ds[0].Lane.Route != m.route || m.route != "" && !ds[0].Due.Equal(m.created.Add(time.Hour))) {
			return fmt.Sprintf("%+v of %+v is %+v", f, m, ds[0])
		}
		if meant {
			done++
		}
	}
	if r.Done != done {
		return fmt.Sprintf("%+v: %d done, %d are meant", f, r.Done, done)
	}
	return ""
}

// TestFilterOfWhatIsGone: names that nothing has are refused; those that the configuration does not have any more will do while there is mail of them.
func TestFilterOfWhatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		cfg := st.config("a", "b")
		cfg.Streams = []sender.Stream{{Name: "news"}, {Name: "old"}}
		cfg.Queue = memory(t)
		st.transact = answers(said(bounce.StageRcpt, 450, "4.2.0 Greylisted, try again later"))
		before, err := sender.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := before.Start(bg); err != nil {
			t.Fatal(err)
		}
		st.enqueue(before, "old", users(3, "example.com")...)
		time.Sleep(time.Second)
		if err := before.Stop(bg); err != nil {
			t.Fatal(err)
		}
		cfg.Routes, cfg.Streams = cfg.Routes[1:], cfg.Streams[:1]
		s, err := sender.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range []struct {
			filter sender.Filter
			field  string // of the error; empty: it is fine
		}{
			{sender.Filter{Streams: []string{"news", "nwes"}}, "Filter.Streams[1]"},
			{sender.Filter{Route: "c"}, "Filter.Route"},
			{sender.Filter{Route: "a", Destinations: []string{"example.net"}}, ""},
			{sender.Filter{Streams: []string{"old"}, MessageIDs: []string{"nobody"}}, ""},
			{sender.Filter{Streams: []string{"news"}, Route: "b"}, ""},
		} {
			_, err := s.Cancel(bg, f.filter, ada)
			var oe *sender.OperationError
			if errors.As(err, &oe) != (f.field != "") || f.field == "" && err != nil || f.field != "" && oe.Field != f.field {
				t.Errorf("%+v: %v", f.filter, err)
			}
		}
		if r, err := s.Cancel(bg, sender.Filter{Streams: []string{"old"}, Route: "a"}, ada); err != nil || r.Done != 3 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}
