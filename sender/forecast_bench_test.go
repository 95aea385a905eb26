package sender_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/throttle"
)

// BenchmarkEnqueue is what accepting one message costs, with its forecast: in a process that has nothing to do, and while very much waits for a path that is slow, in one lane and
// in many.
func BenchmarkEnqueue(b *testing.B) {
	for _, c := range []struct {
		name    string
		lanes   int
		waiting int
		rate    throttle.Rate
	}{
		{"idle", 1, 0, throttle.Rate{}},
		{"waiting", 1, 20_000, throttle.Rate{N: 1, Per: time.Minute}},
		{"waiting in lanes", 500, 20_000, throttle.Rate{N: 1, Per: time.Minute}},
	} {
		b.Run(c.name, func(b *testing.B) {
			cfg := newStage(b).config("out")
			cfg.Providers, cfg.Throttle = oneProvider{}, nil
			cfg.Limits = map[string]throttle.Limits{"all": {Connections: 50, MessageRate: c.rate}}
			s, err := sender.New(cfg)
			if err != nil {
				b.Fatal(err)
			}
			if err := s.Start(context.Background()); err != nil {
				b.Fatal(err)
			}
			defer s.Stop(context.Background())
			data := benchMessage(benchSize)
			enqueue := func(i int) {
				domain := "example.com"
				if n := i % c.lanes; n > 0 {
					domain = fmt.Sprintf("d%d.example.com", n)
				}
				if _, err := s.Enqueue(context.Background(), sender.Message{From: "a@example.org", To: []string{fmt.Sprintf("u%d@%s", i, domain)}, Data: data}); err != nil {
					b.Fatal(err)
				}
			}
			for i := range c.waiting {
				enqueue(i)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				enqueue(i)
			}
		})
	}
}

// BenchmarkForecast is one forecast, of an idle path and of one for which 20,000 wait in 500 lanes.
func BenchmarkForecast(b *testing.B) {
	for _, waiting := range []int{0, 20_000} {
		b.Run(fmt.Sprintf("waiting=%d", waiting), func(b *testing.B) {
			st := newStage(b)
			cfg := st.config("out")
			cfg.Providers, cfg.Throttle = oneProvider{}, nil
			cfg.Limits = map[string]throttle.Limits{"all": {Connections: 50, MessageRate: throttle.Rate{N: 1, Per: time.Minute}}}
			s := st.start(cfg)
			for i := range waiting {
				st.enqueue(s, "", fmt.Sprintf("u%d@d%d.example", i, i%500))
			}
			if _, err := s.Forecast(context.Background(), "", "d0.example"); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Forecast(context.Background(), "", "d0.example"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
