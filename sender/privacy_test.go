package sender

import (
	"strings"
	"testing"
	"time"

	"github.com/reputemail/repute/bounce"
)

func TestRepliesAreRedacted(t *testing.T) {
	r := newRedactor([]byte("key"), false)
	me := r.recipient("", "Secret.Name@example.com").String()
	other := r.recipient("", "boss@example.net").String()
	hash, _, _ := strings.Cut(me, "@")
	for _, c := range []struct{ in, want string }{
		{"<Secret.Name@example.com>: Recipient address rejected", "<" + me + ">: Recipient address rejected"},
		{"<secret.name@EXAMPLE.com>... no", "<" + r.recipient("", "secret.name@EXAMPLE.com").String() + ">... no"},
		{"Secret.Name: unknown user", hash + ": unknown user"},
		{"'Secret.Name@example.com'.", "'" + me + "'."},
		{"forwarded to boss@example.net, who is full", "forwarded to " + other + ", who is full"},
		{"rcpt=Secret.Name@example.com", "rcpt=" + me},
		{"mailbox=secret.name", "mailbox=" + hash},
		{"secret.name/x.example", hash + "/x.example"},
		{"No such user here", "No such user here"},
		{"", ""},
	} {
		got := r.reply(bounce.Reply{Lines: []string{c.in}}, "Secret.Name@example.com")
		if got.Lines[0] != c.want {
			t.Errorf("%q became %q, want %q", c.in, got.Lines[0], c.want)
		}
	}
	plain := newRedactor(nil, true)
	if got := plain.reply(bounce.Reply{Lines: []string{"<a@example.com>"}}, "a@example.com"); got.Lines[0] != "<a@example.com>" {
		t.Errorf("plain became %q", got.Lines[0])
	}
	a, b := newRedactor(nil, false), newRedactor(nil, false)
	if a.recipient("", "x@example.com").String() == b.recipient("", "x@example.com").String() {
		t.Error("two keys give one hash")
	}
}

func TestRetryPolicy(t *testing.T) {
	var p RetryPolicy
	if err := p.withDefaults(); err != nil {
		t.Fatal(err)
	}
	v := func(c bounce.Category) bounce.Verdict { return bounce.Verdict{Category: c} }
	for _, c := range []struct {
		attempts int
		v        bounce.Verdict
		u        float64
		want     time.Duration
	}{
		{1, v(bounce.Greylisted), 0, 6 * time.Minute},
		{4, v(bounce.Greylisted), 0.999999, 10 * time.Minute},
		{5, v(bounce.Greylisted), 0.5, 4 * time.Hour},
		{1, v(bounce.Network), 0.5, 5 * time.Minute},
		{2, v(bounce.RateLimited), 0.5, 10 * time.Minute},
		{5, v(bounce.ServerBusy), 0.5, 80 * time.Minute},
		{1, v(bounce.Other), 0.5, 30 * time.Minute},
		{3, v(bounce.MailboxFull), 0.5, 2 * time.Hour},
		{4, v(bounce.MailboxFull), 0.5, 4 * time.Hour},
		{1000, v(bounce.MailboxFull), 0.5, 4 * time.Hour},
		{1, v(bounce.Network), 0, 5*time.Minute - 37500*time.Millisecond},
		{1, bounce.Verdict{Category: bounce.Network, RetryAfter: time.Hour}, 0.5, time.Hour},
		{1, bounce.Verdict{Category: bounce.Greylisted, RetryAfter: time.Hour}, 0, time.Hour},
		{1, bounce.Verdict{Category: bounce.Network, RetryAfter: 1000 * time.Hour}, 0.5, 24 * time.Hour},
	} {
		if got := p.after(c.attempts, c.v, c.u); got.Round(time.Second) != c.want.Round(time.Second) {
			t.Errorf("after %d attempts, %s: %v, want %v", c.attempts, c.v.Category, got, c.want)
		}
	}
}
