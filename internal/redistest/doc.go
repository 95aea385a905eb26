// Package redistest gives tests a Redis server, version 6 or later.
//
//   - [URL] is what most tests want: a server that all tests of the process share. Tests keep apart by [Prefix].
//   - [Start] is for tests of a server that goes away: one of the test's own, to be stopped and started again.
//
// The shared server is the one that REPUTE_REDIS names, as a URL (redis://host/0, unix:///run/redis.sock). Without that variable, and always
// for [Start], it is a throw-away server of the program redis-server in PATH. A machine without it skips the test, or fails it, as
// internal/interop says. REPUTE_REDIS=none pretends to be such a machine.
//
// A throw-away server
//
//  1. has one temporary folder that only its user can enter, with its Unix socket and its log. It listens on no network;
//  2. keeps nothing on disk, so that what it had is gone when it is started again;
//  3. does not outlive the test process, whichever way that ends. It is the child of a shell that does nothing but read from a pipe, which the
//     kernel closes with the test process, be it at its regular end, a panic, a time-out or SIGKILL. The shell then kills the
//     server and removes the folder. So packages need no TestMain for it. The shell has a session of its own, so what is typed at a terminal does not reach it.
//
// The package speaks to the server without a client library. The functions must not be called in a testing/synctest bubble, since what they wait
// for is outside of it.
package redistest
