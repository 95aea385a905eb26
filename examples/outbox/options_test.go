package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		args   string
		status int
		says   string
	}{
		{"-h", 0, "usage: outbox"},
		{"-h", 0, "reply    after the receiver's 250"},
		{"-x", 2, "not defined: -x"},
		{"now", 2, `unexpected argument "now"`},
		{"-orders 0", 2, "-orders: 0 is not in 1 to 10000"},
		{"-orders 10001", 2, "-orders: 10001 is not in"},
		{"-every -1s", 2, "-every: -1s is not in"},
		{"-every 2m", 2, "-every: 2m0s is not in"},
		{"-crashes 0", 2, "-crashes: 0 is not in 1 to 1000"},
		{"-crashes 1001", 2, "-crashes: 1001 is not in"},
		{"-db a -postgres b", 2, "-db and -postgres"},
		{"-crashes 3 -addr localhost:25", 2, "-addr: goes without -crashes"},
		{"-crashes 3 -kill reply:1", 2, "-kill: goes without -crashes"},
		{"-kill reply", 2, `-kill: "reply" is not POINT:N`},
		{"-kill reply:0", 2, `-kill: "reply:0" is not POINT:N`},
		{"-kill end:1", 2, `-kill: "end:1" is not POINT:N`},
		{"-kill lunch:1", 2, `-kill: "lunch:1" is not POINT:N`},
		{"-db=", 2, "-db: is empty"},
		{"-postgres=", 2, "-postgres: is empty"},
		{"-addr=", 2, "-addr: is empty"},
		{"-addr localhost", 2, `-addr: "localhost" is not HOST:PORT`},
		{"-addr localhost:x", 2, "is not HOST:PORT"},
		{"-addr :25", 2, "is not HOST:PORT"},
		{"-addr 127.0.0.1:1 -db /dev/null/none", 1, "outbox: -addr: "},
		{"-db /dev/null/none/shop.db", 1, "outbox: "},
		{"-postgres postgres://localhost:port/", 1, "outbox: pgqueue: dsn: "},
	} {
		t.Run(tt.args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if status := run(t.Context(), strings.Fields(tt.args), &stdout, &stderr); status != tt.status {
				t.Errorf("status %d, want %d", status, tt.status)
			}
			if !strings.Contains(stderr.String(), tt.says) {
				t.Errorf("standard error %q, want %q", &stderr, tt.says)
			}
		})
	}
}

// Without a database the file is a new one.
func TestDefaultStore(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	one, _ := parse(nil, os.Stderr)
	two, _ := parse(nil, os.Stderr)
	if one.db == two.db || !strings.HasSuffix(one.db, "shop.db") || one.store() != one.db {
		t.Errorf("%q and %q", one.db, two.db)
	}
	if three, _ := parse([]string{"-postgres", "postgres://me:secret@db.example/"}, os.Stderr); three.db != "" || strings.Contains(three.store(), "secret") {
		t.Errorf("%+v", three)
	}
}
