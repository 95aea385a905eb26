package verp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
	"sync"
	"time"
)

// Errors of reading a token.
var (
	// ErrNoToken: the text has not the form of a token, or the address not that of one with a token.
	ErrNoToken = errors.New("verp: no token")
	// ErrForged: the signature is not valid: nobody with one of the keys has made this.
	ErrForged = errors.New("verp: the token has no valid signature")
	// ErrExpired: the token was valid, and its time is over.
	ErrExpired = errors.New("verp: the token has expired")
)

// Key signs and verifies tokens.
type Key struct {
	// ID names the key in tokens: one digit or lower-case letter.
	ID string
	// Secret is what only the host knows, at least 16 bytes. It is used for nothing else.
	Secret []byte
}

// Config configures a Codec.
type Config struct {
	// Keys: the first one signs, all of them verify. At least one; at most 36.
	Keys []Key
	// Prefix is what the local-part of an address begins with: up to 8 lower-case letters, digits, "-", "_" and "=", a letter or digit first. Defaults to "b-".
	Prefix string
	// Lifetime is how long a token is valid: from a day to ten years, whole days; it ends with a day in UTC. Defaults to 30 days: bounces come within days,
	// and nearly all complaints within weeks.
	Lifetime time.Duration
}

// Codec makes and reads tokens. It is safe for concurrent use and does not change.
type Codec struct {
	prefix string
	days   int64
	sign   byte // the ID of the key that signs
	keys   map[byte]*sync.Pool
}

// The form of a token.
const (
	maxLocal  = 64 // octets of a local-part (RFC 5321 section 4.5.3.1.1)
	dayDigits = 4
	macDigits = 13
	headSize  = 1 + 1 + dayDigits + macDigits

	asText   = 't'
	asBase32 = 'x'

	digits = "0123456789abcdefghijklmnopqrstuv"
	day    = 24 * time.Hour
)

var encoding = base32.NewEncoding(digits).WithPadding(base32.NoPadding)

// signer is an HMAC with room for its sum.
type signer struct {
	mac hash.Hash
	sum [sha256.Size]byte
	out [macDigits + 2]byte // the digits of 9 bytes, of which the first 13 are used
}

// New checks the configuration and makes a Codec. An error names the field; it shows no secret.
func New(cfg Config) (*Codec, error) {
	c := &Codec{prefix: cfg.Prefix, keys: make(map[byte]*sync.Pool, len(cfg.Keys))}
	if len(cfg.Keys) == 0 {
		return nil, errors.New("verp: Config.Keys: is empty")
	}
	for i, k := range cfg.Keys {
		if len(k.ID) != 1 || !isAlnum(k.ID[0]) {
			return nil, fmt.Errorf("verp: Config.Keys[%d].ID: %q is not one digit or lower-case letter", i, k.ID)
		}
		if len(k.Secret) < 16 {
			return nil, fmt.Errorf("verp: Config.Keys[%d].Secret: has %d bytes; at least 16 are needed", i, len(k.Secret))
		}
		if c.keys[k.ID[0]] != nil {
			return nil, fmt.Errorf("verp: Config.Keys[%d].ID: %q stands twice", i, k.ID)
		}
		secret := slices.Clone(k.Secret)
		c.keys[k.ID[0]] = &sync.Pool{New: func() any { return &signer{mac: hmac.New(sha256.New, secret)} }}
	}
	c.sign = cfg.Keys[0].ID[0]
	if c.prefix == "" {
		c.prefix = "b-"
	}
	if len(c.prefix) > 8 || !isAlnum(c.prefix[0]) || strings.Trim(c.prefix, digits+"wxyz-_=") != "" {
		return nil, fmt.Errorf("verp: Config.Prefix: %q is not up to 8 lower-case letters, digits, \"-\", \"_\" and \"=\", a letter or digit first", c.prefix)
	}
	for _, taken := range []string{"srs", "prvs", "btv1"} { // would be taken for a forwarder's or a signer's
		if strings.HasPrefix(c.prefix, taken) {
			return nil, fmt.Errorf("verp: Config.Prefix: %q begins with %q, which others put before an address", c.prefix, taken)
		}
	}
	if cfg.Lifetime == 0 {
		cfg.Lifetime = 30 * day
	}
	if cfg.Lifetime < day || cfg.Lifetime > 3660*day || cfg.Lifetime%day != 0 {
		return nil, fmt.Errorf("verp: Config.Lifetime: %v is not a number of days from 1 to 3660", cfg.Lifetime)
	}
	c.days = int64(cfg.Lifetime / day)
	return c, nil
}

// Max is the longest payload in bytes of which a token can be made, if it is of lower-case letters, digits and "-", "_", ".", "/". Others are
// written in base32, and may have five eighths of that.
func (c *Codec) Max() int { return maxLocal - len(c.prefix) - headSize }

