// Package deptest guards the project's structure. It has only tests: they read the import graph with "go list" and the
// top folder, and fail on what docs/design.md does not allow.
//
//  1. A leaf (warmup, throttle, auth, bounce) uses only itself and internal packages, by whatever way.
//  2. sender/sendertest uses only bounce.
//  3. Test kits (…test packages), package testing and rapid are not linked into users' programs: production code that is
//     not itself a kit or an example never imports them.
//  4. Nothing but the examples imports an example.
//  5. Dependencies whose interfaces change stay in one place each: miekg/dns in internal/dnsx, go-smtp in
//     the few packages that serve SMTP or read its errors.
//  6. A database driver is linked by nothing but the package that brings it (SQLite: sender/queue/sqlitequeue, PostgreSQL:
//     sender/queue/pgqueue), the examples and internal/pgtest (PostgreSQL's). Only examples use these packages. A Redis client is linked by
//     throttle/redisstore alone.
//  7. The top folder holds the packages, the project's papers and dotfiles, nothing else.
package deptest
