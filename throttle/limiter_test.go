package throttle

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

func newLimiter(t testing.TB, config Config) *Limiter {
	t.Helper()
	l, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// with makes a Limiter whose every path has these limits.
func with(t testing.TB, limits Limits, config Config) *Limiter {
	t.Helper()
	config.Table = newTable(t, TableConfig{Default: &limits})
	return newLimiter(t, config)
}

var example = Path{Route: "mta1", Provider: "example.com"}

func TestConnections(t *testing.T) {
	l := with(t, Limits{Connections: 2}, Config{})
	for range 2 {
		if d := l.AcquireAt(start, example, TokenConnection); !d.OK || d.Reason != "" || !d.Until.IsZero() {
			t.Fatalf("%+v", d)
		}
	}
	d := l.AcquireAt(start, example, TokenConnection)
	if d.OK || d.Reason != ReasonConnections || !d.Until.IsZero() || d.Limits.Connections != 2 {
		t.Fatalf("a third: %+v", d)
	}
	if d := l.AcquireAt(start, Path{"mta2", "example.com"}, TokenConnection); !d.OK {
		t.Fatalf("another route: %+v", d)
	}
	l.ReleaseAt(start, example, TokenConnection)
	if d := l.AcquireAt(start, example, TokenConnection); !d.OK {
		t.Fatalf("after a release: %+v", d)
	}
	for range 5 {
		l.ReleaseAt(start, example, TokenConnection)
	}
	if s := l.StateAt(start, example); s.Open != 0 {
		t.Fatalf("released more than was taken: %d open", s.Open)
	}
	l.ReleaseAt(start, Path{"never", "seen.example"}, TokenConnection)
	if n := len(l.StatesAt(start)); n != 2 {
		t.Fatalf("%d paths, want 2", n)
	}
}

func TestCaps(t *testing.T) {
	l := with(t, Limits{}, Config{
		Process:   Cap{Connections: 4},
		Routes:    map[string]Cap{"a": {Connections: 2}},
		Providers: map[string]Cap{"google": {Connections: 1}},
		Limits:    map[string]Limits{"google": {}},
	})
	for _, c := range []struct {
		path Path
		why  Reason
	}{
		{Path{"a", "x.example"}, ""},
		{Path{"a", "google"}, ""},
		{Path{"a", "y.example"}, ReasonRouteCap},
		{Path{"b", "google"}, ReasonProviderCap},
		{Path{"b", "x.example"}, ""},
		{Path{"b", "x.example"}, ""},
		{Path{"b", "x.example"}, ReasonProcessCap},
	} {
		d := l.AcquireAt(start, c.path, TokenConnection)
		if d.OK != (c.why == "") || d.Reason != c.why {
			t.Fatalf("%v: %+v", c.path, d)
		}
	}
	l.ReleaseAt(start, Path{"a", "google"}, TokenConnection)
	if d := l.AcquireAt(start, Path{"b", "google"}, TokenConnection); !d.OK {
		t.Fatalf("after the provider's release: %+v", d)
	}
}

func TestRates(t *testing.T) {
	l := with(t, Limits{MessageRate: Rate{10, time.Second}, ConnectRate: Rate{1, time.Minute}}, Config{})
	if d := l.AcquireAt(start, example, TokenMessage); !d.OK {
		t.Fatalf("first message: %+v", d)
	}
	d := l.AcquireAt(start, example, TokenMessage)
	if d.OK || d.Reason != ReasonMessageRate || d.Until.Sub(start).Round(time.Millisecond) != 100*time.Millisecond {
		t.Fatalf("a new path hands out a burst: %+v", d)
	}
	l.ReleaseAt(start, example, TokenMessage)
	if d := l.AcquireAt(start, example, TokenMessage); !d.OK {
		t.Fatalf("given back: %+v", d)
	}
	if d := l.AcquireAt(start, example, TokenConnection); !d.OK {
		t.Fatalf("first connection: %+v", d)
	}
	d = l.AcquireAt(start, example, TokenConnection)
	if d.OK || d.Reason != ReasonConnectRate || d.Until.Sub(start).Round(time.Millisecond) != time.Minute {
		t.Fatalf("second connection: %+v", d)
	}
	if s := l.StateAt(start, example); s.Open != 1 || s.Connects != 0 || s.Messages != 0 {
		t.Fatalf("a refusal took something: %+v", s)
	}
	l.ReleaseAt(start, example, TokenUnopened)
	if d := l.AcquireAt(start, example, TokenConnection); !d.OK {
		t.Fatalf("unopened: %+v", d)
	}
	l.ReleaseAt(start, example, TokenConnection)
	if d := l.AcquireAt(start, example, TokenConnection); d.OK {
		t.Fatal("a closed connection gave back the connect rate")
	}
	if d := l.AcquireAt(start, example, TokenUnopened); d.OK || d.Reason != ReasonInvalid {
		t.Fatalf("a token that cannot be taken: %+v", d)
	}
}

// Every limit of 0 is really none.
func TestUnlimited(t *testing.T) {
	l := with(t, Limits{}, Config{})
	for i := range 20_000 {
		if d := l.AcquireAt(start, example, TokenConnection); !d.OK || d.Limits != (Limits{}) {
			t.Fatalf("connection %d: %+v", i, d)
		}
		if d := l.AcquireAt(start, example, TokenMessage); !d.OK {
			t.Fatalf("message %d: %+v", i, d)
		}
	}
	if s := l.StateAt(start, example); s.Messages != -1 || s.Connects != -1 {
		t.Fatalf("%+v", s)
	}
}

func TestLimitsOf(t *testing.T) {
	l := newLimiter(t, Config{
		Names:  []string{"relay"},
		Limits: map[string]Limits{"google": {Connections: 7}, "example.com": {Connections: 8}, "relay": {Connections: 9}, "a.example+google": {}},
		Paths:  map[Path]Limits{{"mta1", "google"}: {Connections: 1}},
	})
	for path, want := range map[Path]int{
		{"mta1", "google"}:      1,
		{"mta2", "google"}:      7,
		{"mta1", "example.com"}: 8,
		{"mta1", "relay"}:       9,
		{"mta1", "comcast"}:     25,
		{"mta1", "example.net"}: 10,
	} {
		if got := l.StateAt(start, path).Limits.Connections; got != want {
			t.Errorf("%v: %d connections, want %d", path, got, want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	bad := Limits{Recipients: -1}
	for want, config := range map[string]Config{
		`Config.Process.Connections: `:                                {Process: Cap{Connections: -1}},
		`Config.MaxPaths: `:                                           {MaxPaths: -1},
		`Config.Idle: `:                                               {Idle: -1},
		`Config.Limits["gogle"]: can never match`:                     {Limits: map[string]Limits{"gogle": {}}},
		`Config.Limits["Example.com"]: can never match`:               {Limits: map[string]Limits{"Example.com": {}}},
		`Config.Limits["google"].Recipients: `:                        {Limits: map[string]Limits{"google": bad}},
		`Config.Paths[mta1/google].Recipients: `:                      {Paths: map[Path]Limits{{"mta1", "google"}: bad}},
		`Config.Process.MessageRate: `:                                {Process: Cap{MessageRate: Rate{N: -1}}},
		`Config.Routes["mta1"]: caps nothing`:                         {Routes: map[string]Cap{"mta1": {}}},
		`Config.Routes["mta1"].Connections: -1`:                       {Routes: map[string]Cap{"mta1": {Connections: -1}}},
		`Config.Providers["google"].Connections: -2`:                  {Providers: map[string]Cap{"google": {Connections: -2}}},
		`Config.Providers["google"]: caps nothing`:                    {Providers: map[string]Cap{"google": {}}},
		`Config.Providers["x"]: can never match`:                      {Providers: map[string]Cap{"x": {Connections: 1}}},
		`Config.Backoff.MinConnections: -1`:                           {Backoff: Backoff{MinConnections: -1}},
		`Config.Backoff.MinMessageRate: `:                             {Backoff: Backoff{MinMessageRate: Rate{N: 1}}},
		`Config.Backoff.MinSample: `:                                  {Backoff: Backoff{MinSample: maxSample + 1}},
		`Config.Backoff.RaiseAfter: `:                                 {Backoff: Backoff{RaiseAfter: -1}},
		`Config.Backoff.MaxRaiseAfter: 1m0s is less than RaiseAfter`:  {Backoff: Backoff{MaxRaiseAfter: time.Minute}},
		`Config.Backoff.DeferredShare: `:                              {Backoff: Backoff{DeferredShare: 1.5}},
		`Config.Backoff.RateLimited: 5h0m0s is more than Max, 4h0m0s`: {Backoff: Backoff{RateLimited: 5 * time.Hour}},
		`Config.Backoff.Blocked: 2h0m0s is more than Max, 1h0m0s`:     {Backoff: Backoff{Blocked: 2 * time.Hour, Max: time.Hour}},
		`Config.Backoff.Max: -1ns is negative`:                        {Backoff: Backoff{Max: -1}},
		`Config.Backoff.Max: -2ns is negative`:                        {Backoff: Backoff{RateLimited: time.Minute, Max: -2}},
		`Config.Backoff.Network: `:                                    {Backoff: Backoff{Network: -1}},
		`Config.Backoff.BlocksPerHour: 1001`:                          {Backoff: Backoff{BlocksPerHour: 1001}},
		`Config.Backoff.BlocksInRow: `:                                {Backoff: Backoff{BlocksInRow: -1}},
		`Config.Backoff.FailuresInRow: `:                              {Backoff: Backoff{FailuresInRow: -1}},
	} {
		if _, err := New(config); err == nil || !strings.HasPrefix(err.Error(), "throttle: "+want) {
			t.Errorf("want %s, got %v", want, err)
		}
	}
}

// A Max below the defaults caps them; it is not refused.
func TestBackoffMax(t *testing.T) {
	for _, max := range []time.Duration{time.Nanosecond, time.Minute, time.Hour, 3 * time.Hour} {
		l := newLimiter(t, Config{Backoff: Backoff{Max: max}})
		for kind, length := range map[SignalKind]time.Duration{
			SignalRateLimited: min(10*time.Minute, max), SignalBlocked: min(2*time.Hour, max), SignalNetworkFailure: min(5*time.Minute, max),
		} {
			p := Path{"mta1", string(kind)}
			for range 20 {
				l.ObserveAt(start, p, Signal{Kind: kind})
			}
			if s := l.StateAt(start, p); s.Until.Sub(start) != length {
				t.Errorf("Max %v: %s stops for %v, want %v", max, kind, s.Until.Sub(start), length)
			}
		}
	}
	if _, err := New(Config{Backoff: Backoff{RateLimited: time.Hour, Max: time.Hour}}); err != nil {
		t.Error(err)
	}
}

// A path with an open connection, a running stop or a used-up rate is never forgotten; an idle one is.
func TestForgetting(t *testing.T) {
	l := with(t, Limits{Connections: 1, MessageRate: Rate{1, 24 * time.Hour}}, Config{MaxPaths: 3, Idle: time.Hour})
	held, halted, spent, idle := Path{"r", "held.example"}, Path{"r", "halted.example"}, Path{"r", "spent.example"}, Path{"r", "idle.example"}
	l.AcquireAt(start, held, TokenConnection)
	l.ObserveAt(start, halted, Signal{Kind: SignalBlocked})
	l.ObserveAt(start, halted, Signal{Kind: SignalBlocked})
	l.AcquireAt(start, spent, TokenMessage)
	l.ObserveAt(start, idle, Signal{Kind: SignalTooManyMessages, Messages: 3})
	now := start
	for i := range 100 {
		now = now.Add(time.Minute)
		l.AcquireAt(now, Path{"r", fmt.Sprintf("d%d.example", i)}, TokenConnection)
		l.ReleaseAt(now, Path{"r", fmt.Sprintf("d%d.example", i)}, TokenConnection)
	}
	if d := l.AcquireAt(now, held, TokenConnection); d.OK {
		t.Error("the path of an open connection was forgotten")
	}
	if d := l.AcquireAt(now, halted, TokenConnection); d.Reason != ReasonSuspended {
		t.Errorf("the suspended path was forgotten: %+v", d)
	}
	if d := l.AcquireAt(now, spent, TokenMessage); d.OK {
		t.Error("the used-up rate was forgotten")
	}
	if got := l.StateAt(now, idle).Limits.MessagesPerConnection; got != 0 {
		t.Errorf("the idle path was remembered: %d messages per connection", got)
	}
	if n := len(l.StatesAt(now)); n > 5 {
		t.Errorf("%d paths are kept", n)
	}
}

// A path that comes back from a stop, or has learnt lower limits, is kept as long as Idle however many others there are.
func TestForgettingLearnt(t *testing.T) {
	const idle = 3 * time.Hour
	l := with(t, Limits{Connections: 10, MessagesPerConnection: 50}, Config{MaxPaths: 2, Idle: idle})
	ramping, crowded, lowered := Path{"r", "ramping.example"}, Path{"r", "crowded.example"}, Path{"r", "lowered.example"}
	l.ObserveAt(start, ramping, Signal{Kind: SignalRateLimited})
	for range 9 {
		l.AcquireAt(start, crowded, TokenConnection)
	}
	l.ObserveAt(start, crowded, Signal{Kind: SignalTooManyConnections})
	for range 8 {
		l.ReleaseAt(start, crowded, TokenConnection)
	}
	l.ObserveAt(start, crowded, Signal{Kind: SignalTooManyConnections}) // the last one: it stops for a minute, and ramps
	l.ReleaseAt(start, crowded, TokenConnection)
	l.ObserveAt(start, lowered, Signal{Kind: SignalTooManyMessages, Messages: 3})

	flood := func(now time.Time) {
		for i := range 50 {
			p := Path{"r", fmt.Sprintf("d%d.example", i)}
			l.AcquireAt(now, p, TokenConnection)
			l.ReleaseAt(now, p, TokenConnection)
		}
		l.StatesAt(now) // A look from outside is no use.
	}
	has := func(now time.Time, p Path) *State {
		for _, s := range l.StatesAt(now) {
			if s.Path == p {
				return &s
			}
		}
		return nil
	}
	now := start.Add(idle - time.Second)
	for at := start; at.Before(now); at = at.Add(10 * time.Minute) {
		flood(at)
	}
	flood(now)
	if s := has(now, ramping); s == nil || s.Phase != PhaseRamping || s.Limits.Connections != 1 {
		t.Errorf("ramping: %+v", s)
	}
	if s := has(now, crowded); s == nil || s.Phase != PhaseRamping {
		t.Errorf("crowded: %+v", s)
	}
	if s := has(now, lowered); s == nil || s.Limits.MessagesPerConnection != 3 {
		t.Errorf("lowered: %+v", s)
	}
	now = start.Add(idle)
	flood(now)
	for _, p := range []Path{ramping, crowded, lowered} {
		if s := has(now, p); s != nil {
			t.Errorf("remembered longer than Idle: %+v", s)
		}
	}
	if n := len(l.StatesAt(now)); n > 3 {
		t.Errorf("%d paths are kept", n)
	}

	// What was learnt is worth nothing any more when its time has passed, though the path was used.
	l = with(t, Limits{MessagesPerConnection: 10}, Config{MaxPaths: 2, Idle: 48 * time.Hour})
	l.ObserveAt(start, lowered, Signal{Kind: SignalTooManyMessages, Messages: 3})
	l.ObserveAt(start.Add(time.Hour), lowered, Signal{Kind: SignalOther})
	flood(start.Add(23 * time.Hour))
	if s := has(start.Add(23*time.Hour), lowered); s == nil || s.Limits.MessagesPerConnection != 3 {
		t.Errorf("lowered: %+v", s)
	}
	flood(start.Add(24 * time.Hour))
	if s := has(start.Add(24*time.Hour), lowered); s != nil {
		t.Errorf("lowered is kept though what it learnt is gone: %+v", s)
	}
}

// A clock that is set back neither holds mail nor hands out more.
func TestClockSetBack(t *testing.T) {
	l := with(t, Limits{Connections: 2, MessageRate: Rate{1, time.Minute}}, Config{})
	l.ObserveAt(start, example, Signal{Kind: SignalRateLimited})
	l.AcquireAt(start.Add(5*time.Minute), example, TokenMessage)
	back := start.Add(-24 * time.Hour)
	d := l.AcquireAt(back, example, TokenMessage)
	if d.OK || d.Until.Sub(back) != 5*time.Minute {
		t.Fatalf("%+v: want the 5 minutes that were left", d)
	}
	now := d.Until
	if d = l.AcquireAt(now, example, TokenMessage); !d.OK {
		t.Fatalf("after the stop: %+v", d)
	}
	// A little behind is another goroutine's clock reading, and counts as the latest time.
	if d = l.AcquireAt(now.Add(-time.Second), example, TokenMessage); d.OK || d.Until.Sub(now).Round(time.Millisecond) != time.Minute {
		t.Fatalf("%+v", d)
	}
	// Far ahead and back: one token for the long time that passed, none for coming back.
	ahead := now.Add(1000 * time.Hour)
	if d = l.AcquireAt(ahead, example, TokenMessage); !d.OK {
		t.Fatalf("ahead: %+v", d)
	}
	if d = l.AcquireAt(now, example, TokenMessage); d.OK || d.Until.Sub(now).Round(time.Millisecond) != time.Minute {
		t.Fatalf("back again: %+v", d)
	}
}

func TestLimiterConcurrent(t *testing.T) {
	l := with(t, Limits{Connections: 3}, Config{Process: Cap{Connections: 5}, MaxPaths: 2})
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 500 {
				p := Path{"r", fmt.Sprintf("d%d.example", (w+i)%4)}
				now := start.Add(time.Duration(i) * time.Millisecond)
				if l.AcquireAt(now, p, TokenConnection).OK {
					l.AcquireAt(now, p, TokenMessage)
					l.ObserveAt(now, p, Signal{Kind: SignalSuccess})
					l.ReleaseAt(now, p, TokenConnection)
				}
				if i%100 == 0 {
					l.StatesAt(now)
				}
			}
		})
	}
	wg.Wait()
	for _, s := range l.StatesAt(start.Add(time.Second)) {
		if s.Open != 0 {
			t.Errorf("%+v", s)
		}
	}
	if l.process.open != 0 {
		t.Errorf("%d open in the process", l.process.open)
	}
}

func TestAcquireAllocatesNothing(t *testing.T) {
	l := with(t, DefaultLimits(), Config{})
	now := start
	l.AcquireAt(now, example, TokenMessage)
	if n := testing.AllocsPerRun(1000, func() {
		now = now.Add(time.Millisecond)
		l.AcquireAt(now, example, TokenMessage)
		l.AcquireAt(now, example, TokenConnection)
		l.ObserveAt(now, example, Signal{Kind: SignalSuccess})
		l.ReleaseAt(now, example, TokenConnection)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Nor does a path do so under caps, that has learnt, that shares its limits, or that goes beside another one.
func TestAcquireAllocatesNothingElse(t *testing.T) {
	const throttled = "resimta-a1 192.0.2.1 Try again later, or see RL000010"
	perSecond := Cap{MessageRate: Rate{20, time.Second}, Connections: 20}
	for _, owner := range []string{"", "a"} {
		config := Config{
			Limits:    map[string]Limits{"comcast": {Connections: 10, MessagesPerConnection: 50, Recipients: 100, MessageRate: Rate{50, time.Second}, ConnectRate: Rate{50, time.Second}}},
			Routes:    map[string]Cap{"mta1": perSecond},
			Providers: map[string]Cap{"comcast": perSecond},
			Process:   perSecond,
		}
		if owner != "" {
			config.Store, config.Owner = NewMemoryStore(), owner
		}
		l := newLimiter(t, config)
		path, domain, signing := Path{"mta1", "comcast"}, DomainPath("mta1", "example.net"), SigningDomain("news.example", "comcast")
		now := start
		l.AcquireAt(now, path, TokenMessage)
		for _, learnt := range []bool{false, true} {
			if learnt {
				l.ObserveAt(now, path, replied(SignalOther, 421, throttled))
				for _, p := range []Path{path, domain, signing} {
					l.ObserveAt(now, p, Signal{Kind: SignalTooManyMessages, Messages: 20})
					l.ObserveAt(now, p, Signal{Kind: SignalTooManyRecipients, Recipients: 50})
					l.ObserveAt(now, p, limited)
				}
				now = now.Add(11 * time.Minute)
			}
			for what, f := range map[string]func(){
				"a message": func() { l.AcquireAt(now, path, TokenMessage) },
				"a message given back": func() {
					if l.AcquireAt(now, path, TokenMessage).OK {
						l.ReleaseAt(now, path, TokenMessage)
					}
				},
				"a connection": func() {
					if l.AcquireAt(now, path, TokenConnection).OK {
						l.ReleaseAt(now, path, TokenConnection)
					}
				},
				"a success":          func() { l.ObserveAt(now, path, success) },
				"a reply":            func() { l.ObserveAt(now, path, replied(SignalOther, 550, "5.1.1 no such user")) },
				"a signing domain":   func() { l.AcquireAt(now, signing, TokenMessage) },
				"a recipient domain": func() { l.AcquireAt(now, domain, TokenMessage) },
				"a look":             func() { l.LookAt(now, path) },
				"a domain":           func() { l.LimitsDomainAt(now, "mta1", "example.net") },
				"another domain":     func() { l.LimitsDomainAt(now, "mta1", "example.org") },
			} {
				run := func() { now = now.Add(30 * time.Millisecond); f() }
				for range 10 { // what is made once is made
					run()
				}
				syncAt(t, l, now)
				if n := testing.AllocsPerRun(300, run); n != 0 {
					t.Errorf("owner %q, learnt %t, %s: %v allocations", owner, learnt, what, n)
				}
			}
			if learnt != l.LimitsDomainAt(now, "mta1", "example.net") {
				t.Errorf("owner %q, learnt %t: the domain is not as it should be", owner, learnt)
			}
		}
	}
}

// A signing domain has no limits of its own, counts against no cap, and is stopped and slowed like a path.
func TestSigningDomain(t *testing.T) {
	l := with(t, Limits{MessageRate: Rate{1, time.Hour}}, Config{
		Process: Cap{MessageRate: Rate{1, time.Hour}}, Providers: map[string]Cap{"example.com": {MessageRate: Rate{1, time.Hour}}},
	})
	domain := SigningDomain("news.example", "example.com")
	now := start
	for range 100 {
		now = now.Add(time.Second)
		if d := l.AcquireAt(now, domain, TokenMessage); !d.OK {
			t.Fatalf("%+v", d)
		}
		l.ObserveAt(now, domain, Signal{Kind: SignalSuccess})
	}
	if d := l.AcquireAt(now, example, TokenMessage); !d.OK {
		t.Fatalf("the domain's messages were counted for the caps: %+v", d)
	}
	l.ObserveAt(now, domain, Signal{Kind: SignalRateLimited})
	if d := l.AcquireAt(now, domain, TokenMessage); d.OK || d.Reason != ReasonBackoff || d.Until.Sub(now) != 10*time.Minute {
		t.Fatalf("%+v", d)
	}
	if s := l.StateAt(now, example); s.Phase != PhaseOpen {
		t.Fatalf("the path is stopped for the domain: %v", s)
	}
	now = now.Add(10 * time.Minute)
	if d := l.AcquireAt(now, domain, TokenMessage); !d.OK {
		t.Fatalf("after the stop: %+v", d)
	}
	if d := l.AcquireAt(now, domain, TokenMessage); d.OK || d.Reason != ReasonMessageRate {
		t.Fatalf("at half of one a second: %+v", d)
	}
}
