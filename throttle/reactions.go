package throttle

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed reactions.json
var reactionsJSON []byte

// ReactionsConfig says which reactions there are. The zero ReactionsConfig has the built-in ones.
type ReactionsConfig struct {
	// Reactions come before the built-in ones; one of the same name replaces it whole. Defaults to none.
	Reactions []Reaction
	// Without are the names of built-in reactions to leave out, as those that a broader one of Reactions replaces. Defaults to
	// none.
	Without []string
	// NoBuiltin leaves out all built-in reactions. Defaults to false.
	NoBuiltin bool
	// Table knows the providers that reactions may name. Defaults to the built-in providers.
	Table *Table
	// Names are further names of providers, as Config.Names. Defaults to none.
	Names []string
}

// Reactions finds the Reaction to a reply. It does not change and is safe for concurrent use. A nil one has no reactions.
type Reactions struct {
	// list has them in the order in which they are tried.
	list []reaction
}

// reaction is a Reaction that was compiled.
type reaction struct {
	Reaction
	codes          []codeRange
	any, all, none []phrase
}

// NewReactions makes Reactions. A reaction that can never match, or never does anything, is an error that names it and the
// field: an unknown provider, a phrase that no text in normal form has, a code of no failure, a reply in its Match that leads
// to another reaction, to none, or a reply in its Miss that leads to it.
//
// The first that matches decides. Those for certain providers are tried before those for any; among each of these the host's
// before the built-in ones, and then in their order. So a host's reaction for a provider that is broader than a built-in one
// of the same provider shadows that: this is an error too, until Without names the one in the shadow.
func NewReactions(config ReactionsConfig) (*Reactions, error) {
	if config.Table == nil {
		t, err := NewTable(TableConfig{})
		if err != nil {
			return nil, err
		}
		config.Table = t
	}
	own, err := config.merge()
	if err != nil {
		return nil, fmt.Errorf("throttle: %w", err)
	}
	r := &Reactions{}
	for _, general := range []bool{false, true} {
		for i := range own {
			if (len(own[i].Providers) == 0) != general {
				continue
			}
			c, err := config.compile(own[i])
			if err != nil {
				return nil, fmt.Errorf("throttle: reaction %q: %w", own[i].Name, err)
			}
			r.list = append(r.list, c)
		}
	}
	for i := range r.list {
		if err := r.prove(&r.list[i]); err != nil {
			return nil, fmt.Errorf("throttle: reaction %q: %w", r.list[i].Name, err)
		}
	}
	return r, nil
}

// merge joins the host's reactions and the built-in ones.
func (c *ReactionsConfig) merge() ([]Reaction, error) {
	builtin, err := ParseReactions(reactionsJSON)
	if err != nil {
		return nil, err
	}
	left := make(map[string]bool)
	for _, name := range c.Without {
		if !slices.ContainsFunc(builtin, func(r Reaction) bool { return r.Name == name }) {
			return nil, invalid("ReactionsConfig.Without", "there is no built-in reaction %q", name)
		}
		left[name] = true
	}
	var all []Reaction
	given := make(map[string]bool)
	for i, r := range c.Reactions {
		if given[r.Name] {
			return nil, invalid(fmt.Sprintf("ReactionsConfig.Reactions[%d].Name", i), "%q is there twice", r.Name)
		}
		given[r.Name] = true
		all = append(all, r.clone())
	}
	if c.NoBuiltin {
		return all, nil
	}
	for _, r := range builtin {
		if !given[r.Name] && !left[r.Name] {
			all = append(all, r)
		}
	}
	return all, nil
}

// compile checks a reaction by itself and makes it ready.
func (c *ReactionsConfig) compile(r Reaction) (reaction, error) {
	if r.Scope == "" {
		r.Scope = ScopePath
	}
	out := reaction{Reaction: r}
	if err := r.validate(); err != nil {
		return out, err
	}
	for i, name := range r.Providers {
		if err := c.checkProvider(name); err != nil {
			return out, err
		}
		if slices.Contains(r.Providers[:i], name) {
			return out, invalid("Providers", "%q is there twice", name)
		}
	}
	for _, code := range r.Codes {
		parsed, err := parseCode(code)
		if err != nil {
			return out, err
		}
		out.codes = append(out.codes, parsed)
	}
	for _, f := range []struct {
		name string
		from []string
		to   *[]phrase
	}{{"Any", r.Any, &out.any}, {"All", r.All, &out.all}, {"None", r.None, &out.none}} {
		for _, s := range f.from {
			p, err := parsePhrase(s)
			if err != nil {
				return out, invalid(f.name, "%q can never match: %v", s, err)
			}
			*f.to = append(*f.to, p)
		}
	}
	return out, nil
}

