package throttle

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestBucketGive(t *testing.T) {
	var b bucket
	b.start(start, Rate{N: 1, Per: time.Minute}, 1)
	if _, ok := b.take(start); !ok {
		t.Fatal("a new bucket has no token")
	}
	now := start.Add(20 * time.Second)
	until, ok := b.take(now)
	if ok || until.Sub(start).Round(time.Millisecond) != time.Minute {
		t.Fatalf("second token: %v, %v", until, ok)
	}
	b.give(now)
	if _, ok := b.take(now); !ok {
		t.Fatal("the token that was given back is not there")
	}
	// It is as if it had never been taken twice: a third of a token had come in since, which a burst of one cut off.
	if got := b.tokens(now); math.Abs(got) > 1e-6 {
		t.Fatalf("%v tokens left", got)
	}
	for range 5 {
		b.give(now)
	}
	if got := b.tokens(now); got != 1 {
		t.Fatalf("%v tokens after giving back more than was taken, want the burst", got)
	}
}

func TestBucketUnlimited(t *testing.T) {
	var b bucket
	b.start(start, Rate{}, 1)
	for range 100_000 {
		if _, ok := b.take(start); !ok {
			t.Fatal("refused")
		}
	}
	b.give(start)
	if !math.IsInf(b.tokens(start), 1) {
		t.Fatal("tokens are finite")
	}
}

// A slow rate is exact: one a day is one a day, to the microsecond that makes up for rounding.
func TestBucketSlow(t *testing.T) {
	for _, r := range []Rate{{1, 24 * time.Hour}, {1, 365 * 24 * time.Hour}, {7, 24 * time.Hour}, {3, time.Minute}, {1, 1500 * time.Millisecond}} {
		var b bucket
		b.start(start, r, 1)
		now := start
		for i := range 100 {
			if _, ok := b.take(now); !ok {
				t.Fatalf("%v: token %d is not there at the time that was named", r, i)
			}
			until, ok := b.take(now)
			if ok || !until.After(now) {
				t.Fatalf("%v: a second token at once, or at %v", r, until)
			}
			now = until
		}
		want := time.Duration(100 * float64(r.Per) / float64(r.N))
		if got := now.Sub(start) - want; got < 0 || got > time.Millisecond {
			t.Fatalf("%v: 100 tokens took %v, %v more than they should", r, now.Sub(start), got)
		}
	}
}

// TestBucketModel holds a bucket against plain arithmetic.
func TestBucketModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Rate{N: rapid.IntRange(1, 500).Draw(t, "n"), Per: time.Duration(rapid.IntRange(1, 600).Draw(t, "per")) * time.Second / 2}
		perSecond, burst := r.perSecond(), float64(r.burst())
		var b bucket
		b.start(start, r, 1)
		tokens, taken, now := 1.0, 0, start
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			d := time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond
			now = now.Add(d)
			tokens = min(burst, tokens+perSecond*d.Seconds())
			if taken > 0 && rapid.IntRange(0, 3).Draw(t, "give") == 0 {
				b.give(now)
				taken--
				tokens = min(burst, tokens+1)
			} else {
				until, ok := b.take(now)
				if near := math.Abs(tokens-1) < 1e-6; !near && ok != (tokens >= 1) {
					t.Fatalf("take with %v tokens: %v", tokens, ok)
				}
				if ok {
					tokens--
					taken++
				} else if want := (1 - tokens) / perSecond; math.Abs(until.Sub(now).Seconds()-want) > 1e-5 {
					t.Fatalf("wait %v, want %v s", until.Sub(now), want)
				}
			}
			if got := b.tokens(now); math.Abs(got-tokens) > 1e-6 {
				t.Fatalf("%v tokens, want %v", got, tokens)
			}
		}
	})
}
