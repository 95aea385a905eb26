package bounce_test

import (
	"fmt"
	"net/textproto"
	"strings"

	"github.com/reputemail/repute/bounce"
)

func ExampleParseReply() {
	r := bounce.ParseReply("host mx.example.com[192.0.2.1] said: 550-5.1.1 No such user 550 5.1.1 here (in reply to RCPT TO command)")
	fmt.Println(r.Code, r.Status, r.Stage, r.Host)
	for _, line := range r.Lines {
		fmt.Println(line)
	}
	// Output:
	// 550 5.1.1 rcpt mx.example.com
	// No such user
	// here (in reply to RCPT TO command)
}

func ExampleParseStatus() {
	s, ok := bounce.ParseStatus("4.7.1 (temporary failure)")
	fmt.Println(s, ok)
	// Output: 4.7.1 true
}

func ExampleFromError() {
	var err error = &textproto.Error{Code: 452, Msg: "4.2.2 mailbox full"}
	if r, ok := bounce.FromError(err, bounce.StageRcpt, "mx.example.com"); ok {
		fmt.Println(r)
	}
	// Output: 452 4.2.2 mailbox full
}

func ExampleClassifier_Classify() {
	c, err := bounce.NewClassifier(bounce.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, text := range []string{
		"550 5.1.1 <a@example.com>: user unknown",
		"550 5.7.1 192.0.2.1 is listed at zen.spamhaus.org",
		"450 4.7.1 Greylisted, please try again in 5 minutes",
		"550 Sender frequency limited",
	} {
		v := c.Classify("", bounce.ParseReply(text))
		fmt.Println(v.Category, v.Scope, v.Permanent, v.Suppress, v.RetryAfter)
	}
	// Output:
	// bad-mailbox recipient true true 0s
	// blocklisted route true false 0s
	// greylisted recipient false false 5m0s
	// rate-limited route false false 0s
}

func ExampleNewClassifier() {
	c, err := bounce.NewClassifier(bounce.Config{Rules: []bounce.Rule{{
		Name:      "house/partner-limit",
		Any:       []string{"{partner|member} ~ {limit|quota}"},
		Category:  bounce.RateLimited,
		Scope:     bounce.ScopeRoute,
		Temporary: true,
		Match:     []bounce.Sample{{Reply: "550 5.7.1 Partner has used up its quota"}},
		Avoid:     []bounce.Sample{{Reply: "552 5.2.2 mailbox over quota"}},
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Classify("", bounce.ParseReply("550 5.7.1 member above the daily limit")).Rule)
	// Output: house/partner-limit
}

// A rule that is tried first: the verdict does not change, and tells what the rule would have said.
func ExampleReadRules() {
	rules, err := bounce.ReadRules(strings.NewReader(`[{
		"name": "house/moved-out",
		"any": ["$no-mailbox"],
		"with": ["{graduated|alumni}"],
		"category": "bad-mailbox",
		"scope": "recipient",
		"suppress": true,
		"shadow": true,
		"match": ["550 No such user, graduated in 2020"],
		"avoid": ["550 Mail to alumni is deferred"]
	}]`))
	if err != nil {
		fmt.Println(err)
		return
	}
	c, err := bounce.NewClassifier(bounce.Config{Rules: rules})
	if err != nil {
		fmt.Println(err)
		return
	}
	v := c.Classify("", bounce.ParseReply("550 No such user: she graduated"))
	fmt.Println(v.Rule, v.Suppress)
	fmt.Println(v.Shadow.Rule, v.Shadow.Suppress)
	// Output:
	// mailbox/unknown-unsure false
	// house/moved-out true
}

func ExampleCategory_Remedy() {
	fmt.Println(bounce.Greylisted.Remedy())
	// Output: Try again in some minutes from the same address.
}

func ExampleStatus_Text() {
	s, _ := bounce.ParseStatus("5.7.25")
	fmt.Println(s.Text())
	// Output: reverse DNS lookup failed
}
