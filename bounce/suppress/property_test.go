package suppress

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/reputemail/repute/bounce"
)

// model is what a List comes to for one address, written down the long way: it keeps all that ever happened, and reads the rules off that.
type model struct {
	rules   map[Reason]Rule
	seen    map[string]bool
	strikes []Strike
	entries []Entry
}

func (m *model) holds(now time.Time, stream string) bool {
	return slices.ContainsFunc(m.entries, func(e Entry) bool {
		return (e.Stream == "" || e.Stream == stream) && (e.Until.IsZero() || e.Until.After(now))
	})
}

func (m *model) observe(now time.Time, i Incident) bool {
	var reason Reason
	v := i.Verdict
	about := v.Scope == bounce.ScopeRecipient
	switch {
	case i.Kind == Delivered:
		m.strikes = slices.DeleteFunc(m.strikes, func(s Strike) bool { return !s.Late })
		return false
	case i.Kind == Complained:
		reason = Complaint
	case i.Kind == Unsubscribed:
		reason = Unsubscribe
	case i.Kind == Unconfirmed:
		reason = NotConfirmed
	case about && v.Category == bounce.MailboxFull:
		reason = Full
	case about && i.Kind == Bounced && v.Permanent && (v.Category == bounce.BadMailbox || v.Category == bounce.BadDomain || v.Category == bounce.InactiveMailbox):
		if reason = Refused; v.Suppress {
			reason = Dead
		}
	default:
		return false
	}
	if i.ID != "" && m.seen[i.ID] {
		return false
	}
	m.seen[i.ID] = true
	rule := m.rules[reason]
	if rule.Strikes > 1 {
		var mine []Strike
		for _, s := range m.strikes {
			if s.Reason == reason && !s.At.Before(now.Add(-rule.Within)) {
				mine = append(mine, s)
			}
		}
		if n := len(mine); n > 0 && now.Before(mine[n-1].At.Add(rule.Apart)) {
			return false
		}
		mine = append(mine, Strike{Reason: reason, At: now, Late: i.Late})
		if len(mine) < rule.Strikes || now.Before(mine[0].At.Add(rule.Over)) {
			m.strikes = append(m.strikes, mine[len(mine)-1])
			return false
		}
		m.strikes = slices.DeleteFunc(m.strikes, func(s Strike) bool { return s.Reason == reason })
	}
	e := Entry{Reason: reason}
	if rule.OneStream {
		e.Stream = i.Stream
	}
	if rule.For > 0 {
		e.Until = now.Add(rule.For)
	}
	m.entries = append(m.entries, e)
	return true
}

var (
	somebody  = rapid.SampledFrom([]string{"anna@example.com", "bert@example.com", "Anna@EXAMPLE.com"})
	anyStream = rapid.SampledFrom([]string{"", "news", "receipts"})
	anyRule   = rapid.Custom(func(t *rapid.T) Rule {
		r := Rule{
			Strikes:   rapid.IntRange(1, 5).Draw(t, "strikes"),
			For:       time.Duration(rapid.SampledFrom([]int{0, 1, 30, 90}).Draw(t, "for")) * days,
			OneStream: rapid.Bool().Draw(t, "one stream"),
		}
		if r.Strikes > 1 {
			r.Apart = time.Duration(rapid.IntRange(0, 48).Draw(t, "apart")) * time.Hour
			r.Over = time.Duration(rapid.IntRange(0, 14).Draw(t, "over")) * days
			r.Within = max(r.Over, r.Apart*time.Duration(r.Strikes-1)) + time.Duration(rapid.IntRange(0, 30).Draw(t, "within"))*days
		}
		return r
	})
	anyPolicy = rapid.Custom(func(t *rapid.T) Policy {
		if rapid.Bool().Draw(t, "defaults") {
			return Policy{}
		}
		return Policy{Dead: anyRule.Draw(t, "dead"), Refused: anyRule.Draw(t, "refused"), Full: anyRule.Draw(t, "full"), Complaint: anyRule.Draw(t, "complaint")}
	})
	anyVerdict = rapid.Custom(func(t *rapid.T) bounce.Verdict {
		v := bounce.Verdict{Scope: bounce.ScopeRecipient, Rule: "some/rule", Permanent: rapid.Bool().Draw(t, "permanent"), Suppress: rapid.Bool().Draw(t, "suppress")}
		v.Category = rapid.SampledFrom([]bounce.Category{bounce.BadMailbox, bounce.BadDomain, bounce.InactiveMailbox, bounce.MailboxFull}).Draw(t, "category")
		if rapid.IntRange(0, 3).Draw(t, "other") == 0 {
			v.Category = rapid.SampledFrom(bounce.Categories()).Draw(t, "any category")
			v.Scope = rapid.SampledFrom(scopes).Draw(t, "scope")
		}
		return v
	})
	anyIncident = rapid.Custom(func(t *rapid.T) Incident {
		i := Incident{Address: somebody.Draw(t, "address"), Stream: anyStream.Draw(t, "stream"), Kind: Bounced, Late: rapid.Bool().Draw(t, "late")}
		if n := rapid.IntRange(0, 25).Draw(t, "ID"); n > 0 { // fewer than a record remembers
			i.ID = fmt.Sprint("incident", n)
		}
		i.Verdict = anyVerdict.Draw(t, "verdict")
		if rapid.IntRange(0, 2).Draw(t, "no bounce") == 0 {
			i.Kind = rapid.SampledFrom(kinds).Draw(t, "kind")
		}
		return i
	})
)

