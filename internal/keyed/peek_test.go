package keyed_test

import (
	"testing"
	"time"

	"github.com/reputemail/repute/internal/keyed"
)

func TestPeek(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	m := keyed.New(keyed.Config[string, int]{Max: 2, Idle: time.Hour, Live: func(_ time.Time, key string, _ int) bool { return key == "live" }})
	m.Put(now, "live", 0)
	m.Put(now, "a", 1)
	if v, ok := m.Peek(now.Add(59*time.Minute), "a"); v != 1 || !ok {
		t.Errorf("a is %d, %t", v, ok)
	}
	if _, ok := m.Peek(now.Add(time.Hour), "a"); ok {
		t.Error("a was idle too long: it should be gone")
	}
	if _, ok := m.Peek(now.Add(time.Hour), "live"); !ok {
		t.Error("what is live should be there")
	}
	if _, ok := m.Peek(now, "b"); ok {
		t.Error("b was never there")
	}
	m.Put(now, "b", 2)
	m.Peek(now, "a") // is no use of it
	m.Put(now, "c", 3)
	m.Put(now, "d", 4)
	if _, ok := m.Peek(now, "a"); ok {
		t.Error("a was used least recently: it should be gone")
	}
}
