// Package bounce understands what receivers say. It parses a reply (or the text of one, as it stands in a log, an error
// or a bounce message) into a Reply, and classifies a Reply into a Verdict: what it is about, whose fault it is, whether
// to try again and whether the address is dead.
//
// # Parsing
//
// ParseReply never fails; what it cannot read as a reply becomes text. In this order:
//
//  1. A diagnostic type ("smtp;", RFC 3464 section 2.3.6) is taken off.
//  2. The basic code (RFC 5321 section 4.2) is looked for at the start; behind a greeting that was glued to it
//     ("220-mx.example.com 421 …"); and behind the words with which an MTA quotes another ("host x said:", "-> ", "<<< ").
//  3. The lines of a reply are told apart, also when something joined them ("550-5.1.1 a 550 5.1.1 b").
//  4. The enhanced code (RFC 3463 section 2) is taken from the start of a line, else from within the text ("(#5.1.1)").
//  5. The stage is read from Postfix's "(in reply to RCPT TO command)" or Exim's "after RCPT TO:".
//
// # Classifying
//
// A Classifier holds rules. A Rule is data: phrases, codes, stages, providers, and the verdict that follows from them.
// The built-in ones are the files under rules/. To classify, a Classifier
//
//  1. brings the text into normal form: lower case, words apart by one space, accents and apostrophes gone, "@" for an
//     address, "#" for an IPv4 address (see Rule for the syntax of phrases);
//  2. finds all phrases of all rules in one pass over it, with an Aho-Corasick automaton;
//  3. takes the first rule, in order of precedence, whose every condition holds. Precedence goes by Tier: a provider's own
//     token, then a blocklist's name or URL, then text that states a reason, then an enhanced code that does, then weaker
//     text, then the basic code. Enhanced codes come late since receivers contradict them freely: 5.7.1 alone stands
//     for a dozen reasons, and "552 5.1.1" is some receivers' way to say that a mailbox is full;
//  4. decides Permanent by the basic code, else by the class of the enhanced code, unless the rule says that such a
//     refusal passes; and Suppress only when the rule is about a dead address and the verdict is permanent;
//  5. names what the operator can do: the rule's remedy, else the category's (Category.Remedy).
//
// A reply that no rule knows falls to one of the default rules, named "default/…", which never suppress.
//
// A host adds rules of its own (Config.Rules), from code or from a file (ReadRules). One that has to prove itself first has
// Rule.Shadow: the verdict stays what it was, and Verdict.Shadow tells what the rule would have said.
//
// To suppress a good address is the worst mistake, and what receivers write has no end. So the built-in rules suppress by a
// provider's own token; by an enhanced code about the address (5.1.1) together with text that says the same and none that
// casts doubt on it (rules/shared/phrases.json: words about us, about blocking, limits, quotas and what passes); or when
// every word of the text, but for identifiers, hosts and URLs, is known and together they say that the address is dead. What only seems to say so has the
// category and does not suppress: rules named "…/unsure" and "…-unsure".
//
// These things hold for every verdict, whatever the rules:
//
//   - A reply of our own making or a 4yz is never turned into a suppression. The exception is a Local reply with a permanent
//     fact from DNS: a domain that does not exist or that publishes a null MX (RFC 7505).
//   - Nor is one whose code is about commands, authentication, the whole host or storage (50x, 53x, 521, 552).
//   - Nor is one at StageData or StageDot, which is to all recipients at once, unless its enhanced code is about an address
//     or the rule is of TierToken.
//   - A reply that came before RCPT says nothing about a mailbox.
//   - A verdict that suppresses is about the recipient, permanent, and one of BadMailbox, BadDomain and InactiveMailbox.
package bounce
