// Package intake takes in what comes back: bounces, complaints and automatic answers, as mail. It says what each message is, ties
// it to the delivery that it is about, and hands it to a Sink, which is the Sender. Mail reaches it by its own SMTP listener
// (Server), over HTTP (Intake is an http.Handler), or from the host (Take).
//
// To read a message is, in this order:
//
//  1. It is parsed, within bounds (10 MB, 20 levels of parts). What cannot be parsed is bounce.KindNotUnderstood.
//  2. A challenge ("click here so that I get your mail") is one, unless it is a bounce of a system whose words are known and that quotes such; package autoreply.
//  3. A feedback report is one (RFC 5965 and forms of large providers); package arf. A message/delivery-status part comes before it.
//  4. A delivery status notification is a bounce (RFC 3464); package dsn.
//  5. An automatic answer is one (RFC 3834).
//  6. A bounce in a form of its own is one; package dsn.
//  7. All else is bounce.KindNone.
//
// Then each recipient's reply is classified, and the report is tied to a delivery: by the address to which it came, which has a
// token of ours (package verp), else by a token in what it quotes of our message, in the header field or the return path. A token
// counts only with a valid signature. Without one, a report is a stranger's word: Report.Delivery is empty, and a Sink must suppress
// nobody for it, unless the report is Authentic: a feedback report whose DKIM signature is valid and of a domain in Config.Trusted.
//
// The same message has the same Report.ID each time, made of what its sender wrote and not of what hosts on the way added. What was
// handed over is remembered, so that a message that is sent again is taken and not told again; a Sink that keeps things
// uses the ID to count it once also over restarts.
package intake
