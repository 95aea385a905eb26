package bounce

import (
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
	var r Reply
	r.Stage = quotedStage(text)
	r.Host = quotedHost(text)
	phys := physicalLines(text)
	if len(phys) == 0 {
		return r
	}
	phys[0] = trimType(phys[0])
	r.Code, phys = cutToCode(phys)
	var kept int
	for i, p := range phys {
		for _, line := range r.splitLine(p, i == 0) {
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
			r.Lines = append(r.Lines, line)
		}
	}
	if r.Status.IsZero() {
		r.Status = innerStatus(r.Text(), r.Code)
	}
	return r
}

// physicalLines splits at line ends and makes single spaces of all other white space and of control characters.
// Lines without text are left out.
func physicalLines(text string) []string {
	var out []string
	for line := range strings.FieldsFuncSeq(text, func(c rune) bool { return c == '\r' || c == '\n' }) {
		line = strings.ToValidUTF8(line, "\uFFFD")
		words := strings.FieldsFunc(line, func(c rune) bool {
			return c <= ' ' || c == 0x7f || c == 0x85 || c == 0xa0 || c == '\u2028' || c == '\u2029'
		})
		if len(words) > 0 {
			out = append(out, strings.Join(words, " "))
		}
	}
	return out
}

// trimType takes diagnostic types ("smtp;", "x-postfix;") off the start, however often they were put there.
func trimType(s string) string {
	for {
		i := strings.IndexByte(s, ';')
		if i <= 0 || i > 20 {
			return s
		}
		switch t := strings.ToLower(s[:i]); {
		case t == "smtp", t == "smpt", t == "esmtp", t == "lmtp", t == "x-postfix", t == "x-unix", t == "x-local", t == "dns", t == "unknown":
		default:
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
	joined := trimType(strings.TrimSpace(strings.Join(phys, " ")))
	code, at := findCode(joined)
	return code, []string{joined[at:]}
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

// splitLine takes the code off the start of a physical line, and splits it where the lines of a reply were joined.
func (r *Reply) splitLine(s string, first bool) []string {
	if r.Code == 0 {
		return []string{s}
	}
	if codeAt(s) != r.Code {
		return []string{s}
	}
	code := s[:3]
	joined := first && len(s) > 3 && s[3] == '-'
	s = strings.TrimLeft(s[min(4, len(s)):], " ")
	if !joined {
		return []string{s}
	}
	var out []string
	for i := 1; i+3 <= len(s); i++ {
		if s[i-1] == ' ' && strings.HasPrefix(s[i:], code) && codeAt(s[i:]) == r.Code {
			out = append(out, strings.Trim(s[:i-1], " "))
			s = strings.TrimLeft(s[min(i+4, len(s)):], " ")
			i = 0
		}
	}
	return append(out, s)
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
func innerStatus(text string, code int) Status {
	for i := range len(text) {
		if text[i] != '4' && text[i] != '5' || code != 0 && int(text[i]-'0') != code/100 {
			continue
		}
		if i > 0 && !strings.ContainsRune(" ([#:,", rune(text[i-1])) {
			continue
		}
		if st, n := scanStatus(text[i:]); n > 0 {
			return st
		}
	}
	return Status{}
}

// quotedStage reads the stage that an MTA named when it quoted a reply.
func quotedStage(s string) Stage {
	for _, q := range [...]struct {
		text  string
		stage Stage
	}{
		{"in reply to end of DATA", StageDot},
		{"in reply to RCPT TO", StageRcpt},
		{"in reply to MAIL FROM", StageMail},
		{"in reply to DATA", StageData},
		{"in reply to HELO", StageEHLO},
		{"in reply to EHLO", StageEHLO},
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
