package sender_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/reputemail/repute/bounce/intake"
	"github.com/reputemail/repute/bounce/verp"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/sendertest"
)

// A receiver accepts a message and returns it later. The return path says which delivery it was, and its recipient is not written to again.
func ExampleSender_Report() {
	ctx := context.Background()
	internet := newInternet()
	defer internet.close()
	internet.mailExchanger("example.org", sendertest.Script{})

	tokens, err := verp.New(verp.Config{Keys: []verp.Key{{ID: "a", Secret: []byte("known to the host alone")}}})
	if err != nil {
		log.Fatal(err)
	}
	s, err := sender.New(sender.Config{
		Routes:  []sender.Route{{Name: "mta1", LocalAddr: "198.51.100.25", Hostname: "mta1.example.com"}},
		Streams: []sender.Stream{{Name: "news", ReturnPath: &sender.ReturnPath{Tokens: tokens, Domain: "bounces.example.com"}}},
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
	in, err := intake.New(intake.Config{Sink: s, Tokens: tokens})
	if err != nil {
		log.Fatal(err)
	}

	news := sender.Message{
		ID: "news-1", From: "news@example.com", To: []string{"anna@example.org"},
		Data: []byte("From: News <news@example.com>\r\nSubject: News\r\n\r\nHello.\r\n"),
	}
	outcomes, err := s.Send(ctx, news)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(outcomes[0].State)

	// Some minutes later its host thinks better of it, and writes to the return path.
	returnPath, err := tokens.AddressAt(time.Now(), "news-1/1", "bounces.example.com")
	if err != nil {
		log.Fatal(err)
	}
	report, err := in.Take(ctx, intake.Message{To: returnPath, Data: []byte("From: MAILER-DAEMON@mx.example.org\r\nSubject: failure notice\r\n\r\n" +
		"I wasn't able to deliver your message.\r\n\r\n<anna@example.org>:\r\n550 5.1.1 user unknown\r\n")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Kind, report.Delivery, report.Records[0].Verdict.Category)

	news.ID = "news-2"
	receipt, err := s.Enqueue(ctx, news)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(receipt.Deliveries), "accepted,", len(receipt.Refused), "refused")
	// Output:
	// delivered
	// bounce news-1/1 bad-mailbox
	// 0 accepted, 1 refused
}
