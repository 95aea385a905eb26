// Package auth signs messages so that receivers can tell whose they are: DomainKeys Identified Mail (RFC 6376) with RSA and Ed25519 keys
// side by side (RFC 8301, RFC 8463), the keys and their DNS records, and the alignment of domains for DMARC.
//
// Signer.Sign goes these steps:
//
//  1. The header section is read: every line must end in CRLF, every field have a name, and there must be exactly one From field
//     (RFC 6376 section 5.4, RFC 5322 section 3.6). Bare CR or LF anywhere is refused: it would be changed on the way and break the signature.
//  2. The list of signed fields is made. Each field of Config.Oversign is listed once more than it is there, so that a From, a Subject or
//     another recipient that somebody adds on the way breaks the signature (RFC 6376 section 8.15). Each field of Config.Sign is listed as
//     often as it is there.
//  3. For each key, one DKIM-Signature field is made: relaxed/relaxed, over the whole body (no l=, RFC 6376 section 8.2), with t= the present
//     time and, if configured, x=.
//  4. The fields are returned, those of RSA keys first. A verifier that stops at the first signature, or does not know the algorithm of RFC 8463,
//     then finds the one that everybody can verify.
//
// Never signed are Return-Path, Received, Comments and Keywords, which change or appear on the way (RFC 6376 section 5.4.1), nor
// DKIM-Signature fields.
//
// What the library below does, so that nobody has to look: tags are folded to 78 columns except h=, which is one line of some 300 octets (the
// limit is 998), because a fold inside the list would have to be signed as a space; t= is in whole seconds; the "b=" comes last. Each
// signature reads the message anew.
package auth
