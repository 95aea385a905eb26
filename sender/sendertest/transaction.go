package sendertest

import (
	"bufio"
	"bytes"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/reputemail/repute/bounce"
)

// mail begins a transaction (RFC 5321 section 4.1.1.2).
func (s *Session) mail(arg string) error {
	err := s.tryMail(arg)
	s.denied = !s.begun
	return err
}

func (s *Session) tryMail(arg string) error {
	c := &s.server.config
	switch {
	case s.hostname == "":
		return s.violation(503, status(5, 5, 1), "EHLO first")
	case s.begun:
		return s.violation(503, status(5, 5, 1), "MAIL was said already")
	case c.RequireTLS && s.tls == nil:
		return s.plain(530, status(5, 7, 0), "Must issue a STARTTLS command first")
	case c.RequireAuth && s.user == "":
		return s.plain(530, status(5, 7, 0), "Authentication required")
	case c.MaxMessages > 0 && s.messages >= c.MaxMessages:
		return s.say(s.decide(nil, "", reply(421, status(4, 7, 0), "Too many messages on this connection")))
	}
	from, rest, ok := parsePath(arg, "FROM:")
	if !ok {
		return s.violation(501, status(5, 5, 4), "Syntax: MAIL FROM:<address>")
	}
	if from != "" && !validAddress(from) {
		return s.violation(553, status(5, 1, 7), "Malformed sender address")
	}
	params, bad := s.mailParams(rest)
	if bad != nil {
		return s.violation(bad.Reply.Code, bad.Reply.Status, bad.Reply.Lines[0])
	}
	if _, utf8 := params["SMTPUTF8"]; !utf8 && !isASCII(from) {
		return s.violation(553, status(5, 6, 7), "Address needs SMTPUTF8")
	}
	standard := reply(250, status(2, 1, 0), "Sender ok")
	if size, err := strconv.ParseInt(params["SIZE"], 10, 64); err == nil && size > c.MaxSize {
		standard = reply(552, status(5, 3, 4), "Message size exceeds fixed limit") // RFC 1870 section 6.1
	}
	a := s.decide(s.script.OnMail, from, standard)
	if a.Reply.OK() {
		s.begun, s.from, s.params = true, from, params
	}
	return s.say(a)
}

// mailParams reads the parameters of MAIL. bad is the answer to a parameter that was not offered or is malformed.
func (s *Session) mailParams(rest string) (params map[string]string, bad *Answer) {
	ext := s.server.config.Extensions
	for _, word := range strings.Fields(rest) {
		key, value, _ := strings.Cut(word, "=")
		key = strings.ToUpper(key)
		ok := false
		switch key {
		case "SIZE":
			_, err := strconv.ParseUint(value, 10, 63)
			ok = err == nil && !ext.NoSize
		case "BODY":
			value = strings.ToUpper(value)
			ok = !ext.No8BitMIME && (value == "7BIT" || value == "8BITMIME")
		case "SMTPUTF8":
			ok = !ext.NoSMTPUTF8 && value == ""
		case "RET", "ENVID":
			ok = ext.DSN && value != ""
		case "AUTH":
			ok = len(s.server.config.Auth) > 0 && value != ""
		}
		if !ok || !s.extended {
			return nil, reply(555, status(5, 5, 4), "Parameter not recognised: "+key)
		}
		if params == nil {
			params = map[string]string{}
		}
		params[key] = value
	}
	return params, nil
}

// rcpt adds a recipient (RFC 5321 section 4.1.1.3).
func (s *Session) rcpt(arg string) error {
	if !s.begun {
		return s.early()
	}
	to, rest, ok := parsePath(arg, "TO:")
	if !ok {
		return s.violation(501, status(5, 5, 4), "Syntax: RCPT TO:<address>")
	}
	if !validAddress(to) && !strings.EqualFold(to, "postmaster") {
		return s.violation(553, status(5, 1, 3), "Malformed recipient address")
	}
	if _, utf8 := s.params["SMTPUTF8"]; !utf8 && !isASCII(to) {
		return s.violation(553, status(5, 6, 7), "Address needs SMTPUTF8")
	}
	for _, word := range strings.Fields(rest) {
		key, _, _ := strings.Cut(strings.ToUpper(word), "=")
		if !s.server.config.Extensions.DSN || key != "NOTIFY" && key != "ORCPT" {
			return s.violation(555, status(5, 5, 4), "Parameter not recognised: "+key)
		}
	}
	standard := reply(250, status(2, 1, 5), "Recipient ok")
	if limit := s.server.config.MaxRecipients; limit > 0 && len(s.to) >= limit {
		standard = reply(452, status(4, 5, 3), "Too many recipients")
	}
	a := s.decide(s.script.OnRcpt, to, standard)
	if a.Reply.OK() {
		s.to = append(s.to, to)
	}
	return s.say(a)
}

