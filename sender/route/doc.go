// Package route finds where the mail of a domain goes: the mail exchangers and their addresses, in the order in which to try them.
//
// Resolver.Resolve goes these steps:
//
//  1. The domain is brought into its one form: lower case, A-labels (RFC 5890, by UTS 46 as the IDNA Lookup profile), no final dot. An
//     address literal (RFC 5321 section 4.1.3) is its own destination and asks nobody.
//  2. An answer that is still good is taken from the cache, and callers that ask for the same domain at the same time share one lookup.
//  3. The MX records are looked up; aliases (CNAME) of the domain are followed. A domain that does not exist is a permanent error, a
//     failed lookup a temporary one (RFC 5321 section 5.1).
//  4. A sole MX record with an empty name, the null MX, says that the domain takes no mail: permanent, 556 5.1.10 (RFC 7505 section 4). Beside
//     other records, where it must not stand, it is ignored.
//  5. Without any MX record the domain is its own mail exchanger with preference 0, the implicit MX. When there are MX records and none is
//     usable, that is an error: the domain's own address is never used instead (RFC 5321 section 5.1).
//  6. The hosts are sorted by preference, equal ones shuffled anew on every call, and the first Config.MaxHosts with addresses are kept.
//     A host name that is an alias is followed, though RFC 5321 section 5.1 forbids it: too many exist.
//  7. Hosts without an address are left out. When no host is left the error is temporary if any lookup was, else permanent, 550 5.4.4.
//     Addresses that lead back to this machine, or into private networks, are no addresses, unless Config.AllowLoopback or
//     Config.AllowPrivate. The same holds for address literals; Addrs, whose hosts the operator named, takes them all.
//  8. When no host is left but one has an address of the family that Config.Family never uses, the error is temporary, 451 4.4.4. The address
//     of the recipient is good and its host is up; what is missing is ours, and can be had while the mail waits. A permanent error
//     would have good addresses taken for dead.
//
// The addresses of a host are in the order of Config.Family, within a family in the order in which the name server gave them
// (RFC 5321 section 5.1).
//
// Whatever a stranger's DNS says, a look-up asks for the addresses of at most four times Config.MaxHosts hosts, follows eight
// aliases of each name, keeps 32 names of mail exchangers and 100 addresses of each family of a host, and ends after a
// minute, with what was found by then.
//
// Every failure is an *Error with a synthetic reply, so that it is classified like a receiver's own:
//
//	451 4.4.3   DNS lookup failed temporarily: …      time-out, SERVFAIL, REFUSED, malformed answers
//	451 4.4.4   No mail host within reach: …          only addresses of a family that Config.Family never uses
//	550 5.1.2   Domain not found (NXDOMAIN)           also for a name that no DNS name can be
//	550 5.4.4   No usable mail host: …                no MX and no address; or MX hosts without addresses
//	556 5.1.10  Domain takes no mail (null MX)
//
// 5.4.4 and not 5.1.2 for a name that exists without records: RFC 3463 section 3.5 gives just that as its example of X.4.4.
package route
