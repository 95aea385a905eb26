package engagement

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTrickleSteps(t *testing.T) {
	c := campaign(t, CampaignConfig{PerDay: 40}) // 2 at once
	for i, s := range []struct {
		at            time.Duration
		n, want       int
		refund        int
		free          time.Duration
		freeAtOnceToo bool
	}{
		{at: 0, n: 1, want: 1, freeAtOnceToo: true},
		{at: time.Minute, n: 5, want: 1, free: 55 * time.Minute},
		{at: 49 * time.Minute, n: 5, want: 0, free: 55 * time.Minute},
		{at: 55*time.Minute - 1, n: 5, want: 0, free: 55 * time.Minute},
		{at: 55 * time.Minute, n: 5, want: 2, refund: 1, free: 110 * time.Minute},
		{at: 56 * time.Minute, n: 1, want: 1, free: 110 * time.Minute},
		// The clock goes back: what was counted for later counts.
		{at: 10 * time.Minute, n: 1, want: 0, free: 110 * time.Minute},
		// … and by more than a day: what is more than that ahead counts for now, the other half for its time.
		{at: -24 * time.Hour, n: 1, want: 0, free: 55 * time.Minute},
		{at: -23 * time.Hour, n: 9, want: 0, free: 55 * time.Minute},
		{at: -50 * time.Hour, n: 1, want: 0, free: -50*time.Hour + 55*time.Minute},
		{at: -50*time.Hour + 55*time.Minute, n: 9, want: 2, free: -50*time.Hour + 110*time.Minute},
		// What a jump ahead makes old does not count.
		{at: 1000 * time.Hour, n: 9, want: 2, free: 1000*time.Hour + 55*time.Minute},
	} {
		at := stamp(start.Add(s.at))
		granted, free, err := c.reserve(ctx, at, s.n)
		want := start.Add(s.free)
		if s.freeAtOnceToo {
			want = start.Add(s.at)
		}
		if granted != s.want || !unstamp(free).Equal(want) || err != nil {
			t.Fatalf("step %d: %d, %v, %v; want %d, %v", i, granted, unstamp(free), err, s.want, want)
		}
		if err := c.refund(ctx, at, s.refund); err != nil {
			t.Fatal(err)
		}
	}
}

// A full trickle carries all of PerDay, not much less.
func TestTrickleIsUsed(t *testing.T) {
	for _, perDay := range []int{1, 7, 20, 21, 500, 12345, maxPerDay} {
		for _, every := range []time.Duration{time.Minute, 7 * time.Minute, time.Hour} {
			c := campaign(t, CampaignConfig{PerDay: perDay})
			sent := 0
			for at := time.Duration(0); at < 10*day; at += every {
				granted, _, err := c.reserve(ctx, stamp(start.Add(at)), perDay)
				if err != nil {
					t.Fatal(err)
				}
				sent += granted
			}
			if least := 10 * float64(perDay) * 0.95; float64(sent) < least-1 || sent > 10*perDay {
				t.Errorf("%d a day, every %v: %d in 10 days", perDay, every, sent)
			}
		}
	}
}

// free is when there is more, and not before.
func TestTrickleFrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		perDay := rapid.IntRange(1, 100).Draw(t, "per day")
		c := campaign(t, CampaignConfig{PerDay: perDay})
		at := stamp(start)
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			at += rapid.Int64Range(0, int64(3*time.Hour)).Draw(t, "after")
			_, free, err := c.reserve(ctx, at, rapid.IntRange(1, 20).Draw(t, "n"))
			if err != nil || free < at {
				t.Fatal(unstamp(free), err)
			}
			if free == at {
				continue
			}
			if granted, _, err := c.reserve(ctx, free-1, 1); granted != 0 || err != nil {
				t.Fatalf("%d before it is free, %v", granted, err)
			}
			granted, _, err := c.reserve(ctx, free, 1)
			if granted != 1 || err != nil {
				t.Fatalf("%d when it is free, %v", granted, err)
			}
			at = free
		}
	})
}

func TestTrickleRecord(t *testing.T) {
	for _, bad := range []string{
		"", "2", "1 ", "1 5", "1 5:", "1 5:0", "1 5:-1", "1 :1", "1 -5:1", "1 5:1 5:1", "1 6:1 5:1", "1 5:1 ", "1 99999999999:1", "1 5:99999999999",
		"1" + strings.Repeat(" 5:1", maxSlots+1), strings.Repeat("1", 1<<20),
	} {
		if got, err := decodeTrickle([]byte(bad)); err != errTrickle {
			t.Errorf("%.30q: %v, %v", bad, got, err)
		}
	}
	store := newStore()
	c := campaign(t, CampaignConfig{Store: store})
	store.values[trickleKey] = []byte("2 of another version")
	if _, _, err := c.reserve(ctx, stamp(start), 1); !errors.Is(err, errTrickle) {
		t.Errorf("%v", err)
	}
	if got := string(store.values[trickleKey]); got != "2 of another version" {
		t.Errorf("it was overwritten: %s", got)
	}
	// The longest record there can be is one that can be read.
	full := trickle{}
	for number := stamp(start)/slotWidth - 400; number < stamp(start)/slotWidth+400; number++ {
		full = append(full, slot{number, maxPerDay})
	}
	full, _ = full.at(stamp(start))
	value := full.encode()
	if back, err := decodeTrickle(value); err != nil || len(value) > 16<<10 {
		t.Errorf("%d slots, %d octets: %v", len(back), len(value), err)
	}
}

func FuzzTrickle(f *testing.F) {
	f.Add([]byte("1 5908140:25 5908153:1"), int64(0))
	f.Add([]byte("1"), int64(maxStamp))
	f.Fuzz(func(t *testing.T, b []byte, now int64) {
		tr, err := decodeTrickle(b)
		if err != nil || b == nil {
			return
		}
		now = min(max(now, 0), maxStamp)
		before := tr.used(now, dayWindow)
		moved, _ := tr.at(now)
		if got := moved.used(now, dayWindow); got != before {
			t.Errorf("%d count, %d did", got, before)
		}
		again, err := decodeTrickle(moved.encode())
		if err != nil || !bytes.Equal(again.encode(), moved.encode()) {
			t.Errorf("%s: %v", moved.encode(), err)
		}
	})
}
