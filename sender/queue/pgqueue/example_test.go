package pgqueue_test

import (
	"context"
	"log"

	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue/pgqueue"
	"github.com/reputemail/repute/sender/queue/sqlqueue"
)

// Each of several processes opens the queue under a name of its own, which stays the same over restarts.
func ExampleOpen() {
	ctx := context.Background()
	q, err := pgqueue.Open(ctx, "postgres://mail@db.example.com/shop", sqlqueue.Config{Owner: "web-1"})
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()
	s, err := sender.New(sender.Config{Queue: q, Routes: []sender.Route{{Name: "direct", Hostname: "mta1.example.com"}}})
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer s.Stop(ctx)
}
