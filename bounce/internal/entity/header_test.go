package entity

import (
	"fmt"
	"strings"
	"testing"
)

// show is a header in one line.
func show(h Header) string {
	var out []string
	for f := range h.All() {
		out = append(out, f.Name+"="+f.Value)
	}
	return strings.Join(out, "|")
}

func TestReadHeader(t *testing.T) {
	for _, tt := range []struct{ name, in, want, rest string }{
		{"plain", "A: b\nC: d\n\nbody\n", "A=b|C=d", "body\n"},
		{"crlf", "A: b\r\nC: d\r\n\r\nbody\r\n", "A=b|C=d", "body\r\n"},
		{"folded", "A: b\n c\n\td\nE: f\n\n", "A=b c d|E=f", ""},
		{"folded value only", "A:\n b\n\n", "A=b", ""},
		{"white space before the colon", "A : b\nC\t:d\n\n", "A=b|C=d", ""},
		{"empty value", "A:\nB:   \n\n", "A=|B=", ""},
		{"broken without white space", "A: b\nrest of b\nC: d\n\nbody", "A=b rest of b|C=d", "body"},
		{"no empty line", "A: b\nThis is text\nand more of it\n", "A=b This is text", "and more of it\n"},
		{"boundary without an empty line", "A: b\n--x\nC: d\n", "A=b", "--x\nC: d\n"},
		{"empty line with white space", "A: b\n \t\nbody", "A=b", "body"},
		{"no header", "just text\nA: b\n", "", "just text\nA: b\n"},
		{"folded at the beginning", " folded\nA: b\n\n", "", " folded\nA: b\n\n"},
		{"empty line first", "\nbody", "", "body"},
		{"no end", "A: b", "A=b", ""},
		{"nothing", "", "", ""},
		{"colon first", ": b\nA: c\n\n", "", ": b\nA: c\n\n"},
		{"not ASCII", "Ä: b\n\n", "", "Ä: b\n\n"},
		{"prose with a colon", "A: b\n" + strings.Repeat("x", 101) + ": c\n\n", "A=b " + strings.Repeat("x", 101) + ": c", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, rest := readHeader([]byte(tt.in))
			if got := show(h); got != tt.want || string(rest) != tt.rest {
				t.Errorf("got  %q, %q\nwant %q, %q", got, rest, tt.want, tt.rest)
			}
		})
	}
}

func TestHeader(t *testing.T) {
	h, _ := readHeader([]byte("Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nX: 1\nx: 2\nsubject: b\n\n"))
	if h.Len() != 4 || h.Get("SUBJECT") != "Grüße" || h.Raw("subject") != "=?utf-8?q?Gr=C3=BC=C3=9Fe?=" || fmt.Sprint(h.Values("X")) != "[1 2]" || !h.Has("x") || h.Has("y") || h.Get("y") != "" || h.Values("y") != nil {
		t.Error(show(h))
	}
	for range h.All() { // stops when told so
		break
	}
	if (Header{}).Len() != 0 || (Header{}).Has("a") {
		t.Error("the zero header has something")
	}
}

func TestHeaderBounds(t *testing.T) {
	h, rest := readHeader([]byte(strings.Repeat("A: b\n", MaxFields+90_000) + "\nbody"))
	if h.Len() != MaxFields || string(rest) != "body" {
		t.Errorf("%d fields, %d bytes left", h.Len(), len(rest))
	}
	h, _ = readHeader([]byte("A: b\n" + strings.Repeat(" x\n", 2<<20)))
	if n := len(h.Raw("A")); h.Len() != 1 || n < MaxHeaderBytes || n > MaxHeaderBytes+10 {
		t.Errorf("%d bytes", n)
	}
	h, rest = readHeader([]byte("A: b\nB: " + strings.Repeat("x", MaxHeaderBytes) + "\nC: d\n\nbody"))
	if show(h) != "A=b" || string(rest) != "body" {
		t.Errorf("%d fields, %d bytes left", h.Len(), len(rest))
	}
}

func TestGroups(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"two", "A: b\n\nC: d\nE: f\n", "A=b / C=d|E=f"},
		{"many empty lines", "\n\r\n \t\nA: b\n\n\n \nC: d\n\n\n", "A=b / C=d"},
		{"no fields between", "A: b\n\nsome words\nmore\n\nC: d\n", "A=b / C=d"},
		{"text only", "some words\nmore words\n", ""},
		{"nothing", "", ""},
		{"white space", "\n \n\t", ""},
		{"limit", "A: b\n\nC: d\n\nE: f\n\nG: h\n", "A=b / C=d / E=f"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, g := range Groups([]byte(tt.in), 3) {
				got = append(got, show(g))
			}
			if s := strings.Join(got, " / "); s != tt.want {
				t.Errorf("got %q, want %q", s, tt.want)
			}
		})
	}
}
