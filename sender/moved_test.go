package sender_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/throttle"
)

// TestMovedMailHasNoShareOfItsOwn: a stream gets no more of a path for that a part of its mail was moved.
func TestMovedMailHasNoShareOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		cfg := st.config("a")
		cfg.Throttle = nil
		cfg.Limits = map[string]throttle.Limits{"example.com": {Connections: 2, MessageRate: throttle.Rate{N: 1, Per: time.Second}}}
		cfg.Pools = []sender.Pool{{Name: "one", Routes: []string{"a"}}, {Name: "two", Routes: []string{"a"}}}
		cfg.Streams = []sender.Stream{{Name: "news", Pool: "one"}, {Name: "resets", Pool: "one"}}
		s := st.start(cfg)
		target := sender.Target{Route: "a"}
		if err := s.Suspend(bg, sender.Hold{Target: target, Act: ada}); err != nil {
			t.Fatal(err)
		}
		st.enqueue(s, "news", users(200, "example.com")...)
		if r, err := s.Move(bg, sender.Filter{Streams: []string{"news"}}, sender.MoveTo{Pool: "two"}, ada); err != nil || r.Done != 200 {
			t.Fatalf("%+v, %v", r, err)
		}
		st.enqueue(s, "news", users(200, "example.com")...)
		for _, u := range users(200, "example.com") {
			st.enqueue(s, "resets", "r"+u)
		}
		if err := s.Resume(bg, target, ada); err != nil {
			t.Fatal(err)
		}
		time.Sleep(150 * time.Second)
		resets, all := 0, st.order()
		for _, to := range all {
			if strings.HasPrefix(to, "r") {
				resets++
			}
		}
		if share := float64(resets) / float64(len(all)); share < 0.45 || share > 0.55 || len(all) < 140 {
			t.Errorf("%d of %d are resets", resets, len(all))
		}
	})
}
