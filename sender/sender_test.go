package sender_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue"
	"github.com/reputemail/repute/sender/sendertest"
)

func TestDeliverDirect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{CA: w.ca})
		s := w.start(w.config())
		wantOutcome(t, w.send(s, note("anna@example.com")), queue.Delivered, "")
		got := mx.Inbox().Messages()
		if len(got) != 1 || got[0].Hostname != "out.example.org" {
			t.Fatalf("arrived: %+v", got)
		}
		w.must(s.Stop(context.Background()))
	})
}

func TestGreylistingIsRetriedOverTheSameRoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{Script: sendertest.Greylist(5 * time.Minute)})
		cfg := w.config()
		cfg.Routes = append(cfg.Routes, sender.Route{Name: "second", LocalAddr: "198.51.100.2", Hostname: "out2.example.org"})
		s := w.start(cfg)
		began := time.Now()
		wantOutcome(t, w.send(s, note("anna@example.com")), queue.Delivered, "")
		if took := time.Since(began); took < 6*time.Minute || took > 11*time.Minute {
			t.Errorf("took %v", took)
		}
		deferred := w.of(sender.EventDeferred)
		if len(deferred) != 1 || deferred[0].Verdict.Category != bounce.Greylisted {
			t.Errorf("deferred: %+v", deferred)
		}
		if len(mx.Inbox().Messages()) != 1 {
			t.Error("not arrived once")
		}
	})
}
