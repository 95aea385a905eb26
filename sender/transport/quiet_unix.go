//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package transport

import "syscall"

// socketReadable returns a function that peeks at a socket. Sockets of the net package do not block.
func socketReadable(raw syscall.RawConn) func() bool {
	var found bool
	var octet [1]byte
	peek := func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), octet[:], syscall.MSG_PEEK)
		found = err != syscall.EAGAIN && err != syscall.EINTR
		return true // whatever came of it: do not wait
	}
	return func() bool {
		found = true // a closed socket is not peeked at
		raw.Read(peek)
		return found
	}
}
