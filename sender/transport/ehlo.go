package transport

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/reputemail/repute/bounce"
)

// extensions are what a host offered in its reply to EHLO, as far as this package uses it.
type extensions struct {
	startTLS, eightBit, utf8, pipelining, chunking bool
	// hasSize says that SIZE was offered; size is the limit in bytes, or 0 for none.
	hasSize bool
	size    int64
	// auth are the mechanisms.
	auth []string
}

// maxMechanisms is how many AUTH mechanisms of one host are looked at.
const maxMechanisms = 32

// parseExtensions reads the reply to EHLO (RFC 5321 section 4.1.1.1): all lines but the first have a keyword.
// Keywords and mechanisms are compared without regard to case.
func parseExtensions(text []byte) extensions {
	var e extensions
	_, text, _ = bytes.Cut(text, []byte{'\n'})
	for line := range bytes.Lines(text) {
		words := strings.Fields(string(line))
		if len(words) == 0 {
			continue
		}
		keyword, args := strings.ToUpper(words[0]), words[1:]
		// "AUTH=LOGIN" is how hosts of before RFC 2554 offer it.
		if mech, ok := strings.CutPrefix(keyword, "AUTH="); ok {
			keyword, args = "AUTH", append([]string{mech}, args...)
		}
		switch keyword {
		case "STARTTLS":
			e.startTLS = true
		case "8BITMIME":
			e.eightBit = true
		case "SMTPUTF8":
			e.utf8 = true
		case "PIPELINING":
			e.pipelining = true
		case "CHUNKING":
			e.chunking = true
		case "SIZE":
			e.hasSize = true
			if len(args) > 0 {
				if n, err := strconv.ParseInt(args[0], 10, 64); err == nil && n > 0 {
					e.size = n
				}
			}
		case "AUTH":
			e.auth = append(e.auth, args[:min(len(args), maxMechanisms-len(e.auth))]...)
		}
	}
	return e
}

// offersAuth says whether the host offered the mechanism.
func (e *extensions) offersAuth(mech string) bool {
	for _, m := range e.auth {
		if strings.EqualFold(m, mech) {
			return true
		}
	}
	return false
}

// hello sends EHLO, or HELO to a host that does not know it, and returns what the host offers.
func (w *wire) hello(name string, wait time.Duration) (extensions, bool) {
	w.arm(bounce.StageEHLO, wait)
	if w.command("EHLO "+name) != nil {
		return extensions{}, false
	}
	if w.positive() {
		return parseExtensions(w.text), true
	}
	if w.code != 500 && w.code != 502 {
		return extensions{}, false
	}
	w.arm(bounce.StageEHLO, wait)
	return extensions{}, w.command("HELO "+name) == nil && w.positive()
}
