// Package queue defines the records of accepted mail, and the queue that holds them in memory.
//
// A message is stored once; each of its recipients is a [Delivery], the unit that waits, is attempted and is settled.
// Deliveries stand in lanes, one for each (stream, destination, route). The route is empty until the first attempt and
// again when any route may be used next; a delivery that must be retried over the route of its last attempt
// (greylisting remembers the source address) stands in that route's lane. So a path that is closed closes whole lanes,
// and nobody has to look at the deliveries in them.
//
// The life of a delivery:
//
//  1. Put stores it, waiting and due at once, or already leased to the process that put it.
//  2. Claim leases it for a time. A lease that runs out makes the delivery waiting and due again, so the work of a
//     process that died is taken over, and no earlier than that: a crash loop cannot hammer a receiver.
//  3. Settle ends the lease: the delivery waits again, or has reached a final state and stays for Get to tell about
//     until the queue forgets it. A message's body is dropped with its last delivery.
//
// A wait is not an attempt: the count of attempts grows only by a settlement that says that one began.
//
// All times that decide are relative ("due in 6 minutes") and counted by the queue's own clock, so that
// several processes with differing clocks can share one queue.
//
// The contract of a queue is [github.com/reputemail/repute/sender.Queue]; queuetest checks an implementation against it.
// [Memory] is the executable specification: it loses everything at exit.
package queue
