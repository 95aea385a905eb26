package transport

import (
	"time"
)

// quirk is what a host promises and does not keep.
type quirk string

// The quirks.
const (
	// quirkPipelining: it loses its place, or commands, when several come at a time.
	quirkPipelining quirk = "PIPELINING"
	// quirkChunking: it does not know BDAT.
	quirkChunking quirk = "CHUNKING"
)

const (
	// quirkFor is how long an extension is not used after it failed. Without it mail is slower, and no less safe.
	quirkFor = 6 * time.Hour
	// maxQuirks is how many are remembered; the one unused longest is forgotten first.
	maxQuirks = 10_000
)

// odd is a host and its quirk.
type odd struct {
	host  string
	quirk quirk
}

// hasQuirk says whether a host is known not to keep what it promises.
func (t *Transport) hasQuirk(now time.Time, host string, q quirk) bool {
	until, ok := t.quirks.Get(now, odd{host, q})
	return ok && now.Before(until)
}

// noteQuirk takes note that a host did not keep what it promised.
func (t *Transport) noteQuirk(now time.Time, host string, q quirk) {
	t.quirks.Put(now, odd{host, q}, now.Add(quirkFor))
	t.config.Logger.Warn("extension given up", "host", host, "extension", string(q), "for", quirkFor)
}
