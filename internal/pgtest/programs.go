package pgtest

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// postgres is how users install the programs.
const postgres = "PostgreSQL 13 or later (Debian package postgresql)"

// missingError is what a machine lacks for a cluster.
type missingError struct{ what string }

// Error names what is missing.
func (e missingError) Error() string { return e.what + " is missing" }

// programs finds the folder of PostgreSQL's server programs: that in PATH, else the newest of Debian's.
func programs() (string, error) {
	if os.Getenv(Variable) == None {
		return "", missingError{postgres}
	}
	folders, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // the pattern is a good one
	slices.SortFunc(folders, func(a, b string) int { return cmp.Compare(version(b), version(a)) })
	if inPath, err := exec.LookPath("postgres"); err == nil {
		folders = slices.Insert(folders, 0, filepath.Dir(inPath))
	}
	for _, folder := range folders {
		if version(folder) >= oldest/10000 {
			return filepath.Abs(folder)
		}
	}
	return "", missingError{postgres}
}

// version is the main version of the programs in a folder, or 0 if not all are there.
func version(folder string) int {
	for _, name := range []string{"initdb", "pg_ctl"} {
		if _, err := exec.LookPath(filepath.Join(folder, name)); err != nil {
			return 0
		}
	}
	out, _ := exec.Command(filepath.Join(folder, "postgres"), "--version").Output() // "postgres (PostgreSQL) 15.18 (Debian …)"
	match := regexp.MustCompile(`\(PostgreSQL\) (\d+)`).FindSubmatch(out)
	if match == nil {
		return 0
	}
	n, _ := strconv.Atoi(string(match[1])) // too many digits are no version
	return n
}
