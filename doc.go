// Package repute is the front page of a library for sending mail with care for the sender's reputation. A Go program
// imports [github.com/reputemail/repute/sender], and its mail goes out directly to the recipients' mail hosts, or through
// a relay, the way a good postmaster would send it: a new address is warmed up, each receiver gets what it accepts and no
// more, every message is signed, every reply is understood, and the program can ask at any time why a message waits.
//
// This package has no code; it is the tour.
//
// # Words
//
// A message is an RFC 5322 message and its envelope. A delivery is one recipient of it: the unit that is queued, attempted
// and settled. A route is one way out: direct from a source address, or a relay. A pool is the routes that a stream, that
// is a class of mail, may use. A provider is all the domains whose mail hosts one operator runs. A path is a route and a
// provider: what a receiver sees and judges, and so the key of every budget and limit.
//
// # Which package do I need
//
// To send mail:
//
//   - [github.com/reputemail/repute/sender] is the whole: Config, New, Start, Enqueue, EnqueueTx, Send, Explain, Forecast, Stats, Stop. Its file
//     deps.go holds every interface that a host can replace.
//   - [github.com/reputemail/repute/sender/queue] has the records of accepted mail and the queue in memory;
//     [github.com/reputemail/repute/sender/queue/queuetest] checks a queue of your own.
//   - [github.com/reputemail/repute/sender/queue/sqlitequeue] and [github.com/reputemail/repute/sender/queue/pgqueue] open a queue that
//     survives, in a SQLite file or in PostgreSQL, by one call; [github.com/reputemail/repute/sender/queue/sqlqueue] makes one of a
//     database that the host has opened itself.
//   - [github.com/reputemail/repute/sender/sendertest] is a small internet for your tests: mail hosts with any behaviour,
//     DNS, certificates, mailbox providers that judge a sender. In memory or on loopback.
//
// The four safeguards, each of use without the others and without a Sender:
//
//   - [github.com/reputemail/repute/warmup] says how much a cold route may carry to a provider, over restarts and crashes;
//     [github.com/reputemail/repute/warmup/warmuptest] checks a store of your own, and [github.com/reputemail/repute/warmup/chart] draws forecasts.
//   - [github.com/reputemail/repute/throttle] groups destinations by provider, and limits connections and rates by path.
//     [github.com/reputemail/repute/throttle/redisstore] is for processes that share limits through Redis;
//     [github.com/reputemail/repute/throttle/throttletest] checks a store of your own.
//   - [github.com/reputemail/repute/auth] signs with DKIM, and makes keys and their DNS records.
//   - [github.com/reputemail/repute/bounce] says what an SMTP reply means, whose fault it is, and what to do.
//
// For what comes back as mail, each of use without a Sender too:
//
//   - [github.com/reputemail/repute/bounce/intake] takes it in by SMTP or HTTP, says what it is, and ties it to a delivery.
//   - [github.com/reputemail/repute/bounce/dsn] reads bounces, [github.com/reputemail/repute/bounce/arf] complaints, and
//     [github.com/reputemail/repute/bounce/autoreply] tells the answers of programs from both.
//   - [github.com/reputemail/repute/bounce/verp] makes return paths that tell which delivery a bounce is about.
//   - [github.com/reputemail/repute/bounce/suppress] is the list of addresses that are not mailed;
//     [github.com/reputemail/repute/bounce/suppress/suppresstest] checks a store of your own.
//   - [github.com/reputemail/repute/bounce/engagement] keeps mail from those who do not read it, and asks those who are unknown.
//
// The parts of a Sender that also stand alone:
//
//   - [github.com/reputemail/repute/sender/route] finds the mail hosts of a domain.
//   - [github.com/reputemail/repute/sender/transport] speaks SMTP to one host.
//   - [github.com/reputemail/repute/sender/outlet] connects through a proxy, to send from addresses of other hosts.
//
// # Where to begin
//
// README.md has a page of code. "go run ./examples/quickstart" sends a few thousand messages to providers on loopback and
// shows what happened to them. docs/design.md tells how it works and why, docs/rfc-coverage.md which clause of which RFC
// stands in which file.
package repute
