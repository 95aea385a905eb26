package bounce

import (
	"reflect"
	"testing"
)

func TestAppendNormal(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", " "},
		{"No such User!", " no such user "},
		{"<a@example.com>: Mailbox-quota exceeded", " @ mailbox quota exceeded "},
		{"<some.one@example.com> <b@example.com>", " @ "},
		{"user <nosuch> unknown", " user @ unknown "},
		{"<mx.example.com[192.0.2.1]>: Client host rejected", " mx example com # client host rejected "},
		{"<http://example.com/why>", " http example com why "},
		{"<>", " "},
		{"IP=192.0.2.1, see http://example.net/?ip=192.0.2.1.", " ip # see http example net ip # "},
		{"listed at zen.example.org;", " listed at zen example org "},
		{"doesn't doesn\u2019t", " doesnt doesnt "},
		{"[TSS04] (#5.7.1)", " tss04 5 7 1 "},
		{"Empfänger ungültig, boîte pleine, gesperrt ß", " empfanger ungultig boite pleine gesperrt s "},
		{"user a@example.com...does not exist", " user @ does not exist "},
		{"ПОЛЬЗОВАТЕЛЬ не найден", " пользователь не найден "},
		{"mime_banned_file", " mime banned file "},
		{"999.1.1.1.1 1.2.3", " 999 1 1 1 1 1 2 3 "},
	} {
		if got := string(appendNormal(nil, []string{tt.in})); got != tt.want {
			t.Errorf("appendNormal(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestExpandPhrase(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want []string
	}{
		{"user unknown", []string{" user unknown "}},
		{"{user|mailbox|} {is |}full", []string{" user is full ", " user full ", " mailbox is full ", " mailbox full ", " is full ", " full "}},
		{"greylist*", []string{" greylist"}},
		{"*spamhaus*", []string{"spamhaus"}},
		{"@ unknown #", []string{" @ unknown # "}},
		{"User", nil},
		{"doesn't", nil},
		{"a {b", nil},
		{"a } {b", nil},
		{"a* b", nil},
		{"", nil},
	} {
		got, err := expandPhrase(tt.in)
		if !reflect.DeepEqual(got, tt.want) || (err == nil) == (tt.want == nil) {
			t.Errorf("expandPhrase(%q) = %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
}
