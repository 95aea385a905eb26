package suppress

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/reputemail/repute/bounce/internal/address"
)

// hashMark begins what stands for an address of which only the hash is known.
const hashMark = "hmac:"

// keyOf is the key of an address in the store, and how entries show it.
func (l *List) keyOf(s string) (key string, err error) {
	if hash, ok := strings.CutPrefix(s, hashMark); ok && l.key != nil {
		if b, err := hex.DecodeString(hash); err != nil || len(b) != sha256.Size {
			return "", fmt.Errorf("suppress: address: no hash of one: %w", ErrAddress)
		}
		return strings.ToLower(s), nil
	}
	n, err := address.Normalize(s)
	if err != nil {
		return "", fmt.Errorf("suppress: address: %w", err)
	}
	if l.fold {
		local, domain, _ := strings.Cut(n, "@")
		if base, _, ok := strings.Cut(local, "+"); ok && base != "" && local[0] != '"' {
			n = base + "@" + domain
		}
	}
	if l.key == nil {
		return n, nil
	}
	m := hmac.New(sha256.New, l.key)
	m.Write([]byte(n))
	return hashMark + hex.EncodeToString(m.Sum(nil)), nil
}

// hide takes the words with an at sign out of a text, where no address is to be stored.
func (l *List) hide(s string) string {
	if l.key == nil || !strings.Contains(s, "@") {
		return s
	}
	words := strings.Fields(s)
	for i, word := range words {
		if strings.Contains(word, "@") {
			words[i] = "@"
		}
	}
	return strings.Join(words, " ")
}
