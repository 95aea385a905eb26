package sender

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Message is what the host hands over: an RFC 5322 message and its envelope.
type Message struct {
	// ID names the message. The same ID is accepted once: enqueueing it again gives the first receipt's IDs and
	// Duplicate. Letters, digits and "-_.:@+=", at most 128. Defaults to a new random one.
	ID string
	// Stream is the name of its stream. Defaults to the first one of the Config.
	Stream string
	// From is the envelope sender (reverse-path): where bounces go. Empty is the null reverse-path of RFC 5321 section 4.5.5.
	From string
	// To are the envelope recipients, 1 to Config.MaxRecipients. The same address twice is one delivery.
	To []string
	// Data is the message: header, empty line, body, with CRLF line ends. It is copied.
	// Date and Message-ID are added where they are missing; nothing else is changed.
	Data []byte
	// Priority orders the deliveries of a stream to one destination, and all that waits for a path that is being warmed up, whatever the weights of the streams: higher first, before what a
	// Ranker says. From -100 to 100. Defaults to 0.
	Priority int
	// WarmOnly forbids routes whose path is being warmed up: the message goes over those that are warm, or waits until one is. For what must not
	// depend on a young reputation, such as a password reset. Defaults to false.
	WarmOnly bool
	// NotAfter is until when it is of use, such as a password reset for an hour. Where it would not go out by then for all that is known, Enqueue refuses it with a *TooLateError and
	// stores nothing; what is not known is no reason to. Once accepted it expires at NotAfter. At least a second from now, and not later than the stream's mail
	// expires. Defaults to none: the stream's ExpireAfter.
	NotAfter time.Time
}

// FieldError says what is wrong with a Message, and which rule says so. Nothing was queued.
type FieldError struct {
	// Field is the part of the Message: "From", "To[3]", "Data", or a header field such as "Data header Date".
	Field string
	// Reason is in words.
	Reason string
	// Clause is the rule: "RFC 5322 section 3.6.1".
	Clause string
}

// Error names the field, the reason and the clause.
func (e *FieldError) Error() string {
	s := "sender: message: " + e.Field + ": " + e.Reason
	if e.Clause != "" {
		s += " (" + e.Clause + ")"
	}
	return s
}

func badField(field, clause, format string, args ...any) error {
	return &FieldError{Field: field, Reason: fmt.Sprintf(format, args...), Clause: clause}
}

// fieldError turns the reason of parseMailbox into a FieldError.
func fieldError(field, value string, err error) error {
	var r *reason
	if errors.As(err, &r) {
		return &FieldError{Field: field, Reason: fmt.Sprintf("%.320q %s", value, r.text), Clause: r.clause}
	}
	return &FieldError{Field: field, Reason: err.Error()}
}

// The limits of a message.
const (
	maxLine        = 998 // RFC 5322 section 2.1.1, without CRLF
	maxIDLength    = 128
	maxPriority    = 100
	maxHeaderBytes = 256 << 10
)

// once are the header fields that may stand at most once (RFC 5322 section 3.6), and the rule that says so.
var once = map[string]onceField{
	"date": {fieldDate, "RFC 5322 section 3.6.1"}, "from": {fieldFrom, "RFC 5322 section 3.6.2"},
	"sender": {fieldSender, "RFC 5322 section 3.6.2"}, "reply-to": {1 << 3, "RFC 5322 section 3.6.2"},
	"to": {1 << 4, "RFC 5322 section 3.6.3"}, "cc": {1 << 5, "RFC 5322 section 3.6.3"}, "bcc": {1 << 6, "RFC 5322 section 3.6.3"},
	"message-id": {fieldMessageID, "RFC 5322 section 3.6.4"}, "in-reply-to": {1 << 8, "RFC 5322 section 3.6.4"},
	"references": {1 << 9, "RFC 5322 section 3.6.4"}, "subject": {1 << 10, "RFC 5322 section 3.6.5"},
	"mime-version": {1 << 11, "RFC 2045 section 4"}, "content-type": {1 << 12, "RFC 2045 section 3"},
	"content-transfer-encoding": {1 << 13, "RFC 2045 section 3"},
}

// onceField is such a field: its bit in a fieldSet, and its rule.
type onceField struct {
	bit    fieldSet
	clause string
}

// fieldSet is a set of fields of once.
type fieldSet uint16

// The fields that are looked for.
const (
	fieldDate      fieldSet = 1 << 0
	fieldFrom      fieldSet = 1 << 1
	fieldSender    fieldSet = 1 << 2
	fieldMessageID fieldSet = 1 << 7
)

// longestOnce is the length of the longest name in once.
const longestOnce = len("content-transfer-encoding")

