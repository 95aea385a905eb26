package sqlitequeue_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue/sqlitequeue"
	"github.com/reputemail/repute/sender/sendertest"
)

// Mail that was accepted before the program ended goes out when it runs again.
func Example() {
	ctx := context.Background()
	internet := newInternet() // in memory; a real host leaves out all that has to do with it
	defer internet.close()
	path := filepath.Join(internet.folder, "mail.db")

	q, err := sqlitequeue.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	s, err := sender.New(internet.config(q)) // never started
	if err != nil {
		log.Fatal(err)
	}
	if _, err := s.Enqueue(ctx, confirmation("order-1")); err != nil {
		log.Fatal(err)
	}
	if err := q.Close(); err != nil {
		log.Fatal(err)
	}

	q, err = sqlitequeue.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()
	if s, err = sender.New(internet.config(q)); err != nil {
		log.Fatal(err)
	}
	if err := s.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer s.Stop(ctx)
	fmt.Println(<-internet.delivered)
	// Output: order-1/1 is delivered
}

// An order and its confirmation are written in one transaction: both are there, or neither is.
func Example_transaction() {
	ctx := context.Background()
	internet := newInternet()
	defer internet.close()

	q, err := sqlitequeue.Open(filepath.Join(internet.folder, "shop.db"))
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()
	s, err := sender.New(internet.config(q))
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer s.Stop(ctx)
	if _, err := q.DB().Exec("CREATE TABLE orders (id TEXT PRIMARY KEY)"); err != nil {
		log.Fatal(err)
	}

	place := func(order string, paid bool) error {
		tx, err := q.DB().BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback() // of no effect after Commit
		if _, err := tx.Exec("INSERT INTO orders (id) VALUES (?)", order); err != nil {
			return err
		}
		if _, err := s.EnqueueTx(ctx, tx, confirmation(order)); err != nil {
			return err
		}
		if !paid {
			return fmt.Errorf("%s: the card was declined", order)
		}
		return tx.Commit()
	}
	fmt.Println(place("order-1", false))
	fmt.Println(place("order-2", true))
	fmt.Println(<-internet.delivered)
	// Output:
	// order-1: the card was declined
	// <nil>
	// order-2/1 is delivered
}

func confirmation(order string) sender.Message {
	return sender.Message{
		ID: order, From: "shop@example.com", To: []string{"anna@example.org"},
		Data: []byte("From: Shop <shop@example.com>\r\nTo: <anna@example.org>\r\nSubject: Your order\r\n\r\nThank you.\r\n"),
	}
}

// internet is one mail host, and a folder.
type internet struct {
	folder    string
	network   *sendertest.Network
	host      *sendertest.Server
	delivered chan string
}

func newInternet() *internet {
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	i := &internet{folder: folder, network: sendertest.NewNetwork(), delivered: make(chan string, 1)}
	i.host, err = sendertest.StartServer(i.network, sendertest.ServerConfig{Hostname: "relay.example.com", Addr: netip.MustParseAddrPort("192.0.2.25:25")})
	if err != nil {
		log.Fatal(err)
	}
	return i
}

func (i *internet) close() {
	i.host.Close()
	i.network.Close()
	os.RemoveAll(i.folder)
}

func (i *internet) config(q sender.Queue) sender.Config {
	return sender.Config{
		Queue:  q,
		Routes: []sender.Route{{Name: "relay", Hostname: "shop.example.com", Relay: &sender.Relay{Addr: "192.0.2.25:25"}}},
		Dial:   i.network.Dial,
		Observer: sender.ObserverFunc(func(e sender.Event) {
			if e.Type == sender.EventDelivered {
				i.delivered <- e.DeliveryID + " is delivered"
			}
		}),
	}
}
