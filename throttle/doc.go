// Package throttle decides how much a receiver is sent now: how many connections, how many messages over each and at what
// rate, and when to stop because the receiver said so.
//
// A receiver sees and judges a path: one route of ours (a source address or a relay) towards one provider (all the
// destinations whose mail hosts one operator runs). Every limit is kept per path.
//
// # The provider of a destination
//
// Table.Provider groups destinations by who runs their MX hosts:
//
//  1. A domain that a Provider lists by name belongs to it, whatever its MX hosts.
//  2. No MX host, or an address instead of a name: the domain stands for itself.
//  3. Each MX host has one operator: the Provider with the longest suffix that matches the host at a label boundary, or
//     else the host's organisational domain by the Public Suffix List.
//  4. All hosts have the same operator: that is the provider. So a domain belongs to "google" only if all its MX hosts do.
//  5. Two or three operators: their names in order, joined by "+", with the strictest of their limits. More: the domain
//     stands for itself.
//
// # Tokens
//
// A sender takes TokenMessage for each message and TokenConnection for each connection that it opens, by Limiter.AcquireAt,
// and gives back by Limiter.ReleaseAt the connections it closed and whatever it did not use. A token is refused while
//
//  1. the path is stopped (below);
//  2. for a connection: as many are open as the path may have now, or the route, the provider or the process;
//  3. for a message: more connections are open than a path that comes back from a stop may have;
//  4. the rate is used up. Rates are token buckets of golang.org/x/time/rate, one second's worth deep and at least one
//     token. A new bucket holds a single token, so that neither a restart nor a forgotten path hands out a burst.
//
// The Decision says why and until when. A time of zero means that nothing but a ReleaseAt (or the sender's own next
// success) can change the answer. Nothing here waits, sleeps or holds mail: a refusal is no attempt.
//
// # Signals
//
// What the receiver says comes back by Limiter.ObserveAt. The machine of a path has three phases:
//
//		open --(rate-limited, blocked, ...)--> stopped --(time)--> ramping --(success, once per missing connection)--> open
//		                                          ^------------------'  (the same signal again: twice as long)
//
//	 1. rate-limited stops the path for 10 minutes, or as long as the reply asked for. Then it resumes with one connection,
//	    and each success allows one more up to the limit. The same again while it ramps stops it for twice as long as before,
//	    up to 4 hours. (Google, "Email sender guidelines", reply 4.7.28.) The message rate is halved as well, from what was really sent (below).
//	 2. blocked suspends the path for 2 hours when 5 came within an hour, or 2 within an hour with no success between them.
//	    It ends as gradually. The first one is a warning. (KumoMTA's production shaping rules suspend for 2 hours after 2 to 5 replies in an hour.)
//	 3. too-many-connections lowers the connections allowed to one fewer than are open (below). When there
//	    was only one, the path stops for a minute, doubling up to half an hour.
//	 4. too-many-messages lowers the messages per connection for a day, and too-many-recipients the recipients of a transaction: to the number that the
//	    receiver took, if that is known, else to half.
//	 5. closed, twice within an hour after the same number of messages, lowers the messages per connection to that number. (Yahoo, sender hub FAQ: connections
//	    are closed without an error after an unpublished number of messages.)
//	 6. network-failure, 20 times without anything else between, stops the path for 5 minutes, doubling up to half an hour. While other connections
//	    of the path work, it is also a sign that they are one too many (au resets connections above its limit).
//	 7. greylisted and other change nothing; nor does success while the path is open and nothing is lowered, but for ending rows of failures.
//
// # What is learnt
//
// Limits that were lowered come back by themselves, slowly, and no limit holds mail for ever: all have a floor (Backoff.MinConnections, MinMessageRate).
//
//  1. Connections: one fewer than were open when one was refused for their number. A failure that may have another reason takes one away
//     by concurrency feedback of 1/N with hysteresis (Postfix, SCHEDULER_README), once a minute at most. One is given back when as many messages were accepted
//     as connections are allowed, and 10 minutes have passed since the last change; when the receiver refuses it, the next try comes after twice the time, up to 4 hours.
//  2. Message rate: half of what was accepted in the last minutes, if that was 10 messages at least, once a minute at most. Mail that is accepted raises it, each
//     minute by a sixtieth of the rate that was too much, and beyond that by a thirtieth of itself.
//  3. The same where a fifth of an hour's messages, of 100 at least, was put off or refused for our reputation or rate, whether or not that stopped the path. A twentieth
//     is a warning.
//
// Config.OnChange is told of each stop, lowered limit and warning.
//
// While a path is stopped, further signals come from messages that were already under way: they never lengthen the stop,
// unless a reply asks for a longer wait, or blocks suspend a path that was only backing off.
//
// A Limiter keeps a bounded number of paths, and drops the unused ones first. One that is stopped is never dropped; one that
// ramps or has learnt lower limits is only dropped when it was not used for Config.Idle, however many others there are.
//
// # Reactions
//
// Some replies ask for more than their signal does. A Reaction is a rule, as data with a source and evidence: which replies of
// which providers, how many within a sliding window, and what is slowed down for how long. Config.Reactions are those of a Limiter: ObserveAt finds the one to
// Signal.Code and Signal.Text; those for certain providers come before those for any, and the host's before the built-in ones. A reply that came while the path was stopped,
// or of an attempt that began before, does not count. What a reaction has lowered comes back when its time is over; what it stopped ramps. NewReactions refuses
// one that can never match, never acts or is shadowed by another.
package throttle
