package arf

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestOriginal(t *testing.T) {
	for _, file := range []string{"abuse", "ses"} {
		raw, err := os.ReadFile("testdata/" + file + ".eml")
		if err != nil {
			t.Fatal(err)
		}
		f, err := Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Original.Header("x-repute"); got != "token-1" {
			t.Errorf("%s: X-Repute is %q", file, got)
		}
		if file == "abuse" && (fmt.Sprint(f.Original.Values("X-Tag")) != "[one two]" || f.Original.Header("X-None") != "" || f.Original.Values("X-None") != nil) {
			t.Errorf("X-Tag is %q", f.Original.Values("X-Tag"))
		}
	}
}

func TestQuotedIn(t *testing.T) {
	const header = "Return-Path: <a@example.com>\nFrom: b@example.com\nX-Tag: x\n  folded\nMessage-ID: <1@example.com>\n\nbody\n"
	indent := func(by string) string {
		return by + strings.ReplaceAll(strings.TrimSpace(header), "\n", "\n"+by) + "\n"
	}
	for _, tt := range []struct {
		name, text string
		want       bool
	}{
		{"plain", "Hello\n\n" + header, true},
		{"at the beginning", header, true},
		{"quoted", "Hello\n" + indent("> ") + "thanks\n", true},
		{"quoted twice", indent(">> "), true},
		{"after a line that looks like one", "From: us to you\n\n" + header, true},
		{"two fields", "From: b@example.com\nTo: a@example.com\n\nHello\n", false},
		{"none", "Hello\n", false},
		{"empty", "", false},
		{"too far", strings.Repeat("Hello, this is a line.\n", 4000) + header, false},
		{"too many tries", strings.Repeat("From: us\n\n", maxQuoteTries) + header, false},
	} {
		h, ok := quotedIn([]byte(tt.text))
		if ok != tt.want || ok && (h.Raw("Message-ID") != "<1@example.com>" || h.Raw("X-Tag") != "x folded" && !strings.HasPrefix(tt.name, "quoted")) {
			t.Errorf("%s: got %v, %v", tt.name, h, ok)
		}
	}
}

// TestQuotedAnywhere: a header is found wherever in a text it is, quoted or not.
func TestQuotedAnywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := rapid.SliceOfN(rapid.StringOf(rapid.RuneFrom([]rune("abc ,.!"))), 0, 20).Draw(t, "before")
		prefix := rapid.SampledFrom([]string{"", "> ", ">", ">> "}).Draw(t, "prefix")
		lines := append(before, "")
		for _, l := range []string{"Received: from a by b", "Subject: x", "Message-ID: <1@example.com>", "Date: today"} {
			lines = append(lines, prefix+l)
		}
		h, ok := quotedIn([]byte(strings.Join(lines, "\n")))
		if !ok || h.Raw("Message-ID") != "<1@example.com>" {
			t.Fatalf("got %v, %v", h, ok)
		}
	})
}
