package docstest

import (
	"encoding/json"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadmeCompiles compiles the page of code as a program of this module, without putting a file into the tree.
func TestReadmeCompiles(t *testing.T) {
	files(t, ".go") // opened here, so that "go test" takes no old result when one has changed
	code := block(t, read(t, "README.md"), "go", 0)
	if formatted, err := format.Source([]byte(code)); err != nil {
		t.Fatal(err)
	} else if string(formatted) != code {
		t.Error("the page of code is not as gofmt writes it")
	}
	if n := strings.Count(code, "\n"); n > 90 {
		t.Errorf("the page of code has %d lines: more than a page", n)
	}
	dir := t.TempDir()
	page, overlay := filepath.Join(dir, "main.go"), filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(page, []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	place, err := filepath.Abs(filepath.Join(top, "internal", "readme", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {place: page}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overlay, replace, 0o600); err != nil {
		t.Fatal(err)
	}
	// "go list -export" compiles, but links nothing.
	run(t, "go", "list", "-export", "-overlay", overlay, "./internal/readme")
}

// TestReadmeCommands: what README tells a newcomer to type is what CI runs.
func TestReadmeCommands(t *testing.T) {
	readme, ci := read(t, "README.md"), lines(read(t, ".ci/run"))
	first := lines(block(t, readme, "sh", 0))
	for command, flags := range map[string]string{
		"go run ./examples/quickstart": "",
		"go test ./...":                " -race -shuffle=on -timeout 20m",
	} {
		if !first[command] {
			t.Errorf("README does not begin with %q", command)
		}
		found := false
		for line := range ci {
			found = found || flags == "" && line == command || flags != "" && strings.Replace(line, flags, "", 1) == command && line != command
		}
		if !found {
			t.Errorf(".ci/run does not run %q with flags %q", command, flags)
		}
	}
	if len(first) != 2 {
		t.Errorf("README begins with %d commands, want two", len(first))
	}
}

// lines are the lines of a script, without comments.
func lines(text string) map[string]bool {
	found := map[string]bool{}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, " #")
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			found[line] = true
		}
	}
	return found
}

// TestReadmeClassify: what README says that classify prints is what it prints.
func TestReadmeClassify(t *testing.T) {
	files(t, ".go")
	files(t, ".json")
	const begin = "$ go run ./examples/classify -each <<'END'\n"
	_, shown, ok := strings.Cut(read(t, "README.md"), begin)
	input, shown, ok2 := strings.Cut(shown, "END\n")
	want, _, ok3 := strings.Cut(shown, "```")
	if !ok || !ok2 || !ok3 {
		t.Fatalf("README does not have %q with its output", begin)
	}
	cmd := exec.CommandContext(t.Context(), "go", "run", "./examples/classify", "-each")
	cmd.Dir, cmd.Stdin, cmd.Stderr = top, strings.NewReader(input), os.Stderr
	got, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("it prints\n%s\nREADME has\n%s", got, want)
	}
}

// TestTour: doc.go and README name every package that a program can import.
func TestTour(t *testing.T) {
	files(t, ".go")
	tour, readme := read(t, "doc.go"), read(t, "README.md")
	for _, pkg := range strings.Fields(run(t, "go", "list", "./...")) {
		name, inside := strings.CutPrefix(pkg, module+"/")
		if !inside || strings.Contains("/"+name, "/internal/") || strings.HasPrefix(name, "examples/") {
			continue
		}
		if !strings.Contains(tour, "["+pkg+"]") {
			t.Errorf("doc.go has no link to %s", pkg)
		}
		kit := strings.HasSuffix(name, "test") && name != "sender/sendertest" // stands in the row of what it checks
		if want := "| [" + name + "](" + name + ") |"; !kit && !strings.Contains(readme, want) {
			t.Errorf("README's table has no row %q", want)
		}
	}
	for name := range strings.FieldsSeq(run(t, "go", "list", "-f", "{{.Dir}}", "./examples/...")) {
		name = filepath.Base(name)
		if exists("examples/"+name+"/main.go") && !strings.Contains(readme, "](examples/"+name+")") {
			t.Errorf("README does not tell of examples/%s", name)
		}
	}
}
