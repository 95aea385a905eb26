package intake_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/reputemail/repute/bounce"
	"github.com/reputemail/repute/bounce/intake"
	"github.com/reputemail/repute/bounce/verp"
)

var now = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// sink keeps what it is told.
type sink struct {
	mu      sync.Mutex
	reports []bounce.Report
	err     error
}

func (s *sink) Report(_ context.Context, r bounce.Report) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.reports = append(s.reports, r)
	return nil
}

func (s *sink) fail(err error) { s.mu.Lock(); defer s.mu.Unlock(); s.err = err }

func (s *sink) all() []bounce.Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]bounce.Report(nil), s.reports...)
}

func tokens(t testing.TB) *verp.Codec {
	t.Helper()
	c, err := verp.New(verp.Config{Keys: []verp.Key{{ID: "a", Secret: []byte("a secret for the tests")}}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newIntake(t testing.TB, cfg intake.Config) *intake.Intake {
	t.Helper()
	if cfg.Sink == nil {
		cfg.Sink = &sink{}
	}
	in, err := intake.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// notice is a delivery status notification about a recipient; extra are further lines of the header that it returns.
func notice(recipient, status, diagnostic string, extra ...string) []byte {
	header := strings.Join(append([]string{"From: News <news@example.org>", "To: <" + recipient + ">", "Subject: Note", "Message-ID: <1@example.org>"}, extra...), "\n")
	return fmt.Appendf(nil, `From: Mail Delivery System <MAILER-DAEMON@mx.example.com>
To: bounces@example.org
Subject: Undelivered Mail Returned to Sender
Date: Tue, 10 Mar 2026 11:59:00 +0000
Message-ID: <bounce-1@mx.example.com>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="x"

--x
Content-Type: text/plain

Your message could not be delivered.

--x
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com

Final-Recipient: rfc822; %s
Action: failed
Status: %s
Remote-MTA: dns; mx.example.com
Diagnostic-Code: smtp; %s

--x
Content-Type: text/rfc822-headers

%s

--x--
`, recipient, status, diagnostic, header)
}

// complaint is a feedback report that quotes a header with these lines.
func complaint(from string, lines ...string) []byte {
	return fmt.Appendf(nil, `From: <%s>
To: fbl@example.org
Subject: complaint
Date: Tue, 10 Mar 2026 11:59:00 +0000
Message-ID: <complaint-1@feedback.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="x"

--x
Content-Type: text/plain

This is an abuse report.

--x
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: Test/1
Version: 1
Original-Rcpt-To: anna@example.com

--x
Content-Type: message/rfc822

%s
From: News <news@example.org>
Subject: Note

Hello.

--x--
`, from, strings.Join(append([]string{"Received: from out.example.org"}, lines...), "\n"))
}

func TestKinds(t *testing.T) {
	in := newIntake(t, intake.Config{})
	for name, tt := range map[string]struct {
		data     string
		kind     bounce.Kind
		category bounce.Category
	}{
		"a notification": {string(notice("anna@example.com", "5.1.1", "550 5.1.1 user unknown")), bounce.KindBounce, bounce.BadMailbox},
		"a complaint":    {string(complaint("feedback@feedback.example")), bounce.KindFeedback, ""},
		"a vacation":     {"From: anna@example.com\nSubject: Out of office: Note\nAuto-Submitted: auto-replied\n\nI am away until Monday.\n", bounce.KindAutoReply, ""},
		"a challenge": {"From: anna@example.com\nSubject: Please confirm your message\n\nYour message is held. To have your message delivered, click here to prove that you are human: https://example.com/confirm\n",
			bounce.KindChallenge, ""},
		"a bounce that quotes our own mail": {"Return-Path: <>\nFrom: MAILER-DAEMON@mx.example.com\nSubject: failure notice\n\nHi. This is the qmail-send program at mx.example.com.\nI'm afraid I wasn't able to deliver your message to the following addresses.\n\n<anna@example.com>:\nSorry, no mailbox here by that name. (#5.1.1)\n\n--- Below this line is a copy of the message.\n\nFrom: news@example.org\nSubject: Welcome\n\nTo have your message delivered, click here to prove that you are human.\n",
			bounce.KindBounce, ""},
		"a person":   {"From: Anna <anna@example.com>\nSubject: Re: Note\n\nThanks!\n", bounce.KindNone, ""},
		"no header":  {"hello", bounce.KindNone, ""},
		"nothing":    {" \r\n\r\n", bounce.KindNotUnderstood, ""},
		"too much":   {strings.Repeat("a", 10<<20+1), bounce.KindNotUnderstood, ""},
		"only bytes": {"\x00\xff\xfe\x01", bounce.KindNone, ""},
	} {
		r := in.ReadAt(t.Context(), now, intake.Message{Data: []byte(tt.data)})
		if r.Kind != tt.kind || (r.Kind == bounce.KindNotUnderstood) != (r.Reason != "") || r.ID == "" || !r.Received.Equal(now) {
			t.Errorf("%s: %+v, want %s", name, r, tt.kind)
		}
		if tt.category != "" && (len(r.Records) != 1 || r.Records[0].Verdict.Category != tt.category || r.Records[0].Recipient != "anna@example.com" || r.Reporter != "mx.example.com" || r.MessageID != "1@example.org") {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestTied: by the address to which it came or by what it quotes, if the token is ours.
func TestTied(t *testing.T) {
	c := tokens(t)
	other, err := verp.New(verp.Config{Keys: []verp.Key{{ID: "a", Secret: []byte("the secret of somebody else")}}})
	if err != nil {
		t.Fatal(err)
	}
	address := func(c *verp.Codec, at time.Time) string {
		a, err := c.AddressAt(at, "m1/1", "bounces.example.org")
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	token := strings.TrimPrefix(strings.Split(address(c, now), "@")[0], "b-")
	in := newIntake(t, intake.Config{Tokens: c})
	const status, text = "5.1.1", "550 5.1.1 user unknown"
	for name, tt := range map[string]struct {
		m    intake.Message
		want string
	}{
		"envelope":                       {intake.Message{To: address(c, now), Data: notice("anna@example.com", status, text)}, "m1/1"},
		"field":                          {intake.Message{Data: notice("anna@example.com", status, text, verp.FieldName+": "+token)}, "m1/1"},
		"return path":                    {intake.Message{Data: notice("anna@example.com", status, text, "Return-Path: <"+address(c, now)+">")}, "m1/1"},
		"delivered-to of the host":       {intake.Message{Data: append([]byte("Delivered-To: "+address(c, now)+"\n"), notice("anna@example.com", status, text)...)}, "m1/1"},
		"complaint, field":               {intake.Message{To: "fbl@example.org", Data: complaint("f@x.example", verp.FieldName+": "+strings.ToUpper(token))}, "m1/1"},
		"complaint, machine part":        {intake.Message{Data: bytes.Replace(complaint("f@x.example"), []byte("Original-Rcpt-To: anna"), []byte("Original-Mail-From: <"+address(c, now)+">\nOriginal-Rcpt-To: anna"), 1)}, "m1/1"},
		"complaint, in words":            {intake.Message{Data: []byte("From: abuse@x.example\nSubject: Abuse complaint\n\nWe received a complaint about the following message from you. It was marked as spam.\n\n> " + verp.FieldName + ": " + token + "\n> From: News <news@example.org>\n> To: anna@example.com\n> Subject: Note\n> Message-ID: <1@example.org>\n> Date: Tue, 10 Mar 2026 10:00:00 +0000\n")}, "m1/1"},
		"in To, with a name":             {intake.Message{Data: bytes.Replace(notice("anna@example.com", status, text), []byte("To: bounces@example.org"), []byte("To: \"List, Bounces\" <x@example.org>, Bounces <"+address(c, now)+">"), 1)}, "m1/1"},
		"nothing of ours":                {intake.Message{To: "bounces@example.org", Data: notice("anna@example.com", status, text)}, ""},
		"somebody else's key":            {intake.Message{To: address(other, now), Data: notice("anna@example.com", status, text)}, ""},
		"expired":                        {intake.Message{To: address(c, now.Add(-60*24*time.Hour)), Data: notice("anna@example.com", status, text)}, ""},
		"many wrong ones before":         {intake.Message{Data: notice("anna@example.com", status, text, append(many(verp.FieldName+": taaaaaaaaaaaaaaaaaaaaaaaa", 100), verp.FieldName+": "+token)...)}, ""},
		"wrong envelope, right field":    {intake.Message{To: "x@example.org", Data: notice("anna@example.com", status, text, verp.FieldName+": "+token)}, "m1/1"},
		"in the text, by somebody's pen": {intake.Message{Data: []byte("From: Anna <anna@example.com>\nSubject: Hi\n\n" + verp.FieldName + ": " + token + "\n")}, ""},
	} {
		r := in.ReadAt(t.Context(), now, tt.m)
		if r.Delivery != tt.want {
			t.Errorf("%s: tied to %q, want %q (%s)", name, r.Delivery, tt.want, r.Kind)
		}
	}
}

func many(s string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = s
	}
	return out
}

// TestAuthentic: a valid signature of a trusted domain, and no other.
func TestAuthentic(t *testing.T) {
	pub, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	covered := []string{"From", "Subject", "To", "Date", "Content-Type"}
	sign := func(domain string) []byte {
		var out bytes.Buffer
		data := bytes.ReplaceAll(complaint("feedback@"+domain), []byte("\n"), []byte("\r\n"))
		err := dkim.Sign(&out, bytes.NewReader(data), &dkim.SignOptions{Domain: domain, Selector: "s", Signer: priv, HeaderKeys: covered})
		if err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	in := newIntake(t, intake.Config{
		Trusted: []string{"Feedback.Example."},
		LookupTXT: func(_ context.Context, name string) ([]string, error) {
			if !strings.HasPrefix(name, "s._domainkey.") {
				return nil, errors.New("no such name")
			}
			return []string{"v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(pub)}, nil
		},
	})
	good := sign("feedback.example")
	covered = covered[:4]
	loose := sign("feedback.example")
	covered = covered[:5]
	for name, tt := range map[string]struct {
		data []byte
		want bool
	}{
		"signed":                    {good, true},
		"unsigned":                  {complaint("feedback@feedback.example"), false},
		"of another domain":         {sign("other.example"), false},
		"of a domain below":         {sign("x.feedback.example"), false},
		"changed on the way":        {bytes.Replace(good, []byte("anna@example.com"), []byte("otto@example.com"), 1), false},
		"with line ends of Unix":    {bytes.ReplaceAll(good, []byte("\r\n"), []byte("\n")), true},
		"signature for other mail":  {append(append([]byte{}, good[:bytes.Index(good, []byte("From:"))]...), complaint("feedback@feedback.example")...), false},
		"Content-Type not signed":   {loose, false},
		"two Content-Types":         {append([]byte("Content-Type: text/plain\r\n"), good...), false},
		"From that the key has not": {append([]byte("From: <somebody@else.example>\r\n"), good...), false},
	} {
		r := in.ReadAt(t.Context(), now, intake.Message{Data: tt.data})
		if r.Authentic != tt.want || tt.want && (r.Kind != bounce.KindFeedback || !r.Complaint) {
			t.Errorf("%s: %+v", name, r)
		}
	}

	// A field that nobody has signed names somebody whom the signer did not: such forms are never authentic.
	forged := append([]byte("X-HmXmrOriginalRecipient: victim@example.com\r\n"), good...)
	for _, rec := range in.ReadAt(t.Context(), now, intake.Message{Data: forged}).Records {
		if rec.Address() == "victim@example.com" {
			t.Error("a recipient was put in from outside of the signature")
		}
	}
}

// TestKeysOfStrangersAreNotAskedFor: nobody makes us ask DNS for his names.
func TestKeysOfStrangersAreNotAskedFor(t *testing.T) {
	asked := 0
	in := newIntake(t, intake.Config{Trusted: []string{"feedback.example"}, LookupTXT: func(context.Context, string) ([]string, error) {
		asked++
		return nil, errors.New("no such name")
	}})
	data := append([]byte("DKIM-Signature: v=1; a=rsa-sha256; d=stranger.example; s=s; h=From; bh=YQ==; b=YQ==\r\n"), bytes.ReplaceAll(complaint("f@x.example"), []byte("\n"), []byte("\r\n"))...)
	in.ReadAt(t.Context(), now, intake.Message{Data: data})
	if asked > 0 {
		t.Errorf("asked %d times", asked)
	}
}

func TestTakeTellsOnce(t *testing.T) {
	c, s := tokens(t), &sink{}
	kept := 0
	in := newIntake(t, intake.Config{Sink: s, Tokens: c, Keep: func(_ context.Context, _ intake.Message, r bounce.Report) error {
		kept++
		if r.Kind != bounce.KindNone && r.Kind != bounce.KindNotUnderstood {
			t.Errorf("kept: %s", r.Kind)
		}
		return nil
	}})
	a, err := c.AddressAt(time.Now(), "m1/1", "bounces.example.org")
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.AddressAt(time.Now(), "m2/1", "bounces.example.org")
	if err != nil {
		t.Fatal(err)
	}
	data := notice("anna@example.com", "5.1.1", "550 5.1.1 user unknown")
	take := func(m intake.Message) bounce.Report {
		t.Helper()
		r, err := in.Take(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := take(intake.Message{To: a, Data: data})
	again := take(intake.Message{To: a, Data: append([]byte("Received: by another host\n"), data...)})
	take(intake.Message{To: b, Data: data}) // the same text about another delivery
	if first.ID != again.ID || len(s.all()) != 2 {
		t.Errorf("told %d times; %s and %s", len(s.all()), first.ID, again.ID)
	}
	take(intake.Message{Data: []byte("From: Anna <anna@example.com>\n\nHello\n")})
	if kept != 1 || len(s.all()) != 3 {
		t.Errorf("kept %d, told %d", kept, len(s.all()))
	}

	slow := make(chan struct{})
	held := newIntake(t, intake.Config{Sink: intake.SinkFunc(func(ctx context.Context, r bounce.Report) error {
		<-slow
		return s.Report(ctx, r)
	})})
	var wg sync.WaitGroup
	for range 5 { // the same at the same time
		wg.Go(func() {
			held.Take(t.Context(), intake.Message{Data: notice("maria@example.com", "5.1.1", "550 5.1.1 user unknown")})
		})
	}
	close(slow)
	wg.Wait()
	if n := len(s.all()); n != 4 {
		t.Errorf("told %d times", n-3)
	}

	away := errors.New("store is away")
	s.fail(away)
	other := notice("otto@example.com", "5.1.1", "550 5.1.1 user unknown")
	if _, err := in.Take(t.Context(), intake.Message{Data: other}); !errors.Is(err, away) {
		t.Errorf("error %v", err)
	}
	s.fail(nil)
	take(intake.Message{Data: other})
	take(intake.Message{Data: other})
	if len(s.all()) != 5 {
		t.Errorf("told %d times", len(s.all()))
	}
}

func TestConfig(t *testing.T) {
	for want, cfg := range map[string]intake.Config{
		"Config.Sink":       {},
		"Config.Remember":   {Sink: &sink{}, Remember: -1},
		"Config.Field":      {Sink: &sink{}, Field: "a b"},
		"Config.Trusted[1]": {Sink: &sink{}, Trusted: []string{"a.example", ""}},
	} {
		if _, err := intake.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	in := newIntake(t, intake.Config{})
	for want, cfg := range map[string]intake.ServerConfig{
		"ServerConfig.Intake":         {Hostname: "b.example.org"},
		"ServerConfig.Hostname":       {Intake: in},
		"ServerConfig.MaxBytes":       {Intake: in, Hostname: "b.example.org", MaxBytes: 11 << 20},
		"ServerConfig.MaxConnections": {Intake: in, Hostname: "b.example.org", MaxConnections: -1},
		"ServerConfig.MaxPerAddress":  {Intake: in, Hostname: "b.example.org", MaxPerAddress: -1},
		"ServerConfig.PerMinute":      {Intake: in, Hostname: "b.example.org", PerMinute: -1},
		"ServerConfig.Timeout":        {Intake: in, Hostname: "b.example.org", Timeout: -1},
		"ServerConfig.Addresses[0]":   {Intake: in, Hostname: "b.example.org", Addresses: []string{"fbl"}},
	} {
		if _, err := intake.NewServer(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	c := tokens(f)
	in := newIntake(f, intake.Config{Tokens: c})
	f.Add([]byte("From: a@example.com\n\nhello"))
	f.Add(notice("anna@example.com", "5.1.1", "550 5.1.1 user unknown", verp.FieldName+": x"))
	f.Add(complaint("f@x.example", "Return-Path: <b-x@example.org>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := in.ReadAt(t.Context(), now, intake.Message{Data: data})
		if r.ID == "" || r.Kind == "" || r.Delivery != "" {
			t.Errorf("%+v", r)
		}
		if again := in.ReadAt(t.Context(), now, intake.Message{Data: data}); again.ID != r.ID || len(again.Records) != len(r.Records) {
			t.Errorf("%+v, then %+v", r, again)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	in := newIntake(b, intake.Config{Tokens: tokens(b)})
	data := notice("anna@example.com", "5.1.1", "550 5.1.1 user unknown", many("X-Line: "+strings.Repeat("a", 60), 120)...)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		in.ReadAt(b.Context(), now, intake.Message{Data: data})
	}
}
