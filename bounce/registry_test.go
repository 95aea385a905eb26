package bounce

import (
	"fmt"
	"testing"
)

func TestStatusText(t *testing.T) {
	for _, tt := range []struct {
		status Status
		want   string
	}{
		{Status{5, 1, 1}, "no such mailbox"},
		{Status{4, 2, 2}, "mailbox is full"},
		{Status{2, 0, 0}, "undefined"},
		{Status{5, 1, 351}, ""},
		{Status{5, 8, 1}, ""},
		{Status{}, ""},
	} {
		if got := tt.status.Text(); got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.status, got, tt.want)
		}
	}
}

// Each registered code alone, permanent, is of the category that the registry lists, and promises nothing that is not so.
func TestRegistry(t *testing.T) {
	c := newBuiltin(t)
	last := -1
	for _, e := range registry {
		if order := e.subject*1000 + e.detail; order <= last {
			t.Errorf("x.%d.%d is out of order", e.subject, e.detail)
		} else {
			last = order
		}
		if e.text == "" {
			t.Errorf("x.%d.%d has no text", e.subject, e.detail)
		}
		r := ParseReply(fmt.Sprintf("550 5.%d.%d", e.subject, e.detail))
		v := c.Classify("", r)
		checkVerdict(t, r, v)
		if v.Category != e.category {
			t.Errorf("%v (%s): got %s by %s, want %s", r.Status, e.text, v.Category, v.Rule, e.category)
		}
		if !v.Permanent && v.Category != RateLimited && v.Category != Network && v.Category != ServerBusy && v.Category != Expired {
			t.Errorf("%v (%s): is temporary by %s", r.Status, e.text, v.Rule)
		}
		if temporary := c.Classify("", ParseReply(fmt.Sprintf("450 4.%d.%d", e.subject, e.detail))); temporary.Permanent || temporary.Suppress {
			t.Errorf("4.%d.%d: got %+v", e.subject, e.detail, temporary)
		}
	}
}

// Google's own meanings of three codes.
func TestRegistryOfGoogle(t *testing.T) {
	c := newBuiltin(t)
	for text, want := range map[string][2]Category{
		"550 5.7.27": {SenderRejected, AuthFailure},
		"550 5.7.29": {AuthFailure, TLSRequired},
		"550 5.7.30": {TLSRequired, AuthFailure},
		"550 5.7.25": {NoReverseDNS, NoReverseDNS},
	} {
		for i, provider := range []string{"", "google"} {
			if v := c.Classify(provider, ParseReply(text)); v.Category != want[i] {
				t.Errorf("%q by %q: got %s by %s, want %s", text, provider, v.Category, v.Rule, want[i])
			}
		}
	}
}
