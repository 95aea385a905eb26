package auth

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-msgauth/dkim"
	"pgregory.net/rapid"
)

// plain is a message with most of the fields that matter.
const plain = "Received: from a.example.net by b.example.net; Mon, 2 Jun 2025 10:00:00 +0000\r\n" +
	"Date: Mon, 2 Jun 2025 10:00:00 +0000\r\n" +
	"From: News <news@example.com>\r\n" +
	"To: reader@example.net\r\n" +
	"Subject: A subject\r\n" +
	"\tthat is folded\r\n" +
	"Message-ID: <1@example.com>\r\n" +
	"MIME-Version: 1.0\r\n" +
	"Content-Type: text/plain; charset=utf-8\r\n" +
	"Content-Transfer-Encoding: 8bit\r\n" +
	"List-Unsubscribe: <https://example.com/u/1>\r\n" +
	"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" +
	"\r\n" +
	"Hello  world \r\n\r\n.\r\ngrüße\t\r\n\r\n\r\n"

// remoteKey hides the type of a key, as one in a key management service does.
type remoteKey struct{ crypto.Signer }

// publicKey is a key that lives elsewhere, and of which only the public half is known.
type publicKey struct{ key crypto.PublicKey }

func (k publicKey) Public() crypto.PublicKey { return k.key }

func (k publicKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, errKey }

// blockedKey never answers before release is closed.
type blockedKey struct {
	crypto.Signer
	release chan struct{}
}

func (k blockedKey) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	<-k.release
	return k.Signer.Sign(r, digest, opts)
}

// failingKey always fails.
type failingKey struct{ crypto.Signer }

var errKey = errors.New("the service is away")

func (k failingKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, errKey }

// bothKeys is a configuration with both algorithms, Ed25519 listed first.
func bothKeys() Config {
	return Config{Domain: "example.com", Keys: []Key{
		{Selector: "ed", Signer: testEd25519()},
		{Selector: "rsa", Signer: testRSA()},
	}}
}

