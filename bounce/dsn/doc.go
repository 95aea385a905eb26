// Package dsn reads what mail systems send back about a message: delivery status notifications in the standard's form (RFC 3464, and RFC 6533
// for addresses that are not ASCII), and bounces in the forms of the many systems that have their own. It writes the standard's form too.
//
// # Reading
//
// Parse says of whom a message tells, what became of the mail to each, and why; or that it is no bounce. In this order:
//
//  1. The message is read within bounds: 10 MB, 20 levels of parts, 1,000 parts. Faults of MIME are put up with.
//  2. The status parts are looked for: message/delivery-status, message/global-delivery-status, and plain text that begins with the
//     fields of one. Those nearest to the top count, since a message that is returned may be a bounce itself; a bounce that
//     somebody forwarded is read where there is no other.
//  3. A status part is read group by group (RFC 3464 section 2.1). A recipient is one that a Final-Recipient, Original-Recipient or
//     X-Actual-Recipient field names, also where the empty line before its group is missing. Address types, comments, source
//     routes, angle brackets and xtext that nobody undid are taken off.
//  4. What became of the mail is the Action field; where that is missing or odd, the status says it, and else it has failed. What several
//     groups say about one recipient is put together.
//  5. A recipient with nothing but a code gets the reason from the text for people: the paragraph that names the address. A
//     status that says why itself is not made worse by text that is not about the address.
//  6. The header of the message that is returned is Notification.Original.
//  7. Without a status part that names anybody, the message is read as what its system writes: it must come from a mail system, say that
//     mail did not arrive, and name a recipient. Form has the system's name.
//
// A read receipt (RFC 8098), a feedback report (RFC 5965) and the answer of somebody who is away are no bounces.
//
// All that is read is a stranger's word. Package intake ties a bounce to a delivery, and package bounce says what a diagnostic means.
//
// # Writing
//
// Compose writes a notification for a host that relays for others and owes their senders word of what it could not deliver. It writes none for
// what must not be answered, so that no two systems answer each other for ever: see ErrNoBounce. What it wrote, Parse reads as the same.
package dsn
