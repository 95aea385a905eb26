package warmup

import "time"

// Receiver is a model of what a mailbox provider does with mail, for Simulate. Its methods are called from one goroutine, in the order of time.
type Receiver interface {
	// Receive is asked to take n messages over a route at a time, bad of them to recipients who do not exist.
	Receive(now time.Time, route string, n, bad int) Received
}

// Received is what became of messages. The sum is what was handed over.
type Received struct {
	Delivered, Bounced, Deferred, Blocked int
}

// Willing is a Receiver that takes everything but mail to recipients who do not exist.
type Willing struct{}

// Receive implements Receiver.
func (Willing) Receive(_ time.Time, _ string, n, bad int) Received {
	return Received{Delivered: n - bad, Bounced: bad}
}

// Wary is a Receiver that learns to trust a sender. A route that it does not know may deliver New messages a day and a quarter of that an
// hour; what comes above that is put off. After a day in which at least half of that was used, and used well, it may deliver Growth times as many.
// Who tries twice as much as it may, or has too many bad addresses, may deliver half as many from then on and is blocked for a while. It is a judgement of ours after
// what providers publish (FACTS.md section 3), coarse but of the right kind: it answers to jumps of volume and to bad addresses.
type Wary struct {
	// New is what an unknown route may deliver in a day. Defaults to 200.
	New int `json:"new,omitempty"`
	// Growth is by how much that grows after a good day. Defaults to 2.
	Growth float64 `json:"growth,omitempty"`
	// MaxBad is the share of bad addresses that it does not take offence at. Defaults to 0.1.
	MaxBad float64 `json:"max_bad,omitempty"`
	// BlockFor is how long a block lasts. Defaults to 4 hours.
	BlockFor time.Duration `json:"block_for,omitempty"`
	// Trusted are routes that it knows already and takes everything from.
	Trusted []string `json:"trusted,omitempty"`
	// SourFrom is when it begins to put off half of what every route but the trusted ones sends, whatever it allowed before. Zero: never.
	SourFrom time.Time `json:"sour_from,omitzero"`

	routes map[string]*standing
}

// standing is what a Wary receiver thinks of a route.
type standing struct {
	began, hour       time.Time // of its day, and of its hour
	allowance         float64
	used, usedHour    int
	tried, bad, turns int
	blocked           time.Time
	sour              float64 // what is to be put off since the receiver is sour
	trusted           bool
}

// Receive implements Receiver.
func (w *Wary) Receive(now time.Time, route string, n, bad int) Received {
	s := w.standing(now, route)
	if s.trusted {
		return Received{Delivered: n - bad, Bounced: bad}
	}
	if now.Before(s.blocked) {
		return Received{Blocked: n}
	}
	s.tried += n
	s.bad += bad
	if s.tried >= 20 && float64(s.bad) > w.maxBad()*float64(s.tried) {
		s.blocked = now.Add(w.blockFor())
	}
	good := n - bad
	taken := max(0, min(good, int(s.allowance)-s.used, int(s.allowance/4)+1-s.usedHour))
	if !w.SourFrom.IsZero() && !now.Before(w.SourFrom) {
		s.sour += float64(good) / 2
		off := min(good, int(s.sour))
		s.sour -= float64(off)
		taken = min(taken, good-off)
	}
	s.used += taken
	s.usedHour += taken
	s.turns += good - taken
	if float64(s.turns) > s.allowance && s.blocked.Before(now) { // it does not stop trying
		s.blocked = now.Add(w.blockFor())
	}
	return Received{Delivered: taken, Bounced: bad, Deferred: good - taken}
}

func (w *Wary) maxBad() float64 {
	if w.MaxBad == 0 {
		return 0.1
	}
	return w.MaxBad
}

func (w *Wary) blockFor() time.Duration {
	if w.BlockFor == 0 {
		return 4 * time.Hour
	}
	return w.BlockFor
}

// standing is what it thinks of a route now.
func (w *Wary) standing(now time.Time, route string) *standing {
	if w.routes == nil {
		w.routes = map[string]*standing{}
		for _, r := range w.Trusted {
			w.routes[r] = &standing{trusted: true}
		}
	}
	s := w.routes[route]
	if s == nil {
		s = &standing{began: now, hour: now, allowance: 200}
		if w.New > 0 {
			s.allowance = float64(w.New)
		}
		w.routes[route] = s
	}
	if hours := now.Sub(s.hour) / time.Hour; hours > 0 {
		s.hour, s.usedHour = s.hour.Add(hours*time.Hour), 0
	}
	if days := now.Sub(s.began) / (24 * time.Hour); days > 0 {
		growth := w.Growth
		if growth == 0 {
			growth = 2
		}
		switch {
		case float64(s.turns) > s.allowance, s.tried >= 20 && float64(s.bad) > w.maxBad()*float64(s.tried):
			s.allowance = max(s.allowance/2, min(s.allowance, 50))
		case float64(s.used) >= s.allowance/2:
			s.allowance = min(s.allowance*growth, MaxCap)
		}
		s.began = s.began.Add(days * 24 * time.Hour)
		s.used, s.tried, s.bad, s.turns = 0, 0, 0, 0
	}
	return s
}