// newSigner makes a Signer.
func newSigner(t testing.TB, cfg Config) *Signer {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sign signs a message.
func sign(t testing.TB, s *Signer, message string) string {
	t.Helper()
	header, err := s.Sign(t.Context(), []byte(message))
	if err != nil {
		t.Fatal(err)
	}
	return string(header)
}

// verify checks all signatures of a message with the keys of bothKeys.
func verify(t testing.TB, message string) []*dkim.Verification {
	t.Helper()
	v, err := dkim.VerifyWithOptions(strings.NewReader(message), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
		keys := map[string]crypto.Signer{"rsa": testRSA(), "ed": testEd25519()}
		selector, _, _ := strings.Cut(name, ".")
		key := keys[selector]
		if key == nil || name != RecordName(selector, "example.com") {
			return nil, fmt.Errorf("nothing at %s", name)
		}
		record, err := Record(key.Public())
		return []string{record}, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// verified reports whether there are n signatures and all verify.
func verified(t testing.TB, message string, n int) bool {
	t.Helper()
	list := verify(t, message)
	ok := len(list) == n
	for _, v := range list {
		ok = ok && v.Err == nil
	}
	return ok
}

func TestSign(t *testing.T) {
	header := sign(t, newSigner(t, bothKeys()), plain)
	fields := strings.Split(strings.TrimSuffix(header, "\r\n"), "\r\nDKIM-Signature:")
	if len(fields) != 2 || !strings.HasPrefix(header, "DKIM-Signature:") || !strings.HasSuffix(header, "\r\n") {
		t.Fatalf("not two fields:\n%s", header)
	}
	for i, want := range []string{"a=rsa-sha256;", "a=ed25519-sha256;"} {
		if !strings.Contains(fields[i], want) {
			t.Errorf("field %d has no %s:\n%s", i, want, fields[i])
		}
	}
	for line := range strings.SplitSeq(header, "\r\n") {
		if len(line) > 998 || len(line) > 78 && !strings.Contains(line, "h=") {
			t.Errorf("a line of %d octets: %s", len(line), line)
		}
	}
	for _, tag := range []string{"c=relaxed/relaxed;", "d=example.com;", "v=1;", "t="} {
		if strings.Count(header, tag) != 2 {
			t.Errorf("%s is not in both:\n%s", tag, header)
		}
	}
	for _, tag := range []string{" l=", " x=", " i=", "received", "Received"} {
		if strings.Contains(header, tag) {
			t.Errorf("%s is there:\n%s", tag, header)
		}
	}
	if !verified(t, header+plain, 2) {
		t.Error("the signatures do not verify")
	}
	h := regexp.MustCompile(` h=([^;]*);`).FindStringSubmatch(header)[1]
	want := "from:from:to:to:cc:subject:subject:date:date:message-id:message-id:reply-to:mime-version:mime-version:content-type:content-type:" +
		"list-unsubscribe:list-unsubscribe:list-unsubscribe-post:list-unsubscribe-post:feedback-id:content-transfer-encoding"
	if h != want {
		t.Errorf("h= is  %s\nwant    %s", h, want)
	}
}

// What may happen to a message on the way, and whether its signatures must survive.
func TestSignTampering(t *testing.T) {
	s := newSigner(t, bothKeys())
	signed := sign(t, s, plain) + plain
	body := strings.Index(signed, "\r\n\r\n") + 4
	change := func(old, new string) string {
		if !strings.Contains(signed, old) {
			t.Fatalf("no %q in the message", old)
		}
		return strings.Replace(signed, old, new, 1)
	}
	for _, test := range []struct {
		name, message string
		survives      bool
	}{
		{"nothing", signed, true},
		{"received on top", "Received: from x.example by y.example; Mon, 2 Jun 2025 10:00:01 +0000\r\n" + signed, true},
		{"return-path on top", "Return-Path: <bounce@example.com>\r\n" + signed, true},
		{"comments", "Comments: seen\r\n" + signed, true},
		{"refolded subject", change("A subject\r\n\tthat is folded", "A  subject that\r\n is folded"), true},
		{"trailing white space in the body", change("Hello  world \r\n", "Hello world\r\n"), true},
		{"white space in a line", change("Hello  world", "Helloworld"), false},
		{"fewer empty lines at the end", strings.TrimRight(signed, "\r\n") + "\r\n", true},
		{"more body", signed + "more\r\n", false},
		{"other subject", change("A subject", "Another subject"), false},
		{"a second From on top", "From: evil@example.org\r\n" + signed, false},
		{"a second From below", signed[:body-2] + "From: evil@example.org\r\n" + signed[body-2:], false},
		{"a second Subject", "Subject: evil\r\n" + signed, false},
		{"a second To", "To: evil@example.org\r\n" + signed, false},
		{"a first Cc", "Cc: evil@example.org\r\n" + signed, false},
		{"a first Reply-To", "Reply-To: evil@example.org\r\n" + signed, false},
		{"a first Feedback-ID", "Feedback-ID: a:b:c:evil\r\n" + signed, false},
		{"a second Content-Type", "Content-Type: text/html\r\n" + signed, false},
		{"a second List-Unsubscribe", "List-Unsubscribe: <https://evil.example/>\r\n" + signed, false},
		{"Sender, not there and so not signed", "Sender: list@example.org\r\n" + signed, true},
		{"Content-Transfer-Encoding removed", change("Content-Transfer-Encoding: 8bit\r\n", ""), false},
	} {
		if got := verified(t, test.message, 2); got != test.survives {
			t.Errorf("%s: verified %v, want %v", test.name, got, test.survives)
		}
	}
}

// Every message that is accepted gets signatures that verify, and h= lists each oversigned field once more than it is there.
func TestSignProperty(t *testing.T) {
	s := newSigner(t, Config{Domain: "example.com", Keys: []Key{{Selector: "ed", Signer: testEd25519()}}})
	rapid.Check(t, func(rt *rapid.T) {
		names := append([]string{"X-Test", "Received", "Comments", "subject", "TO"}, append(OversignFields()[1:], SignFields()...)...)
		text := rapid.StringMatching(`[ -~é\t]{0,30}`)
		fields := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) string {
			line := rapid.SampledFrom(names).Draw(rt, "name") + ":" + text.Draw(rt, "value")
			for range rapid.IntRange(0, 2).Draw(rt, "folds") {
				line += "\r\n " + text.Draw(rt, "folded")
			}
			return line + "\r\n"
		}), 0, 8).Draw(rt, "fields")
		from := rapid.IntRange(0, len(fields)).Draw(rt, "place of From")
		fields = slices.Insert(fields, from, "From: a@example.com\r\n")
		lines := rapid.SliceOfN(text, 0, 6).Draw(rt, "body")
		message := strings.Join(fields, "") + "\r\n" + strings.Join(lines, "\r\n")
		header := sign(t, s, message)
		if !verified(t, header+message, 1) {
			rt.Fatalf("does not verify:\n%s", header+message)
		}
		listed := strings.Split(regexp.MustCompile(` h=([^;]*);`).FindStringSubmatch(header)[1], ":")
		for _, name := range OversignFields() {
			want := 1
			for _, f := range fields {
				if n, _, _ := strings.Cut(f, ":"); strings.EqualFold(n, name) {
					want++
				}
			}
			got := 0
			for _, l := range listed {
				if strings.EqualFold(l, name) {
					got++
				}
			}
			if got != want {
				rt.Fatalf("%s is listed %d times, want %d", name, got, want)
			}
		}
	})
}

