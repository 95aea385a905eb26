package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-sasl"

	"github.com/reputemail/repute/bounce"
)

func noAuth() sasl.Client { return nil }

// resumes opens a session, sends a message, and says whether it was resumed.
func resumes(t *testing.T, tr *Transport, to Target) bool {
	t.Helper()
	s := dial(t, tr, to)
	mustSend(t, s, envelope())
	info, ok := s.TLS()
	if s.Close(); !ok {
		t.Error("no TLS")
	}
	if verify := to.TLS == TLSVerified; info.Verified != verify {
		t.Errorf("%s: %+v", to.TLS, info)
	}
	return info.Resumed
}

// TestResumption: a session is resumed for the same host, policy, source and name, and for no other.
func TestResumption(t *testing.T) {
	ca := certificate(t, "ca.example.com", nil)
	cert := serverTLS(certificate(t, "mx.example.com", &ca))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				config := cert.Clone()
				config.MaxVersion = version
				h := &fakeHost{tls: config}
				h.start(t, nil)
				tr := newTransport(t, h.net, Config{TLSConfig: trust(ca), MaxTLSSessions: 20})
				for _, change := range []func(*Target){
					func(to *Target) {},
					func(to *Target) { to.TLS = TLSRequired },
					func(to *Target) { to.TLS = TLSVerified },
					func(to *Target) { to.LocalAddr = netip.MustParseAddr("198.51.100.8") },
					func(to *Target) { to.Hostname = "mta2.example.org" },
					func(to *Target) { to.Host = "mx2.example.com" },
				} {
					to := target()
					change(&to)
					for n, want := range []bool{false, true, true} {
						if got := resumes(t, tr, to); got != want {
							t.Errorf("%+v, connection %d: resumed is %v", to, n, got)
						}
					}
				}
				// However often it is resumed, the certificate has to be shown again after an hour.
				to := target()
				to.TLS = TLSVerified
				time.Sleep(resumeFor / 2)
				if !resumes(t, tr, to) {
					t.Error("not resumed after half the time")
				}
				time.Sleep(resumeFor/2 + time.Second)
				if resumes(t, tr, to) {
					t.Error("resumed after the time")
				}
				if !resumes(t, tr, to) {
					t.Error("not resumed after that")
				}
			})
		})
	}
}

// TestResumptionVerifies: a certificate that expired or was changed is refused, whatever was resumed before.
func TestResumptionVerifies(t *testing.T) {
	ca := certificate(t, "ca.example.com", nil)
	good, other := certificate(t, "mx.example.com", &ca), certificate(t, "other.example.com", &ca)
	var soon tls.Certificate
	until := time.Date(2000, 1, 1, 0, 10, 0, 0, time.UTC) // ten minutes into the bubble
	soon = certificateUntil(t, "mx.example.com", &ca, until)
	for _, c := range []struct {
		name        string
		first, then tls.Certificate
		after       time.Duration
	}{
		{"changed", good, other, time.Minute},
		{"changed for one of another authority", good, certificate(t, "mx.example.com", nil), time.Minute},
		{"expired", soon, soon, 15 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &fakeHost{tls: serverTLS(c.first)}
				h.start(t, nil)
				tr := newTransport(t, h.net, Config{TLSConfig: trust(ca)})
				to := target()
				to.TLS = TLSVerified
				resumes(t, tr, to)
				if !resumes(t, tr, to) {
					t.Error("not resumed")
				}
				h.tls = serverTLS(c.then) // with other keys for its tickets
				time.Sleep(c.after)
				_, err := tr.Dial(context.Background(), to)
				var failed *tls.CertificateVerificationError
				if r := asError(t, err).Reply; r.Status != statusTLS || !errors.As(err, &failed) {
					t.Errorf("reply is %+v", r)
				}
			})
		})
	}
}

// TestResumptionFails: a host that fails to resume is greeted with a full handshake, before its TLS is taken for broken.
func TestResumptionFails(t *testing.T) {
	cert := serverTLS(certificate(t, "mx.example.com", nil))
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHost{tls: cert}
		h.start(t, nil)
		tr := newTransport(t, h.net, Config{})
		resumes(t, tr, target())
		h.on = func(c *fakeConn, at bounce.Stage, _ string) bool {
			if at == atHandshake && c.number == 1 {
				c.Close()
				return true
			}
			return false
		}
		if resumes(t, tr, target()) || h.dialled() != 3 {
			t.Errorf("%d connections", h.dialled())
		}
	})
}

// TestNoResumption: not where the host of the library checks certificates itself, nor where it does not want it.
func TestNoResumption(t *testing.T) {
	cert := serverTLS(certificate(t, "mx.example.com", nil))
	for _, base := range []*tls.Config{
		{SessionTicketsDisabled: true},
		{VerifyPeerCertificate: func([][]byte, [][]*x509.Certificate) error { return nil }},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := &fakeHost{tls: cert}
			h.start(t, nil)
			tr := newTransport(t, h.net, Config{TLSConfig: base})
			for range 3 {
				if resumes(t, tr, target()) {
					t.Error("resumed")
				}
			}
		})
	}
}