// onceNamed looks a field's name up in once, whatever its case.
func onceNamed(name []byte) onceField {
	var lower [longestOnce]byte
	if len(name) > len(lower) {
		return onceField{}
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	return once[string(lower[:len(name)])]
}

// letter is a checked message, ready to be put.
type letter struct {
	from           mailbox // zero for the null reverse-path
	to             []mailbox
	data           []byte
	eightBit, utf8 bool
}

// check checks m and copies it. The time and name are for the fields it may have to add.
func (m *Message) check(cfg *Config, now time.Time, hostname string) (*letter, error) {
	if err := m.checkEnvelope(cfg); err != nil {
		return nil, err
	}
	l := &letter{}
	if m.From != "" {
		from, err := parseMailbox(m.From)
		if err != nil {
			return nil, fieldError("From", m.From, err)
		}
		l.from = from
		l.utf8 = from.utf8
	}
	seen := make(map[mailbox]bool, len(m.To))
	for i, to := range m.To {
		box, err := parseMailbox(to)
		if err != nil {
			return nil, fieldError(fmt.Sprintf("To[%d]", i), to, err)
		}
		if !seen[box] {
			seen[box] = true
			l.to = append(l.to, box)
			l.utf8 = l.utf8 || box.utf8
		}
	}
	h, err := checkData(m.Data)
	if err != nil {
		return nil, err
	}
	l.eightBit = h.eightBit
	l.utf8 = l.utf8 || h.utf8
	if h.has&fieldDate == 0 {
		l.data = fmt.Appendf(l.data, "Date: %s\r\n", now.Format(dateForm))
	}
	if h.has&fieldMessageID == 0 {
		domain := hostname
		if l.from.domain != "" && !strings.HasPrefix(l.from.domain, "[") {
			domain = l.from.domain
		}
		l.data = fmt.Appendf(l.data, "Message-ID: <%s@%s>\r\n", newID(), strings.Trim(domain, "[]"))
	}
	end := ""
	if !bytes.HasSuffix(m.Data, []byte("\r\n")) {
		end = "\r\n"
		l.data = slices.Grow(l.data, len(m.Data)+len(end))
	}
	l.data = append(append(l.data, m.Data...), end...) // append does not clear first what it copies to, as make does
	return l, nil
}

func (m *Message) checkEnvelope(cfg *Config) error {
	if len(m.ID) > maxIDLength {
		return badField("ID", "", "is longer than %d characters", maxIDLength)
	}
	for _, r := range m.ID {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.:@+=", r)) {
			return badField("ID", "", "has the character %q", r)
		}
	}
	if m.Priority < -maxPriority || m.Priority > maxPriority {
		return badField("Priority", "", "%d is not in -%d to %d", m.Priority, maxPriority, maxPriority)
	}
	if len(m.To) == 0 {
		return badField("To", "RFC 5321 section 3.3", "has no recipient")
	}
	if len(m.To) > cfg.MaxRecipients {
		return badField("To", "RFC 5321 section 4.5.3.1.8", "has %d recipients; at most %d are taken at once", len(m.To), cfg.MaxRecipients)
	}
	if len(m.Data) > cfg.MaxMessageSize {
		return badField("Data", "RFC 5321 section 4.5.3.1.7", "has %d bytes; at most %d are taken", len(m.Data), cfg.MaxMessageSize)
	}
	return nil
}

// headerFacts is what checkData found.
type headerFacts struct {
	has            fieldSet
	eightBit, utf8 bool
}

// checkData checks the octets, lines and header of a message.
func checkData(data []byte) (headerFacts, error) {
	var h headerFacts
	if len(data) == 0 {
		return h, badField("Data", "RFC 5322 section 3.6", "is empty")
	}
	if !cleanOctets(data) {
		if err := checkOctets(data); err != nil {
			return h, err
		}
	}
	header, body := data, []byte(nil)
	switch i := bytes.Index(data, []byte("\r\n\r\n")); {
	case bytes.HasPrefix(data, []byte("\r\n")):
		return h, badField("Data", "RFC 5322 section 3.6", "has no header")
	case i >= 0:
		header, body = data[:i+2], data[i+4:]
	}
	if len(header) > maxHeaderBytes {
		return h, badField("Data", "", "has a header of %d bytes; at most %d are taken", len(header), maxHeaderBytes)
	}
	h.eightBit = hasEightBit(body)
	if hasEightBit(header) {
		if !utf8.Valid(header) {
			return h, badField("Data", "RFC 6532 section 3.2", "has a header that is neither ASCII nor UTF-8; encode it by RFC 2047")
		}
		h.utf8, h.eightBit = true, true
	}
	return h, h.checkFields(header)
}

// cleanOctets reports whether checkOctets finds nothing, in a tenth of its time: there is no NUL, each LF stands behind a CR,
// there are as many CR as LF, and no line is too long.
func cleanOctets(data []byte) bool {
	if bytes.IndexByte(data, 0) >= 0 {
		return false
	}
	lines, rest := 0, data
	for i := bytes.IndexByte(rest, '\n'); i >= 0; i = bytes.IndexByte(rest, '\n') {
		if i == 0 || rest[i-1] != '\r' || i-1 > maxLine {
			return false
		}
		lines++
		rest = rest[i+1:]
	}
	return len(rest) <= maxLine && bytes.Count(data, []byte{'\r'}) == lines
}