func TestSignTags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := bothKeys()
		cfg.Domain, cfg.Expiration, cfg.Identifier = "EXAMPLE.com.", 24*time.Hour, "news@mail.example.com"
		cfg.Oversign, cfg.Sign = []string{"from", "Subject"}, []string{}
		header := sign(t, newSigner(t, cfg), plain)
		now := time.Now().Unix()
		for _, tag := range []string{
			"t=" + strconv.FormatInt(now, 10), "x=" + strconv.FormatInt(now+86400, 10), "i=news@mail.example.com", "d=example.com",
			"h=from:from:subject:subject;",
		} {
			if strings.Count(header, tag) != 2 {
				t.Errorf("%s is not in both:\n%s", tag, header)
			}
		}
		if !verified(t, header+plain, 2) {
			t.Error("the signatures do not verify")
		}
	})
}

func TestSignMalformed(t *testing.T) {
	s := newSigner(t, Config{Domain: "example.com", Keys: []Key{{Selector: "ed", Signer: testEd25519()}}})
	for _, test := range []struct{ name, message, want string }{
		{"empty", "", "no empty line"},
		{"no header end", "From: a@example.com\r\n", "no empty line"},
		{"no From", "To: a@example.com\r\n\r\nx", "0 From fields"},
		{"two From", "From: a@example.com\r\nfrom : b@example.com\r\n\r\nx", "2 From fields"},
		{"bare LF in the header", "From: a@example.com\n\r\nx", "bare LF at octet 19"},
		{"LF first", "\nFrom: a@example.com\r\n\r\nx", "bare LF at octet 0"},
		{"bare LF in the body", "From: a@example.com\r\n\r\nx\ny", "bare LF at octet 24"},
		{"bare CR in the body", "From: a@example.com\r\n\r\nx\ry\r\n", "bare CR at octet 24"},
		{"CR last", "From: a@example.com\r\n\r\nx\r", "bare CR at octet 24"},
		{"CR CR LF", "From: a@example.com\r\r\n\r\n", "bare CR at octet 19"},
		{"fold first", " x\r\nFrom: a@example.com\r\n\r\n", "begins with a folded line"},
		{"no colon", "From: a@example.com\r\nhello\r\n\r\n", "without a field name"},
		{"no name", "From: a@example.com\r\n: hello\r\n\r\n", "without a field name"},
		{"space in the name", "From: a@example.com\r\nX Y: hello\r\n\r\n", "without a field name"},
		{"long header", "From: a@example.com\r\n" + strings.Repeat("X: "+strings.Repeat("x", 900)+"\r\n", 1200) + "\r\n", "longer than"},
		{"hundreds of To", "From: a@example.com\r\n" + strings.Repeat("To: x\r\n", 300) + "\r\n", "too many"},
	} {
		header, err := s.Sign(t.Context(), []byte(test.message))
		if !errors.Is(err, ErrMessage) || !strings.Contains(err.Error(), test.want) || header != nil {
			t.Errorf("%s: got %q and error %v, want one with %q", test.name, header, err, test.want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		change func(*Config)
		want   string // in the error; empty when there must be none
	}{
		{"nothing", func(*Config) {}, ""},
		{"U-labels", func(c *Config) { c.Domain = "bücher.example" }, ""},
		{"no domain", func(c *Config) { c.Domain = "" }, "Config.Domain"},
		{"a public suffix", func(c *Config) { c.Domain = "com" }, `Config.Domain: "com" is a public suffix`},
		{"a public suffix of two labels", func(c *Config) { c.Domain = "Co.UK." }, `Config.Domain: "Co.UK." is a public suffix`},
		{"a host of its own", func(c *Config) { c.Domain = "localhost" }, ""},
		{"a domain with a tag", func(c *Config) { c.Domain = "example.com; l=0" }, "Config.Domain"},
		{"no keys", func(c *Config) { c.Keys = nil }, "Config.Keys"},
		{"five keys", func(c *Config) { c.Keys = make([]Key, 5) }, "Config.Keys"},
		{"no selector", func(c *Config) { c.Keys[0].Selector = "" }, "Config.Keys[0].Selector"},
		{"bad selector", func(c *Config) { c.Keys[1].Selector = "a b" }, "Config.Keys[1].Selector"},
		{"dotted selector", func(c *Config) { c.Keys[1].Selector = "a.b" }, ""},
		{"same selector", func(c *Config) { c.Keys[1].Selector = "ED" }, "Config.Keys[1].Selector"},
		{"no signer", func(c *Config) { c.Keys[0].Signer = nil }, "Config.Keys[0].Signer"},
		{"EC key", func(c *Config) { c.Keys[0].Signer = ec }, "Config.Keys[0].Signer"},
		{"nil RSA key", func(c *Config) { c.Keys[0].Signer = (*rsa.PrivateKey)(nil) }, "Config.Keys[0].Signer: a nil *rsa.PrivateKey"},
		{"nil key of another type", func(c *Config) { c.Keys[0].Signer = (*failingKey)(nil) }, "Config.Keys[0].Signer: a nil *auth.failingKey"},
		{"empty RSA key", func(c *Config) { c.Keys[0].Signer = new(rsa.PrivateKey) }, "Config.Keys[0].Signer"},
		{"RSA key without its private half", func(c *Config) { c.Keys[0].Signer = &rsa.PrivateKey{PublicKey: testRSA().PublicKey} }, "Config.Keys[0].Signer"},
		{"nil Ed25519 key", func(c *Config) { c.Keys[0].Signer = ed25519.PrivateKey(nil) }, "Config.Keys[0].Signer: a nil ed25519.PrivateKey"},
		{"short Ed25519 key", func(c *Config) { c.Keys[0].Signer = testEd25519()[:31] }, "Config.Keys[0].Signer: an Ed25519 private key of 31 octets"},
		{"short Ed25519 key behind a pointer", func(c *Config) { k := testEd25519()[:31]; c.Keys[0].Signer = &k }, "Config.Keys[0].Signer"},
		{"Ed25519 key behind a pointer", func(c *Config) { k := testEd25519(); c.Keys[0].Signer = &k }, ""},
		{"remote key without a public one", func(c *Config) { c.Keys[0].Signer = publicKey{(*rsa.PublicKey)(nil)} }, "Config.Keys[0].Signer"},
		{"remote key with an empty public one", func(c *Config) { c.Keys[0].Signer = publicKey{new(rsa.PublicKey)} }, "Config.Keys[0].Signer"},
		{"remote key with a short public one", func(c *Config) { c.Keys[0].Signer = publicKey{ed25519.PublicKey{1}} }, "Config.Keys[0].Signer"},
		{"1024 bits", func(c *Config) { c.Keys[0].Signer = small }, "1024 bits"},
		{"1024 bits allowed", func(c *Config) { c.Keys[0].Signer = small; c.MinRSABits = 1024 }, ""},
		{"512 bits allowed", func(c *Config) { c.MinRSABits = 512 }, "Config.MinRSABits"},
		{"short expiration", func(c *Config) { c.Expiration = time.Minute }, "Config.Expiration"},
		{"negative expiration", func(c *Config) { c.Expiration = -time.Hour }, "Config.Expiration"},
		{"identifier", func(c *Config) { c.Identifier = "@sub.example.com" }, ""},
		{"identifier elsewhere", func(c *Config) { c.Domain, c.Identifier = "news.example", "a@badnews.example" }, "Config.Identifier"},
		{"identifier without @", func(c *Config) { c.Identifier = "example.com" }, "Config.Identifier"},
		{"identifier with a tag", func(c *Config) { c.Identifier = "a;l=0@example.com" }, "Config.Identifier"},
		{"no From", func(c *Config) { c.Oversign = []string{"To"} }, "Config.Oversign"},
		{"Received", func(c *Config) { c.Sign = []string{"Received"} }, "Config.Sign[0]"},
		{"twice", func(c *Config) { c.Sign = []string{"X-A", "from"} }, "Config.Sign[1]"},
		{"Oversign takes one of the defaults", func(c *Config) { c.Oversign = []string{"From", "Sender"} }, ""},
		{"bad name", func(c *Config) { c.Sign = []string{"X:Y"} }, "Config.Sign[0]"},
		{"too many", func(c *Config) { c.Sign = make([]string, 200) }, "Config.Sign"},
	} {
		cfg := bothKeys()
		test.change(&cfg)
		s, err := New(cfg)
		if (s == nil) == (err == nil) {
			t.Errorf("%s: Signer %v and error %v", test.name, s, err)
		}
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
}

func TestSignRemoteKey(t *testing.T) {
	s := newSigner(t, Config{Domain: "example.com", Keys: []Key{
		{Selector: "ed", Signer: remoteKey{testEd25519()}}, {Selector: "rsa", Signer: remoteKey{testRSA()}},
	}})
	if header := sign(t, s, plain); !verified(t, header+plain, 2) {
		t.Error("the signatures do not verify")
	}
	s = newSigner(t, Config{Domain: "example.com", Keys: []Key{{Selector: "ed", Signer: failingKey{testEd25519()}}}})
	if _, err := s.Sign(t.Context(), []byte(plain)); !errors.Is(err, errKey) || errors.Is(err, ErrMessage) {
		t.Errorf("got %v, want the key's own error", err)
	}
}

// A key that does not answer holds up nobody whose context ends, and nothing stays behind when it answers at last.
func TestSignCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := newSigner(t, Config{Domain: "example.com", Keys: []Key{{Selector: "ed", Signer: blockedKey{testEd25519(), release}}}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := s.Sign(ctx, []byte(plain)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("it took %v", d)
		}
		if _, err := s.Sign(ctx, []byte(plain)); err != ctx.Err() {
			t.Errorf("an ended context: got %v", err)
		}
		close(release)
		synctest.Wait()
	})
}

func TestSignConcurrently(t *testing.T) {
	s := newSigner(t, bothKeys())
	message := []byte(plain)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			header, err := s.Sign(context.Background(), message)
			if err != nil || !verified(t, string(header)+plain, 2) {
				t.Errorf("%v, or does not verify", err)
			}
		})
	}
	wg.Wait()
	if !bytes.Equal(message, []byte(plain)) {
		t.Error("the message was changed")
	}
}

// benchMessage is a message of 10 KB.
var benchMessage = []byte(plain + strings.Repeat("The quick brown fox jumps over the lazy dog, and does so again and again.\r\n", 130))

func BenchmarkSign(b *testing.B) {
	for _, test := range []struct {
		name string
		keys []Key
	}{
		{"RSA2048", bothKeys().Keys[1:]},
		{"Ed25519", bothKeys().Keys[:1]},
		{"both", bothKeys().Keys},
	} {
		b.Run(test.name, func(b *testing.B) {
			s := newSigner(b, Config{Domain: "example.com", Keys: test.keys})
			b.SetBytes(int64(len(benchMessage)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Sign(b.Context(), benchMessage); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The part of signing that is not the signature.
func BenchmarkList(b *testing.B) {
	s := newSigner(b, bothKeys())
	b.SetBytes(int64(len(benchMessage)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.list(benchMessage); err != nil {
			b.Fatal(err)
		}
	}
}

// The signature alone, for comparison.
func BenchmarkRawRSA2048(b *testing.B) {
	digest := make([]byte, 32)
	key := testRSA()
	for b.Loop() {
		if _, err := key.Sign(rand.Reader, digest, crypto.SHA256); err != nil {
			b.Fatal(err)
		}
	}
}
