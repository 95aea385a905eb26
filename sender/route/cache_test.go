package route

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// For how long an answer is remembered: asked for at once, just before and just after it expires.
func TestCache(t *testing.T) {
	for _, test := range []struct {
		name  string
		cfg   Config
		setup func(w *world)
		ttl   time.Duration
	}{
		{"the record's time-to-live", Config{}, func(w *world) {
			w.dns.SetTTL(10 * time.Minute)
			w.mx("example.com", 10, "mx.example.com", four1)
		}, 10 * time.Minute},
		{"that of the address is shorter", Config{}, func(w *world) {
			w.dns.SetTTL(10 * time.Minute)
			w.mx("example.com", 10, "mx.example.com")
			w.dns.SetTTL(2 * time.Minute)
			w.addr("mx.example.com", four1)
		}, 2 * time.Minute},
		{"not less than MinTTL", Config{}, func(w *world) {
			w.dns.SetTTL(0)
			w.mx("example.com", 10, "mx.example.com", four1)
		}, time.Minute},
		{"not more than MaxTTL", Config{MaxTTL: 20 * time.Minute}, func(w *world) {
			w.dns.SetTTL(24 * time.Hour)
			w.mx("example.com", 10, "mx.example.com", four1)
		}, 20 * time.Minute},
		{"NXDOMAIN", Config{}, func(w *world) { w.dns.SetTTL(2 * time.Minute) }, 2 * time.Minute},
		{"NXDOMAIN, not more than NegativeTTL", Config{}, func(w *world) { w.dns.SetTTL(time.Hour) }, 5 * time.Minute},
		{"null MX", Config{}, func(w *world) {
			w.dns.SetTTL(time.Hour)
			w.ok(w.dns.AddNullMX("example.com"))
		}, 5 * time.Minute},
		{"SERVFAIL", Config{}, func(w *world) { w.ok(w.dns.SetServFail("example.com")) }, 30 * time.Second},
		{"FailureTTL", Config{FailureTTL: time.Minute}, func(w *world) { w.ok(w.dns.SetServFail("example.com")) }, time.Minute},
		{"a host is missing for the moment", Config{}, func(w *world) {
			w.dns.SetTTL(time.Hour)
			w.mx("example.com", 10, "mx1.example.com", four1)
			w.mx("example.com", 20, "mx2.example.com")
			w.ok(w.dns.SetServFail("mx2.example.com"))
		}, 5 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, test.cfg)
				test.setup(w)
				ask := func() (Destination, error) { return w.r.Resolve(t.Context(), "example.com") }
				questions := func() int { return w.dns.Queries("example.com", "MX") }
				d, err := ask()
				start, n := time.Now(), questions()
				if err == nil && d.Expires.Sub(start) != test.ttl {
					t.Errorf("it expires in %v, want %v", d.Expires.Sub(start), test.ttl)
				}
				_, again := ask()
				time.Sleep(test.ttl - time.Nanosecond)
				_, late := ask()
				if again != err || late != err || questions() != n {
					t.Errorf("errors %v, %v, %v; %d more questions", err, again, late, questions()-n)
				}
				time.Sleep(time.Nanosecond)
				ask()
				if questions() == n {
					t.Errorf("after %v it is not asked for anew", test.ttl)
				}
			})
		})
	}
}

func TestCacheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{CacheSize: 10})
		w.addr("*.example.com", four1)
		for i := range 100 {
			if _, err := w.r.Resolve(t.Context(), fmt.Sprintf("d%d.example.com", i)); err != nil {
				t.Fatal(err)
			}
			if _, err := w.r.Addrs(t.Context(), fmt.Sprintf("d%d.example.com", i)); err != nil {
				t.Fatal(err)
			}
		}
		if d, h := w.r.dests.Len(), w.r.hosts.Len(); d > 10 || h > 10 {
			t.Errorf("%d domains and %d hosts are remembered", d, h)
		}
		if n := len(w.r.domains.flying) + len(w.r.names.flying); n != 0 {
			t.Errorf("%d lookups are left", n)
		}
	})
}

// Many who ask for the same domain at the same time share one lookup; one who leaves does not disturb the others.
func TestJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Timeout: 10 * time.Second, Attempts: 1})
		w.mx("example.com", 10, "mx.example.com", four1)
		w.ok(w.dns.SetTimeout("mx.example.com", "AAAA"))
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				leaves := i%2 == 0
				if leaves {
					time.AfterFunc(time.Second, cancel)
				}
				if i > 0 {
					time.Sleep(time.Millisecond) // the one that starts the lookup is one that leaves
				}
				d, err := w.r.Resolve(ctx, "example.com")
				switch {
				case leaves && err != context.Canceled:
					t.Errorf("%d left and got %v", i, err)
				case !leaves && (err != nil || show(d) != "10 mx.example.com 192.0.2.1;"):
					t.Errorf("%d stayed and got %s, %v", i, show(d), err)
				}
			})
		}
		wg.Wait()
		if n := w.dns.Queries("example.com", "MX"); n != 1 {
			t.Errorf("%d questions", n)
		}
	})
}

// A caller that comes when the last one has just left starts anew.
func TestJoinAfterLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g flights[int]
		started := 0
		work := func(ctx context.Context) int {
			started++
			n := started
			select {
			case <-ctx.Done():
				time.Sleep(time.Hour) // slow to heed
			case <-time.After(time.Minute):
			}
			return n
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := g.do(ctx, "k", work); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if n, err := g.do(t.Context(), "k", work); n != 2 || err != nil {
			t.Errorf("got %d, %v", n, err)
		}
		time.Sleep(2 * time.Hour)
		if len(g.flying) != 0 {
			t.Error("work is left")
		}
	})
}
