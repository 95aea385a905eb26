// Package warmup brings a new sending address to its full volume without burning it. It answers one question, "may this route send n
// more messages to this provider now?", so that the answer holds over restarts, crashes and several processes.
//
// # What it does
//
//  1. A Plan is a list of stages, each with caps for any rolling 24 hours, 60 minutes and 60 seconds. The last stage is the volume that
//     the host needs. Conservative, Moderate, SendGrid, SparkPost, SES, Geometric and Weekly make plans; ReadPlan reads one.
//  2. A Ledger keeps the position and the counts of each Path, that is of each route and mailbox provider: receivers judge an address
//     each for themselves.
//  3. Before the first attempt of a message the host asks ReserveAt, or TryReserveAt where it must not wait for the store. When the
//     receiver saw the message, whatever it answered, the host
//     calls CommitAt; when it never did (no connection, dropped before the command), CancelAt refunds it. Retries are not reserved again.
//  4. What became of attempts and retries goes to ObserveAt.
//  5. At most once in 24 hours a path moves up a stage: if at least 90 % of the stage's day cap was delivered in that time, and the Gate found no rate of
//     bounces, deferrals, blocks or complaints too high. If not it holds and repeats the stage. A day begins with the first reservation after the one before
//     is over, so days without mail do not count. After the last stage the path is complete and has no caps.
//  6. A rate that is much too high puts the path back a stage, at once.
//  7. More than three days without sending put it back a stage for each three days; more than 30 days put it back to the start. This
//     goes for complete paths too. Plans for weekly sendings count from when the next one is due.
//
// Each of these moves is a Change, with the evidence, which Config.OnChange is told. Ten days without advancing are a phase of their own, PhaseStuck. Operators
// have Pause and Resume, SetStage, AlreadyWarm and Reset.
//
// A route without a plan is warm: everything is allowed, and nothing is kept. What goes over a route to all providers, and what a domain signs, can have plans beside
// those of the paths: see Total and SigningDomain.
//
// # What else is here
//
// FitAt and Plan.Fit tell beforehand whether a campaign fits into an allowance. Simulate plays weeks of mail through, with the same ledger in virtual time
// and models of receivers, and makes a Forecast; package chart draws it. A Migrator moves mail from one route to another by a growing share of recipients,
// compares the two, and goes back by itself.
//
// # How it counts
//
// A cap of 100 for 24 hours means that no 24 hours, wherever they begin, see more than 100 messages. A reservation counts in every
// window from the time it is made until it is settled; a committed one counts from its commit on, for the length of the window. The
// receiver saw the message somewhere between the two, so whenever that was it is counted. Commits are gathered in buckets of 15
// minutes, 1 minute and 1 second, and each counts until the end of its bucket plus the length of the window. This errs on the safe
// side, and still leaves more than 98 % of each cap to use. Where a stage does not say how many messages a minute may have, those of an hour are spread over
// 48 minutes at least, each process for itself.
//
// Time is an argument. A time from time.Now goes by what has passed since Open, so that within a process a clock that is set changes nothing; what follows is for
// other times, and for what was on record before. Where it runs backwards the latest time seen is used, so that nothing is freed early. When it has been more
// than an hour behind for ten minutes, the latest time seen was wrong: everything on record for later than now is taken for things
// of now. So a clock that jumps ahead and is put right stops a path for no longer than a full window would. What a jump ahead itself
// makes look old is lost, though: a clock that is ahead by a day has let go of a day's counts, and one that is ahead by days has
// made the path look idle. A clock that was behind for longer than those ten minutes and is put right has jumped ahead, too.
//
// # How it survives
//
// The ledger writes to its Store before it uses anything: for each path and process the counts so far, and a promise of how many
// more the process may use before it writes again. A reservation takes from the promise in memory; when that is used up or ten
// minutes old, one atomic update writes the counts and leases the next block: a fiftieth of the day cap or eight messages, but no
// more than an eighth of each cap, unless more is asked for at once. So the store is used once per block, and at least once in ten
// minutes of use; in the small stages, where an eighth of the minute's cap is a single message, that is once per message. For each
// window the counts and promises of all processes together never exceed the cap, since only a lease adds to them, and it looks
// first.
//
// A process may make reservations from a promise for ten minutes and has to settle each within an hour. After that the others count
// the promise as used at that time, whatever became of the process, and in the end forget it. So after a crash the promise counts as
// used: some allowance is lost, none is gained; and a process that is idle, dead or renamed leaves the other ones seven eighths of
// each cap, and where a cap is too small for that, all of it but for some 70 minutes. When the store is out of reach, reservations
// are refused as soon as the promise is used up or too old; complete paths and routes without a plan go on.
//
// While the store is used for a path, nothing of it is locked. The store gets a snapshot, of which the record is made: what is
// outstanding in it, and what is promised. Whatever is committed, refunded or taken meanwhile is among that, so the record covers it;
// when the store has answered, it is subtracted from the new promise. So ReserveAt waits for the store where it must, and
// TryReserveAt never does: when the answer needs the store it says so, and PrepareAt, called by somebody who may wait, gets it. It also
// leases the next block before the last one is used up.
//
// A record that says no more than its absence, of a path at the plan's start where nothing counts any more, is removed when the path
// is written, and by Open and Close.
//
// Two limits of this: the clocks of processes that share a store have to agree, since a difference shortens the windows by as much,
// and they have to do so without jumps, since a process cannot tell that a promise has ended if its clock was put back meanwhile;
// and what a complete path sends is written every ten minutes only, so another process, or the next one, may not know of the last of
// it.
//
// MemoryStore and FileStore are stores; package warmuptest checks others.
package warmup
