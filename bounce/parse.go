package bounce

import (
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// maxReplyInput is how much of a text ParseReply looks at, in bytes.
	maxReplyInput = 64 << 10
	// maxReplyText bounds the text that a parsed Reply keeps, in bytes, over all its lines and the spaces between them.
	maxReplyText = 4 << 10
)

// ParseReply reads a reply from text: as it came over the wire, as a log or a Diagnostic-Code field has it, or as another
// MTA quotes it. The package comment has the steps. It never fails: what is no reply becomes a Reply with Code 0 and the
// text. Stage and Host are filled in when the text names them. The result holds at most 4 KiB of text, free of control
// characters and invalid UTF-8, and ParseReply(r.String()) has the same code, status and text as r.
func ParseReply(text string) Reply {
	if len(text) > maxReplyInput {
		text = text[:maxReplyInput]
	}
	var buf, parts [8]string // most replies have no more lines
	r := Reply{Stage: quotedStage(text), Host: quotedHost(text)}
	phys := appendPhysical(buf[:0], text)
	if len(phys) == 0 {
		return r
	}
	phys[0] = trimType(phys[0])
	r.Code, phys = cutToCode(phys)
	kept, lines := 0, parts[:0]
	for i, p := range phys {
		from := len(lines)
		lines = r.appendLines(lines, p, i == 0)
		to := from
		for _, line := range lines[from:] {
			line = r.takeStatus(line)
			if line == "" {
				continue
			}
			if kept > 0 {
				kept++ // the space between lines
			}
			if line = cut(line, maxReplyText-kept); line == "" {
				break
			}
			kept += len(line)
			lines[to] = line
			to++
		}
		lines = lines[:to]
	}
	if len(lines) > 0 {
		r.Lines = make([]string, len(lines))
		copy(r.Lines, lines)
	}
	if r.Status.IsZero() {
		r.Status = innerStatus(r.Lines, r.Code)
	}
	if len(text) > maxReplyText { // do not hold on to all of it
		r.Host = strings.Clone(r.Host)
		for i := range r.Lines {
			r.Lines[i] = strings.Clone(r.Lines[i])
		}
	}
	return r
}

// appendPhysical appends the lines of text to dst, split at line ends. All other white space and control characters become
// single spaces. Lines without text are left out.
func appendPhysical(dst []string, text string) []string {
	for text != "" {
		line := text
		if i := strings.IndexAny(text, "\r\n"); i >= 0 {
			line, text = text[:i], text[i+1:]
		} else {
			text = ""
		}
		if line = strings.Trim(line, " "); !isClean(line) {
			line = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(line, "\uFFFD"), isSpace), " ")
		}
		if line != "" {
			dst = append(dst, line)
		}
	}
	return dst
}

// isClean reports whether a line has printable ASCII characters only, and single spaces between them.
func isClean(line string) bool {
	for i := range len(line) {
		if c := line[i]; c < ' ' || c > '~' || c == ' ' && line[i-1] == ' ' {
			return false
		}
	}
	return true
}

// isSpace reports whether c is white space or a control character.
func isSpace(c rune) bool {
	return c <= ' ' || c == 0x7f || c == 0x85 || c == 0xa0 || c == '\u2028' || c == '\u2029'
}

// replyTypes are the diagnostic types that trimType knows.
var replyTypes = [...]string{"smtp", "smpt", "esmtp", "lmtp", "x-postfix", "x-unix", "x-local", "dns", "unknown"}

// trimType takes diagnostic types ("smtp;", "x-postfix;") off the start, however often they were put there.
func trimType(s string) string {
	for {
		i := strings.IndexByte(s, ';')
		if i <= 0 || i > 20 {
			return s
		}
		if !slices.ContainsFunc(replyTypes[:], func(t string) bool { return strings.EqualFold(s[:i], t) }) {
			return s
		}
		s = strings.TrimLeft(s[i+1:], " ")
	}
}

// codeAt reads a basic code at the start of s: three digits 2yz to 5yz, then the end, a space or a dash.
func codeAt(s string) int {
	if len(s) < 3 || s[0] < '2' || s[0] > '5' || !isDigit(s[1]) || !isDigit(s[2]) {
		return 0
	}
	if len(s) > 3 && s[3] != ' ' && s[3] != '-' {
		return 0
	}
	return int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0')
}

// cutToCode looks for the code of a reply in the first line that has one, and drops what stands before it. Without a code
// the lines are joined: they are one text.
func cutToCode(phys []string) (code int, rest []string) {
	for i, line := range phys {
		if code, at := findCode(line); code != 0 {
			phys[i] = line[at:]
			return code, phys[i:]
		}
	}
	joined := phys[0]
	if len(phys) > 1 {
		joined = strings.Join(phys, " ")
	}
	joined = trimType(strings.TrimSpace(joined))
	code, at := findCode(joined)
	phys[0] = joined[at:]
	return code, phys[:1]
}

