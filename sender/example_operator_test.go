package sender_test

import (
	"context"
	"fmt"
	"log"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/sendertest"
)

// A campaign went out with a wrong link: its stream is suspended at once, the mail of the one message is given up, and the rest goes on over another pool.
func ExampleSender_Suspend() {
	ctx := context.Background()
	internet := newInternet()
	defer internet.close()
	internet.mailExchanger("example.org", sendertest.Script{})
	s, err := sender.New(sender.Config{
		Routes: []sender.Route{
			{Name: "mta1", LocalAddr: "198.51.100.25", Hostname: "mta1.example.com"},
			{Name: "mta2", LocalAddr: "198.51.100.26", Hostname: "mta2.example.com"},
		},
		Pools:   []sender.Pool{{Name: "news", Routes: []string{"mta1"}}, {Name: "spare", Routes: []string{"mta2"}}},
		Streams: []sender.Stream{{Name: "news", Pool: "news"}},
		Dial:    internet.network.Dial,
		DialDNS: internet.network.DialContext,
		DNS:     []string{internet.dns.Addr()},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer s.Stop(ctx)

	by := sender.Act{Actor: "ada", Reason: "the link is wrong"}
	news := sender.Target{Stream: "news"}
	if err := s.Suspend(ctx, sender.Hold{Target: news, Act: by}); err != nil {
		log.Fatal(err)
	}
	for id, to := range map[string][]string{"campaign": {"anna@example.org", "berta@example.org"}, "weekly": {"carla@example.org"}} {
		_, err := s.Enqueue(ctx, sender.Message{
			ID: id, From: "news@example.com", To: to,
			Data: []byte("From: News <news@example.com>\r\nSubject: News\r\n\r\nHello.\r\n"),
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	why, err := s.Explain(ctx, "campaign")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(why[0].State, why[0].Waits[0])

	bounced, err := s.Bounce(ctx, sender.Filter{MessageIDs: []string{"campaign"}}, by)
	if err != nil {
		log.Fatal(err)
	}
	moved, err := s.Move(ctx, sender.Filter{Streams: []string{"news"}}, sender.MoveTo{Pool: "spare"}, by)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(bounced.Done, "bounced,", moved.Done, "moved")

	if err := s.Resume(ctx, news, sender.Act{Actor: "ada", Reason: "the rest is fine"}); err != nil {
		log.Fatal(err)
	}
	if why, err = s.Explain(ctx, "campaign"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(why[0].State, why[0].History[0].Reply.Text())
	// Output:
	// waiting suspended: stream news is suspended by ada: the link is wrong
	// 2 bounced, 1 moved
	// bounced given up by an operator: the link is wrong
}

// An address has to be given up: its route is suspended, so that new mail takes the others of the pool. This pool has none, so that what waits is moved to another one. Such mail is
// bound to no route yet: it is found by its stream.
func ExampleSender_Move() {
	ctx := context.Background()
	internet := newInternet()
	defer internet.close()
	internet.mailExchanger("example.org", sendertest.Script{})
	delivered := make(chan string)
	s, err := sender.New(sender.Config{
		Routes: []sender.Route{
			{Name: "mta1", LocalAddr: "198.51.100.25", Hostname: "mta1.example.com"},
			{Name: "mta2", LocalAddr: "198.51.100.26", Hostname: "mta2.example.com"},
		},
		Pools:   []sender.Pool{{Name: "news", Routes: []string{"mta1"}}, {Name: "spare", Routes: []string{"mta2"}}},
		Streams: []sender.Stream{{Name: "news", Pool: "news"}},
		Dial:    internet.network.Dial,
		DialDNS: internet.network.DialContext,
		DNS:     []string{internet.dns.Addr()},
		Observer: sender.ObserverFunc(func(e sender.Event) {
			if e.Type == sender.EventDelivered {
				delivered <- e.Path.Route
			}
		}),
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer s.Stop(ctx)

	by := sender.Act{Actor: "ada", Reason: "the address is needed elsewhere"}
	if err := s.Suspend(ctx, sender.Hold{Target: sender.Target{Route: "mta1"}, Act: by}); err != nil {
		log.Fatal(err)
	}
	holds, err := s.Holds(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(holds[0])

	_, err = s.Enqueue(ctx, sender.Message{
		From: "news@example.com", To: []string{"anna@example.org"},
		Data: []byte("From: News <news@example.com>\r\nSubject: News\r\n\r\nHello.\r\n"),
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range []sender.Filter{{Route: "mta1"}, {Streams: []string{"news"}}} {
		moved, err := s.Move(ctx, f, sender.MoveTo{Pool: "spare"}, by)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(moved.Done, "moved")
	}
	fmt.Println("went over", <-delivered)
	// Output:
	// route mta1 is suspended by ada: the address is needed elsewhere
	// 0 moved
	// 1 moved
	// went over mta2
}
