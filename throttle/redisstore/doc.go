// Package redisstore keeps a throttle's records in Redis, so that processes on many machines share limits. It is a throttle.Store over
// github.com/redis/go-redis, for those who have a Redis anyway, or rates so high that a database should not be asked once a second for each
// limit. Redis 6 or later, alone,
// behind Sentinel or as a Cluster.
//
// # How a value is kept
//
// Each value is one string under Config.Prefix and the throttle's key. Before the value stand a mark and a tag, at random, of its last write.
//
//  1. Update reads the string, calls the function with the value, and sends a script that writes the result if the tag is still the one
//     that was read. The server runs a script as one step, so nothing comes between. Otherwise somebody else was quicker, and the step is
//     repeated, after a pause of some milliseconds at random.
//  2. When a connection breaks before the answer, the same script is sent again, three times at most. If it finds its own tag, it was
//     written the first time. If it finds that of somebody else, nobody can tell, and Update returns an error: so nothing is done twice.
//  3. A key that is removed leaves its tag without a value for a minute, for the same reason.
//  4. A string without the mark is an error: somebody else's key, or one of a later version. It is never overwritten.
//
// Each operation is about one key, as a Cluster needs it. Load goes through all masters by SCAN; the throttle does not need it for sharing.
//
// # What is lost, and when
//
// Every write renews the key's life of Config.Expire, so the records of receivers that are no longer written to go by themselves. Redis
// answers before a replica has the write, and perhaps before its own disk has. A server that forgets, or a replica that takes over with
// an older state, costs what package throttle says of lost records: a second or so in which a newcomer may get what others still use.
// Nothing waits for Redis but the exchange itself: while it is away every process goes on with the share that it has.
//
// The server must not evict these keys for want of memory (maxmemory-policy noeviction or one of the volatile ones with enough room),
// and the client must read from masters: a stale read costs another try, and in Load a value.
package redisstore
