package sqlqueue_test

import (
	"fmt"
	"testing"

	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

// BenchmarkPutAlone is one Put after the other: how long a call takes on a queue that is idle.
func BenchmarkPutAlone(b *testing.B) {
	for engine, open := range map[string]func(testing.TB) database{"sqlite": sqlite, "postgres": postgres} {
		b.Run(engine, func(b *testing.B) {
			q := open(b).queue(b, sqlqueue.Config{})
			n := 0
			for b.Loop() {
				put(b, q, message(fmt.Sprint("m", n), 1))
				n++
			}
		})
	}
}
