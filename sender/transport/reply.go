package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"strings"
	"syscall"

	"github.com/reputemail/repute/bounce"
)

// The statuses of Local replies (RFC 3463 section 3 and the IANA registry of enhanced status codes).
var (
	// statusConfig: our own configuration is wrong.
	statusConfig = bounce.Status{Class: 4, Subject: 3, Detail: 5}
	// statusConnect: no connection came about.
	statusConnect = bounce.Status{Class: 4, Subject: 4, Detail: 1}
	// statusLost: the connection broke, or a reply did not come in time.
	statusLost = bounce.Status{Class: 4, Subject: 4, Detail: 2}
	// statusProtocol: the host does not speak SMTP, or is out of step.
	statusProtocol = bounce.Status{Class: 4, Subject: 5, Detail: 0}
	// statusNoTLS: the host lacks TLS, or another security feature, that the policy demands.
	statusNoTLS = bounce.Status{Class: 4, Subject: 7, Detail: 4}
	// statusTLS: the handshake failed.
	statusTLS = bounce.Status{Class: 4, Subject: 7, Detail: 5}
	// statusAuth: our side of AUTH failed.
	statusAuth = bounce.Status{Class: 4, Subject: 7, Detail: 8}
	// statusTooLarge: the message is larger than the announced SIZE.
	statusTooLarge = bounce.Status{Class: 5, Subject: 3, Detail: 4}
	// statusEightBit: the message needs a conversion that we do not do.
	statusEightBit = bounce.Status{Class: 5, Subject: 6, Detail: 3}
	// statusUTF8: the host takes no non-ASCII addresses or header fields.
	statusUTF8 = bounce.Status{Class: 5, Subject: 6, Detail: 7}
	// statusBadTo and statusBadFrom: the address cannot be said in a command.
	statusBadTo   = bounce.Status{Class: 5, Subject: 1, Detail: 3}
	statusBadFrom = bounce.Status{Class: 5, Subject: 1, Detail: 7}
)

// local is a reply of our own making.
func local(stage bounce.Stage, host string, status bounce.Status, text string) bounce.Reply {
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "\uFFFD"), func(c rune) bool { return c < ' ' || c == 0x7f }), " ")
	return bounce.Reply{Status: status, Lines: []string{text}, Stage: stage, Host: host, Local: true}
}

// fault is a conversation that our side gave up.
func fault(stage bounce.Stage, host string, status bounce.Status, text string, cause error) *Error {
	return &Error{Reply: local(stage, host, status, text), Err: cause}
}

// reply is the last reply as the callers see it.
func (w *wire) reply(host string) bounce.Reply {
	r, _ := bounce.FromError(&textproto.Error{Code: w.code, Msg: string(w.text)}, w.stage, host)
	return r
}

// refusal is the last reply, as an error.
func (w *wire) refusal(host string) *Error { return &Error{Reply: w.reply(host)} }

// broken describes the failure of the connection.
func (w *wire) broken(ctx context.Context, host string) *Error {
	status, text := statusLost, describe(w.err)
	switch {
	case ctx.Err() != nil:
		text = "given up: " + ctx.Err().Error()
	case errors.Is(w.err, errGarbage), errors.Is(w.err, errLongReply), errors.Is(w.err, errManyLines), errors.Is(w.err, errUnasked):
		status = statusProtocol
	case isTimeout(w.err) && w.sending:
		text = "the host did not take what was sent in time"
	case isTimeout(w.err):
		text = fmt.Sprintf("no reply within %v", w.wait)
	}
	if w.stage == bounce.StageDot {
		if w.sending || w.partial {
			text = "lost the connection while sending the content: " + text
		} else {
			// RFC 5321 section 4.5.3.2.6 and RFC 1047: both sides may hold the message now.
			text = unknownOutcome + text
		}
	}
	return fault(w.stage, host, status, text, w.err)
}

const unknownOutcome = "no reply to the content, so the outcome is unknown and the message may have been delivered: "

// describe is the cause of a network error in words, without the addresses and the name of the system call.
func describe(err error) string {
	var op *net.OpError
	var call *os.SyscallError
	switch {
	case isTimeout(err):
		return "timed out"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the host closed the connection"
	case errors.Is(err, syscall.ECONNRESET):
		return "the host reset the connection"
	case errors.Is(err, net.ErrClosed):
		return "the connection was aborted"
	case errors.As(err, &call) && call.Err != nil:
		return call.Err.Error()
	case errors.As(err, &op) && op.Err != nil:
		return op.Err.Error()
	}
	return err.Error()
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}
