package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"time"

	"github.com/emersion/go-smtp"
)

// bare sends the same messages without the Sender: connections that each send one after the other by go-smtp's client.
func (l *load) bare(ctx context.Context, addr string) error {
	before, began := measureResources(), time.Now()
	err := l.share(ctx, l.o.connections, func(ctx context.Context, next func() (int, bool)) error {
		if err := l.bareConn(ctx, addr, next); err != nil {
			return fmt.Errorf("bare loop: %w", err)
		}
		return nil
	})
	l.bareTook, l.bareUsed = time.Since(began), measureResources().since(before)
	return err
}

// bareConn sends messages over one connection until there are no more.
func (l *load) bareConn(ctx context.Context, addr string, next func() (int, bool)) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	c := smtp.NewClient(conn)
	if err := c.Hello(hostname); err != nil {
		return err
	}
	var data []byte
	for i, ok := next(); ok; i, ok = next() {
		data = l.letters.data(data, i)
		if err := c.SendMail(from, []string{l.letters.to(i)}, bytes.NewReader(data)); err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
		l.barely.Add(1)
	}
	return c.Quit()
}
