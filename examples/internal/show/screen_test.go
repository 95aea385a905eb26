package show

import (
	"bytes"
	"strings"
	"testing"
)

// terminal is a Screen that believes that it is one, and what it writes.
func terminal(width, height int) (*Screen, *bytes.Buffer) {
	var b bytes.Buffer
	return &Screen{w: &b, live: true, colour: true, size: func() (int, int) { return width, height }}, &b
}

func TestDrawReplacesTheBlock(t *testing.T) {
	s, b := terminal(20, 10)
	s.Draw([]string{"one", "two"})
	s.Draw([]string{"three"})
	s.Print("stays")
	s.Draw([]string{"four"})
	s.Keep()
	s.Print("below")
	want := "one\x1b[K\ntwo\x1b[K\n\x1b[J" +
		"\x1b[2A\rthree\x1b[K\n\x1b[J" +
		"\x1b[1A\r\x1b[Jstays\n" +
		"four\x1b[K\n\x1b[J" +
		"below\n"
	if b.String() != want {
		t.Errorf("got  %q\nwant %q", b, want)
	}
}

func TestDrawFitsTheTerminal(t *testing.T) {
	s, b := terminal(6, 3)
	s.Draw([]string{s.Style(Green, "1234567890"), "short", "third", "fourth"})
	want := "\x1b[32m12345\x1b[0m\x1b[K\nshort\x1b[K\n\x1b[J"
	if b.String() != want {
		t.Errorf("got  %q\nwant %q", b, want)
	}
	if s.Width() != 6 {
		t.Errorf("width %d", s.Width())
	}
	if s, _ := terminal(0, 0); s.Width() != 80 {
		t.Errorf("width %d without a size", s.Width())
	}
}

// A pipe, a file or a test gets plain lines.
func TestPlain(t *testing.T) {
	var b bytes.Buffer
	s := New(&b, false)
	if s.Live() {
		t.Fatal("a buffer is no terminal")
	}
	s.Draw([]string{"unseen"})
	s.Print(s.Style(Bold, "seen"))
	s.Keep()
	if b.String() != "seen\n" {
		t.Errorf("got %q", b.String())
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"250 ok":                 "250 ok",
		"red\x1b[31m\r\nalert\a": "red [31m  alert ",
		"latin \xe9":             "latin ?",
		"flip \u202etxt":         "flip  txt",
		"c1 \u009b31m":           "c1  31m",
		"日本語":                    "日本語",
	} {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestShorten(t *testing.T) {
	for _, tt := range []struct {
		in    string
		width int
		want  string
	}{{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"äöü", 2, "ä…"}, {"abc", 1, "…"}, {"abc", 0, ""}, {"", 0, ""}} {
		if got := Shorten(tt.in, tt.width); got != tt.want {
			t.Errorf("Shorten(%q, %d) = %q, want %q", tt.in, tt.width, got, tt.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("550 5.1.1 \x1b[2J\u202e\x80")
	f.Fuzz(func(t *testing.T, text string) {
		clean := Clean(text)
		if strings.ContainsAny(clean, "\x1b\r\n\x00\u009b\u202e") {
			t.Errorf("%q became %q", text, clean)
		}
		if clean != Clean(clean) {
			t.Errorf("%q is cleaned differently again", clean)
		}
	})
}
