package main

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// These tests hold docs/warmup.md against the code: its tables, listings and charts are made here, and its code is that of page_example_test.go.
//
//	go test ./examples/newsletter -run TestPage -update
//
// writes them anew.
var update = flag.Bool("update", false, "write docs/warmup.md and its charts anew")

const (
	pageFile    = "../../docs/warmup.md"
	chartFolder = "../../docs/images"
)

// made is a part of the page between "<!-- made: NAME -->" and "<!-- end -->".
var made = regexp.MustCompile(`(?s)<!-- made: ([a-z-]+) -->\n.*?<!-- end -->`)

func readPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(pageFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// TestPage: what is made of the page is what the code makes now.
func TestPage(t *testing.T) {
	t.Parallel()
	page := readPage(t)
	parts := map[string]string{
		"plans": plansTable(t), "caps": capsTable(), "gate": gateTable(t), "samples": samplesTable(t),
	}
	for _, s := range stories(t) {
		parts[s.name] = s.listing
		checkChart(t, s.name, s.svg)
	}
	used := map[string]bool{}
	now := made.ReplaceAllStringFunc(page, func(old string) string {
		name := made.FindStringSubmatch(old)[1]
		text, ok := parts[name]
		if !ok {
			t.Errorf("nobody makes %q", name)
			return old
		}
		used[name] = true
		return "<!-- made: " + name + " -->\n" + strings.TrimRight(text, "\n") + "\n<!-- end -->"
	})
	for name := range parts {
		if !used[name] {
			t.Errorf("the page has no %q", name)
		}
	}
	if now == page {
		return
	}
	if !*update {
		t.Errorf("%s is not what the code makes now: %s\nIf that is right: go test ./examples/newsletter -run TestPage -update", pageFile, firstChange(page, now))
		return
	}
	if err := os.WriteFile(pageFile, []byte(now), 0o644); err != nil {
		t.Fatal(err)
	}
}

// firstChange is the first line that differs.
func firstChange(was, is string) string {
	a, b := strings.Split(was, "\n"), strings.Split(is, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d:\n%s\nshould be\n%s", i+1, a[i], b[i])
		}
	}
	return "the end"
}

// checkChart holds a chart against its file, or writes it.
func checkChart(t *testing.T, name string, svg []byte) {
	t.Helper()
	file := filepath.Join(chartFolder, "warmup-"+name+".svg")
	if *update {
		if err := os.MkdirAll(chartFolder, 0o755); err != nil {
			t.Error(err)
		}
		if err := os.WriteFile(file, svg, 0o644); err != nil {
			t.Error(err)
		}
		return
	}
	was, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(was, svg) {
		t.Errorf("%s is not what the code draws now (%v)\nIf that is right: go test ./examples/newsletter -run TestPage -update", file, err)
	}
}

// TestPageCode: each Go block of the page stands in page_example_test.go, which compiles and runs it. Indentation does not matter.
func TestPageCode(t *testing.T) {
	source, err := os.ReadFile("page_example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	have := "\n" + flat(string(source)) + "\n"
	blocks := regexp.MustCompile("(?ms)^```go\n(.*?)^```$").FindAllStringSubmatch(readPage(t), -1)
	if len(blocks) < 8 {
		t.Errorf("%d blocks of code", len(blocks))
	}
	for _, b := range blocks {
		if !strings.Contains(have, "\n"+flat(b[1])+"\n") {
			t.Errorf("this is in no example:\n%s", b[1])
		}
	}
}

// flat is code without indentation, trailing space and empty lines at its ends.
func flat(code string) string {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSpace(code), "\n") {
		lines = append(lines, strings.TrimSpace(line))
	}
	return strings.Join(lines, "\n")
}

// TestPageValues: the page explains each value of the types that an operator sees.
func TestPageValues(t *testing.T) {
	page := readPage(t)
	for file, types := range map[string][]string{
		"ramp.go": {"Phase", "Cause"}, "migration.go": {"MigrationPhase", "Cause"}, "migration_change.go": {"Verdict"}, "reservation.go": {"Reason"},
	} {
		for _, v := range constants(t, "../../warmup/"+file, types) {
			if !strings.Contains(page, "\n| `"+v+"`") {
				t.Errorf("no table has a row for %q of %s", v, file)
			}
		}
	}
}

// constants are the values of a file's typed string constants.
func constants(t *testing.T, file string, types []string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		name, _ := spec.Type.(*ast.Ident)
		for _, want := range types {
			if name == nil || name.Name != want {
				continue
			}
			for _, v := range spec.Values {
				text, err := strconv.Unquote(v.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				if text != "" { // ArmNone and the like
					values = append(values, text)
				}
			}
		}
		return true
	})
	if len(values) == 0 {
		t.Errorf("%s has no constants of %v", file, types)
	}
	return values
}

// TestPageVerbs: the page names each method by which an operator changes something.
func TestPageVerbs(t *testing.T) {
	page := readPage(t)
	for file, receiver := range map[string]string{"operate.go": "Ledger", "migrator_operate.go": "Migrator"} {
		source, err := os.ReadFile("../../warmup/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func \(\w+ \*`+receiver+`\) ([A-Z]\w*)\(ctx `).FindAllStringSubmatch(string(source), -1) {
			if !strings.Contains(page, "`"+m[1]+"`") {
				t.Errorf("it does not tell of %s.%s", receiver, m[1])
			}
		}
	}
}
