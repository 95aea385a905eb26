package sqlqueue_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

// BenchmarkBacklog counts what waits, by age, and without. A million wait only with REPUTE_SCALE=1.
func BenchmarkBacklog(b *testing.B) {
	sizes := []int{10_000, 100_000}
	if os.Getenv("REPUTE_SCALE") != "" {
		sizes = append(sizes, 1_000_000)
	}
	for _, engine := range []struct {
		name string
		open func(testing.TB) database
	}{{"sqlite", sqlite}, {"postgres", postgres}} {
		for _, waiting := range sizes {
			for _, ages := range [][]time.Duration{nil, {4 * time.Hour, 12 * time.Hour}} {
				b.Run(fmt.Sprintf("%s/waiting=%d/ages=%d", engine.name, waiting, len(ages)), func(b *testing.B) {
					q := engine.open(b).queue(b, sqlqueue.Config{})
					fill(b, q.DB(), engine.name, waiting)
					for b.Loop() {
						if _, err := q.Backlog(bg, ages...); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}
