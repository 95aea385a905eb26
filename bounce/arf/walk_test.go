package arf

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func TestIndexFold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.RuneFrom([]rune("aAbB-\n"))).Draw(t, "text")
		word := rapid.StringOf(rapid.RuneFrom([]rune("ab"))).Draw(t, "left") + "-" + rapid.StringOf(rapid.RuneFrom([]rune("ab-"))).Draw(t, "right")
		if got, want := indexFold([]byte(text), word), bytes.Index(bytes.ToLower([]byte(text)), []byte(word)); got != want {
			t.Fatalf("indexFold(%q, %q) = %d, want %d", text, word, got, want)
		}
	})
}

func TestOneLine(t *testing.T) {
	for in, want := range map[string]string{"": "", " \n": "", " A\r\n\tB  c ": "a b c"} {
		if got := oneLine(in); got != want {
			t.Errorf("oneLine(%q) = %q", in, got)
		}
	}
}

func TestBeginning(t *testing.T) {
	for in, want := range map[string]string{"": "", "abc": "abc", "abcdefgh": "abcdefgh", "abcdefghi": "abcdefgh", "abcdef\nhi": "abcdef\n", "\nbcdefghi": "\nbcdefgh"} {
		if got := string(beginning([]byte(in), 8)); got != want {
			t.Errorf("beginning(%q) = %q", in, got)
		}
	}
}
