// Package docstest holds the project's papers against the tree. It has only tests:
//
//  1. Links in Markdown files lead to files that exist.
//  2. The page of code in README.md compiles, its two commands are what .ci/run runs, and what it says that
//     examples/classify prints is what that prints.
//  3. Every file, test and subtest of docs/rfc-coverage.md exists.
//  4. "make help" names every target, and .ci/run is a shell script without syntax errors.
//  5. doc.go links to every package that a program can import, README's table has each, and README tells of every example.
//  6. The tables of docs/throttle.md are those of the built-in providers and reactions.
package docstest
