package docstest

import (
	"testing"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/throttle"
)

// TestReactionsVerdicts: what a reaction answers is by its verdict a matter between the receiver and us. One whose replies
// are taken for a recipient's or a message's fault would never be asked for; one of another category would slow a path down
// for nothing. It stands here since neither package may import the other.
func TestReactionsVerdicts(t *testing.T) {
	reactions, err := throttle.NewReactions(throttle.ReactionsConfig{})
	if err != nil {
		t.Fatal(err)
	}
	classifier, err := bounce.NewClassifier(bounce.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range reactions.All() {
		providers := r.Providers
		if len(providers) == 0 {
			providers = []string{"hoster.example"}
		}
		for _, provider := range providers {
			for _, sample := range r.Match {
				reply := bounce.ParseReply(sample)
				v := classifier.Classify(provider, reply)
				switch v.Category {
				case bounce.RateLimited, bounce.ReputationBlock, bounce.Blocklisted:
				default:
					t.Errorf("%s: %s: %q is %s by %s", r.Name, provider, sample, v.Category, v.Rule)
				}
				switch v.Scope {
				case bounce.ScopeRoute, bounce.ScopeProvider, bounce.ScopeDomain:
				default:
					t.Errorf("%s: %s: %q has the scope %s by %s", r.Name, provider, sample, v.Scope, v.Rule)
				}
				// The reply as the sender knows it leads to the same reaction.
				if got := reactions.Match(provider, reply.Code, reply.Text()); got == nil || got.Name != r.Name {
					t.Errorf("%s: %s: the parsed reply %q leads to %+v", r.Name, provider, reply, got)
				}
			}
		}
	}
}
