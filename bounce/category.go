package bounce

import "time"

// Category says what a reply is about: the field's vocabulary for why a receiver did not take a message.
// It is a typed string so that it reads the same in a log, in JSON and in a rule file.
type Category string

// The categories. docs/categories.md explains each with an example; a test holds that table against these constants.
const (
	// BadMailbox: the mailbox does not exist at the receiver.
	BadMailbox Category = "bad-mailbox"
	// BadDomain: the recipient's domain does not exist or takes no mail (NXDOMAIN, null MX).
	BadDomain Category = "bad-domain"
	// InactiveMailbox: the mailbox exists but is disabled, expired or abandoned.
	InactiveMailbox Category = "inactive-mailbox"
	// MailboxFull: the mailbox is over its quota.
	MailboxFull Category = "mailbox-full"
	// RateLimited: the receiver wants less mail, fewer connections or fewer recipients from us for a while.
	RateLimited Category = "rate-limited"
	// ReputationBlock: the receiver's own opinion of our address, network or domain is bad.
	ReputationBlock Category = "reputation-block"
	// Blocklisted: a named blocklist has our address or domain.
	Blocklisted Category = "blocklisted"
	// SpamContent: the content was judged to be spam or malware.
	SpamContent Category = "spam-content"
	// Policy: a rule of the receiver that is none of the others.
	Policy Category = "policy"
	// AuthFailure: SPF, DKIM, DMARC or SMTP AUTH failed or was missing.
	AuthFailure Category = "auth-failure"
	// TLSRequired: the receiver or our own policy demands TLS that did not come about.
	TLSRequired Category = "tls-required"
	// Greylisted: try again in some minutes from the same address.
	Greylisted Category = "greylisted"
	// MessageTooLarge: the message is larger than the receiver takes.
	MessageTooLarge Category = "message-too-large"
	// RelayDenied: the host does not take mail for this recipient's domain from us.
	RelayDenied Category = "relay-denied"
	// SenderRejected: the envelope or header sender is refused.
	SenderRejected Category = "sender-rejected"
	// NoReverseDNS: our address has no, or a wrong, PTR record or EHLO name.
	NoReverseDNS Category = "no-reverse-dns"
	// ProtocolError: a command, address or message that the receiver found malformed, or a missing extension.
	ProtocolError Category = "protocol-error"
	// Network: no conversation came about or it broke off: connect, DNS, time-out, reset.
	Network Category = "network"
	// ServerBusy: the receiver has troubles of its own (overload, disk full, maintenance).
	ServerBusy Category = "server-busy"
	// Expired: an MTA on the way gave up after trying for its whole queue lifetime.
	Expired Category = "expired"
	// Other: nothing known matched.
	Other Category = "other"
)

// Categories lists every category, in the order of the constants.
func Categories() []Category {
	return []Category{
		BadMailbox, BadDomain, InactiveMailbox, MailboxFull, RateLimited, ReputationBlock, Blocklisted, SpamContent,
		Policy, AuthFailure, TLSRequired, Greylisted, MessageTooLarge, RelayDenied, SenderRejected, NoReverseDNS,
		ProtocolError, Network, ServerBusy, Expired, Other,
	}
}

// Scope says whose fault a reply is, and so what it is remembered against.
type Scope string

// The scopes.
const (
	// ScopeRecipient: this address, and nothing else.
	ScopeRecipient Scope = "recipient"
	// ScopeMessage: this message (its size, content or form), to whomever it goes.
	ScopeMessage Scope = "message"
	// ScopeRoute: our source address or relay account, as this provider sees it.
	ScopeRoute Scope = "route"
	// ScopeDomain: our signing or sender domain, whichever route it uses.
	ScopeDomain Scope = "domain"
	// ScopeProvider: the receiver itself, whoever writes to it.
	ScopeProvider Scope = "provider"
)

// Limit says which of the receiver's limits a reply is about, where it names one.
type Limit string

// The limits.
const (
	// LimitConnections: connections at a time.
	LimitConnections Limit = "connections"
	// LimitMessages: messages over one connection.
	LimitMessages Limit = "messages-per-connection"
	// LimitRecipients: recipients of one transaction.
	LimitRecipients Limit = "recipients"
)

// Limits lists every limit, in the order of the constants.
func Limits() []Limit { return []Limit{LimitConnections, LimitMessages, LimitRecipients} }

// Stage is the point of the SMTP conversation at which a reply came.
type Stage string

// The stages, in the order of a conversation.
const (
	// StageResolve: before any connection, looking up the destination.
	StageResolve Stage = "resolve"
	// StageConnect: opening the connection, and the greeting.
	StageConnect Stage = "connect"
	// StageEHLO: the reply to EHLO or HELO.
	StageEHLO Stage = "ehlo"
	// StageTLS: STARTTLS and the handshake.
	StageTLS Stage = "starttls"
	// StageAuth: SMTP AUTH.
	StageAuth Stage = "auth"
	// StageMail: the reply to MAIL FROM.
	StageMail Stage = "mail"
	// StageRcpt: the reply to RCPT TO.
	StageRcpt Stage = "rcpt"
	// StageData: the reply to DATA, before the content.
	StageData Stage = "data"
	// StageDot: while the content was sent, and the reply to its final dot.
	StageDot Stage = "dot"
)

// SawMessage reports whether a receiver that failed at this stage may have counted the attempt against us:
// from MAIL on it has. Before, a warm-up allowance is given back.
func (s Stage) SawMessage() bool {
	switch s {
	case StageMail, StageRcpt, StageData, StageDot:
		return true
	}
	return false
}

// Verdict is what a reply means and what to do about it.
//
// Permanent follows the basic code (RFC 5321 section 4.2.1: 4yz may be tried again, 5yz not) unless a rule knows better.
// A permanent verdict whose Scope is the route says only that this route is refused: another route may be tried.
type Verdict struct {
	Category Category `json:"category"`
	Scope    Scope    `json:"scope"`
	// Limit is the limit of the receiver's that the reply is about: only ever set with RateLimited, and empty where the reply names none.
	Limit Limit `json:"limit,omitempty"`
	// Permanent: trying the same again over the same route is pointless.
	Permanent bool `json:"permanent,omitempty"`
	// Suppress: the address is dead and must not be mailed again. Only ever true with ScopeRecipient and Permanent.
	Suppress bool `json:"suppress,omitempty"`
	// Rule names the rule that decided, for example "google/rate-ip". Never empty.
	Rule string `json:"rule"`
	// Remedy is one sentence that tells the operator what to do: the rule's, else the category's. Empty for an accepted
	// message only.
	Remedy string `json:"remedy,omitempty"`
	// RetryAfter is the wait that the reply itself asked for; 0 when it named none. In JSON: nanoseconds.
	RetryAfter time.Duration `json:"retry_after,omitempty"`
	// Shadow is what the first rule with Rule.Shadow would have said that would have won, had it been allowed to. Nothing may act upon
	// it. Nil mostly.
	Shadow *Verdict `json:"shadow,omitempty"`
}
