package main

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/reputemail/repute/auth"
)

// signer makes the DKIM signer of the flags, or nil when there are none.
func (o *options) signer() (*auth.Signer, error) {
	if o.dkimRSA == "" && o.dkimEd25519 == "" {
		if o.dkimDomain != "" || o.dkimSelector != "" {
			return nil, errors.New("-dkim-domain and -dkim-selector: there is no key, neither in -dkim-rsa nor in -dkim-ed25519")
		}
		return nil, nil
	}
	if o.dkimDomain == "" {
		return nil, errors.New("-dkim-domain: is missing")
	}
	cfg := auth.Config{Domain: o.dkimDomain}
	selectors, err := o.selectors()
	if err != nil {
		return nil, err
	}
	if o.dkimRSA != "" {
		key, err := loadKey[*rsa.PrivateKey](o.dkimRSA)
		if err != nil {
			return nil, fmt.Errorf("-dkim-rsa: %w", err)
		}
		cfg.Keys = append(cfg.Keys, auth.Key{Selector: selectors[0], Signer: key})
	}
	if o.dkimEd25519 != "" {
		key, err := loadKey[ed25519.PrivateKey](o.dkimEd25519)
		if err != nil {
			return nil, fmt.Errorf("-dkim-ed25519: %w", err)
		}
		cfg.Keys = append(cfg.Keys, auth.Key{Selector: selectors[len(selectors)-1], Signer: key})
	}
	s, err := auth.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("DKIM: %w", err)
	}
	return s, nil
}

// selectors are those of the keys, that of the RSA key first.
func (o *options) selectors() ([]string, error) {
	if o.dkimSelector == "" {
		return nil, errors.New("-dkim-selector: is missing")
	}
	names := strings.Split(o.dkimSelector, ",")
	switch both := o.dkimRSA != "" && o.dkimEd25519 != ""; {
	case both && len(names) == 1:
		return append(names, names[0]+"-ed25519"), nil
	case both && len(names) == 2, !both && len(names) == 1:
		return names, nil
	}
	return nil, fmt.Errorf("-dkim-selector: has %d names, more than there are keys", len(names))
}

// loadKey reads a private key of the type K from a PEM file.
func loadKey[K crypto.Signer](file string) (crypto.Signer, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	key, err := auth.LoadKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if _, ok := key.(K); !ok {
		return nil, fmt.Errorf("%s: is a key of another kind: %T", file, key)
	}
	return key, nil
}
