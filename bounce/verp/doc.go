// Package verp makes return paths that tell which delivery a bounce is about, and reads them: variable envelope return paths with a token that
// nobody else can make.
//
// An address is PREFIX TOKEN "@" DOMAIN, "b-" being the usual prefix. A token is, with the digits of base32hex (RFC 4648 section 7) in lower case:
//
//  1. One letter for how the payload is written: t as it is, x in base32.
//  2. One character for the key.
//  3. Four digits for the last day, in UTC since 1970, on which the token is valid.
//  4. Thirteen digits: the first 65 bits of an HMAC-SHA-256 of all the rest by that key.
//  5. The payload: the ID of a delivery.
//
// The token has no address in it, and whether letters are large or small does not matter, since some hosts change that. With its prefix it
// is a local-part of at most 64 octets (RFC 5321 section 4.5.3.1.1) of letters, digits, "-", ".", "_" and "=", which need no quotes.
//
// Keys change like this: put a new Key in front, so that it signs; leave the old one behind it, so that tokens which are under way stay valid;
// take it out after Config.Lifetime.
//
// What hosts on the way have made of an address is undone: SRS of forwarders, BATV, an extension behind "+", angle brackets and quotes.
//
// The token also goes into a header field, FieldName, by which a complaint is tied that comes without a return path. That field stands outside
// the DKIM signature: it differs for each recipient, and the signature is the same for all.
//
// ParseClassic and StripBATV read what others make: the address of the recipient in the return path, and a signed local-part. They prove nothing.
package verp

// FieldName is the header field that carries a token.
const FieldName = "X-Feedback-Token"
