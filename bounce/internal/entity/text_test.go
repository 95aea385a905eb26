package entity

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"ascii", "\n\nhello\r\nworld\r\n", "hello\nworld\n"},
		{"utf-8", "Content-Type: text/plain; charset=utf-8\n\nGrüße", "Grüße"},
		{"latin-1", "Content-Type: text/plain; charset=\"ISO-8859-1\"\n\nGr\xfc\xdfe", "Grüße"},
		{"wrong name, utf-8", "Content-Type: text/plain; charset=us-ascii\n\nGrüße", "Grüße"},
		{"unknown name", "Content-Type: text/plain; charset=x-unknown\n\nGr\xfc\xdfe", "Grüße"},
		{"no name", "A: b\n\nGr\xfc\xdfe", "Grüße"},
		{"latin-1 that is utf-8", "Content-Type: text/plain; charset=iso-8859-1\n\nGrüße", "Grüße"},
		{"koi8-r", "Content-Type: text/plain; charset=koi8-r\n\n\xd0\xd2\xc9\xd7\xc5\xd4", "привет"},
		{"gb2312", "Content-Type: text/plain; charset=gb2312\n\n\xc4\xe3\xba\xc3", "你好"},
		{"iso-2022-jp", "Content-Type: text/plain; charset=iso-2022-jp\n\n\x1b$B$\"$$\x1b(B!", "あい!"},
		{"iso-2022-jp without a name", "A: b\n\n\x1b$B$\"$$\x1b(B!", "あい!"},
		{"iso-2022-jp under another name", "Content-Type: text/plain; charset=utf-8\n\n\x1b$B$\"$$\x1b(B!", "あい!"},
		{"euc-jp", "Content-Type: text/plain; charset=euc-jp\n\n\xa4\xa2\xa4\xa4", "あい"},
		{"euc-jp as iso-2022-jp", "Content-Type: text/plain; charset=iso-2022-jp\n\n\xa4\xa2\xa4\xa4", "あい"},
		{"shift_jis", "Content-Type: text/plain; charset=Shift_JIS\n\n\x82\xa0\x82\xa2", "あい"},
		{"shift_jis as iso-2022-jp", "Content-Type: text/plain; charset=iso-2022-jp\n\n\x82\xa0\x82\xa2", "あい"},
		{"html", "Content-Type: text/html\n\n<title>x</title><style>p {}</style><p>a &lt;b&gt;</p><br>c<script>d</script><table><tr><td>e</td><td>f</td></tr></table>", "\na <b>\n\nc\n\n e f\n\n"},
		{"html, broken", "Content-Type: text/html\n\n<p>a<b", "\na"},
		{"html, never ends", "Content-Type: text/html\n\n<script>a</p>", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := Read([]byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Text(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestDecode(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "hello": "hello", "=?utf-8?q?Gr=C3=BC=C3=9Fe?=": "Grüße", "=?iso-8859-1?b?R3L832U=?= you": "Grüße you",
		"=?utf-8?q?a?=\t=?utf-8?q?b?=": "ab", "=?iso-2022-jp?b?GyRCJCIbKEI=?=": "あ", "=?x-unknown?q?Gr=FC=DFe?=": "Grüße", "=?utf-8?q?open": "=?utf-8?q?open", "=?utf-8?x?a?=": "=?utf-8?x?a?=",
		"Gr\xfc\xdfe": "Grüße", "Grüße": "Grüße",
	} {
		if got := Decode(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// FuzzText: text is UTF-8, whatever the charset and type.
func FuzzText(f *testing.F) {
	f.Add([]byte("Gr\xfc\xdfe"), "iso-8859-1", false)
	f.Add([]byte("\x1b$B$\"\x1b(B\xff"), "iso-2022-jp", true)
	f.Add([]byte("<p>\xff&lt;</p>"), "utf-8", true)
	f.Add([]byte("+AGE-\xff"), "utf-16le", false)
	f.Fuzz(func(t *testing.T, body []byte, charset string, html bool) {
		p := &Part{MediaType: "text/plain", Body: body, Params: map[string]string{"charset": charset}}
		if html {
			p.MediaType = "text/html"
		}
		if s := p.Text(); !utf8.ValidString(s) {
			t.Fatalf("%q", s)
		}
		if s := Decode("=?" + strings.ToValidUTF8(charset, "") + "?q?" + string(body) + "?="); !utf8.ValidString(s) {
			t.Fatalf("%q", s)
		}
	})
}
