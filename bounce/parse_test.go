package bounce

import (
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestParseReply(t *testing.T) {
	unknown := Status{5, 1, 1}
	for _, tt := range []struct {
		name, in string
		want     Reply
	}{
		{"plain", "550 5.1.1 No such user", Reply{Code: 550, Status: unknown, Lines: []string{"No such user"}}},
		{"no status", "550 No such user", Reply{Code: 550, Lines: []string{"No such user"}}},
		{"code only", "550", Reply{Code: 550}},
		{"code and status only", "550 5.1.1", Reply{Code: 550, Status: unknown}},
		{"nothing", " \r\n\t", Reply{}},
		{"no code", "Connection timed out", Reply{Lines: []string{"Connection timed out"}}},
		{"status without code", "5.1.1 user unknown", Reply{Status: unknown, Lines: []string{"user unknown"}}},
		{"wire lines", "550-5.1.1 a\r\n550 5.1.1 b\r\n", Reply{Code: 550, Status: unknown, Lines: []string{"a", "b"}}},
		{"wire lines, status on the last", "550-a\r\n550 5.1.1 b", Reply{Code: 550, Status: unknown, Lines: []string{"a", "b"}}},
		{"joined lines", "550-5.1.1 a 550-5.1.1 b 550 5.1.1 c", Reply{Code: 550, Status: unknown, Lines: []string{"a", "b", "c"}}},
		{"a code in the text of one line", "550 a 550 b", Reply{Code: 550, Lines: []string{"a 550 b"}}},
		{"empty line", "550-\r\n550 5.1.1 b", Reply{Code: 550, Status: unknown, Lines: []string{"b"}}},
		{"type", "smtp; 550 5.1.1 user unknown", Reply{Code: 550, Status: unknown, Lines: []string{"user unknown"}}},
		{"types", "X-Postfix; smtp; 550 user unknown", Reply{Code: 550, Lines: []string{"user unknown"}}},
		{"quoted by postfix", "host mx.example.com[192.0.2.1] said: 550 5.1.1 <a@example.com>: User unknown (in reply to RCPT TO command)",
			Reply{Code: 550, Status: unknown, Lines: []string{"<a@example.com>: User unknown (in reply to RCPT TO command)"}, Stage: StageRcpt, Host: "mx.example.com"}},
		{"quoted by exim", "SMTP error from remote mail server after RCPT TO:<a@example.com>: 550 user unknown",
			Reply{Code: 550, Lines: []string{"user unknown"}, Stage: StageRcpt}},
		{"quoted by sendmail", "<<< 550 5.1.1 user unknown", Reply{Code: 550, Status: unknown, Lines: []string{"user unknown"}}},
		{"after an arrow, no code before", "remote refused -> 550 <a@example.com>: User unknown", Reply{Code: 550, Lines: []string{"<a@example.com>: User unknown"}}},
		{"wrapped in a reply", "550 5.1.351 remote said -> 550 <a@example.com>: User unknown",
			Reply{Code: 550, Status: Status{5, 1, 351}, Lines: []string{"remote said -> 550 <a@example.com>: User unknown"}}},
		{"quoted with apostrophes", "5.1.0 - Unknown address error 550-'5.1.1 user unknown'", Reply{Code: 550, Status: unknown, Lines: []string{"user unknown'"}}},
		{"glued greeting", "220-mx.example.com 421 too many connections", Reply{Code: 421, Lines: []string{"too many connections"}}},
		{"greeting", "220 mx.example.com ESMTP", Reply{Code: 220, Lines: []string{"mx.example.com ESMTP"}}},
		{"words before the reply", "The host said:\r\n550-5.1.1 user\r\n550 5.1.1 unknown", Reply{Code: 550, Status: unknown, Lines: []string{"user", "unknown"}}},
		{"lines without a code", "user\r\nunknown", Reply{Lines: []string{"user unknown"}}},
		{"status at the end", "553 alas, no mailbox by that name (#5.1.1)",
			Reply{Code: 553, Status: unknown, Lines: []string{"alas, no mailbox by that name (#5.1.1)"}}},
		{"status with a hash", "550 #5.1.1 Address rejected", Reply{Code: 550, Status: unknown, Lines: []string{"Address rejected"}}},
		{"status within", "550 cuda_nsu 5.1.1 <a@example.com>", Reply{Code: 550, Status: unknown, Lines: []string{"cuda_nsu 5.1.1 <a@example.com>"}}},
		{"a version is no status", "550 example 4.92.3 refuses", Reply{Code: 550, Lines: []string{"example 4.92.3 refuses"}}},
		{"an address is no status", "550 rejected 5.1.1.1", Reply{Code: 550, Lines: []string{"rejected 5.1.1.1"}}},
		{"digits of code and status disagree", "421 5.7.32 not aligned", Reply{Code: 421, Status: Status{5, 7, 32}, Lines: []string{"not aligned"}}},
		{"odd code", "591 your host is refused", Reply{Code: 591, Lines: []string{"your host is refused"}}},
		{"text", "550 the recipient\u2019s\x00 domain \xff", Reply{Code: 550, Lines: []string{"the recipient\u2019s domain \uFFFD"}}},
		{"folded", "550 5.1.1 user\r\n unknown", Reply{Code: 550, Status: unknown, Lines: []string{"user", "unknown"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := ParseReply(tt.in); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("ParseReply(%q) =\n%#v, want\n%#v", tt.in, got, tt.want)
			}
		})
	}
}

// checkParsed holds a parsed reply against what ParseReply promises.
func checkParsed(t interface {
	Helper()
	Fatalf(string, ...any)
}, in string) {
	t.Helper()
	r := ParseReply(in)
	s := r.Text()
	if len(s) > maxReplyText || !utf8.ValidString(s) || strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		t.Fatalf("ParseReply(%q): text %q", in, s)
	}
	again := ParseReply(r.String())
	if again.Code != r.Code || again.Status != r.Status || again.Text() != s {
		t.Fatalf("ParseReply(%q) = %q, and again %q", in, r.String(), again.String())
	}
}

