package auth

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-msgauth/dkim"
	"golang.org/x/net/publicsuffix"
)

// Key is one signing key of a domain.
type Key struct {
	// Selector is the name under which its public half is published: at Selector._domainkey.Domain. Keys have different selectors.
	// Required.
	Selector string
	// Signer is an RSA or Ed25519 private key: from LoadKey, or one that lives in a key management service. Its Sign must be safe for
	// concurrent use; it gets the SHA-256 digest, for RSA with crypto.SHA256 (PKCS #1 v1.5), for Ed25519 with crypto.Hash(0) (RFC 8463
	// section 3: pure Ed25519 over the digest). Required.
	Signer crypto.Signer
}

// Config configures a Signer.
type Config struct {
	// Domain signs: the d= tag. For DMARC it must be aligned with the From field's domain; see Aligned. U-labels or A-labels. Not a public suffix,
	// such as "com" or "co.uk". Required.
	Domain string
	// Keys make one signature each. An RSA key and an Ed25519 key is best: everybody verifies the first; an Ed25519 key alone leaves the
	// mail unsigned for many receivers. During rotation list the new and not the old. At least one, at most four. Required.
	Keys []Key
	// Oversign are the header fields of which none can be added on the way. Must contain From.
	// Defaults to OversignFields().
	Oversign []string
	// Sign are the header fields that are signed where they are there. An empty non-nil slice means none.
	// Defaults to SignFields().
	Sign []string
	// Expiration is for how long a signature holds: the x= tag. Not less than an hour, or mail that waits in a queue becomes unsigned.
	// Defaults to 0: for ever, no x= tag.
	Expiration time.Duration
	// Identifier is the i= tag: an address, or "@" and a domain, in Domain or a subdomain of it. Defaults to none.
	Identifier string
	// MinRSABits is the size below which an RSA key is refused, not less than 1024 (RFC 8301 section 3.2). Defaults to 2048.
	MinRSABits int
}

// OversignFields are the header fields that a Signer oversigns by default: those that a reader sees, or that a mail program acts upon.
// List-Unsubscribe and List-Unsubscribe-Post must be signed for one-click unsubscription (RFC 8058 section 4), Feedback-ID for Gmail's feedback loop.
func OversignFields() []string {
	return []string{
		"From", "To", "Cc", "Subject", "Date", "Message-ID", "Reply-To", "MIME-Version", "Content-Type",
		"List-Unsubscribe", "List-Unsubscribe-Post", "Feedback-ID",
	}
}

// SignFields are the header fields that a Signer signs by default where they are there (RFC 6376 section 5.4.1).
func SignFields() []string {
	return []string{
		"Sender", "In-Reply-To", "References", "Content-Transfer-Encoding", "Content-ID", "Content-Description",
		"Resent-From", "Resent-To", "Resent-Cc", "Resent-Date", "Resent-Message-ID", "Resent-Sender",
		"List-Id", "List-Help", "List-Subscribe", "List-Post", "List-Owner", "List-Archive", "Auto-Submitted",
	}
}

// Bounds of Config.
const (
	maxKeys       = 4
	minExpiration = time.Hour
	maxSigned     = 100 // fields in Oversign and Sign together
	maxListed     = 900 // octets of the h= tag: it is one line, and a line has at most 998 (RFC 5322 section 2.1.1)
)

// Signer makes DKIM signatures. It is safe for concurrent use if the keys are. Make one with New.
type Signer struct {
	keys       []dkim.SignOptions // RSA keys first; HeaderKeys and Expiration are set for each message
	remote     []bool             // by key: Sign may take long
	expiration time.Duration
	oversign   []string       // lower case
	sign       []string       // lower case
	fields     map[string]int // name to its place in oversign, then sign
}

