package sender

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"strings"

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
	key   []byte
	plain bool
}

func newRedactor(key []byte, plain bool) redactor {
	if len(key) == 0 {
		key = make([]byte, 32)
		rand.Read(key) // never fails (crypto/rand)
	}
	return redactor{key: key, plain: plain}
}

// reply takes addresses out of a reply: receivers like to repeat the recipient's, and some tell where it is forwarded to.
func (r redactor) reply(in bounce.Reply, recipient string) bounce.Reply {
	if r.plain || len(in.Lines) == 0 {
		return in
	}
	lines := make([]string, len(in.Lines))
	for i, line := range in.Lines {
		lines[i] = r.line(line, recipient)
	}
	in.Lines = lines
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
	for line != "" {
		i := strings.IndexFunc(line, inWord)
		if i < 0 {
			i = len(line)
		}
		b.WriteString(line[:i])
		line = line[i:]
		end := strings.IndexFunc(line, func(c rune) bool { return !inWord(c) })
		if end < 0 {
			end = len(line)
		}
		word := line[:end]
		line = line[end:]
		switch trimmed := strings.Trim(word, ".'"); {
		case strings.Contains(trimmed, "@"):
			b.WriteString(strings.Replace(word, trimmed, r.recipient("", trimmed).shown, 1))
		case len(local) > 2 && strings.EqualFold(trimmed, local):
			shown, _, _ := strings.Cut(r.recipient("", recipient).shown, "@")
			b.WriteString(strings.Replace(word, trimmed, shown, 1))
		default:
			b.WriteString(word)
		}
	}
	return b.String()
}

// inWord reports whether a character may be part of an address in a text.
func inWord(c rune) bool {
	return c > ' ' && !strings.ContainsRune("<>()[]{},;:=/\"`|\u2018\u2019\u201c\u201d", c)
}

// recipient wraps an address. The hash is over its lower-case form, so that one mailbox has one hash.
func (r redactor) recipient(stream, address string) Recipient {
	out := Recipient{Stream: stream, Address: address, shown: address}
	if r.plain {
		return out
	}
	mac := hmac.New(sha256.New, r.key)
	mac.Write([]byte(strings.ToLower(address)))
	_, domain, _ := strings.Cut(address[max(0, strings.LastIndexByte(address, '@')):], "@")
	out.shown = hex.EncodeToString(mac.Sum(nil)[:8]) + "@" + domain
	return out
}
