package sender_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/suppress"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/sendertest"
)

// TestDeadAddressesAreNotMailedAgain: without any Gate. What was accepted before is held back too.
func TestDeadAddressesAreNotMailedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Compose(
			sendertest.UnknownUsers(sendertest.AnyOf("dead@example.com")), sendertest.Greylist(5*time.Minute))})
		list := newList(t)
		cfg := w.config()
		cfg.Suppressions = list
		s := w.start(cfg)
		wantOutcome(t, w.send(s, note("dead@example.com")), queue.Bounced, bounce.BadMailbox)
		time.Sleep(time.Second)
		if why := w.refused(s, "", "DEAD@example.com"); !strings.Contains(why, "dead, bad-mailbox") {
			t.Errorf("a dead address: %q", why)
		}
		w.enqueue(s, "anna@example.com")
		time.Sleep(time.Minute) // greylisted
		_, err := list.AddAt(context.Background(), time.Now(), suppress.Entry{Address: "anna@example.com", Reason: suppress.Manual})
		w.must(err)
		time.Sleep(time.Hour)
		if got := w.of(sender.EventSuppressed); len(got) != 1 || !strings.Contains(got[0].Reason, "manual") || mx.Inbox().Len() != 0 {
			t.Errorf("suppressed: %+v; %d arrived", got, mx.Inbox().Len())
		}
	})
}

// TestOurFaultSuppressesNobody: every verdict that is not about the recipient, in the conversation.
func TestOurFaultSuppressesNobody(t *testing.T) {
	for _, reply := range []string{
		"550 5.7.1 Service unavailable; client [198.51.100.1] blocked using bl.spamcop.net", "554 5.7.1 message rejected as spam", "550 5.7.26 unauthenticated mail",
		"550 5.4.5 daily sending quota exceeded", "550 5.1.1 your address has been blocked", "552 5.3.4 message too large", "550",
	} {
		t.Run(reply, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Times(20, sendertest.RejectAt(bounce.StageRcpt, reply))})
				cfg := w.config()
				cfg.Streams = []sender.Stream{{Name: "a", ExpireAfter: time.Hour}}
				s := w.start(cfg)
				for range 4 {
					w.send(s, note("anna@example.com"))
					time.Sleep(48 * time.Hour)
				}
				if why := w.refused(s, "", "anna@example.com"); why != "" {
					t.Error(why)
				}
			})
		})
	}
}

// TestFullMailbox: it is given up after weeks of strikes, and a delivery takes them away.
func TestFullMailbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		full := true
		w.mx("example.com", sendertest.ServerConfig{Script: sendertest.When(func(*sendertest.Session) bool { return full },
			sendertest.RejectAt(bounce.StageRcpt, "552 5.2.2 mailbox full"))})
		list := newList(t)
		cfg := w.config()
		cfg.Suppressions = list
		s := w.start(cfg)
		strikes := func() int {
			st, err := list.Lookup(context.Background(), "anna@example.com")
			w.must(err)
			return len(st.Strikes)
		}
		try := func() { w.send(s, note("anna@example.com")); time.Sleep(4 * 24 * time.Hour) }
		for range 4 {
			try()
		}
		if n := strikes(); n != 4 {
			t.Fatalf("%d strikes", n)
		}
		full = false
		try()
		if n := strikes(); n != 0 {
			t.Fatalf("%d strikes after a delivery", n)
		}
		full = true
		for i := range 5 {
			if why := w.refused(s, "", "anna@example.com"); why != "" {
				t.Fatalf("refused after %d strikes: %s", i, why)
			}
			try()
		}
		if why := w.refused(s, "", "anna@example.com"); !strings.Contains(why, "full, mailbox-full") {
			t.Errorf("after five strikes: %q", why)
		}
	})
}

// TestListThatIsAway holds mail up, and loses none.
func TestListThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Greylist(5 * time.Minute)})
		list := &brittleList{Suppressions: newList(t)}
		cfg := w.config()
		cfg.Suppressions = list
		s := w.start(cfg)
		w.enqueue(s, "anna@example.com")
		time.Sleep(time.Minute)
		list.set(errors.New("store is away"))
		time.Sleep(3 * time.Hour)
		if n := mx.Inbox().Len(); n != 0 {
			t.Fatalf("%d arrived although nobody knows whether they may", n)
		}
		list.set(nil)
		time.Sleep(time.Hour)
		if n := mx.Inbox().Len(); n != 1 {
			t.Errorf("%d arrived", n)
		}
	})
}

// prunedList counts how often it is pruned.
type prunedList struct {
	sender.NoSuppressions
	times []time.Time
}

func (p *prunedList) PruneAt(ctx context.Context, now time.Time) (int, error) {
	p.times = append(p.times, now)
	if len(p.times) == 3 {
		<-ctx.Done() // slow: it must not hold the end up
		return 0, ctx.Err()
	}
	return 1, nil
}

func TestListIsPruned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		list := &prunedList{}
		cfg := w.config()
		cfg.Suppressions = list
		s := w.start(cfg)
		began := time.Now()
		time.Sleep(50 * time.Hour)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
		if len(list.times) != 3 || list.times[0].Sub(began) != time.Hour || list.times[1].Sub(list.times[0]) != 24*time.Hour {
			t.Errorf("pruned at %v, begun at %v", list.times, began)
		}
	})
}
