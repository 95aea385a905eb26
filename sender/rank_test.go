package sender_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/sendertest"
	"github.com/reputemail/repute/warmup"
)

// readers ranks the stream "password" above all, and recipients by the number in their name.
var readers = sender.RankerFunc(func(_ context.Context, c sender.Candidate) int {
	if c.Stream == "password" {
		return 5000 // taken for MaxRank
	}
	n := 0
	fmt.Sscanf(c.Recipient.Address, "user%d@", &n)
	return n
})

// TestScarceSlotsGoToTheBest: of mail that waits for the allowance of a path, in several lanes and streams, the best goes first, also what came last.
func TestScarceSlotsGoToTheBest(t *testing.T) {
	for _, direct := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			inbox, err := sendertest.NewInbox(sendertest.InboxConfig{})
			w.must(err)
			for _, domain := range []string{"a.example", "b.example"} {
				w.mx(domain, sendertest.ServerConfig{Inbox: inbox})
			}
			cfg := w.coldAndWarm(warmup.Plan{Stages: []warmup.Stage{{Day: 20, Hour: 20, Minute: 20}, {Day: 35, Hour: 35, Minute: 35}}}, false)
			cfg.Ranker = readers
			cfg.Providers = oneProvider{}
			cfg.Streams = []sender.Stream{{Name: "news", Weight: 100}, {Name: "password"}}
			s := w.start(cfg)
			enqueue := func(stream, to string) {
				m := note(to)
				m.Stream = stream
				_, err := s.Enqueue(context.Background(), m)
				w.must(err)
			}
			for i := range 20 { // uses the first day up
				enqueue("news", fmt.Sprintf("first%d@a.example", i))
			}
			time.Sleep(time.Minute)
			if n := inbox.Len(); n != 20 {
				t.Fatalf("%d on the first day", n)
			}
			order := []int{}
			for i := range 60 {
				order = append(order, (i*37)%60)
			}
			for _, i := range order {
				enqueue("news", fmt.Sprintf("user%d@%c.example", i, 'a'+rune(i%2)))
				if !direct {
					time.Sleep(11 * time.Minute) // leases go back meanwhile
				}
			}
			enqueue("password", "someone@b.example")
			time.Sleep(25 * time.Hour)
			var second []string
			for _, m := range inbox.Messages()[20:] {
				second = append(second, m.To[0])
			}
			want := []string{"someone@b.example"}
			for i := 59; len(want) < len(second); i-- {
				want = append(want, fmt.Sprintf("user%d@%c.example", i, 'a'+rune(i%2)))
			}
			if len(second) < 18 {
				t.Fatalf("%d on the second day", len(second))
			}
			slices.Sort(second)
			slices.Sort(want)
			if !slices.Equal(second, want) {
				t.Errorf("direct %t: the second day had\n%s\nwant\n%s", direct, strings.Join(second, " "), strings.Join(want, " "))
			}
		})
	}
}

// oneProvider says that one operator serves all.
type oneProvider struct{}

func (oneProvider) Provider(string, []string) string { return "all" }

// TestPriorityBeforeRank: what the message says comes before what the Ranker says.
func TestPriorityBeforeRank(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		mx := w.mx("example.com", sendertest.ServerConfig{})
		cfg := w.coldAndWarm(warmup.Plan{Stages: []warmup.Stage{{Day: 2, Hour: 2, Minute: 2}}}, false)
		cfg.Ranker = readers
		s := w.start(cfg)
		w.enqueue(s, users(2, "example.com")...)
		time.Sleep(time.Minute)
		w.enqueue(s, "user9@example.com", "user8@example.com")
		m := note("user1@example.com")
		m.Priority = 1
		_, err := s.Enqueue(context.Background(), m)
		w.must(err)
		time.Sleep(25 * time.Hour)
		got := mx.Inbox().Messages()
		if len(got) < 4 || got[2].To[0] != "user1@example.com" || got[3].To[0] != "user9@example.com" {
			t.Errorf("%d arrived: %v", len(got), got)
		}
	})
}
