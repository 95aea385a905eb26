package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/warmup"
)

// provider is a mailbox provider with some of the readers.
type provider struct {
	name   string // as throttle's table has it
	domain string
	of10   int
}

// providers are all of them, the largest first.
func providers() []provider {
	return []provider{{"google", "gmail.example", 5}, {"outlook", "outlook.example", 3}, {"yahoo", "yahoo.example", 2}}
}

// perProvider is how many of n readers are at each provider.
func perProvider(n int) map[string]int {
	counts := map[string]int{}
	for i := range n {
		counts[providerOf(i).name]++
	}
	return counts
}

// providerOf is where a reader is, by the number.
func providerOf(n int) provider {
	place := n * 7 % 10 // so that every part of the list looks like the whole
	for _, p := range providers() {
		if place -= p.of10; place < 0 {
			return p
		}
	}
	return providers()[0] // not reached: the shares make ten
}

// reader is somebody on the list.
type reader struct {
	number   int
	address  string
	provider string
	unread   int // days since the last letter was opened
}

// list is the newsletter's list.
type list struct {
	readers []reader
	byID    map[string]*reader // by address
}

// oldest is how many days ago the laziest reader was here.
const oldest = 400

// newList makes a list of n readers. Most were here lately, some have not been for a year; the same n makes the same list.
func newList(n int) *list {
	l := &list{byID: map[string]*reader{}}
	for i := range n {
		p := providerOf(i)
		u := float64(i*7919%n) / float64(n)
		l.readers = append(l.readers, reader{number: i, address: fmt.Sprintf("reader%d@%s", i, p.domain), provider: p.name, unread: int(oldest * u * u)})
	}
	for i := range l.readers {
		l.byID[l.readers[i].address] = &l.readers[i]
	}
	return l
}

// campaign is a letter to the whole list, once or every week.
func (l *list) campaign(times int) warmup.Campaign {
	return warmup.Campaign{Messages: perProvider(len(l.readers)), Window: window, Every: week, Times: times}
}

// campaignOf is the letter once, its readers counted as the Sender counts them.
func (l *list) campaignOf(ctx context.Context, s *sender.Sender) (warmup.Campaign, error) {
	c := l.campaign(1)
	c.Messages = map[string]int{}
	known := map[string]string{} // provider by domain
	for _, r := range l.readers {
		_, domain, _ := strings.Cut(r.address, "@")
		if known[domain] == "" {
			name, err := s.ProviderOf(ctx, domain)
			if err != nil {
				return c, err
			}
			known[domain] = name
		}
		c.Messages[known[domain]]++
	}
	return c, nil
}

// Rank implements sender.Ranker: what a person waits for comes first, then who was here last.
func (l *list) Rank(_ context.Context, c sender.Candidate) int {
	r := l.byID[c.Recipient.Address]
	if c.Stream == account || r == nil {
		return sender.MaxRank
	}
	return sender.MaxRank - 1 - r.unread
}

// letter is the newsletter for one reader. Its ID makes sure that nobody gets it twice, however often it is handed over.
func letter(r reader) sender.Message {
	return sender.Message{
		ID: fmt.Sprintf("letter1.%d", r.number), Stream: newsletter, From: "bounces@example.com", To: []string{r.address},
		Data: fmt.Appendf(nil, "From: The Weekly <weekly@example.com>\r\nTo: <%s>\r\nSubject: This week\r\n"+
			"List-Unsubscribe: <https://example.com/unsubscribe>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\nHello!\r\n", r.address),
	}
}

// passwordReset is what must not wait for a young address, nor depend on it.
func passwordReset(r reader) sender.Message {
	return sender.Message{
		ID: fmt.Sprintf("%s.%d", account, r.number), Stream: account, WarmOnly: true, From: "bounces@example.com", To: []string{r.address},
		Data: fmt.Appendf(nil, "From: Example <account@example.com>\r\nTo: <%s>\r\nSubject: Your new password\r\n\r\nHello!\r\n", r.address),
	}
}
