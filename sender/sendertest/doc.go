// Package sendertest is a small internet for tests of programs that send mail: a network, name servers, mail servers with any
// behaviour, an inbox, a certificate authority, and mailbox providers that judge a sender. Its servers are shaped like
// httptest.Server. It imports nothing of this module but the vocabulary of package bounce.
//
// # The pieces
//
//  1. Network carries connections between virtual addresses. NewNetwork is in memory and works inside testing/synctest
//     bubbles: an hour of greylisting or a month of warm-up takes milliseconds, with real SMTP and TLS inside.
//     NewTCPNetwork has real sockets on 127.0.0.1, also for other processes. Network.Dial has the signature of a
//     transport's DialFunc, Network.DialContext that of net.Resolver.Dial. Nothing ever leaves the machine. Network.SetDelay
//     makes the way long, and Delay does so for real sockets and other programs.
//  2. DNS answers as a recursive resolver does, from what it was told and nothing else.
//  3. Server is a mail exchanger or relay. It takes every well-formed message and is strict about the protocol: it refuses
//     bare line ends (SMTP smuggling), over-long lines, malformed addresses, parameters and pipelining that it did not
//     offer, and commands injected before TLS. ServerStats counts such violations.
//  4. Script is where a server differs: a hook for each stage. Ready-made ones are Greylist, RateLimit, MaxConnections,
//     CloseAfter, UnknownUsers, Tarpit, SlowDrip, RejectAt, DropAt, HangAt, EndlessReply, GarbageGreeting, DropBeforeDot,
//     DropAfterDot, BadTLS, OldTLS and BadCertificate. Compose, When and Times combine them.
//  5. Inbox holds what arrived: envelope, source address, TLS state, content, and the check of its DKIM signatures.
//  6. CA issues certificates: good, expired, or for another name.
//  7. Provider is a mailbox provider with a personality (GmailLike, OutlookLike, YahooLike, DocomoLike): DNS records with
//     the provider's manner of naming, servers, and one memory of the source addresses, judged by rate, unknown users and
//     authentication. Provider.Report tells what it thinks.
//
// # How a server converses
//
//  1. OnConnect decides on the greeting.
//  2. Each command is checked: sequence, syntax, offered extensions. A faulty one is refused without asking the Script.
//  3. The hook of its stage may answer; without an answer the default holds. OnReply may change either.
//  4. A positive reply has its effect (the transaction begins, the recipient is added, the message goes to the Inbox).
//  5. The reply is sent, after the answer's delay, and the connection ends if the answer says so.
//
// # In a bubble
//
// Make the Network inside the bubble, and close servers, DNS and Network before it ends, since a bubble waits for its
// goroutines. Do not use net.Resolver there: it keeps channels for the whole process.
package sendertest