// New makes a Signer. The error names the field of Config that is wrong.
func New(cfg Config) (*Signer, error) {
	domain := canonical(cfg.Domain)
	if domain == "" {
		return nil, fmt.Errorf("auth: Config.Domain: %q is not a domain name", cfg.Domain)
	}
	// A forgotten label, most likely: such a signature would be aligned with no domain below the suffix (RFC 7489 section 3.2).
	if suffix, icann := publicsuffix.PublicSuffix(domain); icann && suffix == domain {
		return nil, fmt.Errorf("auth: Config.Domain: %q is a public suffix, below which others have their domains", cfg.Domain)
	}
	if cfg.Expiration != 0 && cfg.Expiration < minExpiration {
		return nil, fmt.Errorf("auth: Config.Expiration: %v is less than %v", cfg.Expiration, minExpiration)
	}
	if err := validIdentifier(cfg.Identifier, domain); err != nil {
		return nil, err
	}
	if cfg.Oversign == nil {
		cfg.Oversign = OversignFields()
	}
	if cfg.Sign == nil {
		cfg.Sign = slices.DeleteFunc(SignFields(), func(name string) bool {
			return slices.ContainsFunc(cfg.Oversign, func(o string) bool { return strings.EqualFold(o, name) })
		})
	}
	if n := len(cfg.Oversign) + len(cfg.Sign); n > maxSigned {
		return nil, fmt.Errorf("auth: Config.Oversign, Config.Sign: %d fields are more than %d", n, maxSigned)
	}
	s := &Signer{expiration: cfg.Expiration, fields: make(map[string]int)}
	var err error
	seen := make(map[string]bool)
	if s.oversign, err = validFields("Oversign", cfg.Oversign, seen); err != nil {
		return nil, err
	}
	if !seen["from"] {
		return nil, errors.New("auth: Config.Oversign: From is missing (RFC 6376 section 5.4)")
	}
	if s.sign, err = validFields("Sign", cfg.Sign, seen); err != nil {
		return nil, err
	}
	for i, name := range slices.Concat(s.oversign, s.sign) {
		s.fields[name] = i
	}
	if err := s.addKeys(cfg, domain); err != nil {
		return nil, err
	}
	return s, nil
}

// addKeys checks the keys and puts RSA before Ed25519.
func (s *Signer) addKeys(cfg Config, domain string) error {
	bits := cfg.MinRSABits
	switch {
	case bits == 0:
		bits = defaultRSABits
	case bits < minRSABits || bits > maxRSABits:
		return fmt.Errorf("auth: Config.MinRSABits: %d is not between %d and %d (RFC 8301 section 3.2)", bits, minRSABits, maxRSABits)
	}
	if len(cfg.Keys) == 0 || len(cfg.Keys) > maxKeys {
		return fmt.Errorf("auth: Config.Keys: %d keys; want 1 to %d", len(cfg.Keys), maxKeys)
	}
	selectors := make(map[string]bool)
	var rsaKeys, edKeys []dkim.SignOptions
	for i, key := range cfg.Keys {
		selector := canonical(key.Selector)
		switch {
		case selector == "":
			return fmt.Errorf("auth: Config.Keys[%d].Selector: %q is not a selector (RFC 6376 section 3.1)", i, key.Selector)
		case selectors[selector]:
			return fmt.Errorf("auth: Config.Keys[%d].Selector: %q is used twice", i, key.Selector)
		}
		selectors[selector] = true
		public, err := publicOf(key.Signer)
		if err != nil {
			return fmt.Errorf("auth: Config.Keys[%d].Signer: %w", i, err)
		}
		options := dkim.SignOptions{
			Domain: domain, Selector: selector, Identifier: cfg.Identifier, Signer: key.Signer, Hash: crypto.SHA256,
			HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
		}
		switch public := public.(type) {
		case *rsa.PublicKey:
			if n := public.N.BitLen(); n < bits || n > maxRSABits {
				return fmt.Errorf("auth: Config.Keys[%d].Signer: an RSA key of %d bits; want %d to %d (RFC 8301 section 3.2)", i, n, bits, maxRSABits)
			}
			rsaKeys = append(rsaKeys, options)
		case ed25519.PublicKey:
			edKeys = append(edKeys, options)
		}
	}
	s.keys = append(rsaKeys, edKeys...)
	for _, key := range s.keys {
		_, err := loaded(key.Signer)
		s.remote = append(s.remote, err != nil)
	}
	return nil
}

