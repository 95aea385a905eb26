package throttle

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestReplyText(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{" \t\r\n", ""},
		{"Too MANY  connections\r\n", "too many connections"},
		{"\tfirst\r\nsecond\u00a0third", "first second third"},
		{"user\u2019s `quota\u00b4", "user's 'quota'"},
		{"[TSS04] Ü É", "[tss04] ü é"},
		{"a\x00b\x7fc", "a b c"},
		{"a\xffb", "a\ufffdb"},
		{"\u0085x\u0085", "x"},
	} {
		if got := string(appendReplyText(nil, c.text)); got != c.want {
			t.Errorf("%q: got %q, want %q", c.text, got, c.want)
		}
	}
	if got := appendReplyText([]byte("as it was"), " X "); string(got) != "as it wasx" {
		t.Errorf("what was there before: %q", got)
	}
	if got := appendReplyText(nil, strings.Repeat("word ", 4<<10)); len(got) > maxReplyText+4 {
		t.Errorf("%d bytes", len(got))
	}
}

// What is in normal form stays as it is; otherwise a phrase in that form could be refused, or one never match.
func TestReplyTextProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		normal := string(appendReplyText(nil, text))
		if again := string(appendReplyText(nil, normal)); again != normal {
			t.Fatalf("%q becomes %q and that %q", text, normal, again)
		}
		if normal == "" || strings.Contains(normal, "*") {
			return
		}
		p, err := parsePhrase(normal)
		if err != nil {
			t.Fatal(err)
		}
		for _, whole := range []string{text, "(" + text + ")", "begin " + text + " end"} {
			if !p.in(appendReplyText(nil, whole)) {
				t.Fatalf("the phrase %q is not in %q", normal, whole)
			}
		}
	})
}

func TestPhrase(t *testing.T) {
	for _, c := range []struct {
		phrase, text string
		want         bool
	}{
		{"ts02", "421 [TS02] deferred", true},
		{"ts02", "ts02", true},
		{"ts02", "421-ts02.html", true},
		{"ts02", "IPTS02", false},
		{"ts02", "TS021", false},
		{"ts02", "xts02 ts02x ts02", true},
		{"ts02", "éts02", false},
		{"ts02", "", false},
		{"ofr005_104", "OFR005_104 [104]", true},
		{"ofr005", "OFR005_104", true},
		{"[bl2*", "[BL21]", true},
		{"[bl2*", "bl21", false},
		{"throttl*", "Throttling", true},
		{"throttl*", "unthrottled", false},
		{"*limited", "RateLimited", true},
		{"*limited", "limitedly", false},
		{"*频率*", "发信频率过高", true},
		{"频率", "发信频率过高", false},
		{"too many connections", "Too  many\r\nconnections", true},
		{"user's", "the user\u2019s", true},
	} {
		p, err := parsePhrase(c.phrase)
		if err != nil {
			t.Errorf("%q: %v", c.phrase, err)
		} else if got := p.in(appendReplyText(nil, c.text)); got != c.want {
			t.Errorf("%q in %q: %v", c.phrase, c.text, got)
		}
	}
	for phrase, want := range map[string]string{
		"":               "empty",
		"*":              "empty",
		"**":             "empty",
		"TS02":           `never has "TS02", but "ts02"`,
		"too  many":      `but "too many"`,
		" ts02":          `but "ts02"`,
		"user\u2019s":    `but "user's"`,
		"too\tmany":      `but "too many"`,
		"too * many":     "at an end only",
		"connections **": "at an end only",
		"connections *":  "never has",
	} {
		if _, err := parsePhrase(phrase); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: want %s, got %v", phrase, want, err)
		}
	}
}

// Whatever the text, normalising it is bounded and leaves text in which phrases can be looked for.
func FuzzReplyText(f *testing.F) {
	f.Add("421 4.7.0 [TSS04] Messages from 192.0.2.1", "tss04")
	f.Add("l\u2019adresse\xff\xfe", "l'adresse")
	f.Fuzz(func(t *testing.T, text, phrase string) {
		normal := appendReplyText(nil, text)
		if len(normal) > maxReplyText+4 {
			t.Fatalf("%d bytes", len(normal))
		}
		if p, err := parsePhrase(phrase); err == nil {
			p.in(normal)
		}
	})
}
