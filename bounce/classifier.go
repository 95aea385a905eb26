package bounce

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Config configures a Classifier. The zero Config is the built-in rules.
type Config struct {
	// Rules are the host's own rules, strongest first; ReadRules reads them from a file. Within a tier they win over all
	// built-in ones; one with the name of a built-in rule takes that rule's place in the set, and the built-in one is gone,
	// unless the host's has Shadow. Defaults to none.
	Rules []Rule
}

// Classifier turns replies into verdicts by rules (see the package comment). It is safe for concurrent use and does not change.
type Classifier struct {
	rules    []Rule // in order of precedence
	compiled []compiledRule
	first    []uint16 // by rule: the slot without which it cannot match, or noSlot
	auto     *automaton
	scratch  sync.Pool
}

// scratch is what one call of Classify needs.
type scratch struct {
	text  []byte   // in normal form
	prose []byte   // the same without URLs and names of hosts; made when a rule asks for it
	found []uint64 // a bit for each slot
	seen  []uint16 // by left side of a "~": the word in which it was seen last
}

// NewClassifier compiles the rules, of which it keeps a copy. It fails when one of cfg.Rules is malformed, has a name twice, does not win one of its
// own Match replies or wins one of its Avoid replies; the error names the rule and the reason.
func NewClassifier(cfg Config) (*Classifier, error) {
	builtin, err := builtinRules()
	if err != nil {
		return nil, fmt.Errorf("bounce: %w", err)
	}
	own, replaced := make(map[string]bool, len(cfg.Rules)), make(map[string]bool)
	for _, r := range cfg.Rules {
		if own[r.Name] {
			return nil, fmt.Errorf("bounce: Config.Rules: %s: the name is there twice", r.Name)
		}
		own[r.Name], replaced[r.Name] = true, !r.Shadow
	}
	c := &Classifier{rules: cloneRules(cfg.Rules)}
	for _, r := range builtin {
		if !replaced[r.Name] {
			c.rules = append(c.rules, r)
		}
	}
	order := tiers()
	slices.SortStableFunc(c.rules, func(a, b Rule) int {
		return slices.Index(order, a.tier()) - slices.Index(order, b.tier())
	})
	if err := c.compile(); err != nil {
		return nil, fmt.Errorf("bounce: %w", err)
	}
	for i := range c.rules {
		if r := &c.rules[i]; own[r.Name] {
			if err := c.verify(r); err != nil {
				return nil, fmt.Errorf("bounce: Config.Rules: %w", err)
			}
		}
	}
	return c, nil
}

// Rules returns a copy of the rules, in order of precedence. It shares nothing with the Classifier.
func (c *Classifier) Rules() []Rule { return cloneRules(c.rules) }

// Classify says what a reply means. Provider is the name of the receiver's provider, or empty when it is not known: rules
// that are limited to providers then do not match. It never fails, and costs no allocation, but for a verdict with a Shadow.
func (c *Classifier) Classify(provider string, r Reply) Verdict {
	return c.classify(provider, &r, nil)
}

// classify is Classify with the rule trial, if not nil, as one that decides: in the place of those of its name.
func (c *Classifier) classify(provider string, r *Reply, trial *Rule) Verdict {
	if r.OK() {
		return Verdict{Category: Other, Scope: ScopeMessage, Rule: "default/accepted"}
	}
	s := c.scratch.Get().(*scratch)
	v := c.decide(provider, r, s, trial)
	c.scratch.Put(s)
	return v
}

// decide is classify of a reply that is not positive, with s to work in.
func (c *Classifier) decide(provider string, r *Reply, s *scratch, trial *Rule) Verdict {
	s.scan(c.auto, r)
	rule, shadow := c.winner(provider, r, s, trial)
	v := verdict(rule, r, s)
	if shadow != nil {
		other := verdict(shadow, r, s)
		v.Shadow = &other
	}
	return v
}

// scan looks for all phrases in the text of r.
func (s *scratch) scan(a *automaton, r *Reply) {
	s.text, s.prose = trimGivingUp(appendNormal(s.text[:0], r.Lines), r), s.prose[:0]
	clear(s.found)
	clear(s.seen)
	a.scan(s.text, s.found, s.seen)
}

// trimGivingUp takes off what qmail writes behind a reply that it quotes: "Giving up on 192.0.2.1." It says nothing.
func trimGivingUp(text []byte, r *Reply) []byte {
	if r.Code == 0 {
		return text
	}
	return bytes.TrimSuffix(text, []byte("giving up on # "))
}

// verdict is what a rule says about a reply that was scanned into s; nil is a rule that knows nothing.
func verdict(rule *Rule, r *Reply, s *scratch) Verdict {
	v := Verdict{Category: Other, Scope: ScopeMessage, Permanent: permanent(r)}
	switch {
	case rule != nil:
		v.Category, v.Scope, v.Rule, v.Remedy = rule.Category, rule.Scope, rule.Name, rule.Remedy
		v.Limit = rule.Limit
		if rule.Suppress && r.Code == 0 && r.Status.IsZero() {
			v.Permanent = true // a bounce that quotes no code, about an address that is gone
		}
		v.Permanent = v.Permanent && !rule.Temporary
		v.Suppress = v.Permanent && rule.Suppress && rule.maySuppress(r)
	case v.Permanent:
		v.Rule = "default/permanent"
	default:
		v.Rule = "default/temporary"
	}
	if v.Remedy == "" {
		v.Remedy = v.Category.Remedy()
	}
	if !v.Permanent {
		v.RetryAfter = retryAfter(s.text)
	}
	return v
}