// checkOctets refuses what would let content pass for protocol (SMTP smuggling), or that no receiver must take, and says
// where it is.
func checkOctets(data []byte) error {
	start := 0
	for i := 0; i < len(data); {
		j := bytes.IndexAny(data[i:], "\r\n\x00")
		if j < 0 {
			break
		}
		i += j
		switch {
		case data[i] == 0:
			return badField("Data", "RFC 5322 section 4", "has a NUL at byte %d", i)
		case data[i] == '\n':
			return badField("Data", "RFC 5321 section 2.3.8", "has a bare LF at byte %d; lines end in CRLF", i)
		case i+1 == len(data) || data[i+1] != '\n':
			return badField("Data", "RFC 5321 section 2.3.8", "has a bare CR at byte %d; lines end in CRLF", i)
		case i-start > maxLine:
			return badField("Data", "RFC 5322 section 2.1.1", "has a line of %d octets at byte %d; at most %d are allowed", i-start, start, maxLine)
		}
		i += 2
		start = i
	}
	if n := len(data) - start; n > maxLine {
		return badField("Data", "RFC 5322 section 2.1.1", "has a line of %d octets at byte %d; at most %d are allowed", n, start, maxLine)
	}
	return nil
}

func hasEightBit(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		if binary.NativeEndian.Uint64(b)&0x8080808080808080 != 0 {
			return true
		}
	}
	for _, c := range b {
		if c > 127 {
			return true
		}
	}
	return false
}

// checkFields walks the header fields of RFC 5322 section 2.2.
func (h *headerFacts) checkFields(header []byte) error {
	var name, from, date []byte
	var value *[]byte // where the value of the field goes, if it is wanted
	for line := range bytes.SplitSeq(bytes.TrimSuffix(header, []byte("\r\n")), []byte("\r\n")) {
		if line[0] == ' ' || line[0] == '\t' {
			if name == nil {
				return badField("Data", "RFC 5322 section 2.2.3", "begins with a folded line")
			}
			if len(bytes.TrimSpace(line)) == 0 {
				return badField("Data header "+strings.ToLower(string(name)), "RFC 5322 section 3.2.2", "is folded over a line of white space only")
			}
			if value != nil {
				*value = append(*value, line...)
			}
			continue
		}
		i := bytes.IndexByte(line, ':')
		if i <= 0 {
			return badField("Data", "RFC 5322 section 2.2", "has a header line without a field name: %.40q", line)
		}
		for _, c := range line[:i] {
			if c <= ' ' || c > 126 {
				return badField("Data", "RFC 5322 section 2.2", "has a malformed header field name: %.40q", line[:i])
			}
		}
		name, value = line[:i], nil
		field := onceNamed(name)
		if h.has&field.bit != 0 {
			return badField("Data header "+string(name), field.clause, "stands twice")
		}
		h.has |= field.bit
		switch field.bit {
		case fieldFrom:
			value = &from
		case fieldDate:
			value = &date
		}
		if value != nil {
			*value = slices.Clip(line[i+1:]) // what is appended to it must not go into the message
		}
	}
	return h.checkValues(string(from), strings.TrimSpace(string(date)))
}

// checkValues checks the fields whose values matter.
func (h *headerFacts) checkValues(from, date string) error {
	if h.has&fieldFrom == 0 {
		return badField("Data header From", "RFC 5322 section 3.6.2", "is missing")
	}
	if list, err := fromParser.ParseList(from); err != nil {
		return badField("Data header From", "RFC 5322 section 3.4", "%s", strings.TrimPrefix(err.Error(), "mail: "))
	} else if len(list) > 1 && h.has&fieldSender == 0 {
		return badField("Data header From", "RFC 5322 section 3.6.2", "has %d addresses, which needs a Sender field", len(list))
	}
	if h.has&fieldDate != 0 && !isDate(date) {
		return badField("Data header Date", "RFC 5322 section 3.3", "%.60q is no date", date)
	}
	return nil
}

// dateForm is a date as most programs write it.
const dateForm = "Mon, 02 Jan 2006 15:04:05 -0700"

// isDate reports whether text is a date of RFC 5322 section 3.3. mail.ParseDate tries many forms before it comes to the usual.
func isDate(text string) bool {
	if len(text) == len(dateForm) {
		if _, err := time.Parse(dateForm, text); err == nil {
			return true
		}
	}
	_, err := mail.ParseDate(text)
	return err == nil
}

// fromParser keeps no state. Display names in other charsets are the reader's business: only the addresses are checked.
var fromParser = mail.AddressParser{WordDecoder: &mime.WordDecoder{CharsetReader: anyCharset}}

// anyCharset takes every charset for what it is not.
func anyCharset(_ string, r io.Reader) (io.Reader, error) { return r, nil }

// newID returns 26 characters: the time in milliseconds, then 85 random bits. So IDs grow, and a database appends to its index of them, where
// random ones would go all over it.
func newID() string {
	return strings.ToLower(strconv.FormatInt(time.Now().UnixMilli(), 32) + rand.Text()[:17])
}
