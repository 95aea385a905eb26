package autoreply

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestWordsFind holds the search that skips most work against the one that does not.
func TestWordsFind(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		letters := rapid.StringOf(rapid.RuneFrom([]rune("ab 不")))
		text := " " + letters.Draw(t, "text") + " "
		phrase := letters.Filter(func(s string) bool { return s != "" }).Draw(t, "phrase")
		w := newWords(text)
		if got, want := w.find(phrase), find(text, phrase); got != want {
			t.Fatalf("find(%q, %q) = %d, want %d", text, phrase, got, want)
		}
	})
}

func TestWordsWhich(t *testing.T) {
	w := newWords(normal("Thank you for your e-mail. I am away."))
	if got := w.which([]string{"on holiday", "i am away", "thank you"}); got != "i am away" {
		t.Errorf("got %q", got)
	}
	if w.has([]string{"ank you", "on leave"}) {
		t.Error("found what is not there")
	}
	if !w.before(5, []string{"thank"}) || w.before(5, []string{"i am away"}) {
		t.Error("before does not heed its bound")
	}
}

func TestWordsTogether(t *testing.T) {
	far := strings.Repeat("word ", 60)
	for text, want := range map[string]bool{
		"click so that your message will be delivered":                                 true,
		"your message will be delivered if you click":                                  true,
		"click " + far + "your message will be delivered":                              false,
		"message will be delivered " + far + " message will be delivered if you click": true,
		"click to add us to your approved senders":                                     false,
		"click to be added to the approved senders":                                    true,
	} {
		if got := newWords(normal(text)).together(asks, purposes); (got != "") != want {
			t.Errorf("%q: got %q", text, got)
		}
	}
}
