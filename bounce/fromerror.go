package bounce

import (
	"errors"
	"net/textproto"
	"strings"

	"github.com/emersion/go-smtp"
)

// FromError finds the reply in an error of go-smtp's client (*smtp.SMTPError, which holds the enhanced code apart from the
// text) or of net/textproto (*textproto.Error, which does not), anywhere in err's chain. Stage and host are stored in the
// Reply. It reports false when there is none: the conversation failed without a reply.
func FromError(err error, stage Stage, host string) (Reply, bool) {
	var se *smtp.SMTPError
	if errors.As(err, &se) {
		r := fromText(se.Code, se.Message)
		if c := se.EnhancedCode; c[0] > 0 && c[1] >= 0 && c[2] >= 0 {
			r.Status = Status{Class: c[0], Subject: c[1], Detail: c[2]}
		}
		r.Stage, r.Host = stage, host
		return r, true
	}
	var te *textproto.Error
	if errors.As(err, &te) {
		r := fromText(te.Code, te.Msg)
		r.Stage, r.Host = stage, host
		return r, true
	}
	return Reply{}, false
}

// fromText is a reply from its code and its lines, each without the basic code.
func fromText(code int, msg string) Reply {
	r := Reply{Code: code}
	kept := 0
	for _, line := range appendPhysical(nil, msg) {
		if line = r.takeStatus(line); line == "" {
			continue
		}
		if line = cut(line, maxReplyText-kept); line == "" {
			break
		}
		kept += len(line) + 1
		r.Lines = append(r.Lines, strings.Clone(line))
	}
	if r.Status.IsZero() {
		r.Status = innerStatus(r.Lines, code)
	}
	return r
}