// permanent reports whether the code of a reply says not to try again: the basic code decides (RFC 5321 section 4.2.1),
// without one the class of the enhanced code. Without both it is not known, and so temporary.
func permanent(r *Reply) bool {
	if r.Code != 0 {
		return r.Code >= 500
	}
	return r.Status.Class == 5
}

// winner is the first rule whose conditions all hold for a reply that was scanned into s, or nil; and the first before it that has
// Shadow, or nil. Trial is as in classify.
func (c *Classifier) winner(provider string, r *Reply, s *scratch, trial *Rule) (rule, shadow *Rule) {
	for i, first := range c.first {
		if first != noSlot && !s.marked(first) || !c.holds(i, provider, r, s) {
			continue
		}
		rule := &c.rules[i]
		switch {
		case trial != nil && rule != trial && (rule.Shadow || rule.Name == trial.Name):
		case trial == nil && rule.Shadow:
			if shadow == nil {
				shadow = rule
			}
		default:
			return rule, shadow
		}
	}
	return nil, shadow
}

// holds reports whether all conditions of rule i hold for a reply that was scanned into s.
func (c *Classifier) holds(i int, provider string, r *Reply, s *scratch) bool {
	k, rule := &c.compiled[i], &c.rules[i]
	for _, slot := range k.need {
		if !s.marked(slot) {
			return false
		}
	}
	switch {
	case k.none != noSlot && s.marked(k.none),
		rule.Local && !r.Local,
		k.late && beforeRcpt(r.Stage),
		len(rule.Stages) > 0 && !slices.Contains(rule.Stages, r.Stage),
		len(rule.Providers) > 0 && !slices.Contains(rule.Providers, provider),
		len(k.codes) > 0 && !slices.ContainsFunc(k.codes, func(g codeRange) bool { return g.lo <= r.Code && r.Code <= g.hi }),
		len(k.statuses) > 0 && !slices.ContainsFunc(k.statuses, func(p statusPattern) bool { return p.matches(r.Status) }),
		k.only != nil && !consistsOf(s.proseOf(r), k.only):
		return false
	}
	return true
}

// marked reports whether a phrase of this slot was found.
func (s *scratch) marked(slot uint16) bool { return s.found[slot/64]&(1<<(slot%64)) != 0 }

// proseOf is the text of r in normal form, without URLs and the names of hosts.
func (s *scratch) proseOf(r *Reply) []byte {
	if len(s.prose) == 0 {
		s.prose = trimGivingUp(appendWords(s.prose, r.Lines, true), r)
	}
	return s.prose
}

// consistsOf reports whether all words of a text in normal form are among words. Numbers and identifiers do not count.
func consistsOf(text []byte, words map[string]bool) bool {
	for w := range bytes.FieldsSeq(text) {
		if !words[string(w)] && !isOpaque(w) {
			return false
		}
	}
	return true
}

// isOpaque reports whether a word says nothing: a number, or an identifier, which is of eight or more letters and digits with two or more digits
// and no five letters in a row.
func isOpaque(w []byte) bool {
	digits, row := 0, 0
	for _, c := range w {
		switch {
		case isDigit(c):
			digits++
			row = 0
		case 'a' <= c && c <= 'z':
			if row++; row > 4 {
				return false
			}
		default:
			return false
		}
	}
	return digits == len(w) || len(w) >= 8 && digits >= 2
}

// Verify holds every rule against its own evidence: it must win each of its Match replies and none of its Avoid replies. One with
// Shadow is tried as if it were to decide. The error joins one error for each failure and names the rule that won instead. For tests of a set of rules.
func (c *Classifier) Verify() error {
	var errs []error
	for i := range c.rules {
		if err := c.verify(&c.rules[i]); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// verify is Verify for one rule.
func (c *Classifier) verify(r *Rule) error {
	classify := func(s Sample) (Verdict, Reply) {
		reply := ParseReply(s.Reply)
		if s.Stage != "" {
			reply.Stage = s.Stage
		}
		reply.Local = r.Local
		return c.classify(s.Provider, &reply, r), reply
	}
	var errs []error
	for _, s := range r.Match {
		if s.Provider == "" && len(r.Providers) > 0 {
			s.Provider = r.Providers[0]
		}
		if s.Stage == "" && len(r.Stages) > 0 {
			s.Stage = r.Stages[0]
		}
		if v, reply := classify(s); v.Rule != r.Name {
			errs = append(errs, fmt.Errorf("rule %s: %s wins %q", r.Name, v.Rule, reply.String()))
		}
	}
	for _, s := range r.Avoid {
		if v, reply := classify(s); v.Rule == r.Name {
			errs = append(errs, fmt.Errorf("rule %s: wins %q, which it must avoid", r.Name, reply.String()))
		}
	}
	return errors.Join(errs...)
}
