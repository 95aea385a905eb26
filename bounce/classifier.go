package bounce

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Config configures a Classifier. The zero Config is the built-in rules.
type Config struct {
	// Rules are the host's own rules, strongest first. Within a tier they win over all built-in ones; one with the name of a
	// built-in rule takes that rule's place in the set, and the built-in one is gone. Defaults to none.
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

// noSlot stands for no slot at all.
const noSlot = ^uint16(0)

// compiledRule is a Rule's conditions, ready to be tested.
type compiledRule struct {
	need     []uint16 // slots that must be marked
	none     uint16   // slot that must not be, or noSlot
	codes    []codeRange
	statuses []statusPattern
	only     map[string]bool // the words that the text may have, or nil
	late     bool            // cannot match before RCPT
}

// codeRange is the basic codes from lo to hi.
type codeRange struct{ lo, hi int }

// statusPattern is an enhanced code with -1 for any; the zero one is for none.
type statusPattern struct{ class, subject, detail int }

// scratch is what one call of Classify needs.
type scratch struct {
	text  []byte
	found []uint64
	seen  []uint16
}

// NewClassifier compiles the rules, of which it keeps a copy. It fails when one of cfg.Rules is malformed, has a name twice, does not win one of its
// own Match replies or wins one of its Avoid replies; the error names the rule and the reason.
func NewClassifier(cfg Config) (*Classifier, error) {
	builtin, err := builtinRules()
	if err != nil {
		return nil, fmt.Errorf("bounce: %w", err)
	}
	own := make(map[string]bool, len(cfg.Rules))
	for _, r := range cfg.Rules {
		if own[r.Name] {
			return nil, fmt.Errorf("bounce: Config.Rules: %s: the name is there twice", r.Name)
		}
		own[r.Name] = true
	}
	c := &Classifier{rules: cloneRules(cfg.Rules)}
	for _, r := range builtin {
		if !own[r.Name] {
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

// compile builds the automaton and the conditions from c.rules.
func (c *Classifier) compile() error {
	p := phraseSet{slots: make(map[string]uint16), lefts: make(map[string]uint16)}
	for i := range c.rules {
		r := &c.rules[i]
		if err := r.validate(); err != nil {
			return fmt.Errorf("rule %s: %w", r.Name, err)
		}
		k, err := compileRule(r, p.slot)
		if err != nil {
			return fmt.Errorf("rule %s: %w", r.Name, err)
		}
		c.compiled = append(c.compiled, k)
		first := noSlot
		if len(k.need) > 0 {
			first = k.need[0]
		}
		c.first = append(c.first, first)
	}
	c.auto = newAutomaton(p.patterns)
	c.scratch.New = func() any {
		return &scratch{text: make([]byte, 0, 1024), found: make([]uint64, (len(p.slots)+63)/64), seen: make([]uint16, len(p.lefts))}
	}
	return nil
}

// phraseSet collects the phrases of all rules as patterns.
type phraseSet struct {
	patterns []pattern
	slots    map[string]uint16 // by list of phrases: its slot
	lefts    map[string]uint16 // by left side of a "~": its number
}

// slot returns the slot that is marked when one of the phrases occurs.
func (p *phraseSet) slot(phrases []string) (uint16, error) {
	key := strings.Join(phrases, "\n")
	if n, ok := p.slots[key]; ok {
		return n, nil
	}
	n := uint16(len(p.slots))
	if n == noSlot {
		return 0, errors.New("too many phrases")
	}
	p.slots[key] = n
	for _, phrase := range phrases {
		left, right, gap, err := expandSides(phrase)
		if err != nil {
			return 0, err
		}
		if right == nil {
			for _, t := range left {
				p.patterns = append(p.patterns, newPattern(t, effect{kind: effectMark, slot: n}))
			}
			continue
		}
		side := strings.Join(left, "|")
		l, ok := p.lefts[side]
		if !ok {
			l = uint16(len(p.lefts))
			p.lefts[side] = l
			for _, t := range left {
				p.patterns = append(p.patterns, newPattern(t, effect{kind: effectLeft, left: l}))
			}
		}
		for _, t := range right {
			p.patterns = append(p.patterns, newPattern(t, effect{kind: effectRight, left: l, slot: n, gap: uint8(gap)}))
		}
	}
	return n, nil
}

// compileRule compiles one rule; slot returns the slot of a list of phrases.
func compileRule(r *Rule, slot func([]string) (uint16, error)) (compiledRule, error) {
	k := compiledRule{none: noSlot, late: r.Scope == ScopeRecipient}
	lists := [][]string{r.Any, r.With}
	for _, p := range r.All {
		lists = append(lists, []string{p})
	}
	for _, l := range lists {
		if len(l) == 0 {
			continue
		}
		n, err := slot(l)
		if err != nil {
			return k, err
		}
		k.need = append(k.need, n)
	}
	if len(r.None) > 0 {
		n, err := slot(r.None)
		if err != nil {
			return k, err
		}
		k.none = n
	}
	if len(r.Only) > 0 {
		k.only = make(map[string]bool, len(r.Only))
		for _, w := range r.Only {
			if strings.Contains(w, " ") || !inNormalForm(w, strings.TrimSpace(string(appendNormal(nil, []string{w})))) {
				return k, fmt.Errorf("field Only: %q is no single word in normal form", w)
			}
			k.only[w] = true
		}
	}
	for _, s := range r.Codes {
		if s == "none" {
			k.codes = append(k.codes, codeRange{0, 0})
			continue
		}
		lo, err1 := strconv.Atoi(strings.ReplaceAll(s, "x", "0"))
		hi, err2 := strconv.Atoi(strings.ReplaceAll(s, "x", "9"))
		if len(s) != 3 || err1 != nil || err2 != nil || strings.Contains(strings.TrimRight(s, "x"), "x") || lo < 200 || hi > 599 {
			return k, fmt.Errorf("field Codes: %q is no code like 550, 55x or 5xx", s)
		}
		k.codes = append(k.codes, codeRange{lo, hi})
	}
	for _, s := range r.Statuses {
		if s == "none" {
			k.statuses = append(k.statuses, statusPattern{})
			continue
		}
		p, ok := parsePattern(s)
		if !ok {
			return k, fmt.Errorf("field Statuses: %q is no enhanced code like 5.1.1, x.1.1 or 5.7.x", s)
		}
		k.statuses = append(k.statuses, p)
	}
	return k, nil
}

// parsePattern reads an enhanced code with x for any.
func parsePattern(s string) (statusPattern, bool) {
	parts := strings.Split(s, ".")
	if len(parts) != 3 {
		return statusPattern{}, false
	}
	var n [3]int
	for i, p := range parts {
		n[i] = -1
		if p != "x" {
			v, err := strconv.Atoi(p)
			if err != nil || v < 0 || v > 999 {
				return statusPattern{}, false
			}
			n[i] = v
		}
	}
	return statusPattern{n[0], n[1], n[2]}, true
}

func (p statusPattern) matches(s Status) bool {
	return s.IsZero() == (p == statusPattern{}) && (p.class < 0 || p.class == s.Class) && (p.subject < 0 || p.subject == s.Subject) && (p.detail < 0 || p.detail == s.Detail)
}

// Classify says what a reply means. Provider is the name of the receiver's provider, or empty when it is not known: rules
// that are limited to providers then do not match. It never fails, and costs no allocation.
func (c *Classifier) Classify(provider string, r Reply) Verdict {
	if r.OK() {
		return Verdict{Category: Other, Scope: ScopeMessage, Rule: "default/accepted"}
	}
	s := c.scratch.Get().(*scratch)
	s.text = appendNormal(s.text[:0], r.Lines)
	clear(s.found)
	clear(s.seen)
	c.auto.scan(s.text, s.found, s.seen)
	v := Verdict{Category: Other, Scope: ScopeMessage, Permanent: permanent(r)}
	if rule := c.winner(provider, &r, s); rule != nil {
		v.Category, v.Scope, v.Rule, v.Remedy = rule.Category, rule.Scope, rule.Name, rule.Remedy
		if rule.Suppress && r.Code == 0 && r.Status.IsZero() {
			v.Permanent = true // a bounce that quotes no code, about an address that is gone
		}
		v.Permanent = v.Permanent && !rule.Temporary
		v.Suppress = v.Permanent && rule.Suppress && rule.maySuppress(&r)
	} else if v.Permanent {
		v.Rule = "default/permanent"
	} else {
		v.Rule = "default/temporary"
	}
	if !v.Permanent {
		v.RetryAfter = retryAfter(s.text)
	}
	c.scratch.Put(s)
	return v
}

// permanent reports whether the code of a reply says not to try again: the basic code decides (RFC 5321 section 4.2.1),
// without one the class of the enhanced code. Without both it is not known, and so temporary.
func permanent(r Reply) bool {
	if r.Code != 0 {
		return r.Code >= 500
	}
	return r.Status.Class == 5
}

// winner is the first rule whose conditions all hold for a reply that was scanned into s, or nil.
func (c *Classifier) winner(provider string, r *Reply, s *scratch) *Rule {
	marked := func(slot uint16) bool { return s.found[slot/64]&(1<<(slot%64)) != 0 }
next:
	for i, first := range c.first {
		if first != noSlot && !marked(first) {
			continue
		}
		k, rule := &c.compiled[i], &c.rules[i]
		for _, slot := range k.need {
			if !marked(slot) {
				continue next
			}
		}
		switch {
		case k.none != noSlot && marked(k.none),
			rule.Local && !r.Local,
			k.late && beforeRcpt(r.Stage),
			len(rule.Stages) > 0 && !slices.Contains(rule.Stages, r.Stage),
			len(rule.Providers) > 0 && !slices.Contains(rule.Providers, provider),
			len(k.codes) > 0 && !slices.ContainsFunc(k.codes, func(g codeRange) bool { return g.lo <= r.Code && r.Code <= g.hi }),
			len(k.statuses) > 0 && !slices.ContainsFunc(k.statuses, func(p statusPattern) bool { return p.matches(r.Status) }),
			k.only != nil && !consistsOf(s.text, k.only):
			continue
		}
		return rule
	}
	return nil
}

// consistsOf reports whether all words of a text in normal form are among words.
func consistsOf(text []byte, words map[string]bool) bool {
	for w := range bytes.FieldsSeq(text) {
		if !words[string(w)] {
			return false
		}
	}
	return true
}

// Verify holds every rule against its own evidence: it must win each of its Match replies and none of its Avoid replies.
// The error joins one error for each failure and names the rule that won instead. For tests of a set of rules.
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
		return c.Classify(s.Provider, reply), reply
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
