package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"sync"
	"testing"
)

// Test keys are made once: RSA keys are slow to make.
var (
	testRSA = sync.OnceValue(func() *rsa.PrivateKey {
		key, err := GenerateRSA(0)
		if err != nil {
			panic(err)
		}
		return key
	})
	testEd25519 = sync.OnceValue(func() ed25519.PrivateKey {
		key, err := GenerateEd25519()
		if err != nil {
			panic(err)
		}
		return key
	})
)

// block is a PEM block.
func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// indent puts a prefix before each line.
func indent(text []byte, prefix string) []byte {
	var b []byte
	for line := range bytes.Lines(text) {
		b = append(append(b, prefix...), line...)
	}
	return b
}

// must returns der.
func must(t testing.TB) func(der []byte, err error) []byte {
	return func(der []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
}

func TestLoadKey(t *testing.T) {
	must := must(t)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs1 := x509.MarshalPKCS1PrivateKey(testRSA())
	pkcs8 := must(x509.MarshalPKCS8PrivateKey(testRSA()))
	encrypted := pem.EncodeToMemory(&pem.Block{
		Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}, Bytes: pkcs1,
	})
	public := block("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(testRSA().Public())))
	for _, test := range []struct {
		name string
		text []byte
		key  crypto.Signer
		want string // in the error
	}{
		{"rsa pkcs1", block("RSA PRIVATE KEY", pkcs1), testRSA(), ""},
		{"rsa pkcs8", block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(testRSA()))), testRSA(), ""},
		{"ed25519 pkcs8", block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(testEd25519()))), testEd25519(), ""},
		{"after a certificate", append(block("CERTIFICATE", []byte{1}), block("RSA PRIVATE KEY", pkcs1)...), testRSA(), ""},
		{"after the public key and prose", append(append([]byte("selector s1\n"), public...), block("RSA PRIVATE KEY", pkcs1)...), testRSA(), ""},
		{"byte order mark", append([]byte("\ufeff"), block("RSA PRIVATE KEY", pkcs1)...), testRSA(), ""},
		{"indented", indent(block("PRIVATE KEY", pkcs8), "    "), testRSA(), ""},
		{"indented with tabs, CRLF", bytes.ReplaceAll(indent(block("RSA PRIVATE KEY", pkcs1), "\t"), []byte("\n"), []byte("\r\n")), testRSA(), ""},
		{"pkcs8 labelled pkcs1", block("RSA PRIVATE KEY", pkcs8), testRSA(), ""},
		{"Ed25519 labelled RSA", block("RSA PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(testEd25519()))), testEd25519(), ""},
		{"pkcs1 labelled pkcs8", block("PRIVATE KEY", pkcs1), testRSA(), ""},
		{"EC pkcs8 labelled RSA", block("RSA PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(ec))), nil, "elliptic curve"},
		{"nothing", nil, nil, "no PEM block"},
		{"prose", []byte("0 is the number of keys here"), nil, "no PEM block"},
		{"DER", pkcs1, nil, "DER (binary), not PEM"},
		{"DER pkcs8", pkcs8, nil, "DER (binary), not PEM"},
		{"public", public, nil, "is a public key"},
		{"RSA public", block("RSA PUBLIC KEY", []byte{1}), nil, "is a public key"},
		{"certificate", block("CERTIFICATE", []byte{1}), nil, `"CERTIFICATE"`},
		{"encrypted pkcs1", encrypted, nil, "is encrypted"},
		{"encrypted pkcs8", block("ENCRYPTED PRIVATE KEY", []byte{1}), nil, "is encrypted"},
		{"EC SEC1", block("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(ec))), nil, "elliptic curve"},
		{"EC pkcs8", block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(ec))), nil, "elliptic curve"},
		{"DSA", block("DSA PRIVATE KEY", []byte{1}), nil, "DSA key"},
		{"OpenSSH", block("OPENSSH PRIVATE KEY", []byte{1}), nil, "OpenSSH"},
		{"damaged pkcs1", block("RSA PRIVATE KEY", pkcs1[:40]), nil, "damaged"},
		{"damaged pkcs8", block("PRIVATE KEY", []byte{48, 1, 2}), nil, "damaged"},
	} {
		t.Run(test.name, func(t *testing.T) {
			key, err := LoadKey(test.text)
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) || key != nil {
					t.Fatalf("got key %T and error %v, want an error with %q", key, err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !key.(interface{ Equal(crypto.PrivateKey) bool }).Equal(test.key) {
				t.Fatal("another key came back")
			}
		})
	}
}

func TestMarshalKey(t *testing.T) {
	for _, key := range []crypto.Signer{testRSA(), testEd25519()} {
		text, err := MarshalKey(key)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(text, []byte("-----BEGIN PRIVATE KEY-----\n")) {
			t.Errorf("%T: not PKCS#8: %q", key, text[:30])
		}
		back, err := LoadKey(text)
		if err != nil {
			t.Fatal(err)
		}
		if !back.(interface{ Equal(crypto.PrivateKey) bool }).Equal(key) {
			t.Errorf("%T does not survive", key)
		}
	}
	for _, key := range []crypto.Signer{
		remoteKey{Signer: testRSA()}, nil, (*rsa.PrivateKey)(nil), new(rsa.PrivateKey), testEd25519()[:40],
	} {
		if _, err := MarshalKey(key); err == nil {
			t.Errorf("%T was marshalled", key)
		}
	}
}

func TestGenerateRSA(t *testing.T) {
	if n := testRSA().N.BitLen(); n != 2048 {
		t.Errorf("the default is %d bits", n)
	}
	for _, bits := range []int{-1, 512, 1024, 2047, 4097} {
		if _, err := GenerateRSA(bits); err == nil {
			t.Errorf("%d bits were taken", bits)
		}
	}
}

func FuzzLoadKey(f *testing.F) {
	for _, key := range []crypto.Signer{testRSA(), testEd25519()} {
		text, err := MarshalKey(key)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
		f.Add(text[:len(text)/2])
	}
	f.Add([]byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"))
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		key, err := LoadKey(text)
		if (key == nil) == (err == nil) {
			t.Fatalf("key %T and error %v", key, err)
		}
		if err != nil {
			return
		}
		if _, err := Record(key.Public()); err != nil {
			t.Fatalf("a loaded key has no record: %v", err)
		}
		if _, err := MarshalKey(key); err != nil {
			t.Fatalf("a loaded key can not be marshalled: %v", err)
		}
	})
}
