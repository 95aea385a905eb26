package bounce

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Tier is the kind of evidence that a rule rests on. Rules of a stronger tier win over all rules of weaker ones.
type Tier string

// The tiers, strongest first.
const (
	// TierToken: a provider's own code or wording, which means one thing only ("[TSS04]", "OFR_417"); and our own Local replies.
	TierToken Tier = "token"
	// TierList: the name or address of a blocklist.
	TierList Tier = "list"
	// TierText: text that states a reason. The default for a rule with phrases.
	TierText Tier = "text"
	// TierStatus: an enhanced code that states a reason. The default for a rule with Statuses and no phrases.
	TierStatus Tier = "status"
	// TierHint: text or enhanced codes that suggest a reason and no more ("spam", "blocked", "5.7.1").
	TierHint Tier = "hint"
	// TierCode: the basic code, or the stage. The default for a rule without phrases and Statuses.
	TierCode Tier = "code"
)

// tiers lists the tiers in order of precedence.
func tiers() []Tier {
	return []Tier{TierToken, TierList, TierText, TierStatus, TierHint, TierCode}
}

// Rule says what a reply means when all of its conditions hold. A condition that is left empty always holds, but a rule
// has at least one of Any, All, Codes, Statuses and Stages.
//
// Phrases (in Any, With, All and None) are held against the text in normal form: lower case; words of letters and digits,
// apart by one space; apostrophes dropped ("doesnt"); Latin letters without their accents; an e-mail address or the
// content of angle brackets that could be one is "@", an IPv4 address is "#", and a text that begins with a colon, as if an
// address had been left out, begins with ":". So "550 5.2.1 <a@example.com>: Mailbox-quota
// exceeded!" has the text "@ mailbox quota exceeded". A phrase matches whole words. In a phrase, "*" at the start or the
// end drops that: "greylist*". Braces stand for alternatives: "{user|mailbox|} unknown" is three phrases. Between two parts,
// "~" stands for up to five words of any kind, "~0" to "~4" for fewer: "{user|mailbox} ~ {unknown|not found}".
type Rule struct {
	// Name identifies the rule, as group/what: "google/rate-ip". Unique. "default/" is reserved.
	Name string `json:"name"`
	// Tier is the strength of the evidence. Defaults to TierText with phrases, else TierStatus with Statuses, else TierCode.
	Tier Tier `json:"tier,omitempty"`
	// Providers limits the rule to replies of these providers. Defaults to any.
	Providers []string `json:"providers,omitempty"`
	// Stages limits the rule to replies of these stages; a reply whose stage is not known does not match. Defaults to any.
	Stages []Stage `json:"stages,omitempty"`
	// Local limits the rule to replies that our own side made. Defaults to false: both kinds.
	Local bool `json:"local,omitempty"`
	// Codes limits the rule to these basic codes: "550", "55x", "5xx", and "none" for a reply without one. Defaults to any,
	// also none.
	Codes []string `json:"codes,omitempty"`
	// Statuses limits the rule to these enhanced codes: "5.1.1", "x.1.1", "5.7.x", and "none" for a reply without one.
	// Defaults to any, also none.
	Statuses []string `json:"statuses,omitempty"`
	// Any lists phrases of which at least one must occur.
	Any []string `json:"any,omitempty"`
	// With lists further phrases of which at least one must occur.
	With []string `json:"with,omitempty"`
	// All lists phrases that must all occur.
	All []string `json:"all,omitempty"`
	// None lists phrases of which none may occur.
	None []string `json:"none,omitempty"`
	// Only lists words: the text must have no others. URLs, names of hosts, numbers and identifiers (eight or more letters and
	// digits in a mix) do not count. A text without words has none. Defaults to any text.
	Only []string `json:"only,omitempty"`

	// Category and Scope are those of the verdict. Required.
	Category Category `json:"category"`
	Scope    Scope    `json:"scope"`
	// Limit is that of the verdict. Only with RateLimited. Defaults to none.
	Limit Limit `json:"limit,omitempty"`
	// Temporary makes the verdict temporary under any code: a 5yz that is a throttle passes. Defaults to false: permanent by
	// the code. There is no way to make a 4yz permanent.
	Temporary bool `json:"temporary,omitempty"`
	// Suppress makes a permanent verdict suppress the address. Only with ScopeRecipient and one of BadMailbox, BadDomain and
	// InactiveMailbox, and not with Temporary. Whatever the rule, a code 50x, 521, 53x or 552 does not suppress; and at
	// StageData and StageDot, where a reply is to all recipients at once, only a rule of TierToken or an enhanced code x.1.x
	// does. Defaults to false.
	Suppress bool `json:"suppress,omitempty"`
	// Shadow lets the rule be tried without acting upon it: it decides nothing, and where it would have, the verdict tells what it
	// would have been (Verdict.Shadow). A rule with the name of a built-in one leaves that in force. Defaults to false.
	Shadow bool `json:"shadow,omitempty"`
	// Remedy is one sentence that tells the operator what to do. Defaults to that of the category.
	Remedy string `json:"remedy,omitempty"`
	// Source says where the knowledge comes from: an RFC section, a postmaster page. Defaults to none.
	Source string `json:"source,omitempty"`
	// Match holds replies that this rule must win, Avoid replies that it must not win. Required of built-in rules; those
	// of a host's rule are tried by NewClassifier.
	Match []Sample `json:"match,omitempty"`
	Avoid []Sample `json:"avoid,omitempty"`
}