// EncodeAt makes a token that is valid from now until Config.Lifetime is over. The same payload gives the same token all day. The error says that the payload is empty
// or too long.
func (c *Codec) EncodeAt(now time.Time, payload string) (token string, err error) {
	buf := make([]byte, 0, maxLocal)
	buf, err = c.appendToken(buf, now, payload)
	return string(buf), err
}

// AddressAt makes an address at a domain, with such a token.
func (c *Codec) AddressAt(now time.Time, payload, domain string) (address string, err error) {
	buf := make([]byte, 0, maxLocal+1+len(domain))
	buf = append(buf, c.prefix...)
	if buf, err = c.appendToken(buf, now, payload); err != nil {
		return "", err
	}
	return string(append(append(buf, '@'), domain...)), nil
}

func (c *Codec) appendToken(buf []byte, now time.Time, payload string) ([]byte, error) {
	if payload == "" {
		return nil, errors.New("verp: the payload is empty")
	}
	start := len(buf)
	kind, size := byte(asText), len(payload)
	if !isText(payload) {
		kind, size = asBase32, encoding.EncodedLen(len(payload))
	}
	if size > c.Max() {
		most, kind := c.Max(), "lower-case letters, digits and -_./"
		if size != len(payload) {
			most, kind = encoding.DecodedLen(most), "other characters"
		}
		return nil, fmt.Errorf("verp: the payload has %d bytes; of %s a return path has room for %d", len(payload), kind, most)
	}
	buf = append(buf, kind, c.sign)
	buf = appendDay(buf, now.Unix()/int64(day/time.Second)+c.days)
	mac := len(buf)
	buf = buf[:mac+macDigits]
	if kind == asText {
		for i := range len(payload) {
			ch := payload[i]
			if ch == '/' {
				ch = '='
			}
			buf = append(buf, ch)
		}
	} else {
		buf = encoding.AppendEncode(buf, []byte(payload))
	}
	c.macOf(buf[start:mac], buf[mac+macDigits:], buf[mac:mac+macDigits])
	return buf, nil
}

// DecodeAt reads a token, and returns the payload. Errors are ErrNoToken, ErrForged and ErrExpired.
func (c *Codec) DecodeAt(now time.Time, token string) (payload string, err error) {
	if len(token) <= headSize || len(token) > maxLocal {
		return "", ErrNoToken
	}
	var room [maxLocal]byte
	t := room[:len(token)]
	for i := range len(token) {
		ch := token[i]
		if 'A' <= ch && ch <= 'Z' {
			ch += 'a' - 'A'
		}
		if !isAlnum(ch) && ch != '-' && ch != '_' && ch != '.' && ch != '=' {
			return "", ErrNoToken
		}
		t[i] = ch
	}
	last, ok := parseDay(t[2 : 2+dayDigits])
	if !ok || t[0] != asText && t[0] != asBase32 {
		return "", ErrNoToken
	}
	head, mac, body := t[:2+dayDigits], t[2+dayDigits:headSize], t[headSize:]
	var want [macDigits]byte
	if c.keys[t[1]] == nil {
		return "", ErrForged
	}
	c.macOf(head, body, want[:])
	if !hmac.Equal(mac, want[:]) {
		return "", ErrForged
	}
	if now.Unix()/int64(day/time.Second) > last {
		return "", ErrExpired
	}
	if t[0] == asText {
		for i := range body {
			if body[i] == '=' {
				body[i] = '/'
			}
		}
		return string(body), nil
	}
	raw, err := encoding.DecodeString(string(body))
	if err != nil { // signed by us, and yet not what we write
		return "", ErrForged
	}
	return string(raw), nil
}

// macOf writes the digits of the HMAC of a token's head and body into out. The second character of the head is the key's ID, which must be known.
func (c *Codec) macOf(head, body, out []byte) {
	pool := c.keys[head[1]]
	s := pool.Get().(*signer)
	s.mac.Reset()
	s.mac.Write(head)
	s.mac.Write(body)
	sum := s.mac.Sum(s.sum[:0])
	encoding.Encode(s.out[:], sum[:9])
	copy(out, s.out[:macDigits])
	pool.Put(s)
}

// isText reports whether a payload can stand in a token as it is, and comes out the same: "/" is written as "=".
func isText(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !isAlnum(c) && c != '-' && c != '_' && c != '/' && (c != '.' || i+1 == len(s) || s[i+1] == '.') {
			return false
		}
	}
	return true
}

func isAlnum(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' }

// appendDay writes a day as base32hex digits.
func appendDay(b []byte, d int64) []byte {
	d = max(0, min(d, 1<<(5*dayDigits)-1))
	for i := dayDigits - 1; i >= 0; i-- {
		b = append(b, digits[d>>(5*i)&31])
	}
	return b
}

func parseDay(b []byte) (d int64, ok bool) {
	for _, c := range b {
		i := strings.IndexByte(digits, c)
		if i < 0 {
			return 0, false
		}
		d = d<<5 | int64(i)
	}
	return d, true
}
