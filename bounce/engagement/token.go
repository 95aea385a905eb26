package engagement

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Errors of a confirmation.
var (
	// ErrToken: the text is no token of this campaign.
	ErrToken = errors.New("engagement: not a confirmation token")
	// ErrTokenExpired: it is one, and its time is over.
	ErrTokenExpired = errors.New("engagement: the confirmation token has expired")
	// ErrLapsed: the address was given up before, and reported to the suppression.
	ErrLapsed = errors.New("engagement: the address was given up before it confirmed")
)

const (
	minKey     = 16               // octets
	tagSize    = aes.BlockSize    // of the HMAC
	headSize   = 1 + 8            // format and expiry
	maxToken   = 1024             // characters
	tokenBytes = byte(1)          // the format
	tagLabel   = "repute/confirm" // what the keys are for
)

// sealer makes and reads the tokens of one key. A token is RFC 5297's construction with HMAC-SHA256 in the place of its PRF: the first
// 16 octets of the HMAC over expiry and address are the tag, which is also the counter block that AES-256 in counter mode
// encrypts the two with. So a link tells nobody the address, no bit of it can be changed, and nothing but the key is kept for it.
type sealer struct {
	mac   []byte
	block cipher.Block
}

// newSealer derives the keys for a campaign on a stream.
func newSealer(key []byte, stream string) (*sealer, error) {
	if len(key) < minKey {
		return nil, fmt.Errorf("has %d octets: must have at least %d", len(key), minKey)
	}
	block, err := aes.NewCipher(derive(key, tagLabel+"/encrypt/"+stream))
	if err != nil {
		return nil, err
	}
	return &sealer{mac: derive(key, tagLabel+"/authenticate/"+stream), block: block}, nil
}

func derive(key []byte, label string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(label))
	return h.Sum(nil)
}

func (s *sealer) tag(plain []byte) []byte { return derive(s.mac, string(plain))[:tagSize] }

// seal makes the token of an address.
func (s *sealer) seal(address string, expires time.Time) string {
	b := make([]byte, tagSize+headSize, tagSize+headSize+len(address))
	b[tagSize] = tokenBytes
	binary.BigEndian.PutUint64(b[tagSize+1:], uint64(stamp(expires)))
	b = append(b, address...)
	copy(b, s.tag(b[tagSize:]))
	cipher.NewCTR(s.block, b[:tagSize]).XORKeyStream(b[tagSize:], b[tagSize:])
	return base64.RawURLEncoding.EncodeToString(b)
}

// open reads a token. Any error is ErrToken or ErrTokenExpired.
func (s *sealer) open(token string, now time.Time) (address string, err error) {
	if len(token) > maxToken || strings.ContainsAny(token, "\r\n") { // Which base64 skips.
		return "", ErrToken
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) <= tagSize+headSize {
		return "", ErrToken
	}
	tag, plain := b[:tagSize], b[tagSize:]
	cipher.NewCTR(s.block, tag).XORKeyStream(plain, plain)
	if !hmac.Equal(tag, s.tag(plain)) || plain[0] != tokenBytes {
		return "", ErrToken
	}
	if uint64(stamp(now)) >= binary.BigEndian.Uint64(plain[1:]) {
		return "", ErrTokenExpired
	}
	return string(plain[headSize:]), nil
}
