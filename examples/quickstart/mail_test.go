package main

import (
	"strings"
	"testing"
)

// Every hundred messages have the shares, and a quarter of them is transactional.
func TestLetters(t *testing.T) {
	const n = 3000
	domains, streams, left := map[string]int{}, map[string]int{}, map[string]int{}
	for letter := range letters(n) {
		_, domain, _ := strings.Cut(letter.To[0], "@")
		domains[domain]++
		streams[letter.Stream]++
		if unknown(letter.To[0]) {
			left[domain]++
		}
	}
	sum := 0
	for _, s := range shares() {
		sum += s.of100
		if got := domains[s.domain]; got != n*s.of100/100 {
			t.Errorf("%s: %d messages, want %d", s.domain, got, n*s.of100/100)
		}
		if got := left[s.domain]; got*33 > domains[s.domain] {
			t.Errorf("%s: %d of %d do not exist: its provider would block us", s.domain, got, domains[s.domain])
		}
	}
	if sum != 100 {
		t.Errorf("shares are %d of 100", sum)
	}
	if streams[transactional] != n/4 || streams[marketing] != n-n/4 {
		t.Errorf("streams: %v", streams)
	}
}

func TestPlanIsValid(t *testing.T) {
	for _, n := range []int{minMessages, 3000, maxMessages} {
		if err := plan(options{messages: n}).Validate(); err != nil {
			t.Errorf("%d messages: %v", n, err)
		}
	}
}
