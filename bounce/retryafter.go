package bounce

import (
	"bytes"
	"time"
)

// maxRetryAfter bounds the wait that a reply can ask for.
const maxRetryAfter = 24 * time.Hour

// maxClock bounds a wait written as "00:05:00": what is longer is taken for a time of day.
const maxClock = 6 * time.Hour

// retryAfter reads the wait that a text in normal form asks for, behind a word such as "in" or "after" that follows a word
// such as "retry", "again" or "greylisted". 0 when it asks for none. A wait is a number and a unit ("300 seconds", "5m",
// "1,800 s"), several of them with ever smaller units ("1 h 30 min"), or hours, minutes and seconds with colons.
func retryAfter(text []byte) time.Duration {
	asked, joined := 99, 99 // how many words ago such a word stood
	for len(text) > 0 {
		if joined < 4 {
			if d := readWait(text); d > 0 {
				return d
			}
		}
		var w []byte
		w, text = nextWord(text)
		if len(w) == 0 {
			continue
		}
		asked, joined = asked+1, joined+1
		switch string(w) {
		case "again", "retry", "retrying", "try", "back", "reconnect", "resend", "later", "delayed", "deferred", "greylisted", "graylisted", "greylisting":
			asked = 0
		case "wait", "delay":
			asked, joined = 0, 0
		case "in", "after", "for", "within", "least":
			if asked <= 4 {
				joined = 0
			}
		}
	}
	return 0
}

// readWait reads a wait at the start of text, 0 when there is none.
func readWait(text []byte) time.Duration {
	if d := readClock(text); d > 0 {
		return d
	}
	var sum time.Duration
	smallest := 2 * maxRetryAfter // the last unit: larger than all of them
	for {
		d, u, rest := readPart(text)
		if u == 0 || u >= smallest {
			return min(sum, maxRetryAfter)
		}
		sum, smallest, text = min(sum+d, maxRetryAfter), u, rest
		if w, behind := nextWord(text); string(w) == "and" {
			text = behind
		}
	}
}

// readPart reads a number and its unit at the start of text, in one word or two. The unit is 0 when that is not there.
func readPart(text []byte) (d, u time.Duration, rest []byte) {
	w, rest := nextWord(text)
	n, digits := readNumber(w)
	if digits == 0 {
		return 0, 0, text
	}
	if digits == len(w) {
		// A comma in "1,800" has become a space.
		for digits <= 3 {
			group, behind := nextWord(rest)
			m, size := readNumber(group)
			if size != 3 || len(group) != 3 {
				break
			}
			n, rest = min(n*1000+m, maxNumber), behind
		}
		w, rest = nextWord(rest)
		u = unit(w)
	} else if u = unit(w[digits:]); u == 0 { // "1h30m"
		end := digits
		for end < len(w) && !isDigit(w[end]) {
			end++
		}
		u, rest = unit(w[digits:end]), text[bytes.Index(text, w)+end:]
	}
	if u == 0 {
		return 0, 0, text
	}
	if n > int64(maxRetryAfter/u) {
		return maxRetryAfter, u, rest
	}
	return time.Duration(n) * u, u, rest
}

// readClock reads hours, minutes and seconds of two digits each at the start of text, where colons have become spaces.
func readClock(text []byte) time.Duration {
	var d time.Duration
	for _, u := range [...]time.Duration{time.Hour, time.Minute, time.Second} {
		var w []byte
		w, text = nextWord(text)
		n, digits := readNumber(w)
		if digits != 2 || len(w) != 2 || n > 59 {
			return 0
		}
		d += time.Duration(n) * u
	}
	if w, _ := nextWord(text); d > maxClock || unit(w) > 0 {
		return 0
	}
	return d
}

// nextWord cuts the first word off text.
func nextWord(text []byte) (word, rest []byte) {
	text = bytes.TrimLeft(text, " ")
	if i := bytes.IndexByte(text, ' '); i >= 0 {
		return text[:i], text[i+1:]
	}
	return text, nil
}

// maxNumber is where readNumber stops counting: more seconds than any wait has.
const maxNumber = 1e9

// readNumber reads the digits at the start of w, and says how many there are. It is at most maxNumber.
func readNumber(w []byte) (n int64, digits int) {
	for digits < len(w) && isDigit(w[digits]) {
		n = min(n*10+int64(w[digits]-'0'), maxNumber)
		digits++
	}
	return n, digits
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
	case "d", "day", "days":
		return 24 * time.Hour
	}
	return 0
}
