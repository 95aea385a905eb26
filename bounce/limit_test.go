package bounce

import (
	"strings"
	"testing"
)

// The limit that a reply is about, in the words of several receivers.
func TestLimit(t *testing.T) {
	c, err := NewClassifier(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for reply, want := range map[string]Limit{
		"421 4.7.0 Too many concurrent SMTP connections":                               LimitConnections,
		"451 4.7.652 Host [192.0.2.1] has opened too many connections. (S3115)":        LimitConnections,
		"421 mwinf5c01 ME Trop de connexions. Slow down. OFR005_104 [104]":             LimitConnections,
		"421 4.7.0 Too many messages on this connection":                               LimitMessages,
		"421 that was the max message per connection":                                  LimitMessages,
		"452 4.5.3 Error: too many recipients":                                         LimitRecipients,
		"452 4.5.3 too many recipients in this session":                                LimitRecipients,
		"550 5.5.3 too many recipients":                                                LimitRecipients,
		"552 5.5.3 Too many recipients":                                                LimitRecipients,
		"421 4.7.28 [192.0.2.1] Our system has detected an unusual rate of email":      "",
		"451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (S77719)":   "",
		"550 5.1.1 <a@example.com> user unknown":                                       "",
		"421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to volume": "",
	} {
		if v := c.Classify("", ParseReply(reply)); v.Limit != want || v.Limit != "" && v.Category != RateLimited {
			t.Errorf("%s: limit %q by %s, want %q", reply, v.Limit, v.Rule, want)
		}
	}
	for field, rule := range map[string]Rule{
		"Limit \"many\" is unknown": {Name: "a/b", Codes: []string{"421"}, Category: RateLimited, Scope: ScopeRoute, Limit: "many"},
		"Limit with Category":       {Name: "a/b", Codes: []string{"421"}, Category: ServerBusy, Scope: ScopeRoute, Limit: LimitMessages},
	} {
		if _, err := NewClassifier(Config{Rules: []Rule{rule}}); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%+v: %v", rule, err)
		}
	}
}
