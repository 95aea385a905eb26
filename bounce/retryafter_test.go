package bounce

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestRetryAfter(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want time.Duration
	}{
		{"Greylisted, try again in 5 minutes", 5 * time.Minute},
		{"please retry in 300 seconds", 5 * time.Minute},
		{"retry after 300s", 5 * time.Minute},
		{"greylisted for 60 seconds", time.Minute},
		{"Please try again after 1 hour.", time.Hour},
		{"wait 10 min", 10 * time.Minute},
		{"come back in at least 7 minutes", 7 * time.Minute},
		{"please try again in 90 hours", maxRetryAfter},
		{"try again later", 0},
		{"message expired: not delivered in 840 minutes", 0},
		{"more than 100 messages in 60 seconds", 0},
		{"retry in 5", 0},
		{"450 try again in 9999999 hours", maxRetryAfter},
		{"try again in 99999999999999999999999999 seconds", maxRetryAfter},
		{"try again in 2562047 hours", maxRetryAfter},
		{"retry in 1,800 seconds", 30 * time.Minute},
		{"retry in 12,345,678 seconds", maxRetryAfter},
		{"try again in 2 days", maxRetryAfter},
		{"try again in 1 day", 24 * time.Hour},
		{"Greylisted, retry after 00:05:00", 5 * time.Minute},
		{"Greylisted for 01:02:03", time.Hour + 2*time.Minute + 3*time.Second},
		{"try again after 14:05:00", 0},
		{"try again in 00:99:00", 0},
		{"try again in 1 h 30 min", 90 * time.Minute},
		{"try again in 1h30m", 90 * time.Minute},
		{"try again in 1 hour and 30 minutes", 90 * time.Minute},
		{"try again in 1 hour, 2 minutes and 3 seconds", time.Hour + 2*time.Minute + 3*time.Second},
		{"try again in 5 minutes or 1 hour", 5 * time.Minute},
		{"try again in 5 minutes 2 hours", 5 * time.Minute},
		{"try again in 5-10 minutes", 10 * time.Minute},
		{"try again in about 5 minutes", 5 * time.Minute},
		{"wait 0 seconds", 0},
		{"", 0},
	} {
		if got := retryAfter(appendNormal(nil, []string{tt.in})); got != tt.want {
			t.Errorf("%q: %v, want %v", tt.in, got, tt.want)
		}
	}
}

// Whatever numbers and units come, the wait is one that can be waited for.
func TestRetryAfterIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOf(rapid.OneOf(
			rapid.SampledFrom([]string{"retry", "in", "and", "h", "hours", "s", "day", "min", "00", "1h"}),
			rapid.StringMatching(`[0-9]{1,25}[a-z]?`),
		)).Draw(t, "words")
		in := "try again in " + strings.Join(words, " ")
		if d := retryAfter(appendNormal(nil, []string{in})); d < 0 || d > maxRetryAfter {
			t.Fatalf("%q: %v", in, d)
		}
	})
}
