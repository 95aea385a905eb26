package transport

import (
	"fmt"
	"net"
	"syscall"
	"time"
)

// glance is how long a look at a connection takes that cannot tell whether it has something to read.
const glance = time.Millisecond

// quiet makes sure that the host has said nothing that nobody asked for. A reply that is there before its command was sent
// would be taken for the command's, and every later one for that of the next, so that recipients would get each other's.
// It fails when there is one, or when the host has closed the connection. A 421 is what a host may say at any time (RFC 5321
// section 3.8): then replied is set, and there is no error.
func (w *wire) quiet() error {
	if w.err != nil || !w.waiting() {
		return w.err
	}
	w.raw.SetReadDeadline(time.Now().Add(glance))
	if _, err := w.br.Peek(1); err != nil {
		if isTimeout(err) {
			return nil // it was a message of TLS's own, or nothing
		}
		return w.fail(err)
	}
	w.raw.SetReadDeadline(time.Now().Add(lastWordsWait))
	err := w.readReply()
	if err == nil && w.code == 421 {
		return nil
	}
	said := w.text[:min(len(w.text), 80)]
	err = fmt.Errorf("%w: %q", errUnasked, said)
	if w.replied {
		err = fmt.Errorf("%w: %d %q", errUnasked, w.code, said)
	}
	w.replied = false
	return w.fail(err)
}

// overrun is the beginning of what the host has said beyond what it was asked for, or says within a time; empty for nothing. A 421 is
// none: it is left for quiet to find.
func (w *wire) overrun(within time.Duration) string {
	if w.err != nil || within == 0 && !w.waiting() {
		return ""
	}
	w.raw.SetReadDeadline(time.Now().Add(max(within, glance)))
	next, _ := w.br.Peek(len("421"))
	if string(next) == "421" {
		return ""
	}
	return string(next)
}

// agrees says whether what the host has said beyond the reply to the content, if anything, is of the same kind. If not, nobody knows
// which one counts; otherwise the verdict is clear, and quiet will find the rest.
func (w *wire) agrees() bool {
	next := w.overrun(0)
	return next == "" || int(next[0]-'0') == w.code/100
}

// waiting says whether there may be something to read: octets, or the end of the connection.
func (w *wire) waiting() bool {
	if w.br.Buffered() > 0 {
		return true
	}
	if w.rw != w.raw {
		// TLS may hold a record that it has read already. It looks for that before it reads, and reading fails at once.
		w.raw.SetReadDeadline(time.Unix(1, 0))
		if _, err := w.br.Peek(1); err == nil || !isTimeout(err) {
			return true
		}
	}
	if w.readable == nil {
		return true
	}
	w.raw.SetReadDeadline(time.Time{})
	return w.readable()
}

// readability returns how to see whether a connection has something to read, without reading and waiting: it asks the
// socket, or a connection that is none and has a method Readable. It returns nil where neither is possible.
func readability(conn net.Conn) func() bool {
	switch c := conn.(type) {
	case interface{ Readable() bool }:
		return c.Readable
	case syscall.Conn:
		if raw, err := c.SyscallConn(); err == nil {
			return socketReadable(raw)
		}
	}
	return nil
}
