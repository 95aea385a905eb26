package sender

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"strings"
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
