package sendertest

import (
	"strconv"
	"strings"

	"github.com/reputemail/repute/bounce"
)

// reply makes a reply of one line.
func reply(code int, status bounce.Status, text string) *Answer {
	return &Answer{Reply: bounce.Reply{Code: code, Status: status, Lines: []string{text}}, Close: code == 421}
}

// parseReply reads a reply as Say takes it.
func parseReply(s string) bounce.Reply {
	r := bounce.Reply{Code: 451}
	for i, line := range strings.Split(s, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if code, rest, ok := cutCode(line); ok && (i == 0 || code == r.Code) {
			r.Code, line = code, rest
		}
		if status, rest, ok := cutStatus(line); ok && (i == 0 || status == r.Status) {
			r.Status, line = status, rest
		}
		r.Lines = append(r.Lines, line)
	}
	return r
}

// cutCode takes a reply code and the blank or hyphen after it off a line.
func cutCode(line string) (code int, rest string, ok bool) {
	if len(line) < 3 || line[0] < '2' || line[0] > '5' {
		return 0, line, false
	}
	code, err := strconv.Atoi(line[:3])
	if err != nil || len(line) > 3 && line[3] != ' ' && line[3] != '-' {
		return 0, line, false
	}
	return code, line[min(4, len(line)):], true
}

// cutStatus takes an enhanced status code (RFC 3463 section 2) off a line.
func cutStatus(line string) (status bounce.Status, rest string, ok bool) {
	word, rest, _ := strings.Cut(line, " ")
	parts := strings.Split(word, ".")
	if len(parts) != 3 || len(parts[0]) != 1 {
		return bounce.Status{}, line, false
	}
	var n [3]int
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 10, 10)
		if err != nil {
			return bounce.Status{}, line, false
		}
		n[i] = int(v)
	}
	if n[0] != 2 && n[0] != 4 && n[0] != 5 {
		return bounce.Status{}, line, false
	}
	return bounce.Status{Class: n[0], Subject: n[1], Detail: n[2]}, rest, true
}

// appendReply appends a reply in wire form. Line ends in a text are left out, so that a text cannot become a second reply.
func appendReply(b []byte, r bounce.Reply) []byte {
	lines := r.Lines
	if len(lines) == 0 {
		lines = []string{""}
	}
	for i, line := range lines {
		b = strconv.AppendInt(b, int64(r.Code), 10)
		if i < len(lines)-1 {
			b = append(b, '-')
		} else {
			b = append(b, ' ')
		}
		if !r.Status.IsZero() {
			b = append(append(b, r.Status.String()...), ' ')
		}
		if strings.ContainsAny(line, "\r\n") {
			line = strings.NewReplacer("\r", "", "\n", " ").Replace(line)
		}
		b = append(append(b, line...), '\r', '\n')
	}
	return b
}
