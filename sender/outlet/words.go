package outlet

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
)

// words is what went wrong on the connection to the proxy, without the addresses that the net package adds.
func words(err error) string {
	var op *net.OpError
	var call *os.SyscallError
	switch {
	case isTimeout(err):
		return "timed out"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it closed the connection"
	case errors.Is(err, syscall.ECONNRESET):
		return "it reset the connection"
	case errors.As(err, &call) && call.Err != nil:
		return call.Err.Error()
	case errors.As(err, &op) && op.Err != nil:
		return strings.TrimPrefix(op.Err.Error(), "unknown error ") // what the SOCKS dialer calls any reply
	}
	return err.Error()
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}
