package auth

import (
	"cmp"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
)

// maxTXT is the length of one string of a TXT record (RFC 1035 section 3.3.14).
const maxTXT = 255

// Record is the value of the TXT record to publish for a key: "v=DKIM1; k=rsa; p=…" or "v=DKIM1; k=ed25519; p=…". An RSA key is the base64 of
// its SubjectPublicKeyInfo, as all verifiers expect (RFC 6376 section 3.6.1); an Ed25519 key is the base64 of its 32 octets (RFC 8463
// section 4.2). key is an *rsa.PublicKey or an ed25519.PublicKey, such as a crypto.Signer's Public returns.
func Record(key crypto.PublicKey) (string, error) {
	if err := checkPublic(key); err != nil {
		return "", fmt.Errorf("auth: %w", err)
	}
	if key, ok := key.(ed25519.PublicKey); ok {
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(key), nil
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("auth: %w", err)
	}
	return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der), nil
}

// RecordName is the name at which the record of a selector is published: "s1._domainkey.example.com" (RFC 6376 section 3.6.2.1). Selector and
// domain may have U-labels or A-labels, in either case, and a final dot; the name is in lower case and A-labels without final dot, as a Signer
// writes both into its signatures. What is no domain name is left as it is.
func RecordName(selector, domain string) string {
	return cmp.Or(canonical(selector), selector) + "._domainkey." + cmp.Or(canonical(domain), domain)
}

// SplitTXT cuts the value of a TXT record into strings of at most 255 octets, which readers put together again without a space between
// (RFC 6376 section 3.6.2.2). A record for an RSA key of 2048 bits takes two.
func SplitTXT(value string) []string {
	var parts []string
	for len(value) > maxTXT {
		parts = append(parts, value[:maxTXT])
		value = value[maxTXT:]
	}
	return append(parts, value)
}

// ZoneLine is the line for a zone file (RFC 1035 section 5.1) that publishes value, one of Record, at the RecordName of selector and domain.
func ZoneLine(selector, domain, value string) string {
	var b strings.Builder
	b.WriteString(RecordName(selector, domain))
	b.WriteString(". IN TXT (")
	for _, part := range SplitTXT(value) {
		b.WriteString(` "`)
		b.WriteString(strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(part))
		b.WriteByte('"')
	}
	b.WriteString(" )")
	return b.String()
}
