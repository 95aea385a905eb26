package bounce

import (
	"bufio"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// checkVerdict holds a verdict against what holds for all of them.
func checkVerdict(t interface {
	Helper()
	Fatalf(string, ...any)
}, r Reply, v Verdict) {
	t.Helper()
	switch {
	case v.Rule == "" || v.Category == "" || v.Scope == "",
		v.Suppress && (!v.Permanent || v.Scope != ScopeRecipient || !suppressible(v.Category)),
		v.Permanent && 400 <= r.Code && r.Code < 500,
		v.Scope == ScopeRecipient && beforeRcpt(r.Stage),
		v.Suppress && r.Local && v.Category != BadDomain,
		v.Suppress && (r.Code == 552 || r.Code == 521 || r.Code/10 == 50 || r.Code/10 == 53),
		v.RetryAfter != 0 && (v.Permanent || v.RetryAfter < 0 || v.RetryAfter > maxRetryAfter):
		t.Fatalf("%q (%s): %+v", r.String(), r.Stage, v)
	}
}

// lines calls f with each line of a file of test data that is not empty or a comment.
func lines(t *testing.T, file string, f func(line string)) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	for s := bufio.NewScanner(strings.NewReader(string(b))); s.Scan(); {
		if line := s.Text(); line != "" && line[0] != '#' {
			f(line)
		}
	}
}

func TestReplies(t *testing.T) {
	c := newBuiltin(t)
	lines(t, "replies.txt", func(line string) {
		want, text, _ := strings.Cut(line, ": ")
		r := ParseReply(text)
		v := c.Classify("", r)
		checkVerdict(t, r, v)
		if string(v.Category) != want {
			t.Errorf("%q: got %s by %s, want %s", text, v.Category, v.Rule, want)
		}
	})
}

// A good address that is suppressed is the worst mistake: none of these may, whoever says it.
func TestInnocent(t *testing.T) {
	c := newBuiltin(t)
	lines(t, "innocent.txt", func(line string) {
		for _, provider := range []string{"", "google", "office365", "orange", "qq"} {
			r := ParseReply(line)
			for _, stage := range []Stage{"", StageRcpt, StageData, StageDot} {
				r.Stage = stage
				if v := c.Classify(provider, r); v.Suppress {
					t.Errorf("%q (%s, %s) suppresses as %s by %s", line, provider, stage, v.Category, v.Rule)
				}
			}
		}
	})
}

// The other mistake: each of these suppresses, but not when it answers for all recipients of a message at once and neither its
// enhanced code nor a token says that it is about an address.
func TestDead(t *testing.T) {
	c := newBuiltin(t)
	token := make(map[string]bool)
	for _, r := range c.Rules() {
		token[r.Name] = r.tier() == TierToken
	}
	lines(t, "dead.txt", func(line string) {
		r := ParseReply(line)
		for _, stage := range []Stage{"", StageRcpt, StageDot} {
			r.Stage = stage
			v := c.Classify("", r)
			checkVerdict(t, r, v)
			if want := stage != StageDot || r.Status.Subject == 1 || token[v.Rule]; v.Suppress != want {
				t.Errorf("%q (%s): suppress %v as %s by %s", line, stage, v.Suppress, v.Category, v.Rule)
			}
		}
		for _, code := range []int{450, 501, 521, 535, 552} {
			r.Stage, r.Code = "", code
			if v := c.Classify("", r); v.Suppress {
				t.Errorf("%q with code %d suppresses by %s", line, code, v.Rule)
			}
		}
	})
}

