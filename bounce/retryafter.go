package bounce

import (
	"bytes"
	"time"
)

// maxRetryAfter bounds the wait that a reply can ask for.
const maxRetryAfter = 24 * time.Hour

// retryAfter reads the wait that a text in normal form asks for: a number and a unit, behind a word such as "in" or
// "after" that follows a word such as "retry", "again" or "greylisted". 0 when it asks for none.
func retryAfter(text []byte) time.Duration {
	var asked, joined int // how many words ago such a word stood
	asked, joined = 99, 99
	var n, digits int // the number just before, and how many digits it has
	for len(text) > 0 {
		var w []byte
		if i := bytes.IndexByte(text, ' '); i >= 0 {
			w, text = text[:i], text[i+1:]
		} else {
			w, text = text, nil
		}
		if len(w) == 0 {
			continue
		}
		asked, joined = asked+1, joined+1
		switch string(w) {
		case "again", "retry", "retrying", "try", "wait", "back", "reconnect", "resend", "later", "delayed", "deferred", "delay", "greylisted", "graylisted", "greylisting":
			asked = 0
			if string(w) == "wait" || string(w) == "delay" {
				joined = 0
			}
		case "in", "after", "for", "within", "least":
			if asked <= 4 {
				joined = 0
			}
		}
		number, rest := 0, w
		for len(rest) > 0 && isDigit(rest[0]) && number < 1e6 {
			number = number*10 + int(rest[0]-'0')
			rest = rest[1:]
		}
		isNumber := len(rest) < len(w)
		u := unit(rest)
		switch {
		case isNumber && u > 0 && joined <= 3: // "300s"
			return min(time.Duration(number)*u, maxRetryAfter)
		case isNumber && len(rest) == 0:
			n, digits = number, len(w)
			continue
		case !isNumber && digits > 0 && u > 0 && joined <= 4:
			return min(time.Duration(n)*u, maxRetryAfter)
		}
		digits = 0
	}
	return 0
}

// unit is the duration that a word names, or 0.
func unit(w []byte) time.Duration {
	switch string(w) {
	case "s", "sec", "secs", "second", "seconds":
		return time.Second
	case "m", "min", "mins", "minute", "minutes":
		return time.Minute
	case "h", "hr", "hrs", "hour", "hours":
		return time.Hour
	}
	return 0
}