// checkProvider refuses a provider whose replies nobody will ever bring.
func (c *ReactionsConfig) checkProvider(name string) error {
	if slices.Contains(c.Names, name) {
		return nil
	}
	if strings.Contains(name, "+") {
		return invalid("Providers", "%q: name its parts, a mixed provider counts as each of them", name)
	}
	if !c.Table.possible(name) || strings.HasPrefix(name, domainMark) {
		return invalid("Providers", "%q can never match: it is neither a provider of the table nor a domain", name)
	}
	if known, by := c.Table.match(name); known != "" {
		return invalid("Providers", "%q can never match: by its entry %q the table calls it %q", name, by, known)
	}
	return nil
}

// prove holds a reaction against its own evidence.
func (r *Reactions) prove(c *reaction) error {
	if len(c.Match) == 0 {
		return invalid("Match", "is empty: there is no reply that it is for")
	}
	if len(c.Miss) == 0 {
		return invalid("Miss", "is empty: there is no reply that it is not for")
	}
	providers := c.Providers
	if len(providers) == 0 {
		providers = []string{""}
	}
	for _, provider := range providers {
		for _, sample := range c.Match {
			code, text, err := parseSample(sample)
			if err != nil {
				return invalid("Match", "%q %v", sample, err)
			}
			switch got := r.Match(provider, code, text); {
			case got == nil:
				return invalid("Match", "%q does not lead to it", sample)
			case got != &c.Reaction:
				return invalid("Match", "%q leads to %q, which shadows it", sample, got.Name)
			}
		}
		for _, sample := range c.Miss {
			code, text, err := parseSample(sample)
			if err != nil {
				return invalid("Miss", "%q %v", sample, err)
			}
			if r.Match(provider, code, text) == &c.Reaction {
				return invalid("Miss", "%q leads to it", sample)
			}
		}
	}
	return nil
}

// parseSample takes a reply apart. The enhanced code is left out, so that no phrase comes to rely on it.
func parseSample(s string) (code int, text string, err error) {
	digits, text, _ := strings.Cut(strings.TrimSpace(s), " ")
	c, err := parseCode(digits)
	if err != nil || c.least != c.most {
		return 0, "", fmt.Errorf("does not begin with the code of a failure")
	}
	first, rest, _ := strings.Cut(text, " ")
	if class, detail, ok := strings.Cut(first, "."); ok && len(class) == 1 && strings.Trim(first, "0123456789.") == "" &&
		strings.Count(detail, ".") == 1 {
		text = rest
	}
	return c.least, text, nil
}

// Match finds the reaction to a reply, or nil. The provider is the path's, as Table.Provider names it: a mixed one counts as
// each of its parts. The text is that of all lines of the reply; the enhanced code may be in it or not. What is no failure of
// a receiver, a code below 400 or none, leads to nothing.
//
// It is for what the receiver itself has said, about us: a caller does not bring replies that its own side made up, nor those
// that are about a recipient or a message. What is returned belongs to r and must not be changed; it is the same pointer each
// time. A reply of usual length takes about a microsecond and no memory.
func (r *Reactions) Match(provider string, code int, text string) *Reaction {
	if r == nil || code < 400 || code > 599 {
		return nil
	}
	var buffer [1 << 10]byte
	var normal []byte
	for i := range r.list {
		c := &r.list[i]
		if !c.takesProvider(provider) || !c.takesCode(code) {
			continue
		}
		if normal == nil {
			normal = appendReplyText(buffer[:0], text)
		}
		if c.takesText(normal) {
			return &c.Reaction
		}
	}
	return nil
}

// takesProvider reports whether the reaction is for a provider, or a part of a mixed one.
func (c *reaction) takesProvider(provider string) bool {
	if len(c.Providers) == 0 {
		return true
	}
	for rest, more := provider, true; more; {
		var part string
		part, rest, more = strings.Cut(rest, "+")
		if slices.Contains(c.Providers, part) {
			return true
		}
	}
	return false
}

func (c *reaction) takesCode(code int) bool {
	if len(c.codes) == 0 {
		return true
	}
	for _, r := range c.codes {
		if r.least <= code && code <= r.most {
			return true
		}
	}
	return false
}

// takesText reports whether a text in normal form has the phrases that it must have and no other.
func (c *reaction) takesText(text []byte) bool {
	return (len(c.any) == 0 || hasOne(c.any, text)) && hasAll(c.all, text) && !hasOne(c.none, text)
}

func hasOne(phrases []phrase, text []byte) bool {
	for i := range phrases {
		if phrases[i].in(text) {
			return true
		}
	}
	return false
}

func hasAll(phrases []phrase, text []byte) bool {
	for i := range phrases {
		if !phrases[i].in(text) {
			return false
		}
	}
	return true
}

// All are the reactions, in the order in which they are tried.
func (r *Reactions) All() []Reaction {
	if r == nil {
		return nil
	}
	all := make([]Reaction, len(r.list))
	for i := range r.list {
		all[i] = r.list[i].clone()
	}
	return all
}
