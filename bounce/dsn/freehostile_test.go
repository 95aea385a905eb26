package dsn_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/dsn"
	"github.com/reputemail/repute/bounce/internal/entity"
)

// daemonHeader is that of a bounce whose text decides.
const daemonHeader = "Return-Path: <>\nFrom: MAILER-DAEMON@mx.example.com\nTo: news@example.org\nSubject: Undelivered Mail\n\n"

// hostile are texts that cost a careless reader much, most of nearly 10 MB, the most that a message may have.
func hostile() map[string]string {
	const size = entity.MaxBytes - 512<<10
	fill := func(s string) string { return strings.Repeat(s, size/len(s)) }
	var many, paragraphs, listed strings.Builder
	for i := 0; many.Len() < size; i++ {
		fmt.Fprintf(&many, "<a%d@example.com>: 550 5.1.1 no\n", i)
	}
	for i := range 9000 {
		fmt.Fprintf(&paragraphs, "a%d@example.com\n\n", i)
		fmt.Fprintf(&listed, "a%d@example.com,\n ", i)
	}
	return map[string]string{
		"addresses":           many.String(),
		"addresses, no words": paragraphs.String(),
		"one address":         fill("anna@example.com\n"),
		"blank lines":         "\n" + fill("\n") + "550 5.1.1 no\n",
		"spaces, then lines":  strings.Repeat(" ", 128<<10) + fill("\nab c"),
		"one line":            fill("delivery failed 550 "),
		"one word":            fill("a"),
		"digits":              fill("5"),
		"codes":               fill("5.1.1 "),
		"basic codes":         fill("x 550"),
		"at signs":            fill("@"),
		"local parts":         fill("a.b-c@ "),
		"quotes":              fill("\"@"),
		"domains":             "a@" + fill("b."),
		"angle brackets":      fill("<<>>"),
		"colons":              fill("to:"),
		"labels":              fill("Status:\n"),
		"because":             fill("because:\n\n"),
		"returned addresses":  "550 5.1.1 anna@example.com\n----- Original message -----\nTo: " + listed.String() + "\n\n" + fill("to: a@example.com\n"),
		"returned own":        many.String()[:100<<10] + "\n----- Original message -----\nTo: " + listed.String() + "\n",
		"JSON":                `{"bounce":{"bouncedRecipients":[` + fill(`{"emailAddress":"a@example.com"},`),
		"nested JSON":         "{\"recipients\":" + fill("["),
	}
}

// TestFreeFormHostile: what is read of a text is bounded, and so is what comes out.
func TestFreeFormHostile(t *testing.T) {
	const most = 256 << 10 / len("<a1@example.com>: 550 5.1.1 no\n") // of the recipients that fit into what is read
	for name, text := range hostile() {
		t.Run(name, func(t *testing.T) {
			n, err := dsn.Parse([]byte(daemonHeader + text))
			if err != nil {
				if err != dsn.ErrNotBounce {
					t.Fatal(err)
				}
				return
			}
			check(t, n)
			if len(n.Recipients) > 10_000 || name == "addresses" && (len(n.Recipients) > most || len(n.Recipients) < most/2) {
				t.Errorf("%d recipients", len(n.Recipients))
			}
			reasons := 0
			for _, r := range n.Recipients {
				if r.Diagnostic != "" {
					reasons++
				}
			}
			if reasons > 100 {
				t.Errorf("%d reasons", reasons)
			}
		})
	}
}

// check is what holds for any notification in free form.
func check(t *testing.T, n *dsn.Notification) {
	t.Helper()
	if len(n.Recipients) == 0 {
		t.Error("no recipient")
	}
	seen := make(map[string]bool, len(n.Recipients))
	for _, r := range n.Recipients {
		if r.Final == "" || seen[strings.ToLower(r.Final)] && r.Original == "" {
			t.Errorf("recipient %q, empty or twice", r.Final)
		}
		seen[strings.ToLower(r.Final)] = true
		if len(r.Final) > 1000 || strings.ContainsAny(r.Final, "\r\n\x00") || !utf8.ValidString(r.Final) {
			t.Errorf("recipient %q", r.Final)
		}
		if len(r.Diagnostic) > 5000 || strings.ContainsAny(r.Diagnostic, "\r\n") || !utf8.ValidString(r.Diagnostic) {
			t.Errorf("diagnostic of %d bytes: %.100q", len(r.Diagnostic), r.Diagnostic)
		}
		switch r.Action {
		case bounce.ActionFailed, bounce.ActionDelayed, bounce.ActionDelivered:
		default:
			t.Errorf("action %q", r.Action)
		}
	}
}

func FuzzFreeForm(f *testing.F) {
	files, err := filepath.Glob("testdata/free/*.eml")
	if err != nil || len(files) == 0 {
		f.Fatal(len(files), err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := entity.Read(raw)
		if err != nil {
			return
		}
		if n := dsn.Read(m); n != nil && n.Form != dsn.FormRFC3464 {
			check(t, n)
		}
		if n, err := dsn.Parse(append([]byte(daemonHeader), raw...)); err == nil && n.Form != dsn.FormRFC3464 {
			check(t, n)
		}
	})
}

func BenchmarkFreeForm(b *testing.B) {
	filler := strings.Repeat("This line has nothing to say, and says it in some sixty bytes.\n", 150)
	for name, raw := range map[string][]byte{
		"qmail":    readFree(b, "qmail"),
		"10KB":     []byte(daemonHeader + "Your message could not be delivered.\n\n" + filler + "\n<anna@example.com>: 550 5.1.1 no such user\n"),
		"returned": append(readFree(b, "exim-two"), filler...),
		"person":   append(readFree(b, "no-unsubscribe"), filler...),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			m, err := entity.Read(raw)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				_ = dsn.Read(m)
			}
		})
	}
}

func BenchmarkFreeFormHostile(b *testing.B) {
	for name, text := range hostile() {
		b.Run(name, func(b *testing.B) {
			m, err := entity.Read([]byte(daemonHeader + text))
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				_ = dsn.Read(m)
			}
		})
	}
}
