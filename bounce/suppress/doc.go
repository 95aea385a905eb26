// Package suppress keeps the list of addresses that are not mailed: dead ones, those of people who complained or unsubscribed, and those that
// a host adds.
//
// What happens to an address is an Incident. The List decides by its Policy, in this order:
//
//  1. An incident whose ID the address has seen already changes nothing, so that the same bounce counts once however often it is told.
//  2. A verdict counts only if its scope is the recipient. A refusal of our address, our content, our rate or our authentication never
//     does, whatever its code and category.
//  3. What the incident comes to is a Reason: a dead address, a refusal with room for doubt, a full mailbox, a complaint and so on.
//  4. The reason's Rule says whether the address is suppressed at once, or after some strikes within some time, for how long, and for all
//     streams or the one that it was about.
//  5. A delivery takes the strikes away: the mailbox lives. It ends no suppression. Strikes by mail that was accepted first and returned later
//     stay until they are too old, since such a receiver accepts everything.
//
// An entry ends by its time or by Release. After that the strikes begin at none. What was released is not suppressed again by
// an incident from before.
//
// Addresses are compared in one form: domain in lower case and A-labels, local-part in lower case. Local-parts may differ by case (RFC 5321 section
// 2.4), but hardly any do, and to suppress both is better than to mail a dead address in another spelling. With Config.HashKey only keyed hashes of
// them are stored.
//
// All state is in a Store, one small value for each address, changed by compare-and-set; so several processes may share a list. MemoryStore
// keeps it in memory; the State of a queue in a database is a store too. Package suppresstest checks others.
package suppress
