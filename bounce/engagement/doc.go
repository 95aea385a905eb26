// Package engagement keeps mail from people who have not read it for long. Addresses that nobody reads die, are made into spamtraps,
// and their silence is what mailbox providers judge a sender by, most of all while its address is new.
//
// # The gate
//
// A [Gate] decides for a stream and an address whether it may be written to:
//
//  1. The host says when the person behind the address last did something that only a person does: opened, clicked, logged in, bought,
//     signed up ([Config.Activity]).
//  2. The stream's [Policy] says how long ago that may be: less while the addresses that the stream goes out from are being warmed up,
//     as [Config.Stage] tells, and more when they are warm. [Recommended] is 30, 60, 90 and 180 days, after SparkPost's guide to
//     warming up.
//  3. An address of which nothing is known is refused, but on the stream of the confirmation campaign, while the campaign asks it.
//  4. A stream without a policy, such as one of receipts and password resets, admits everybody.
//
// The decision says why in words for people. An error is no decision: whoever asks then waits, and lets nothing through.
//
// # The confirmation campaign
//
// A list that was inherited, or not written to for years, says nothing of who is still there. A [Campaign] asks each address at most
// k times whether it wants the mail, at a trickle that no reputation suffers from:
//
//  1. [Campaign.Add] takes addresses in. Each is then invited with no message sent.
//  2. [Campaign.DueAt] says whom to send the confirmation message now. A message counts as sent before the host learns of it: a crash
//     can lose one, and never makes it more than k.
//  3. In any 24 hours DueAt hands out no more than PerDay, and no more than a twentieth of that in any 50 minutes. Second messages
//     go before first ones, so that those who were once asked also have their end, and within each the oldest first.
//  4. The message holds a link with the invitation's token. [Campaign.Confirm] takes the token: the address is active from then on, and
//     the gate takes that for activity.
//  5. Who has not confirmed by GiveUpAfter past the k-th message is given up by [Campaign.SweepAt]: reported to the host's
//     suppression, and lapsed for good.
//
// Programs that read mail follow links. The page behind the link should therefore ask for a click on a button, and confirm on that.
//
// # What is kept
//
// The campaign's records are in its Store, one for each address, and one for the trickle. They are the truth: each step is one atomic
// update that looks at the record first. So several processes may share a store, and two of them never get the same invitation. An
// index of who is due next is kept in memory: of the earliest 65,536 of each kind, however many there are. It is built from the
// store at the first use, and again when it is an hour old (others may have added addresses) or used up. What is out of date
// in it costs a read of the record.
//
// Time is an argument. The trickle counts in steps of five minutes, and each count stays until the end of its step plus 24 hours.
// Where the clock runs backwards, what was counted for later than now still counts. What is on record for more than a day later than
// now comes from a clock that was wrong: it is taken for things of now, so that it holds nothing up for ever. What a clock that jumps
// ahead makes look old is lost. The clocks of processes that share a store have to agree to within a second or so; a difference
// shortens the windows by as much.
package engagement
