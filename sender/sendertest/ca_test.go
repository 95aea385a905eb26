package sendertest_test

import (
	"crypto/x509"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reputemail/repute/sender/sendertest"
)

// TestCA verifies the certificates now and in a bubble, where it is the year 2000.
func TestCA(t *testing.T) {
	check := func(t *testing.T) {
		ca := newCA(t)
		good, err := ca.Certificate("mx.example.com", "*.example.org", "192.0.2.1")
		must(t, err)
		expired, err := ca.Expired("mx.example.com")
		must(t, err)
		verify := func(cert *x509.Certificate, pool *x509.CertPool, name string) error {
			_, err := cert.Verify(x509.VerifyOptions{Roots: pool, DNSName: name, CurrentTime: time.Now()})
			return err
		}
		for _, name := range []string{"mx.example.com", "mx1.example.org", "192.0.2.1"} {
			if err := verify(good.Leaf, ca.Pool(), name); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if verify(good.Leaf, ca.Pool(), "mx.example.net") == nil {
			t.Error("another name is valid")
		}
		if verify(good.Leaf, newCA(t).Pool(), "mx.example.com") == nil {
			t.Error("valid for another authority")
		}
		if verify(expired.Leaf, ca.Pool(), "mx.example.com") == nil {
			t.Error("expired and valid")
		}
	}
	check(t)
	synctest.Test(t, check)
}

func BenchmarkCACertificate(b *testing.B) {
	ca, err := sendertest.NewCA()
	must(b, err)
	for b.Loop() {
		if _, err := ca.Certificate("mx.example.com"); err != nil {
			b.Fatal(err)
		}
	}
}
