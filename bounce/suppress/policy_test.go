package suppress

import (
	"strings"
	"testing"
	"time"

	"github.com/reputemail/repute/bounce"
)

// kinds lists every Kind.
var kinds = []Kind{Bounced, Deferred, Delivered, Complained, Unsubscribed, Unconfirmed}

var scopes = []bounce.Scope{bounce.ScopeRecipient, bounce.ScopeMessage, bounce.ScopeRoute, bounce.ScopeDomain, bounce.ScopeProvider, "", "unheard-of"}

func TestReasonOf(t *testing.T) {
	dead := map[bounce.Category]bool{bounce.BadMailbox: true, bounce.BadDomain: true, bounce.InactiveMailbox: true}
	never, counted := 0, map[Reason]int{}
	for _, kind := range kinds {
		for _, category := range append(bounce.Categories(), "", "unheard-of") {
			for _, scope := range scopes {
				for _, permanent := range []bool{false, true} {
					for _, suppress := range []bool{false, true} {
						v := bounce.Verdict{Category: category, Scope: scope, Permanent: permanent, Suppress: suppress}
						var want Reason
						switch {
						case kind == Complained:
							want = Complaint
						case kind == Unsubscribed:
							want = Unsubscribe
						case kind == Unconfirmed:
							want = NotConfirmed
						case kind == Delivered || scope != bounce.ScopeRecipient:
						case category == bounce.MailboxFull:
							want = Full
						case kind == Deferred || !permanent || !dead[category]:
						case suppress:
							want = Dead
						default:
							want = Refused
						}
						got, ok := reasonOf(&Incident{Kind: kind, Verdict: v})
						if got != want || ok != (want != "") {
							t.Errorf("%s %+v: %q, %v; want %q", kind, v, got, ok, want)
						}
						if counted[got]++; got == "" {
							never++
						}
					}
				}
			}
		}
	}
	for _, reason := range []Reason{Dead, Refused, Full, Complaint, Unsubscribe, NotConfirmed} {
		if counted[reason] == 0 {
			t.Errorf("nothing comes to %s", reason)
		}
	}
	if never == 0 {
		t.Error("all counts")
	}
}

// TestOthersFaultsSuppressNobody: mail that is refused for our address, content, rate or authentication says nothing of the recipient.
func TestOthersFaultsSuppressNobody(t *testing.T) {
	l := list(t, Config{})
	now := day0
	for _, category := range bounce.Categories() {
		for _, scope := range scopes[1:] {
			for i := range 40 {
				now = now.Add(25 * time.Hour)
				v := bounce.Verdict{Category: category, Scope: scope, Permanent: i%2 == 0, Suppress: i%4 == 0, Rule: "some/rule"}
				for _, kind := range []Kind{Bounced, Deferred} {
					if e, on, err := l.ObserveAt(t.Context(), now, Incident{Stream: "news", Address: anna, Kind: kind, Verdict: v}); on || err != nil {
						t.Fatalf("%s %s: %v, %v", kind, scope, e, err)
					}
				}
			}
		}
	}
	if s := lookup(t, l, anna); len(s.Entries)+len(s.Strikes) > 0 {
		t.Errorf("left %+v", s)
	}
}

