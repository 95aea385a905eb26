// Package sender accepts mail from a Go program and brings it to its receivers: directly to their MX hosts or through a
// relay, with the care of a postmaster. It composes what the other packages decide (warm-up, throttle, signing, verdicts)
// behind the interfaces of deps.go, each of which a host can replace.
//
// # What a host does
//
//  1. Describe in a [Config] its routes (ways out), pools (which routes a stream may use, and where overflow goes) and
//     streams (classes of mail with a signer, a deadline and a weight).
//  2. [New] checks it, [Sender.Start] begins to send, [Sender.Stop] drains.
//  3. [Sender.Enqueue] hands over a [Message]; when it returns nil the queue has it. [Sender.EnqueueTx] does so in a transaction of the host's. [Sender.Send] also waits for the outcome.
//  4. An [Observer] is told every [Event]; [Sender.Explain] says why a message waits and when it is tried, [Sender.Forecast] when another one would be; [Sender.Stats] counts.
//
// # The way of a message
//
//  1. Accept. Enqueue checks the envelope and the message (RFC 5321, RFC 5322), adds Date and Message-ID where missing,
//     asks the list of suppressed addresses and the gates for each recipient, and puts the message with one delivery for each recipient into the queue.
//  2. Lane. Deliveries stand in lanes by stream, destination and the route they are bound to. The dispatcher works with
//     lanes: where a path is closed they wait whole, and nobody looks at the messages in them.
//  3. Resolve. The destination's MX hosts are looked up and name the provider; null MX and NXDOMAIN bounce at once, a
//     name server in trouble makes the lane wait.
//  4. Choose the route. In the pool's order the first that is open and, for a first attempt, has warm-up allowance left.
//     When none is, the overflow routes. When none of those is either, the lane waits in line until the first of them
//     opens. A path that is only saturated (all connections busy, message rate used up) never overflows. Retries stay on
//     their route, since greylisting remembers the address, unless the verdict was about the route.
//  5. Acquire a connection and a message token. Streams that contend for a path are served by weight, and within a stream
//     its lanes in turn.
//  6. Attempt. The list and the gates are asked once more. The lease keeps other processes away meanwhile. A durable queue lets a delivery
//     whose lease is lost again and again wait longer each time, so a crash loop cannot hammer a receiver.
//  7. Connect, or reuse a session to the same hosts. A session that the receiver has closed in the meantime is no attempt.
//  8. Sign, once for each message however many recipients.
//  9. Transact: deliveries of one message in one lane share a transaction. Every reply line is kept, with its stage.
//  10. Classify the replies into verdicts.
//  11. Settle, many at a time: the queue first; the warm-up allowance is kept, or given back if the receiver never saw the
//     message; the throttle learns. What was the recipient's fault goes to the list of suppressed addresses, which Enqueue and
//     each attempt ask. Events, the gate's Suppress and the callers of Send follow once that is durable.
//
// # What comes back
//
// Mail that a receiver has accepted may come back as a bounce, and people complain. With [Stream].ReturnPath each delivery has a return
// path with a signed token; package bounce/intake takes reports in and ties them to deliveries, and [Sender.Report] is its Sink: the list, the
// counts and the warm-up learn of them, the Observer is told. A report that is tied to nothing changes nothing.
//
// # Waits and attempts
//
// An attempt is a try that began: a connection that was dialled or a transaction. Whatever we chose to wait for ourselves
// is a [Wait] with a [WaitReason] and costs nothing: neither the number of attempts nor the retry schedule know of it.
// Only expiry goes on in every state.
//
// Delivery is at least once: a message arrives twice only when a process dies, or a connection breaks, between the
// receiver's taking it and our noting that.
//
// # Privacy
//
// Events, explanations and logs show recipients as keyed hashes, also where a receiver's reply repeats the address,
// unless Config.PlainAddresses.
package sender
