package autoreply

import (
	"fmt"
	"testing"
)

func TestSplitSubject(t *testing.T) {
	for in, want := range map[string]string{
		"Hello":                              "[] head=( hello ) colon=false rest=( ) reply=false nested=false",
		"Re: Hello":                          "[] head=( re ) colon=true rest=( hello ) reply=true nested=false",
		"Auto: Re: Hello":                    "[] head=( auto ) colon=true rest=( re hello ) reply=false nested=true",
		"[Auto] [Ticket 1] Out: Hello (now)": "[ auto   ticket 1   now ] head=( out ) colon=true rest=( hello now ) reply=false nested=false",
		"【自動返信】件名":                           "[ 自動返信 ] head=( 件名 ) colon=false rest=( ) reply=false nested=false",
		"[open":                              "[] head=( open ) colon=false rest=( ) reply=false nested=false",
		"":                                   "[] head=( ) colon=false rest=( ) reply=false nested=false",
	} {
		s := splitSubject(in)
		if got := fmt.Sprintf("%s head=(%s) colon=%v rest=(%s) reply=%v nested=%v", s.marks, s.head, s.colon, s.rest, s.reply, s.nested); got != want {
			t.Errorf("%q:\n got %s\nwant %s", in, got, want)
		}
	}
}
