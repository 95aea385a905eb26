// Package dnsx is a small DNS client for mail: a stub resolver (RFC 1034 section 5.3.1) that asks recursive name servers for MX,
// address, TXT and PTR records and says exactly why there are none. It is the only package that imports the DNS library below it,
// so that the library can be changed in one place. It keeps no cache; callers cache by the time-to-live that comes with every answer.
//
// A question goes this way:
//
//  1. The name is made absolute. Search lists and /etc/hosts are never used: a mail domain is fully qualified (RFC 5321 section 2.3.5).
//  2. The servers are asked in their order, and after the last the first again, until one gives a usable answer or
//     Config.Attempts rounds are over. Each try has Config.Timeout.
//  3. A try is one datagram with EDNS0 (RFC 6891). A truncated answer is asked for again over TCP (RFC 7766 section 5), and is
//     a failure when it is truncated there; a server
//     that does not know EDNS0 is asked again without it (RFC 6891 section 7).
//  4. An answer counts only when its ID and question are ours (RFC 5452 section 9.1). On a datagram socket others are dropped and the
//     wait goes on, so that a forged or late answer cannot end it; on a stream they end the try.
//  5. SERVFAIL, REFUSED and other failures, lame referrals (neither authoritative nor recursive, and empty), time-outs and
//     malformed answers send the question to the next server. When all are used up the error is Temporary.
//  6. CNAME records are followed, at most maxChain of them, within the answer or by asking again (RFC 1034 section 3.6.2).
//  7. NXDOMAIN and an empty answer are results, not failures: the error is NXDomain or NoData, with the time for which that may be
//     remembered (RFC 2308 section 5).
//
// Sizes are bounded: an answer is at most 64 KiB by the protocol, its first maxDecoded records are decoded, and at most
// MaxRecords records are returned. Longest bounds the time for one question; callers bound that for a chain of them.
package dnsx