func TestPolicyIsChecked(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		policy Policy
		err    string
	}{
		{Policy{}, ""},
		{Policy{Dead: Rule{Never: true}}, ""},
		{Policy{Dead: Rule{Strikes: 1, For: day}}, ""},
		{Policy{Full: Rule{Strikes: 20, Within: 19 * day, Apart: day}}, ""},
		{Policy{Full: Rule{Strikes: 2, Within: day, Over: day}}, ""},
		{Policy{Dead: Rule{For: day}}, "Policy.Dead.Strikes: 0 is not in 1 to 20"},
		{Policy{Refused: Rule{Strikes: 21, Within: day}}, "Policy.Refused.Strikes: 21"},
		{Policy{Full: Rule{Strikes: -1}}, "Policy.Full.Strikes: -1"},
		{Policy{Complaint: Rule{Strikes: 1, For: -1}}, "Policy.Complaint.For: -1ns is negative"},
		{Policy{Unsubscribe: Rule{Strikes: 2, Within: -1}}, "Policy.Unsubscribe.Within: -1ns is negative"},
		{Policy{Unsubscribe: Rule{Strikes: 2, Apart: -1}}, "Policy.Unsubscribe.Apart: -1ns is negative"},
		{Policy{Unsubscribe: Rule{Strikes: 2, Over: -1}}, "Policy.Unsubscribe.Over: -1ns is negative"},
		{Policy{NotConfirmed: Rule{Strikes: 1, Within: day}}, "Policy.NotConfirmed.Strikes: is 1"},
		// Rules that could never be met.
		{Policy{Full: Rule{Strikes: 20, Within: 19*day - 1, Apart: day}}, "Policy.Full.Within: "},
		{Policy{Full: Rule{Strikes: 2, Within: day - 1, Over: day}}, "Policy.Full.Within: "},
		{Policy{Full: Rule{Strikes: 20, Within: 31 * 365 * day, Apart: 31 * 365 * day}}, "Policy.Full.Within: "},
	} {
		_, err := New(Config{Policy: c.policy})
		switch {
		case c.err == "" && err != nil:
			t.Errorf("%+v: %v", c.policy, err)
		case c.err != "" && (err == nil || !strings.HasPrefix(err.Error(), "suppress: Config."+c.err)):
			t.Errorf("%+v: error %v, want %s", c.policy, err, c.err)
		}
	}
}

// TestDefaults holds the policy's documentation against what it does: how many incidents, a day apart, it takes, and what comes of it.
func TestDefaults(t *testing.T) {
	for _, c := range []struct {
		name      string
		kind      Kind
		verdict   bounce.Verdict
		takes     int
		reason    Reason
		lasts     time.Duration
		elsewhere bool
	}{
		{"dead", Bounced, deadVerdict, 1, Dead, 0, true},
		{"in doubt", Bounced, doubtVerdict, 3, Refused, 180 * days, true},
		{"full for good", Bounced, fullVerdict, 15, Full, 90 * days, true},
		{"full", Deferred, bounce.Verdict{Category: bounce.MailboxFull, Scope: bounce.ScopeRecipient, Rule: "mailbox/full"}, 15, Full, 90 * days, true},
		{"complaint", Complained, bounce.Verdict{}, 1, Complaint, 0, false},
		{"unsubscription", Unsubscribed, bounce.Verdict{}, 1, Unsubscribe, 0, false},
		{"no confirmation", Unconfirmed, bounce.Verdict{}, 1, NotConfirmed, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := list(t, Config{})
			now, n := day0, 0
			var e Entry
			for on := false; !on && n < 30; n++ {
				now = day0.Add(time.Duration(n) * days)
				e, on = observe(t, l, now, Incident{Stream: "news", Address: anna, Kind: c.kind, Verdict: c.verdict})
			}
			if n != c.takes || e.Reason != c.reason || !e.Since.Equal(now) {
				t.Fatalf("after %d: %+v", n, e)
			}
			if c.lasts == 0 && !e.Until.IsZero() || c.lasts != 0 && !e.Until.Equal(now.Add(c.lasts)) {
				t.Errorf("until %v", e.Until)
			}
			if got := suppressed(t, l, now, "news", anna); !got {
				t.Error("not suppressed for the stream")
			}
			if got := suppressed(t, l, now, "receipts", anna); got != c.elsewhere {
				t.Errorf("for another stream: %v", got)
			}
			if c.lasts > 0 {
				if !suppressed(t, l, e.Until.Add(-1), "news", anna) || suppressed(t, l, e.Until, "news", anna) {
					t.Error("does not end when it should")
				}
			}
		})
	}
}

func TestReasonsAreTheConstants(t *testing.T) {
	seen := map[Reason]bool{}
	for _, r := range Reasons() {
		if r == "" || seen[r] {
			t.Errorf("%q", r)
		}
		seen[r] = true
	}
	if len(seen) != 7 {
		t.Errorf("%d reasons", len(seen))
	}
}
