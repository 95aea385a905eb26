package main

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/reputemail/repute/sender"
)

// order is what a customer wants. Its number comes with it (from a form, say), and stays the same when the customer tries again.
type order struct {
	id       int64
	customer string
	cents    int64
	declined bool // by the bank, when it is charged
}

// orderNumber makes an order up. The same number gives the same order.
func orderNumber(id int64) order {
	return order{
		id: id, customer: fmt.Sprintf("customer%d@customers.example", id), cents: 500 + id*1237%20000, declined: id%7 == 0,
	}
}

// messageID is the name of an order's confirmation in the queue.
func messageID(id int64) string { return fmt.Sprintf("order-%d", id) }

// confirmation is the mail for an order. All about it depends on the order alone, so that a repetition is the same mail.
func (o order) confirmation() sender.Message {
	return sender.Message{
		ID:   messageID(o.id),
		From: "bounces@shop.example",
		To:   []string{o.customer},
		Data: fmt.Appendf(nil, "From: Example Shop <orders@shop.example>\r\nTo: <%s>\r\nSubject: Your order %d\r\n"+
			"Message-ID: <%s@shop.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"+
			"Thank you for your order of EUR %d.%02d.\r\n", o.customer, o.id, messageID(o.id), o.cents/100, o.cents%100),
	}
}

// shop takes orders. Orders and mail are in one database.
type shop struct {
	db     *sql.DB
	sender *sender.Sender
	fuse   *fuse // the points at which the demonstration kills this process
}

// shopTable is made by openStore.
const shopTable = `CREATE TABLE IF NOT EXISTS shop_order (
	id BIGINT PRIMARY KEY, customer TEXT NOT NULL, cents BIGINT NOT NULL, placed TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)`

// answer is what a customer is told.
type answer string

// The answers.
const (
	placed   answer = "placed"
	repeated answer = "repeated" // it was placed before
	declined answer = "declined"
)

// place writes an order and its confirmation in one transaction. After an error nothing is there, unless the commit was what failed: then
// nobody knows. In both cases the customer may try again.
func (s *shop) place(ctx context.Context, o order) (answer, error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return "", err
	}
	defer tx.Rollback() // unless it is committed
	s.fuse.pass(atBegin)

	result, err := tx.ExecContext(ctx, `INSERT INTO shop_order (id, customer, cents) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING`,
		o.id, o.customer, o.cents)
	if err != nil {
		return "", err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return repeated, err // and its mail is there too, since they were committed together
	}
	s.fuse.pass(atOrder)

	if _, err := s.sender.EnqueueTx(ctx, tx, o.confirmation()); err != nil {
		return "", err
	}
	s.fuse.pass(atMail)

	if o.declined {
		return declined, nil // rolled back: neither the order nor its mail is there
	}
	if err := tx.Commit(); err != nil {
		return "", err
	}
	s.fuse.pass(atCommit)
	return placed, nil
}

// sales counts what the customers of this process were told.
type sales struct{ placed, repeated, declined int }

// unanswered is how many of the latest orders of an earlier process may have been placed without their customers being told. These try again.
const unanswered = 3

// serveCustomers takes orders up to the last one, one every o.every, and goes on where an earlier process ended.
func serveCustomers(ctx context.Context, s *shop, o options) (sales, error) {
	var count sales
	var last int64
	if err := s.db.QueryRowContext(ctx, "SELECT COALESCE(MAX(id), 0) FROM shop_order").Scan(&last); err != nil {
		return count, err
	}
	for id := max(1, last-unanswered+1); id <= int64(o.orders); id++ {
		told, err := s.serve(ctx, orderNumber(id))
		if err != nil {
			return count, fmt.Errorf("order %d: %w", id, err)
		}
		switch told {
		case placed:
			count.placed++
		case repeated:
			count.repeated++
		case declined:
			count.declined++
		}
		if err := pause(ctx, o.every); err != nil {
			return count, err
		}
	}
	return count, nil
}

// How often a customer tries, and how long each waits in between.
const (
	tries    = 5
	patience = 200 * time.Millisecond
)

// serve places an order for a customer who tries again after an error.
func (s *shop) serve(ctx context.Context, o order) (told answer, err error) {
	for try := 1; ; try++ {
		if told, err = s.place(ctx, o); err == nil || try == tries {
			return told, err
		}
		if pause(ctx, patience) != nil {
			return "", err
		}
	}
}

// pause waits, or returns ctx's error.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
