package throttle

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// BenchmarkPaths reports the memory of a path that is remembered.
func BenchmarkPaths(b *testing.B) {
	l := with(b, DefaultLimits(), Config{MaxPaths: b.N + 1})
	paths := make([]Path, b.N)
	for i := range paths {
		paths[i] = Path{"mta1", fmt.Sprintf("d%d.example", i)}
	}
	b.ReportAllocs()
	b.ResetTimer()
	for _, p := range paths {
		l.AcquireAt(start, p, TokenMessage)
	}
}

func BenchmarkAcquire(b *testing.B) {
	for _, n := range []int{1, 100_000} {
		paths := make([]Path, n)
		for i := range paths {
			paths[i] = Path{"mta1", fmt.Sprintf("d%d.example", i)}
		}
		for _, token := range []Token{TokenMessage, TokenConnection} {
			b.Run(fmt.Sprintf("%s/%d", token, n), func(b *testing.B) {
				l := with(b, DefaultLimits(), Config{})
				for _, p := range paths {
					l.AcquireAt(start, p, token)
				}
				// Asked for in another order than made in, as destinations are: neither memory nor map are then walked through.
				rand.Shuffle(n, func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
				b.ReportAllocs()
				now, i := start, 0
				for b.Loop() {
					now = now.Add(time.Microsecond)
					l.AcquireAt(now, paths[i%n], token)
					i++
				}
			})
		}
	}
}
