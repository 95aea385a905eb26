package sender_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/bounce/engagement"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/warmup"
)

// TestEngagementGate: the colder the stream's routes, the fresher its readers must be.
func TestEngagementGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("example.com", sendertest.ServerConfig{})
		cfg := w.config()
		cfg.Routes = append(cfg.Routes, sender.Route{Name: "cold", LocalAddr: "198.51.100.2", Hostname: "new.example.org", Warmup: warmup.Conservative(100_000)})
		cfg.Pools = []sender.Pool{{Name: "warm", Routes: []string{"direct"}}, {Name: "cold", Routes: []string{"cold"}}}
		var s *sender.Sender
		active := map[string]time.Duration{"fresh@example.com": 24 * time.Hour, "old@example.com": 70 * 24 * time.Hour}
		down := false
		gate, err := engagement.New(engagement.Config{
			Activity: func(_ context.Context, address string) (engagement.Activity, error) {
				if down {
					return engagement.Activity{}, errors.New("the host's database is away")
				}
				age, known := active[address]
				return engagement.Activity{Known: known, Last: time.Now().Add(-age)}, nil
			},
			Policies: []engagement.Policy{engagement.Recommended()},
			Stage: func(stream string) engagement.Stage {
				number, of := s.WarmupStage(stream)
				return engagement.Stage{Number: number, Of: of}
			},
		})
		w.must(err)
		admit := sender.GateFunc(func(ctx context.Context, r sender.Recipient) (string, error) {
			d, err := gate.Admit(ctx, r.Stream, r.Address)
			return d.Reason, err
		})
		cfg.Streams = []sender.Stream{{Name: "warm", Pool: "warm", Gate: admit}, {Name: "cold", Pool: "cold", Gate: admit}, {Name: "resets", Pool: "warm"}}
		s, err = sender.New(cfg)
		w.must(err)
		w.must(s.Start(context.Background()))
		defer s.Stop(context.Background())
		if n, of := s.WarmupStage("cold"); n != 1 || of != len(cfg.Routes[1].Warmup.Stages) {
			t.Errorf("stage %d of %d", n, of)
		}
		if n, _ := s.WarmupStage("warm"); n != 0 {
			t.Errorf("a warm stream is at stage %d", n)
		}
		for _, tt := range []struct {
			stream, address string
			refused         bool
		}{
			{"cold", "fresh@example.com", false}, {"cold", "old@example.com", true}, {"warm", "old@example.com", false},
			{"warm", "unknown@example.com", true}, {"resets", "unknown@example.com", false},
		} {
			if why := w.refused(s, tt.stream, tt.address); (why != "") != tt.refused {
				t.Errorf("%s to %s: %q", tt.stream, tt.address, why)
			}
		}
		down = true
		m := note("fresh@example.com")
		m.Stream = "warm"
		if _, err := s.Enqueue(context.Background(), m); err == nil {
			t.Error("mail goes through although nobody knows how active its reader is")
		}
	})
}
