package main

import (
	"fmt"

	"github.com/reputemail/repute/sender"
)

const newsletter = "newsletter"

// group says what becomes of mail to a reader.
type group string

// The groups.
const (
	reads     group = "reads it"
	dead      group = "mailbox is gone"
	full      group = "mailbox is full"
	blocked   group = "our address is on a list"
	complains group = "calls it spam"
	away      group = "is on holiday"
	forged    group = "bounce is forged"
)

// groups are all of them, with how many of twenty readers are in each.
func groups() []struct {
	group
	of20 int
} {
	return []struct {
		group
		of20 int
	}{{reads, 12}, {dead, 2}, {full, 1}, {blocked, 2}, {complains, 1}, {away, 1}, {forged, 1}}
}

// reader is somebody on the newsletter's list.
type reader struct {
	address string
	group   group
}

// people are n readers.
func people(n int) []reader {
	var twenty []group
	for _, g := range groups() {
		for range g.of20 {
			twenty = append(twenty, g.group)
		}
	}
	out := make([]reader, n)
	for i := range out {
		out[i] = reader{fmt.Sprintf("reader%d@%s", i+1, mailDomain), twenty[i%len(twenty)]}
	}
	return out
}

// letter is one copy of the newsletter. Its From and bounces go where the stream's ReturnPath says.
func letter(r reader, name string) sender.Message {
	return sender.Message{
		Stream: newsletter, From: "news@example.com", To: []string{r.address},
		Data: fmt.Appendf(nil, "From: News <news@example.com>\r\nTo: <%s>\r\nSubject: The %s newsletter\r\n\r\nHello!\r\n", r.address, name),
	}
}