// findCode looks for the code of a reply in a line. The reply starts at the returned offset.
func findCode(s string) (code, at int) {
	if c := codeAt(s); c != 0 {
		if c == 220 && len(s) > 3 && s[3] == '-' { // a greeting glued to the refusal
			for i := 4; i < len(s); i++ {
				if s[i-1] == ' ' && (s[i] == '4' || s[i] == '5') {
					if c := codeAt(s[i:]); c != 0 && i+3 < len(s) {
						return c, i
					}
				}
			}
		}
		return c, 0
	}
	// Quoted: "said: 550", "-> 550", "<<< 550", "error 550-'…". The last kind has no mark before but one behind.
	for i := 1; i+3 <= len(s); i++ {
		c := codeAt(s[i:])
		if c < 400 {
			continue
		}
		before := strings.TrimRight(s[:i], " \"'(")
		quoted := strings.HasSuffix(before, ":") || strings.HasSuffix(before, ">>") || strings.HasSuffix(before, "->") || strings.HasSuffix(before, "<<<")
		if quoted && len(before) < i || s[i-1] == ' ' && i+4 < len(s) && s[i+3] == '-' && (s[i+4] == '\'' || s[i+4] == '"') {
			return c, i
		}
	}
	return 0, 0
}

// appendLines takes the code off the start of a physical line, and splits it where the lines of a reply were joined.
func (r *Reply) appendLines(dst []string, s string, first bool) []string {
	if r.Code == 0 || codeAt(s) != r.Code {
		return append(dst, s)
	}
	code := s[:3]
	joined := first && len(s) > 3 && s[3] == '-'
	s = strings.TrimLeft(s[min(4, len(s)):], " ")
	if !joined {
		return append(dst, s)
	}
	for i := 1; i+3 <= len(s); i++ {
		if s[i-1] == ' ' && strings.HasPrefix(s[i:], code) && codeAt(s[i:]) == r.Code {
			dst = append(dst, strings.Trim(s[:i-1], " "))
			s = strings.TrimLeft(s[min(i+4, len(s)):], " ")
			i = 0
		}
	}
	return append(dst, s)
}

// takeStatus takes the enhanced code off the start of a line: the first one found is the reply's, and a later line's is
// taken off when it is the same (RFC 2034 section 4 repeats it on each line).
func (r *Reply) takeStatus(line string) string {
	t := line
	for len(t) > 0 && (t[0] == '\'' || t[0] == '"' || t[0] == '#') {
		t = t[1:]
	}
	st, n := scanStatus(t)
	if n == 0 || !r.Status.IsZero() && st != r.Status {
		return line
	}
	if n < len(t) && t[n] != ' ' {
		return line
	}
	r.Status = st
	return strings.TrimLeft(t[n:], " ")
}

// innerStatus finds an enhanced code within the text: one that stands alone or in brackets, and whose class agrees with
// the basic code.
func innerStatus(lines []string, code int) Status {
	for _, text := range lines {
		for i := range len(text) {
			if text[i] != '4' && text[i] != '5' || code != 0 && int(text[i]-'0') != code/100 {
				continue
			}
			if i > 0 && strings.IndexByte(" ([#:,", text[i-1]) < 0 {
				continue
			}
			if st, n := scanStatus(text[i:]); n > 0 {
				return st
			}
		}
	}
	return Status{}
}

// quotedStage reads the stage that an MTA named when it quoted a reply.
func quotedStage(s string) Stage {
	if _, command, ok := strings.Cut(s, "in reply to "); ok {
		for _, q := range [...]struct {
			text  string
			stage Stage
		}{
			{"end of DATA", StageDot}, {"RCPT TO", StageRcpt}, {"MAIL FROM", StageMail}, {"DATA", StageData}, {"HELO", StageEHLO}, {"EHLO", StageEHLO},
		} {
			if strings.HasPrefix(command, q.text) {
				return q.stage
			}
		}
	}
	for _, q := range [...]struct {
		text  string
		stage Stage
	}{
		{"after RCPT TO:", StageRcpt},
		{"after MAIL FROM:", StageMail},
		{"after end of data:", StageDot},
	} {
		if strings.Contains(s, q.text) {
			return q.stage
		}
	}
	return ""
}

// quotedHost reads the host from "host mx.example.com[192.0.2.1] said:", at the start of s or after a colon.
func quotedHost(s string) string {
	i := strings.Index(s, " said:")
	if i < 0 {
		return ""
	}
	s = s[:i]
	i = strings.LastIndex(s, "host ")
	if i < 0 || i > 0 && s[i-1] != ' ' {
		return ""
	}
	host, _, _ := strings.Cut(s[i+len("host "):], "[")
	for k := range len(host) {
		if c := host[k]; !isWordByte(c) && c != '.' && c != '-' {
			return ""
		}
	}
	if len(host) > 255 {
		return ""
	}
	return host
}

// cut shortens s to at most n bytes, at the end of a rune, without a space at its end.
func cut(s string, n int) string {
	if n <= 0 {
		return ""
	}
	if len(s) > n {
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	return strings.TrimRight(s, " ")
}