// handleData takes the content (RFC 5321 section 4.1.1.4).
func (s *Session) handleData(arg string) error {
	switch {
	case arg != "":
		return s.violation(501, status(5, 5, 4), "DATA takes no parameter")
	case !s.begun:
		return s.early()
	case s.chunks:
		return s.violation(503, status(5, 5, 1), "BDAT was used already") // RFC 3030 section 2
	case len(s.to) == 0:
		// Not a violation: with pipelining the client cannot know yet (RFC 2920 section 3.1).
		return s.plain(554, status(5, 5, 1), "No valid recipients")
	}
	a := s.decide(s.script.OnData, "", reply(354, bounce.Status{}, "Go ahead, end with <CR><LF>.<CR><LF>"))
	if err := s.say(a); err != nil || a.Reply.Code != 354 {
		return err
	}
	if err := s.writer.Flush(); err != nil {
		return err
	}
	if s.script.OnContent != nil {
		if a := s.script.OnContent(s, ""); a != nil && (a.Close || a.Reset) {
			return s.say(a)
		}
	}
	fault, err := s.readContent()
	if err != nil {
		return err
	}
	if fault != nil {
		s.server.count(func(c *ServerStats) { c.Violations++ })
		s.reset()
		return s.say(s.decide(nil, "", fault))
	}
	return s.taken()
}

// taken answers the end of the content.
func (s *Session) taken() error {
	standard := reply(250, status(2, 0, 0), "Accepted as "+itoa(int64(s.id))+"-"+itoa(int64(s.messages+1)))
	standard.accepts = true
	if int64(len(s.data)) > s.server.config.MaxSize {
		standard = reply(552, status(5, 3, 4), "Message size exceeds fixed limit")
		s.reset()
		return s.say(s.decide(nil, "", standard))
	}
	a := s.decide(s.script.OnDot, "", standard)
	if a.Reply.OK() {
		s.messages, s.errors = s.messages+1, 0
		s.server.config.Inbox.add(s.Received())
		s.server.count(func(c *ServerStats) { c.Messages++ })
	}
	s.reset()
	return s.say(a)
}

// readContent reads up to <CRLF>.<CRLF> and nothing else: a dot between bare line ends is content, whatever some servers make
// of it. A content with bare line ends, with NUL or with over-long lines is read to its end and then refused with the
// returned answer, so that no two readers can take it for different messages (RFC 5321 sections 2.3.8 and 4.1.1.4).
func (s *Session) readContent() (fault *Answer, err error) {
	limit := s.server.config.MaxSize
	hint, _ := strconv.ParseInt(s.params["SIZE"], 10, 64)
	s.data = make([]byte, 0, min(max(hint, s.lastSize)+64, limit+1, 1<<20))
	lineStart, afterCR := true, false // at the start of a line; the last octet was a CR
	length := 0                       // of the current line
	eight := false
	refuse := func(st bounce.Status, text string) {
		if fault == nil {
			fault = reply(550, st, text)
		}
	}
	for {
		if s.reader.Buffered() == 0 {
			s.raw.SetReadDeadline(time.Now().Add(s.server.config.Timeout))
		}
		chunk, err := s.reader.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
		ended := err == nil
		crlf := ended && (len(chunk) >= 2 && chunk[len(chunk)-2] == '\r' || len(chunk) == 1 && afterCR)
		if lineStart && crlf && len(chunk) == 3 && chunk[0] == '.' {
			break
		}
		if length += len(chunk); length > maxLine+1 { // one for a stuffed dot
			refuse(status(5, 6, 0), "Line too long in message")
		}
		if bareCR(chunk, afterCR) || ended && !crlf {
			refuse(status(5, 6, 0), "Bare <CR> or <LF> in message")
		}
		if bytes.IndexByte(chunk, 0) >= 0 {
			refuse(status(5, 6, 0), "NUL in message")
		}
		eight = eight || !isASCIIBytes(chunk)
		afterCR = chunk[len(chunk)-1] == '\r'
		if lineStart && chunk[0] == '.' {
			chunk = chunk[1:] // RFC 5321 section 4.5.2
		}
		if int64(len(s.data)) <= limit {
			s.data = append(s.data, chunk...)
		}
		if lineStart = crlf; ended {
			length = 0
		}
	}
	s.lastSize = int64(len(s.data))
	if eight && (s.server.config.Extensions.No8BitMIME || !s.extended) {
		refuse(status(5, 6, 3), "8-bit content, but 8BITMIME was not offered")
	}
	return fault, nil
}

// bareCR reports whether a chunk has a CR without an LF after it. A CR at its end is judged with the next chunk.
func bareCR(chunk []byte, afterCR bool) bool {
	if afterCR && chunk[0] != '\n' {
		return true
	}
	for i := bytes.IndexByte(chunk, '\r'); i >= 0 && i+1 < len(chunk); {
		if chunk[i+1] != '\n' {
			return true
		}
		next := bytes.IndexByte(chunk[i+1:], '\r')
		if next < 0 {
			return false
		}
		i += 1 + next
	}
	return false
}
