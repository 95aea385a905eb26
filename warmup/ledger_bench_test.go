package warmup

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// start is an arbitrary time for tests.
var start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

func flat(day, hour, minute int) Plan {
	return Plan{Stages: []Stage{{Day: day, Hour: hour, Minute: minute}}}
}

func benchmarkReserveCommit(b *testing.B, store Store) {
	l, err := Open(context.Background(), Config{Store: store, Plans: map[string]Plan{"new": flat(MaxCap, MaxCap, MaxCap)}})
	if err != nil {
		b.Fatal(err)
	}
	p := Path{"new", "google"}
	now := start
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Millisecond)
		r := l.ReserveAt(now, p, 1)
		if !r.OK {
			b.Fatalf("%+v", r)
		}
		l.CommitAt(now, r)
	}
}

func BenchmarkReserveCommit(b *testing.B) {
	b.Run("none", func(b *testing.B) { benchmarkReserveCommit(b, nil) })
	b.Run("memory", func(b *testing.B) { benchmarkReserveCommit(b, NewMemoryStore()) })
	b.Run("warm", func(b *testing.B) {
		l, err := Open(context.Background(), Config{})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			l.CommitAt(start, l.ReserveAt(start, Path{"old", "google"}, 1))
		}
	})
}

// BenchmarkLease is the cost of the decisions that use a store: one message per lease.
func BenchmarkLease(b *testing.B) {
	for _, name := range []string{"memory", "file"} {
		b.Run(name, func(b *testing.B) {
			var store Store = NewMemoryStore()
			if name == "file" {
				f, err := OpenFile(b.TempDir() + "/warmup")
				if err != nil {
					b.Fatal(err)
				}
				defer f.Close()
				store = f
			}
			l, err := Open(context.Background(), Config{Store: store, Plans: map[string]Plan{"new": flat(40, 40, 40)}})
			if err != nil {
				b.Fatal(err)
			}
			now := start
			for b.Loop() {
				now = now.Add(40 * time.Minute)
				r := l.ReserveAt(now, Path{"new", "google"}, 1)
				if !r.OK {
					b.Fatalf("%+v", r)
				}
				l.CommitAt(now, r)
			}
		})
	}
}

// BenchmarkFirstMessage is the cost of the first message to a provider, which always uses the store, beside the paths that are there. It
// should be the same for few and for many: a write appends to the file what changed. Before that it wrote the whole file each time.
func BenchmarkFirstMessage(b *testing.B) {
	for _, paths := range []int{100, 3000, 30_000} {
		b.Run(fmt.Sprint(paths), func(b *testing.B) {
			f, err := OpenFile(b.TempDir() + "/warmup")
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			l, err := Open(context.Background(), Config{Store: f, Plans: map[string]Plan{"new": flat(40, 40, 40)}})
			if err != nil {
				b.Fatal(err)
			}
			first := make([]int, paths)
			for i := range first {
				first[i] = i
			}
			inParallel(first, func(i int) error {
				l.ReserveAt(start, Path{"new", fmt.Sprint("provider", i)}, 1)
				return nil
			})
			i := 0
			for b.Loop() {
				i++
				if r := l.ReserveAt(start, Path{"new", fmt.Sprint("other", i)}, 1); !r.OK {
					b.Fatalf("%+v", r)
				}
			}
		})
	}
}

// BenchmarkRefuse is the cost of asking on a path that is full.
func BenchmarkRefuse(b *testing.B) {
	l, err := Open(context.Background(), Config{Plans: map[string]Plan{"new": flat(1000, 1000, 1000)}})
	if err != nil {
		b.Fatal(err)
	}
	p := Path{"new", "google"}
	now := start
	for range 1000 {
		now = now.Add(time.Second)
		l.CommitAt(now, l.ReserveAt(now, p, 1))
	}
	b.ReportAllocs()
	for b.Loop() {
		if r := l.ReserveAt(now, p, 1); r.OK {
			b.Fatal("not refused")
		}
	}
}
