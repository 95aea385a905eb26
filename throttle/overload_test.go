package throttle

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// busyStore takes its time for each update.
type busyStore struct {
	*MemoryStore
	wait time.Duration
}

func (s busyStore) Update(ctx context.Context, key string, fn func([]byte) ([]byte, error)) error {
	time.Sleep(s.wait)
	return s.MemoryStore.Update(ctx, key, fn)
}

// A process with many more shares than the store can exchange keeps those that it uses, and never uses one for which the others take it for dead.
func TestMoreSharesThanTheStoreCanExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const forTime = 2 * time.Minute
		store := busyStore{NewMemoryStore(), 40 * time.Millisecond} // 400 updates a second
		config := Config{Limits: map[string]Limits{"example.com": {MessageRate: Rate{100, time.Second}}}}
		a, b := startProcess(t, "a", store, config), startProcess(t, "b", store, config)
		all, end := &sent{}, time.Now().Add(forTime)
		a.send(example, end, all.note)
		b.send(example, end, all.note)
		a.wg.Go(func() { // 15,000 shares, which are to be exchanged each second
			for time.Now().Before(end) {
				for i := range 5000 {
					a.l.AcquireAt(time.Now(), Path{"mta1", fmt.Sprintf("d%d.example", i)}, TokenMessage)
				}
				time.Sleep(20 * time.Second)
			}
		})
		time.Sleep(forTime + time.Second)
		a.end()
		b.end()
		t.Log(all.most(10*time.Second), all.len(), len(a.l.sharing.limits))
		if n := all.most(10 * time.Second); n > 1050 {
			t.Errorf("%d in ten seconds, at 100 a second", n)
		}
		if n := all.len(); n < 9600 {
			t.Errorf("%d of 12000", n)
		}
	})
}

// A share that is not exchanged for most of the TTL although the store answers is not used; while the store is away, all go on with what they have.
func TestShareLapses(t *testing.T) {
	for _, c := range []struct {
		name  string
		fails func(key string) bool
		want  bool
	}{
		{"the store is away", func(string) bool { return true }, true},
		{"it answers others", func(key string) bool { return key == shareKey("messages", "mta1", "example.com") }, false},
	} {
		away := &partStore{MemoryStore: NewMemoryStore()}
		l := newLimiter(t, Config{Store: away, Owner: "a", Limits: map[string]Limits{
			"example.com": {MessageRate: Rate{10, time.Second}}, "example.net": {MessageRate: Rate{10, time.Second}},
		}})
		other := Path{example.Route, "example.net"}
		used := false
		for i := range 600 {
			now := start.Add(time.Duration(i) * 100 * time.Millisecond)
			if i == 100 {
				away.fails = c.fails
			}
			l.SyncAt(context.Background(), now)
			ok := l.AcquireAt(now, example, TokenMessage).OK
			l.AcquireAt(now, other, TokenMessage)
			if i > 100+130 {
				used = used || ok
			}
		}
		if used != c.want {
			t.Errorf("%s: used is %v", c.name, used)
		}
	}
}

// partStore fails for some keys.
type partStore struct {
	*MemoryStore
	fails func(key string) bool
}

func (s *partStore) Update(ctx context.Context, key string, fn func([]byte) ([]byte, error)) error {
	if s.fails != nil && s.fails(key) {
		return errAway
	}
	return s.MemoryStore.Update(ctx, key, fn)
}
