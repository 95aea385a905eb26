package bounce

import (
	"testing"
	"time"
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
		{"", 0},
	} {
		if got := retryAfter(appendNormal(nil, []string{tt.in})); got != tt.want {
			t.Errorf("%q: %v, want %v", tt.in, got, tt.want)
		}
	}
}
