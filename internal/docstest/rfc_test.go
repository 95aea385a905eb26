package docstest

import (
	"path"
	"regexp"
	"strings"
	"testing"
)

var codeSpan = regexp.MustCompile("`([^`]+)`")

// TestRFCCoverage: the files, tests and subtests of docs/rfc-coverage.md exist.
func TestRFCCoverage(t *testing.T) {
	text := read(t, "docs/rfc-coverage.md")
	rows := 0
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 4 || strings.Contains(line, "---") || strings.TrimSpace(cells[3]) == "test" {
			continue
		}
		rows++
		what := strings.TrimSpace(cells[0]) + ", " + strings.TrimSpace(cells[1])
		names := codeSpan.FindAllStringSubmatch(cells[2], -1)
		if len(names) == 0 {
			t.Errorf("%s: no file", what)
		}
		for _, name := range names {
			if !strings.HasSuffix(name[1], ".go") || !exists(name[1]) {
				t.Errorf("%s: no file %s", what, name[1])
			}
		}
		tests := codeSpan.FindAllStringSubmatch(cells[3], -1)
		if len(tests) == 0 {
			t.Errorf("%s: no test", what)
		}
		for _, name := range tests {
			if reason := missingTest(t, name[1]); reason != "" {
				t.Errorf("%s: %s: %s", what, name[1], reason)
			}
		}
	}
	if rows < 40 {
		t.Errorf("only %d rows were found", rows)
	}
}

// TestMissingTest: what is not there is missed.
func TestMissingTest(t *testing.T) {
	for name, want := range map[string]string{
		"internal/docstest.TestMissingTest":             "",
		"internal/docstest.TestMissingTest/TestNowhere": "", // a string below
		"internal/docstest.TestMissing":                 "no such test",
		"internal.TestMissingTest":                      "no such test",
		"internal/docstest.TestLinks/of no kind":        "no such subtest",
		"TestNowhere":                                   "not of the form folder.Test",
	} {
		if got := missingTest(t, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// missingTest says why there is no test "folder.Test" or "folder.Test/subtest"; empty when there is.
func missingTest(t *testing.T, name string) string {
	folder, rest, ok := strings.Cut(name, ".")
	if !ok {
		return "not of the form folder.Test"
	}
	test, subtest, _ := strings.Cut(rest, "/")
	for _, file := range files(t, "_test.go") {
		if path.Dir(file) != folder {
			continue
		}
		text := read(t, file)
		if !strings.Contains(text, "\nfunc "+test+"(") {
			continue
		}
		// Subtests are named by strings in tables, in the file of their test.
		if subtest != "" && !strings.Contains(text, `"`+subtest+`"`) {
			return "no such subtest"
		}
		return ""
	}
	return "no such test"
}
