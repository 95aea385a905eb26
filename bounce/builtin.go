package bounce

import (
	"embed"
	"encoding/json"
	"fmt"
)

// ruleFS holds the built-in rules.
//
//go:embed rules/*.json
var ruleFS embed.FS

// builtinRules reads the built-in rules, in order of the files' names and then of the files. Within a tier that is their
// precedence.
func builtinRules() ([]Rule, error) {
	entries, err := ruleFS.ReadDir("rules")
	if err != nil {
		return nil, err
	}
	var all []Rule
	for _, e := range entries {
		b, err := ruleFS.ReadFile("rules/" + e.Name())
		if err != nil {
			return nil, err
		}
		var rules []Rule
		if err := json.Unmarshal(b, &rules); err != nil {
			return nil, fmt.Errorf("rules/%s: %w", e.Name(), err)
		}
		all = append(all, rules...)
	}
	return all, nil
}
