// Package entity reads mail as strangers write it: whole messages, RFC 5322 and MIME, with the faults that mail systems have
// when they return something. It is what the packages below bounce have in common.
//
// To read a message is, in this order:
//
//  1. What is before the header goes: empty lines, a byte order mark, the "From " line of a mailbox file.
//  2. The header is read field by field (RFC 5322 section 2.2). A line that is neither a field nor folded continues the field
//     before it, as where a long value was broken without white space; after two of those in a row the header is over.
//  3. The transfer encoding is undone (RFC 2045 section 6) by go-message. What cannot be decoded stays as it is.
//  4. A multipart is split at its boundaries (RFC 2046 section 5.1) here rather than by go-message's reader, which gives all of
//     it up for one part with a broken header or for a last boundary that is missing, and copies each level.
//  5. message/rfc822, message/global and the headers of a message (text/rfc822-headers, RFC 6522; message/global-headers, RFC 6533) are
//     read as messages, below the part that they are in.
//
// What costs is bounded: see the constants. What is beyond a bound is left as it is, a part without parts, except that a message above
// MaxBytes is refused as a whole. Nothing here fails but for that and an empty message.
package entity
