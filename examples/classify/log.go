package main

import (
	"strings"

	"github.com/reputemail/repute/bounce"
)

// entry is one line of a mail log, as far as it tells what became of a delivery.
type entry struct {
	reply     string // the text with the reply in it
	host      string // who gave it, or empty
	domain    string // the recipient's, or empty
	delivered bool
}

// readLine finds in a line what it says of a delivery: lines of Postfix's smtp(8), of Exim's main log and of sendmail, and plain replies. A line of a log that
// tells of no delivery gives false.
func readLine(line string) (entry, bool) {
	line = strings.TrimSpace(line)
	switch {
	case strings.Contains(line, " status=") && strings.Contains(line, " to=<"):
		return readPostfix(line), true
	case strings.Contains(line, " stat=") && strings.Contains(line, " to="):
		return readSendmail(line), true
	case isExim(line):
		return readExim(line)
	case line == "" || isStamped(line):
		return entry{}, false
	}
	return entry{reply: line}, true
}

// isStamped reports whether a line begins with the time, as those of logs do: "2026-11-28", "Nov 28" or "<22>Nov 28". A reply begins with a
// code, or with words.
func isStamped(line string) bool {
	if len(line) > 10 && line[4] == '-' && line[7] == '-' && isDigits(line[:4]) {
		return true
	}
	if strings.HasPrefix(line, "<") {
		if _, rest, ok := strings.Cut(line, ">"); ok && isDigits(line[1:len(line)-len(rest)-1]) {
			line = rest
		}
	}
	months := "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"
	return len(line) > 15 && line[3] == ' ' && line[9] == ':' && line[12] == ':' && strings.Contains(months, line[:3])
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// readPostfix reads "to=<a@b>, relay=mx.b[192.0.2.1]:25, …, dsn=5.1.1, status=bounced (host mx.b[192.0.2.1] said: 550 …)".
func readPostfix(line string) entry {
	e := entry{domain: domainOf(between(line, " to=<", ">")), host: hostOf(between(line, " relay=", ","))}
	status, text, _ := strings.Cut(line[strings.Index(line, " status=")+len(" status="):], " ")
	e.delivered = status == "sent"
	e.reply = strings.TrimSuffix(strings.TrimPrefix(text, "("), ")")
	if parsed := bounce.ParseReply(e.reply); parsed.Status.IsZero() {
		if dsn := between(line, " dsn=", ","); parsed.Code == 0 && dsn != "" { // Postfix's own words: its code says what they mean
			e.reply = dsn + " " + e.reply
		}
	}
	return e
}

// readSendmail reads "to=<a@b>, …, relay=mx.b. [192.0.2.1], dsn=5.1.1, stat=User unknown".
func readSendmail(line string) entry {
	e := entry{domain: domainOf(strings.Trim(between(line, " to=", ","), "<>")), host: hostOf(between(line, " relay=", ","))}
	stat := line[strings.Index(line, " stat=")+len(" stat="):]
	e.delivered = strings.HasPrefix(stat, "Sent")
	e.reply = strings.TrimSpace(between(line, " dsn=", ",") + " " + stat)
	return e
}

// isExim reports whether a line of Exim's main log has one of its flags for deliveries behind the message's ID.
func isExim(line string) bool {
	if !isStamped(line) {
		return false
	}
	f := strings.Fields(line)
	for i := 2; i < len(f) && i < 6; i++ {
		switch f[i] {
		case "=>", "->", "**", "==":
			return true
		}
	}
	return false
}

// readExim reads "** a@b R=dnslookup T=remote_smtp H=mx.b [192.0.2.1]: SMTP error from remote mail server after RCPT TO:<a@b>: 550 …".
func readExim(line string) (entry, bool) {
	first := len(line) // a reply may have an arrow in it too
	for _, f := range []string{" => ", " -> ", " ** ", " == "} {
		if i := strings.Index(line, f); i >= 0 {
			first = min(first, i)
		}
	}
	for _, flag := range []string{" => ", " -> ", " ** ", " == "} {
		rest, ok := strings.CutPrefix(line[first:], flag)
		if !ok {
			continue
		}
		address, rest, _ := strings.Cut(rest, " ")
		if strings.HasPrefix(rest, "<") {
			address = between(rest, "<", ">")
		}
		e := entry{domain: domainOf(strings.Trim(address, "<>:")), host: hostOf(between(rest+" ", "H=", " "))}
		e.delivered = flag == " => " || flag == " -> "
		if i := strings.Index(rest, ": "); i >= 0 {
			e.reply = rest[i+2:]
		} else if e.reply = rest; flag == " == " && !strings.Contains(rest, "defer") {
			return entry{}, false
		}
		return e, true
	}
	return entry{}, false
}

// between is what stands between two words, or "".
func between(s, from, to string) string {
	_, s, ok := strings.Cut(s, from)
	if !ok {
		return ""
	}
	s, _, _ = strings.Cut(s, to)
	return s
}

// hostOf is the name in "mx.example.com[192.0.2.1]:25" or "mx.example.com. [192.0.2.1]"; empty for "none".
func hostOf(s string) string {
	s, _, _ = strings.Cut(s, "[")
	if s = strings.TrimRight(strings.TrimSpace(s), "."); s == "none" || s == "local" {
		return ""
	}
	return s
}

func domainOf(address string) string {
	return strings.ToLower(address[strings.LastIndexByte(address, '@')+1:])
}
