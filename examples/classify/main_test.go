package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/reputemail/repute/throttle"
)

// classify runs the command.
func classify(stdin string, args ...string) (status int, stdout, stderr string) {
	var out, err strings.Builder
	status = run(args, strings.NewReader(stdin), &out, &err)
	return status, out.String(), err.String()
}

func TestReplies(t *testing.T) {
	want, err := os.ReadFile("testdata/want.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	status, out, stderr := classify("", "-replies", "testdata/replies.jsonl")
	if status != 0 || stderr != "" {
		t.Fatalf("status %d: %s", status, stderr)
	}
	if out != string(want) {
		t.Errorf("got\n%swant\n%s", out, want)
	}
}

func TestMessages(t *testing.T) {
	status, out, stderr := classify("", "-messages", "testdata/messages.jsonl")
	if status != 0 || stderr != "" {
		t.Fatalf("status %d: %s", status, stderr)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	for i, want := range []string{
		`{"id":"1","kind":"bounce","records":[{"rcpt":"anna@example.net","cats":["bad-mailbox"],`,
		`{"id":"2","kind":"auto-reply","records":[]}`,
	} {
		if i >= len(lines) || !strings.HasPrefix(lines[i], want) {
			t.Errorf("line %d is not %s…:\n%s", i+1, want, out)
		}
	}
	if want := `{"rcpt":"otto@example.net","cats":[],`; !strings.Contains(lines[0], want) {
		t.Errorf("there is no %s in %s", want, lines[0])
	}
	missing := filepath.Join(t.TempDir(), "messages.jsonl")
	if err := os.WriteFile(missing, []byte(`{"id":"1","file":"none.eml"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := classify("", "-messages", missing); status != 1 || !strings.Contains(stderr, "line 1") || !strings.Contains(stderr, "none.eml") {
		t.Errorf("a message that is not there: status %d, %q", status, stderr)
	}
}

func TestTable(t *testing.T) {
	status, out, stderr := classify("550 5.1.1 user unknown\n\n450 greylisted, retry in 5 minutes\n554 192.0.2.1 is blacklisted\n550\n", "-each")
	if status != 0 || stderr != "" {
		t.Fatalf("status %d: %s", status, stderr)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	for i, want := range []string{"CATEGORY", "suppress the address", "retry after 5m0s", "try another route", "give this message up"} {
		if i >= len(lines) || !strings.Contains(lines[i], want) {
			t.Errorf("line %d has no %q:\n%s", i+1, want, out)
		}
	}
}

func TestBadInput(t *testing.T) {
	for name, tt := range map[string]struct{ content, want string }{
		"JSON":  {"{\"id\":\"1\",\"text\":\"550\"}\n{\"id\":", "line 2"},
		"type":  {"[]", "line 1"},
		"stage": {"\n{\"id\":\"1\",\"text\":\"550\",\"stage\":\"QUIT\"}", "line 2: stage \"QUIT\""},
	} {
		file := filepath.Join(t.TempDir(), "replies.jsonl")
		if err := os.WriteFile(file, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if status, _, stderr := classify("", "-replies", file); status != 1 || !strings.Contains(stderr, tt.want) {
			t.Errorf("%s: status %d, %q, want 1 and %q", name, status, stderr, tt.want)
		}
	}
	if status, _, stderr := classify("", "-replies", "testdata/missing.jsonl"); status != 1 || !strings.Contains(stderr, "missing.jsonl") {
		t.Errorf("a missing file: status %d, %q", status, stderr)
	}
}

func TestProvider(t *testing.T) {
	table, err := throttle.NewTable(throttle.TableConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{
		"gmail-smtp-in.l.google.com":                 "google",
		" Example-com.mail.protection.Outlook.com. ": "office365",
		"mfsmax.docomo.ne.jp":                        "docomo",
		"mx.example.com":                             "",
		"localhost":                                  "",
		"192.0.2.1":                                  "",
		"[192.0.2.1]":                                "",
		"2001:db8::1":                                "",
		"":                                           "",
	} {
		if got := provider(table, host); got != want {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"-x"}, {"file"}, {"-replies"}, {"-messages"}, {"-each", "-replies", "x"}, {"-replies", "x", "-messages", "y"}} {
		if status, _, stderr := classify("", args...); status != 2 || !strings.Contains(stderr, "usage") {
			t.Errorf("%q: status %d, %q", args, status, stderr)
		}
	}
	if status, _, _ := classify("", "-h"); status != 0 {
		t.Errorf("-h: status %d", status)
	}
}
