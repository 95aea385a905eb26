package bounce

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

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
		return &scratch{text: make([]byte, 0, 1024), prose: make([]byte, 0, 1024), found: make([]uint64, (len(p.slots)+63)/64), seen: make([]uint16, len(p.lefts))}
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
	type need struct {
		field   string
		phrases []string
	}
	needs := []need{{"Any", r.Any}, {"With", r.With}}
	for _, p := range r.All {
		needs = append(needs, need{"All", []string{p}})
	}
	for _, n := range needs {
		if len(n.phrases) == 0 {
			continue
		}
		s, err := slot(n.phrases)
		if err != nil {
			return k, fmt.Errorf("field %s: %w", n.field, err)
		}
		k.need = append(k.need, s)
	}
	if len(r.None) > 0 {
		s, err := slot(r.None)
		if err != nil {
			return k, fmt.Errorf("field None: %w", err)
		}
		k.none = s
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
