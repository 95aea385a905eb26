package transport

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// stuffed is what content makes of parts, written straight down from RFC 5321 section 4.5.2.
func stuffed(content string) string {
	content = strings.ReplaceAll(strings.ReplaceAll(content, "\r\n", "\n"), "\n", "\r\n")
	switch {
	case strings.HasSuffix(content, "\r"):
		content += "\n"
	case content != "" && !strings.HasSuffix(content, "\n"):
		content += "\r\n"
	}
	var b strings.Builder
	for line := range strings.Lines(content) {
		if strings.HasPrefix(line, ".") {
			b.WriteByte('.')
		}
		b.WriteString(line)
	}
	return b.String() + ".\r\n"
}

// written is what content and dot write of parts.
func written(parts ...string) string {
	var got bytes.Buffer
	w := reading("")
	w.raw, w.rw = oneWay{}, capture{oneWay{}, &got}
	w.armContent(0, time.Minute, time.Minute)
	for _, p := range parts {
		w.content([]byte(p))
	}
	w.dot()
	w.flush()
	return got.String()
}

type capture struct {
	oneWay
	got *bytes.Buffer
}

func (c capture) Write(p []byte) (int, error) { return c.got.Write(p) }

func TestContentIsStuffed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.StringMatching(`([.ax]|\r\n|\n|\r|\r\n\.\r\n|\n\.\n){0,20}`)).Draw(t, "parts")
		parts = append(parts, strings.Repeat(rapid.StringMatching(`[.a\r\n]{0,5}`).Draw(t, "much"), rapid.IntRange(0, 30_000).Draw(t, "times")))
		if got, want := written(parts...), stuffed(strings.Join(parts, "")); got != want {
			t.Fatalf("got %.200q, want %.200q", got, want)
		}
	})
}

func FuzzContent(f *testing.F) {
	f.Add("a\r\n.\r\n", "\n.\n")
	f.Add("", ".")
	f.Add("\r", "\n")
	f.Fuzz(func(t *testing.T, header, data string) {
		got := written(header, data)
		if want := stuffed(header + data); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
		if strings.Index("\r\n"+got, "\r\n.\r\n")+3 != len(got) {
			t.Fatalf("ends early: %q", got)
		}
	})
}