// What our own side finds out before or instead of a reply.
func TestLocalReplies(t *testing.T) {
	c := newBuiltin(t)
	for _, tt := range []struct {
		name  string
		reply Reply
		want  Verdict
	}{
		{"NXDOMAIN", Reply{Code: 550, Status: Status{5, 1, 2}, Stage: StageResolve, Lines: []string{"domain not found"}}, Verdict{Category: BadDomain, Scope: ScopeRecipient, Permanent: true, Suppress: true}},
		{"null MX", Reply{Code: 556, Status: Status{5, 1, 10}, Stage: StageResolve, Lines: []string{"domain takes no mail"}}, Verdict{Category: BadDomain, Scope: ScopeRecipient, Permanent: true, Suppress: true}},
		{"no usable host", Reply{Status: Status{5, 4, 4}, Stage: StageResolve, Lines: []string{"no usable mail host"}}, Verdict{Category: BadDomain, Scope: ScopeRecipient, Permanent: true}},
		{"SERVFAIL", Reply{Code: 451, Status: Status{4, 4, 3}, Stage: StageResolve, Lines: []string{"DNS lookup failed"}}, Verdict{Category: Network, Scope: ScopeProvider}},
		{"connect", Reply{Status: Status{4, 4, 1}, Stage: StageConnect, Lines: []string{"connection refused"}}, Verdict{Category: Network, Scope: ScopeProvider}},
		{"drop", Reply{Status: Status{4, 4, 2}, Stage: StageDot, Lines: []string{"connection reset by peer"}}, Verdict{Category: Network, Scope: ScopeProvider}},
		{"handshake", Reply{Status: Status{4, 7, 5}, Stage: StageTLS, Lines: []string{"remote error: tls: handshake failure"}}, Verdict{Category: TLSRequired, Scope: ScopeProvider}},
		{"no STARTTLS", Reply{Status: Status{4, 7, 4}, Stage: StageTLS, Lines: []string{"the host lacks STARTTLS"}}, Verdict{Category: TLSRequired, Scope: ScopeProvider}},
		{"no SMTPUTF8", Reply{Status: Status{5, 6, 7}, Stage: StageMail, Lines: []string{"the host lacks SMTPUTF8"}}, Verdict{Category: ProtocolError, Scope: ScopeMessage, Permanent: true}},
		{"no 8BITMIME", Reply{Status: Status{5, 6, 3}, Stage: StageMail, Lines: []string{"the host lacks 8BITMIME"}}, Verdict{Category: ProtocolError, Scope: ScopeMessage, Permanent: true}},
		{"SIZE", Reply{Status: Status{5, 3, 4}, Stage: StageMail, Lines: []string{"larger than the announced SIZE"}}, Verdict{Category: MessageTooLarge, Scope: ScopeMessage, Permanent: true}},
	} {
		tt.reply.Local = true
		got := c.Classify("", tt.reply)
		checkVerdict(t, tt.reply, got)
		if !strings.HasPrefix(got.Rule, "local/") || got.Remedy == "" {
			t.Errorf("%s: rule %s, remedy %q", tt.name, got.Rule, got.Remedy)
		}
		got.Rule, got.Remedy = "", ""
		if got != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

// The same text means different things by provider and stage.
func TestStageAndProvider(t *testing.T) {
	c := newBuiltin(t)
	for _, tt := range []struct {
		provider string
		stage    Stage
		text     string
		want     Category
		suppress bool
	}{
		{"docomo", StageRcpt, "550 Unknown user a@docomo.ne.jp", BadMailbox, true},
		{"docomo", StageDot, "550 Unknown user a@docomo.ne.jp", Policy, false},
		{"au", StageRcpt, "550 <a@ezweb.ne.jp>: User unknown", BadMailbox, true},
		{"docomo", "", "550 Unknown user a@docomo.ne.jp", BadMailbox, false},
		{"au", "", "550 <a@ezweb.ne.jp>: User unknown", BadMailbox, true},
		{"au", StageRcpt, "550 : User unknown", Policy, false},
		{"au", "", "550 : User unknown", Policy, false},
		{"au", StageDot, "550 : User unknown", Policy, false},
		{"", StageRcpt, "550 : User unknown", BadMailbox, false},
		{"au", StageRcpt, "554 5.7.1 <a..b@ezweb.ne.jp>: Relay access denied", BadMailbox, false},
		{"softbank", StageMail, "553 example.com does not exist", SenderRejected, false},
		{"softbank", StageRcpt, "553 example.com does not exist", SenderRejected, false},
		{"softbank", "", "553 example.com does not exist", SenderRejected, false},
		{"softbank", StageRcpt, "550 Unknown user a@softbank.ne.jp", BadMailbox, true},
		{"", StageRcpt, "550 User unknown", BadMailbox, true},
		{"", StageMail, "550 User unknown", SenderRejected, false},
		{"", StageConnect, "550 User unknown", ReputationBlock, false},
		{"", StageConnect, "554 No", ReputationBlock, false},
		{"", StageConnect, "421 No", ServerBusy, false},
		{"", StageAuth, "535 5.7.8 No", AuthFailure, false},
		{"google", StageDot, "550 5.7.29 No", TLSRequired, false},
		{"", StageDot, "550 5.7.29 No", AuthFailure, false},
		{"google", StageDot, "550 5.7.27 No", AuthFailure, false},
		{"", StageDot, "550 5.7.27 No", SenderRejected, false},
		{"outlook", StageRcpt, "550 5.5.0 Action not taken: mailbox unavailable", BadMailbox, true},
		{"", "", "550", Other, false},
		{"", "", "450", Other, false},
		{"", "", "551", BadMailbox, false},
		{"", "", "550 5.1.1", BadMailbox, true},
		{"", StageData, "554 5.5.1 Error: no valid recipients", ProtocolError, false},
		{"", StageData, "550 no such user here", BadMailbox, false},
		{"", StageDot, "550 5.2.1 mailbox disabled", InactiveMailbox, false},
		{"", StageDot, "550 5.1.1 no such user here", BadMailbox, true},
		{"office365", StageConnect, "550 5.7.511 Access denied, banned sender[192.0.2.7]", ReputationBlock, false},
		{"qq", StageMail, "550 发信频率过高，请稍后再试", RateLimited, false},
	} {
		r := ParseReply(tt.text)
		r.Stage = tt.stage
		v := c.Classify(tt.provider, r)
		checkVerdict(t, r, v)
		if v.Category != tt.want || v.Suppress != tt.suppress {
			t.Errorf("%s %s %q: got %s, suppress %v by %s, want %s, %v", tt.provider, tt.stage, tt.text, v.Category, v.Suppress, v.Rule, tt.want, tt.suppress)
		}
	}
}

// The basic code decides on permanence, unless the rule knows that the refusal passes.
func TestPermanence(t *testing.T) {
	c := newBuiltin(t)
	for _, tt := range []struct {
		text      string
		permanent bool
		retry     time.Duration
	}{
		{"550 5.1.1 user unknown", true, 0},
		{"450 4.1.1 user unknown", false, 0},
		{"450 5.1.1 user unknown", false, 0},
		{"550 4.4.7 user unknown", true, 0},
		{"5.1.1 user unknown", true, 0},
		{"4.1.1 user unknown", false, 0},
		{"user unknown", true, 0},
		{"something else", false, 0},
		{"552 5.2.2 mailbox full", true, 0},
		{"452 4.2.2 mailbox full", false, 0},
		{"550 Sender frequency limited", false, 0},
		{"554 HL:ITC", false, 0},
		{"550 5.2.1 This user is receiving mail too quickly", false, 0},
		{"550 192.0.2.1 sends too much. IB504", false, 0},
		{"451 4.7.1 Greylisted, try again in 5 minutes", false, 5 * time.Minute},
		{"550 Greylisted, retry in 300 seconds", false, 5 * time.Minute},
		{"550 发信频率过高，请稍后再试", false, 0},
		{"550 5.1.1 Service unavailable, mailbox server is down for maintenance", false, 0},
		{"550 5.1.1 Recipient verify failed: callout timed out", false, 0},
		{"550 5.1.2 temporary DNS failure", false, 0},
		{"550 5.7.1 Mailbox temporarily blocked because of too much incoming mail", false, 0},
	} {
		v := c.Classify("", ParseReply(tt.text))
		if v.Permanent != tt.permanent || v.RetryAfter != tt.retry {
			t.Errorf("%q: permanent %v, retry after %v by %s", tt.text, v.Permanent, v.RetryAfter, v.Rule)
		}
	}
}

func TestAccepted(t *testing.T) {
	if v := newBuiltin(t).Classify("", ParseReply("250 2.0.0 OK")); v != (Verdict{Category: Other, Scope: ScopeMessage, Rule: "default/accepted"}) {
		t.Errorf("got %+v", v)
	}
}

// Whatever comes, wherever it comes, a verdict keeps its promises.
func TestVerdictsKeepTheirPromises(t *testing.T) {
	c := newBuiltin(t)
	var texts []string
	for _, r := range c.Rules() {
		for _, s := range r.Match {
			texts = append(texts, s.Reply)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		r := ParseReply(rapid.SampledFrom(texts).Draw(t, "text"))
		r.Stage = rapid.SampledFrom(append(stages(), "")).Draw(t, "stage")
		r.Local = rapid.Bool().Draw(t, "local")
		if rapid.Bool().Draw(t, "other code") {
			r.Code = rapid.SampledFrom([]int{0, 421, 450, 451, 452, 500, 521, 535, 550, 552, 554}).Draw(t, "code")
		}
		checkVerdict(t, r, c.Classify(rapid.SampledFrom([]string{"", "google", "docomo"}).Draw(t, "provider"), r))
	})
}

func TestClassifyConcurrently(t *testing.T) {
	c := newBuiltin(t)
	texts := []string{"550 5.1.1 user unknown", "421 4.7.0 [TSS04] deferred", "552 5.2.2 mailbox full", "450 no"}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			r := ParseReply(texts[i])
			want := c.Classify("", r)
			for range 200 {
				if got := c.Classify("", r); got != want {
					t.Errorf("%q: got %+v, want %+v", texts[i], got, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkClassify(b *testing.B) {
	c := newBuiltin(b)
	for name, text := range map[string]string{
		"short": "550 5.1.1 <a@example.com>: Recipient address rejected: User unknown in virtual mailbox table",
		"long": "550-5.7.26 Your mail is refused since nothing authenticates the sender.\r\n" +
			"550-5.7.26 All senders must authenticate with either SPF or DKIM.\r\n550-5.7.26 Results: DKIM = did not pass\r\n" +
			"550-5.7.26 SPF [example.com], ip: [192.0.2.1] = fail.\r\n550 5.7.26 See https://support.example.net/help - gsmtp",
		"unknown": "550 Nothing that anybody knows about",
	} {
		b.Run(name, func(b *testing.B) {
			r := ParseReply(text)
			b.ReportAllocs()
			for b.Loop() {
				c.Classify("google", r)
			}
		})
	}
}

func BenchmarkNewClassifier(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		newBuiltin(b)
	}
}
