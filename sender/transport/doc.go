// Package transport holds the SMTP conversation with one host: an MX host of the recipient, or a relay.
//
// It decides nothing about whom to call, how often or how fast; it opens a Session, carries Envelopes over it, and reports
// for each recipient the reply that decided, with all its lines and the stage at which it came.
//
// Transport.Dial does this:
//
//  1. Connect from Target.LocalAddr. Several addresses of a host are raced: each is tried when the one before it has failed or has
//     been silent for 250 ms, and the first connection wins (RFC 8305 section 5). With TLSImplicit do the TLS handshake at once
//     (RFC 8314 section 3).
//  2. Read the greeting (RFC 5321 section 3.1).
//  3. Send EHLO with Target.Hostname; HELO when the host answers 500 or 502 (RFC 5321 section 3.2).
//  4. When the host offers STARTTLS and the policy wants it, send it (RFC 3207 section 4). Whatever the host sent behind
//     its 220 in clear text is an injection and fails the handshake. After the handshake all that was learnt before is
//     forgotten, and EHLO is sent again with the same name (RFC 3207 section 4.2).
//  5. With TLSOpportunistic (RFC 7435): a refused STARTTLS goes on in clear text on the same connection. A failed handshake
//     is tried again on one new connection in clear text; when that works, the host's TLS is taken for broken and not
//     tried again for an hour, and for Config.BrokenTLSFor when it fails again after that hour. With all other policies
//     nothing is sent without TLS.
//  6. With Target.Auth, authenticate (RFC 4954). An initial response that makes the command longer than a line may be is
//     sent when the host asks for it. Credentials never go in clear text, except to a loopback address or with
//     TLSNone: so TLSOpportunistic with Auth counts as TLSRequired elsewhere.
//
// A handshake resumes the last session with the same host under the same policy, from the same source address and by the same name
// (RFC 8446 section 2.2), for up to an hour after the host has shown its certificate. When it fails then, a full one is tried on
// another connection before any of step 5.
//
// Session.Send does this for each Envelope:
//
//  1. Refuse here what the host would not take: no 8BITMIME (RFC 6152), no SMTPUTF8 (RFC 6531), a message larger than the
//     announced SIZE (RFC 1870), an address that would break out of its command.
//  2. RSET when the last transaction ended before its content; never after a reply to a final dot, which has cleared the
//     transaction already (RFC 5321 section 4.1.1.4).
//  3. MAIL, with SIZE and BODY=8BITMIME where offered and SMTPUTF8 where needed; RCPT for each recipient (RFC 5321
//     sections 4.1.1.2 and 4.1.1.3).
//  4. DATA when at least one was accepted; the content, dot-stuffed (section 4.5.2); the final dot and its reply.
//
// How many round trips that takes depends on what the host offers:
//
//   - Without PIPELINING one command is sent at a time.
//   - With PIPELINING (RFC 2920) RSET, MAIL, the RCPTs and DATA go as one group, in pieces that fit into the buffers of both
//     sides: two round trips. Session.SendThen sends the commands of the next message behind the final dot: one. When the
//     host answers DATA with 354 although it has refused all recipients, the dot goes alone.
//   - With CHUNKING (RFC 3030) BDAT takes the place of DATA and the dot. With PIPELINING too, contents of up to 256 KiB go in the
//     same group, before the recipients are known to be accepted: one round trip. Larger ones go in chunks of 1 MiB after that.
//
// A host that loses its place when commands come in groups, or that does not know BDAT, although it offers these, is not used in that
// way for six hours.
//
// Session.Close sends QUIT and waits shortly for its reply (section 4.1.1.10).
//
// A 421 at any point means that the host closes (section 3.8), and ends the session. Each reply has one time-out for the
// whole of it (section 4.5.3.2), a bound on its size and one on its lines, so a hostile host can waste neither memory nor
// more time than Timeouts allow. Cancelling a context closes the connection at once, at every point.
//
// # Whose reply it is
//
// No reply may be taken for that of another command, or recipients would get each other's. Replies come in the order of the commands, so
// one too many shifts all that follow. Therefore the host must have said nothing when a command or a group is sent, nor when
// the content is, and nothing more when a group has all its replies; and the one to DATA must be 354 or a refusal. Otherwise the
// session ends, and no reply of the transaction counts (Local, 4.5.0). A reply too many between those of a group is found by the 354, which is
// in its place no more. Where the content goes in the group there is none: a reply to the content that is about an address (an
// enhanced code x.1.y) or a refusal without such a code makes the session wait a second for another one. A host without
// enhanced codes that accepts is trusted to count.
//
// What a connection has to say is seen without reading from it: by a look at its socket, or by a method Readable() bool of a
// net.Conn that has none. With others it takes a millisecond each time.
//
// # Why not go-smtp's client
//
// It waits for the reply to each command, has no BDAT, greets as "localhost" in its STARTTLS helper, and sets deadlines of its
// own. What would be left for it to do are three lines of text.
package transport
