package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUsage(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, tt := range []struct {
		name   string
		args   string
		status int
		says   string
	}{
		{"help", "-h", 0, "usage: migration -simulate"},
		{"nothing", "", 2, "either -simulate or -run"},
		{"both", "-simulate -run", 2, "either -simulate or -run"},
		{"unknown flag", "-x", 2, "not defined: -x"},
		{"argument", "-run now", 2, `unexpected argument "now"`},
		{"days", "-simulate -days 1", 2, "-days 1 is not in 2 to 365"},
		{"days of a run", "-run -days 61", 2, "-days 61 is not in 2 to 60"},
		{"volume", "-simulate -volume 10", 2, "-volume 10 is not in"},
		{"volume of a run", "-run -volume 5001", 2, "-volume 5001 is not in 300 to 5000"},
		{"no number", "-run -volume many", 2, "invalid value"},
		{"day", "-run -day 1ms", 2, "-day 1ms is not in"},
		{"day of a simulation", "-simulate -day 3s", 2, "-day has no effect with -simulate"},
		{"sabotage", "-run -sabotage 0", 2, "-sabotage 0 is not one of the 16 days"},
		{"sabotage too late", "-run -days 5 -sabotage 6", 2, "-sabotage 6 is not one of the 5 days"},
		{"format", "-simulate -format xml", 2, `-format "xml" is not table, csv or json`},
		{"format of a run", "-run -format csv", 2, "-format has no effect with -run"},
		{"chart of a run", "-run -chart x.svg", 2, "-chart has no effect with -run"},
		{"file of a run", "-run -csv x.csv", 2, "-csv has no effect with -run"},
		{"file and volume", "-simulate -volume 400 -csv x.csv", 2, "-csv and -volume"},
		{"no file", "-simulate -csv " + filepath.Join(dir, "none"), 2, "-csv: open"},
		{"no curve", "-simulate -csv " + file("words", "day,mail\n1,many\n"), 2, `-csv: warmup: curve: line 2: "many"`},
		{"small curve", "-simulate -csv " + file("small", "3\n4\n"), 2, "its largest day has 4 messages"},
		{"chart into nowhere", "-simulate -days 2 -chart " + filepath.Join(dir, "none", "x.svg"), 1, "-chart: open"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if status := run(t.Context(), strings.Fields(tt.args), &stdout, &stderr); status != tt.status {
				t.Errorf("status %d, want %d", status, tt.status)
			}
			if !strings.Contains(stderr.String(), tt.says) {
				t.Errorf("standard error %q, want %q", &stderr, tt.says)
			}
			if tt.status != 1 && stdout.Len() > 0 {
				t.Errorf("standard output %q", &stdout)
			}
		})
	}
}
