package bounce

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// ruleFS holds the built-in rules, and the lists of phrases that many of them share.
//
//go:embed rules/*.json rules/shared/*.json
var ruleFS embed.FS

// sharedFile has the shared lists of phrases by their names.
const sharedFile = "rules/shared/phrases.json"

// builtinRules reads the built-in rules, in order of the files' names and then of the files. Within a tier that is their
// precedence.
func builtinRules() ([]Rule, error) {
	return rulesIn(ruleFS)
}

// rulesIn reads the rules of fsys, and puts shared lists in their place.
func rulesIn(fsys fs.FS) ([]Rule, error) {
	shared, err := sharedLists(fsys)
	if err != nil {
		return nil, err
	}
	files, err := fs.Glob(fsys, "rules/*.json") // in order of their names
	if err != nil {
		return nil, err
	}
	var all []Rule
	used := make(map[string]bool)
	for _, file := range files {
		var rules []Rule
		if err := readJSON(fsys, file, &rules); err != nil {
			return nil, err
		}
		for i := range rules {
			if err := rules[i].splice(shared, used); err != nil {
				return nil, fmt.Errorf("%s: rule %s: %w", file, rules[i].Name, err)
			}
		}
		all = append(all, rules...)
	}
	for name := range shared {
		if !used[name] {
			return nil, fmt.Errorf("%s: no rule uses %q", sharedFile, name)
		}
	}
	return all, nil
}

// sharedLists reads the shared lists of fsys.
func sharedLists(fsys fs.FS) (map[string][]string, error) {
	var shared map[string][]string
	err := readJSON(fsys, sharedFile, &shared)
	return shared, err
}

// splice puts shared lists in the place of their names, and marks in used those that it took.
func (r *Rule) splice(shared map[string][]string, used map[string]bool) error {
	for _, l := range r.lists() {
		list, err := spliceShared(*l.phrases, shared, used)
		if err != nil {
			return fmt.Errorf("field %s: %w", l.field, err)
		}
		*l.phrases = list
	}
	return nil
}

// spliceShared puts the phrases of a shared list in the place of each "$name" in list.
func spliceShared(list []string, shared map[string][]string, used map[string]bool) ([]string, error) {
	for i := 0; i < len(list); i++ {
		name, ok := strings.CutPrefix(list[i], "$")
		if !ok {
			continue
		}
		phrases, ok := shared[name]
		if !ok {
			return nil, fmt.Errorf("there is no list %q in %s", name, sharedFile)
		}
		used[name] = true
		list = slices.Replace(list, i, i+1, phrases...)
		i += len(phrases) - 1
	}
	return list, nil
}

// readJSON reads one value from a file into v. It refuses fields that v does not have, and anything behind the value.
func readJSON(fsys fs.FS, file string, v any) error {
	b, err := fs.ReadFile(fsys, file)
	if err != nil {
		return err
	}
	if err := strictJSON(b, v); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// strictJSON is json.Unmarshal that refuses unknown fields.
func strictJSON(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is more behind the value")
	}
	return nil
}
