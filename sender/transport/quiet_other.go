//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package transport

import "syscall"

// socketReadable returns nil: here a look at a socket takes a moment.
func socketReadable(syscall.RawConn) func() bool { return nil }
