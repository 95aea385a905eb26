// Package transport holds the SMTP conversation with one host: an MX host of the recipient, or a relay.
//
// It decides nothing about whom to call, how often or how fast; it opens a Session, carries Envelopes over it, and reports
// for each recipient the reply that decided, with all its lines and the stage at which it came. It is the only package of
// the library that sees go-smtp's client.
//
// Transport.Dial does this:
//
//  1. Connect from Target.LocalAddr, and with TLSImplicit do the TLS handshake at once (RFC 8314 section 3).
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
// Session.Close sends QUIT and waits shortly for its reply (section 4.1.1.10).
//
// A 421 at any point means that the host closes (section 3.8), and ends the session. Each reply has one time-out for the
// whole of it (section 4.5.3.2), a bound on its size and one on its lines, so a hostile host can waste neither memory nor
// more time than Timeouts allow. Cancelling a context closes the connection at once, at every point.
//
// How it uses go-smtp: steps 1 to 6 of Dial run on the bare connection, because go-smtp's own STARTTLS helper greets as
// "localhost" and cannot go on in clear text. Its client then gets a connection that replays a greeting and an EHLO reply
// without another round trip, and from then on formats the commands and keeps their order. The content is written and
// replies are read by this package, which keeps all their lines; go-smtp only sees whether each was positive. Deadlines are
// set by this package alone.
package transport
