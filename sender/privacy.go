package sender

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/reputemail/repute/bounce"
)

// Recipient is an address that does not show itself by accident: printed or logged it is a keyed hash and its domain.
type Recipient struct {
	// Stream is the stream that wants to write to it.
	Stream string
	// Address is the address itself.
	Address string

	shown string
}

// String is the form for people: a keyed hash at the domain, unless Config.PlainAddresses.
func (r Recipient) String() string {
	if r.shown == "" {
		return "(address)"
	}
	return r.shown
}

// LogValue is String, for slog.
func (r Recipient) LogValue() slog.Value { return slog.StringValue(r.String()) }

// MarshalText is String, so that JSON does not tell the address either.
func (r Recipient) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText wrote; the address itself does not come back.
func (r *Recipient) UnmarshalText(text []byte) error {
	*r = Recipient{shown: string(text)}
	return nil
}

// redactor makes Recipients.
type redactor struct {
	plain  bool
	hashes *sync.Pool // of *keyedHash
}

// keyedHash is a hash with the redactor's key, and room to work in.
type keyedHash struct {
	mac hash.Hash
	buf []byte
}

func newRedactor(key []byte, plain bool) redactor {
	if len(key) == 0 {
		key = make([]byte, 32)
		rand.Read(key) // never fails (crypto/rand)
	}
	return redactor{plain: plain, hashes: &sync.Pool{New: func() any { return &keyedHash{mac: hmac.New(sha256.New, key)} }}}
}

// reply takes addresses out of a reply: receivers like to repeat the recipient's, and some tell where it is forwarded to.
func (r redactor) reply(in bounce.Reply, recipient string) bounce.Reply {
	if r.plain {
		return in
	}
	var lines []string // a copy, once a line changes
	for i, line := range in.Lines {
		redacted := r.line(line, recipient)
		if redacted == line {
			continue
		}
		if lines == nil {
			lines = slices.Clone(in.Lines)
		}
		lines[i] = redacted
	}
	if lines != nil {
		in.Lines = lines
	}
	return in
}

func (r redactor) line(line, recipient string) string {
	local := recipient[:max(0, strings.LastIndexByte(recipient, '@'))]
	if inner := strings.Trim(local, `"`); inner != local && len(inner) > 2 { // a quoted local-part may be more than a word
		hash, _, _ := strings.Cut(r.recipient("", recipient).shown, "@")
		line = strings.ReplaceAll(line, local, hash)
		line = strings.ReplaceAll(line, inner, hash)
	}
	var b strings.Builder
	kept := 0 // where what is not in b yet begins
	for at := 0; at < len(line); {
		length := strings.IndexFunc(line[at:], notInWord)
		if length < 0 {
			length = len(line) - at
		}
		if length == 0 {
			_, size := utf8.DecodeRuneInString(line[at:])
			at += size
			continue
		}
		word, shown := line[at:at+length], ""
		switch trimmed := strings.Trim(word, ".'"); {
		case strings.Contains(trimmed, "@"):
			shown = strings.Replace(word, trimmed, r.recipient("", trimmed).shown, 1)
		case len(local) > 2 && strings.EqualFold(trimmed, local):
			hash, _, _ := strings.Cut(r.recipient("", recipient).shown, "@")
			shown = strings.Replace(word, trimmed, hash, 1)
		}
		if shown != "" {
			b.WriteString(line[kept:at])
			b.WriteString(shown)
			kept = at + length
		}
		at += length
	}
	if kept == 0 {
		return line
	}
	b.WriteString(line[kept:])
	return b.String()
}

// notInWord reports whether a character cannot be part of an address in a text.
func notInWord(c rune) bool {
	switch c {
	case '<', '>', '(', ')', '[', ']', '{', '}', ',', ';', ':', '=', '/', '"', '`', '|', '\u2018', '\u2019', '\u201c', '\u201d':
		return true
	}
	return c <= ' '
}

// recipient wraps an address. The hash is over its lower-case form, so that one mailbox has one hash.
func (r redactor) recipient(stream, address string) Recipient {
	out := Recipient{Stream: stream, Address: address, shown: address}
	if r.plain {
		return out
	}
	h := r.hashes.Get().(*keyedHash)
	h.mac.Reset()
	h.buf = append(h.buf[:0], strings.ToLower(address)...)
	h.mac.Write(h.buf)
	h.buf = h.mac.Sum(h.buf[:0])
	size := len(h.buf)
	_, domain, _ := strings.Cut(address[max(0, strings.LastIndexByte(address, '@')):], "@")
	h.buf = append(append(hex.AppendEncode(h.buf, h.buf[:8]), '@'), domain...)
	out.shown = string(h.buf[size:])
	r.hashes.Put(h)
	return out
}