// Sample is a reply that serves as evidence for a rule. In JSON it may be just the text of the reply.
type Sample struct {
	// Reply is the text, as ParseReply takes it.
	Reply string `json:"reply"`
	// Provider and Stage are where it came from. In a rule's Match they default to the rule's first provider and stage.
	Provider string `json:"provider,omitempty"`
	Stage    Stage  `json:"stage,omitempty"`
}

// UnmarshalJSON reads a string as the text of the reply, or an object. It refuses unknown fields.
func (s *Sample) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &s.Reply)
	}
	type plain Sample // without this method
	return strictJSON(b, (*plain)(s))
}

// phraseList is one of a rule's lists of phrases or words.
type phraseList struct {
	field   string
	phrases *[]string
}

// lists are the rule's lists of phrases, and Only.
func (r *Rule) lists() []phraseList {
	return []phraseList{{"Any", &r.Any}, {"With", &r.With}, {"All", &r.All}, {"None", &r.None}, {"Only", &r.Only}}
}

// tier is Tier, or its default.
func (r *Rule) tier() Tier {
	switch {
	case r.Tier != "":
		return r.Tier
	case len(r.Any)+len(r.With)+len(r.All) > 0:
		return TierText
	case len(r.Statuses) > 0:
		return TierStatus
	}
	return TierCode
}

// validate reports the first thing that is wrong with the rule itself. Phrases are checked where they are compiled.
func (r *Rule) validate() error {
	group, what, ok := strings.Cut(r.Name, "/")
	switch {
	case !ok || group == "" || what == "":
		return fmt.Errorf("field Name %q is not of the form group/what", r.Name)
	case group == "default":
		return fmt.Errorf("field Name %q: the group default is reserved", r.Name)
	case r.Tier != "" && !slices.Contains(tiers(), r.Tier):
		return fmt.Errorf("field Tier %q is unknown", r.Tier)
	case !slices.Contains(Categories(), r.Category):
		return fmt.Errorf("field Category %q is unknown", r.Category)
	case !slices.Contains(scopes(), r.Scope):
		return fmt.Errorf("field Scope %q is unknown", r.Scope)
	case r.Limit != "" && !slices.Contains(Limits(), r.Limit):
		return fmt.Errorf("field Limit %q is unknown", r.Limit)
	case r.Limit != "" && r.Category != RateLimited:
		return fmt.Errorf("field Limit with Category %q: only %q has one", r.Category, RateLimited)
	case len(r.Any)+len(r.All)+len(r.Codes)+len(r.Statuses)+len(r.Stages) == 0:
		return errors.New("fields Any, All, Codes, Statuses and Stages are all empty: the rule would match everything")
	}
	for _, s := range r.Stages {
		if !slices.Contains(stages(), s) {
			return fmt.Errorf("field Stages: %q is unknown", s)
		}
	}
	if r.Suppress {
		switch {
		case r.Scope != ScopeRecipient:
			return fmt.Errorf("field Suppress with Scope %q: only a recipient can be suppressed", r.Scope)
		case !suppressible(r.Category):
			return fmt.Errorf("field Suppress with Category %q: it does not say that the address is dead", r.Category)
		case r.Temporary:
			return errors.New("field Suppress with Temporary: a refusal that passes suppresses nobody")
		}
	}
	return nil
}

// maySuppress reports whether a reply is one by which a rule that suppresses may do so.
func (r *Rule) maySuppress(reply *Reply) bool {
	switch c := reply.Code; {
	case reply.Local && r.Category != BadDomain:
		return false
	case c/10 == 50 || c/10 == 53 || c == 521 || c == 552:
		// Commands, authentication, the host as a whole (RFC 7504 section 4) and storage: never a mailbox that is not there.
		return false
	case reply.Stage == StageData || reply.Stage == StageDot:
		// An answer to all recipients at once.
		return r.tier() == TierToken || reply.Status.Subject == 1
	}
	return true
}

// clone is a copy that shares nothing with r.
func (r Rule) clone() Rule {
	for _, list := range []*[]string{&r.Providers, &r.Codes, &r.Statuses, &r.Any, &r.With, &r.All, &r.None, &r.Only} {
		*list = slices.Clone(*list)
	}
	r.Stages, r.Match, r.Avoid = slices.Clone(r.Stages), slices.Clone(r.Match), slices.Clone(r.Avoid)
	return r
}

// cloneRules is a copy that shares nothing with rules.
func cloneRules(rules []Rule) []Rule {
	out := make([]Rule, len(rules))
	for i, r := range rules {
		out[i] = r.clone()
	}
	return out
}

// suppressible reports whether a verdict of this category may suppress an address.
func suppressible(c Category) bool {
	return c == BadMailbox || c == BadDomain || c == InactiveMailbox
}

// scopes lists every Scope.
func scopes() []Scope {
	return []Scope{ScopeRecipient, ScopeMessage, ScopeRoute, ScopeDomain, ScopeProvider}
}

// stages lists every Stage, in the order of a conversation.
func stages() []Stage {
	return []Stage{StageResolve, StageConnect, StageEHLO, StageTLS, StageAuth, StageMail, StageRcpt, StageData, StageDot}
}

// beforeRcpt reports whether no recipient had been named yet at this stage of a conversation.
func beforeRcpt(s Stage) bool {
	switch s {
	case StageConnect, StageEHLO, StageTLS, StageAuth, StageMail:
		return true
	}
	return false
}