func TestParseReplyIdempotent(t *testing.T) {
	parts := rapid.SampledFrom([]string{"550", "550-", "421 ", " ", "5.1.1", "4.7.0", "#", "'", "\"", "(", ":", "->", "<<<", "said:", "host ",
		"smtp;", "\r\n", "220-", "a", "@", ".", "\xff", "\u2019", "\u00a0", "-", "250 "})
	rapid.Check(t, func(t *rapid.T) {
		checkParsed(t, strings.Join(rapid.SliceOf(parts).Draw(t, "parts"), ""))
	})
}

func TestParseReplyLong(t *testing.T) {
	for _, in := range []string{
		"550 " + strings.Repeat("x", 1<<20),
		strings.Repeat("550-line\r\n", 1<<16),
		"550-" + strings.Repeat("é 550-", 1<<16),
		strings.Repeat("smtp;", 1<<16),
	} {
		checkParsed(t, in)
	}
}

func FuzzParseReply(f *testing.F) {
	for _, s := range []string{"550 5.1.1 user unknown", "550-a\r\n550 b", "550-5.7.26 a 550 5.7.26 b", "smtp; 421 4.7.0 [TSS04]",
		"220-x 421 y", "host mx.example.com[192.0.2.1] said: 550 x", "5.1.0 - y 550-'5.7.1 z'", "x (#5.1.1)"} {
		f.Add(s)
	}
	c, err := NewClassifier(Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		checkParsed(t, s)
		checkVerdict(t, ParseReply(s), c.Classify("", ParseReply(s)))
	})
}

// A reply of printable ASCII costs the slice of its lines.
func TestParseReplyAllocates(t *testing.T) {
	for text, want := range map[string]float64{
		"550-5.1.1 <a@example.com>: Recipient address rejected:\r\n550 5.1.1 User unknown in virtual mailbox table": 1,
		"smtp; 550-5.7.26 a 550-5.7.26 b 550 5.7.26 c":                                                              1,
		"550": 0,
	} {
		if got := testing.AllocsPerRun(100, func() { ParseReply(text) }); got > want {
			t.Errorf("%q costs %v allocations, want %v", text, got, want)
		}
	}
}

func BenchmarkParseReply(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		ParseReply("550-5.1.1 <a@example.com>: Recipient address rejected:\r\n550 5.1.1 User unknown in virtual mailbox table")
	}
}

// From the text of a log to the verdict.
func BenchmarkParseAndClassify(b *testing.B) {
	c := newBuiltin(b)
	for name, text := range map[string]string{
		"wire":   "550-5.1.1 <a@example.com>: Recipient address rejected:\r\n550 5.1.1 User unknown in virtual mailbox table",
		"quoted": "host mx.example.com[192.0.2.1] said: 451 4.7.1 Greylisted, please try again in 300 seconds (in reply to RCPT TO command)",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Classify("", ParseReply(text))
			}
		})
	}
}
