package bounce

// Remedy is one sentence that tells the operator what to do about replies of this category, for rules that have no better one.
// It is empty for what is no category.
func (c Category) Remedy() string {
	switch c {
	case BadMailbox:
		return "Look at the address: the receiver does not know it."
	case BadDomain:
		return "Look at the address: its domain does not exist or takes no mail."
	case InactiveMailbox:
		return "Look at the address: its mailbox is closed or out of use."
	case MailboxFull:
		return "Try again in some days, and drop the address when its mailbox stays full for weeks."
	case RateLimited:
		return "Send less to this receiver for a while: fewer connections, and fewer messages an hour."
	case ReputationBlock:
		return "Ask the receiver's postmaster what it holds against this address or domain, and send only to people who read it until then."
	case Blocklisted:
		return "Find the list that the reply names, end what brought us there, and ask for removal."
	case SpamContent:
		return "Look at the links, attachments and text of the message, and at who gets it."
	case Policy:
		return "Ask the receiver's postmaster which of its rules the message broke."
	case AuthFailure:
		return "Check SPF, DKIM and DMARC of the sender's domain, or the account when a relay said it."
	case TLSRequired:
		return "Let the route use TLS 1.2 or later, and look at the receiver's certificate and TLS policy."
	case Greylisted:
		return "Try again in some minutes from the same address."
	case MessageTooLarge:
		return "Make the message smaller: send a link instead of an attachment."
	case RelayDenied:
		return "Check the MX records of the recipient's domain, and the account of the route if it is a relay."
	case SenderRejected:
		return "Check that the sender's address exists and that its domain takes mail, and ask the receiver's postmaster."
	case NoReverseDNS:
		return "Give the address a PTR record whose name resolves back to it, and greet with that name."
	case ProtocolError:
		return "Look at the form of the message and its addresses, and at what was said before in the conversation."
	case Network:
		return "Wait: the message is tried again; look at the network and at DNS when that goes on for hours."
	case ServerBusy:
		return "Wait: the receiver has troubles of its own, and the message is tried again."
	case Expired:
		return "Find out what kept the receiver from taking mail for so long; send again when that is over."
	case Other:
		return "Read the reply: no rule knows it."
	}
	return ""
}
