//go:build unix

package pgtest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// install makes a folder of programs that tell a version.
func install(t *testing.T, tells string, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		text := fmt.Sprintf("#!/bin/sh\necho '%s'\n", tells)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestVersion(t *testing.T) {
	for _, test := range []struct {
		tells string
		names []string
		want  int
	}{
		{"postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", []string{"postgres", "initdb", "pg_ctl"}, 15},
		{"postgres (PostgreSQL) 19devel", []string{"postgres", "initdb", "pg_ctl"}, 19},
		{"postgres (PostgreSQL) 9.6.24", []string{"postgres", "initdb", "pg_ctl"}, 9},
		{"postgres (PostgreSQL) 15.18", []string{"postgres", "pg_ctl"}, 0},
		{"postgres (PostgreSQL) 15.18", []string{"postgres", "initdb"}, 0},
		{"postgres (PostgreSQL) 15.18", []string{"initdb", "pg_ctl"}, 0},
		{"something else 15", []string{"postgres", "initdb", "pg_ctl"}, 0},
	} {
		if got := version(install(t, test.tells, test.names...)); got != test.want {
			t.Errorf("%q with %q: %d, want %d", test.tells, test.names, got, test.want)
		}
	}
}

// TestProgramsInPath: what PATH has comes first, if it is not too old.
func TestProgramsInPath(t *testing.T) {
	t.Setenv(Variable, "")
	path := os.Getenv("PATH")
	for tells, want := range map[string]bool{"postgres (PostgreSQL) 13.0": true, "postgres (PostgreSQL) 12.22": false} {
		dir := install(t, tells, "postgres", "initdb", "pg_ctl")
		t.Setenv("PATH", dir+string(os.PathListSeparator)+path)
		if got, err := programs(); (got == dir) != want {
			t.Errorf("%q in PATH: %q, %v", tells, got, err)
		}
	}
}
