package sender_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue/sqlitequeue"
	"github.com/reputemail/repute/sender/sendertest"
)

// A shop writes its order and the confirmation in one transaction. Here the card is declined, so that neither is there.
func ExampleSender_EnqueueTx() {
	ctx := context.Background()
	internet := newInternet()
	defer internet.close()
	internet.mailExchanger("example.org", sendertest.Script{})
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)

	q, err := sqlitequeue.Open(filepath.Join(folder, "shop.db"))
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()
	s, err := sender.New(sender.Config{
		Queue:   q,
		Routes:  []sender.Route{{Name: "direct", Hostname: "mta1.example.com"}},
		Dial:    internet.network.Dial,
		DialDNS: internet.network.DialContext,
		DNS:     []string{internet.dns.Addr()},
	})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := q.DB().Exec("CREATE TABLE orders (id INTEGER PRIMARY KEY)"); err != nil {
		log.Fatal(err)
	}

	tx, err := q.DB().BeginTx(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := tx.Exec("INSERT INTO orders (id) VALUES (17)"); err != nil {
		log.Fatal(err)
	}
	receipt, err := s.EnqueueTx(ctx, tx, sender.Message{
		ID:   "order-17", // the same each time that this order is tried
		From: "bounces@example.com",
		To:   []string{"anna@example.org"},
		Data: []byte("From: Shop <shop@example.com>\r\nTo: <anna@example.org>\r\nSubject: Your order\r\n\r\nThank you.\r\n"),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(receipt.MessageID, "with", len(receipt.Deliveries), "delivery")
	if err := tx.Rollback(); err != nil {
		log.Fatal(err)
	}
	_, err = s.Explain(ctx, "order-17")
	fmt.Println(err)
	// Output:
	// order-17 with 1 delivery
	// queue: not found
}
