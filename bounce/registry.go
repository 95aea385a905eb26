package bounce

// registered is one entry of the IANA registry of SMTP enhanced status codes, without the class.
type registered struct {
	subject, detail int
	text            string
	category        Category // of a permanent reply that says no more than the code
}

// registry is the IANA registry of SMTP enhanced status codes (RFC 5248), in our words. Receivers have meanings of their own for some, for
// which there are rules: Google for x.7.27, x.7.29 and x.7.30.
var registry = [...]registered{
	// RFC 3463 section 3.1.
	{0, 0, "undefined", Other},
	// Addresses: RFC 3463 section 3.2, RFC 3886 (9), RFC 7505 (10).
	{1, 0, "other address problem", BadMailbox},
	{1, 1, "no such mailbox", BadMailbox},
	{1, 2, "no such destination system", BadDomain},
	{1, 3, "malformed mailbox address", BadMailbox},
	{1, 4, "mailbox address is ambiguous", BadMailbox},
	{1, 5, "mailbox address is valid", Other},
	{1, 6, "mailbox has moved, without a forwarding address", BadMailbox},
	{1, 7, "malformed sender address", SenderRejected},
	{1, 8, "sender's system is wrong", SenderRejected},
	{1, 9, "relayed to a mailer that does not send notifications", ProtocolError},
	{1, 10, "recipient's domain has a null MX", BadDomain},
	// Mailboxes: RFC 3463 section 3.3.
	{2, 0, "other mailbox problem", Policy},
	{2, 1, "mailbox is disabled", InactiveMailbox},
	{2, 2, "mailbox is full", MailboxFull},
	{2, 3, "message is longer than the mailbox takes", MessageTooLarge},
	{2, 4, "mailing list cannot be expanded", Policy},
	// Mail systems: RFC 3463 section 3.4, RFC 6710 (6).
	{3, 0, "other problem of the mail system", ServerBusy},
	{3, 1, "mail system is full", ServerBusy},
	{3, 2, "mail system does not accept messages now", ServerBusy},
	{3, 3, "mail system lacks a feature", ProtocolError},
	{3, 4, "message is larger than the system takes", MessageTooLarge},
	{3, 5, "mail system is misconfigured", ServerBusy},
	{3, 6, "requested priority was changed", Policy},
	// Network and routing: RFC 3463 section 3.5.
	{4, 0, "other network or routing problem", Network},
	{4, 1, "no answer from the host", Network},
	{4, 2, "bad connection", Network},
	{4, 3, "directory server failed", Network},
	{4, 4, "no route to the destination", BadDomain},
	{4, 5, "mail system is congested", ServerBusy},
	{4, 6, "routing loop", ProtocolError},
	{4, 7, "delivery time is over", Expired},
	// Protocol: RFC 3463 section 3.6, RFC 4954 (6).
	{5, 0, "other protocol problem", ProtocolError},
	{5, 1, "invalid command", ProtocolError},
	{5, 2, "syntax error", ProtocolError},
	{5, 3, "too many recipients", RateLimited},
	{5, 4, "invalid command arguments", ProtocolError},
	{5, 5, "wrong protocol version", ProtocolError},
	{5, 6, "authentication exchange line is too long", ProtocolError},
	// Content: RFC 3463 section 3.7, RFC 4468 (6), RFC 6531 (7 to 10).
	{6, 0, "other media problem", ProtocolError},
	{6, 1, "media type is not supported", ProtocolError},
	{6, 2, "conversion is needed and prohibited", ProtocolError},
	{6, 3, "conversion is needed and not supported", ProtocolError},
	{6, 4, "conversion lost something", ProtocolError},
	{6, 5, "conversion failed", ProtocolError},
	{6, 6, "message content is not available", ProtocolError},
	{6, 7, "non-ASCII addresses are not permitted", ProtocolError},
	{6, 8, "UTF-8 reply is needed and not permitted", ProtocolError},
	{6, 9, "UTF-8 headers cannot be transferred", ProtocolError},
	{6, 10, "UTF-8 headers cannot be transferred", ProtocolError},
	// Security and policy: RFC 3463 section 3.8, RFC 4954 (8 to 12), RFC 5248 (10, 13, 14), RFC 6710 (15, 16), RFC 7293 (17 to 19), RFC 7372 (20 to 26),
	// RFC 7505 (27), the registry itself (28), RFC 8617 (29), RFC 8689 (30).
	{7, 0, "other security problem", Policy},
	{7, 1, "delivery is not authorized", Policy},
	{7, 2, "mailing list may not be expanded", Policy},
	{7, 3, "security conversion is needed and not possible", Policy},
	{7, 4, "security features are not supported", TLSRequired},
	{7, 5, "cryptographic failure", TLSRequired},
	{7, 6, "cryptographic algorithm is not supported", TLSRequired},
	{7, 7, "message integrity failure", AuthFailure},
	{7, 8, "authentication credentials are invalid", AuthFailure},
	{7, 9, "authentication mechanism is too weak", AuthFailure},
	{7, 10, "encryption is needed", TLSRequired},
	{7, 11, "encryption is needed for the authentication mechanism", TLSRequired},
	{7, 12, "password transition is needed", AuthFailure},
	{7, 13, "user account is disabled", InactiveMailbox},
	{7, 14, "trust relationship is needed", AuthFailure},
	{7, 15, "priority is too low", Policy},
	{7, 16, "message is too large for its priority", MessageTooLarge},
	{7, 17, "mailbox has a new owner", Policy},
	{7, 18, "domain has a new owner", Policy},
	{7, 19, "owner of the mailbox cannot be checked", Policy},
	{7, 20, "no passing DKIM signature", AuthFailure},
	{7, 21, "no acceptable DKIM signature", AuthFailure},
	{7, 22, "no valid DKIM signature of the author's domain", AuthFailure},
	{7, 23, "SPF validation failed", AuthFailure},
	{7, 24, "SPF validation met an error", AuthFailure},
	{7, 25, "reverse DNS lookup failed", NoReverseDNS},
	{7, 26, "several authentication checks failed", AuthFailure},
	{7, 27, "sender's domain has a null MX", SenderRejected},
	{7, 28, "mail flood", RateLimited},
	{7, 29, "ARC validation failed", AuthFailure},
	{7, 30, "REQUIRETLS cannot be kept", TLSRequired},
}

// Text says in a few words what the status is registered for with IANA, whatever its class; empty for one that is not.
func (s Status) Text() string {
	for i := range registry {
		if r := &registry[i]; r.subject == s.Subject && r.detail == s.Detail && !s.IsZero() {
			return r.text
		}
	}
	return ""
}
