package bounce

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxRules bounds what ReadRules reads, in bytes.
const maxRules = 4 << 20

// ReadRules reads rules for Config.Rules from a file: a JSON array of objects, as the files of the built-in rules are, with
// the names of Rule's fields in snake case. In any, with, all, none and only, a "$name" stands for a list of phrases that the built-in
// rules share: "$no-mailbox", the ways to say that there is no such mailbox, "$doubt", words that make one doubt that a
// reply is about the recipient, "$refusal" and "$bare". Unknown fields, a value behind the array and more than 4 MiB are
// refused. So are malformed rules; the error has the name of the rule, or its number counted from 1, and the field. That a
// rule wins its Match and not its Avoid is for NewClassifier to see.
func ReadRules(r io.Reader) ([]Rule, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxRules+1))
	if err != nil {
		return nil, fmt.Errorf("bounce: rules: %w", err)
	}
	if len(b) > maxRules {
		return nil, fmt.Errorf("bounce: rules: more than %d bytes", maxRules)
	}
	shared, err := sharedLists(ruleFS)
	if err != nil {
		return nil, fmt.Errorf("bounce: %w", err)
	}
	var raw []json.RawMessage
	if err := strictJSON(b, &raw); err != nil {
		return nil, fmt.Errorf("bounce: rules: %w", err)
	}
	rules := make([]Rule, len(raw))
	names := make(map[string]bool, len(raw))
	for i, b := range raw {
		if err := rules[i].read(b, shared); err != nil {
			return nil, fmt.Errorf("bounce: rules: rule %s: %w", nameOf(b, i), err)
		}
		if names[rules[i].Name] {
			return nil, fmt.Errorf("bounce: rules: rule %s: field Name is there twice", rules[i].Name)
		}
		names[rules[i].Name] = true
	}
	return rules, nil
}

// read reads a rule from JSON and tries to compile it.
func (r *Rule) read(b []byte, shared map[string][]string) error {
	if !bytes.HasPrefix(b, []byte("{")) {
		return errors.New("it is no object")
	}
	if err := strictJSON(b, r); err != nil {
		return err
	}
	if err := r.splice(shared, make(map[string]bool)); err != nil {
		return err
	}
	if err := r.validate(); err != nil {
		return err
	}
	_, err := compileRule(r, tryPhrases)
	return err
}

// tryPhrases expands phrases and forgets them.
func tryPhrases(phrases []string) (uint16, error) {
	for _, p := range phrases {
		if _, _, _, err := expandSides(p); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// nameOf is the name of the rule in b, or its number when it has none.
func nameOf(b []byte, i int) string {
	var r struct {
		Name string `json:"name"`
	}
	if json.Unmarshal(b, &r) != nil || r.Name == "" {
		return fmt.Sprintf("number %d", i+1)
	}
	return r.Name
}
