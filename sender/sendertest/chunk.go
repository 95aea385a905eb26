package sendertest

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// handleChunk takes a part of the content (RFC 3030 section 2). The octets that follow the command are read whatever the
// answer, or they would be read as commands.
func (s *Session) handleChunk(arg string) error {
	if !s.server.config.Extensions.Chunking {
		return s.violation(500, status(5, 5, 1), "Unknown command")
	}
	size, last, ok := parseChunk(arg)
	if !ok {
		// Nobody knows where the next command begins.
		s.violation(501, status(5, 5, 4), "Syntax: BDAT size [LAST]")
		s.writer.Flush()
		return errQuit
	}
	if s.begun && len(s.to) > 0 && s.spoilt == nil && !s.chunks && s.script.OnContent != nil {
		if a := s.script.OnContent(s, ""); a != nil && (a.Close || a.Reset) {
			return s.say(a)
		}
	}
	if err := s.readChunk(size); err != nil {
		return err
	}
	switch {
	case !s.begun:
		return s.early()
	case len(s.to) == 0:
		return s.plain(554, status(5, 5, 1), "No valid recipients")
	case s.spoilt == nil:
		s.chunks = true
		if fault := s.judgeChunks(last); fault != nil {
			s.server.count(func(c *ServerStats) { c.Violations++ })
			s.spoilt, s.data = fault, nil
		}
	}
	switch {
	case s.spoilt != nil:
		return s.say(s.decide(nil, "", s.spoilt)) // until RSET
	case last:
		return s.taken()
	}
	return s.plain(250, status(2, 0, 0), "Chunk taken")
}

// parseChunk reads the argument of BDAT.
func parseChunk(arg string) (size int64, last, ok bool) {
	number, rest, _ := strings.Cut(arg, " ")
	size, err := strconv.ParseInt(number, 10, 64)
	last = strings.EqualFold(rest, "LAST")
	return size, last, err == nil && size >= 0 && (last || rest == "")
}

// readChunk reads the octets of a chunk. Those of a message that is not taken, or over the limit, are thrown away.
func (s *Session) readChunk(size int64) error {
	keep := int64(0)
	if s.begun && len(s.to) > 0 && s.spoilt == nil {
		keep = min(size, s.server.config.MaxSize+1-int64(len(s.data)))
	}
	for size > 0 {
		s.raw.SetReadDeadline(time.Now().Add(s.server.config.Timeout))
		piece, err := s.reader.Peek(int(min(size, 4<<10)))
		if err != nil {
			return err
		}
		n := int64(len(piece))
		s.data = append(s.data, piece[:min(n, keep)]...)
		s.reader.Discard(len(piece))
		size, keep = size-n, keep-min(n, keep)
	}
	return nil
}

// judgeChunks checks the content so far, and at its end that its last line is whole.
func (s *Session) judgeChunks(last bool) *Answer {
	if !last || int64(len(s.data)) > s.server.config.MaxSize {
		return nil
	}
	if len(s.data) > 0 && !bytes.HasSuffix(s.data, []byte("\r\n")) {
		return reply(550, status(5, 6, 0), "Last line of message has no end")
	}
	for line := range bytes.Lines(s.data) {
		text, crlf := bytes.CutSuffix(line, []byte("\r\n"))
		switch {
		case !crlf || bytes.IndexByte(text, '\r') >= 0:
			return reply(550, status(5, 6, 0), "Bare <CR> or <LF> in message")
		case len(line) > maxLine:
			return reply(550, status(5, 6, 0), "Line too long in message")
		case bytes.IndexByte(text, 0) >= 0:
			return reply(550, status(5, 6, 0), "NUL in message")
		}
	}
	if !isASCIIBytes(s.data) && (s.server.config.Extensions.No8BitMIME || !s.extended) {
		return reply(550, status(5, 6, 3), "8-bit content, but 8BITMIME was not offered")
	}
	return nil
}
