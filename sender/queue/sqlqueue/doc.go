// Package sqlqueue is a queue that survives: it keeps accepted mail in SQLite or PostgreSQL, through database/sql. It imports no
// driver. Packages sqlitequeue and pgqueue bring one each, for those who want a queue by one call.
//
// # What is kept
//
// A message is one row, its body another one that goes with the last delivery, and each delivery a third. A settled delivery stays for
// a week (Config.Retention), so that Get can tell about it, and so that a message whose ID comes again is known for a duplicate. The tables are
// named repute_*. Open brings the schema up to date, one process at a time, and refuses a schema that is newer than it knows
// (ErrNewer).
//
// # What it promises
//
// When Put returns nil the message is on disk: SQLite runs with a write-ahead log and synchronous=FULL, PostgreSQL with
// synchronous_commit=on. Calls that come at the same time share a transaction, so that many share one fsync; a call never waits
// for company. A call that fails for a passing reason (a lock, a lost connection, a server that restarts) is tried again for
// Config.RetryFor. When a connection breaks during a commit, the call is repeated in such a way that what was
// written before is recognised: nothing is stored or settled twice. If the database does not come back in
// that time, the call returns queue.ErrUnknown: the message is put again with the same ID. What went wrong for one call does not fail those that share
// its transaction.
//
// # Lanes
//
// Each lane has its deliveries in two indexes: those that are ready, by priority and age, and those that wait, by when they are due. Claim
// moves what has become due from the second to the first, and takes from its front. So a claim costs the same whatever waits behind, or in
// other lanes. What an index entry costs is paid only by deliveries that are in it: one that is put with a lease and delivered at once
// is in neither.
//
// # Leases and owners
//
// A claim leases deliveries to its owner: one process with one Queue. With SQLite there is one owner at a time: a lock file beside the
// database keeps a second process out (ErrLocked), and Open makes ready what the earlier one had leased. With PostgreSQL any number of processes
// work on one queue; a claim skips rows that another one is taking (FOR UPDATE SKIP LOCKED). Each says every now and then that it is
// alive; when one is silent for Config.OwnerTimeout the others take its deliveries over. A delivery whose lease was lost several times in a
// row is held back for longer each time, since it may be what brings processes down.
//
// All deadlines are kept and compared by the clock of the PostgreSQL server, so the clocks of processes do not matter; times that are told
// are translated into the process's own clock.
//
// # In the host's transaction
//
// PutTx stores a message in a transaction of the host's, next to its own tables. Watch tells of such mail after the commit: PostgreSQL
// notifies, if the driver can listen (Config.Listen); otherwise the queue looks four times a second, and at once after a PutTx of this
// process.
//
// # State of other parts
//
// State has small values for other parts, each kind apart: the warm-up ledger's records (WarmupStore), where migrations stand
// (MigrationStore), suppressed addresses (SuppressionStore), and how processes share limits (ThrottleStore).
package sqlqueue
