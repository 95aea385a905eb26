package entity

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// tree is a message's parts: their types, and their bodies where they have no parts.
func tree(p *Part) string {
	if len(p.Parts) == 0 {
		return fmt.Sprintf("%s %q", p.MediaType, p.Body)
	}
	var out []string
	for _, c := range p.Parts {
		out = append(out, tree(c))
	}
	return p.MediaType + " [" + strings.Join(out, ", ") + "]"
}

func TestRead(t *testing.T) {
	const mixed = "Content-Type: multipart/mixed; boundary=b\n\n"
	const html = "Content-Type: text/html\n\n"
	for _, tt := range []struct{ name, in, want string }{
		{"plain", "A: b\n\nhello\n", `text/plain "hello\n"`},
		{"no header", "hello\nworld\n", `text/plain "hello\nworld\n"`},
		{"mailbox file", "From anna@example.net Mon Jun  1 12:00:00 2026\nA: b\n\nhello\n", `text/plain "hello\n"`},
		{"quoted mailbox file", "\n\n>From anna@example.net Mon Jun  1\nA: b\n\nhello\n", `text/plain "hello\n"`},
		{"byte order mark", "\xef\xbb\xbfContent-Type: text/html\n\nhello", `text/html "hello"`},
		{"multipart", mixed + "preamble\n--b\n\none\n--b\n" + html + "two\n--b--\nepilogue\n", `multipart/mixed [text/plain "one", text/html "two"]`},
		{"crlf", strings.ReplaceAll(mixed+"--b\n\none\n\n--b\n"+html+"two\n--b--\n", "\n", "\r\n"), `multipart/mixed [text/plain "one\r\n", text/html "two"]`},
		{"white space behind the boundary", mixed + "--b \t\n\none\n--b-- \n", `multipart/mixed [text/plain "one"]`},
		{"no last boundary", mixed + "--b\n\none\n--b\n" + html + "two\n", `multipart/mixed [text/plain "one", text/html "two\n"]`},
		{"closed at once", mixed + "--b--\n--b\n\none\n", `multipart/mixed "--b--\n--b\n\none\n"`},
		{"boundary at the very end", mixed + "--b\n\none\n--b", `multipart/mixed [text/plain "one"]`},
		{"empty part", mixed + "--b\n--b\n\n--b--\n", `multipart/mixed [text/plain "", text/plain ""]`},
		{"longer boundary inside", mixed + "--b\nContent-Type: multipart/mixed; boundary=bb\n\n--bb\n\none\n--bb--\n--b\n\ntwo\n--b--\n", `multipart/mixed [multipart/mixed [text/plain "one"], text/plain "two"]`},
		{"shorter boundary inside", "Content-Type: multipart/mixed; boundary=bb\n\n--bb\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n--bb\n\ntwo\n--bb--\n", `multipart/mixed [multipart/mixed [text/plain "one"], text/plain "two"]`},
		{"boundary within a line", mixed + "x --b\n--b\n\none --b\n --b\n--b--\n", `multipart/mixed [text/plain "one --b\n --b"]`},
		{"only as a beginning of lines", mixed + "--bb\n\none\n--bb--\n", `multipart/mixed "--bb\n\none\n--bb--\n"`},
		{"no boundary named", "Content-Type: multipart/mixed\n\n--bound\nContent-Type: text/html\n\none\n--bound--\n", `multipart/mixed [text/html "one"]`},
		{"another boundary named", "Content-Type: multipart/mixed; boundary=x\n\n--bound\n" + html + "one\n--bound--\n", `multipart/mixed [text/html "one"]`},
		{"no type, boundary in the body", "A: b\n\n--bound\n" + html + "one\n--bound--\n", `text/plain [text/html "one"]`},
		{"no type, remark first", "A: b\n\nThis is a message with parts\n\n--bound\n" + html + "one\n--bound--\n", `text/plain [text/html "one"]`},
		{"no type, second part has a field", "A: b\n\n--bound\n\none\n--bound\n" + html + "two\n--bound--\n", `text/plain [text/plain "one", text/html "two"]`},
		{"a signature is no boundary", "A: b\n\n-- \nAnna\n", `text/plain "-- \nAnna\n"`},
		{"text first", "A: b\n\nHi!\n--bound\n" + html + "one\n--bound--\n", `text/plain "Hi!\n--bound\nContent-Type: text/html\n\none\n--bound--\n"`},
		{"html is not split", "Content-Type: text/html\n\n--bound\n" + html + "one\n--bound--\n", `text/html "--bound\nContent-Type: text/html\n\none\n--bound--\n"`},
		{"boundary that is quoted", "Content-Type: multipart/mixed; boundary=\"a b \"\n\n--a b\n\none\n--a b--\n", `multipart/mixed [text/plain "one"]`},
		{"boundary with a line end", "Content-Type: multipart/mixed; boundary*=utf-8''a%0Ab\n\n--a\nb\n\none\n--a\nb--\n", `multipart/mixed [text/plain "one"]`},
		{"boundary with a CR", "Content-Type: multipart/mixed; boundary=\"a\r\"\n\n--a\r\n\none\n--a--\n", `multipart/mixed [text/plain "one\n--a--\n"]`},
		{"broken parameters", "Content-Type: multipart/mixed; boundary=b; name=x y; =;\n\n--b\n\none\n--b--\n", `multipart/mixed [text/plain "one"]`},
		{"broken type", "Content-Type: hello; boundary=b\n\none\n", `text/plain "one\n"`},
		{"message", "Content-Type: message/rfc822\n\nContent-Type: text/html\n\none", `message/rfc822 [text/html "one"]`},
		{"empty message", "Content-Type: message/rfc822\n\n \n\n", `message/rfc822 " \n\n"`},
		{"message of a mailbox file", "Content-Type: message/rfc822\n\n\nFrom x\nA: b\n\none", `message/rfc822 [text/plain "one"]`},
		{"headers", "Content-Type: text/rfc822-headers\n\nA: b\nC: d\n", `text/rfc822-headers [text/plain ""]`},
		{"message in base64", "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nQTogYgoKb25l\n", `message/rfc822 [text/plain "one"]`},
		{"digest", "Content-Type: multipart/digest; boundary=b\n\n--b\n\nA: b\n\none\n--b\n" + html + "two\n--b--\n", `multipart/digest [message/rfc822 [text/plain "one"], text/html "two"]`},
		{"base64", "Content-Transfer-Encoding: BASE64\n\naGVs\nbG8=\n", `text/plain "hello"`},
		{"base64 with rubbish behind it", "Content-Transfer-Encoding: base64\n\naGVsbG8=\n!!!!\n", `text/plain "hello"`},
		{"not base64", "Content-Transfer-Encoding: base64\n\n<p>this is not encoded at all</p>\n", `text/plain "<p>this is not encoded at all</p>\n"`},
		{"quoted-printable", "Content-Transfer-Encoding: \"quoted-printable\"; x\n\na=3Db=\nc\n", `text/plain "a=bc\n"`},
		{"quoted-printable, broken", "Content-Transfer-Encoding: quoted-printable\n\na=ZZb =3D\n", `text/plain "a=ZZb =\n"`},
		{"unknown encoding", "Content-Transfer-Encoding: x-rot13\n\nuryyb\n", `text/plain "uryyb\n"`},
		{"encoding of a multipart", "Content-Transfer-Encoding: base64\n" + mixed + "--b\n\none\n--b--\n", `multipart/mixed [text/plain "one"]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := Read([]byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if got := tree(p); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestReadErrors(t *testing.T) {
	for in, want := range map[string]error{
		"": ErrEmpty, "\n": ErrEmpty, " \r\n\t\n": ErrEmpty, "\xef\xbb\xbf\n": ErrEmpty, "From x\n\n": ErrEmpty,
		strings.Repeat("\n", MaxBytes+1): ErrTooLarge,
	} {
		if p, err := Read([]byte(in)); p != nil || !errors.Is(err, want) {
			t.Errorf("%.20q: %v", in, err)
		}
	}
	if _, err := Read([]byte("A: b\n\n" + strings.Repeat("x", MaxBytes-6))); err != nil {
		t.Error(err)
	}
}

func TestFind(t *testing.T) {
	p, err := Read([]byte("Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\none\n--b\nContent-Type: message/rfc822\n\nContent-Type: text/html\n\ntwo\n--b\n\nthree\n--b--\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range p.Find("text/html", "message/rfc822") {
		got = append(got, f.MediaType)
	}
	if fmt.Sprint(got) != "[text/html message/rfc822 text/html]" || p.Find("image/png") != nil {
		t.Error(got)
	}
	n := 0
	p.Walk(func(p *Part) bool { n++; return p.MediaType == "message/rfc822" })
	if n != 4 {
		t.Errorf("%d parts", n)
	}
}

// count is how many parts a message has, and how deep they are.
func count(p *Part) (parts, depth int) {
	parts = 1
	for _, c := range p.Parts {
		n, d := count(c)
		parts, depth = parts+n, max(depth, d+1)
	}
	return parts, depth
}

// hostile are messages of about size bytes that are made to cost a lot.
func hostile(size int) map[string]string {
	fill := func(s string) string { return strings.Repeat(s, size*9/10/len(s)) }
	const named = "Content-Type: multipart/mixed; boundary=b\n\n"
	nest := func(levels int, header, body string) string { return strings.Repeat(header, levels) + body }
	var boundaries, decoys, near, levels strings.Builder
	for i := range 100 {
		fmt.Fprintf(&boundaries, "Content-Type: multipart/mixed; boundary=%s\n\n--%s\n", strings.Repeat("b", i+1), strings.Repeat("b", i+1))
		fmt.Fprintf(&decoys, "--decoy%d\n", i)
		fmt.Fprintf(&levels, "Content-Type: multipart/mixed\n\n%s", decoys.String())
	}
	for i := 0; near.Len() < size*9/10; i++ {
		near.WriteString("--b" + strings.Repeat("b", i%7) + "-\n")
	}
	return map[string]string{
		"one line":                  "A: b\n\n" + fill("x"),
		"line ends":                 "A: b\n\n" + fill("\n"),
		"spaces":                    "A: b\n\n" + fill(" "),
		"parts":                     named + fill("--b\nA: b\n\nx\n"),
		"empty parts":               named + fill("--b\n"),
		"nearly boundaries":         named + "--b\n" + near.String(),
		"boundaries in a line":      named + "--b\n" + fill("--b"),
		"closing in a line":         named + "--b\n" + fill("--b--"),
		"nested multipart":          boundaries.String() + fill("x\n"),
		"nested, line ends":         boundaries.String() + fill("\n"),
		"nested, one boundary":      nest(100, "Content-Type: multipart/mixed; boundary=b\n\n--b\n", fill("x\n")),
		"nested messages":           nest(100, "Content-Type: message/rfc822\n\n", fill("x\n")),
		"nested messages, spaces":   nest(100, "Content-Type: message/rfc822\n\n", "A: b\n\n"+fill(" ")),
		"nested messages, encoded":  nest(100, "Content-Type: message/rfc822\nContent-Transfer-Encoding: quoted-printable\n\n", fill("x\n")),
		"nested base64":             nest(100, "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n", fill("QUFB\n")),
		"nested digests":            nest(100, "Content-Type: multipart/digest; boundary=b\n\n--b\n\n", fill("x\n")),
		"digests that name no type": nest(100, "\n--b\nContent-Type: multipart/digest; boundary=b\n\n--b\n\n", fill("x\n")),
		"fields":                    fill("A: b\n"),
		"short fields":              fill("A:\n"),
		"fields of all parts":       named + fill("--b\n"+strings.Repeat("A: b\n", 100)),
		"field":                     "A: " + fill("x"),
		"folded field":              "A: b\n" + fill(" x\n"),
		"not folded":                fill("A: b\nx\n"),
		"type":                      "Content-Type: multipart/mixed; " + fill("a*0=b; ") + "\n\nx",
		"types":                     named + fill("--b\nContent-Type: multipart/mixed; a*0=b; c=d; e\n\n"),
		"front":                     fill("From x\n") + "A: b\n\nx",
		"front of nested":           nest(20, "Content-Type: message/rfc822\n\n", fill(">From x\n")+"A: b\n\nx"),
		"decoys":                    levels.String() + fill("x\n"),
		"decoys, one line":          levels.String() + fill("-"),
		"html":                      "Content-Type: text/html\n\n" + fill("<p>a<!-- "),
		"html attributes":           "Content-Type: text/html\n\n<a " + fill("b=c "),
		"shift":                     "Content-Type: text/plain; charset=iso-2022-jp\n\n" + fill("\x1b$B$\"\x1b(B"),
		"8 bit":                     "Content-Type: text/plain; charset=iso-2022-jp\n\n" + fill("\xa4\xa2\xff"),
		"encoded words":             "Subject: " + strings.Repeat("=?utf-8?q?a?= ", size/20) + "\n\nx",
		"open encoded words":        "Subject: " + strings.Repeat("=?", size/20) + "\n\nx",
	}
}

// readAll does with a message all that readers do.
func readAll(raw string) *Part {
	p, err := Read([]byte(raw))
	if err != nil {
		return nil
	}
	p.Walk(func(p *Part) bool {
		if len(p.Parts) == 0 {
			_ = p.Text()
		}
		return false
	})
	_ = p.Header.Get("Subject")
	_ = Groups(p.Body, 10_000)
	return p
}

// TestHostile: parts and levels have a bound.
func TestHostile(t *testing.T) {
	for name, raw := range hostile(256 << 10) {
		p := readAll(raw)
		if p == nil {
			t.Errorf("%s: not read", name)
			continue
		}
		if parts, depth := count(p); parts > MaxParts || depth > MaxDepth {
			t.Errorf("%s: %d parts, %d levels", name, parts, depth)
		}
	}
}

func TestBounds(t *testing.T) {
	all := hostile(256 << 10)
	for name, want := range map[string][2]int{
		"parts": {MaxParts, 1}, "empty parts": {MaxParts, 1}, "nested multipart": {MaxDepth + 1, MaxDepth}, "nested messages": {MaxDepth + 1, MaxDepth},
		"nearly boundaries": {2, 1}, "boundaries in a line": {2, 1}, "one line": {1, 0},
	} {
		if parts, depth := count(readAll(all[name])); parts != want[0] || depth != want[1] {
			t.Errorf("%s: %d parts, %d levels; want %v", name, parts, depth, want)
		}
	}
	p, err := Read([]byte("Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\n\nx\n", 5000) + "--b--\n"))
	if err != nil || len(p.Parts) != MaxParts-1 {
		t.Errorf("%d parts, %v", len(p.Parts), err)
	}
}

func BenchmarkHostile(b *testing.B) {
	for name, raw := range hostile(10 << 20) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if readAll(raw) == nil {
					b.Fatal("not read")
				}
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	for _, raw := range hostile(2 << 10) {
		f.Add([]byte(raw))
	}
	f.Add([]byte("From x\nA: b\nContent-Type: multipart/report; boundary=\"a\r\"\n\n--a\r\n\n=\n--a--"))
	f.Add([]byte("Content-Type: multipart/digest; boundary*0=a; boundary*1=b\n\n--ab\n\nSubject: =?iso-2022-jp?b?GyRCJCI=?=\n\nx"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := string(raw)
		p, err := Read(raw)
		if err != nil {
			return
		}
		parts, depth := count(p)
		if parts > MaxParts || depth > MaxDepth {
			t.Fatalf("%d parts, %d levels", parts, depth)
		}
		_ = readAll(before)
		if string(raw) != before {
			t.Fatal("the message was changed")
		}
	})
}