// TestLaw lets several Lists on one store see what happens to some addresses, and holds what they do against the model. Other people's faults are
// seen to do nothing, since the model leaves them out.
func TestLaw(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		policy := anyPolicy.Draw(rt, "policy")
		store := NewMemoryStore()
		cfg := Config{Store: store, Policy: policy}
		if rapid.Bool().Draw(rt, "hashed") {
			cfg.HashKey = []byte("a key of enough bytes")
		}
		lists := []*List{list(t, cfg), list(t, cfg), list(t, cfg)}
		models := map[string]*model{}
		modelOf := func(address string) *model {
			if address = lower(address); models[address] == nil {
				models[address] = &model{rules: lists[0].rules, seen: map[string]bool{}}
			}
			return models[address]
		}
		now := day0
		for n := range rapid.IntRange(1, 60).Draw(rt, "steps") {
			now = now.Add(time.Duration(rapid.SampledFrom([]int{0, 1, 23, 24, 25, 72, 24 * 29}).Draw(rt, "hours")) * time.Hour)
			if now.Sub(day0) > 300*days { // IDs are forgotten after a year
				return
			}
			l := rapid.SampledFrom(lists).Draw(rt, "list")
			switch step := rapid.IntRange(0, 19).Draw(rt, "step"); step {
			case 0:
				r := Release{Address: somebody.Draw(rt, "address"), Stream: anyStream.Draw(rt, "stream")}
				release(t, l, now, r)
				m := modelOf(r.Address)
				m.strikes = nil
				m.entries = slices.DeleteFunc(m.entries, func(e Entry) bool { return r.Stream == "" || e.Stream == r.Stream })
			case 1:
				e := Entry{Address: somebody.Draw(rt, "address"), Stream: anyStream.Draw(rt, "stream"), Reason: Manual, Until: now.Add(days)}
				add(t, l, now, e)
				m := modelOf(e.Address)
				m.entries = append(m.entries, e)
			case 2:
				if _, err := l.PruneAt(t.Context(), now); err != nil {
					rt.Fatal(err)
				}
			default:
				i := anyIncident.Draw(rt, "incident")
				e, on := observe(t, l, now, i)
				if want := modelOf(i.Address).observe(now, i); on != want {
					rt.Fatalf("step %d: %+v at %v: %+v, %v; want %v", n, i, now, e, on, want)
				}
				if on && i.Verdict.Scope != bounce.ScopeRecipient && (i.Kind == Bounced || i.Kind == Deferred) {
					rt.Fatalf("step %d: suppressed for %+v", n, i.Verdict)
				}
			}
			for _, address := range []string{"anna@example.com", "bert@example.com"} {
				for _, stream := range []string{"", "news", "receipts"} {
					got := suppressed(t, rapid.SampledFrom(lists).Draw(rt, "asked"), now, stream, address)
					if want := modelOf(address).holds(now, stream); got != want {
						rt.Fatalf("step %d: %s for %q is suppressed: %v, want %v", n, address, stream, got, want)
					}
				}
			}
		}
	})
}

// lower is the one form of somebody.
func lower(s string) string {
	if s == "Anna@EXAMPLE.com" {
		return "anna@example.com"
	}
	return s
}

// TestAtTheSameTime: of the same incidents, told by many at once, each counts once.
func TestAtTheSameTime(t *testing.T) {
	const strikes, tellers = 6, 8
	store := NewMemoryStore()
	cfg := Config{Store: store, Policy: Policy{Refused: Rule{Strikes: strikes, Within: days}}}
	var mu sync.Mutex
	led := 0
	var wg sync.WaitGroup
	for teller := range tellers {
		l := list(t, cfg)
		wg.Go(func() {
			for n := range strikes {
				i := Incident{ID: fmt.Sprint((n + teller) % strikes), Address: anna, Kind: Bounced, Verdict: doubtVerdict}
				_, on, err := l.ObserveAt(t.Context(), day0, i)
				if err != nil {
					t.Error(err)
				}
				if on {
					mu.Lock()
					led++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if s := lookup(t, list(t, cfg), anna); led != 1 || len(s.Entries) != 1 || len(s.Strikes) != 0 {
		t.Errorf("%d led to a suppression: %+v", led, s)
	}
}
