package warmup

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// TestPaused: a pause on record is kept, whoever put it there.
func TestPaused(t *testing.T) {
	store := NewMemoryStore()
	rec := newRecord(google)
	rec.setRamp(ramp{paused: true}, ladderOf(flat(10, 0, 0)))
	data, err := json.Marshal(rec)
	if err != nil {
		t.Fatal(err)
	}
	if err := set(store, recordKey(google), string(data)); err != nil {
		t.Fatal(err)
	}
	l := mustOpen(t, Config{Plans: plans(flat(10, 0, 0)), Store: store})
	for range 3 {
		if r := l.ReserveAt(start, google, 1); r.OK || r.Reason != ReasonPaused || !r.Until.After(start) {
			t.Errorf("got %+v", r)
		}
	}
	if s := l.StateAt(start, google); s.Phase != PhasePaused {
		t.Errorf("got %+v", s)
	}
}

func TestBadRecords(t *testing.T) {
	for _, c := range []struct{ record, want string }{
		{``, "unreadable"},
		{`{`, "unreadable"},
		{`[]`, "unreadable"},
		{`{"v":2,"stage":"new"}`, "record of version 2"},
		{`{"v":0}`, "v is 0"},
		{`{"v":1,"route":"new","provider":"google","cap":0}`, "cap is 0"},
		{`{"v":1,"route":"new","provider":"google","cap":1,"stage":-1}`, "stage is -1"},
		{`{"v":1,"cap":1,"seen":-4}`, "seen is -4"},
		{`{"v":1,"cap":1,"owners":{"x":{"ahead":-1}}}`, `owner "x": ahead is -1`},
		{`{"v":1,"cap":1,"seen":5,"owners":{"x":{"ahead":1,"until":-1}}}`, "until is -1"},
		{`{"v":1,"cap":1,"seen":5,"owners":{"x":{"ahead":1,"until":4200000000006}}}`, "until is 4200000000006"},
		{`{"v":1,"cap":1,"owners":{"x":{"used":[[1],[],[]]}}}`, "odd number"},
		{`{"v":1,"cap":1,"owners":{"x":{"used":[[5,1],[],[]]}}}`, "later than seen"},
		{`{"v":1,"cap":1,"owners":{"x":{"used":[[5,1,4,1],[],[]]}}}`, "out of order"},
		{`{"v":1,"cap":1,"owners":{"x":{"used":[[5,-1],[],[]]}}}`, "count -1"},
		{`{"v":1,"cap":1,"owners":{"x":{"used":[[99999999999,1],[],[]]}}}`, "out of order or range"},
	} {
		store := NewMemoryStore()
		write := func() {
			err := store.Update(context.Background(), recordKey(google), func([]byte) ([]byte, error) { return []byte(c.record), nil })
			if err != nil {
				t.Fatal(err)
			}
		}
		l := mustOpen(t, Config{Plans: plans(flat(10, 0, 0)), Store: store})
		write()
		if r := l.ReserveAt(start, google, 1); r.OK || r.Reason != ReasonStore {
			t.Errorf("%s: got %+v", c.record, r)
		}
		_, err := Open(context.Background(), Config{Plans: plans(flat(10, 0, 0)), Store: store})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `"new/google"`) {
			t.Errorf("%s: got error %v, want one with %q", c.record, err, c.want)
		}
	}
}

// TestPromiseWithoutEnd: a promise on record without an end does not lapse at once.
func TestPromiseWithoutEnd(t *testing.T) {
	rec, err := decodeRecord([]byte(`{"v":1,"cap":1,"seen":5,"owners":{"x":{"ahead":1}}}`))
	if err != nil || rec.Owners["x"].Until != 5+promiseLife {
		t.Errorf("got %+v, error %v", rec, err)
	}
}

// TestPlanChange: under another plan a path stands where that allows no more than it had reached.
func TestPlanChange(t *testing.T) {
	for _, c := range []struct {
		name  string
		plan  Plan
		stage int
		cause Cause
	}{
		{"the same", Plan{Stages: []Stage{{100, 100, 100}, {140, 140, 140}, {190, 190, 190}}}, 2, ""},
		{"longer", Plan{Stages: []Stage{{100, 100, 100}, {140, 140, 140}, {190, 190, 190}, {200, 200, 200}}}, 2, ""},
		{"finer", Plan{Stages: []Stage{{Day: 100}, {Day: 110}, {Day: 130}, {Day: 150}}}, 3, CausePlan},
		{"higher", Plan{Stages: []Stage{{Day: 200}, {Day: 210}}}, 1, CausePlan},
		{"lower", Plan{Stages: []Stage{{Day: 10}, {Day: 15}}}, 2, CausePlan},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := NewMemoryStore()
			cfg := Config{Plans: plans(Plan{Stages: []Stage{{100, 100, 100}, {140, 140, 140}, {190, 190, 190}}}), Store: store}
			l := mustOpen(t, cfg)
			send(l, start, google, 100)
			now := start.Add(24 * time.Hour)
			send(l, now, google, 1)
			if err := l.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
			cfg.Plans = plans(c.plan)
			l = mustOpen(t, cfg)
			l.ReserveAt(now, google, 1)
			if s := l.StateAt(now, google); s.Stage != c.stage || s.Cause != c.cause {
				t.Errorf("got %+v", s)
			}
		})
	}
}

// FuzzDecodeRecord: whatever is accepted can be worked with, and never allows more than the cap.
func FuzzDecodeRecord(f *testing.F) {
	store := NewMemoryStore()
	l, err := Open(context.Background(), Config{Plans: plans(Conservative(100)), Store: store})
	if err != nil {
		f.Fatal(err)
	}
	send(l, start, google, 1)
	f.Add(store.values[recordKey(google)])
	f.Add([]byte(`{"v":1,"route":"new","provider":"google","cap":50,"stage":2,"seen":9000000000000,"owners":{"main":{"used":[[1,1],[],[]],"ahead":3}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		rec, err := decodeRecord(data)
		if err != nil {
			return
		}
		store := NewMemoryStore()
		set(store, recordKey(google), string(data))
		l, err := Open(context.Background(), Config{Plans: plans(Conservative(100)), Store: store})
		if err != nil {
			t.Fatalf("%+v: %v", rec, err)
		}
		l.StatesAt(start)
		before := l.StateAt(start, google)
		n := send(l, start, google, 200)
		after := l.StateAt(start, google)
		if after.Day.Cap > 0 && n > after.Day.Cap {
			t.Fatalf("sent %d with a cap of %d: %+v, then %+v", n, after.Day.Cap, before, after)
		}
		if err := l.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(context.Background(), Config{Plans: plans(Conservative(100)), Store: store}); err != nil {
			t.Fatal(err)
		}
	})
}
