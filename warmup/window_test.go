package warmup

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestWindow holds the buckets against a plain list: never less than what is in the window, and nothing that left it a bucket ago.
func TestWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := kind(rapid.IntRange(0, int(kinds)-1).Draw(t, "kind"))
		s := k.span()
		type count struct {
			at int64
			n  int
		}
		var all []count
		var w window
		at := rapid.Int64Range(0, stamp(start)).Draw(t, "start")
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			at += rapid.OneOf(rapid.Int64Range(0, s.width), rapid.Int64Range(0, s.length/4), rapid.Int64Range(0, 2*s.length)).Draw(t, "pass")
			n := rapid.SampledFrom([]int{1, 2, 65534, 65535, 65536, 200_000}).Draw(t, "n")
			all = append(all, count{at, n})
			w.add(k, at, n)
			look := at + rapid.Int64Range(0, s.length+2*s.width).Draw(t, "look")
			least, most := 0, 0
			for _, c := range all {
				if c.at >= look-s.length {
					least += c.n
				}
				if c.at > look-s.length-s.width {
					most += c.n
				}
			}
			if got := w.usedAt(k, look); got < least || got > most {
				t.Fatalf("at %d: %d counted, there are %d to %d", look, got, least, most)
			}
			total := 0
			for _, b := range w.buckets {
				total += int(b.n)
			}
			if total != w.sum || w.usedAt(k, at) != w.sum {
				t.Fatalf("sum is %d, the buckets have %d, usedAt %d", w.sum, total, w.usedAt(k, at))
			}
			if need := rapid.IntRange(1, w.sum).Draw(t, "need"); true {
				free, ok := w.freeAt(k, need)
				if !ok || w.sum-w.usedAt(k, free) < need || w.sum-w.usedAt(k, free-1) >= need {
					t.Fatalf("freeAt %d says %d, %t", need, free, ok)
				}
			}
			if _, ok := w.freeAt(k, w.sum+1); ok {
				t.Fatal("freeAt frees more than there is")
			}
			pairs := w.pack(k, at)
			back, err := unpackWindow(k, pairs)
			if err != nil || back.sum != w.sum || back.newest != w.newest || len(back.buckets) != len(w.buckets) {
				t.Fatalf("%+v came back as %+v, error %v", w, back, err)
			}
		}
	})
}

func TestStamp(t *testing.T) {
	for _, c := range []struct {
		at   time.Time
		want int64
	}{
		{time.Time{}, 0},
		{time.Unix(-1, 0), 0},
		{time.Unix(1, 5), 1e9 + 5},
		{time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), maxUnix * 1e9},
		{time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), maxUnix * 1e9},
	} {
		if got := stamp(c.at); got != c.want {
			t.Errorf("%v: got %d, want %d", c.at, got, c.want)
		}
	}
	if at := unstamp(stamp(start)); !at.Equal(start) || at.Location() != time.UTC || !unstamp(0).IsZero() {
		t.Errorf("%v came back as %v", start, at)
	}
}
