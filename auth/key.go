package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// Bounds of RSA keys. RFC 8301 section 3.2: signers must use at least 1024 bits and should use at least 2048; verifiers need not take
// more than 4096.
const (
	minRSABits     = 1024
	defaultRSABits = 2048
	maxRSABits     = 4096
)

// LoadKey reads the first private key in PEM text: RSA as PKCS#1 ("RSA PRIVATE KEY") or PKCS#8 ("PRIVATE KEY"), Ed25519 as PKCS#8. The result
// is an *rsa.PrivateKey or an ed25519.PrivateKey. Other blocks before it, such as certificates, are passed over. A byte order mark, indented
// lines and the label of the other form, as editors, configuration files and scripts make them, do not matter.
//
// The error says what was found instead: an encrypted key, a public key, a key of another algorithm, a key that is not PEM. It never contains
// key material.
func LoadKey(text []byte) (crypto.Signer, error) {
	given := text
	text = flushLeft(text)
	var passed []string
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		switch block.Type {
		case "RSA PRIVATE KEY":
			if strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
				return nil, errEncrypted
			}
			key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
			if err == nil {
				return loaded(key)
			}
			if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
				return loaded(key)
			}
			return nil, fmt.Errorf("auth: the RSA private key (PKCS#1) is damaged: %w", err)
		case "PRIVATE KEY":
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err == nil {
				return loaded(key)
			}
			if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
				return loaded(key)
			}
			return nil, fmt.Errorf("auth: the private key (PKCS#8) is damaged or of an unknown algorithm: %w", err)
		case "ENCRYPTED PRIVATE KEY":
			return nil, errEncrypted
		case "EC PRIVATE KEY":
			return nil, errECKey
		case "DSA PRIVATE KEY":
			return nil, errors.New("auth: this is a DSA key; DKIM knows RSA and Ed25519 only")
		case "OPENSSH PRIVATE KEY":
			return nil, errors.New("auth: this is a private key in OpenSSH's own form; DKIM keys are PEM, PKCS#1 or PKCS#8")
		}
		passed = append(passed, block.Type)
	}
	switch {
	case len(passed) == 0 && isDER(given):
		return nil, errors.New("auth: this is DER (binary), not PEM; convert the key first, for example with openssl pkey -inform DER")
	case len(passed) == 0:
		return nil, errors.New("auth: no PEM block; want RSA PRIVATE KEY or PRIVATE KEY")
	case strings.HasSuffix(passed[0], "PUBLIC KEY"):
		return nil, errors.New("auth: this is a public key; signing needs the private one")
	}
	return nil, fmt.Errorf("auth: no private key, only a PEM block of type %q", passed[0])
}

// Errors of LoadKey.
var (
	errEncrypted = errors.New("auth: the private key is encrypted; decrypt it first, for example with openssl pkey")
	errECKey     = errors.New("auth: this is an elliptic curve (ECDSA) key; DKIM knows RSA and Ed25519 only")
)

// flushLeft is text without a byte order mark and without what stands before each line, where encoding/pem looks for nothing else than the
// boundaries.
func flushLeft(text []byte) []byte {
	lines := bytes.SplitAfter(text, []byte("\n"))
	for i, line := range lines {
		lines[i] = bytes.TrimLeft(line, " \t\ufeff")
	}
	return bytes.Join(lines, nil)
}

// isDER reports whether data is one value in DER of the kind that keys are: a SEQUENCE.
func isDER(data []byte) bool {
	var value asn1.RawValue
	rest, err := asn1.Unmarshal(data, &value)
	return err == nil && len(rest) == 0 && value.Class == asn1.ClassUniversal && value.Tag == asn1.TagSequence
}

// loaded is a parsed key, if it is of a kind that can sign.
func loaded(key any) (crypto.Signer, error) {
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	case *ecdsa.PrivateKey:
		return nil, errECKey
	}
	return nil, fmt.Errorf("auth: a key of type %T; DKIM knows RSA and Ed25519 only", key)
}

// publicOf is the public half of a key, an *rsa.PublicKey or an ed25519.PublicKey, or why the key cannot be used. It never panics for a key that
// is in memory.
func publicOf(key crypto.Signer) (crypto.PublicKey, error) {
	if key == nil {
		return nil, errors.New("missing")
	}
	switch v := reflect.ValueOf(key); v.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Func, reflect.Chan:
		if v.IsNil() { // Public and Sign of such a key would panic.
			return nil, fmt.Errorf("a nil %T", key)
		}
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if key.N == nil || key.D == nil {
			return nil, errors.New("an RSA key without its numbers")
		}
		if err := key.Validate(); err != nil {
			return nil, fmt.Errorf("an RSA key that is damaged: %w", err)
		}
	case *ed25519.PrivateKey:
		return publicOf(*key)
	case ed25519.PrivateKey:
		if len(key) != ed25519.PrivateKeySize {
			return nil, fmt.Errorf("an Ed25519 private key of %d octets; want %d", len(key), ed25519.PrivateKeySize)
		}
	}
	public := key.Public()
	return public, checkPublic(public)
}

// checkPublic refuses public keys that are none or not of DKIM's algorithms.
func checkPublic(key crypto.PublicKey) error {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if key == nil || key.N == nil {
			return errors.New("an RSA public key without a modulus")
		}
		return nil
	case ed25519.PublicKey:
		if len(key) != ed25519.PublicKeySize {
			return fmt.Errorf("an Ed25519 public key of %d octets; want %d", len(key), ed25519.PublicKeySize)
		}
		return nil
	}
	return fmt.Errorf("a public key of type %T; DKIM knows RSA and Ed25519 only", key)
}

// GenerateRSA makes an RSA key of 2048 to 4096 bits; 0 means 2048. More than 2048 makes signing slower (a 4096-bit key some six times) and
// the DNS record longer.
func GenerateRSA(bits int) (*rsa.PrivateKey, error) {
	if bits == 0 {
		bits = defaultRSABits
	}
	if bits < defaultRSABits || bits > maxRSABits {
		return nil, fmt.Errorf("auth: an RSA key of %d bits; want %d to %d (RFC 8301 section 3.2)", bits, defaultRSABits, maxRSABits)
	}
	return rsa.GenerateKey(rand.Reader, bits)
}

// GenerateEd25519 makes an Ed25519 key (RFC 8463). Use it beside an RSA key, not instead: many receivers do not verify it yet.
func GenerateEd25519() (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return key, err
}

// MarshalKey is a private key as PEM text, PKCS#8 ("PRIVATE KEY"), as LoadKey reads it. key is an *rsa.PrivateKey or an ed25519.PrivateKey; one
// that lives elsewhere (a key management service) can not be marshalled.
func MarshalKey(key crypto.Signer) ([]byte, error) {
	if _, err := loaded(key); err != nil {
		return nil, err
	}
	if _, err := publicOf(key); err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
