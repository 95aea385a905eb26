package warmup

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

var google = Path{"new", "google"}

func mustOpen(t testing.TB, cfg Config) *Ledger {
	t.Helper()
	l, err := Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func plans(p Plan) map[string]Plan { return map[string]Plan{"new": p} }

// send reserves and commits until refused or n were sent, and returns how many were.
func send(l *Ledger, now time.Time, p Path, n int) int {
	for i := range n {
		r := l.ReserveAt(now, p, 1)
		if !r.OK {
			return i
		}
		l.CommitAt(now, r)
		l.ObserveAt(now, p, Delivered, 1)
	}
	return n
}

func TestOpenRefusesBadConfig(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{Plans: map[string]Plan{"new": {}}}, `Config.Plans["new"]: plan: Stages is empty`},
		{Config{Plans: map[string]Plan{"new": Conservative(-1)}}, `Config.Plans["new"]: plan "braze-conservative": peak is -1`},
		{Config{Plans: map[string]Plan{"": flat(1, 0, 0)}}, "Config.Plans: a route name is empty"},
		{Config{Plans: map[string]Plan{strings.Repeat("r", 129): flat(1, 0, 0)}}, "has 129 bytes"},
		{Config{Owner: strings.Repeat("o", 129)}, "Config.Owner has 129 bytes"},
		{Config{MaxPaths: -1}, "Config.MaxPaths is -1"},
		{Config{StoreTimeout: -1}, "Config.StoreTimeout"},
		{Config{RetryStore: -1}, "Config.RetryStore"},
	} {
		if _, err := Open(context.Background(), c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got error %v, want one with %q", err, c.want)
		}
	}
}

func TestClose(t *testing.T) {
	store := &flakyStore{Store: NewMemoryStore()}
	cfg := Config{Plans: plans(flat(1000, 1000, 1000)), Store: store}
	l := mustOpen(t, cfg)
	open := l.ReserveAt(start, google, 3)
	for i := range 100 {
		send(l, start, Path{"new", fmt.Sprint(i)}, 1)
	}
	if err := l.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if r := l.ReserveAt(start, google, 1); r.OK || r.Reason != ReasonClosed || !r.Until.After(start) {
		t.Errorf("got %+v", r)
	}
	l.ObserveAt(start, google, Delivered, 1)
	l.CommitAt(start, open)
	again := mustOpen(t, cfg)
	if s := again.StateAt(start, google); s.Day.Used != 3 {
		t.Errorf("what was outstanding has to count: %+v", s)
	}
	if states := again.StatesAt(start); len(states) != 101 || states[0].Provider != "0" || states[100].Path != google {
		t.Errorf("got %d states", len(states))
	}
	send(again, start, google, 1)
	store.fail = "before"
	if err := again.Close(context.Background()); !errors.Is(err, errFlaky) || !strings.Contains(err.Error(), "new/google") {
		t.Errorf("got error %v", err)
	}
}

type brokenStore struct{ Store }

func (brokenStore) Load(context.Context, func(string, []byte) error) error { return errFlaky }

func TestMaxPaths(t *testing.T) {
	for _, store := range []Store{nil, NewMemoryStore()} {
		l := mustOpen(t, Config{Plans: plans(Plan{Stages: []Stage{{10, 10, 10}, {15, 15, 15}}}), Store: store, MaxPaths: 3})
		now := start
		for i := range 3 {
			if n := send(l, now, Path{"new", fmt.Sprint(i)}, 10); n != 10 {
				t.Fatalf("sent %d", n)
			}
		}
		if r := l.ReserveAt(now, google, 1); r.OK || r.Reason != ReasonPaths || !r.Until.After(now) {
			t.Errorf("got %+v", r)
		}
		// A day later the first three are at stage 2, which only a store can keep.
		now = now.Add(25 * time.Hour)
		if r := l.ReserveAt(now, google, 1); r.OK != (store != nil) {
			t.Errorf("store %t: got %+v", store != nil, r)
		} else if store != nil {
			for i := range 3 {
				p := Path{"new", fmt.Sprint(i)}
				l.CancelAt(now, r)
				if s := l.ReserveAt(now.Add(time.Duration(i)*time.Minute), p, 1); !s.OK || s.Cap != 15 {
					t.Errorf("path %d came back as %+v", i, s)
				} else {
					l.CancelAt(now, s)
				}
			}
		}
		now = now.Add(40 * 24 * time.Hour)
		if n := send(l, now, Path{"new", "yet another"}, 1); n != 1 {
			t.Errorf("store %t: after a month nothing made room", store != nil)
		}
		if n := len(l.StatesAt(now)); n > 3 {
			t.Errorf("%d paths are kept", n)
		}
	}
}

// TestMemory: 100,000 paths, each used through a whole day, fit into 100 MB. It measures a part of them.
func TestMemory(t *testing.T) {
	const n, all = 10_000, 100_000
	before := heap()
	l := mustOpen(t, Config{Plans: plans(flat(1000, 125, 5))})
	for i := range n {
		p := Path{"new", fmt.Sprint("provider-", i, ".example")}
		for now := start; now.Before(start.Add(24 * time.Hour)); now = now.Add(14 * time.Minute) {
			if r := l.ReserveAt(now, p, 1); r.OK {
				l.CommitAt(now, r)
			}
		}
	}
	each := (heap() - before) / n
	if each*all > 100e6 {
		t.Errorf("a path takes %d bytes: %d of them take %d MB", each, all, each*all/1e6)
	}
	t.Logf("%d bytes a path", each)
	runtime.KeepAlive(l)
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
