package bounce

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// docs/categories.md has one row for each category, in order; the example of each is of that category and scope, and only
// those marked † suppress.
func TestCategoriesDocumented(t *testing.T) {
	b, err := os.ReadFile("../docs/categories.md")
	if err != nil {
		t.Fatal(err)
	}
	c := newBuiltin(t)
	var got []Category
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)`( †)? \\| .* \\| `(.*)` \\| ([a-z]+) \\| .* \\|$").FindAllStringSubmatch(string(b), -1) {
		category := Category(m[1])
		got = append(got, category)
		v := c.Classify("", ParseReply(m[3]))
		if v.Category != category || string(v.Scope) != m[4] {
			t.Errorf("%s: the example %q is %s, %s by %s", category, m[3], v.Category, v.Scope, v.Rule)
		}
		if marked := m[2] != ""; marked != suppressible(category) || marked != v.Suppress {
			t.Errorf("%s: marked as suppressing: %v, may suppress: %v, the example does: %v", category, marked, suppressible(category), v.Suppress)
		}
	}
	if want := Categories(); !slices.Equal(got, want) {
		t.Errorf("documented are %v, want %v", got, want)
	}
}
