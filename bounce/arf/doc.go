// Package arf reads feedback reports: what receivers send when a recipient complains about a message or when they judge one. It reads the
// Abuse Reporting Format (RFC 5965) with its types and fields of later standards (RFC 6430 not-spam, RFC 6591 auth-failure, RFC 6692 ports,
// RFC 7489 section 7.3), and what was and is sent in forms of its own.
//
// To read a message is to try these, in order. The first that fits is the Form:
//
//  1. FormARF: a part is a message/feedback-report, or is labelled otherwise and has that content: its fields with Feedback-Type among
//     them. Parts of quoted messages are not looked at, but for a report that was forwarded as an attachment. A multipart/report that
//     says that it is a feedback-report, and has no such part, is read for its text.
//  2. FormXARF: the X-ARF format of abuse desks, version 0.2, which has its fields in a text/plain part.
//  3. FormJMRP: Microsoft's Junk Mail Reporting Program before it used ARF: a copy of the message, as it is or attached, with a field
//     X-HmXmrOriginalRecipient.
//  4. FormSES: a complaint notification of Amazon SES, JSON that came by mail.
//  5. FormUnsubscribe: a program of the recipient used our List-Unsubscribe address (RFC 2369), or the recipient wrote nothing but that word.
//  6. FormText: prose that says that it is a complaint, with the message, or the header of the message, that it is about.
//
// A field that may be there only once (RFC 5965 section 3.2) and is there twice counts with its first value, since what is appended on the
// way is appended at the end. Lists have at most MaxList values. What a report leaves out is empty: most receivers redact
// the recipient (RFC 6590), so that a recipient is told by what the sender had put into the return path or into a header field.
//
// A report is a stranger's word. Anybody can write one about any address, and the message in it proves nothing, since all
// recipients have it. Who acts on a report has to tie it to a delivery first, by a token that only the sender can have
// made (package verp), or has to know who signed it by DKIM. Package intake does both.
package arf
