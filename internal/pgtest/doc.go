// Package pgtest gives tests a PostgreSQL server, version 13 or later.
//
//   - [DSN] is what most tests want: an empty schema on a server that all tests of the process share.
//   - [Start] is for tests of a server that goes away: a cluster of the test's own, to be stopped, killed and started again.
//
// The shared server is the one that REPUTE_POSTGRES names. Without that variable, and always for [Start], the server is a
// throw-away cluster of the programs on this machine: those in PATH, else the newest in Debian's /usr/lib/postgresql. A
// machine without them skips the test, or fails it, as internal/interop says. REPUTE_POSTGRES=none pretends to be such a machine.
//
// A throw-away cluster
//
//  1. lives in one temporary folder that only its user can enter, with its data, its log and its Unix socket. It listens on no network, so it
//     needs neither a free port nor a password;
//  2. runs as the user of the test. PostgreSQL refuses to run as root, so a test of root runs it as the user postgres, or nobody where there is
//     no postgres. The temporary folder (TMPDIR) must be one which that user can reach;
//  3. has the server's defaults, fsync among them, but for 200 connections;
//  4. does not outlive the test process, whichever way that ends. Beside each cluster waits a shell that does nothing but read from a
//     pipe. The kernel closes the pipe with the test process, be it at its regular end, a panic, a time-out or SIGKILL. The shell
//     then stops the server at once and removes the folder. So packages need no TestMain for it. Shell and server have sessions of their own, so
//     what is typed at a terminal does not reach them.
//
// The functions must not be called in a testing/synctest bubble, since what they wait for is outside of it.
package pgtest
