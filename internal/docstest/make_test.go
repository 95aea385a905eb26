package docstest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/reputemail/repute/internal/interop"
)

func TestMakeHelp(t *testing.T) {
	makefile := read(t, "Makefile")
	var targets []string
	for _, m := range regexp.MustCompile(`(?m)^([a-z]+):`).FindAllStringSubmatch(makefile, -1) {
		targets = append(targets, m[1])
	}
	want := []string{"help", "test", "race", "fuzz", "bench", "cover", "lint", "examples"}
	if !slices.Equal(targets, want) {
		t.Errorf("the targets are %q, want %q", targets, want)
	}
	if phony := ".PHONY: " + strings.Join(want, " ") + "\n"; !strings.Contains(makefile, phony) {
		t.Errorf("there is no %q", phony)
	}
	_, err := exec.LookPath("make")
	interop.Need(t, "make", err == nil)
	help := run(t, "make", "--no-print-directory")
	for _, target := range want {
		if !regexp.MustCompile(`(?m)^make ` + target + ` +\w`).MatchString(help) {
			t.Errorf("\"make\" does not tell of %s:\n%s", target, help)
		}
	}
}

func TestCIScript(t *testing.T) {
	info, err := os.Stat(filepath.Join(top, ".ci", "run"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode()&0o100 == 0 {
		t.Error(".ci/run is not executable")
	}
	_, err = exec.LookPath("bash")
	interop.Need(t, "bash", err == nil)
	run(t, "bash", "-n", ".ci/run")
}
