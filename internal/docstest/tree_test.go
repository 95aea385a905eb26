package docstest

import (
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// top is the project's folder as seen from here, module its path.
const (
	top    = "../.."
	module = "github.com/reputemail/repute"
)

// read returns a file of the project.
func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(top, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// exists reports whether a file or folder of the project is there.
func exists(name string) bool {
	_, err := os.Stat(filepath.Join(top, filepath.FromSlash(name)))
	return err == nil
}

// files are all files of the project with an ending, but those in folders that Go leaves out too.
func files(t *testing.T, ending string) []string {
	t.Helper()
	var found []string
	err := fs.WalkDir(os.DirFS(top), ".", func(name string, e fs.DirEntry, err error) error {
		base := path.Base(name)
		switch {
		case err != nil:
			return err
		case e.IsDir() && name != "." && (base[0] == '.' || base[0] == '_' || base == "testdata" || base == "bin"):
			return fs.SkipDir
		case !e.IsDir() && strings.HasSuffix(name, ending):
			found = append(found, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatalf("no %s files", ending)
	}
	return found
}

// run runs a program in the project's folder and returns its output.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = top
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v: %v\n%s", cmd.Args, err, out)
	}
	return string(out)
}
