package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestDefaults(t *testing.T) {
	var stderr bytes.Buffer
	o, status := parse(nil, &stderr)
	want := options{
		messages: 20_000, connections: 50, enqueuers: 50, domains: 1, size: 10 << 10, dkim: dkimNone, queue: queueSpec{kind: queueMemory},
	}
	if status != proceed || o != want || stderr.Len() > 0 {
		t.Errorf("status %d, %+v, %s", status, o, &stderr)
	}
	if o, _ := parse([]string{"-c", "7"}, &stderr); o.connections != 7 || o.enqueuers != 7 {
		t.Errorf("%+v", o)
	}
	if o, _ := parse([]string{"-c", "7", "-enqueuers", "2"}, &stderr); o.connections != 7 || o.enqueuers != 2 {
		t.Errorf("%+v", o)
	}
}

// Every mistake is told with the flag that it is about.
func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		args   string
		status int
		says   string
	}{
		{"-h", 0, "usage: loadtest"},
		{"-x", 2, "-x"},
		{"now", 2, `unexpected argument "now"`},
		{"-n many", 2, "-n"},
		{"-n 0", 2, "-n: 0 is not in 1 to"},
		{"-n 10000001", 2, "-n: 10000001 is not in"},
		{"-c 0", 2, "-c: 0 is not in"},
		{"-c 10001", 2, "-c: 10001 is not in"},
		{"-enqueuers 0", 2, "-enqueuers: 0 is not in"},
		{"-domains 0", 2, "-domains: 0 is not in"},
		{"-size 511", 2, "-size: 511 is not in 512 to"},
		{"-size 99999999", 2, "-size"},
		{"-dkim dsa", 2, `-dkim: "dsa" is not one of`},
		{"-addr=", 2, "-addr: is empty"},
		{"-addr sink.example.com", 2, "-addr"},
		{"-addr :25", 2, "-addr"},
		{"-addr 127.0.0.1:smtp", 2, "-addr"},
		{"-addr 127.0.0.1:65536", 2, "-addr"},
		{"-queue disk", 2, `-queue: "disk" is not memory, sqlite:PATH or postgres:DSN`},
		{"-queue memory:1", 2, "-queue: memory"},
		{"-queue sqlite", 2, "-queue: sqlite needs the file"},
		{"-queue sqlite:", 2, "-queue: sqlite needs the file"},
		{"-queue postgres:", 2, "-queue: postgres needs the database"},
		{"-queue mysql://me:secret@host/db", 2, "-queue"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if status := run(t.Context(), strings.Fields(tt.args), &stdout, &stderr); status != tt.status {
				t.Errorf("status %d, want %d", status, tt.status)
			}
			if !strings.Contains(stderr.String(), tt.says) || stdout.Len() > 0 {
				t.Errorf("standard error %q, standard output %q; want %q", &stderr, &stdout, tt.says)
			}
			if strings.Contains(stderr.String(), "secret") {
				t.Errorf("%s tells the password", &stderr)
			}
		})
	}
}

func TestParseQueue(t *testing.T) {
	for _, tt := range []struct {
		where string
		want  queueSpec
	}{
		{"memory", queueSpec{queueMemory, ""}},
		{"sqlite:load.db", queueSpec{queueSQLite, "load.db"}},
		{"sqlite:C:/mail/load.db", queueSpec{queueSQLite, "C:/mail/load.db"}},
		{"postgres:host=/run/pg dbname=mail", queueSpec{queuePostgres, "host=/run/pg dbname=mail"}},
		{"postgres:postgres://me@host/mail", queueSpec{queuePostgres, "postgres://me@host/mail"}},
		{"postgres://me@host/mail", queueSpec{queuePostgres, "postgres://me@host/mail"}},
		{"postgresql://me@host/mail", queueSpec{queuePostgres, "postgresql://me@host/mail"}},
	} {
		if got, err := parseQueue(tt.where); err != nil || got != tt.want {
			t.Errorf("%s: %+v, %v; want %+v", tt.where, got, err, tt.want)
		}
	}
}