// validIdentifier checks the i= tag (RFC 6376 section 3.5). Characters that would have to be quoted are refused.
func validIdentifier(identifier, domain string) error {
	if identifier == "" {
		return nil
	}
	at := strings.LastIndexByte(identifier, '@')
	host := strings.ToLower(identifier[at+1:])
	if at < 0 || host != domain && !strings.HasSuffix(host, "."+domain) || canonical(host) == "" {
		return fmt.Errorf("auth: Config.Identifier: %q is not an address at %s or a subdomain (RFC 6376 section 3.5)", identifier, domain)
	}
	if strings.ContainsFunc(identifier, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == ';' || c == '=' }) {
		return fmt.Errorf("auth: Config.Identifier: %q has a character that the i= tag can not hold", identifier)
	}
	return nil
}

// Sign returns the DKIM-Signature fields for a message, each ended by CRLF, to be put before it. It reads message and keeps nothing of it after
// it returned; the message must not change until then and is not copied.
//
// The error has ErrMessage in its chain when the message is at fault, is the context's own when ctx ended, and else comes from a key. A key that
// is not in memory is waited for only until ctx ends; its call then ends by itself in the background.
func (s *Signer) Sign(ctx context.Context, message []byte) (header []byte, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	listed, err := s.list(message)
	if err != nil {
		return nil, err
	}
	var expiration time.Time
	if s.expiration > 0 {
		expiration = time.Now().Add(s.expiration)
	}
	header = make([]byte, 0, 1200*len(s.keys))
	for i, options := range s.keys {
		options.HeaderKeys = listed
		options.Expiration = expiration
		field, err := signOne(ctx, &options, message, s.remote[i])
		if err != nil {
			return nil, err
		}
		header = append(header, field...)
	}
	return header, nil
}

// signOne makes one DKIM-Signature field.
func signOne(ctx context.Context, options *dkim.SignOptions, message []byte, remote bool) (string, error) {
	signer, err := dkim.NewSigner(options)
	if err != nil {
		return "", fmt.Errorf("auth: selector %s: %w", options.Selector, err)
	}
	_, err = signer.Write(message) // returns when all of message was read
	switch {
	case err != nil:
		signer.Close()
	case remote && ctx.Done() != nil:
		closed := make(chan error, 1)
		go func() { closed <- signer.Close() }()
		select {
		case err = <-closed:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	default:
		err = signer.Close()
	}
	if err != nil {
		return "", fmt.Errorf("auth: selector %s: %w", options.Selector, err)
	}
	return signer.Signature(), nil
}

// list is the h= tag's list of a message: every oversigned field once more than it is there, the others as often as they are there.
func (s *Signer) list(message []byte) ([]string, error) {
	counts, err := fieldCounts(message, s.fields)
	if err != nil {
		return nil, err
	}
	if n := counts[s.fields["from"]]; n != 1 {
		return nil, badMessage("%d From fields; want exactly one (RFC 5322 section 3.6)", n)
	}
	listed := make([]string, 0, len(counts)+len(s.oversign))
	length := 0
	for i, n := range counts {
		var name string
		if i < len(s.oversign) {
			name = s.oversign[i]
			n++
		} else {
			name = s.sign[i-len(s.oversign)]
		}
		if length += n * (len(name) + 1); length > maxListed {
			return nil, badMessage("too many header fields to sign, for example %q", name)
		}
		for range n {
			listed = append(listed, name)
		}
	}
	return listed, nil
}
