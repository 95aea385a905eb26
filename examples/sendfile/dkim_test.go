package main

import (
	"crypto"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/reputemail/repute/auth"
)

// keys are one RSA and one Ed25519 key, made once.
var keys = sync.OnceValues(func() (made [2]crypto.Signer, err error) {
	rsa, err := auth.GenerateRSA(0)
	if err != nil {
		return made, err
	}
	ed, err := auth.GenerateEd25519()
	return [2]crypto.Signer{rsa, ed}, err
})

// keyFiles are the names of PEM files with the keys.
func keyFiles(t *testing.T) (rsa, ed string) {
	t.Helper()
	made, err := keys()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	names := [2]string{filepath.Join(dir, "rsa.pem"), filepath.Join(dir, "ed25519.pem")}
	for i, key := range made {
		text, err := auth.MarshalKey(key)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(names[i], text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return names[0], names[1]
}

func TestSigner(t *testing.T) {
	rsa, ed := keyFiles(t)
	const message = "From: a@example.com\r\n\r\nHello\r\n"
	for _, test := range []struct {
		name, flags string
		signatures  []string // selector and algorithm
		failure     string
	}{
		{"none", "", nil, ""},
		{"RSA", "-dkim-domain example.com -dkim-selector s1 -dkim-rsa " + rsa, []string{"s=s1; rsa-sha256"}, ""},
		{"Ed25519", "-dkim-domain example.com -dkim-selector s1 -dkim-ed25519 " + ed, []string{"s=s1; ed25519-sha256"}, ""},
		{"both, one selector", "-dkim-domain example.com -dkim-selector s1 -dkim-rsa " + rsa + " -dkim-ed25519 " + ed,
			[]string{"s=s1; rsa-sha256", "s=s1-ed25519; ed25519-sha256"}, ""},
		{"both, two selectors", "-dkim-domain example.com -dkim-selector s1,s2 -dkim-rsa " + rsa + " -dkim-ed25519 " + ed,
			[]string{"s=s1; rsa-sha256", "s=s2; ed25519-sha256"}, ""},
		{"no domain", "-dkim-selector s1 -dkim-rsa " + rsa, nil, "-dkim-domain"},
		{"no selector", "-dkim-domain example.com -dkim-rsa " + rsa, nil, "-dkim-selector"},
		{"too many selectors", "-dkim-domain example.com -dkim-selector s1,s2 -dkim-rsa " + rsa, nil, "-dkim-selector"},
		{"no key", "-dkim-domain example.com -dkim-selector s1", nil, "-dkim-rsa"},
		{"the other kind of key", "-dkim-domain example.com -dkim-selector s1 -dkim-rsa " + ed, nil, "-dkim-rsa"},
		{"the other kind of key again", "-dkim-domain example.com -dkim-selector s1 -dkim-ed25519 " + rsa, nil, "-dkim-ed25519"},
		{"missing key", "-dkim-domain example.com -dkim-selector s1 -dkim-rsa " + rsa + ".old", nil, "-dkim-rsa"},
		{"no key in the file", "-dkim-domain example.com -dkim-selector s1 -dkim-rsa letter.go", nil, "-dkim-rsa"},
		{"same selector twice", "-dkim-domain example.com -dkim-selector s1,s1 -dkim-rsa " + rsa + " -dkim-ed25519 " + ed, nil, "DKIM"},
	} {
		s, err := mustParse(t, test.flags+" x.eml").signer()
		if test.failure != "" {
			if err == nil || !strings.Contains(err.Error(), test.failure) {
				t.Errorf("%s: %v, want %s in it", test.name, err, test.failure)
			}
			continue
		}
		if err != nil || (s == nil) != (test.signatures == nil) {
			t.Errorf("%s: %v, %v", test.name, s, err)
			continue
		}
		if s == nil {
			continue
		}
		header, err := s.Sign(t.Context(), []byte(message))
		if err != nil || strings.Count(string(header), "DKIM-Signature:") != len(test.signatures) {
			t.Errorf("%s: %v: %s", test.name, err, header)
			continue
		}
		for i, field := range strings.Split(string(header), "DKIM-Signature:")[1:] {
			selector, algorithm, _ := strings.Cut(test.signatures[i], " ")
			if !strings.Contains(field, " "+selector) || !strings.Contains(field, "a="+algorithm) {
				t.Errorf("%s: signature %d is %s, want %s", test.name, i+1, field, test.signatures[i])
			}
		}
	}
}
