package main

import (
	"fmt"
	"iter"
	"strings"

	"github.com/reputemail/repute/sender"
)

// The domains that are written to.
const (
	gmail       = "gmail.example"
	outlook     = "outlook.example"
	yahoo       = "yahoo.example"  // limits the rate
	docomo      = "docomo.example" // a mobile carrier in Japan
	plain       = "alpine.example"
	greylisting = "maple.example"
	nowhere     = "nowhere.example" // does not exist
	nullMX      = "nomail.example"  // takes no mail (RFC 7505)
)

// shares are how many of 100 messages go to each domain.
func shares() []share {
	return []share{
		{gmail, 30}, {outlook, 22}, {yahoo, 14}, {docomo, 10}, {plain, 12}, {greylisting, 10}, {nowhere, 1}, {nullMX, 1},
	}
}

type share struct {
	domain string
	of100  int
}

// letters are n messages, of which a quarter is transactional, mixed so that every part of them looks like the whole.
// The same n gives the same messages.
func letters(n int) iter.Seq[sender.Message] {
	return func(yield func(sender.Message) bool) {
		written := map[string]int{}
		for i := range n {
			domain, stream := domainOf(i*37%100), marketing
			if (i+i/100)%4 == 0 {
				stream = transactional
			}
			written[stream+domain]++
			if !yield(letter(stream, recipient(i, written[stream+domain], domain))) {
				return
			}
		}
	}
}

// domainOf is the domain that has a place from 0 to 99.
func domainOf(place int) string {
	for _, s := range shares() {
		if place -= s.of100; place < 0 {
			return s.domain
		}
	}
	return gmail // not reached: the shares make 100
}

// The local-parts: everybody who exists is a reader, and one of fifty has left.
const (
	reader  = "reader"
	left    = "left"
	aPerson = 50
)

func recipient(i, nth int, domain string) string {
	if nth%aPerson == aPerson/2 {
		return fmt.Sprintf("%s%d@%s", left, i, domain)
	}
	return fmt.Sprintf("%s%d@%s", reader, i, domain)
}

// unknown reports whether a receiver does not know an address.
func unknown(address string) bool { return strings.HasPrefix(address, left) }

// letter is one message. The Sender adds Date and Message-ID.
func letter(stream, to string) sender.Message {
	subject, unsubscribe := "Your receipt", ""
	if stream == marketing {
		subject = "What is new this week"
		unsubscribe = "List-Unsubscribe: <https://example.com/unsubscribe>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
	}
	return sender.Message{
		Stream: stream,
		From:   "bounces@example.com",
		To:     []string{to},
		Data: []byte("From: Example Shop <shop@example.com>\r\nTo: <" + to + ">\r\nSubject: " + subject + "\r\n" + unsubscribe +
			"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n" +
			strings.Repeat("This message was sent by the quickstart and went no further than this machine.\r\n", 12)),
	}
}
