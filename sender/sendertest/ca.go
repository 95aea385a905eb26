package sendertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"sync/atomic"
	"time"
)

// CA is a certificate authority for tests. Its certificates have ECDSA P-256 keys and are valid from 1999 until 100 years
// after the present time, so that they also serve in testing/synctest bubbles, where time begins in 2000.
// Its methods may be called concurrently.
type CA struct {
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	serial atomic.Int64
}

// validFrom is the start of every certificate's validity.
var validFrom = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)

// NewCA makes an authority with a new key.
func NewCA() (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("sendertest: NewCA: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "sendertest CA"},
		NotBefore:    validFrom, NotAfter: time.Now().AddDate(100, 0, 0),
		KeyUsage: x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := sign(template, template, key, key)
	if err != nil {
		return nil, fmt.Errorf("sendertest: NewCA: %w", err)
	}
	ca := &CA{cert: cert, key: key}
	ca.serial.Store(1)
	return ca, nil
}

// Pool is a pool with the authority's certificate, for tls.Config.RootCAs.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

// Certificate issues a certificate for names: host names, also with a "*." in front, and IP addresses. A wrong-name
// certificate is one for another name.
func (ca *CA) Certificate(names ...string) (tls.Certificate, error) {
	return ca.issue(names, time.Now().AddDate(100, 0, 0))
}

// Expired issues a certificate for names whose validity ended in 1999.
func (ca *CA) Expired(names ...string) (tls.Certificate, error) {
	return ca.issue(names, validFrom.AddDate(0, 6, 0))
}

func (ca *CA) issue(names []string, until time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("sendertest: CA: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(ca.serial.Add(1)),
		NotBefore:    validFrom, NotAfter: until,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	if len(names) > 0 {
		template.Subject.CommonName = names[0]
	}
	cert, err := sign(template, ca.cert, key, ca.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("sendertest: CA: certificate for %q: %w", names, err)
	}
	return tls.Certificate{Certificate: [][]byte{cert.Raw, ca.cert.Raw}, PrivateKey: key, Leaf: cert}, nil
}

// sign makes a certificate of a template for the public part of key.
func sign(template, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
